import json

import numpy as np
import pytest
import torch
from torch import nn

from daleml import Populations, layers
from daleml.analysis import activity
from daleml.layers import DANNRNN, EIRNN, DANNRNNCell, EIRNNCell
from daleml.layers.dynamics import ShortTermPlasticity
from daleml.tasks import PerceptualDecision

TYPES = Populations.of(exc={"E": 12}, inh={"PV": 3, "SST": 2})


def receives(rnn, result, inputs, leak):
    """Return what the state would be, given the currents that were found."""
    path = activity.trajectory(rnn, inputs)
    x, before = path.states, torch.cat([path.start[None], path.states[:-1]])
    layer = result.layer
    x, before = x[:, layer], before[:, layer]
    if leak is None:
        return x, result.net
    return x, (1 - leak) * before + leak * result.net


@pytest.mark.parametrize("layer", [0, 1])
def test_currents_add_up_to_what_moves_the_state(layer):
    torch.manual_seed(0)
    rnn = EIRNN(4, TYPES, 2, dt_ms=10, tau_ms=50, mask=0.6).double()
    nn.init.normal_(rnn.bias_ih_l0)
    inputs = torch.rand(9, 3, 4, dtype=torch.float64)
    result = activity.currents(rnn, inputs, layer=layer)
    state, expected = receives(rnn, result, inputs, 0.2)
    torch.testing.assert_close(state, expected)
    assert (result.recurrent_exc >= 0).all()
    assert (result.recurrent_inh <= 0).all()
    # By population: excitation is what E sends, inhibition what the others do.
    torch.testing.assert_close(result.source("E"), result.recurrent_exc)
    inhibition = result.source("PV") + result.source("SST")
    torch.testing.assert_close(inhibition, result.recurrent_inh)
    found = result.pathways()["PV->E"]
    assert found == pytest.approx(result.source("PV")[..., :12].mean().item())
    assert "PV: excitation" in str(result)


MODULES = {
    "nn.RNN": lambda: nn.RNN(4, 6, nonlinearity="tanh", batch_first=True),
    "DANN": lambda: DANNRNN(4, 6, 2, nonlinearity=lambda x: x),
    "EIRNN": lambda: EIRNN(4, TYPES, nonlinearity=lambda x: x),
    "nn.RNNCell": lambda: nn.RNNCell(4, 6),
    "DANN cell": lambda: DANNRNNCell(4, 6, 2, nonlinearity=lambda x: x),
}


@pytest.mark.parametrize("name", MODULES)
def test_currents_of_every_kind_of_circuit(name):
    torch.manual_seed(0)
    rnn = MODULES[name]().double()
    inputs = torch.randn(5, 3, 4, dtype=torch.float64)
    result = activity.currents(rnn, inputs)
    state, net = receives(rnn, result, inputs, None)
    # Negative inputs and rates turn the sign of a synapse's current around.
    torch.testing.assert_close(state, net.tanh() if name.startswith("nn") else net)
    assert (result.excitatory >= 0).all() or name.startswith("DANN")
    assert result.balance.shape == (state.shape[-1],)


def test_a_dann_inhibits_by_its_interneurons():
    torch.manual_seed(0)
    rnn = DANNRNN(4, 6, 2).double()
    inputs = torch.rand(5, 3, 4, dtype=torch.float64)
    result = activity.currents(rnn, inputs)
    expected = inputs @ rnn.weight_ex_ih_l0.T
    torch.testing.assert_close(result.input_exc, expected.detach())
    inhibition = rnn.weight_ei_ih_l0 @ rnn.weight_ix_ih_l0
    torch.testing.assert_close(result.input_inh, (-inputs @ inhibition.T).detach())


def test_with_short_term_plasticity_synapses_send_less():
    torch.manual_seed(0)
    plastic = ShortTermPlasticity(tau_x_ms=200, tau_u_ms=1500, U=0.2)
    rnn = EIRNN(4, TYPES, dt_ms=10, tau_ms=50, dynamics=plastic).double()
    inputs = torch.rand(30, 2, 4, dtype=torch.float64)
    result = activity.currents(rnn, inputs)
    path = activity.trajectory(rnn, inputs)
    x = path.variable("x")
    before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
    torch.testing.assert_close(x, 0.8 * before + 0.2 * result.net)
    u, efficacy = path.variable("u_syn"), path.variable("x_syn")
    sent = u * efficacy * before.relu()
    weight = rnn.effective_weights()[0].recurrent.detach()
    torch.testing.assert_close(result.recurrent_exc, sent[..., :12] @ weight[:, :12].T)


def test_balance_and_tracking_of_known_currents():
    # One unit of each sign onto two others: 3 of excitation, 1 and 3 of inhibition.
    rnn = EIRNN(Populations(1, 1), Populations(2), bias=False).double()
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(torch.tensor([[3.0, -1.0], [3.0, -3.0]]))
        rnn.weight_hh_l0.zero_()
    drive = torch.rand(20, 1, 1, dtype=torch.float64)
    result = activity.currents(rnn, drive.expand(20, 1, 2))
    assert result.balance == pytest.approx([0.5, 0.0], abs=1e-12)
    assert result.tracking == pytest.approx([1.0, 1.0])
    against = torch.cat([drive, 1 - drive], -1)
    assert activity.currents(rnn, against).tracking == pytest.approx([-1.0, -1.0])
    silent = activity.currents(rnn, torch.zeros(4, 1, 2, dtype=torch.float64))
    assert np.isnan(silent.balance).all()
    content = json.loads(json.dumps(silent.to_dict()))
    assert content["balance"] == [None, None]
    assert content["populations"] == {"E": [0, 1]}


def test_trials_and_sequences_without_a_batch():
    trials = PerceptualDecision().sample(3)
    rnn = EIRNN(trials.inputs.shape[2], TYPES, batch_first=True)
    assert activity.currents(rnn, trials).net.shape == (*trials.inputs.shape[:2], 17)
    cell = EIRNNCell(4, TYPES)
    assert activity.currents(cell, torch.rand(6, 4)).net.shape == (6, 17)


@pytest.mark.parametrize(
    ("rnn", "options", "sentence"),
    [
        (nn.GRU(4, 6), {}, "`rnn` must have one recurrent weight and no gates"),
        (DANNRNN(4, 6, 2, shunting=True), {}, "`rnn` must have currents that add up"),
        (nn.RNN(4, 6), {"layer": 1}, "`layer` must be below 1; got 1."),
        (nn.RNN(4, 6), {"layer": -2}, "`layer` must be at least -1; got -2."),
    ],
)
def test_what_has_no_such_currents_is_refused(rnn, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        activity.currents(rnn, torch.rand(5, 2, 4), **options)


def test_other_slips_are_refused():
    rnn = EIRNN(4, TYPES)
    with (
        layers.silence(rnn, "PV"),
        pytest.raises(ValueError, match="outside of the block"),
    ):
        activity.currents(rnn, torch.rand(5, 2, 4))
    with pytest.raises(
        ValueError, match="`population` must be among E, PV, SST; got 'VIP'."
    ):
        activity.currents(rnn, torch.rand(5, 2, 4)).source("VIP")
