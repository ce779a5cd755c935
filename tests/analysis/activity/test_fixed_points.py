import json
import pickle

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import nn
from torch.nn.utils import prune

from daleml import Populations, layers
from daleml.analysis import activity
from daleml.analysis.activity import PointKind, Stability
from daleml.layers import DANNRNN, EIRNN, EIRNNCell
from tests.analysis.activity.two_units import ALPHA, pair


def one_unit(weight, f="tanh"):
    rnn = nn.RNN(1, 1, nonlinearity=f).double()
    for parameter in rnn.parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(rnn.weight_hh_l0, weight)
    return rnn


def test_two_units_against_the_closed_form():
    w_ee, w_ei, w_ie, w_ii = 1.5, 1.0, 2.0, 0.5
    rnn = pair(w_ee, w_ei, w_ie, w_ii, drive=(1.0, 0.5))
    found = activity.fixed_points(rnn, [0.25], n_starts=16)
    # Both rectified units are active: r = (1 - W)^-1 (input + drive).
    weights = np.array([[w_ee, -w_ei], [w_ie, -w_ii]])
    rates = np.linalg.solve(np.eye(2) - weights, np.array([1.25, 0.75]))
    assert (rates > 0).all()
    assert len(found.fixed) == 1
    assert not found.slow
    point = found.points[0]
    assert np.abs(point.state[0] - rates).max() < 1e-8
    assert np.abs(point.rates - rates).max() < 1e-8
    assert point.n_starts == found.n_starts == 16
    assert found.n_unconverged == 0
    expected = np.linalg.eigvals((1 - ALPHA) * np.eye(2) + ALPHA * weights)
    linear = point.linearisation
    np.testing.assert_allclose(
        np.sort_complex(linear.eigenvalues), np.sort_complex(expected), atol=1e-12
    )
    # In continuous time, in units of 1 / tau: the eigenvalues of W - 1.
    np.testing.assert_allclose(
        np.sort_complex(linear.growth),
        np.sort_complex(np.linalg.eigvals(weights) - 1),
        rtol=0,
        atol=1e-12,
    )
    assert (linear.leak, linear.dt_ms) == (pytest.approx(ALPHA), 1.0)
    assert linear.kind is PointKind.STABLE_SPIRAL
    assert linear.timescales_ms == pytest.approx(
        -1 / np.log(np.abs(linear.eigenvalues))
    )
    assert linear.smooth
    assert point.speed < 1e-25


def wilson_cowan_states(weights, drive, grid):
    """Fixed points of x = W softplus(x) + drive, from the nullclines by bisection."""

    def f(x):
        return np.logaddexp(0, x)

    def inhibition(x_e):
        # The second equation has one solution for each x_e: its right side falls in x_i.
        return brentq(
            lambda x_i: weights[1] @ f(np.array([x_e, x_i])) + drive[1] - x_i, -90, 90
        )

    def mismatch(x_e):
        x = np.array([x_e, inhibition(x_e)])
        return weights[0] @ f(x) + drive[0] - x_e

    values = [mismatch(x) for x in grid]
    found = []
    for low, high, a, b in zip(
        grid[:-1], grid[1:], values[:-1], values[1:], strict=True
    ):
        if a * b < 0:
            x_e = brentq(mismatch, low, high, xtol=1e-13)
            found.append((x_e, inhibition(x_e)))
    return np.array(found)


def test_a_bistable_pair_against_scipy_on_its_nullclines():
    weights = np.array([[3.0, -2.0], [2.0, -0.6]])
    drive = np.array([-3.0, -4.0])
    rnn = pair(3.0, 2.0, 2.0, 0.6, drive=tuple(drive), f="softplus")
    expected = wilson_cowan_states(weights, drive, np.linspace(-6, 12, 60))
    assert len(expected) == 3
    found = activity.fixed_points(rnn)
    states = sorted(point.state[0].tolist() for point in found.fixed)
    assert np.abs(np.array(states) - expected).max() < 1e-8
    for point in found.fixed:
        x = point.state[0]
        slope = 1 / (1 + np.exp(-x))
        jacobian = (1 - ALPHA) * np.eye(2) + ALPHA * weights * slope
        np.testing.assert_allclose(point.linearisation.jacobian, jacobian, atol=1e-12)
    kinds = [
        point.linearisation.kind
        for point in sorted(found.fixed, key=lambda point: point.state[0, 0])
    ]
    assert kinds[1] is PointKind.SADDLE


