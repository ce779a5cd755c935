"""Every plot can be read where a journal prints it: one column wide, with plain and hard data."""

import functools
import inspect
import itertools
from types import SimpleNamespace as Named

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.analysis import (
    Regime,
    activity,
    compare_families,
    compare_groups,
    compare_to,
    fit_weights,
    graph_summary,
    infer_geometry,
    plots,
    signed_matrix,
    spectrum,
)
from daleml.analysis.distributions.families import SIMPLE
from daleml.analysis.plots.forest_marks import VERDICTS
from daleml.datasets import fly_visual
from daleml.layers import EIRNN
from daleml.tasks import DelayedMatchToSample
from tests.analysis.plots.legible import faults

NOT_PLOTS = {"EXCITATORY", "INHIBITORY", "figure", "png", "style", "svg"}
FIGURES = ("claim", "comparison_figure", "forest", "forest_overview", "sweep")

RNG = np.random.default_rng(0)
X = RNG.lognormal(-2, 1, 300)
LONG = [f"excitatory neurons of layer 2/3, mouse number {i}" for i in range(10)]
TYPES = Populations.of(
    exc={"L2/3 pyramidal": 50, "L5 PT": 20}, inh={"PV": 4, "SST": 3, "VIP": 2}
)
torch.manual_seed(0)
CIRCUIT = EIRNN(3, TYPES, dt_ms=20, tau_ms=100, nonlinearity="softplus")
RATES = torch.rand(10, 12, TYPES.size)
BROKEN = nn.Sequential(nn.Linear(90, 20), nn.Linear(20, 4))
signs.fix(BROKEN[0], "weight", [1] * 70 + [-1] * 20)
signs.fix(BROKEN[1], "weight", [1] * 20)
EDGELESS = nx.empty_graph(3, create_using=nx.DiGraph)


def history(names):
    rows = []
    for k, name in enumerate(names):
        # All but the first lie on one another, at zero.
        for epoch in range(5):
            rows.append((epoch, 0.5 if k == 0 else 0.0, name))
    return pd.DataFrame(rows, columns=["epoch", "missed", "network"])


def swept(n):
    y = np.array([0.1, 0.3])
    arms = [
        Named(x=y, values=[y], mean=y, low=y, high=y, label=LONG[k]) for k in range(n)
    ]
    panel = Named(
        x_label="learning rate",
        y_label="loss on held-out digits",
        log_x=False,
        log_y=False,
        reference=0.2,
        reference_label="chance",
        y_limits=None,
    )
    return Named(sweep=Named(panels=[panel]), curves=[arms])


def swept_table():
    """A table of runs, as a sweep returns one, with rules of long names."""
    rows = [
        (lr, rule, seed, "finished", 5 + seed + 9 * lr + k)
        for lr in (0.01, 0.1, 1.0)
        for k, rule in enumerate(LONG[:3])
        for seed in range(3)
    ]
    return pd.DataFrame(rows, columns=["lr", "rule", "seed", "status", "error"])


def judged():
    check = Named(
        label="error of the DANN less that of the MLP, in percent, over all seeds",
        at_least=0.9,
        at_most=None,
        no_effect=0.0,
    )
    one = Named(
        check=check,
        values=[0.93, 0.95],
        mean=0.94,
        low=0.92,
        high=0.96,
        verdict="not as expected",
    )
    return Named(measured=[one, one], claim=Named(id="example"))


def many_claims():
    """Claims of several papers: every verdict, every owner, far out, without a bar, of no number."""
    bounds = ("the paper's number", "the paper's direction", "released code", "ours")
    owners = ("the paper's", "ours", "against the paper", "by construction")
    found = []
    for place, (verdict, mean) in enumerate(
        itertools.product(VERDICTS, (-0.0123456, 12345.678, None))
    ):
        low, high = mean, mean
        if mean is not None:
            low, high = mean - 0.0321, mean + 0.0321 * (place % 2)
        one = {
            "label": "error of the DANN less that of the MLP, in percent, over all seeds",
            "expected": "-0.123456 to 0.123456",
            "at_least": -0.123456,
            "at_most": 0.123456 if place % 3 else None,
            "no_effect": 0.0 if place % 2 else None,
            "owner": bounds[place % 4],
            "by_construction": place % 5 == 0,
            "verdict": verdict,
            "mean": mean,
            "low": low,
            "high": high,
        }
        claim = {"id": f"{place}z", "paper": LONG[place % 3]}
        claim["owner"] = owners[place % 4]
        found.append({**claim, "verdict": verdict, "measured": [one, one]})
    untested = {"verdict": "not tested", "measured": []}
    return [*found, {**claim, "id": "h10", "paper": LONG[0], **untested}]


