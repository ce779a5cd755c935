"""Ensembles: each model runs, learns and is judged exactly as if it were alone."""

import copy
import pickle

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from daleml import Populations, signs
from daleml.experiments import Ensemble
from daleml.layers import DANNRNN, EIRNN, DANNLinear, EIConv2d, EILinear, Readout
from daleml.layers.dynamics import Adaptation
from daleml.optim import EG, EGAdamW, MirrorDescent, enforce, param_groups
from daleml.tasks import PerceptualDecision
from daleml.trackers import fraction_at_zero, sign_flips
from daleml.training import DivergedError, Shuffled, train

SEEDS = [3, 1, 7]
CELLS = Populations(6, 2)


def dense():
    # The same layer at two places.
    twice = nn.Softplus()
    return nn.Sequential(
        DANNLinear(12, 10),
        twice,
        nn.Dropout(0.2),
        EILinear(Populations(8, 2), 6, mask=0.6),
        nn.Sequential(twice, DANNLinear(6, 4, shunting=True)),
    )


def leaky():
    options = {"dt_ms": 10, "tau_ms": 50, "noise": 0.1, "input_noise": 0.05}
    rnn = EIRNN(5, CELLS, 2, mask=0.6, dropout=0.2, train_initial_state=True, **options)
    return nn.Sequential(rnn, Readout(CELLS, 3))


def with_units():
    each = [20, 30, 40, 50, 60, 70, 80, 90]
    rnn = EIRNN(
        5, CELLS, 1, "softplus", batch_first=True, bias=False, dt_ms=10, tau_ms=each
    )
    return nn.Sequential(rnn, Readout(CELLS, 3))


def with_dynamics():
    rnn = EIRNN(5, CELLS, dt_ms=10, tau_ms=50, dynamics=Adaptation(200, 0.1))
    return nn.Sequential(rnn, Readout(CELLS, 3))


class OfMyOwn(nn.Module):
    """A model whose own code stands between its layers."""

    def __init__(self):
        super().__init__()
        self.rnn, self.read = DANNRNN(5, 8, nonlinearity="tanh"), nn.Linear(8, 3)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        rates, last = self.rnn(x)
        return self.read(self.norm(rates[-1] + last[0]))


