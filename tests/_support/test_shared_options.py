"""Options that several classes share stand in every signature and docstring, and bad ones are refused."""

import inspect
import re

import pytest
import torch
from torch import nn

from daleml import Populations
from daleml.layers import (
    DANNRNN,
    EIRNN,
    DANNConv1d,
    DANNConv2d,
    DANNRNNCell,
    EIRNNCell,
)

POPS = Populations(4, 2)
SHARED = (
    "mask", "input_mask", "layer_mask", "fixed", "input_fixed", "autapses", "dt_ms", "tau_ms", "train_tau", "dynamics", "noise", "input_noise", "rate_noise", "noise_in_eval",
    "train_initial_state",
)  # fmt: skip
COLUMN_EI = ("strength", "input_strength", "lr_scale", "input_lr_scale", "input_signed")
TORCHS = ("generator", "device", "dtype")
CLASSES = {
    EIRNN: (*SHARED, *COLUMN_EI, "input_mean", "sparse", "spectral_radius", *TORCHS),
    EIRNNCell: (
        *SHARED,
        *COLUMN_EI,
        "input_mean",
        "sparse",
        "spectral_radius",
        *TORCHS,
    ),
    DANNRNN: (*SHARED, "shunting", "eps", *TORCHS),
    DANNRNNCell: (*SHARED, "shunting", "eps", *TORCHS),
    DANNConv1d: ("padding_mode", "eps", *TORCHS),
    DANNConv2d: ("padding_mode", "eps", *TORCHS),
}
BUILD = {
    EIRNN: lambda **options: EIRNN(3, POPS, **options),
    EIRNNCell: lambda **options: EIRNNCell(3, POPS, **options),
    DANNRNN: lambda **options: DANNRNN(3, 6, **options),
    DANNRNNCell: lambda **options: DANNRNNCell(3, 6, **options),
    DANNConv1d: lambda **options: DANNConv1d(3, 6, 2, **options),
    DANNConv2d: lambda **options: DANNConv2d(3, 6, 2, **options),
}
classes = pytest.mark.parametrize("kind", CLASSES)


@classes
def test_the_signature_lists_every_option_with_its_default(kind):
    parameters = inspect.signature(kind).parameters
    keywords = [p for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert tuple(p.name for p in keywords) == CLASSES[kind]
    assert not [p for p in parameters.values() if p.kind is p.VAR_KEYWORD]
    defaults = {p.name: p.default for p in keywords}
    expected = {"train_tau": False, "noise": 0.0, "input_noise": 0.0, "rate_noise": 0.0, "noise_in_eval": False, "train_initial_state": False, "input_signed": True, "input_mean": 0.0, "shunting": False, "sparse": False, "eps": 0.01, "padding_mode": "zeros"}  # fmt: skip
    assert defaults == {name: expected.get(name) for name in CLASSES[kind]}
    assert list(inspect.signature(kind.__init__).parameters)[1:] == list(parameters)
    assert (
        BUILD[kind](**defaults).state_dict().keys() == BUILD[kind]().state_dict().keys()
    )


@classes
def test_the_docstring_tells_every_option_once(kind):
    arguments = inspect.getdoc(kind).partition("Args:\n")[2].partition("\n\n")[0]
    for name in inspect.signature(kind).parameters:
        assert len(re.findall(rf"^    {name}: \S", arguments, re.MULTILINE)) == 1, name
    assert "options:" not in arguments
    assert max(map(len, arguments.splitlines())) <= 96


@classes
def test_an_option_that_is_not_there_is_refused(kind):
    with pytest.raises(TypeError) as raised:
        BUILD[kind](something_else=1)
    assert str(raised.value) == (
        f"{kind.__name__}.__init__() got an unexpected keyword argument 'something_else'"
    )


@pytest.mark.parametrize(
    ("kind", "option", "sentence"),
    [
        (EIRNN, "shunting", None),
        (DANNRNN, "spectral_radius", None),
        (DANNRNNCell, "input_mean", "DANNRNNCell has no argument `input_mean`; did you mean `input_mask`?"),
        (DANNRNN, "tau", "DANNRNN has no argument `tau`; did you mean `tau_ms`?"),
        (EIRNNCell, "masks", "EIRNNCell has no argument `masks`; did you mean `mask`?"),
        (DANNConv2d, "padding_mod", "DANNConv2d has no argument `padding_mod`; did you mean `padding_mode`?"),
    ],
)  # fmt: skip
def test_an_option_of_another_class_or_a_slip_is_refused(kind, option, sentence):
    with pytest.raises(TypeError) as raised:
        BUILD[kind](**{option: 1})
    unknown = (
        f"{kind.__name__}.__init__() got an unexpected keyword argument {option!r}"
    )
    assert str(raised.value) in (sentence, unknown)
    assert sentence is None or str(raised.value) == sentence


def test_sizes_go_by_position_and_options_by_keyword_only():
    rnn = EIRNN(3, POPS, 2, "tanh", False, True, 0.5, False)
    assert (rnn.num_layers, rnn.nonlinearity, rnn.bias) == (2, "tanh", False)
    assert (rnn.batch_first, rnn.dropout) == (True, 0.5)
    dann = DANNRNN(3, 6, 2, 2, "tanh", False, True, 0.5, False)
    assert (dann.n_inh, dann.num_layers, dann.nonlinearity) == (2, 2, "tanh")
    cells = EIRNNCell(3, POPS, False, "tanh"), DANNRNNCell(3, 6, 2, False, "tanh")
    assert [cell.nonlinearity for cell in cells] == ["tanh", "tanh"]
    with pytest.raises(TypeError, match="positional"):
        EIRNN(3, POPS, 2, "tanh", False, True, 0.5, False, 0.2)


def test_a_subclass_passes_options_on_and_may_have_its_own():
    class Mine(EIRNN):
        def __init__(self, *, gain=1.0, **options):
            super().__init__(3, POPS, **options)
            self.gain = gain

    mine = Mine(gain=2.0, dt_ms=10, tau_ms=50)
    assert (mine.gain, mine.leak) == (2.0, 0.2)
    assert isinstance(mine, nn.Module)
    assert mine(torch.rand(5, 2, 3))[0].shape == (5, 2, 6)