@functools.cache
def comparison():
    return compare_families(X[:100], [*SIMPLE, "lognormal2"])


@functools.cache
def inference():
    return infer_geometry(X, X * np.exp(0.1 * RNG.normal(size=X.size)), n_boot=20)


@functools.cache
def fly():
    return graph_summary(fly_visual())


def regimes():
    return {name: Regime(1.0, 0.3, 0.7, 0.3, 9, 9, ("weight",), "y") for name in LONG}


CASES = {
    "fit": [(lambda: fit_weights(np.r_[X, 0, 0]), {"unit": "um^2", "title": LONG[0]})],
    "families": [
        (comparison, {}),
        (lambda: compare_families(X[:12], [*SIMPLE, "lognormal2"]), {}),
        (lambda: compare_families([1.0, 2.0, 3.0]), {}),
    ],
    "ccdf": [(comparison, {})],
    "qq": [(lambda: fit_weights(X, "stretchedexponential"), {"xlabel": LONG[0]})],
    "family_bars": [(comparison, {})],
    "groups": [
        (lambda: compare_groups(X, np.resize(LONG, X.size), "lognormal"), {}),
        (lambda: compare_groups(X, np.arange(X.size) % 2, "gamma"), {"unit": "px"}),
    ],
    "comparison_figure": [(comparison, {})],
    "resemblance": [(lambda: compare_to(X, X[:99], n_boot=20), {})],
    "shapes": [(lambda: {name: fit_weights(X) for name in LONG}, {})],
    "spectrum": [
        (lambda: {name: spectrum(RNG.normal(size=(9, 9))) for name in LONG}, {}),
        (lambda: spectrum(np.zeros((3, 3))), {}),
    ],
    "matrix": [
        (lambda: CIRCUIT, {"unit": "nS"}),
        (lambda: signed_matrix(fly_visual()), {}),
        (lambda: np.ones((500, 500)), {"labels": [f"cell {i}" for i in range(500)]}),
        (lambda: np.array([[1.0, -2.0], [0, -1]]), {"labels": ["left", "right"]}),
        (lambda: np.zeros((2, 3)), {}),
    ],
    "pathways": [(lambda: CIRCUIT, {"unit": "nS"})],
    "geometry": [(inference, {})],
    "normality": [(inference, {})],
    "regime": [(regimes, {})],
    "degrees": [(fly, {}), (lambda: graph_summary(EDGELESS), {})],
    "strengths": [(fly, {"unit": "synapses"})],
    "balance": [(fly, {}), (lambda: graph_summary(EDGELESS), {})],
    "psychometric": [
        (lambda: activity.psychometric([-2, -1, 0, 1, 2] * 9, [0, 0, 1, 1, 1] * 9), {})
    ],
    "chronometric": [
        (lambda: activity.chronometric([0, 0, 0.1, 0.1, 0.3], [9, 8, 7, 7, 5]), {})
    ],
    "selectivity": [
        (
            lambda: activity.selectivity(
                RATES.mean(0), [0, 1] * 6, populations=TYPES, n_shuffles=20
            ),
            {},
        )
    ],
    "aligned": [
        (
            lambda: activity.aligned(
                RATES, 10.0, 50.0, (-30, 30), conditions=range(12)
            ),
            {},
        )
    ],
    "decoding": [
        (
            lambda: activity.decode(
                RATES[:3, :, :3], [0, 1] * 6, dt_ms=20, n_shuffles=20
            ),
            {},
        )
    ],
    "learning_curves": [
        (lambda: history(LONG), {"y": "missed", "hue": "network", "unit": "%"})
    ],
    "signs": [
        (lambda: signs.check(BROKEN), {}),
        (lambda: signs.check(nn.Sequential(CIRCUIT, nn.Linear(2, 30))), {}),
    ],
    "trial": [(lambda: DelayedMatchToSample().sample(1), {})],
    "activity": [
        (
            lambda: RATES,
            {
                "populations": TYPES,
                "dt_ms": 20,
                "periods": [
                    ("stimulus", 0, 20),
                    ("delay", 20, 40),
                    ("choice", 40, 200),
                ],
            },
        ),
        (lambda: torch.zeros(5, 2), {"labels": ["left", "right"]}),
    ],
    "trajectory": [(lambda: activity.trajectory(CIRCUIT, torch.rand(9, 3, 3)), {})],
    "fixed_points": [
        (lambda: activity.FixedPoints((), np.zeros(3), 5, 5, 1e-9, 1e-4, 1e-5), {})
    ],
    "eigenvalues": [
        (lambda: activity.linearisation(nn.RNN(3, 5), torch.zeros(1, 5)), {}),
        (lambda: spectrum(RNG.normal(size=(9, 9))), {}),
    ],
    "currents": [
        (lambda: activity.currents(CIRCUIT, torch.rand(9, 4, 3)), {"unit": "nA"})
    ],
    "paradoxical_effect": [(lambda: activity.paradoxical_effect(CIRCUIT), {})],
    "at_initialisation": [(lambda: activity.at_initialisation(CIRCUIT), {})],
    "dimension": [(lambda: activity.dimension(RNG.normal(size=(50, 5))), {})],
    "claim": [(judged, {})],
    "sweep": [(lambda: swept(10), {})],
    "forest": [(many_claims, {}), (lambda: many_claims()[:1], {"title": LONG[0]})],
    "forest_overview": [(many_claims, {}), (lambda: many_claims()[:1], {})],
    "runs": [(swept_table, {"x": "lr", "y": "error", "hue": "rule", "unit": "%"})],
}
ROWS = [(name, place) for name, cases in CASES.items() for place in range(len(cases))]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@functools.cache
def result_of(name, place):
    return CASES[name][place][0]()


