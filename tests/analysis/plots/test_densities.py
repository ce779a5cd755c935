"""What plots of distributions draw is the fit's own, given what was seen."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from daleml.analysis import (
    compare_families,
    compare_groups,
    compare_to,
    family_label,
    fit_weights,
    plots,
)
from daleml.analysis.distributions.bootstrap import draw
from daleml.analysis.distributions.families import FAMILIES
from daleml.analysis.plots.family_styles import style_of
from daleml.analysis.plots.plotted_sample import density, fraction_between

RNG = np.random.default_rng(3)
X = RNG.lognormal(-2, 1, 1500)
SEEN = X[X > 0.1]
COUNTS = RNG.geometric(0.2, 800)


def lines_of(ax):
    return {line.get_label().split(" ")[0]: line for line in ax.lines}


def area(x, y):
    return float(np.sum((y[1:] + y[:-1]) / 2 * np.diff(np.log(x))))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_density_of_what_was_seen_has_unit_area(family):
    fit = fit_weights(SEEN[SEEN < 1], family, truncation=(0.1, 1))
    w = np.geomspace(0.1, 1, 2000)
    assert area(w, density(fit, w)) == pytest.approx(1, abs=1e-4)
    assert density(fit, [0.09, 1.1]).tolist() == [0, 0]


def test_a_density_far_from_its_weights_is_zero_without_a_warning():
    fit = fit_weights([180.0, 181.0], "stretchedexponential")
    assert density(fit, [1e-3, 1e6])[1] == 0


@pytest.mark.parametrize("family", ["lognormal", "weibull", "lognormal2"])
def test_the_shares_of_counts_add_up_to_one(family):
    fit = fit_weights(COUNTS, family, discrete=True)
    shares = fraction_between(fit, np.arange(0.5, 2000))
    assert shares.sum() == pytest.approx(1, abs=1e-6)
    inside = fit.distribution().cdf(1.5) - fit.distribution().cdf(0.5)
    assert shares[0] == pytest.approx(inside / (1 - fit.distribution().cdf(0.5)))


def test_a_truncated_fit_is_drawn_where_it_was_seen():
    fit = fit_weights(SEEN, truncation=(0.1, None))
    ax = plots.fit(fit)
    w, heights = lines_of(ax)["log-normal"].get_data()
    whole = fit.distribution()
    np.testing.assert_allclose(heights, w * whole.pdf(w) / whole.sf(0.1))
    assert w[0] >= 0.1
    assert ax.get_xlim()[0] < 0.1  # room for the shade that says so
    assert "not seen" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_histogram_and_censored_area_add_up_to_one():
    fit = fit_weights(np.maximum(X, 0.1), censoring=0.1)
    areas = []
    for stairs in plots.fit(fit).patches:
        heights, edges, _ = stairs.get_data()
        areas.append(np.sum(heights * np.diff(np.log(edges))))
    assert len(areas) == 2
    assert sum(areas) == pytest.approx(1, abs=1e-6)
    assert areas[1] == pytest.approx(np.mean(X <= 0.1))


def test_no_bin_of_large_whole_numbers_is_a_spike():
    sizes = np.round(1000 * X) + 4
    (stairs,) = plots.fit(fit_weights(sizes)).patches
    heights, edges, _ = stairs.get_data()
    assert heights.max() < 1
    assert edges[-1] == sizes.max() + 0.5
    assert np.sum(heights * np.diff(np.log(edges))) == pytest.approx(1)


def test_the_ccdf_is_one_less_the_cdf():
    fit = fit_weights(SEEN, truncation=(0.1, None))
    points, curve = plots.ccdf(fit).lines[:2]
    w, heights = curve.get_data()
    np.testing.assert_allclose(
        heights, fit.distribution().sf(w) / fit.distribution().sf(0.1), rtol=1e-6
    )
    w, shares = points.get_data()
    assert shares[0] == 1
    assert (w[-1], shares[-1]) == (SEEN.max(), pytest.approx(1 / SEEN.size))
    np.testing.assert_allclose(shares, [np.mean(value <= SEEN) for value in w])


def test_the_ccdf_of_counts_includes_the_count():
    points, curve = plots.ccdf(fit_weights(COUNTS, "exponential", discrete=True)).lines[
        :2
    ]
    assert curve.get_data()[0].tolist() == np.unique(COUNTS).tolist()
    assert points.get_ydata()[0] == curve.get_ydata()[0] == 1
    assert points.get_ydata()[1] == pytest.approx(np.mean(COUNTS >= 2))
    # of a geometric distribution the exponential is the continuous twin
    np.testing.assert_allclose(
        np.log(curve.get_ydata()[1:]) / (curve.get_xdata()[1:] - 1),
        np.log(0.8),
        rtol=0.06,
    )


def test_censored_weights_are_below_the_first_point():
    points = plots.ccdf(fit_weights(np.maximum(X, 0.1), censoring=0.1)).lines[0]
    assert points.get_xdata()[0] > 0.1
    assert points.get_ydata()[0] == pytest.approx(np.mean(X > 0.1))


@pytest.mark.parametrize(
    ("sample", "family", "seen"),
    [
        (X, "gamma", {}),
        (SEEN, "lognormal", {"truncation": (0.1, None)}),
        (COUNTS, "weibull", {"discrete": True}),
        (np.maximum(X, 0.1), "lognormal", {"censoring": 0.1}),
    ],
)
def test_the_band_is_the_parametric_bootstraps(sample, family, seen):
    fit = fit_weights(sample, family, **seen)
    ax = plots.qq(fit, band=0.9)
    (shape,) = ax.collections
    vertices = {(x, y) for x, y in shape.get_paths()[0].vertices.tolist()}
    theory, data = ax.lines[1].get_data()
    rng = np.random.default_rng(0)
    drawn = np.sort(
        [draw(fit.rule, fit.values, fit.n, fit.observation, rng) for _ in range(1500)],
        axis=1,
    )
    chosen = np.searchsorted(np.sort(sample), data)[len(data) // 2]
    if not seen.get("discrete"):
        middle = theory[len(theory) // 2]
        ends = sorted(y for x, y in vertices if x == pytest.approx(middle))
        low, high = np.quantile(drawn[:, chosen], [0.05, 0.95])
        assert (ends[0], ends[-1]) == (
            pytest.approx(low, rel=0.02),
            pytest.approx(high, rel=0.02),
        )
    top = max(y for _, y in vertices)
    assert top == pytest.approx(np.quantile(drawn[:, -1], 0.95), rel=0.1)
    assert len(plots.qq(fit, band=None).collections) == 0


def test_quantiles_are_the_values_of_their_ranks():
    theory, data = plots.qq(fit_weights(X[:300], "gamma")).lines[1].get_data()
    assert data.tolist() == np.sort(X[:300]).tolist()
    fit = fit_weights(X[:300], "gamma")
    np.testing.assert_allclose(
        theory, fit.distribution().ppf((np.arange(300) + 0.5) / 300)
    )


def test_ends_of_many_values_are_all_drawn():
    sample = RNG.lognormal(size=20_000)
    data = plots.qq(fit_weights(sample)).lines[1].get_ydata()
    assert len(data) < 600
    assert data[-20:].tolist() == np.sort(sample)[-20:].tolist()
    assert data[:20].tolist() == np.sort(sample)[:20].tolist()


@pytest.mark.parametrize("band", [0, 1, -0.5])
def test_a_band_that_is_none(band):
    with pytest.raises(ValueError) as raised:
        plots.qq(fit_weights(X), band=band)
    assert str(raised.value) == f"`band` must be between 0 and 1; got {band}."


def test_bars_are_the_differences_and_marks_tell_what_cannot_be_told():
    comparison = compare_families(X[:60])
    ax = plots.family_bars(comparison)
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == [family_label(fit.family) for fit in comparison.fits]
    bars = [line for line in ax.lines if len(line.get_xdata()) == 2]
    assert [bar.get_xdata()[1] for bar in bars] == [
        fit.aicc - comparison.best.aicc for fit in comparison.fits
    ]
    marks = [line for line in ax.lines if len(line.get_xdata()) == 1]
    filled = [
        name
        for name, mark in zip(names, marks, strict=True)
        if to_hex(mark.get_color()) != "#ffffff"
    ]
    assert filled == [
        family_label(one) for one in (comparison.best.family, *comparison.cannot_tell)
    ]
    assert 1 < len(filled) < len(names)


def test_bars_show_the_goodness_of_fit():
    comparison = compare_families(X[:60], ("lognormal", "gamma"), gof=9)
    notes = [text.get_text() for text in plots.family_bars(comparison).texts]
    assert notes[0] == f"0.0  (p = {comparison.goodness['lognormal'].p_value:.2g})"


def test_ticks_of_far_differences_have_room():
    ax = plots.family_bars(
        compare_families(RNG.lognormal(0, 1, 300_000), ("lognormal", "halfnormal"))
    )
    assert [text.get_text() for text in ax.get_xticklabels()] == [
        "0",
        "10",
        "1,000",
        "100,000",
    ]
    assert ax.texts[1].get_text().startswith("+1")
    assert "." not in ax.texts[1].get_text()


def test_every_family_has_a_look_of_its_own():
    looks = [style_of(family) for family in FAMILIES]
    assert (
        len({one.color for one in looks})
        == len({str(one.linestyle) for one in looks})
        == len(looks)
    )
    assert len({one.marker for one in looks}) == len(looks)
    assert style_of("one of mine") not in looks


def test_a_family_looks_the_same_in_every_plot():
    comparison = compare_families(X, ("gamma", "weibull"))
    for ax in (
        plots.families(comparison),
        plots.ccdf(comparison),
        plots.fit(comparison["gamma"]),
    ):
        line = lines_of(ax)["gamma"]
        assert line.get_color() == style_of("gamma").color
        assert line.get_linestyle() == "--"


def test_groups_are_rows_with_their_medians_and_those_that_failed():
    result = compare_groups(np.r_[X, 1.0], ["a"] * 700 + ["b"] * 800 + ["c"])
    ax = plots.groups(result, xlabel="PSD (px)")
    assert ax.get_xlabel() == "PSD (px)"
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "a\nn = 700",
        "b\nn = 800",
        "c\nnot fitted",
    ]
    medians = [
        line.get_xdata()[0]
        for line in ax.lines
        if line.get_marker() == "|" and len(line.get_xdata())
    ]
    assert medians == pytest.approx([np.median(X[:700]), np.median(X[700:])], rel=0.01)


def test_rows_of_groups_of_counts_are_as_high_as_each_other():
    result = compare_groups(COUNTS, np.arange(COUNTS.size) % 2, discrete=True)
    rows = [patch.get_data() for patch in plots.groups(result).patches]
    heights = [values.max() - baseline for values, _, baseline in rows]
    lines = [
        line.get_ydata().max() - base
        for line, base in zip(curves(plots.groups(result)), (1, 0), strict=True)
    ]
    for height, line in zip(heights, lines, strict=True):
        assert max(height, line) == pytest.approx(0.82)
        assert min(height, line) > 0.4  # no spike makes the rest flat


def curves(ax):
    return [line for line in ax.lines if len(line.get_xdata()) > 2]


def test_a_resemblance_is_drawn_with_its_measures():
    result = compare_to(X, COUNTS, n_boot=50)
    ax = plots.resemblance(result, weights="network", reference="worm")
    theirs, ours = ax.lines[1].get_data()
    assert ours is result.quantiles[0] or np.array_equal(ours, result.quantiles[0])
    assert np.array_equal(theirs, result.quantiles[1])
    measure = result.measures["gini"]
    assert (
        f"Gini: {measure.weights.value:.2f}, of worm {measure.reference.value:.2f}"
        in ax.get_legend().get_title().get_text()
    )
    assert ax.get_ylabel() == "centred ln w of network"


def test_vector_output_keeps_its_text_and_its_bytes():
    comparison = compare_families(X, "gamma")
    first, second = (
        plots.svg(plots.comparison_figure(comparison, xlabel="PSD (px)")) for _ in "ab"
    )
    assert first == second
    assert b">PSD (px)</text>" in first
