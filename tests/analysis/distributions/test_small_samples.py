"""Few weights, weights of which little was seen, and weights that add up to one: what is said of them."""

import math

import numpy as np
import pytest
from scipy import stats

from daleml.analysis import (
    compare_families,
    confidence_intervals,
    fit_weights,
    goodness_of_fit,
)
from daleml.analysis.distributions.families import FAMILIES
from daleml.analysis.distributions.likelihood import log_likelihood
from tests.reference.draws import TRUTH


def lognormal(n, seed=0):
    return np.random.default_rng(seed).lognormal(-1, 0.8, n)


# -- intervals of few weights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 8, 40])
def test_the_interval_of_mu_is_students(n):
    w = lognormal(n)
    ends = confidence_intervals(fit_weights(w))["mu"]
    exact = stats.t.interval(
        0.95, n - 1, np.log(w).mean(), np.log(w).std(ddof=1) / math.sqrt(n)
    )
    assert ends == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("n", [8, 15])
def test_the_interval_of_sigma_holds_what_it_says(n):
    """Of the normal the coverage is a probability of the chi-squared distribution: no sample is needed."""
    w = lognormal(n)
    fit = fit_weights(w)
    low, high = (
        end / fit.params["sigma"] for end in confidence_intervals(fit)["sigma"]
    )
    held = stats.chi2.cdf(n / low**2, n - 1) - stats.chi2.cdf(n / high**2, n - 1)
    assert held == pytest.approx(0.95, abs=0.004)


def test_many_weights_are_corrected_by_nothing():
    rule = FAMILIES["lognormal"]
    assert [rule.interval_factor(i, 1e6, 0.95) for i in (0, 1)] == pytest.approx(
        [1, 1], abs=1e-5
    )
    assert FAMILIES["gamma"].interval_factor(0, 8, 0.95) == 1


# -- too few -----------------------------------------------------------------------------------------------------------


def test_too_few_is_said_everywhere():
    few = lognormal(9)
    assert "too few to rely on" in str(fit_weights(few))
    assert "too few to rely on" not in str(fit_weights(lognormal(10)))
    test = goodness_of_fit(fit_weights(few), 99, jobs=1)
    assert not test.can_reject
    assert "9 weights are too few to judge a fit by" in str(test)
    assert "too few to rank" in compare_families(few, gof=99).conclusion()
    assert "too few to judge" not in str(
        goodness_of_fit(fit_weights(lognormal(10)), 30, jobs=1)
    )


def test_two_different_values_rank_no_families():
    w = np.r_[np.full(6, 0.1), np.full(6, 0.2)]
    for options in ({}, {"resolution": 0.1}):
        result = compare_families(w, ("lognormal", "gamma", "weibull"), **options)
        assert result.conclusion().startswith(
            "2 different values are too few to rank these families"
        )
        assert len(result.cannot_tell) == 2


# -- little seen -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_generalised_gamma_is_never_below_the_truth_where_most_is_hidden(seed):
    rule, truth = FAMILIES["generalizedgamma"], TRUTH["generalizedgamma"]
    threshold = float(rule.ppf(np.array(0.98), truth))
    w = rule.sample(truth, 20_000, np.random.default_rng(seed))
    fit = fit_weights(w[w > threshold], rule, truncation=(threshold, None))
    assert fit.log_likelihood >= log_likelihood(rule, truth, fit.observed.data)
    for name in ("lognormal", "weibull", "gamma"):  # its special cases
        special = fit_weights(w[w > threshold], name, truncation=(threshold, None))
        assert fit.log_likelihood >= special.log_likelihood - 1e-3


def test_what_ran_off_is_marked_where_its_parameters_are_printed():
    w = np.random.default_rng(4).exponential(1.0, 500)
    text = fit_weights(
        w[w > 0.5], "truncatednormal", truncation=(0.5, None)
    ).parameters_text()
    assert text.endswith("(at its limit, the exponential)")
    assert "limit" not in fit_weights(w).parameters_text()


def test_a_mixture_does_not_depend_on_the_order_of_the_rows():
    w = lognormal(200)
    one, other = (fit_weights(rows, "lognormal2") for rows in (w, w[::-1]))
    assert one.values == pytest.approx(other.values, rel=1e-6)


# -- hints in Python ---------------------------------------------------------------------------------------------------


def test_a_printed_fit_says_that_its_weights_were_rounded():
    w = np.round(lognormal(400), 1)
    text = str(fit_weights(w[w > 0]))
    assert text.splitlines()[1].startswith(
        "note: The values are rounded to 0.1 and were fitted as if they were not"
    )
    assert text.endswith("pass `resolution=0.1`.")
    assert len(str(fit_weights(lognormal(400))).splitlines()) == 1
    assert fit_weights(w[w > 0], resolution=0.1).hints == ()
