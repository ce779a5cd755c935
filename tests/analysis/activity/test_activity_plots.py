import dataclasses
import itertools

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from torch import nn

from daleml import Populations
from daleml.analysis import activity, plots
from daleml.layers import EIRNN
from tests.analysis.activity.two_units import pair

torch.manual_seed(0)
RNN = nn.RNN(3, 5)
RELU = nn.RNN(3, 5, nonlinearity="relu", bias=False)
BISTABLE = nn.RNN(3, 5, bias=False)
with torch.no_grad():
    nn.init.eye_(BISTABLE.weight_hh_l0).mul_(2)
SILENT = nn.RNN(3, 5, bias=False)
LOUD = nn.RNN(3, 5, nonlinearity="relu", bias=False)
with torch.no_grad():
    LOUD.weight_hh_l0.fill_(1.0)
    LOUD.weight_ih_l0.fill_(1.0)
NOTHING = activity.FixedPoints((), np.zeros(3), 5, 5, 1e-9, 1e-4, 1e-5)
CASES = {
    "trajectory": (
        plots.trajectory,
        lambda: activity.trajectory(RNN, torch.rand(20, 4, 3)),
    ),
    "trajectory of one unit": (
        plots.trajectory,
        lambda: activity.trajectory(nn.RNN(3, 1), torch.rand(20, 3)),
    ),
    "fixed points": (
        plots.fixed_points,
        lambda: activity.fixed_points(BISTABLE, n_starts=16),
    ),
    "no fixed point": (plots.fixed_points, lambda: NOTHING),
    "eigenvalues": (
        plots.eigenvalues,
        lambda: activity.linearisation(RNN, torch.zeros(1, 5)),
    ),
    "eigenvalues of zero": (
        plots.eigenvalues,
        lambda: activity.linearisation(RELU, torch.zeros(1, 5)),
    ),
    "currents": (
        plots.currents,
        lambda: activity.currents(RNN, torch.rand(20, 4, 3)),
    ),
    "no currents": (
        plots.currents,
        lambda: activity.currents(SILENT, torch.zeros(5, 3)),
    ),
    "paradoxical effect": (
        plots.paradoxical_effect,
        lambda: activity.paradoxical_effect(pair(1.5, 1.0, 2.0, 0.5, (1.0, 0.0))),
    ),
    "at initialisation": (
        plots.at_initialisation,
        lambda: activity.at_initialisation(RNN, n_steps=20),
    ),
    "explodes": (
        plots.at_initialisation,
        lambda: activity.at_initialisation(LOUD, n_steps=900),
    ),
    "dimension": (
        plots.dimension,
        lambda: activity.dimension(np.random.default_rng(0).normal(size=(50, 9))),
    ),
    "psychometric": (
        plots.psychometric,
        lambda: activity.psychometric([-2, -1, 0, 1, 2] * 9, [0, 0, 1, 1, 1] * 9),
    ),
    "no curve": (
        plots.psychometric,
        lambda: activity.psychometric([-1, 1] * 4, [1] * 8),
    ),
    "chronometric": (
        plots.chronometric,
        lambda: activity.chronometric([0, 0, 1, 1, 2, 2], [9, 8, 7, 5, 3, 4]),
    ),
    "chronometric without a curve": (
        plots.chronometric,
        lambda: activity.chronometric([0, 0, 1, 1], [9, 8, 7, 5], [1, 0, 1, 1]),
    ),
    "selectivity": (
        plots.selectivity,
        lambda: activity.selectivity(
            torch.rand(20, 6), [0, 1] * 10, populations=Populations(4, 2)
        ),
    ),
    "selectivity of silent units": (
        plots.selectivity,
        lambda: activity.selectivity(torch.zeros(21, 6), ["$a", "b", "c"] * 7),
    ),
    "aligned": (
        plots.aligned,
        lambda: activity.aligned(
            torch.rand(20, 6, 3), 10.0, 50.0, (-100, 50), conditions=["$x", "y"] * 3
        ),
    ),
    "decoding": (
        plots.decoding,
        lambda: activity.decode(torch.randn(3, 20, 4), [0, 1] * 10, n_shuffles=19),
    ),
    "no dimension": (plots.dimension, lambda: activity.dimension(np.ones((5, 3)))),
}


@pytest.mark.parametrize("name", CASES)
def test_every_result_has_a_plot(name):
    draw, result = CASES[name]
    drawing, axes = plots.figure()
    ax = draw(result(), axes[0, 0])
    assert isinstance(ax, Axes)
    assert ax.has_data() or ax.texts
    assert plots.png(drawing, 30)


