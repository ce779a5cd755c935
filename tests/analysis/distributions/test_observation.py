"""Weights as they were observed: truncated, censored, counted, weighted, with zeros."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from daleml.analysis import (
    compare_families,
    confidence_intervals,
    fit_weights,
    goodness_of_fit,
)
from daleml.analysis.distributions.families import FAMILIES, SIMPLE
from daleml.analysis.distributions.observation import Observation
from tests.analysis.distributions.test_families import BY_SCIPY
from tests.reference.draws import MODES, TRUTH, observed
from tests.reference.likelihood import log_likelihood

OPTIONS = {
    "whole": {},
    "truncated": {"truncation": (0.4, None)},
    "between": {"truncation": (0.4, 6)},
    "capped": {"truncation": (None, 6.0)},
    "censored": {"censoring": 0.7},
    "censored and truncated": {"censoring": 0.7, "truncation": (0.4, 6.0)},
    "counts": {"discrete": True},
    "counts between": {"discrete": True, "truncation": (2, 6)},
    "counts above fractions": {"discrete": True, "truncation": (1.4, 6.7)},
}


def data(mode, n=300, seed=0):
    w = np.random.default_rng(seed).gamma(1.7, 1.0, n) + 0.01
    low, high = OPTIONS[mode].get("truncation", (None, None))
    if "counts" in mode:
        w = np.ceil(2 * w)
    return w[(w >= (low or 0)) & (w <= (high or math.inf))]


# -- the likelihood and its maximum ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", OPTIONS)
@pytest.mark.parametrize("family", SIMPLE)
def test_the_likelihood_is_the_plain_one(family, mode):
    w = data(mode)
    fit = fit_weights(w, family, **OPTIONS[mode])
    expected = log_likelihood(
        BY_SCIPY[family](*fit.values), w.tolist(), **OPTIONS[mode]
    )
    assert fit.log_likelihood == pytest.approx(
        expected, rel=1e-9 if not fit.limit else 1e-5
    )


@pytest.mark.parametrize(
    "mode", ["whole", "between", "censored and truncated", "counts between"]
)
@pytest.mark.parametrize("family", ["lognormal", "gamma", "weibull"])
def test_the_fit_is_the_highest_place_of_the_plain_likelihood(family, mode):
    w = data(mode, 100).tolist()
    fit = fit_weights(w, family, **OPTIONS[mode])
    rule = FAMILIES[family]

    def depth(free):
        try:
            return -log_likelihood(
                BY_SCIPY[family](*rule.from_free(free)), w, **OPTIONS[mode]
            )
        except (ValueError, ZeroDivisionError):
            return math.inf

    start = (
        rule.to_free(rule.in_unit(fit.values, 1.1)) + 0.05
    )  # not where our own climb ended
    found = optimize.minimize(
        depth, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}
    )
    assert fit.log_likelihood >= -found.fun - 1e-7
    assert rule.to_free(fit.values) == pytest.approx(found.x, abs=2e-4)


@pytest.mark.parametrize("family", ["lognormal", "gamma", "weibull"])
def test_censored_fits_are_scipys(family):
    w = data("whole", 400)
    below = w <= 0.7
    censored = stats.CensoredData(uncensored=w[~below], left=np.full(below.sum(), 0.7))
    rule = {
        "lognormal": stats.lognorm,
        "gamma": stats.gamma,
        "weibull": stats.weibull_min,
    }[family]
    shape, _, scale = rule.fit(censored, floc=0)
    expected = (math.log(scale), shape) if family == "lognormal" else (shape, scale)
    fit = fit_weights(w, family, censoring=0.7)
    assert fit.values == pytest.approx(expected, rel=2e-4)
    assert fit.n_censored == below.sum()
    assert fit.n == 400


def test_censored_values_may_be_given_as_anything_below():
    w = data("whole")
    moved = np.where(w <= 0.7, 0.7, w)
    assert (
        fit_weights(w, censoring=0.7).params == fit_weights(moved, censoring=0.7).params
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_fit_is_lower_than_the_truth(family, mode):
    w, options, truth = observed(FAMILIES[family], mode, 400, np.random.default_rng(0))
    fit = fit_weights(w, family, **options)
    from daleml.analysis.distributions.likelihood import log_likelihood as fast

    assert fit.log_likelihood >= fast(FAMILIES[family], truth, fit.observed.data) - 1e-6


@pytest.mark.parametrize("mode", ["truncated", "censored", "between"])
@pytest.mark.parametrize("family", [*SIMPLE, "generalizedgamma", "lognormal2"])
def test_the_unit_does_not_matter(family, mode):
    w, unit = data(mode, 150), 1e-6
    scaled = {
        name: tuple(end and end * unit for end in value)
        if name == "truncation"
        else value * unit
        for name, value in OPTIONS[mode].items()
    }
    fit, moved = (
        fit_weights(w, family, **OPTIONS[mode]),
        fit_weights(w * unit, family, **scaled),
    )
    assert moved.log_likelihood == pytest.approx(fit.log_likelihood - fit.n * math.log(unit) + (
        0 if fit.n_censored == 0 else fit.n_censored * math.log(unit)
    ), abs=1e-4)  # fmt: skip
    if not fit.limit:
        assert FAMILIES[family].in_unit(moved.values, 1 / unit) == pytest.approx(
            fit.values, rel=5e-3, abs=5e-3
        )


@pytest.mark.parametrize("cv", [0.1, 0.01, 0.001])
@pytest.mark.parametrize(
    "family",
    ["lognormal", "gamma", "inversegaussian", "truncatednormal", "generalizedgamma"],
)
def test_weights_that_hardly_vary(family, cv):
    """A normal in all but name, cut at one standard deviation below its mean: scipy's truncated normal knows it."""
    w = np.random.default_rng(0).normal(1, cv, 3000)
    w = w[w > 1 - cv]
    fit = fit_weights(w, family, truncation=(1 - cv, None))
    normal = stats.truncnorm(-1, np.inf, loc=1, scale=cv).logpdf(w).sum()
    assert abs(fit.log_likelihood - normal) < (10 if cv == 0.1 else 3)
    assert all(0 < error < math.inf for error in fit.stderr.values())
    assert fit.distribution().ppf(0.5) == pytest.approx(1, abs=0.15 * cv)


