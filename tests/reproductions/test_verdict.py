"""The verdict on a claim: from the interval of the mean over seeds, by one rule."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import binom

from daleml.reproductions import Check, Claim, judge
from daleml.reproductions.verdict import (
    CANNOT_TELL,
    FAILS,
    HOLDS,
    NOT_TESTED,
    in_words,
)
from tests.reproductions.toys import claim


@pytest.mark.parametrize(
    ("values", "check", "verdict"),
    [
        ([1.0, 1.1, 0.9], {"at_least": 0.5}, HOLDS),
        ([1.0, 1.1, 0.9], {"at_most": 0.5}, FAILS),
        ([1.0, 1.1, 0.9], {"at_least": 1.0}, CANNOT_TELL),
        ([1.0, 1.1, 0.9], {"at_least": 0.5, "at_most": 1.5}, HOLDS),
        ([1.0, 1.1, 0.9], {"at_least": 1.3, "at_most": 1.5}, FAILS),
        ([1.0, 1.1, 0.9], {"at_least": 0.5, "at_most": 1.0}, CANNOT_TELL),
        ([1.0, 1.0, 1.0], {"at_most": 1.0}, HOLDS),
        # No effect at all is none in either direction, and as an identity it is right.
        ([0.0, 0.0, 0.0], {"at_least": 0.0, "no_effect": 0.0}, FAILS),
        ([0.0, 0.0, 0.0], {"at_most": 0.0, "no_effect": 0.0}, FAILS),
        ([0.0, 0.0, 0.0], {"at_most": 0.0}, HOLDS),
        # One seed says nothing of the spread, however far it lies from the bound.
        ([1.0], {"at_least": 0.5}, CANNOT_TELL),
        ([1.0, math.nan, 1.0], {"at_least": 0.5}, FAILS),
        ([1.0, math.inf, 1.0], {"at_least": 0.5}, FAILS),
    ],
)
def test_verdicts(values, check, verdict):
    found = judge(claim(Check("x", "x", **check)), [{"x": value} for value in values])
    assert found.verdict == verdict == found.measured[0].verdict


def test_a_claim_holds_if_all_it_expects_does():
    good, bad, unclear = (
        Check("a", "a", at_least=0.5),
        Check("a", "a", at_most=0.5),
        Check("a", "a", at_least=1.0),
    )
    seeds = [{"a": value} for value in (1.0, 1.1, 0.9)]
    assert judge(claim(good, unclear), seeds).verdict == CANNOT_TELL
    assert judge(claim(good, unclear, bad), seeds).verdict == FAILS
    assert judge(claim(good, good), seeds).verdict == HOLDS
    assert judge(claim(good), []).verdict == NOT_TESTED
    assert (
        judge(Claim("9z", "Said.", "nowhere", None, note="no data"), []).verdict
        == NOT_TESTED
    )


# -- how often verdicts are wrong where nothing is there

LIMIT = 0.025
"""How often a bound on which the mean lies is said to be kept, or broken."""


def wrong(checks, values):
    """Return how often claims hold, and how often they do not, over many studies.

    Args:
        checks: What the claim expects, of "0", "1"...
        values: What the studies measured, (studies, seeds, numbers).
    """
    found = Counter()
    names = [str(i) for i in range(values.shape[2])]
    for study in values.tolist():
        seeds = [dict(zip(names, numbers, strict=True)) for numbers in study]
        found[judge(claim(*checks), seeds).verdict] += 1
    return found[HOLDS] / len(values), found[FAILS] / len(values)


def studies(n_seeds, n_numbers=1, *, count):
    rng = np.random.default_rng(n_seeds)
    return rng.normal(size=(count, n_seeds, n_numbers))


def most(count, fraction=LIMIT):
    """Return what chance leaves of a fraction in so many studies, but for one case of 10,000."""
    return binom.ppf(1 - 1e-4, count, fraction) / count


def least(count, fraction=LIMIT):
    return binom.ppf(1e-4, count, fraction) / count


CALIBRATED = [
    pytest.param(300, id="quick"),
    pytest.param(20_000, id="many", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("count", CALIBRATED)
@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_a_mean_on_the_bound_holds_and_fails_as_often_as_the_level_says(n_seeds, count):
    values = studies(n_seeds, count=count)
    for check in (Check("0", "one side", at_least=0.0), Check("0", "both", -9.0, 0.0)):
        for found in wrong([check], values):
            assert least(count) <= found <= most(count)


@pytest.mark.parametrize("count", CALIBRATED)
@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_an_equivalence_narrower_than_the_seeds_is_never_claimed_too_often(
    n_seeds, count
):
    # The mean lies on the upper end, and no interval of few seeds fits between the two.
    narrow = Check("0", "gap", -0.2, 0.0, no_effect=-0.1)
    holds, fails = wrong([narrow], studies(n_seeds, count=count))
    assert holds <= most(count)
    # It may miss bounds that are so close together on either side.
    assert fails <= most(count, 2 * LIMIT)


@pytest.mark.parametrize("count", CALIBRATED)
@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_a_claim_that_expects_several_things_fails_by_chance_no_more_often(
    n_seeds, count
):
    checks = [Check(str(i), "gap", at_least=0.0) for i in range(5)]
    values = studies(n_seeds, 5, count=count)
    holds, fails = wrong(checks, values)
    assert fails <= most(count)
    assert holds <= most(count)
    # By the interval of each alone, it would fail in one study of nine.
    errors = values.std(1, ddof=1) / math.sqrt(n_seeds)
    alone = values.mean(1) / errors < -stdtrit(n_seeds - 1, 0.975)
    assert alone.any(1).mean() > 3 * LIMIT


def test_a_number_without_spread_does_not_make_it_harder_for_others_to_fail():
    at_bound = Check("0", "gap", at_least=0.0)
    same = Check("1", "identity", at_most=1.0)
    seeds = [{"0": value, "1": 1.0} for value in (-1.0, -2.0, -1.5)]
    assert judge(claim(at_bound, same), seeds).verdict == FAILS
    # Another number that varies does: -1.5 is 5.2 standard errors below the bound, where one
    # check asks for 4.3 and two ask for 6.2.
    varied = [{**one, "1": i / 10} for i, one in enumerate(seeds)]
    assert judge(claim(at_bound, same), varied).verdict == CANNOT_TELL


def test_cannot_tell_says_how_many_seeds_would():
    found = judge(claim(Check("x", "x", at_least=0.0)), [{"x": v} for v in (-1, 1, 3)])
    one = found.measured[0]
    assert one.verdict == CANNOT_TELL
    # A mean of 1 and a spread of 2: (1.96 + 0.84)^2 x 4 = 31, and two more since t is wider.
    assert one.prospect.seeds_needed == 34
    told = one.to_dict()
    assert (told["seeds_needed"], told["sd"], told["distance"]) == (34, 2.0, 1.0)
    assert in_words(one.verdict, 34) == "cannot tell; about 34 seeds would"
    assert in_words(one.verdict, None) == "cannot tell; more than 1,000,000 would"
    assert in_words(HOLDS, 34) == HOLDS
