"""Rounded weights, fitted with their resolution: false alarms of the goodness of fit, and the page that reports them."""

import json

import numpy as np
import pytest

from benchmarks.calibrate_observations import (
    NUMBERS,
    PAGE,
    STEPS,
    TRUTHS,
    coverage,
    false_alarms,
    page,
)


def test_the_page_is_what_the_numbers_say():
    assert PAGE.read_text() == page(json.loads(NUMBERS.read_text()))


@pytest.mark.slow
def test_rounding_raises_no_false_alarms():
    """At 5 %, of 300 samples: three standard errors are 3.8 %."""
    found = [
        false_alarms(family, n, step, 20)
        for family in TRUTHS
        for n, step in STEPS.items()
    ]
    assert 0.015 < np.mean([row["rejected"] for row in found]) < 0.088
    assert np.mean([row["bias"] for row in found]) < 0.6


@pytest.mark.slow
def test_intervals_of_few_weights_hold_what_they_say():
    for n in (8, 40):
        held = coverage("lognormal", n, 300)
        assert held["mu, profile"] > 0.91
        assert held["sigma, profile"] > 0.91