# -- sample weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", OPTIONS)
@pytest.mark.parametrize("family", [*SIMPLE, "generalizedgamma"])
def test_a_weight_of_two_is_the_value_twice(family, mode):
    w = data(mode, 200)
    counts = np.random.default_rng(1).integers(0, 4, w.size)
    weighted = fit_weights(w, family, sample_weights=counts, **OPTIONS[mode])
    repeated = fit_weights(np.repeat(w, counts), family, **OPTIONS[mode])
    assert weighted.log_likelihood == pytest.approx(
        repeated.log_likelihood, rel=1e-9, abs=1e-5
    )
    assert weighted.aicc == pytest.approx(repeated.aicc, rel=1e-9, abs=1e-5)
    assert weighted.total == repeated.n
    if not weighted.limit:
        assert weighted.values == pytest.approx(repeated.values, rel=2e-3, abs=2e-3)
        if np.isfinite(list(repeated.stderr.values())).all() and family in SIMPLE:
            assert list(weighted.stderr.values()) == pytest.approx(
                list(repeated.stderr.values()), rel=1e-2
            )


def test_comparisons_weigh_too():
    w = data("whole", 200)
    counts = np.random.default_rng(1).integers(0, 4, w.size)
    weighted = compare_families(w, sample_weights=counts)
    repeated = compare_families(np.repeat(w, counts))
    assert [fit.family for fit in weighted.fits] == [
        fit.family for fit in repeated.fits
    ]
    for one, other in zip(weighted.tests, repeated.tests, strict=True):
        assert one.p_value == pytest.approx(other.p_value, abs=1e-5, nan_ok=True)
        assert one.n_needed == pytest.approx(other.n_needed, rel=1e-3)
    assert weighted.conclusion() == repeated.conclusion()


def test_of_weighted_samples_nobody_knows_how_to_draw_more():
    fit = fit_weights([1.0, 2.0, 4.0], sample_weights=[1, 2, 1])
    with pytest.raises(
        ValueError,
        match="`fit` must be of a sample without sample weights to draw more like it",
    ):
        goodness_of_fit(fit)


# -- zeros -------------------------------------------------------------------------------------------------------------