def drawn(name, place=0, **words):
    """Draw a case in daleml's style, and return what the plot returned."""
    with plots.style():
        return getattr(plots, name)(
            result_of(name, place), **CASES[name][place][1] | words
        )


def figure_of(made):
    if isinstance(made, tuple):
        return made[0].figure
    return getattr(made, "figure", made)


def test_every_plot_has_a_case():
    assert CASES.keys() == set(plots.__all__) - NOT_PLOTS


@pytest.mark.parametrize(("name", "place"), ROWS)
def test_a_column_of_a_journal_is_wide_enough(name, place):
    figure = figure_of(drawn(name, place, width="single"))
    assert figure.get_figwidth() * 25.4 == pytest.approx(89)
    with plots.style():
        assert not faults(figure)


def test_a_figure_that_cannot_be_read_is_found():
    """So that the measure itself is known to measure."""
    with plots.style():
        figure, axes = plots.figure(width="single")
        ax = axes[0, 0]
        ax.set_ylabel("a name that is far longer than the axes are high, and so is cut")
        ax.set_xticks([0.5, 0.51], ["one place", "the same place"])
        ax.text(0.1, 0.5, "small", fontsize=5)
        ax.plot([0, 1], label="curve")
        ax.legend(loc="upper left")
        said = "\n".join(faults(figure))
    for fault in ("is cut", "overlap", "has 5.0 points", "covers axes"):
        assert fault in said


def test_two_plots_beside_one_another_fit_both_columns():
    with plots.style():
        figure, axes = plots.figure(2, width="double", height=4)
        plots.families(comparison(), axes[0, 0], unit="um^2")
        plots.family_bars(comparison(), axes[0, 1])
        assert figure.get_figwidth() * 25.4 == pytest.approx(183)
        assert not faults(figure)


@pytest.mark.parametrize("name", [one for one in CASES if one not in FIGURES])
def test_every_plot_takes_the_words_of_its_axes(name):
    made = drawn(name, xlabel="across", ylabel="up", title="a title", width=5)
    axes = made if isinstance(made, tuple) else (made,)
    assert axes[0].get_title() == "a title"
    assert axes[0].get_ylabel() == "up"
    assert axes[-1].get_xlabel().startswith("across")
    assert axes[0].figure.get_figwidth() == 5


