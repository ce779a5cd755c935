"""Psychometric curves against direct maximum likelihood, and what has no curve."""

import json
import math

import numpy as np
import pytest
from scipy import optimize, stats

from daleml.analysis.activity import CurveVerdict, psychometric

STRENGTHS = np.array([-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4])
F = {"logistic": stats.logistic.cdf, "gaussian": stats.norm.cdf}


def draw(n, bias=0.05, slope=15.0, low=0.05, high=0.03, shape="logistic", seed=0):
    rng = np.random.default_rng(seed)
    strengths = rng.choice(STRENGTHS, n)
    p = low + (1 - low - high) * F[shape](slope * (strengths - bias))
    return strengths, rng.random(n) < p


def direct_loss(params, strengths, choices, shape, n_lapses):
    """Minus the log-likelihood, trial by trial, as the docstring's equation has it."""
    bias, slope = params[:2]
    low = high = 0.0
    if n_lapses:
        low, high = params[2], params[1 + n_lapses]
    p = low + (1 - low - high) * F[shape](slope * (strengths - bias))
    p = np.clip(p, 1e-300, 1 - 1e-16)
    return -np.where(choices, np.log(p), np.log1p(-p)).sum()


def directly(strengths, choices, shape, n_lapses, fixed_bias=None):
    """The maximum by a simplex that knows nothing of gradients, scales or steps."""
    best = None
    for slope in (3.0, 10.0, 30.0):
        start = [0.0, slope, *[0.02] * n_lapses]
        bounds = [(-2, 2), (-200, 200), *[(0, 0.5)] * n_lapses]
        if fixed_bias is not None:
            start[0], bounds[0] = fixed_bias, (fixed_bias, fixed_bias)
        found = optimize.minimize(
            direct_loss,
            start,
            args=(strengths, choices, shape, n_lapses),
            method="Nelder-Mead",
            bounds=bounds,
            options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 2000},
        )
        if best is None or found.fun < best.fun:
            best = found
    return best


@pytest.mark.parametrize("shape", F)
@pytest.mark.parametrize("n_lapses", [0, 1, 2])
def test_it_agrees_with_a_direct_maximum_likelihood(shape, n_lapses):
    strengths, choices = draw(600, shape=shape, slope=10.0)
    curve = psychometric(strengths, choices, shape=shape, n_lapses=n_lapses)
    direct = directly(strengths, choices, shape, n_lapses)
    assert curve.log_likelihood == pytest.approx(-direct.fun, abs=1e-7)
    found = [curve.bias, curve.slope, curve.lapse_low, curve.lapse_high]
    expected = [*direct.x[:2], 0.0, 0.0]
    if n_lapses:
        expected[2:] = direct.x[2], direct.x[1 + n_lapses]
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def test_without_lapses_it_is_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    strengths, choices = draw(400, low=0.0, high=0.0)
    curve = psychometric(strengths, choices, n_lapses=0)
    regression = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000)
    regression.fit(strengths[:, None], choices)
    slope = regression.coef_[0, 0]
    assert curve.slope == pytest.approx(slope, rel=1e-4)
    assert curve.bias == pytest.approx(-regression.intercept_[0] / slope, abs=1e-5)


def test_standard_errors_are_those_of_the_curvature():
    strengths, choices = draw(2000)
    curve = psychometric(strengths, choices, n_lapses=1)
    at = np.array([curve.bias, curve.slope, curve.lapse_low])
    steps = np.diag([1e-4, 1e-2, 1e-4])

    def loss(params):
        return direct_loss(params, strengths, choices, "logistic", 1)

    curvature = np.empty((3, 3))
    for i, one in enumerate(steps):
        for j, other in enumerate(steps):
            total = loss(at + one + other) - loss(at + one - other)
            total += loss(at - one - other) - loss(at - one + other)
            curvature[i, j] = total / (4 * one.sum() * other.sum())
    errors = np.sqrt(np.diag(np.linalg.inv(curvature)))
    found = [curve.standard_errors[name] for name in ("bias", "slope", "lapse_low")]
    # The expected information is the observed one but for the sample's departures.
    np.testing.assert_allclose(found, errors, rtol=0.15)
    assert curve.standard_errors["lapse_high"] == curve.standard_errors["lapse_low"]


def test_at_the_ends_of_an_interval_the_likelihood_has_dropped_by_1_92():
    strengths, choices = draw(300)
    curve = psychometric(strengths, choices, n_lapses=1)
    for end in curve.intervals["bias"]:
        held = directly(strengths, choices, "logistic", 1, fixed_bias=end)
        assert -held.fun == pytest.approx(curve.log_likelihood - 1.9207, abs=0.02)


