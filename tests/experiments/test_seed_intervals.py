"""The interval of the mean over seeds: between the seeds, around their mean, and it covers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from daleml.experiments.seed_intervals import mean_interval


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_the_interval_lies_between_the_seeds_and_around_their_mean(values):
    low, high = mean_interval(values)
    slack = 1e-9 * max(map(abs, values))
    assert min(values) - slack <= low <= np.mean(values) + slack
    assert np.mean(values) - slack <= high <= max(values) + slack


def test_the_interval_covers_the_mean():
    rng = np.random.default_rng(0)
    inside = [
        low <= 0 <= high
        for low, high in (mean_interval(rng.normal(size=20)) for _ in range(200))
    ]
    assert 0.87 < np.mean(inside) < 0.98