@pytest.mark.parametrize("name", FIGURES)
def test_figures_take_a_title_and_a_width(name):
    figure = drawn(name, title="a title", width=5)
    assert figure._suptitle.get_text() == "a title"
    assert figure.get_figwidth() == 5


@pytest.mark.parametrize("name", CASES)
def test_no_plot_takes_an_option_in_silence(name):
    """An option that a plot does not take is refused, in a sentence or by Python."""
    plot = getattr(plots, name)
    # A module of the first edition, once imported, stands in its place.
    taken = inspect.signature(getattr(plot, name, plot)).parameters
    for option, value in (("labels", ["a"]), ("unit", "nm"), ("colour", "red")):
        if option not in taken:
            with pytest.raises(TypeError, match=option):
                plot(None, **{option: value})


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: drawn("spectrum", unit="nm"),
            "`unit` must be left out of plots.spectrum: what it draws has no unit, or has its"
            " own.",
        ),
        (
            lambda: drawn("qq", labels=["a"]),
            "`labels` must be left out of plots.qq: it names no units, groups or curves that"
            " could have other names.",
        ),
        (
            lambda: drawn("qq", width="triple"),
            '`width` must be a number of inches above 0, "single", "double", or a number with'
            " mm, cm or in, as \"120 mm\"; got 'triple'.",
        ),
        (
            lambda: drawn("qq", width=0),
            '`width` must be a number of inches above 0, "single", "double", or a number with'
            ' mm, cm or in, as "120 mm"; got 0.',
        ),
        (
            lambda: plots.qq(fit_weights(X), plt.figure().subplots(), width="single"),
            "`width` must be left out where `ax` is given, whose figure has a width; got"
            " 'single'.",
        ),
        (lambda: drawn("qq", title=3), "`title` must be text; got int."),
        (
            lambda: drawn("regime", labels="a"),
            "`labels` must be a sequence of names, or a mapping from names to names; got str.",
        ),
        (
            lambda: drawn("groups", 1, labels=["a"]),
            "`labels` must be 2 names, one for each of 0, 1; got 1.",
        ),
        (
            lambda: drawn("groups", 1, labels={"axon": "a"}),
            "`labels` must map names in the figure (0, 1); got 'axon'.",
        ),
        (
            lambda: plots.matrix(np.ones((2, 3)), labels=["a", "b"]),
            "`labels` must map 'post' and 'pre' to names, of a matrix that is not square; got 2"
            " names for shape (2, 3).",
        ),
        (
            lambda: plots.matrix(np.ones((2, 3)), labels={"rows": ["a", "b"]}),
            "`labels` must map 'post' and 'pre' to names of units; got 'rows'.",
        ),
        (
            lambda: plots.matrix(np.ones((2, 2)), labels=["a"]),
            "`labels` must be 2 names, one for each postsynaptic unit; got 1.",
        ),
        (
            lambda: plots.activity(torch.ones(3, 2), populations=Populations(4)),
            "`populations` must have 2 units, as `rates`; got 4.",
        ),
        (
            lambda: plots.activity(torch.ones(3, 2), trial=1),
            "`trial` must be 0 to 0; got 1.",
        ),
        (
            lambda: plots.activity(torch.ones(3, 2), periods=[("go", 5, 1)]),
            "`periods` must end after they begin; got 'go' from 5 to 1.",
        ),
        (
            lambda: plots.activity(torch.ones(3)),
            "`rates` must have shape (time, trials, units) or (time, units), none of them 0;"
            " got (3,).",
        ),
        (
            lambda: plots.learning_curves(history(["a"]), "missed", labels=["b"]),
            "`labels` must be left out without `hue`, whose curves they name; got some.",
        ),
        (
            lambda: plots.eigenvalues(spectrum(np.ones((2, 3)))),
            "`weights` must be square to have eigenvalues; got shape (2, 3).",
        ),
        (
            lambda: plots.pathways({}),
            "`weights` must hold at least one sample; got none.",
        ),
    ],
)
def test_what_is_refused_is_said_in_a_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert str(raised.value) == sentence


