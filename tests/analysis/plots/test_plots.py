import functools
import sys

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from daleml import signs
from daleml.analysis import (
    Regime,
    compare_families,
    compare_groups,
    compare_to,
    fit_weights,
    graph_summary,
    infer_geometry,
    plots,
    spectrum,
)
from daleml.potentials import Euclidean

X = np.random.default_rng(0).lognormal(-2, 1, 2000)
COUNTS = np.random.default_rng(0).geometric(0.3, 500)
BROKEN = nn.Linear(30, 4)
signs.fix(BROKEN, "weight", [1, -1, 1] * 10)
LAWFUL = nn.Linear(3, 2)
signs.fix(LAWFUL, "weight", [1, 1, 1])
signs.project_(LAWFUL)
HISTORY = pd.DataFrame(
    {
        "epoch": [0, 1, 0, 1],
        "accuracy": [0.1, 0.8, 0.2, 0.9],
        "network": ["a", "a", "b", "b"],
    }
)
GRAPH = nx.DiGraph()
GRAPH.add_weighted_edges_from(
    [
        ("a", "b", 3.0),
        ("b", "a", 1.0),
        ("a", "c", 8.0),
        ("b", "c", 5.0),
        ("c", "c", 0.5),
    ]
)
nx.set_edge_attributes(
    GRAPH, {("a", "b"): 1, ("b", "a"): -1, ("a", "c"): 1, ("b", "c"): -1}, "sign"
)
GRAPH.add_node("d")
EDGELESS = nx.empty_graph(3, create_using=nx.DiGraph)

LABELS = np.r_[["a"] * 1000, ["b"] * 990, ["few"] * 9, ["one"]]
CHANGED = X * np.exp(0.1 * np.random.default_rng(1).normal(size=X.size))
RICH, LAZY = (
    Regime(1.0, 0.3, *pair, 32, 64, ("weight",), "output")
    for pair in ((0.7, 0.3), (0.99, 0.6))
)


# What several plots draw is computed once.
@functools.cache
def comparison():
    return compare_families(X)


@functools.cache
def comparison_of_three():
    return compare_families([1.0, 2.0, 3.0])


@functools.cache
def inference():
    return infer_geometry(X, CHANGED)


@functools.cache
def inference_of_a_shift():
    return infer_geometry(X, X + 1, [Euclidean()])


