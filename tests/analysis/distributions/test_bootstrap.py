"""Samples drawn from a fit, goodness of fit, and intervals."""

import json
import math

import numpy as np
import pytest
from scipy import optimize, stats

from daleml.analysis import (
    compare_families,
    confidence_intervals,
    fit_weights,
    goodness_of_fit,
)
from daleml.analysis.distributions.bootstrap import draw
from daleml.analysis.distributions.families import FAMILIES, SIMPLE
from daleml.analysis.distributions.likelihood import log_likelihood
from daleml.analysis.distributions.observation import Observation
from tests.reference.draws import MODES, TRUTH, observed


def lognormal(n=200, seed=0):
    return np.random.default_rng(seed).lognormal(1, 0.8, n)


# -- drawing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_drawn_is_what_is_seen(family, mode):
    w, options, _ = observed(FAMILIES[family], mode, 500, np.random.default_rng(0))
    fit = fit_weights(w, family, **options)
    drawn = draw(fit.rule, fit.values, 4000, fit.observation, np.random.default_rng(1))
    assert drawn.size == 4000
    if mode == "discrete":
        gap = max(abs((drawn <= k).mean() - fit.seen_cdf(k)) for k in np.unique(drawn))
        assert gap < 1.6 / math.sqrt(4000)
        assert drawn.min() >= 1
        assert (drawn == np.round(drawn)).all()
    elif mode == "censored":
        threshold = options["censoring"]
        assert drawn.min() == threshold
        assert (drawn == threshold).mean() == pytest.approx(
            float(fit.seen_cdf(threshold)), abs=0.02
        )
        above = drawn[drawn > threshold]
        share = fit.seen_cdf(threshold)
        assert (
            stats.kstest(
                above, lambda w: (fit.seen_cdf(w) - share) / (1 - share)
            ).pvalue
            > 1e-3
        )
    else:
        assert stats.kstest(drawn, fit.seen_cdf).pvalue > 1e-3
        assert drawn.min() >= fit.observation.low


@pytest.mark.parametrize(
    ("ends", "exact"),
    [
        (
            (40.0, None),
            lambda w: 1 - np.exp(-(w - 40)),
        ),  # one in 1e17: no quantile of the whole could tell them apart
        ((900.0, None), lambda w: 1 - np.exp(-(w - 900))),
        ((40.0, 41.0), lambda w: (1 - np.exp(-(w - 40))) / (1 - math.exp(-1))),
        ((None, 1e-4), lambda w: w / 1e-4),
    ],
)
def test_drawing_where_hardly_anything_is_seen(ends, exact):
    drawn = draw(
        FAMILIES["exponential"],
        (1.0,),
        2000,
        Observation(truncation=ends),
        np.random.default_rng(0),
    )
    assert stats.kstest(drawn, exact).pvalue > 1e-3
    assert drawn.min() >= (ends[0] or 0)
    assert drawn.max() <= (ends[1] or math.inf)


# -- goodness of fit ---------------------------------------------------------------------------------------------------


def test_goodness_of_fit_is_the_plain_bootstrap():
    fit = fit_weights(lognormal(), "gamma")
    found = goodness_of_fit(fit, 30, rng=5, jobs=1)
    farther = 0
    for seed in np.random.SeedSequence(5).spawn(30):
        drawn = np.random.default_rng(seed).gamma(
            fit.params["shape"], fit.params["scale"], fit.n
        )
        farther += fit_weights(drawn, "gamma").ks_distance() >= fit.ks_distance()
    assert found.p_value == (1 + farther) / 31
    assert found.distance == fit.ks_distance()
    assert (found.family, found.n_boot) == ("gamma", 30)
    assert json.loads(json.dumps(found.to_dict()))["p_value"] == found.p_value


def test_results_do_not_depend_on_the_number_of_processes(monkeypatch):
    fit = fit_weights(lognormal())
    alone = goodness_of_fit(fit, 60, rng=1, jobs=1)
    monkeypatch.setattr("daleml.analysis.distributions.bootstrap._WORTH_IT", 0.0)
    told = []
    assert (
        goodness_of_fit(
            fit, 60, rng=1, jobs=2, progress=lambda *done: told.append(done)
        )
        == alone
    )
    assert told[-1] == (60, 60)
    assert goodness_of_fit(fit, 60, rng=2, jobs=1) != alone
    generators = [np.random.default_rng(3) for _ in range(2)]
    assert (
        len(
            {
                goodness_of_fit(fit, 20, rng=generator, jobs=1).p_value
                for generator in generators
            }
        )
        == 1
    )