def test_it_scales_with_the_strengths_and_turns_with_the_choices():
    strengths, choices = draw(500)
    curve = psychometric(strengths, choices)
    scaled = psychometric(1000 * strengths + 7, choices)
    assert scaled.bias == pytest.approx(1000 * curve.bias + 7, abs=1e-3)
    assert scaled.slope == pytest.approx(curve.slope / 1000, rel=1e-5)
    assert scaled.intervals["slope"][1] * 1000 == pytest.approx(
        curve.intervals["slope"][1], rel=1e-3
    )
    turned = psychometric(strengths, ~choices)
    assert turned.slope == pytest.approx(-curve.slope, rel=1e-5)
    assert turned.lapse_low == pytest.approx(curve.lapse_high, abs=1e-6)
    assert turned.bias == pytest.approx(curve.bias, abs=1e-6)


def test_predictions_are_those_of_the_equation():
    strengths, choices = draw(500, shape="gaussian")
    curve = psychometric(strengths, choices, shape="gaussian")
    scale = 1 - curve.lapse_low - curve.lapse_high
    expected = curve.lapse_low + scale * stats.norm.cdf(
        curve.slope * (0.2 - curve.bias)
    )
    assert curve.predict(0.2) == pytest.approx(expected, abs=1e-14)
    at = curve.bias + curve.threshold
    assert stats.norm.cdf(curve.slope * (at - curve.bias)) == pytest.approx(0.75)


def test_separated_choices_are_a_step_between_the_strengths():
    curve = psychometric([-2, -1, 1, 2] * 5, [0, 0, 1, 1] * 5, n_lapses=1)
    assert curve.verdict is CurveVerdict.STEP
    assert not curve.converged
    assert curve.slope == math.inf
    assert -1 < curve.bias < 1
    assert curve.log_likelihood == 0
    low, high = curve.intervals["slope"]
    assert 0 < low < 10
    assert high == math.inf
    assert curve.intervals["bias"] == pytest.approx((-1, 1), abs=0.05)
    np.testing.assert_array_equal(curve.predict([-9, 9]), [0, 1])
    assert "changes at once, near 0, lapse" in curve.conclusion()


def test_a_step_may_have_lapses_and_a_value_at_a_strength():
    choices = [1] + [0] * 9 + [0, 1] * 5 + [1] * 9 + [0]
    curve = psychometric(np.repeat([-1, 0, 1], 10), choices, n_lapses=1)
    assert curve.verdict is CurveVerdict.STEP
    assert (curve.lapse_low, curve.lapse_high) == (0.1, 0.1)
    assert curve.bias == 0
    assert curve.predict(0) == pytest.approx(0.5)
    assert curve.deviance == pytest.approx(0, abs=1e-9)


def test_a_slope_that_falls_is_negative():
    curve = psychometric([-2, -1, 1, 2] * 5, [1, 1, 0, 0] * 5, n_lapses=1)
    assert curve.slope == -math.inf


def test_choices_without_a_slope_have_no_bias():
    rng = np.random.default_rng(3)
    curve = psychometric(rng.choice(STRENGTHS, 400), rng.random(400) < 0.2, n_lapses=0)
    assert curve.verdict is CurveVerdict.BIAS_OUTSIDE
    assert not curve.converged
    assert curve.intervals["bias"] == (-math.inf, math.inf)
    low, high = curve.intervals["slope"]
    assert low < 0 < high


@pytest.mark.parametrize(
    ("strengths", "choices", "verdict", "words"),
    [
        ([-1, 0, 1, 2], [1, 1, 1, 1], CurveVerdict.ONE_CHOICE, "choices are the same"),
        ([-1, 1] * 4, [0, 1] * 3 + [1, 0], CurveVerdict.TOO_FEW_STRENGTHS, "got 2"),
        ([1] * 4, [0, 1] * 2, CurveVerdict.TOO_FEW_STRENGTHS, "got 1"),
    ],
)
def test_without_a_curve_the_verdict_says_why(strengths, choices, verdict, words):
    curve = psychometric(strengths, choices)
    assert curve.verdict is verdict
    assert words in curve.conclusion()
    assert math.isnan(curve.bias)
    assert json.loads(json.dumps(curve.to_dict(), allow_nan=False))["slope"] is None


