"""What a comparison of families can and cannot conclude."""

import json
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from daleml.analysis import (
    GoodnessOfFit,
    compare_families,
    compare_groups,
    family_label,
    fit_weights,
    pair_test,
)
from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.families import FAMILIES
from daleml.analysis.distributions.fit import fit_sample
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.observed_sample import ObservedSample
from daleml.analysis.weights.sampling import weight_sample


def draw(n, seed=0):
    return np.random.default_rng(seed).gamma(1.7, 2.0, n)


def fits(w, *families, **options):
    observed = ObservedSample(weight_sample(w), Observation(**options))
    return [fit_sample(observed, FAMILIES[family]) for family in families]


# -- tests of pairs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [("gamma", "lognormal"), ("exponential", "inversegaussian"), ("lomax", "gamma")],
)
def test_vuong_is_the_plain_computation(one, other):
    w = draw(400)
    first, second = fits(w, one, other)
    gaps = first.distribution().logpdf(w) - second.distribution().logpdf(w)
    z = (gaps.sum() - (len(first.params) - len(second.params))) / (
        math.sqrt(400) * gaps.std()
    )
    found = pair_test(first, second)
    assert found.test == "vuong"
    assert (found.better, found.worse) == ((one, other) if z > 0 else (other, one))
    assert found.statistic == pytest.approx(abs(z), rel=1e-9)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)
    assert pair_test(second, first) == found
    power = 400 * ((stats.norm.isf(0.025) + stats.norm.isf(0.2)) / z) ** 2
    assert found.n_needed == pytest.approx(power, rel=1e-6)


def test_the_sign_agrees_with_the_ranking():
    for seed in range(20):
        first, second = fits(draw(50, seed), "lognormal", "exponential")
        better = first if first.aic <= second.aic else second
        assert pair_test(first, second).better == better.family


@pytest.mark.parametrize(
    ("simple", "general", "freedom"),
    [
        ("exponential", "gamma", 1), ("exponential", "weibull", 1), ("exponential", "stretchedexponential", 1),
        ("halfnormal", "truncatednormal", 1), ("halfnormal", "stretchedexponential", 1),
        ("lognormal", "generalizedgamma", 1), ("gamma", "generalizedgamma", 1), ("exponential", "generalizedgamma", 2),
    ],
)  # fmt: skip
def test_nested_families_are_compared_by_likelihood_ratio(simple, general, freedom):
    first, second = fits(draw(300), simple, general)
    found = pair_test(first, second)
    ratio = 2 * (second.log_likelihood - first.log_likelihood)
    assert found.test == "likelihood ratio"
    assert found.statistic == pytest.approx(ratio)
    assert found.p_value == pytest.approx(stats.chi2.sf(ratio, freedom))
    assert pair_test(second, first) == found
    if ratio > freedom:  # so many weights reject at 5 % four times in five
        excess = (ratio - freedom) * found.n_needed / 300
        assert stats.ncx2.sf(
            stats.chi2.isf(0.05, freedom), freedom, excess
        ) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize(
    ("true", "simple", "general"),
    [
        (stats.expon(scale=2), "exponential", "gamma"),
        (stats.expon(scale=2), "exponential", "weibull"),
        (stats.halfnorm(), "halfnormal", "stretchedexponential"),
        (stats.lognorm(0.8), "lognormal", "generalizedgamma"),
    ],
)
def test_likelihood_ratios_are_calibrated(true, simple, general):
    p = [
        pair_test(
            *fits(
                true.rvs(400, random_state=np.random.default_rng(seed)), simple, general
            )
        ).p_value
        for seed in range(300)
    ]
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert np.mean(np.array(p) < 0.05) < 0.085


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lognormal", "lognormal2"),
        ("lomax", "exponential"),
        ("exponential", "truncatednormal"),
        ("lognormal2", "lognormal3"),
    ],
)
def test_irregular_pairs_have_no_test(one, other):
    found = pair_test(*fits(draw(100), one, other))
    assert found.test is None
    assert math.isnan(found.p_value)
    assert math.isnan(found.statistic)


