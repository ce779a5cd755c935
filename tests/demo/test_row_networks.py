"""What the spectral paper claims of networks that read images row by row, on 8 x 8 digits. Minutes long."""

import joblib
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from daleml import Populations, signs, train
from daleml.datasets import digits
from daleml.demo import row_networks
from daleml.demo.row_networks import UNITS
from daleml.layers import EIRNN, EILinear, init
from daleml.optim import enforce, param_groups
from daleml.tasks import RowReader
from daleml.training import Shuffled

pytestmark = pytest.mark.slow

DATA = digits()
SEEDS = range(3)


def column_ei(n_inh, seed):
    """A column-EI circuit with this many inhibitory units of a hundred."""
    generator, populations = (
        torch.Generator().manual_seed(seed),
        Populations(UNITS - n_inh, n_inh),
    )
    rnn = EIRNN(
        8, populations, batch_first=True, spectral_radius=row_networks.SPECTRAL_RADIUS
    )
    readout = EILinear(populations, 10)
    rnn.reset_parameters(generator, input_mean=DATA.pixel_mean)
    readout.reset_parameters(generator)
    return RowReader(rnn, readout)


def unconstrained(model):
    """The same weights in a network without a law."""
    free = row_networks.build_rnn(DATA, torch.Generator())
    with torch.no_grad():
        for name, parameter in free.named_parameters():
            parameter.copy_(model.get_parameter(name))
    return free


def with_spectrum_of(model, other):
    """Give each matrix the singular values of another network's; nothing is left for the biases to centre."""
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            init.svd_spectrum_(parameter, other.get_parameter(name))
        else:
            nn.init.zeros_(parameter)
    return model


def keep_each_sign(optimizer, model):
    """Keep the sign of every single synapse, which is more than Dale's law asks for."""
    kept = {p: p.detach().sign() for p in model.parameters() if p.ndim == 2}

    def project(*_):
        with torch.no_grad():
            for parameter, sign in kept.items():
                parameter.copy_((parameter * sign).clamp(min=0) * sign)

    optimizer.register_step_post_hook(project)


def error(model, lr, epochs, seed, keep_signs=False):
    """Fraction of test digits missed, mean of the last three epochs."""
    torch.set_num_threads(1)
    optimizer = SGD(param_groups(model, lr), lr)
    if next(signs.named(model), None):
        enforce(optimizer, model)
    if keep_signs:
        keep_each_sign(optimizer, model)

    def missed(model):
        return float((model(DATA.test_x).argmax(1) != DATA.test_y).double().mean())

    history = train(
        model, Shuffled(DATA.train_x, DATA.train_y, 32, seed), optimizer, cross_entropy,
        epochs=epochs, trackers={"missed": missed}, clip_norm=10.0, progress=False,
    )  # fmt: skip
    return history.missed.tail(3).mean()


def best(build, epochs, lrs=(0.03, 0.1), **options):
    """Mean error over seeds, at the better of the learning rates."""
    jobs = [(lr, seed) for lr in lrs for seed in SEEDS]
    errors = joblib.Parallel(n_jobs=2)(
        joblib.delayed(error)(build(seed), lr, epochs, seed, **options)
        for lr, seed in jobs
    )
    return min(
        sum(errors[i : i + len(SEEDS)]) / len(SEEDS)
        for i in range(0, len(jobs), len(SEEDS))
    )


def seeded(build):
    return lambda seed: build(DATA, torch.Generator().manual_seed(seed))


def test_more_inhibitory_units_make_column_ei_learn_better():
    one, ten, fifty = (
        best(lambda seed, n=n: column_ei(n, seed), epochs=25) for n in (1, 10, 50)
    )
    print(f"1, 10, 50 inhibitory: {one:.2%}, {ten:.2%}, {fifty:.2%}")
    assert one > ten + 0.05
    assert ten > fifty + 0.02


def test_a_dann_ends_where_the_rnn_does_and_column_ei_does_not():
    """60 epochs: 2,700 updates."""
    rnn = best(seeded(row_networks.build_rnn), 60, (0.1, 0.3))
    dann = best(seeded(row_networks.build_dann), 60, (0.1, 0.3))
    column = best(lambda seed: column_ei(10, seed), 60, (0.03, 0.1))
    print(f"RNN {rnn:.2%}, DANN {dann:.2%}, column EI {column:.2%}")
    assert abs(dann - rnn) < 0.015
    assert column > rnn + 0.01
    assert column > dann + 0.01


def test_the_spectrum_matters_more_than_the_signs():
    def transplanted(seed):
        reference = row_networks.build_rnn(
            DATA, torch.Generator().manual_seed(100 + seed)
        )
        return with_spectrum_of(unconstrained(column_ei(10, seed)), reference)

    lawful = best(lambda seed: column_ei(10, seed), 25)
    free = best(lambda seed: unconstrained(column_ei(10, seed)), 25)
    spectrum = best(transplanted, 25, keep_signs=True)
    both = best(transplanted, 25)
    print(
        f"column EI {lawful:.2%}, signs free {free:.2%}, RNN's spectrum with signs kept {spectrum:.2%}, both {both:.2%}"
    )
    assert lawful - spectrum > lawful - free + 0.01
    assert both < free
    assert lawful > free
