import json

import numpy as np
import pytest
import torch
from torch import nn

from daleml import Populations
from daleml.analysis import activity
from daleml.layers import DANNRNN, EIRNN, Blocks, EIRNNCell
from daleml.layers.dynamics import ShortTermPlasticity
from tests.analysis.activity.two_units import pair


@pytest.mark.parametrize("leak", [True, False])
@pytest.mark.parametrize("w_ee", [0.0, 0.5, 0.9, 1.1, 1.5, 2.0])
def test_a_pair_against_the_closed_form(w_ee, leak):
    # Tsodyks et al. 1997: the inhibitory rate falls as it is driven if, and only if, w_EE > 1.
    w_ei, w_ie, w_ii = 1.0, 0.5 + w_ee**2 / 2, w_ee / 2
    rnn = pair(w_ee, w_ei, w_ie, w_ii, drive=(1.0, 0.0), leak=leak)
    result = activity.paradoxical_effect(rnn, [0.5], amount=0.01)
    determinant = (1 - w_ee) * (1 + w_ii) + w_ei * w_ie
    slopes = {"E": -w_ei / determinant, "I": (1 - w_ee) / determinant}
    assert result.slopes == pytest.approx(slopes, abs=1e-7)
    assert result.excitatory_eigenvalue == pytest.approx(w_ee, abs=1e-9)
    assert result.paradoxical is (w_ee > 1)
    assert result.point.stability.value == "stable"
    assert result.inhibition_stabilised is (w_ee > 1)
    # Linear as long as both are active: the response is the slope times the drive.
    for name, slope in slopes.items():
        assert result.responses[name] == pytest.approx(0.01 * slope, abs=1e-8)
    rates = np.linalg.solve([[1 - w_ee, w_ei], [-w_ie, 1 + w_ii]], np.array([1.5, 0.5]))
    np.testing.assert_allclose(result.point.rates, rates, atol=1e-9)


def test_a_smooth_pair_against_differences():
    rnn = pair(2.0, 2.0, 2.5, 0.6, drive=(1.0, -1.0), f="softplus")
    result = activity.paradoxical_effect(rnn, [0.0], amount=1e-4)
    for name in ("E", "I"):
        expected = result.responses[name] / 1e-4
        assert result.slopes[name] == pytest.approx(expected, rel=1e-3)
    assert result.inhibition_stabilised
    assert result.conclusion().startswith(
        "Inhibition-stabilised: excitatory units alone"
    )


TYPES = Populations.of(exc={"E": 32}, inh={"PV": 5, "SST": 3})


def test_named_populations_are_driven():
    torch.manual_seed(0)
    rnn = EIRNN(3, TYPES, dt_ms=10, tau_ms=50, nonlinearity="softplus")
    before = {key: value.clone() for key, value in rnn.state_dict().items()}
    result = activity.paradoxical_effect(rnn, torch.ones(3), population="SST")
    for key, value in rnn.state_dict().items():
        assert torch.equal(value, before[key])
    assert result.driven.tolist() == [37, 38, 39]
    assert set(result.slopes) == {"E", "PV", "SST"}
    with torch.no_grad():
        rnn.bias_ih_l0[37:] += result.amount
    path = activity.trajectory(rnn.double(), torch.ones(900, 1, 3).double())
    change = path.rates[-1, 0].numpy() - result.point.rates
    for name in ("E", "PV", "SST"):
        mean = change[result.groups[name]].mean()
        assert result.responses[name] == pytest.approx(mean, abs=1e-6)
    content = json.loads(json.dumps(result.to_dict()))
    assert content["conclusion"] == result.conclusion()


def test_without_recurrent_excitation_nothing_needs_stabilising():
    torch.manual_seed(0)
    wiring = Blocks({"E->PV": 0.5, "PV->*": 0.5}, default=0)
    rnn = EIRNN(3, TYPES, mask=wiring, dt_ms=10, tau_ms=50, nonlinearity="softplus")
    result = activity.paradoxical_effect(rnn, torch.ones(3), population="PV")
    assert result.excitatory_eigenvalue == pytest.approx(0, abs=1e-9)
    assert not result.inhibition_stabilised
    assert not result.paradoxical
    assert result.conclusion().startswith("Stable without inhibition")