CASES = {
    "fit": (plots.fit, lambda: fit_weights(X)),
    "fit of counts": (plots.fit, lambda: fit_weights(COUNTS)),
    "fit of inhibitory weights with zeros": (
        plots.fit,
        lambda: fit_weights(np.r_[-X, 0, 0]),
    ),
    "fit of what a microscope sees": (
        plots.fit,
        lambda: fit_weights(X[X > 0.1], truncation=(0.1, None)),
    ),
    "fit between two bounds": (
        plots.fit,
        lambda: fit_weights(X[(X > 0.1) & (X < 0.5)], truncation=(0.1, 0.5)),
    ),
    "fit of counts as counts": (plots.fit, lambda: fit_weights(COUNTS, discrete=True)),
    "fit with sample weights": (
        plots.fit,
        lambda: fit_weights(X, sample_weights=np.full(X.size, 2.5)),
    ),
    "fit, censored": (
        plots.fit,
        lambda: fit_weights(np.maximum(X, 0.1), censoring=0.1),
    ),
    "fit, censored above all": (
        plots.fit,
        lambda: fit_weights(X, censoring=X.min() / 2),
    ),
    "ccdf": (plots.ccdf, lambda: fit_weights(X)),
    "ccdf of families": (plots.ccdf, comparison),
    "ccdf of counts": (plots.ccdf, lambda: compare_families(COUNTS, discrete=True)),
    "ccdf, truncated": (
        plots.ccdf,
        lambda: compare_families(X[X > 0.1], truncation=(0.1, None)),
    ),
    "qq of counts": (plots.qq, lambda: fit_weights(COUNTS, discrete=True)),
    "qq of two": (plots.qq, lambda: fit_weights([1.0, 2.0])),
    "family bars": (plots.family_bars, comparison),
    "family bars of three": (
        plots.family_bars,
        comparison_of_three,
    ),
    "family bars of one": (plots.family_bars, lambda: compare_families(X, "gamma")),
    "groups": (plots.groups, lambda: compare_groups(X, LABELS)),
    "groups of counts": (
        plots.groups,
        lambda: compare_groups(COUNTS, COUNTS % 2, discrete=True),
    ),
    "resemblance": (plots.resemblance, lambda: compare_to(X, COUNTS, n_boot=20)),
    "families": (plots.families, comparison),
    "families of three": (plots.families, comparison_of_three),
    "qq": (plots.qq, lambda: fit_weights(X, "gamma")),
    "shapes": (plots.shapes, lambda: {"a": fit_weights(X), "b": fit_weights(COUNTS)}),
    "spectrum": (plots.spectrum, lambda: spectrum(np.diag([3.0, 2.0, 1.0]))),
    "spectrum of zeros": (plots.spectrum, lambda: spectrum(np.zeros((3, 3)))),
    "spectra": (
        plots.spectrum,
        lambda: {"a": spectrum(np.eye(3)), "b": spectrum(np.ones((4, 5)))},
    ),
    "matrix": (plots.matrix, lambda: np.array([[1.0, -2.0], [0.0, -1.0]])),
    "matrix of zeros": (plots.matrix, lambda: np.zeros((2, 3))),
    "geometry": (plots.geometry, inference),
    "geometry of a shift": (
        plots.geometry,
        inference_of_a_shift,
    ),
    "normality": (plots.normality, inference),
    "normality of a shift": (
        plots.normality,
        inference_of_a_shift,
    ),
    "regime": (plots.regime, lambda: RICH),
    "regimes": (plots.regime, lambda: {"rank 1": RICH, "full rank": LAZY}),
    "learning curves": (plots.learning_curves, lambda: HISTORY),
    "signs": (plots.signs, lambda: signs.check(BROKEN)),
    "degrees": (plots.degrees, lambda: graph_summary(GRAPH)),
    "degrees of nothing": (plots.degrees, lambda: graph_summary(EDGELESS)),
    "strengths": (plots.strengths, lambda: graph_summary(GRAPH)),
    "strengths of nothing": (plots.strengths, lambda: graph_summary(EDGELESS)),
    "balance": (plots.balance, lambda: graph_summary(GRAPH)),
    "balance of nothing": (plots.balance, lambda: graph_summary(EDGELESS)),
    "lawful signs": (plots.signs, lambda: signs.check(LAWFUL)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_plot_takes_a_result_and_returns_its_axes(name):
    plot, result = CASES[name]
    ax = plot(result())
    assert isinstance(ax, Axes)
    ax.figure.canvas.draw()
    assert ax.get_xlabel() or name == "lawful signs"
    given = Figure().subplots()
    assert plot(result(), ax=given) is given


def test_the_drawn_density_is_the_fits_own():
    fit = fit_weights(X)
    (line,) = plots.fit(fit).lines
    w, density = line.get_data()
    np.testing.assert_allclose(density, w * fit.distribution().pdf(w))


@pytest.mark.parametrize("x", [X, COUNTS])
def test_the_histogram_has_unit_area(x):
    (stairs,) = plots.fit(fit_weights(x)).patches
    values, edges, _ = stairs.get_data()
    assert np.sum(values * np.diff(np.log(edges))) == pytest.approx(1, abs=1e-6)


def test_counts_are_binned_between_integers():
    (stairs,) = plots.fit(fit_weights(COUNTS)).patches
    values, edges, _ = stairs.get_data()
    assert (edges[:4] == [0.5, 1.5, 2.5, 3.5]).all()
    assert values[0] * np.log(3) == pytest.approx(np.mean(COUNTS == 1))


def test_what_is_not_shown_is_said():
    x = np.r_[X, [1e-9] * 2, 0, 0, 0]
    assert (
        plots.fit(fit_weights(x)).get_xlabel()
        == "|weight|\n(3 exact zeros and the smallest 0.1% not shown)"
    )


def test_qq_points_lie_on_the_line_for_the_right_family():
    x = fit_weights(X).distribution().ppf((np.arange(3000) + 0.5) / 3000)
    theory, data = plots.qq(fit_weights(x)).lines[1].get_data()
    # The outermost of 500 quantiles lie between the few most extreme of 3,000 values.
    np.testing.assert_allclose(np.log(theory)[2:-2], np.log(data)[2:-2], atol=0.02)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: plots.fit([1.0, 2.0]),
            "`result` must be a WeightFit, as `fit_weights` returns; got list.",
        ),
        (
            lambda: plots.qq(comparison()),
            "`result` must be a WeightFit, as `fit_weights` returns; got Comparison.",
        ),
        (
            lambda: plots.families(fit_weights(X)),
            "`result` must be a Comparison, as `compare_families` returns; got WeightFit.",
        ),
        (
            lambda: plots.ccdf([1.0]),
            "`result` must be a WeightFit, as `fit_weights` returns; got list.",
        ),
        (
            lambda: plots.family_bars(fit_weights(X)),
            "`result` must be a Comparison, as `compare_families` returns; got WeightFit.",
        ),
        (
            lambda: plots.groups(comparison()),
            "`result` must be a GroupComparison, as `compare_groups` returns; got Comparison.",
        ),
        (
            lambda: plots.resemblance(comparison()),
            "`result` must be a Resemblance, as `compare_to` returns; got Comparison.",
        ),
        (
            lambda: plots.geometry(fit_weights(X)),
            "`result` must be a GeometryInference, as `infer_geometry` returns; got WeightFit.",
        ),
        (
            lambda: plots.normality(RICH),
            "`result` must be a GeometryInference, as `infer_geometry` returns; got Regime.",
        ),
        (
            lambda: plots.regime({"a": 1.0}),
            "`result` must be a Regime, as `regime` returns; got float.",
        ),
    ],
)
def test_other_results_are_refused(call, sentence):
    with pytest.raises(TypeError) as raised:
        call()
    assert str(raised.value) == sentence