def test_zeros():
    w = np.r_[data("whole", 100), np.zeros(60)]
    left_out = fit_weights(w)
    assert (left_out.n, left_out.n_zero, left_out.connection) == (100, 60, None)
    hurdle = fit_weights(w, zeros="hurdle")
    assert hurdle.params == left_out.params
    low, high = stats.binomtest(100, 160).proportion_ci(method="wilson")
    assert hurdle.connection == pytest.approx((100 / 160, low, high), abs=1e-6)
    assert "connection probability 0.625 [0.548, 0.696]" in str(hurdle)
    assert hurdle.to_dict()["connection"]["probability"] == 0.625
    assert fit_weights(w[:100], zeros="hurdle").connection == pytest.approx(
        (1, 100 / (100 + 1.959964**2), 1)
    )
    weighted = fit_weights(
        w, zeros="hurdle", sample_weights=np.r_[np.ones(100), np.full(60, 5)]
    )
    assert weighted.connection.probability == pytest.approx(100 / 400)
    with pytest.raises(
        ValueError,
        match='`weights` must hold no zero where `zeros` is "error"; got 60.',
    ):
        fit_weights(w, zeros="error")


# -- what was seen -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", OPTIONS)
@pytest.mark.parametrize("family", ["lognormal", "weibull", "generalizedgamma"])
def test_what_was_seen_is_what_is_left(family, mode):
    fit = fit_weights(data(mode), family, **OPTIONS[mode])
    whole, observation = fit.distribution(), fit.observation
    ends = whole.cdf(observation.low), whole.cdf(observation.high)
    for w in (0.001, 0.5, 1.0, 2.0, 2.3, 3.7, 5.0, 100.0):
        upper = math.floor(w) + 0.5 if observation.discrete else w
        expected = (whole.cdf(min(upper, observation.high)) - ends[0]) / (
            ends[1] - ends[0]
        )
        assert fit.seen_cdf(w) == pytest.approx(max(expected, 0), abs=1e-9)
    assert fit.seen_cdf([1.0, 2.0]).shape == (2,)


@pytest.mark.parametrize("mode", ["truncated", "between", "censored"])
def test_the_distance_is_the_plain_one(mode):
    w = np.sort(data(mode))
    fit = fit_weights(w, **OPTIONS[mode])
    threshold = OPTIONS[mode].get("censoring", 0)
    places = w[w > threshold]
    gaps = [
        abs(fit.seen_cdf(x) - share)
        for x in places
        for share in ((w < x).mean(), (w <= x).mean())
    ]
    if threshold:
        gaps.append(abs(fit.seen_cdf(threshold) - (w <= threshold).mean()))
    assert fit.ks_distance() == pytest.approx(max(gaps), abs=1e-12)


def test_the_distance_of_counts_is_between_steps():
    w = data("counts")
    fit = fit_weights(w, discrete=True)
    gaps = [abs(fit.seen_cdf(k) - (w <= k).mean()) for k in np.unique(w)]
    assert fit.ks_distance() == pytest.approx(max(gaps), abs=1e-12)


def test_far_truncation_does_not_underflow():
    """Seen only where one in 1e30 would be: the likelihood still knows the slope of the tail."""
    w = 70 + np.random.default_rng(0).exponential(1, 500)
    for family in (
        "exponential",
        "gamma",
        "weibull",
        "lognormal",
        "inversegaussian",
        "truncatednormal",
    ):
        fit = fit_weights(w, family, truncation=(70, None))
        assert math.isfinite(fit.log_likelihood)
        assert fit.log_likelihood > -500 - 60
    tail = fit_weights(w, "exponential", truncation=(70, None))
    assert tail.params["scale"] == pytest.approx((w - 70).mean(), rel=1e-6)


# -- wrong input -------------------------------------------------------------------------------------------------------

GOOD = [1.0, 2.0, 3.0, 5.0]
LEFT = "with 0 zeros and 0 values left out."


