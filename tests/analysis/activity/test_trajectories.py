import json

import pytest
import torch
from torch import nn

from daleml import Populations, layers
from daleml.analysis import activity
from daleml.layers import DANNRNN, EIRNN, DANNRNNCell, EIRNNCell
from daleml.layers.dynamics import ShortTermPlasticity
from daleml.tasks import PerceptualDecision

POPS = Populations(6, 2)
MODULES = {
    "nn.RNN": lambda: nn.RNN(3, 8, num_layers=2),
    "nn.GRU": lambda: nn.GRU(3, 8, batch_first=True),
    "EIRNN": lambda: EIRNN(3, POPS),
    "leaky": lambda: EIRNN(3, POPS, 2, dt_ms=10, tau_ms=50, batch_first=True),
    "learned start": lambda: EIRNN(
        3, POPS, dt_ms=10, tau_ms=50, train_initial_state=True
    ),
    "DANNRNN": lambda: DANNRNN(3, 8, 2),
    "shunting": lambda: DANNRNN(3, 8, 2, shunting=True, num_layers=2),
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("begun", [False, True])
def test_a_trajectory_is_what_the_module_does(name, begun):
    torch.manual_seed(0)
    rnn = MODULES[name]().double()
    inputs = torch.rand(7, 4, 3, dtype=torch.float64)
    shape = rnn.num_layers, 4, 8
    hx = torch.rand(shape, dtype=torch.float64) if begun else None
    given = inputs.transpose(0, 1) if rnn.batch_first else inputs
    result = activity.trajectory(rnn, given, hx)
    output, last = rnn(given, hx)
    if rnn.batch_first:
        output = output.transpose(0, 1)
    torch.testing.assert_close(result.rates, output.detach())
    torch.testing.assert_close(result.states[-1], last.detach())
    assert result.states.shape == (7, *shape)
    # A step from the state before gives the state after.
    again = activity.trajectory(rnn, given, result.start)
    torch.testing.assert_close(again.states, result.states)
    first = result.variable(result.state_names[0], 0)
    torch.testing.assert_close(first, result.states[:, 0])


@pytest.mark.parametrize("make", [nn.RNNCell, EIRNNCell, DANNRNNCell])
def test_cells_have_trajectories(make):
    torch.manual_seed(0)
    options = {"dt_ms": 10, "tau_ms": 50} if make is EIRNNCell else {}
    cell = make(3, POPS if make is EIRNNCell else 8, **options)
    inputs, state = torch.rand(5, 2, 3), None
    for now in inputs:
        state = cell(now, state)
    result = activity.trajectory(cell, inputs)
    torch.testing.assert_close(result.states[-1, 0], state.detach())
    rates = cell.rates(state) if options else state
    torch.testing.assert_close(result.rates[-1], rates.detach())
    again = activity.trajectory(cell, inputs, result.start[0])
    torch.testing.assert_close(again.states, result.states)


def test_a_start_is_as_exact_as_the_circuit():
    synapses = ShortTermPlasticity(tau_u_ms=800, tau_x_ms=200, U=0.3)
    options = {"dt_ms": 10, "tau_ms": 50, "dynamics": synapses}
    rnn = EIRNN(3, POPS, dtype=torch.float64, **options)
    start = activity.trajectory(rnn, torch.rand(2, 1, 3, dtype=torch.float64)).start
    assert start[..., 16:].unique().tolist() == [0.3]


def test_a_sequence_without_a_batch():
    rnn = nn.RNN(3, 8, batch_first=True)
    result = activity.trajectory(rnn, torch.rand(7, 3), torch.zeros(1, 8))
    assert result.rates.shape == (7, 8)
    assert result.states.shape == (7, 1, 8)
    assert result.start.shape == (1, 8)
    assert result.variable("r").shape == (7, 8)


def test_trials_are_time_first_whatever_the_layout():
    trials = PerceptualDecision().sample(5)
    n_inputs = trials.inputs.shape[2]
    rnn = EIRNN(n_inputs, POPS, batch_first=True)
    result = activity.trajectory(rnn, trials)
    assert result.rates.shape == (*trials.inputs.shape[:2], 8)
    torch.testing.assert_close(result.inputs, trials.inputs)


class Pair(nn.Module):
    """A circuit with two state variables, side by side, called like ``nn.RNN``."""

    state_names = ("x", "a")

    def __init__(self):
        super().__init__()
        self.weight = nn.Linear(3, 4)

    def rates(self, state):
        return state[..., :4].relu()

    def forward(self, inputs, hx=None):
        if hx is None:
            hx = inputs.new_zeros(1, inputs.shape[1], 8)
        x, a = hx[0].split(4, -1)
        outputs = []
        for now in inputs:
            x = 0.5 * x + self.weight(now) - a
            a = 0.9 * a + 0.1 * x.relu()
            outputs.append(x.relu())
        return torch.stack(outputs), torch.cat([x, a], -1)[None]


def test_state_variables_go_by_name():
    result = activity.trajectory(Pair(), torch.rand(6, 2, 3))
    assert result.n_units == 4
    assert result.variable("a").shape == (6, 2, 4)
    torch.testing.assert_close(result.variable("x").relu(), result.rates)
    with pytest.raises(ValueError, match="`name` must be among x, a; got 'u'"):
        result.variable("u")
    with pytest.raises(ValueError, match=r"`layer` must be in \[-1, 0\]; got 1"):
        result.variable("x", 1)
    content = json.loads(json.dumps(result.to_dict()))
    assert content["state_names"] == ["x", "a"]
    assert len(content["rates"]) == 6


def test_a_window_of_a_perturbation_counts_from_the_begin_of_the_trajectory():
    torch.manual_seed(0)
    for leak in ({}, {"dt_ms": 10, "tau_ms": 50}):
        rnn = EIRNN(3, POPS, 2, **leak)
        inputs = torch.rand(9, 4, 3)
        with layers.silence(rnn, "I", steps=(3, 6)):
            result = activity.trajectory(rnn, inputs)
            output, last = rnn(inputs)
        assert not result.rates[3:6, :, 6:].any()
        torch.testing.assert_close(result.rates, output.detach())
        torch.testing.assert_close(result.states[-1], last.detach())
        plain = activity.trajectory(rnn, inputs)
        torch.testing.assert_close(result.states[:3], plain.states[:3])
        assert not torch.allclose(result.states[5], plain.states[5])


def test_a_perturbed_trajectory_has_no_noise():
    rnn = EIRNN(3, POPS, noise=0.1)
    with (
        layers.drive(rnn, "E", 1.0),
        pytest.raises(
            ValueError, match="`rnn` must draw no noise while it is perturbed"
        ),
    ):
        activity.trajectory(rnn, torch.rand(9, 4, 3))


REFUSED = {
    "no module": (lambda x: x, torch.rand(3, 2, 3), TypeError, "`rnn` must be a recurrent module; got function."),
    "backwards": (nn.RNN(3, 4, bidirectional=True), torch.rand(3, 2, 3), ValueError, "`rnn` must run forwards only"),
    "two states": (nn.LSTM(3, 4), torch.rand(3, 2, 3), TypeError, "`rnn` must have one tensor as its state; got tuple from LSTM."),
    "a readout": (nn.Linear(3, 4), torch.rand(3, 2, 3), TypeError, "`rnn` must be called with an input and a state, as `nn.RNN` is; got Linear"),
    "no inputs": (nn.RNN(3, 4), [1.0], TypeError, "`inputs` must be a tensor or the trials of a task; got list."),
    "one dimension": (nn.RNN(3, 4), torch.rand(3), ValueError, r"`inputs` must have the shape"),
    "no step": (nn.RNN(3, 4), torch.rand(0, 2, 3), ValueError, r"`inputs` must have the shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_circuit_is_refused(name):
    rnn, inputs, error, sentence = REFUSED[name]
    with pytest.raises(error, match=sentence):
        activity.trajectory(rnn, inputs)


def test_a_wrong_start_is_refused():
    rnn, inputs = nn.RNN(3, 4), torch.rand(3, 2, 3)
    with pytest.raises(TypeError, match="`hx` must be a tensor; got int."):
        activity.trajectory(rnn, inputs, 0)
    with pytest.raises(ValueError, match=r"`hx` must have the shape.*got \(4,\)"):
        activity.trajectory(rnn, inputs, torch.zeros(4))