def test_a_unit_is_printed_as_people_write_it():
    assert drawn("fit").get_xlabel().startswith("|weight| (µm²)")
    assert drawn("currents").get_xlabel() == "mean excitatory current (nA)"


def key_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_scale_of_a_matrix_has_true_weights_at_its_ticks():
    ax = plots.matrix(np.array([[4.0, -1.0], [0.25, 0.0]]), unit="nS")
    bar = ax.figure.axes[-1]
    assert ax.images[0].get_array().tolist() == [[4, -1], [0.25, 0]]
    shown = [text.get_text() for text in bar.get_yticklabels()]
    assert shown == ["-2", "-0.5", "0", "0.5", "2"]
    norm = ax.images[0].norm
    # The colour of a weight goes with its root: a quarter of the strength has half the depth.
    assert norm(4.0) - norm(0.0) == pytest.approx(2 * (norm(1.0) - norm(0.0)))
    assert bar.get_ylabel() == (
        "weight (nS): + excites, − inhibits\n(colour by its square root)"
    )


@pytest.mark.parametrize(("sign", "said"), [(1, "all excite"), (-1, "all inhibit")])
def test_the_scale_of_one_sign_has_one_side(sign, said):
    bar = plots.matrix(sign * np.ones((2, 2))).figure.axes[-1]
    low, high = bar.get_ylim()
    assert (low, high) == ((0, 1) if sign > 0 else (-1, 0))
    assert said in bar.get_ylabel()


def test_weights_that_inhibit_have_a_mark_that_shows_in_grey():
    weight = np.array([[4.0, -1.0], [0.25, -0.01]])
    (marks,) = plots.matrix(weight).collections[:1]
    assert marks.get_offsets().tolist() == [[1, 0], [1, 1]]
    # Both are pale here, and marked in one dark grey: white would not show.
    assert len({tuple(color) for color in marks.get_edgecolors()}) == 1
    assert not plots.matrix(-np.abs(weight)).collections
    # Of cells too small for a mark, none is drawn.
    assert not plots.matrix(RNG.normal(size=(200, 200))).collections


def test_eigenvalues_of_weights_are_inside_the_unit_circle_or_outside():
    ax = plots.eigenvalues(spectrum(np.diag([0.5, 0.2, 2.0])))
    assert key_of(ax) == ["unit circle", "2 inside the circle", "1 outside"]
    assert ax.collections[1].get_offsets().tolist() == [[2, 0]]


def test_blocks_of_a_circuit_are_named_in_their_order():
    ax = drawn("matrix", width="single")
    assert [text.get_text() for text in ax.get_xticklabels()] == list(TYPES.names)
    places = ax.get_xticks()
    assert np.all(np.diff(places) > 0)
    # Names that were moved apart have a line to their block.
    assert len(ax.texts) == 2 * len(TYPES.names)


def test_nodes_of_a_connectome_are_named():
    nodes = [str(node) for node in signed_matrix(fly_visual()).nodes]
    ax = drawn("matrix", 1, width="single")
    shown = [text.get_text() for text in ax.get_yticklabels()]
    step = len(nodes) // len(shown) + 1
    assert shown == nodes[::step]
    assert f"every {step}th is named" in ax.get_ylabel().replace("\n", " ")


def test_the_signs_of_units_have_a_key_and_both_signs_are_shown():
    ax = drawn("signs")
    n_inh = sum(one.sign < 0 for one in signs.check(BROKEN).violations)
    assert f"inhibitory units: {n_inh} break the law" in key_of(ax)
    assert any(bar.get_hatch() for bar in ax.patches)
    only = nn.Linear(30, 4)
    signs.fix(only, "weight", [1] * 30)
    assert "inhibitory units: none breaks the law" in key_of(
        plots.signs(signs.check(only))
    )


def test_rows_of_axes_that_are_given_have_room():
    with plots.style():
        figure, axes = plots.figure(width="single", height=2.6)
        ax = plots.signs(signs.check(BROKEN), axes[0, 0])
        assert not faults(figure)
    n = len(ax.get_yticks())
    assert 2 < n < 20
    assert f"(the worst {n} of " in ax.get_xlabel()