class Images(nn.Module):
    """A model that keeps running averages."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = EIConv2d(Populations(2, 1), 4, 3), nn.BatchNorm2d(4)
        self.read = nn.Linear(64, 3)

    def forward(self, x):
        return self.read(functional.relu(self.norm(self.conv(x))).flatten(1))


class WhileItMoves(nn.Module):
    """A model that looks at values, which no transform can follow."""

    def __init__(self):
        super().__init__()
        self.layer = EILinear(Populations(4, 1), 3)

    def forward(self, x):
        y = self.layer(x)
        return 2 * y if float(y.detach().sum()) > 0 else -y


SERIES = (6, 4, 5)
MODELS = {
    "dense": (dense, (7, 12), "batched"),
    "leaky": (leaky, SERIES, "batched"),
    "one a unit": (with_units, SERIES, "batched"),
    "of my own": (OfMyOwn, SERIES, "vmapped"),
    "dynamics": (with_dynamics, SERIES, "vmapped"),
    "images": (Images, (5, 3, 6, 6), "vmapped"),
}


def alone(build, seed):
    torch.manual_seed(seed)
    return build()


@pytest.mark.parametrize("name", MODELS)
def test_each_model_runs_as_itself(name):
    build, shape, way = MODELS[name]
    torch.manual_seed(0)
    x = torch.rand(shape)
    ensemble = Ensemble(build, seeds=SEEDS)
    outputs = ensemble(x)
    # Twice, since streams of noise and running averages go on.
    outputs = outputs + ensemble(x)
    outputs.square().sum().backward()
    assert ensemble.way == way
    gradients = {own: parameter.grad for own, parameter in ensemble.named_parameters()}
    for k, seed in enumerate(SEEDS):
        model = alone(build, seed)
        expected = model(x) + model(x)
        expected.square().sum().backward()
        torch.testing.assert_close(outputs[k], expected, rtol=1e-5, atol=1e-5)
        for own, parameter in model.named_parameters():
            found = gradients[own][k]
            torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=1e-4)
        for own, buffer in model.named_buffers():
            torch.testing.assert_close(ensemble[k].get_buffer(own), buffer)


def test_inputs_may_be_each_models_own():
    for build, shape in (
        (dense, (3, 7, 12)),
        (leaky, (3, 6, 4, 5)),
        (OfMyOwn, (3, 6, 4, 5)),
    ):
        x = torch.rand(shape)
        ensemble = Ensemble(build, seeds=SEEDS).eval()
        outputs = ensemble(x, each=True)
        for k in range(3):
            torch.testing.assert_close(
                outputs[k], ensemble[k](x[k]), rtol=1e-5, atol=1e-5
            )
    with pytest.raises(ValueError, match="first dimension of 3 where `each` is True"):
        ensemble(x[0], each=True)


def test_what_cannot_run_together_runs_one_by_one():
    ensemble = Ensemble(WhileItMoves, seeds=SEEDS)
    x = torch.rand(4, 5)
    with pytest.warns(UserWarning, match="one by one"):
        outputs = ensemble(x)
    assert ensemble.way == "one by one"
    for k in range(3):
        torch.testing.assert_close(outputs[k], ensemble[k](x))
    outputs.sum().backward()
    assert all(one.grad is not None for one in ensemble.parameters())


def test_an_input_that_fits_no_model_is_refused_in_its_words():
    ensemble = Ensemble(dense, seeds=2)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        ensemble(torch.rand(3, 13))
    assert ensemble.way == "batched"
    packed = nn.utils.rnn.pack_sequence([torch.rand(3, 5)])
    with pytest.raises(TypeError, match="got a PackedSequence: pad"):
        Ensemble(leaky, seeds=2)(packed)


def test_tasks_are_learned_as_alone():
    task, pops = PerceptualDecision(), Populations(8, 2)
    trials = task.sample(6, generator=torch.Generator().manual_seed(0))

    def build():
        rnn = EIRNN(task.n_inputs, pops, dt_ms=20, tau_ms=100, noise=0.05)
        return nn.Sequential(rnn, Readout(pops, task.n_outputs))

    def trained(model):
        optimizer = EG(param_groups(model, 0.1), 0.1)
        batches = [(trials.inputs, trials)]
        watched = {"flips": sign_flips(model), "zero": fraction_at_zero}
        return train(model, batches, optimizer, task.loss, epochs=3, trackers=watched)

    history = trained(Ensemble(build, seeds=SEEDS))
    torch.manual_seed(SEEDS[1])
    expected = trained(build())
    found = history[history.seed == SEEDS[1]].drop(columns="seed")
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True)[expected.columns], expected, rtol=1e-4
    )


def test_conditions_may_differ_in_numbers():
    def build(tau_ms, noise, dt_ms=10):
        generator = torch.Generator().manual_seed(int(tau_ms))
        rnn = EIRNN(
            5,
            CELLS,
            dt_ms=dt_ms,
            tau_ms=tau_ms,
            noise=noise,
            generator=generator,
            mask=0.5,
        )
        return nn.Sequential(rnn, Readout(CELLS, 3, generator=generator))

    given = [(50, 0.1), (100, 0.0), (30, 0.2, 5)]
    ensemble = Ensemble.of([build(*one) for one in given], names=["a", "b", "c"])
    x = torch.rand(SERIES)
    outputs = ensemble(x)
    assert ensemble.way == "batched"
    for k, one in enumerate(given):
        torch.testing.assert_close(outputs[k], build(*one)(x), rtol=1e-5, atol=1e-5)

    class Scaled(nn.Module):
        def __init__(self, gain):
            super().__init__()
            self.gain, self.layer = gain, nn.Linear(5, 2)

        def forward(self, x):
            return self.gain * self.layer(x)

    models = [Scaled(1.0), Scaled(3.0)]
    ensemble = Ensemble.of(models)
    assert "`gain` of `the model itself` differs" in repr(ensemble)
    torch.testing.assert_close(ensemble(x)[1], models[1](x))


OPTIMIZERS = {
    "EG": lambda model: EG(param_groups(model, 0.3), 0.3, momentum=0.9),
    "EGAdamW": lambda model: EGAdamW(param_groups(model, 0.05), 0.05),
    "MirrorDescent": lambda model: MirrorDescent(param_groups(model, 0.1), 0.1),
    "AdamW": lambda model: torch.optim.AdamW(model.parameters(), 0.05),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_that_of_each_model_alone(name):
    torch.manual_seed(0)
    data = Shuffled(torch.rand(40, 12), torch.randint(0, 4, (40,)), 16, seed=1)
    loss, options = functional.cross_entropy, {"epochs": 2, "clip_norm": 0.3}

    def trained(model):
        optimizer = OPTIMIZERS[name](model)
        enforce(optimizer, model)
        return train(model, data, optimizer, loss, **options)

    ensemble = Ensemble(dense, seeds=SEEDS)
    history = trained(ensemble)
    for k, seed in enumerate(SEEDS):
        model = alone(dense, seed)
        expected = trained(model)
        found = history[history.seed == seed].drop(columns="seed")
        pd.testing.assert_frame_equal(
            found.reset_index(drop=True)[expected.columns],
            expected,
            rtol=1e-4,
            atol=1e-5,
        )
        for own, value in model.state_dict().items():
            torch.testing.assert_close(
                ensemble[k].state_dict()[own], value, rtol=0, atol=1e-5
            )


def test_roles_and_corrections_are_those_of_one_model():
    groups = param_groups(Ensemble(dense, seeds=4), 0.1)
    expected = param_groups(dense(), 0.1)
    assert [(one["role"], one["lr"], one["euclidean"]) for one in groups] == [
        (one["role"], one["lr"], one["euclidean"]) for one in expected
    ]
    assert all(len(p) == 4 for one in groups for p in one["params"])


def test_synapses_that_learn_by_factors_or_not_at_all():
    def build(seed):
        generator = torch.Generator().manual_seed(seed)
        fixed = torch.zeros(4, 8, dtype=torch.bool)
        fixed[0] = True
        layer = EILinear(CELLS, 4, fixed=fixed, generator=generator)
        signs.fix(layer, "weight", CELLS, lr_scale=torch.full((4, 8), 0.5))
        return layer

    x = torch.rand(5, 8)

    def step(model):
        optimizer = EG(param_groups(model, 0.5), 0.5)
        model(x).square().sum().backward()
        optimizer.step()
        return model

    ensemble = step(Ensemble(build, seeds=2))
    for k in range(2):
        expected = step(build(k))
        torch.testing.assert_close(ensemble[k].weight, expected.weight)


def test_the_report_names_the_seed():
    ensemble = Ensemble(dense, seeds=SEEDS)
    assert signs.check(ensemble).n_parameters == 8 * 3
    parameter = dict(ensemble.named_parameters())["0.weight_ex"]
    with torch.no_grad():
        parameter[1, 2, 5] = -1.0
    report = signs.check(ensemble)
    assert [one.parameter for one in report.violations] == ["seed_1.0.weight_ex"]
    signs.project_(ensemble)
    assert parameter[1, 2, 5] == 0


@pytest.mark.parametrize(
    "carry",
    [
        copy.deepcopy,
        lambda ensemble: pickle.loads(pickle.dumps(ensemble)),
        lambda ensemble: ensemble.double().float(),
        lambda ensemble: loaded(ensemble),
        lambda ensemble: loaded(ensemble, assign=True),
    ],
    ids=["copy", "pickle", "casts", "load", "assign"],
)
def test_models_stay_slices_of_the_stack(carry):
    ensemble = Ensemble(dense, seeds=SEEDS).eval()
    x = torch.rand(7, 12)
    before = ensemble(x)
    carried = carry(ensemble)
    torch.testing.assert_close(carried(x), before)
    for parameter in carried.parameters():
        parameter.data.mul_(0.5)
    for k, member in enumerate(carried.members):
        torch.testing.assert_close(carried(x)[k], member(x))
        assert not torch.allclose(member(x), before[k])


def loaded(ensemble, **options):
    other = Ensemble(dense, seeds=SEEDS).eval()
    for parameter in other.parameters():
        parameter.data.mul_(0.9)
    # Masks are drawn from the seeds, and so are the same.
    other.load_state_dict(copy.deepcopy(ensemble.state_dict()), **options)
    return other


def test_a_model_taken_out_is_its_own():
    ensemble = Ensemble(dense, seeds=SEEDS)
    model = ensemble[-1]
    assert all(parameter.requires_grad for parameter in model.parameters())
    model[0].weight_ex.data.zero_()
    assert ensemble.members[2][0].weight_ex.any()
    assert len(list(ensemble)) == 3
    with pytest.raises(IndexError, match="`k` must be below 3"):
        ensemble[3]


def test_an_interrupted_run_goes_on(tmp_path):
    torch.manual_seed(0)
    data = Shuffled(torch.rand(20, 12), torch.randint(0, 4, (20,)), 16)

    def run(epochs, folder):
        ensemble = Ensemble(dense, seeds=2)
        optimizer = EGAdamW(param_groups(ensemble, 0.05), 0.05)
        history = train(
            ensemble,
            data,
            optimizer,
            functional.cross_entropy,
            epochs=epochs,
            checkpoint=folder,
        )
        return ensemble, history

    run(1, tmp_path / "cut")
    cut, history = run(3, tmp_path / "cut")
    whole, expected = run(3, None)
    pd.testing.assert_frame_equal(history, expected)
    for found, value in zip(
        cut.state_dict().values(), whole.state_dict().values(), strict=True
    ):
        assert torch.equal(found, value)


def test_a_model_that_diverges_spoils_no_other():
    torch.manual_seed(0)
    x, y = torch.rand(20, 12), torch.randint(0, 4, (20,))

    def build(seed):
        model = alone(lambda: DANNLinear(12, 4), seed)
        if seed in wrong:
            model.bias.data.fill_(3e38)
        return model

    def loss(outputs, targets):
        return functional.cross_entropy(1e3 * outputs, targets)

    def run(seeds):
        ensemble = Ensemble(build, seeds=seeds)
        optimizer = torch.optim.SGD(ensemble.parameters(), 1e-4, momentum=0.9)
        enforce(optimizer, ensemble)
        history = train(
            ensemble, Shuffled(x, y, 8), optimizer, loss, epochs=2, trackers={}
        )
        return ensemble, history

    wrong = {1}
    with pytest.warns(UserWarning, match=r"lost seed_1 in epoch 1, where"):
        ensemble, history = run([0, 1, 2])
    assert ensemble.diverged.tolist() == [False, True, False]
    assert history[(history.seed == 1)].loss.isna().all()
    assert torch.equal(ensemble[1].weight_ex, build(1).weight_ex)
    others, _ = run([0, 2])
    torch.testing.assert_close(ensemble[2].weight_ex, others[1].weight_ex)
    wrong = {0, 1}
    with pytest.raises(DivergedError, match="all 2 were not in epoch 1"):
        run([0, 1])


def test_what_is_no_ensemble_is_refused():
    with pytest.raises(ValueError, match="`0.weight` of \\(3, 4\\)"):
        Ensemble.of([nn.Sequential(nn.Linear(4, 3)), nn.Sequential(nn.Linear(5, 3))])
    with pytest.raises(ValueError, match="`seeds` must be different"):
        Ensemble(dense, seeds=[1, 1])
    with pytest.raises(TypeError, match="use `Ensemble.of` for models"):
        Ensemble(dense())
    with pytest.raises(ValueError, match="be no attribute"):
        Ensemble.of([dense()], names=["forward"])
    ensemble = Ensemble(lambda: nn.Linear(3, 2), seeds=2)
    data = [(torch.rand(4, 3), torch.rand(4, 2))]
    optimizer = torch.optim.LBFGS(ensemble.parameters())
    with pytest.raises(ValueError, match="norms over all models"):
        train(ensemble, data, optimizer, nn.MSELoss())


def test_seeds_reach_a_function_that_asks_for_them():
    assert torch.equal(
        Ensemble(lambda seed: alone(dense, seed), seeds=[5])[0][0].weight_ex,
        Ensemble(dense, seeds=[5])[0][0].weight_ex,
    )
    # What is optional is no seed.
    assert Ensemble(lambda size=4: nn.Linear(size, 2), seeds=3)[1].in_features == 4
    models = [leaky(), leaky()]
    before = torch.get_rng_state()
    Ensemble(dense, seeds=2)
    # Models that are there already have streams of their own, too.
    first, second = Ensemble.of([models[0], models[0]])(torch.rand(SERIES)[:, :, :5])
    assert not torch.equal(first, second)
    torch.set_rng_state(before)
    Ensemble.of(models)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "loss",
    [
        functional.cross_entropy,
        nn.CrossEntropyLoss(ignore_index=1),
        nn.CrossEntropyLoss(label_smoothing=0.1),
        lambda outputs, targets: functional.cross_entropy(outputs, targets) + 1,
        lambda outputs, targets: (
            functional.cross_entropy(outputs, targets)
            * float(outputs.detach().sum() > 0)
        ),
    ],
)
def test_losses_are_those_of_each(loss):
    torch.manual_seed(0)
    ensemble = Ensemble(lambda: nn.Linear(5, 4), seeds=3)
    outputs, targets = ensemble(torch.rand(6, 5)), torch.tensor([0, 1, 2, 3, 1, 0])
    found = ensemble.losses(loss, outputs, targets)
    expected = torch.stack([loss(one, targets) for one in outputs])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "loss",
    [
        functional.mse_loss,
        functional.l1_loss,
        nn.BCEWithLogitsLoss(),
        nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0, 4.0])),
    ],
)
def test_losses_of_numbers_are_those_of_each(loss):
    torch.manual_seed(0)
    ensemble = Ensemble(lambda: nn.Linear(5, 4), seeds=3)
    outputs, targets = ensemble(torch.rand(6, 5)), torch.rand(6, 4)
    found = ensemble.losses(loss, outputs, targets)
    expected = torch.stack([loss(one, targets) for one in outputs])
    torch.testing.assert_close(found, expected)
    own = torch.rand(3, 6, 4)
    found = ensemble.losses(loss, outputs, own, each=True)
    expected = torch.stack(list(map(loss, outputs, own)))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("clip_norm", [None, 0.3])
def test_conditions_may_learn_at_rates_of_their_own(clip_norm):
    torch.manual_seed(0)
    data = Shuffled(torch.rand(20, 12), torch.randint(0, 4, (20,)), 8)

    def trained(model, lr):
        optimizer = EG(param_groups(model, lr), lr, momentum=0.9)
        loss = functional.cross_entropy
        train(model, data, optimizer, loss, clip_norm=clip_norm, trackers={})
        return model

    def build():
        return alone(lambda: DANNLinear(12, 4), 0)

    ensemble = Ensemble.of([build(), build()], lr_scales=[1.0, 0.1])
    trained(ensemble, 0.5)
    for k, lr in enumerate((0.5, 0.05)):
        expected = trained(build(), lr)
        torch.testing.assert_close(ensemble[k].weight_ex, expected.weight_ex)
        torch.testing.assert_close(ensemble[k].bias, expected.bias)
    optimizer = torch.optim.Adam(ensemble.parameters())
    with pytest.raises(ValueError, match="proportional to gradients; got Adam"):
        train(ensemble, data, optimizer, functional.cross_entropy)
    with pytest.raises(ValueError, match="as many as `models`, 2; got 1"):
        Ensemble.of([build(), build()], lr_scales=[1.0])


def test_averages_of_an_ensemble_are_those_of_its_models():
    ensemble = Ensemble(lambda seed: DANNLinear(4, 3), seeds=2)
    average = torch.optim.swa_utils.AveragedModel(ensemble, use_buffers=True)
    first = ensemble[1].weight_ex.clone()
    average.update_parameters(ensemble)
    with torch.no_grad():
        for parameter in ensemble.parameters():
            parameter.mul_(3)
    average.update_parameters(ensemble)
    torch.testing.assert_close(average.module[1].weight_ex, 2 * first)
    assert not average.module.diverged.any()
    assert signs.check(average)