def test_twice_the_evidence_needs_no_more_weights():
    """The number needed is of the population: a larger sample does not change it by much."""
    small, large = (
        pair_test(*fits(draw(n, 3), "gamma", "lognormal")).n_needed
        for n in (4000, 16000)
    )
    assert large == pytest.approx(small, rel=0.5)
    doubled = np.repeat(draw(500), 2)
    once, twice = (
        pair_test(*fits(w, "weibull", "lognormal")) for w in (doubled[::2], doubled)
    )
    assert twice.statistic == pytest.approx(math.sqrt(2) * once.statistic, rel=1e-6)
    assert twice.n_needed == pytest.approx(once.n_needed, rel=1e-6)


def test_pairs_are_of_one_sample():
    (first,), (second,) = fits(draw(50), "gamma"), fits(draw(50, 1), "lognormal")
    with pytest.raises(
        ValueError,
        match="`second` must be fitted to the sample of `first`; got another.",
    ):
        pair_test(first, second)
    w = draw(50)
    one, other = (
        fit_weights(w, "gamma", sample_weights=np.arange(50)),
        fit_weights(w, "lognormal"),
    )
    with pytest.raises(ValueError, match="got another"):
        pair_test(one, other)


def test_a_family_against_itself():
    first, second = fits(draw(50), "gamma", "gamma")
    assert (pair_test(first, second).p_value, pair_test(first, second).n_needed) == (
        1,
        math.inf,
    )


@pytest.mark.parametrize(
    "options", [{"truncation": (0.5, None)}, {"censoring": 0.5}, {"discrete": True}]
)
def test_pairs_are_compared_as_observed(options):
    w = draw(500)
    w = (
        np.ceil(w)
        if "discrete" in options
        else w[w > 0.5]
        if "truncation" in options
        else w
    )
    first, second = fits(w, "gamma", "lognormal", **options)
    found = pair_test(first, second)
    gap = first.log_likelihood - second.log_likelihood
    assert found.better == ("gamma" if gap > 0 else "lognormal")
    assert found.statistic > 0


# -- conclusions -------------------------------------------------------------------------------------------------------


def test_one_family_is_no_comparison():
    text = "Only the gamma was fitted, so nothing was compared"
    assert compare_families(draw(100), "gamma").conclusion() == f"{text}."
    tested = compare_families(draw(100), "gamma", gof=40)
    assert (
        tested.conclusion()
        == f"{text}; nothing speaks against it (goodness of fit, p = {tested.goodness['gamma'].p_value:.3g})."
    )


def test_too_few():
    for n in (2, 5, 9):
        text = f"{n} weights are too few to rank these families; give at least 10, better hundreds."
        assert compare_families(draw(n)).conclusion() == text
    assert "too few to tell it from" in compare_families(draw(10)).conclusion()


def test_a_clear_winner():
    result = compare_families(draw(20_000), ("gamma", "lognormal", "exponential"))
    gap = result.fits[1].aicc - result.best.aicc
    assert result.conclusion() == (
        f"The gamma describes these weights best; the {family_label(result.fits[1].family)}, next, is {gap:,.1f} AICc behind."
    )
    assert result.cannot_tell == ()


def test_what_cannot_be_told_and_how_many_would():
    result = compare_families(draw(60), ("gamma", "weibull", "halfnormal"))
    text = result.conclusion()
    assert text.startswith(
        f"The {family_label(result.best.family)} ranks first, but 60 weights are too few to"
        " tell it from the "
    )
    assert set(result.cannot_tell) <= {"gamma", "weibull", "halfnormal"} - {
        result.best.family
    }
    for name in result.cannot_tell:
        assert family_label(name) in text
    needed = min(
        (test.n_needed for test in result.tests if test.worse in result.cannot_tell),
        default=math.inf,
    )
    if 60 < needed < 6000:
        said = int(text.split("about ")[1].split(" would")[0].replace(",", ""))
        assert needed <= said <= 1.1 * needed


