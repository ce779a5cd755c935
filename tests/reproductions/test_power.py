"""The power of an interval: the noncentral t, simulations, and the seeds that a claim takes."""

import math

import numpy as np
import pytest
from scipy.special import nctdtrinc, stdtrit

from daleml.experiments.seed_intervals import mean_interval
from daleml.reproductions import Check
from daleml.reproductions.power import power, seeds_needed, smallest_effect
from daleml.reproductions.prospects import prospect, standard_deviation


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_one_bound_is_the_noncentral_t(n, wanted):
    found = smallest_effect(2.0, n, wanted)
    noncentrality = nctdtrinc(n - 1, 1 - wanted, stdtrit(n - 1, 0.975))
    assert found == pytest.approx(2 * noncentrality / math.sqrt(n), rel=3e-4)
    assert power(2.0, n, found) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_simulated_studies_decide_as_often_as_it_says(n):
    """Of both kinds: a mean above one bound, and a mean amid two."""
    rng = np.random.default_rng(n)
    one_sided, amid = smallest_effect(1.0, n), smallest_effect(1.0, n, two_sided=True)
    assert amid > one_sided
    count = 2000
    decided = np.zeros(2)
    for values in rng.normal(size=(count, n)).tolist():
        low, high = mean_interval(values)
        decided += [low >= -one_sided, -amid <= low and high <= amid]
    # Three standard errors of a fraction of 0.8.
    np.testing.assert_allclose(decided / count, 0.8, atol=3 * math.sqrt(0.16 / count))


@pytest.mark.parametrize("distance", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("other", [math.inf, 1.0])
def test_the_seeds_needed_are_the_fewest_that_decide(distance, other):
    n = seeds_needed(1.0, distance, other=other)
    assert power(1.0, n, distance, other) >= 0.8 > power(1.0, n - 1, distance, other)


def test_what_needs_no_seeds_and_what_no_seeds_decide():
    assert (seeds_needed(0.0, 1.0), smallest_effect(0.0, 3), power(0.0, 1, 1.0)) == (
        1,
        0,
        1,
    )
    assert seeds_needed(1.0, 0.0) is None
    assert smallest_effect(1.0, 1) == math.inf
    assert power(1.0, 1, 9.0) == 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: power(-1.0, 3, 1.0), "`sd` must be at least 0; got -1.0."),
        (lambda: power(1.0, 0, 1.0), "`n` must be at least 1; got 0."),
        (lambda: seeds_needed(1.0, 1.0, 1.0), "`power` must be between 0 and 1; got 1."),
        (lambda: smallest_effect(1.0, 3, 1.5), r"`power` must be a fraction in \[0, 1\]; got 1.5."),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_prospect_counts_the_distance_from_the_nearest_bound_on_either_side():
    above = Check("gap", "gap", at_least=1.0)
    inside, outside = (prospect(above, mean, 1.0, 5) for mean in (3.0, -1.0))
    assert (inside.distance, outside.distance) == (2.0, 2.0)
    assert inside == outside
    # Where a claim expects several things, more seeds are needed to say that it fails.
    strict = prospect(above, -1.0, 1.0, 5, fail_level=0.99)
    assert strict.seeds_needed > outside.seeds_needed
    assert strict.power < outside.power
    amid = prospect(Check("gap", "gap", -2.0, 2.0), 0.0, 1.0, 5)
    assert amid.seeds_needed == seeds_needed(1.0, 2.0, other=2.0)
    assert amid.smallest_effect == smallest_effect(1.0, 5, two_sided=True)
    unknown = prospect(above, 3.0, math.nan, 1)
    assert unknown.seeds_needed is None
    assert math.isnan(unknown.power)


def test_the_rounding_of_a_mean_is_no_spread():
    assert standard_deviation([0.1, 0.1, 0.1]) == 0
    assert standard_deviation([0.3, 0.1 + 0.2, 0.3]) == 0
    assert standard_deviation([1e-13, 2e-13]) > 0
    assert standard_deviation([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert math.isnan(standard_deviation([1.0]))
    assert math.isnan(standard_deviation([1.0, math.inf]))
