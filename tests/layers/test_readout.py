"""The readout equals ``EILinear`` of the rates, whatever a recurrent layer returns them in."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from daleml import Populations, signs, tasks, train
from daleml.layers import DANNRNN, EIRNN, Blocks, EILinear, EIRNNCell, Readout
from daleml.optim import EG, param_groups

POPS = Populations(6, 3)
RATES = torch.rand(7, 4, 9, generator=torch.Generator().manual_seed(0))


def twins(**options):
    """A readout, and a layer of the same draw."""
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    return (
        Readout(POPS, 5, generator=generators[0], **options),
        EILinear(
            POPS,
            5,
            generator=generators[1],
            **({"excitatory_only": True} | options),
        ),
    )


@pytest.mark.parametrize("options", [{}, {"excitatory_only": False}, {"bias": False}])
def test_it_is_a_dense_layer_of_the_rates(options):
    readout, layer = twins(**options)
    assert list(readout.state_dict()) == list(layer.state_dict())
    for given in (RATES, (RATES, RATES[-1:]), (RATES, None)):
        assert torch.equal(readout(given), layer(RATES))
    readout.load_state_dict(layer.state_dict())


def test_it_has_the_options_of_a_dense_layer():
    areas = Populations.of(exc={"V1.E": 4, "PFC.E": 2}, inh={"V1.I": 3})
    wiring = Blocks({"PFC->*": 1}, default=0)
    readout, layer = (
        kind(areas, 5, mask=wiring, generator=torch.Generator().manual_seed(0), **only)
        for kind, only in ((Readout, {}), (EILinear, {"excitatory_only": True}))
    )
    assert torch.equal(readout((RATES, None)), layer(RATES))
    assert not readout.weight[:, :4].any()
    assert readout.weight[:, 4:].all()
    with pytest.raises(
        TypeError, match="Readout has no argument `masks`; did you mean"
    ):
        Readout(areas, 5, masks=wiring)


def test_packed_rates_are_read_packed():
    readout, layer = twins()
    sequences = [RATES[:5, 0], RATES[:7, 1], RATES[:2, 2]]
    packed = pack_sequence(sequences, enforce_sorted=False)
    for given in (packed, (packed, RATES)):
        answers, lengths = pad_packed_sequence(readout(given))
        assert lengths.tolist() == [5, 7, 2]
        for i, sequence in enumerate(sequences):
            torch.testing.assert_close(answers[: len(sequence), i], layer(sequence))


@pytest.mark.parametrize(
    "rnn",
    [EIRNN(3, POPS), EIRNN(3, POPS, 2), DANNRNN(3, 9), nn.GRU(3, 9), nn.LSTM(3, 9)],
    ids=lambda rnn: type(rnn).__name__,
)
def test_a_sequence_of_circuit_and_readout_is_a_whole_model(rnn):
    model = nn.Sequential(rnn, Readout(POPS, 5))
    x = torch.rand(7, 4, 3)
    torch.testing.assert_close(model(x), model[1](rnn(x)[0]))
    assert model(x[:, 0]).shape == (7, 5)


def test_a_cell_returns_rates():
    cell = EIRNNCell(3, POPS)
    assert nn.Sequential(cell, Readout(POPS, 5))(torch.rand(4, 3)).shape == (4, 5)


def test_train_takes_the_model():
    task = tasks.PerceptualDecision()
    generator = torch.Generator().manual_seed(0)
    pops = Populations(16, 4)
    model = nn.Sequential(
        EIRNN(task.n_inputs, pops, generator=generator),
        Readout(pops, task.n_outputs, generator=generator),
    )
    before = model[1].weight.detach().clone()
    optimizer = EG(param_groups(model, 0.1), 0.1)
    history = train(
        model, task.batches(4, 3), optimizer, task.loss, clip_norm=1, progress=False
    )
    assert len(history) == 2  # before, and after the one epoch
    assert not torch.equal(model[1].weight, before)
    assert signs.check(model)


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ((RATES,), "a tuple of 1"),
        ((RATES, RATES, RATES), "a tuple of 3"),
        ([RATES, RATES], "a list of 2"),
        ((None, RATES), "a tuple of 2"),
        (RATES.numpy(), "ndarray"),
    ],
)
def test_anything_else_is_refused(given, got):
    with pytest.raises(TypeError) as raised:
        twins()[0](given)
    assert str(raised.value) == (
        "`input` must be rates, or the pair of rates and state that a recurrent layer"
        f" returns; got {got}."
    )


def test_too_many_rates_are_refused_in_the_words_of_torch():
    with pytest.raises(RuntimeError, match="Expected 9, got 10"):
        twins()[0](torch.rand(4, 10))


def test_it_prints_and_is_copied_as_what_it_is():
    import copy

    readout = Readout(POPS, 5)
    assert repr(copy.deepcopy(readout)) == (
        "Readout(n_exc=6, n_inh=3, out_features=5, bias=True, excitatory_only=True)"
    )