def test_a_false_family_is_rejected_and_a_p_value_is_never_zero():
    w = lognormal(500)
    assert goodness_of_fit(fit_weights(w, "halfnormal"), 50, jobs=1).p_value == 1 / 51
    assert "are not drawn from it" in str(
        goodness_of_fit(fit_weights(w, "halfnormal"), 50, jobs=1)
    )
    assert "could be drawn from it" in str(goodness_of_fit(fit_weights(w), 50, jobs=1))
    assert goodness_of_fit(fit_weights(w), 1, jobs=1).p_value in (0.5, 1.0)


@pytest.mark.parametrize(
    "options", [{}, {"truncation": (1, 9)}, {"censoring": 1.5}, {"discrete": True}]
)
@pytest.mark.parametrize(
    "family", ["lognormal", "gamma", "lomax", "truncatednormal", "generalizedgamma"]
)
def test_a_few_weights_can_be_tested(family, options):
    fit = fit_weights([1.0, 2.0, 4.0, 3.0, 8.0], family, **options)
    assert 0 < goodness_of_fit(fit, 5, jobs=1).p_value <= 1
    for low, high in confidence_intervals(
        fit, method="bootstrap", n_boot=5, jobs=1
    ).values():
        assert low <= high


def test_progress_is_told_to_the_end(capsys):
    told = []
    goodness_of_fit(
        fit_weights(lognormal(50)),
        33,
        jobs=1,
        progress=lambda done, of: told.append((done, of)),
    )
    assert told[-1] == (33, 33)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    goodness_of_fit(fit_weights(lognormal(50)), 3, jobs=1, progress=True)
    assert (
        capsys.readouterr().out == ""
    )  # a bar is for the terminal, not for what is piped