@pytest.mark.parametrize(
    ("weight", "f", "states", "stability"),
    [
        (2.0, "tanh", [-0.957504, 0, 0.957504], ["stable", "unstable", "stable"]),
        (0.5, "tanh", [0], ["stable"]),
        (1.0, "tanh", [0], ["marginal"]),
        (-3.0, "tanh", [0], ["unstable"]),
        (0.5, "relu", [0], ["stable"]),
    ],
)
def test_one_unit(weight, f, states, stability):
    found = activity.fixed_points(one_unit(weight, f), merge=1e-3, n_starts=24)
    points = sorted(found.fixed, key=lambda point: point.state[0, 0])
    assert [p.state.item() for p in points] == pytest.approx(states, abs=1e-4)
    assert [p.stability.value for p in points] == stability


@pytest.mark.parametrize("w_ee", [0.9, 1.1])
def test_at_a_threshold_small_deviations_are_followed(w_ee):
    # Driven to exactly zero: the excitatory unit is at its threshold, the inhibitory one silent.
    rnn = pair(w_ee, 1.0, 0.5, 0.5, drive=(0.0, -1.0))
    found = activity.linearisation(rnn, torch.tensor([[0.0, -1.0]]), [0.0])
    assert found.speed == 0
    assert not found.smooth
    assert found.stability == ("stable" if w_ee < 1 else "unstable")
    assert found.kind is PointKind.UNDETERMINED
    # On the way there is no verdict.
    moving = activity.linearisation(rnn, torch.tensor([[0.0, -2.0]]), [0.0])
    assert moving.stability is Stability.UNDETERMINED


def test_the_kind_of_a_point_in_two_dimensions():
    # Without a leak and far from its bend, tanh is linear around zero: J = W.
    rnn = nn.RNN(1, 2, bias=False).double()
    nn.init.zeros_(rnn.weight_ih_l0)
    kinds = {
        PointKind.STABLE_NODE: [[0.5, 0.1], [0.0, 0.3]],
        PointKind.STABLE_SPIRAL: [[0.5, 0.4], [-0.4, 0.5]],
        PointKind.SADDLE: [[1.5, 0.0], [0.0, 0.5]],
        PointKind.UNSTABLE_NODE: [[1.5, 0.0], [0.0, 1.2]],
        PointKind.UNSTABLE_SPIRAL: [[1.5, 0.4], [-0.4, 1.5]],
        PointKind.MARGINAL: [[1.0, 0.0], [0.0, 0.5]],
    }
    for kind, weight in kinds.items():
        with torch.no_grad():
            rnn.weight_hh_l0.copy_(torch.tensor(weight))
        result = activity.linearisation(rnn, torch.zeros(1, 2))
        assert result.kind is kind
        assert result.n_unstable == sum(abs(result.eigenvalues) > 1.001)
    # Halfway between rest and saturation a state moves on, and the speed says so.
    moving = activity.linearisation(rnn, torch.full((1, 2), 0.5))
    assert moving.speed > 1e-3


def test_a_slow_point_is_none_that_is_fixed():
    # tanh(2 x + b) - x has a local extremum that misses zero by little.
    rnn = one_unit(2.0)
    bend = np.arctanh(np.sqrt(0.5))
    with torch.no_grad():
        rnn.bias_hh_l0.fill_(2 * np.sqrt(0.5) - bend + 1e-3)
    found = activity.fixed_points(rnn, start=torch.tensor([[-0.9], [-0.7], [0.9]]))
    assert (len(found.fixed), len(found.slow)) == (1, 1)
    slow = found.slow[0]
    assert slow.state.item() == pytest.approx(-np.sqrt(0.5), abs=2e-3)
    assert slow.speed == pytest.approx(0.5 * (0.5e-3) ** 2, rel=0.02)
    assert (
        slow.stability is Stability.MARGINAL
        or slow.linearisation.spectral_radius < 1.01
    )
    refused = activity.fixed_points(
        rnn, start=torch.tensor([[-0.9], [-0.7], [0.9]]), slow_speed=1e-9
    )
    assert not refused.slow
    assert refused.n_unconverged == found.n_starts - sum(
        p.n_starts for p in found.fixed
    )
    assert "did not converge" in str(refused)


