"""Weights that were rounded, saturated, or are known by intervals only: what they say is what the unrounded said."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from daleml.analysis import (
    Observation,
    compare_families,
    compare_groups,
    confidence_intervals,
    fit_weights,
    goodness_of_fit,
    interval_sample,
    pair_test,
)
from daleml.analysis.distributions.bootstrap import draw
from daleml.analysis.distributions.families import FAMILIES, SIMPLE
from daleml.analysis.distributions.likelihood import log_interval
from daleml.analysis.distributions.rounding import Figures, Steps
from tests.analysis.distributions.test_families import BY_SCIPY
from tests.reference.draws import TRUTH

AREAS = np.random.default_rng(3).lognormal(-2.9, 0.85, 1500)  # um2


def near(fit, other, errors=0.3):
    """Whether two fits to the same weights agree to a fraction of a standard error."""
    return all(
        abs(fit.params[name] - other.params[name]) < errors * other.stderr[name]
        for name in other.params
    )


# -- what can be written down ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "grid",
    [
        Steps(0.01),
        Steps(0.05),
        Steps(0.004),
        Steps(1.0),
        Steps(40.0),
        Figures(1),
        Figures(3),
    ],
)
def test_every_number_lies_in_the_cell_of_what_it_is_rounded_to(grid):
    w = np.random.default_rng(0).lognormal(0, 3, 2000) * 5
    recorded = grid.rounded(w)
    seen = recorded > 0
    slack = 1e-12 * w[seen]
    assert (grid.below(recorded[seen]) <= w[seen] + slack).all()
    assert (grid.above(recorded[seen]) >= w[seen] - slack).all()
    assert grid.rounded(recorded[seen]) == pytest.approx(recorded[seen], rel=1e-12)
    assert (w[~seen] < grid.least).all()
    assert (grid.floor(w) <= w * (1 + 1e-6)).all()
    assert (grid.ceil(w) >= w * (1 - 1e-6)).all()
    cells = np.unique(np.round(recorded[seen], 12))
    assert grid.widths(cells) == pytest.approx(grid.above(cells) - grid.below(cells))


def test_cells_meet_at_powers_of_ten():
    grid = Figures(2)
    cells = np.array([0.98, 0.99, 1.0, 1.1, 1.2])
    assert grid.below(cells)[1:] == pytest.approx(grid.above(cells)[:-1])
    assert (grid.below(1.0), grid.above(1.0)) == pytest.approx((0.995, 1.05))


def test_bounds_are_numbers_that_can_be_written_down():
    assert Observation(resolution=0.1, truncation=(0.3, 0.7)).low == pytest.approx(
        0.25
    )  # 0.3 / 0.1 is not quite 3
    assert Observation(resolution=0.1, truncation=(0.25, 0.7)).low == pytest.approx(
        0.25
    )
    assert Observation(resolution=0.1, truncation=(0.31, 0.79)).high == pytest.approx(
        0.75
    )
    assert Observation(resolution=0.1).low == pytest.approx(0.05)
    assert Observation(resolution=0.1, zeros="censored").low == 0
    assert Observation(significant=2, truncation=(1, None)).low == pytest.approx(0.995)
    assert Observation(
        resolution=0.1, censoring=(0.2, 0.9)
    ).censored_below == pytest.approx(0.25)
    assert Observation(
        resolution=0.1, censoring=(0.2, 0.9)
    ).censored_above == pytest.approx(0.85)
    assert Observation(censoring=(None, 3)).censored_below == 0


# -- the likelihood ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.004, 0.01, 0.05])
@pytest.mark.parametrize("family", [*SIMPLE, "generalizedgamma"])
def test_the_likelihood_of_rounded_weights_is_the_plain_one(family, step):
    w = Steps(step).rounded(AREAS[:200])
    w = w[w > 0]
    fit = fit_weights(w, family, resolution=step)
    law = BY_SCIPY[family](*fit.values) if family in SIMPLE else fit.distribution()
    seen = law.sf(step / 2)
    middle = law.median()
    plain = 0.0
    for v in w:
        ends = v - step / 2, v + step / 2
        share = (
            law.sf(ends[0]) - law.sf(ends[1])
            if v > middle
            else law.cdf(ends[1]) - law.cdf(ends[0])
        )
        plain += math.log(share / seen)
    assert fit.log_likelihood == pytest.approx(
        plain, rel=1e-7 if not fit.limit else 1e-5
    )


@pytest.mark.parametrize("step", [0.004, 0.01, 0.05])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("zeros", ["exclude", "censored", "hurdle"])
def test_rounded_weights_give_the_parameters_of_the_unrounded(step, dtype, zeros):
    unrounded = fit_weights(AREAS)
    w = np.round(AREAS / step) * step
    fit = fit_weights(w.astype(dtype), resolution=step, zeros=zeros)
    if (
        zeros == "censored"
    ):  # what was rounded to zero tells something, if it is no more than small
        assert near(fit, unrounded, {0.004: 0.3, 0.01: 0.5, 0.05: 1.2}[step])
    else:
        assert near(unrounded, fit, {0.004: 0.3, 0.01: 0.6, 0.05: 2.0}[step])
    if zeros == "censored":
        assert (fit.n, fit.n_zero, fit.n_censored) == (AREAS.size, 0, (w == 0).sum())
    if zeros == "hurdle":  # pairs that were rounded to zero are connected all the same
        assert fit.connection.probability == pytest.approx(1, abs=0.06)


def test_whole_numbers_are_counts_of_a_step_of_one():
    w = np.ceil(AREAS * 100)
    counts, steps = (
        fit_weights(w, discrete=True),
        fit_weights(w.astype(int), resolution=1),
    )
    assert steps.params == counts.params
    assert steps.log_likelihood == counts.log_likelihood
    scaled = fit_weights(w / 100, resolution=0.01)
    assert scaled.params["sigma"] == pytest.approx(counts.params["sigma"], rel=1e-9)


@pytest.mark.parametrize("size", [1e6, 1e9, 1e12, 1e15, 1e17])
@pytest.mark.parametrize("family", [*SIMPLE, "generalizedgamma"])
def test_large_counts_are_as_continuous_ones(family, size):
    w = np.round(np.random.default_rng(5).lognormal(math.log(size), 0.8, 300))
    continuous, counts = fit_weights(w, family), fit_weights(w, family, discrete=True)
    for name, error in continuous.stderr.items():
        assert counts.stderr[name] == pytest.approx(error, rel=0.01, nan_ok=True)
    if continuous.limit:
        return
    for one, other in zip(
        *(confidence_intervals(fit).values() for fit in (continuous, counts)),
        strict=True,
    ):
        assert other == pytest.approx(one, rel=1e-3)


@pytest.mark.parametrize(
    "family",
    ["lognormal", "gamma", "weibull", "lomax", "inversegaussian", "exponential"],
)
@pytest.mark.parametrize("level", [1e-12, 0.5, 1 - 1e-9])
def test_a_narrow_interval_is_density_times_width(family, level):
    rule, params = FAMILIES[family], TRUTH[family]
    place = float(rule.ppf(np.array(level), params))
    for width in (1e-5, 1e-7, 1e-9, 1e-12):
        ends = place * (1 - width / 2), place * (1 + width / 2)
        expected = float(rule.logpdf(np.array(place), params)) + math.log(
            ends[1] - ends[0]
        )
        assert float(log_interval(rule, params, *ends)) == pytest.approx(
            expected, abs=2e-5
        )


# -- what rests on it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"zeros": "censored"},
        {"truncation": (0.03, None)},
        {"censoring": (0.02, 0.2)},
    ],
)
def test_what_is_drawn_is_written_down_as_the_data_were(options):
    observation = Observation(resolution=0.01, **options)
    drawn = draw(
        FAMILIES["lognormal"],
        (-2.9, 0.85),
        20_000,
        observation,
        np.random.default_rng(1),
    )
    inside = (drawn > observation.censored_below) & (drawn < observation.censored_above)
    assert drawn[inside] / 0.01 == pytest.approx(np.round(drawn[inside] / 0.01))
    fit = fit_weights(drawn, observation=observation)
    assert fit.values == pytest.approx((-2.9, 0.85), abs=0.03)
    for k in np.unique(drawn[inside]):
        assert (drawn <= k + 1e-9).mean() == pytest.approx(
            float(fit.seen_cdf(k)), abs=0.012
        )


def test_goodness_of_fit_of_rounded_weights_is_of_their_steps():
    w = np.round(AREAS[:400], 2)
    fit = fit_weights(w, resolution=0.01)
    gaps = [
        abs((w[w > 0] <= k + 1e-9).mean() - fit.seen_cdf(k))
        for k in np.unique(w[w > 0])
    ]
    assert fit.ks_distance() == pytest.approx(max(gaps), abs=1e-12)
    assert goodness_of_fit(fit, 60, jobs=1).p_value > 0.05
    assert (
        goodness_of_fit(
            fit_weights(w, "halfnormal", resolution=0.01), 60, jobs=1
        ).p_value
        < 0.05
    )


def test_comparisons_read_the_same_observation():
    w, observation = np.round(AREAS[:400], 2), Observation(resolution=0.01)
    result = compare_families(w, ("lognormal", "gamma"), observation=observation)
    assert result["lognormal"].params == fit_weights(w, resolution=0.01).params
    assert result.tests[0].p_value == pair_test(*result.fits).p_value
    groups = compare_groups(w, np.arange(400) % 2, "lognormal", observation=observation)
    assert groups["0"].best.observation == observation
    weighted = fit_weights(*np.unique(w[w > 0], return_counts=True)[:1], resolution=0.01,
                           sample_weights=np.unique(w[w > 0], return_counts=True)[1])  # fmt: skip
    assert weighted.params["sigma"] == pytest.approx(
        result["lognormal"].params["sigma"], rel=1e-6
    )


# -- saturation, and intervals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["lognormal", "gamma", "weibull"])
@pytest.mark.parametrize("low", [None, 0.7])
def test_saturated_weights_are_scipys(family, low):
    w = np.random.default_rng(0).gamma(1.7, 1.0, 400) + 0.01
    ceiling = 2.5
    known = (w > (low or 0)) & (w < ceiling)
    censored = stats.CensoredData(
        uncensored=w[known],
        left=np.full(0 if low is None else (w <= low).sum(), low or 1.0),
        right=np.full((w >= ceiling).sum(), ceiling),
    )
    rule = {
        "lognormal": stats.lognorm,
        "gamma": stats.gamma,
        "weibull": stats.weibull_min,
    }[family]
    shape, _, scale = rule.fit(censored, floc=0)
    expected = (math.log(scale), shape) if family == "lognormal" else (shape, scale)
    fit = fit_weights(np.minimum(w, ceiling), family, censoring=(low, ceiling))
    assert fit.values == pytest.approx(expected, rel=3e-4, abs=3e-4)
    assert fit.n_censored_above == (w >= ceiling).sum()
    assert fit.n == 400


@pytest.mark.parametrize("family", ["lognormal", "weibull"])
def test_intervals_are_scipys(family):
    rng = np.random.default_rng(1)
    w = rng.lognormal(0, 0.8, 300)
    low, high = w * rng.uniform(0.5, 1, 300), w * rng.uniform(1, 2, 300)
    low[:60], high[60:120] = 0, np.inf
    low[120:180] = high[120:180] = w[120:180]
    fit = fit_weights(interval_sample(low, high), family)
    censored = stats.CensoredData(
        uncensored=w[120:180],
        left=high[:60],
        right=low[60:120],
        interval=np.c_[low[180:], high[180:]],
    )
    rule = {"lognormal": stats.lognorm, "weibull": stats.weibull_min}[family]
    shape, _, scale = rule.fit(censored, floc=0)
    expected = (math.log(scale), shape) if family == "lognormal" else (shape, scale)
    assert fit.values == pytest.approx(expected, rel=3e-4, abs=3e-4)
    assert math.isnan(fit.ks_distance())
    with pytest.raises(ValueError, match="without intervals of its own"):
        goodness_of_fit(fit)


def test_a_histogram_counts_as_its_bars_say():
    w = np.random.default_rng(0).lognormal(size=3000)
    bars, edges = np.histogram(
        w, [0, 0.25, 0.5, 1, 2, 4, 8, 50, np.inf]
    )  # the last is empty
    fit = fit_weights(interval_sample(edges[:-1], edges[1:], sample_weights=bars))
    assert near(fit, fit_weights(w), 1.0)
    assert fit.total == 3000


# -- wrong input -------------------------------------------------------------------------------------------------------

GOOD = [1.0, 2.0, 3.0, 5.0]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fit_weights(GOOD, resolution=0), "`resolution` must be above 0; got 0."),
        (lambda: fit_weights(GOOD, resolution="fine"), "`resolution` must be a number; got 'fine'."),
        (lambda: fit_weights(GOOD, resolution=1, discrete=True), "`resolution` must be left out where `discrete` is given; got both."),
        (lambda: fit_weights([1.0, 2.0, 3.7], resolution=1), "`weights` must be multiples of `resolution`, 1; got 1 of 3 that are not, 3.7 for one. Of values that each have ends of their own take an `interval_sample`."),
        (lambda: fit_weights(GOOD, resolution=1, observation=Observation()), "`observation` must be left out where `resolution` is given; got both: say the second inside the first."),
        (lambda: fit_weights(GOOD, observation={"resolution": 1}), "`observation` must be an Observation; got dict."),
        (lambda: Observation(zeros="censored"), '`zeros` must not be "censored" unless `resolution` or `censoring` says below what a magnitude is written down as zero; got neither.'),
        (lambda: Observation(zeros="censored", resolution=1, truncation=(2, None)), '`zeros` must not be "censored" where `truncation` leaves out what is small; got 1.5.'),
        (lambda: Observation(censoring=(3, 2)), "`censoring` must be (low, high) with low below high; got (3, 2)."),
        (lambda: Observation(censoring=(1, 2, 3)), "`censoring` must be a number or a pair, (low, high); got (1, 2, 3)."),
        (lambda: Observation(significant=0), "`significant` must be at least 1; got 0."),
        (lambda: Observation(resolution=1, truncation=(1.2, 1.8)), "`truncation` must hold a multiple of `resolution`, 1; got 1.2 to 1.8."),
        (lambda: fit_weights(GOOD, censoring=(None, 1.5)), "`censoring` must leave at least 2 different weights between its ends; got 1.5."),
        (lambda: interval_sample([1, 2], [2]), "`high` must be as many as `low`, 2; got 1."),
        (lambda: interval_sample([1, 3], [2, 2]), "`low` and `high` must be the ends of an interval above 0, in this order, neither missing; got 3 and 2."),
        (lambda: interval_sample([1, math.nan], [2, 2]), "`low` and `high` must be the ends of an interval above 0, in this order, neither missing; got nan and 2."),
        (lambda: interval_sample([1, 0], [2, math.inf]), "`low` and `high` must not be 0 and infinite at once, which says nothing; got 1 such."),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError)) as raised:
        call()
    assert str(raised.value) == sentence


def test_tensors_and_models_have_a_resolution_too():
    w = torch.tensor(np.round(AREAS, 2), dtype=torch.float32)
    assert near(fit_weights(w, resolution=0.01), fit_weights(AREAS), 0.8)