@pytest.mark.parametrize("name", CASES)
def test_a_plot_refuses_what_is_no_result(name):
    draw, _ = CASES[name]
    with pytest.raises(TypeError, match="`result` must be a"):
        draw(np.ones(3))


def test_fixed_points_are_drawn_where_a_trajectory_goes():
    path = activity.trajectory(BISTABLE, torch.rand(20, 4, 3))
    found = activity.fixed_points(BISTABLE, n_starts=16)
    _, axes = plots.figure()
    ax = plots.fixed_points(found, axes[0, 0], path=path)
    assert len(ax.lines) >= 4
    assert "their start" in legend_of(ax)
    (starts,) = [one for one in ax.collections if one.get_label() == "their start"]
    begun = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines[:4]]
    np.testing.assert_allclose(starts.get_offsets(), begun)
    with pytest.raises(TypeError, match="`path` must be a Trajectory; got int."):
        plots.fixed_points(found, path=3)
    wider = activity.trajectory(nn.RNN(3, 6), torch.rand(20, 4, 3))
    with pytest.raises(ValueError, match="`path` must be of 5 units; got 6."):
        plots.fixed_points(found, path=wider)


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_populations_are_red_or_blue_before_training():
    cells = Populations.of(exc={"E": 8}, inh={"PV": 2, "SST": 2})
    report = activity.at_initialisation(EIRNN(3, cells), n_steps=20)
    assert report.signs == {"E": 1, "PV": -1, "SST": -1}
    assert report.to_dict()["signs"] == report.signs
    _, axes = plots.figure()
    ax = plots.at_initialisation(report, axes[0, 0])
    e, pv, sst = (to_rgb(line.get_color()) for line in ax.lines)
    assert e[0] > e[2]
    assert pv[0] < pv[2]
    assert sst[0] < sst[2]
    assert pv != sst
    assert legend_of(ax)[0] == "input"


def test_a_module_that_says_no_signs_is_grey_before_training():
    report = activity.at_initialisation(RNN, n_steps=20)
    assert report.signs == {}
    _, axes = plots.figure()
    (line,) = plots.at_initialisation(report, axes[0, 0]).lines
    red, green, blue = to_rgb(line.get_color())
    assert red == pytest.approx(green) == pytest.approx(blue)


def test_a_balance_of_nothing_has_no_sign():
    report = activity.at_initialisation(RNN, n_steps=20)
    layer = dataclasses.replace(report.layers[0], balance=np.full(5, -1e-3))
    _, axes = plots.figure()
    ax = plots.at_initialisation(
        dataclasses.replace(report, layers=(layer,)), axes[0, 0]
    )
    assert legend_of(ax)[1] == "units, E/I balance +0.00"


def test_conditions_in_single_precision_are_named_as_they_were_written():
    coherence = torch.tensor([0.064, 0.128] * 3)
    result = activity.aligned(
        torch.rand(20, 6, 3), 10.0, 50.0, (-100, 50), conditions=coherence
    )
    _, axes = plots.figure()
    labels = legend_of(plots.aligned(result, axes[0, 0]))
    assert labels == ["0.064 (3 trials)", "0.128 (3 trials)"]
    told = activity.selectivity(torch.rand(20, 4), [0.064, 0.128] * 10)
    assert plots.selectivity(told).get_ylabel() == "d' (0.128 less 0.064)"


def test_errors_are_named_where_there_are_any():
    strengths, times = [0, 0, 1, 1], [9, 8, 7, 5]
    _, axes = plots.figure(2, 1)
    without = plots.chronometric(activity.chronometric(strengths, times), axes[0, 0])
    assert "errors" not in legend_of(without)
    with_errors = activity.chronometric(strengths, times, [1, 0, 1, 1])
    assert "errors" in legend_of(plots.chronometric(with_errors, axes[0, 1]))


def test_points_that_differ_by_rounding_lie_on_a_line():
    found = activity.fixed_points(BISTABLE, n_starts=16)
    one = found.points[0]
    rates = np.eye(5)
    points = []
    for place in (rates[0], -rates[0], 1e-9 * rates[1]):
        points.append(dataclasses.replace(one, rates=place))
    _, axes = plots.figure()
    ax = plots.fixed_points(
        dataclasses.replace(found, points=tuple(points)), axes[0, 0]
    )
    low, high = ax.get_ylim()
    assert high - low > 1
    low, high = ax.get_xlim()
    assert low < -1 < 1 < high


def test_ticks_of_eigenvalues_do_not_run_into_one_another():
    drawing, axes = plots.figure()
    ax = plots.eigenvalues(activity.linearisation(RNN, torch.zeros(1, 5)), axes[0, 0])
    drawing.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    for left, right in itertools.pairwise(boxes):
        assert left.x1 < right.x0
