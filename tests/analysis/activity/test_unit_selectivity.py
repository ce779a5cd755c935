"""Selectivity against scipy and scikit-learn, and how often it finds what is not there."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from daleml import Populations
from daleml.analysis.activity import selectivity

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
RATES = RNG.exponential(size=(60, 8))
RATES[:, 0] += 2 * LABELS


def test_eta_squared_is_that_of_an_analysis_of_variance():
    result = selectivity(RATES, LABELS)
    for unit in range(8):
        groups = [RATES[label == LABELS, unit] for label in range(3)]
        f = stats.f_oneway(*groups).statistic
        eta = 2 * f / (2 * f + 57)
        assert result.eta_squared[unit] == pytest.approx(eta)
        assert result.means[:, unit] == pytest.approx([one.mean() for one in groups])
    assert result.preferred[0] == 2
    assert result.selective[0]
    assert np.isnan(result.d_prime).all()


def test_two_conditions_have_d_prime_and_the_area_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    labels = np.array(["a", "b"])[(np.arange(60) % 2)]
    rates = np.round(RATES, 1)  # ties
    result = selectivity(rates, labels, n_shuffles=19)
    for unit in range(8):
        one, other = rates[labels == "a", unit], rates[labels == "b", unit]
        spread = math.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
        assert result.d_prime[unit] == pytest.approx(
            (other.mean() - one.mean()) / spread
        )
        area = roc_auc_score(labels == "b", rates[:, unit])
        assert result.roc_area[unit] == pytest.approx(area)
    assert result.conditions == ("a", "b")


def test_p_values_are_those_of_scipy_and_of_the_most_selective_unit():
    labels = np.arange(12) % 2
    rates = RNG.normal(size=(12, 3)) + 0.5 * labels[:, None]
    result = selectivity(rates, labels, n_shuffles=4999)

    def eta(x, y, axis):
        return np.abs(x.mean(axis) - y.mean(axis))

    for unit in range(3):
        exact = stats.permutation_test(
            (rates[labels == 0, unit], rates[labels == 1, unit]),
            eta,
            vectorized=True,
            n_resamples=np.inf,
            alternative="greater",
        )
        assert result.p_values[unit] == pytest.approx(exact.pvalue, abs=0.025)
    assert (result.adjusted_p_values >= result.p_values).all()
    best = result.eta_squared.argmax()
    assert result.adjusted_p_values[best] == result.adjusted_p_values.min()


def test_of_a_von_mises_tuning_curve_direction_and_length_are_known():
    directions = np.tile(np.arange(8) * 45.0, 4)
    preferred = np.array([0.0, 100.0, 200.0])
    angles = np.deg2rad(directions[:, None] - preferred)
    rates = np.exp(2 * np.cos(angles)) + RNG.normal(0, 1e-3, angles.shape)
    result = selectivity(rates, directions, period=360, n_shuffles=19)
    apart = (result.preferred_direction - preferred + 180) % 360 - 180
    assert np.abs(apart).max() < 0.5
    assert result.vector_length == pytest.approx(
        special.i1(2) / special.i0(2), abs=0.01
    )


def test_a_window_is_averaged_and_populations_have_fractions():
    rates = torch.zeros(10, 20, 5)
    labels = torch.arange(20) % 2
    rates[4:6, :, 4] = labels + torch.rand(20, generator=torch.manual_seed(0)) / 10
    result = selectivity(
        rates, labels, window=slice(4, 6), populations=Populations(4, 1)
    )
    assert result.fractions == {"E": 0.0, "I": 1.0}
    assert result.means[1, 4] == pytest.approx(rates[4, labels == 1, 4].mean().item())
    # Silent units are not selective, and tell nothing.
    assert (result.p_values[:4] == 1).all()
    assert np.isnan(result.d_prime[:4]).all()
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert content["fractions"]["I"] == 1.0


def test_each_trial_may_have_a_window_of_its_own():
    rates = torch.full((6, 8, 2), torch.nan, dtype=torch.bfloat16)
    window = torch.zeros(6, 8, dtype=torch.bool)
    for trial in range(8):
        steps = slice(trial % 3, trial % 3 + 2)
        window[steps, trial] = True
        rates[steps, trial] = torch.tensor([trial, trial % 2]).bfloat16()
    result = selectivity(rates, [0, 1] * 4, window=window, n_shuffles=99)
    np.testing.assert_allclose(result.means, [[3, 0], [4, 1]])


def test_what_goes_along_with_a_condition_can_be_kept_fixed():
    strength = np.repeat([0, 1], 40)
    choice = (np.arange(80) % 8 < np.where(strength, 7, 1)).astype(int)
    rates = strength[:, None] * 3 + RNG.normal(size=(80, 1))
    assert selectivity(rates, choice).selective[0]
    assert not selectivity(rates, choice, within=strength).selective[0]


def test_where_nothing_is_there_even_one_unit_is_called_selective_in_5_of_100_cases():
    """Small samples of skewed rates, correlated between units; the rate is 0.05."""
    rng = np.random.default_rng(0)
    found = 0
    for seed in range(400):
        common = rng.standard_exponential((10, 1))
        rates = rng.standard_exponential((10, 15)) ** 2 + common
        labels = rng.permutation([0] * 4 + [1] * 6)
        result = selectivity(rates, labels, n_shuffles=99, rng=seed)
        found += result.selective.any()
    # 400 cases of probability 0.05: a standard deviation is 0.011.
    assert 0.02 < found / 400 < 0.08


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (((torch.rand(4, 2), None), [0, 1]), {}, "got a tuple: a circuit returns rates first"),
        ((torch.rand(4), [0, 1]), {}, "must have shape (time, trials, units) or"),
        ((torch.rand(4, 2), [0, 1]), {}, "one value for each of 4 trials; got shape (2,)"),
        ((torch.rand(4, 2), [0] * 4), {}, "at least two, each of at least two trials; got {0: 4}"),
        ((torch.rand(4, 2), [0, 0, 0, 1]), {}, "got {0: 3, 1: 1}"),
        ((torch.rand(4, 2), [0, 0, 1, 1]), {"window": slice(2)}, "`window` must be None where"),
        ((torch.rand(3, 4, 2), [0, 0, 1, 1]), {"window": slice(1, 9)}, "steps from 0 to 3"),
        ((torch.rand(3, 4, 2), [0, 0, 1, 1]), {"window": (0, 1)}, "a boolean of shape (3, 4); got tuple of"),
        ((torch.rand(3, 4, 2), [0, 0, 1, 1]), {"window": torch.zeros(3, 4) > 0}, "none of 4."),
        ((torch.rand(4, 2), ["a", "a", "b", "b"]), {"period": 360}, "where conditions are no"),
        ((torch.rand(4, 2), [0, 0, 1, 1]), {"level": 0.01, "n_shuffles": 98}, "at least 99 for"),
        ((torch.full((4, 2), torch.nan), [0, 0, 1, 1]), {}, "`rates` must be finite"),
        ((torch.rand(4, 2), [0, 0, 1, 1]), {"populations": Populations(2, 1)}, "2; got 3."),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_refused(arguments, options, words):
    with pytest.raises((TypeError, ValueError)) as refused:
        selectivity(*arguments, **options)
    assert words in str(refused.value)
