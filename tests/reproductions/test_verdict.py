"""The verdict on a claim: from the interval of the mean over seeds, by one rule."""

import math

import pytest

from daleml.reproductions import Check, Claim, judge
from daleml.reproductions.verdict import CANNOT_TELL, FAILS, HOLDS, NOT_TESTED
from tests.reproductions.toys import claim


@pytest.mark.parametrize(
    ("values", "check", "verdict"),
    [
        ([1.0, 1.1, 0.9], {"at_least": 0.5}, HOLDS),
        ([1.0, 1.1, 0.9], {"at_most": 0.5}, FAILS),
        ([1.0, 1.1, 0.9], {"at_least": 1.0}, CANNOT_TELL),
        ([1.0, 1.1, 0.9], {"at_least": 0.5, "at_most": 1.5}, HOLDS),
        ([1.0, 1.1, 0.9], {"at_least": 1.2, "at_most": 1.5}, FAILS),
        ([1.0, 1.1, 0.9], {"at_least": 0.5, "at_most": 1.0}, CANNOT_TELL),
        ([1.0, 1.0, 1.0], {"at_most": 1.0}, HOLDS),
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