def test_the_scale_is_short_where_nobody_makes_room_for_it():
    ax = plots.matrix(np.eye(2), plt.subplots()[1], unit="nS")
    assert ax.figure.axes[-1].get_ylabel() == "weight (nS), √ scale"


def test_every_family_as_good_is_drawn_and_the_rest_is_counted():
    result = compare_families(X[:60], [*SIMPLE, "lognormal2"])
    assert 5 < len(result.cannot_tell) < 9
    ax = plots.families(result)
    assert len(ax.lines) == 1 + len(result.cannot_tell)
    left = len(result.fits) - len(ax.lines)
    title = ax.get_legend().get_title().get_text()
    assert f"{left} of {len(result.fits)} families" in title
    assert "not drawn" in title


def test_a_curve_under_others_shows():
    """Three of four curves are equal: each is narrower than the one below it, and dashed."""
    names = ["start", "SGD", "EG", "Adam"]
    ax = plots.learning_curves(history(names), "missed", hue="network")
    assert key_of(ax) == names
    widths = [line.get_linewidth() for line in ax.lines]
    orders = [line.get_zorder() for line in ax.lines]
    styles = {str(line.get_linestyle()) for line in ax.lines}
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == len(styles) == 4
    assert orders == sorted(orders)
    assert len(set(orders)) == 4
    # At zero they do not lie on the axis itself.
    assert ax.get_ylim()[0] < 0


@pytest.mark.parametrize("n", [4, 10])
def test_curves_differ_in_grey(n):
    from matplotlib.colors import to_rgb

    from daleml.analysis.plots.curve_styles import palette

    looks = [
        (
            str(one["linestyle"]),
            round(float(np.dot(to_rgb(one["color"]), (0.21, 0.72, 0.07))), 1),
        )
        for one in palette(n)
    ]
    assert len(set(looks)) == n


def test_the_least_p_value_is_no_number_that_was_measured():
    result = compare_families(np.r_[X, -X + 9], ("lognormal", "gamma"), gof=99)
    assert result.goodness["lognormal"].p_value == 0.01
    notes = [text.get_text() for text in plots.family_bars(result).texts]
    assert any("(p < 0.01)" in note for note in notes)
    assert not any("p = 0.01" in note for note in notes)


def test_labels_rename_groups_curves_and_populations():
    ax = drawn("groups", 1, labels={0: "shaft", 1: "spine"})
    assert [text.get_text().split("\n")[0] for text in ax.get_yticklabels()] == [
        "shaft",
        "spine",
    ]
    ax = drawn("currents", labels={"PV": "basket cells"})
    assert any(text.startswith("basket cells (inhibitory)") for text in key_of(ax))


def test_activity_is_drawn_by_unit_and_on_average():
    image, averages = drawn("activity")
    mesh = image.collections[0]
    assert np.allclose(mesh.get_array(), RATES.mean(1).T)
    by_name = {line.get_label(): line.get_ydata() for line in averages.lines}
    expected = RATES.mean(1)[:, TYPES["PV"]].mean(1)
    assert np.allclose(by_name["PV (inhibitory)"], expected)
    assert [one.get_text() for one in image.texts if one.get_text()] == [
        "stimulus",
        "delay",
        "choice",
    ]


def test_units_are_sorted_by_the_time_of_their_largest_rate():
    rates = torch.eye(4).flip(0)
    image, _ = plots.activity(rates, populations=Populations(3, 1), sort=True)
    assert np.argmax(image.collections[0].get_array(), axis=1).tolist() == [1, 2, 3, 0]


def test_pathways_are_histograms_of_their_weights():
    ax = drawn("pathways", labels=None)
    rows = [text.get_text() for text in ax.get_yticklabels()]
    assert any("PV → SST" in row.replace("\n", " ") for row in rows)
    medians = [
        float(line.get_xdata()[0])
        for line in ax.lines
        if line.get_marker() == "|" and len(line.get_xdata())
    ]
    block = CIRCUIT.weight_hh_l0.detach()[:50, :50]
    off = block[~torch.eye(50, dtype=bool)].abs().numpy()
    place = next(i for i, row in enumerate(rows) if "n = 2,450" in row)
    assert medians[place] == pytest.approx(np.median(off), rel=1e-5)