def test_a_fit_that_does_not_describe_the_weights():
    """The best of two bad families is still bad, and the sentence says so."""
    w = np.r_[
        np.random.default_rng(0).lognormal(0, 0.3, 500),
        np.random.default_rng(1).lognormal(4, 0.3, 500),
    ]
    result = compare_families(w, ("gamma", "halfnormal"), gof=60)
    assert (
        "; yet it does not describe them fully (goodness of fit, p < 0.02)."
        in result.conclusion()
    )


def test_the_table():
    result = compare_families(draw(300), ("gamma", "lognormal", "exponential"), gof=20)
    table = result.table()
    assert list(table.columns) == [
        "family",
        "aicc",
        "delta",
        "weight",
        "log_likelihood",
        "p_as_good",
        "p_fits",
        "parameters",
    ]
    weights = np.exp(-(table.aicc - table.aicc.min()) / 2)
    assert table.weight.tolist() == pytest.approx((weights / weights.sum()).tolist())
    assert table.p_fits.tolist() == [
        result.goodness[name].p_value for name in table.family
    ]
    assert table.p_as_good.tolist()[1:] == [test.p_value for test in result.tests]
    assert "p_fits" not in compare_families(draw(300), "gamma").table()
    few = compare_families([1.0, 2.0, 4.0], ("gamma", "lognormal")).table()
    assert few.weight.isna().all()


def test_of_three_weights_one_family_may_have_an_aicc():
    result = compare_families([1.0, 2.0, 4.0, 7.0], ("exponential", "gamma"))
    assert result.table().weight.tolist() == pytest.approx([1, 0], abs=0.05)


def test_progress_is_told_over_all_families():
    told = []
    compare_families(
        draw(60),
        ("gamma", "exponential"),
        gof=7,
        jobs=1,
        progress=lambda done, of: told.append((done, of)),
    )
    assert told[-1] == (14, 14)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_results_travel():
    result = compare_families(draw(80), ("gamma", "weibull"), gof=10)
    copy = pickle.loads(pickle.dumps(result))
    assert copy == result
    assert copy.conclusion() == result.conclusion()
    assert copy.best.ks_distance() == result.best.ks_distance()
    assert (
        json.loads(json.dumps(result.to_dict(), allow_nan=False))["best"]
        == result.best.family
    )
    assert isinstance(result.goodness["gamma"], GoodnessOfFit)
    assert result["Gamma"] is result["gamma"]
    assert isinstance(result, Comparison)
    with pytest.raises(KeyError):
        result["lognormal"]
    with pytest.raises(AttributeError):
        result.fits = ()


# -- what must not be claimed ------------------------------------------------------------------------------------------


def test_a_mixture_is_not_claimed_of_weights_of_one_lognormal():
    """No textbook test compares it with its component, and a stray weight gives it a dozen AICc by chance."""
    for seed in range(1000, 1012):
        x = np.random.default_rng(seed).lognormal(size=500)
        found = compare_families(x, ("lognormal", "lognormal2"))
        assert found.best.family == "lognormal" or "lognormal" in found.cannot_tell


def test_two_populations_are_claimed():
    rng = np.random.default_rng(0)
    x = np.r_[rng.lognormal(0, 0.5, 700), rng.lognormal(2.5, 0.5, 300)]
    found = compare_families(x, ("lognormal", "lognormal2"))
    assert found.best.family == "lognormal2"
    assert found.cannot_tell == ()


def test_of_a_few_weights_nothing_is_told():
    found = compare_families([1.0, 2.0], ("lognormal", "gamma", "weibull"))
    assert found.cannot_tell == tuple(fit.family for fit in found.fits[1:])
    table = compare_groups(
        [1.0, 2, 3, 5, *range(1, 30)], ["a"] * 4 + ["b"] * 29, ("lognormal", "gamma")
    ).table()
    assert table["best"].tolist()[0] == "too few"