def test_two_strengths_have_a_curve_without_lapses():
    curve = psychometric(
        [-1] * 10 + [1] * 10, [1] + [0] * 9 + [1] * 9 + [0], n_lapses=0
    )
    assert curve.verdict is CurveVerdict.FITTED
    assert curve.slope == pytest.approx(math.log(9), rel=1e-6)
    assert (curve.dof, math.isnan(curve.p_value)) == (0, True)


def test_trials_without_a_choice_or_strength_are_left_out_and_counted():
    strengths, choices = draw(100)
    more = np.r_[strengths, np.nan, 0.1], np.r_[choices, 1.0, np.nan]
    curve = psychometric(*more, n_lapses=0)
    same = psychometric(strengths, choices, n_lapses=0)
    assert (curve.n, curve.n_excluded, same.n_excluded) == (100, 2, 0)
    assert (curve.bias, curve.slope) == (same.bias, same.slope)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (
            ([0, 1], [1, 2]),
            {},
            "`choices` must be 0 or 1, or NaN where none was made; got 2: compare them with"
            " the choice that counts.",
        ),
        (([0, 1], [1]), {}, "`choices` must have one value for each of `strengths`, 2; got 1."),
        (([], []), {}, "`strengths` must not be empty; got no trial."),
        (([0], [np.nan]), {}, "`choices` must have been made in some trial; got none in 1."),
        (([0, np.inf], [0, 1]), {}, "`strengths` must be finite, or NaN; got an infinite one."),
        (([[0]], [[1]]), {}, "`strengths` must have 1 dimension; got shape (1, 1)."),
        ((["a"], [1]), {}, "`strengths` must hold real numbers; got list."),
        (([0], [1]), {"shape": "probit"}, "`shape` must be 'logistic' or 'gaussian'; got 'probit'."),
        (([0], [1]), {"n_lapses": 3}, "`n_lapses` must be 0, 1 or 2; got 3."),
        (([0], [1]), {"max_lapse": 0.6}, "`max_lapse` must be above 0 and at most 0.5; got 0.6."),
        (([0], [1]), {"confidence": 1.0}, "`confidence` must be above 0 and below 1; got 1."),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_refused(arguments, options, words):
    with pytest.raises((TypeError, ValueError)) as refused:
        psychometric(*arguments, **options)
    assert str(refused.value) == words


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_data_no_other_curve_is_more_likely(seed):
    """Few trials of far strengths: steps, flat curves, and slopes in between."""
    rng = np.random.default_rng(seed)
    levels = rng.choice([-1, -0.5, -0.1, 0, 0.1, 0.5, 1, 30], 4, replace=False)
    strengths, shape = rng.choice(levels, 40), ["logistic", "gaussian"][seed % 2]
    slope = rng.choice([-3.0, 0.5, 20.0, 200.0])
    choices = rng.random(40) < 0.1 + 0.8 * F[shape](slope * (strengths - 0.05))
    curve = psychometric(strengths, choices, shape=shape, n_lapses=1)
    for _ in range(200):
        size = 10 ** rng.uniform(-2, 3)
        other = [rng.normal(), size * rng.normal(), rng.uniform(0, 0.5)]
        loss = direct_loss(other, strengths, choices, shape, 1)
        assert -loss <= curve.log_likelihood + 1e-6
    for name, (low, high) in curve.intervals.items():
        assert low - 1e-3 <= getattr(curve, name) <= high + 1e-3


def test_a_step_at_a_strength_has_intervals():
    """Far from the bias of a steep curve, the density underflows, and must not stop a search."""
    choices = np.repeat([0, 0, 0, 1, 1], [46, 53, 19, 31, 51])
    strengths = np.repeat([-1.0, -0.5, 0.5, 1.0], [46, 53, 50, 51])
    curve = psychometric(strengths, choices, shape="gaussian", n_lapses=0)
    assert curve.verdict is CurveVerdict.STEP
    low, high = curve.intervals["bias"]
    assert 0.3 < low < 0.5 < high < 0.55


@pytest.mark.slow
def test_intervals_and_p_values_are_calibrated():
    inside, p_values = [], []
    for seed in range(300):
        strengths, choices = draw(400, slope=8.0, seed=seed)
        curve = psychometric(strengths, choices, n_lapses=1)
        low, high = curve.intervals["bias"]
        inside.append(low < 0.05 < high)
        p_values.append(curve.p_value)
    assert 0.92 < np.mean(inside) < 0.98
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.1