@pytest.mark.parametrize(
    ("weights", "options", "sentence"),
    [
        (["a", "b"], {}, "`weights` must be real numbers; got <U1 values."),
        ([], {}, f"`weights` must hold at least 2 values other than zero; got 0, {LEFT}"),
        ([1.5], {}, f"`weights` must hold at least 2 values other than zero; got 1, {LEFT}"),
        ([2.0] * 5, {"truncation": (1, None)}, "`weights` must vary to be fitted; got 5 values of 2."),
        ([1.0, 2.0, math.nan], {}, "`weights` must be finite; got 1 NaN or infinite values of 3: `drop_missing=True` leaves NaN out, and counts them."),
        ([1.0, 2.0, math.inf], {}, "`weights` must be finite; got 1 NaN or infinite values of 3."),
        ([1.0, 2.0, -3.0], {}, "`weights` must be of one sign unless `sign` or `pool` is given; got 2 positive and 1 negative values."),
        (GOOD, {"truncation": (1.5, None)}, "`weights` must lie within `truncation`, 1.5 to inf, or be left out first; got 1 of 4 outside it, 1 for one."),
        (GOOD, {"truncation": (0, 2)}, "`weights` must lie within `truncation`, 0 to 2, or be left out first; got 2 of 4 outside it, 3 for one."),
        (GOOD, {"truncation": 3}, "`truncation` must be a pair, (low, high); got 3."),
        (GOOD, {"truncation": (1, 2, 3)}, "`truncation` must be a pair, (low, high); got (1, 2, 3)."),
        (GOOD, {"truncation": (3, 2)}, "`truncation` must be (low, high) with low below high; got (3, 2)."),
        (GOOD, {"truncation": (3, 3)}, "`truncation` must be (low, high) with low below high; got (3, 3)."),
        (GOOD, {"truncation": (-1, 3)}, "`truncation[0]` must be at least 0; got -1."),
        (GOOD, {"truncation": (0, -3)}, "`truncation[1]` must be above 0; got -3."),
        (GOOD, {"truncation": (math.nan, 3)}, "`truncation[0]` must be finite; got nan."),
        (GOOD, {"truncation": ("a", "b")}, "`truncation[0]` must be a number; got 'a'."),
        (GOOD, {"truncation": "ab"}, "`truncation[0]` must be a number; got 'a'."),
        (GOOD, {"truncation": (5.2, 5.8), "discrete": True}, "`truncation` must hold a whole number above 0 where `discrete` is True; got 5.2 to 5.8."),
        (GOOD, {"censoring": 4}, "`censoring` must be below at least 2 different weights; got 4."),
        (GOOD, {"censoring": 40}, "`censoring` must be below at least 2 different weights; got 40."),
        (GOOD, {"censoring": 0}, "`censoring` must be above 0; got 0."),
        (GOOD, {"censoring": math.nan}, "`censoring` must be finite; got nan."),
        (GOOD, {"censoring": "low"}, "`censoring` must be a number; got 'low'."),
        (GOOD, {"censoring": 1, "truncation": (1, None)}, "`censoring` must lie inside `truncation`; got 1.0 and (1.0, inf)."),
        (GOOD, {"censoring": 1, "discrete": True}, "`censoring` must be None where `discrete` is True; got both."),
        ([1, 2, 2.5], {"discrete": True}, "`weights` must be whole numbers where `discrete` is True; got 2.5."),
        (GOOD, {"discrete": "yes"}, "`discrete` must be True or False; got 'yes'."),
        (GOOD, {"discrete": 1}, "`discrete` must be True or False; got 1."),
        (GOOD, {"zeros": "keep"}, "`zeros` must be one of exclude, hurdle, censored, error; got 'keep'."),
        (GOOD, {"zeros": ["error"]}, "`zeros` must be one of exclude, hurdle, censored, error; got ['error']."),
        (GOOD, {"sample_weights": [1, 2]}, "`sample_weights` must be as many as the weights, 4; got 2."),
        (GOOD, {"sample_weights": [1, 2, -1, 1]}, "`sample_weights` must be finite and at least 0; got -1."),
        (GOOD, {"sample_weights": [1, 2, math.nan, 1]}, "`sample_weights` must be finite and at least 0; got nan."),
        (GOOD, {"sample_weights": [0, 0, 0, 0]}, "`sample_weights` must not all be 0; got 4 zeros."),
        (GOOD, {"sample_weights": list("abcd")}, "`sample_weights` must be real numbers; got <U1 values."),
        (GOOD, {"sample_weights": [0, 0, 1, 0]}, f"`weights` must hold at least 2 values other than zero; got 1, {LEFT}"),
        (torch.nn.Linear(3, 3), {"sample_weights": [1.0]}, "`sample_weights` must be left out for a model; got some."),
        (GOOD, {"family": "normal"}, f"`family` must be one of {', '.join(FAMILIES)}, powerlaw; got 'normal'."),
        (GOOD, {"family": "lognormal2"}, "`weights` must hold more than 5 different values to fit lognormal2; got 4."),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(weights, options, sentence):
    with pytest.raises((ValueError, TypeError)) as raised:
        fit_weights(weights, **options)
    assert str(raised.value) == sentence


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_a_few_weights(n):
    """Simple families are fitted and say little; a mixture says why not, and does not stop the others."""
    w = [1.0, 2.0, 4.0, 3.0, 9.0][:n]
    result = compare_families(w, "all")
    assert {fit.family for fit in result.fits} == {*SIMPLE, "generalizedgamma"}
    sentence = (
        "`weights` must hold more than 5 different values to fit lognormal2; got {}."
    )
    assert result.failures["lognormal2"] == sentence.format(n)
    assert (
        result.conclusion()
        == f"{n} weights are too few to rank these families; give at least 10, better hundreds."
    )
    assert sentence.format(n) in str(result)
    assert result.to_dict()["failures"].keys() == {"lognormal2", "lognormal3"}
    for fit in result.fits:
        assert all(math.isfinite(value) for value in fit.values)
    with pytest.raises(ValueError, match="must hold more than 8 different values"):
        compare_families(w, "lognormal3")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_setting_gives_a_fit_or_a_sentence(draws):
    rng = np.random.default_rng(draws.draw(st.integers(0, 1000)))
    n = draws.draw(st.sampled_from([2, 3, 5, 20, 60]))
    w = draws.draw(
        st.sampled_from(
            [
                rng.lognormal(0, 1, n),
                rng.poisson(3, n) * 1.0,
                rng.lognormal(0, 6, n),
                rng.uniform(0.99, 1, n),
            ]
        )
    )
    low = draws.draw(st.sampled_from([None, 0.0, 0.5, 1.0, float(w.min())]))
    high = draws.draw(st.sampled_from([None, 3.0, float(w.max()) + 1, math.inf]))
    options = {
        "truncation": draws.draw(st.sampled_from([None, (low, high)])),
        "censoring": draws.draw(st.sampled_from([None, 0.3, 1.0])),
        "discrete": draws.draw(st.booleans()),
        "zeros": draws.draw(st.sampled_from(["exclude", "hurdle", "error"])),
        "sample_weights": draws.draw(st.sampled_from([None, rng.integers(0, 3, n)])),
    }
    w = np.round(w) if options["discrete"] else w
    sentence = None
    try:
        fit = fit_weights(
            w,
            draws.draw(st.sampled_from([*SIMPLE, "generalizedgamma", "lognormal2"])),
            **options,
        )
    except (ValueError, TypeError) as problem:
        sentence = str(problem)
    if sentence:
        assert sentence.startswith("`")
        assert "; got " in sentence
        assert sentence.endswith(".")
        return
    assert math.isfinite(fit.log_likelihood)
    assert 0 <= fit.ks_distance() <= 1
    for name, (low, high) in confidence_intervals(fit).items():
        assert low <= fit.params[name] + 1e-6 * abs(fit.params[name])
        assert high >= fit.params[name] - 1e-6 * abs(fit.params[name])


# -- the observation itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "low", "high", "text"),
    [
        ({}, 0, math.inf, ""),
        ({"truncation": (49.5, None)}, 49.5, math.inf, "seen above 49.5"),
        ({"truncation": (None, 3)}, 0, 3, "seen from 0 to 3"),
        ({"truncation": (1, math.inf), "censoring": 2}, 1, math.inf, "seen above 1, censored at 2"),
        ({"discrete": True}, 0.5, math.inf, "counts, zero not seen"),
        ({"discrete": True, "truncation": (3, 9)}, 2.5, 9.5, "counts, zero not seen, seen from 2.5 to 9.5"),
        ({"discrete": True, "truncation": (2.2, 9.9)}, 2.5, 9.5, "counts, zero not seen, seen from 2.5 to 9.5"),
    ],
)  # fmt: skip
def test_an_observation_knows_its_ends(options, low, high, text):
    observation = Observation(**options)
    assert (observation.low, observation.high) == (low, high)
    assert str(observation) == text
    assert observation.whole == (not options)
    assert observation == Observation(**options)
    for end in observation.to_dict()["truncation"] or ():
        assert end is None or math.isfinite(end)


def test_every_true_family_is_in_the_table_of_draws():
    assert TRUTH.keys() == FAMILIES.keys()