def test_few_bootstrap_samples_judge_nothing():
    x = np.random.default_rng(3).exponential(size=2000)
    assert (
        "too few to test its goodness of fit"
        in compare_families(x, "lognormal", gof=10).conclusion()
    )
    assert (
        "does not describe them fully"
        in compare_families(x, "lognormal", gof=30).conclusion()
    )


def test_the_connection_probability_is_told():
    x = np.r_[np.random.default_rng(0).lognormal(size=50), np.zeros(50)]
    assert "connection probability 0.5 [" in str(
        compare_families(x, ("lognormal", "gamma"), zeros="hurdle")
    )
    groups = compare_groups(x, ["a", "b"] * 50, "lognormal", zeros="hurdle").table()
    assert groups["connection"].str.contains(r"\[").all()


# -- what small and large gaps allow -----------------------------------------------------------------------------------


def test_a_family_far_behind_is_not_called_as_good():
    """No textbook test compares a family with the end of its own range; far behind it is told apart all the same."""
    w = stats.truncnorm(-1, 3).rvs(90, random_state=np.random.default_rng(0)) + 1.2
    found = compare_families(w, ("truncatednormal", "exponential", "weibull"))
    rivals = {fit.family: fit.aicc - found.best.aicc for fit in found.fits[1:]}
    assert rivals["exponential"] > 10
    assert "exponential" not in found.cannot_tell


def test_an_exponential_is_hardly_ever_beaten_by_what_ends_in_it():
    """Of 60 at 2 %, four or more come once in thirty."""
    beaten = 0
    for seed in range(30):
        x = np.random.default_rng(seed).exponential(size=80)
        for other in ("lomax", "truncatednormal"):
            found = compare_families(x, ("exponential", other))
            beaten += (
                found.best.family == other and "exponential" not in found.cannot_tell
            )
    assert beaten < 4


def test_families_that_say_the_same_of_every_weight():
    """A gamma and a generalised gamma near it differ by no more than fitting does: Vuong's first test says so."""
    w = np.random.default_rng(0).lognormal(size=60)
    near, far = (
        pair_test(*fits(w, "lognormal2", "gamma")),
        pair_test(*fits(draw(3000), "gamma", "lognormal")),
    )
    assert far.p_variance < 1e-6
    assert 0 <= near.p_variance <= 1
    shifted = pair_test(
        *fits(np.random.default_rng(2).weibull(1.0, 80), "gamma", "weibull")
    )
    assert shifted.p_variance > 0.05


def test_of_fewer_than_ten_weights_no_fit_is_judged():
    found = compare_families([1.0, 2.0, 4.0, 7.0], ("lognormal", "gamma"), gof=30)
    assert found.goodness == {}
    assert "goodness of fit" not in found.conclusion()
    assert "p_fits" not in found.table()


def test_the_figure_the_table_and_the_text_agree():
    import matplotlib.pyplot as plt

    from daleml.analysis import plots

    found = compare_families(draw(60), ("gamma", "weibull", "halfnormal", "lognormal"))
    axes = plots.family_bars(found)
    filled = {
        float(mark.get_ydata()[0])
        for mark in axes.lines
        if mark.get_markersize() == 8
        and len(mark.get_ydata()) == 1
        and mark.get_markerfacecolor() != "white"
    }
    rows = {len(found.fits) - 1 - i: fit.family for i, fit in enumerate(found.fits)}
    assert {rows[round(place)] for place in filled} == {
        found.best.family,
        *found.cannot_tell,
    }
    for name in found.cannot_tell:
        assert family_label(name) in found.conclusion()
    plt.close("all")


def test_a_floor_of_the_bootstrap_is_said():
    x = np.random.default_rng(3).exponential(size=500)
    found = compare_families(x, "lognormal", gof=99)
    assert "(goodness of fit, p < 0.01)" in found.conclusion()
    assert "< 0.01" in str(found)
    assert found.text_table()["p_fits"].tolist() == ["< 0.01"]
    assert found.table()["p_fits"].tolist() == [0.01]
    assert found.goodness["lognormal"].to_dict()["at_floor"] is True
    assert "p < 0.01, 99 samples" in str(found.goodness["lognormal"])
