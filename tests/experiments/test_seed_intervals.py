"""The interval of the mean over seeds: Student's t, which covers as often as it says."""

import math

import numpy as np
import pytest
from scipy import stats

from daleml.experiments.seed_intervals import mean_interval


@pytest.mark.parametrize("n", [2, 3, 5, 36])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_it_is_students(n, level):
    values = np.random.default_rng(n).lognormal(size=n)
    sem = values.std(ddof=1) / math.sqrt(n)
    expected = stats.t.interval(level, n - 1, loc=values.mean(), scale=sem)
    assert mean_interval(values, level) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("draw", "mean", "covered"),
    [
        (lambda rng, size: rng.normal(size=size), 0.0, 0.95),
        (lambda rng, size: rng.exponential(size=size), 1.0, 0.88),
        (lambda rng, size: rng.lognormal(size=size), math.exp(0.5), 0.83),
        (lambda rng, size: rng.binomial(20, 0.9, size) / 20, 0.9, 0.948),
    ],
    ids=["normal", "exponential", "log-normal", "few values"],
)
@pytest.mark.parametrize("n", [3, 5])
def test_how_often_it_covers_the_mean(n, draw, mean, covered):
    """As the docstring says, within what 500 samples leave to chance."""
    values = draw(np.random.default_rng(n), (500, n))
    found = [
        low <= mean + 1e-12 and mean - 1e-12 <= high
        for low, high in map(mean_interval, values)
    ]
    assert np.mean(found) == pytest.approx(covered, abs=0.045)


def test_equal_values_are_their_own_interval_and_one_has_none():
    assert mean_interval([0.1, 0.1, 0.1]) == (0.1, 0.1)
    for values in ([1.0], [1.0, math.nan], [1.0, math.inf, 2.0]):
        assert all(map(math.isnan, mean_interval(values)))