POPS = Populations(8, 2)
CIRCUITS = {
    "two layers": lambda: EIRNN(3, POPS, 2, dt_ms=10, tau_ms=50, noise=0.3),
    "noisy, batch first": lambda: EIRNN(
        3, POPS, noise=0.1, noise_in_eval=True, batch_first=True
    ),
    "DANN": lambda: DANNRNN(3, 10, 2, nonlinearity="softplus"),
    "shunting": lambda: DANNRNN(3, 10, 2, shunting=True),
    "GRU": lambda: nn.GRU(3, 10),
    "cell": lambda: EIRNNCell(3, POPS, dt_ms=10, tau_ms=[20.0] * 8 + [10.0] * 2),
    "nn.RNNCell": lambda: nn.RNNCell(3, 10),
    "two layers of nn.RNN": lambda: nn.RNN(3, 10, 2, dropout=0.5),
}


@pytest.mark.parametrize("name", CIRCUITS)
def test_points_rest_in_every_circuit(name):
    torch.manual_seed(0)
    rnn = CIRCUITS[name]()
    before = {key: value.clone() for key, value in rnn.state_dict().items()}
    drawn = torch.get_rng_state()
    found = activity.fixed_points(rnn, [0.6, 0.3, 0.2], n_starts=3)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert found.fixed
    assert rnn.training
    for key, value in rnn.state_dict().items():
        assert torch.equal(value, before[key])
    quiet = rnn.eval()
    for part in quiet.modules():
        if hasattr(part, "noise_in_eval"):
            part.noise_in_eval = False
    inputs = torch.tensor([0.6, 0.3, 0.2]).expand(5, 1, 3)
    if getattr(rnn, "batch_first", False):
        inputs = inputs.transpose(0, 1)
    for point in found.fixed:
        state = torch.tensor(point.state, dtype=torch.float32)[:, None]
        hx = state[0] if "cell" in name.lower() else state
        followed = activity.trajectory(quiet, inputs, hx)
        if point.stability is Stability.STABLE:
            torch.testing.assert_close(followed.states[-1], state, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(
                followed.rates[-1, 0].double(),
                torch.tensor(point.rates),
                atol=1e-4,
                rtol=1e-4,
            )


def test_the_jacobian_is_that_of_differences():
    torch.manual_seed(0)
    rnn = EIRNN(3, POPS, 2, nonlinearity="softplus", dt_ms=10, tau_ms=50).double()
    state, inputs = torch.rand(2, 10).double(), torch.rand(3).double()
    result = activity.linearisation(rnn, state, inputs)

    def after(row):
        return rnn(inputs[None, None], row.view(2, 1, 10))[1].flatten()

    expected = torch.autograd.functional.jacobian(after, state.flatten())
    np.testing.assert_allclose(result.jacobian, expected, atol=1e-12)


def test_what_was_computed_is_copied_by_its_values():
    torch.manual_seed(0)
    rnn = EIRNN(3, POPS, dt_ms=10, tau_ms=50)
    prune.l1_unstructured(rnn, "weight_hh_l0", 0.5)
    rnn.tau_ms = torch.full((10,), 4.0, requires_grad=True) * 5
    found = activity.linearisation(rnn, torch.ones(1, 10))
    weight = (rnn.weight_hh_l0_orig * rnn.weight_hh_l0_mask).detach().double()
    expected = 0.5 * torch.eye(10) + 0.5 * weight
    np.testing.assert_allclose(found.jacobian, expected, atol=1e-12)
    again = pickle.loads(pickle.dumps(activity.fixed_points(rnn, n_starts=2)))
    assert again.n_starts == 2


def test_starts_of_a_trajectory():
    torch.manual_seed(0)
    rnn = nn.RNN(3, 6, 2)
    path = activity.trajectory(rnn, torch.rand(30, 4, 3))
    found = activity.fixed_points(rnn, start=path, n_starts=7)
    assert found.n_starts == 7
    single = activity.trajectory(rnn, torch.rand(5, 3))
    assert activity.fixed_points(rnn, start=single, n_starts=99).n_starts == 5
    again = activity.fixed_points(rnn, start=path.states[-1])
    assert again.n_starts == 4


def test_a_perturbed_circuit_has_the_points_of_what_it_is_then():
    rnn = pair(0.5, 1.0, 2.0, 0.5, drive=(1.0, 0.5), f="softplus")
    with torch.no_grad():
        rnn.bias_ih_l0[0] += 0.7
    expected = activity.fixed_points(rnn, n_starts=3).states
    with torch.no_grad():
        rnn.bias_ih_l0[0] -= 0.7
    with layers.drive(rnn, "E", 0.7):
        found = activity.fixed_points(rnn, n_starts=3).states
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert not np.allclose(activity.fixed_points(rnn, n_starts=3).states, expected)
    with layers.silence(rnn, "I"):
        found = activity.fixed_points(rnn, n_starts=3)
    assert found.points[0].rates[1] == 0


def test_a_search_gives_the_same_twice_and_plain_values():
    torch.manual_seed(0)
    rnn = nn.RNN(2, 12)
    nn.init.normal_(rnn.weight_hh_l0, 0, 0.5)
    one, two = (activity.fixed_points(rnn, n_starts=6) for _ in range(2))
    assert np.array_equal(one.states, two.states)
    content = json.loads(json.dumps(one.to_dict()))
    assert len(content["points"]) == len(one) == len(list(one))
    other = activity.fixed_points(
        rnn, n_starts=6, generator=torch.Generator().manual_seed(5)
    )
    assert other.n_starts == 6


def test_a_perturbation_that_begins_and_ends_has_no_fixed_points():
    rnn = EIRNN(3, Populations(4, 2), dt_ms=10, tau_ms=50)
    sentence = r"`rnn` must be perturbed throughout.*with `window_ms` \(0, 10\)\.$"
    # Of one step, the first, it would count as lasting.
    with layers.drive(rnn, "E", 1.0), layers.silence(rnn, "I", window_ms=(0, 10)):
        for measure in (
            activity.fixed_points,
            activity.paradoxical_effect,
            activity.at_initialisation,
            lambda rnn: activity.linearisation(rnn, torch.zeros(1, 6)),
        ):
            with pytest.raises(ValueError, match=sentence):
                measure(rnn)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"rnn": nn.LSTM(3, 4)}, TypeError, "`rnn` must have one tensor as its state"),
        ({"rnn": nn.RNN(3, 4, device="meta")}, ValueError, "`rnn` must have values"),
        ({"inputs": "no"}, TypeError, "`inputs` must be numbers, one for each input; got str"),
        ({"inputs": torch.zeros(2, 3)}, ValueError, r"`inputs` must be one constant input.*\(2, 3\)"),
        ({"inputs": [0.0, 1.0]}, ValueError, "`inputs` must have one number for each of 3 inputs; got 2."),
        ({"inputs": [0.0, np.inf, 0.0]}, ValueError, "`inputs` must be finite"),
        ({"start": "no"}, TypeError, "`start` must be states, as numbers; got str."),
        ({"start": torch.zeros(2, 5)}, ValueError, r"`start` must have the shape \(1, n, 4\).*\(2, 5\)"),
        ({"start": torch.zeros(0, 4)}, ValueError, "`start` must be one state or more; got none."),
        ({"start": torch.full((2, 4), np.nan)}, ValueError, "`start` must be finite"),
        ({"n_starts": 0}, ValueError, "`n_starts` must be at least 1; got 0."),
        ({"tolerance": 0}, ValueError, "`tolerance` must be above 0; got 0."),
        ({"generator": 3}, TypeError, "`generator` must be a torch.Generator"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused(change, error, sentence):
    given = {"rnn": nn.RNN(3, 4), "inputs": [0.0, 0.0, 0.0]} | change
    with pytest.raises(error, match=sentence):
        activity.fixed_points(**given)


def test_a_linearisation_is_of_one_state():
    with pytest.raises(ValueError, match="`state` must be one state; got 3."):
        activity.linearisation(nn.RNN(3, 4), torch.zeros(3, 4))
    rnn = nn.RNN(3, 4)
    with torch.no_grad():
        rnn.weight_hh_l0[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite slopes"):
        activity.linearisation(rnn, torch.zeros(1, 4))