def test_an_interrupt_is_not_swallowed():
    def stop(done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        goodness_of_fit(fit_weights(lognormal(50)), 30, jobs=1, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        compare_families(lognormal(50), gof=30, jobs=1, progress=stop)


# -- intervals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", [*SIMPLE, "generalizedgamma", "lognormal2"])
def test_profile_intervals_end_where_the_likelihood_has_fallen(family, mode):
    """At an end no choice of the other parameters brings the likelihood back within 1.92 of its top."""
    w, options, _ = observed(FAMILIES[family], mode, 600, np.random.default_rng(2))
    fit = fit_weights(w, family, **options)
    rule, data = fit.rule, fit.observed.data
    for i, (name, ends) in enumerate(confidence_intervals(fit).items()):
        for end in ends:
            assert math.isfinite(end)
            others = [j for j in range(len(fit.values)) if j != i]
            scales = np.array([list(fit.stderr.values())[j] for j in others])

            def depth(moved, end=end, i=i, others=others, scales=scales):
                params = list(fit.values)
                params[i] = end
                for j, value, scale in zip(others, moved, scales, strict=True):
                    params[j] += value * scale
                try:
                    return fit.log_likelihood - log_likelihood(
                        rule, tuple(params), data
                    )
                except ValueError:
                    return math.inf

            if not others:
                fall = depth([])
            else:
                fall = optimize.minimize(
                    depth,
                    np.zeros(len(others)),
                    method="Powell",
                    options={"xtol": 1e-4},
                ).fun
            assert fall == pytest.approx(
                1.9207, abs=0.02 if len(others) < 3 else 0.15
            ), name


def test_exact_intervals():
    """Of an exponential the profile is known: ln r - r + 1, with r the ratio of the mean to the scale."""
    w = lognormal(50)
    low, high = confidence_intervals(fit_weights(w, "exponential"), 0.9)["scale"]
    for end in (low, high):
        ratio = w.mean() / end
        assert 2 * 50 * (ratio - 1 - math.log(ratio)) == pytest.approx(
            stats.chi2.ppf(0.9, 1), rel=1e-3
        )
    assert low < w.mean() < high


@pytest.mark.parametrize("unit", [1e-9, 1e6])
@pytest.mark.parametrize(
    "family", ["gamma", "truncatednormal", "lognormal", "inversegaussian"]
)
def test_intervals_follow_the_unit(family, unit):
    w, _, _ = observed(FAMILIES[family], "whole", 300, np.random.default_rng(0))
    ends, moved = (confidence_intervals(fit_weights(x, family)) for x in (w, w * unit))
    rule = FAMILIES[family]
    for side in (0, 1):
        back = rule.in_unit(tuple(end[side] for end in moved.values()), 1 / unit)
        assert back == pytest.approx(
            [end[side] for end in ends.values()], rel=2e-3, abs=1e-3
        )


def test_the_two_methods_agree_and_wider_is_surer():
    fit = fit_weights(lognormal(400))
    profile = confidence_intervals(fit)
    bootstrap = confidence_intervals(fit, method="bootstrap", n_boot=600, jobs=1)
    wider = confidence_intervals(fit, 0.99)
    for name in fit.params:
        assert profile[name] == pytest.approx(
            bootstrap[name], abs=0.4 * fit.stderr[name]
        )
        assert wider[name][0] < profile[name][0] < profile[name][1] < wider[name][1]


@pytest.mark.parametrize(
    ("family", "name", "end"),
    [
        ("lomax", "shape", 1),
        ("truncatednormal", "location", 0),
        ("truncatednormal", "scale", 1),
    ],
)
def test_an_end_is_infinite_where_the_likelihood_never_falls(family, name, end):
    """Of exponential weights both families are at their limit: how far they have run off, nobody knows."""
    w = np.random.default_rng(4).exponential(1.0, 500)
    fit = fit_weights(w, family)
    assert math.isinf(confidence_intervals(fit)[name][end])


def test_as_many_parameters_as_values_may_be_anything():
    assert confidence_intervals(fit_weights([1.0, 2.0], "gamma")) == {
        "shape": (0, math.inf),
        "scale": (0, math.inf),
    }


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda fit: confidence_intervals(fit, 0), ValueError, "`level` must be between 0 and 1; got 0."),
        (lambda fit: confidence_intervals(fit, 95), ValueError, "`level` must be between 0 and 1; got 95."),
        (lambda fit: confidence_intervals(fit, "a"), TypeError, "`level` must be a number; got 'a'."),
        (lambda fit: confidence_intervals(fit, method="wald"), ValueError, '`method` must be "profile" or "bootstrap"; got \'wald\'.'),
        (lambda fit: confidence_intervals(fit, method="bootstrap", n_boot=1), ValueError, "`n_boot` must be at least 2; got 1."),
        (lambda fit: goodness_of_fit(fit, 0), ValueError, "`n_boot` must be at least 1; got 0."),
        (lambda fit: goodness_of_fit(fit, 10.5), TypeError, "`n_boot` must be an integer; got 10.5."),
        (lambda fit: goodness_of_fit(fit, jobs=0), ValueError, "`jobs` must be at least 1; got 0."),
        (lambda fit: goodness_of_fit(fit, rng=None), TypeError, "`rng` must be an integer; got None."),
        (lambda fit: goodness_of_fit(fit, rng=-1), ValueError, "`rng` must be at least 0; got -1."),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(call, error, sentence):
    with pytest.raises(error) as raised:
        call(fit_weights(lognormal(20)))
    assert str(raised.value) == sentence


def test_the_table_of_truths_is_whole():
    assert TRUTH.keys() == FAMILIES.keys()


def test_weights_in_the_place_of_a_fit_are_answered_in_one_sentence():
    from daleml.analysis import confidence_intervals, pair_test

    weights = [1.0, 2.0, 3.0]
    sentence = " must be a WeightFit, as `fit_weights` returns; got list."
    for call, argument in (
        (goodness_of_fit, "fit"),
        (confidence_intervals, "fit"),
        (lambda w: pair_test(w, w), "first"),
    ):
        with pytest.raises(TypeError) as raised:
            call(weights)
        assert str(raised.value) == f"`{argument}`{sentence}"