def test_cells_layers_and_dynamics():
    torch.manual_seed(0)
    options = {"dt_ms": 10, "tau_ms": 50, "nonlinearity": "softplus"}
    cell = activity.paradoxical_effect(EIRNNCell(2, TYPES, **options))
    assert cell.slopes["PV"] != 0
    deep = EIRNN(2, TYPES, 2, **options)
    first = activity.paradoxical_effect(deep, layer=0)
    last = activity.paradoxical_effect(deep)
    assert first.excitatory_eigenvalue != last.excitatory_eigenvalue
    plastic = ShortTermPlasticity(tau_x_ms=200, tau_u_ms=200, U=0.3)
    rnn = EIRNN(2, TYPES, dynamics=plastic, **options)
    result = activity.paradoxical_effect(rnn, amount=1e-4)
    for name in ("E", "PV", "SST"):
        expected = result.responses[name] / 1e-4
        assert result.slopes[name] == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_circuit_without_a_bias_is_driven_as_one_whose_bias_is_zero(layer):
    torch.manual_seed(0)
    options = {"dt_ms": 10, "tau_ms": 50, "nonlinearity": "softplus"}
    rnn = EIRNN(3, TYPES, 2, bias=False, **options).double()
    # A checkpoint of the one has all that the other needs, but for its biases of zero.
    biased = EIRNN(3, TYPES, 2, **options).double()
    biased.load_state_dict(rnn.state_dict(), strict=False)
    with torch.no_grad():
        for name, parameter in biased.named_parameters():
            if name.startswith("bias"):
                parameter.zero_()
    asked = {"population": "PV", "amount": 0.5, "layer": layer}
    found = activity.paradoxical_effect(rnn, torch.ones(3), **asked)
    expected = activity.paradoxical_effect(biased, torch.ones(3), **asked)
    assert found.slopes == pytest.approx(expected.slopes, rel=1e-9)
    assert found.responses == pytest.approx(expected.responses, rel=1e-6)
    assert not rnn.is_perturbed


def test_a_cell_without_a_bias_is_driven():
    torch.manual_seed(0)
    cell = EIRNNCell(2, TYPES, bias=False, dt_ms=10, tau_ms=50, nonlinearity="softplus")
    found = activity.paradoxical_effect(cell, torch.ones(2), amount=1e-4)
    for name in ("E", "PV", "SST"):
        expected = found.responses[name] / 1e-4
        assert found.slopes[name] == pytest.approx(expected, rel=1e-3)


class Unbiased(nn.RNN):
    """A stranger's circuit, which says what its units are and no way to drive them."""

    populations = TYPES

    def output_signs(self):
        return TYPES.signs()


def test_a_threshold_leaves_it_open():
    rnn = pair(0.5, 1.0, 1.0, 0.2)
    result = activity.paradoxical_effect(rnn)
    assert not result.smooth
    assert result.conclusion().startswith("Cannot tell")


@pytest.mark.parametrize(
    ("rnn", "options", "error", "sentence"),
    [
        (nn.RNN(2, 4), {}, ValueError, "`rnn` must say which of its units excite"),
        (DANNRNN(2, 4), {}, ValueError, "`rnn` must have units that inhibit"),
        (EIRNN(2, Populations(0, 4)), {}, ValueError, "`rnn` must have units that excite"),
        (Unbiased(2, 40, bias=False), {}, ValueError, "`rnn` must have a bias"),
        (EIRNN(2, TYPES), {"population": "VIP"}, ValueError, "^`population` must name one of the populations .*; got 'VIP'"),
        (EIRNN(2, TYPES), {"population": 3}, TypeError, "`population` must be the name of one; got int."),
        (EIRNN(2, TYPES), {"amount": 0}, ValueError, "`amount` must not be 0; got 0."),
        (EIRNN(2, TYPES), {"layer": 1}, ValueError, "`layer` must be below 1; got 1."),
        (EIRNN(2, TYPES), {"start": torch.zeros(2, 40)}, ValueError, "`start` must be one state; got 2."),
    ],
)  # fmt: skip
def test_what_has_no_such_effect_is_refused(rnn, options, error, sentence):
    with pytest.raises(error, match=sentence):
        activity.paradoxical_effect(rnn, **options)


def test_a_circuit_without_rest_is_refused():
    rnn = pair(50.0, 0.1, 0.1, 0.1, drive=(1.0, 1.0))
    with pytest.raises(ValueError, match="`rnn` must come to rest"):
        activity.paradoxical_effect(rnn)