@pytest.mark.parametrize("plot", [plots.degrees, plots.strengths, plots.balance])
def test_graph_plots_take_a_summary(plot):
    with pytest.raises(TypeError) as raised:
        plot(GRAPH)
    assert (
        str(raised.value)
        == "`result` must be a GraphSummary, as `graph_summary` returns; got DiGraph."
    )


def test_degrees_are_drawn_as_the_fraction_of_nodes_with_at_least_so_many():
    incoming, outgoing = plots.degrees(graph_summary(GRAPH)).lines
    assert incoming.get_xdata().tolist() == [1, 3]
    assert incoming.get_ydata().tolist() == [0.75, 0.25]
    assert incoming.get_label() == "in (1 with none)"
    assert outgoing.get_xdata().tolist() == [1, 2]
    assert outgoing.get_ydata().tolist() == [0.75, 0.5]


def test_strengths_are_drawn_by_sign():
    lines = {
        line.get_label(): line.get_xydata().tolist()
        for line in plots.strengths(graph_summary(GRAPH)).lines
    }
    assert lines["in, excitatory (2 with none)"] == [[3, 0.5], [8, 0.25]]
    assert lines["in, inhibitory (2 with none)"] == [[1, 0.5], [5, 0.25]]
    assert lines["in (1 with none)"] == [[1, 0.75], [3, 0.5], [13.5, 0.25]]


def test_the_balance_is_inhibition_across_and_excitation_up():
    ax = plots.balance(graph_summary(GRAPH))
    points = {
        points.get_label(): points.get_offsets().tolist() for points in ax.collections
    }
    assert points == {
        "excitatory (1)": [[1, 0]],
        "inhibitory (1)": [[0, 3]],
        "without a sign (1)": [[5, 8]],
    }
    assert ax.get_xlabel() == "inhibition received\n(not shown: 1 that receive neither)"


def test_learning_curves_name_a_missing_column():
    with pytest.raises(
        ValueError,
        match="`history` must have a column 'loss'; got epoch, accuracy, network.",
    ):
        plots.learning_curves(HISTORY, "loss")


def test_shapes_refuses_other_families():
    with pytest.raises(
        ValueError, match="`results` must be log-normal fits; got gamma for 'a'."
    ):
        plots.shapes({"a": fit_weights(X, "gamma")})


def test_no_plot_shows_or_leaks():
    before = len(sys.modules["matplotlib.pyplot"].get_fignums())
    plots.comparison_figure(comparison())
    assert len(sys.modules["matplotlib.pyplot"].get_fignums()) == before


def test_singular_values_lost_to_rounding_are_counted_not_drawn():
    figure, axes = plots.figure()
    ax = plots.spectrum(
        {"a": spectrum(np.diag([1.0, 0.5, 1e-17])), "b": spectrum(np.eye(3))},
        axes[0, 0],
    )
    assert ax.get_ylim() == (1e-6, 2)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0].endswith(", 1 at zero")
    assert "zero" not in labels[1]
    assert figure


def test_the_area_of_a_drawn_change_is_its_distance():
    result = infer_geometry(X, CHANGED)
    curves = plots.normality(result).lines[1:]
    for curve, one in zip(curves, result.changes, strict=True):
        z, gap = curve.get_data()
        area = np.sum((np.abs(gap[1:]) + np.abs(gap[:-1])) / 2 * np.diff(z))
        assert area == pytest.approx(one.distance, rel=0.05, abs=0.01)


def test_points_that_cannot_be_told_from_the_best_are_filled():
    result = infer_geometry(X, CHANGED)
    filled, hollow = plots.geometry(result).lines[-2:]
    assert list(filled.get_xdata()) == [one.distance for one in result.tied]
    assert len(hollow.get_xdata()) == len(result.changes) - len(result.tied)


def test_the_style_puts_back_its_own_settings_and_no_others():
    import matplotlib

    before, interactive = (
        list(matplotlib.rcParams["font.family"]),
        matplotlib.is_interactive(),
    )
    try:
        with plots.style():
            matplotlib.interactive(
                True
            )  # as a notebook's backend does when pyplot is first imported in here
        assert matplotlib.is_interactive()
        assert matplotlib.rcParams["font.family"] == before
    finally:
        matplotlib.interactive(interactive)


def test_the_style_is_seaborns_which_is_not_imported_for_it():
    import seaborn

    from daleml.analysis.plots.style_parameters import STYLE

    theirs = seaborn.axes_style("ticks") | seaborn.plotting_context(
        "notebook", font_scale=0.85
    )
    assert theirs.pop("image.cmap") == "rocket"
    assert theirs.keys() == STYLE.keys()
    for parameter, value in theirs.items():
        expected = pytest.approx(value) if isinstance(value, float) else value
        assert STYLE[parameter] == expected, parameter
