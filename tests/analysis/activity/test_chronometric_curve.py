"""Chronometric curves against the diffusion that they describe."""

import json
import math

import numpy as np
import pytest
from scipy import optimize

from daleml.analysis.activity import TimesVerdict, chronometric

BOUND, SENSITIVITY, NON_DECISION = 20.0, 0.3, 250.0
STRENGTHS = np.array([0.0, 0.064, 0.128, 0.256, 0.512])


def diffuse(n, step=1.0, seed=0):
    """Decide by a random walk to a bound, step by step."""
    rng = np.random.default_rng(seed)
    strengths = rng.choice(STRENGTHS, n)
    walk, times = np.zeros(n), np.full(n, np.nan)
    for i in range(4000):
        live = np.isnan(times)
        noise = rng.normal(size=n) * math.sqrt(step)
        walk = np.where(live, walk + SENSITIVITY * strengths * step + noise, walk)
        times[live & (np.abs(walk) >= BOUND)] = (i + 1) * step
        if not np.isnan(times).any():
            break
    return strengths, times + NON_DECISION, walk > 0


def test_means_errors_and_quantiles_are_numpys():
    strengths, times, right = diffuse(400)
    curve = chronometric(-strengths, times, right)
    for i, strength in enumerate(STRENGTHS):
        here = times[strengths == strength]
        assert curve.means_ms[i] == pytest.approx(here.mean())
        error = here.std(ddof=1) / math.sqrt(len(here))
        assert curve.standard_errors_ms[i] == pytest.approx(error)
        assert curve.quantiles_ms[i][2] == pytest.approx(np.median(here))
        judged = right[strengths == strength]
        assert curve.fractions_correct[i] == pytest.approx(judged.mean())
        if not judged.all():
            assert curve.error_means_ms[i] == pytest.approx(here[~judged].mean())
    assert curve.n == 400


@pytest.mark.parametrize("joint", [False, True])
def test_the_parameters_of_a_diffusion_are_found_again(joint):
    strengths, times, right = diffuse(1500)
    curve = chronometric(strengths, times, right, joint=joint)
    truth = (BOUND, SENSITIVITY, NON_DECISION)
    found = (curve.bound, curve.sensitivity, curve.non_decision_ms)
    for one, expected, error in zip(found, truth, curve.parameter_errors, strict=True):
        assert abs(one - expected) < 3 * error + 0.03 * expected
    assert curve.verdict is TimesVerdict.FITTED
    assert curve.deviance < 15
    expected = 1 / (1 + np.exp(-2 * curve.bound * curve.sensitivity * 0.128))
    assert curve.predict_correct(0.128) == pytest.approx(expected)


def test_the_curve_is_that_of_least_squares():
    strengths, times, _ = diffuse(600)
    curve = chronometric(strengths, times)

    def times_at(c, bound, sensitivity, rest):
        c = np.maximum(c, 1e-9)
        return rest + bound / (sensitivity * c) * np.tanh(bound * sensitivity * c)

    params, covariance = optimize.curve_fit(
        times_at,
        STRENGTHS,
        curve.means_ms,
        p0=(15.0, 0.2, 200.0),
        sigma=curve.standard_errors_ms,
        absolute_sigma=True,
    )
    found = (curve.bound, curve.sensitivity, curve.non_decision_ms)
    np.testing.assert_allclose(found, params, rtol=1e-3)
    np.testing.assert_allclose(
        curve.parameter_errors, np.sqrt(np.diag(covariance)), rtol=0.3
    )
    np.testing.assert_allclose(curve.predict(STRENGTHS), times_at(STRENGTHS, *found))


def test_correct_trials_may_be_asked_for_alone():
    strengths, times, right = diffuse(300)
    curve = chronometric(strengths, times, right, only_correct=True)
    assert curve.n == right.sum()
    assert curve.n_excluded == (~right).sum()
    assert curve.means_ms[0] == pytest.approx(times[right & (strengths == 0)].mean())


def test_times_that_are_all_the_same_determine_no_curve():
    curve = chronometric([0, 0, 1, 1, 2, 2], [200.0] * 6)
    assert curve.verdict is TimesVerdict.UNDETERMINED
    assert "cannot be told" in curve.conclusion()
    json.dumps(curve.to_dict(), allow_nan=False)


def test_two_strengths_have_no_curve_and_no_answer_no_time():
    curve = chronometric([0, 0, 1, 1, 1], [300, 310, 200, 210, np.nan])
    assert curve.verdict is TimesVerdict.TOO_FEW_STRENGTHS
    assert math.isnan(curve.bound)
    assert (curve.n, curve.n_excluded) == (4, 1)
    json.dumps(curve.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (([0], [-1.0]), {}, "`reaction_times_ms` must be at least 0; got -1."),
        (([0], [np.nan]), {}, "`reaction_times_ms` must hold some times; got none that counts."),
        (([0], [1.0], [2]), {}, "`correct` must be 0 or 1, or NaN; got 2."),
        (([0], [1.0]), {"joint": True}, "`correct` must be given for `only_correct` or `joint`."),
        (([0], [1.0]), {"quantiles": [0]}, "`quantiles` must be above 0 and below 1; got 0."),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(arguments, options, words):
    with pytest.raises(ValueError) as refused:
        chronometric(*arguments, **options)
    assert str(refused.value) == words
