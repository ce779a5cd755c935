"""Claims and checks as values: whose they are, and what is refused."""

import re

import pytest

from daleml.reproductions import (
    BOUND_OWNERS,
    CLAIM_OWNERS,
    OURS,
    PAPER_DIRECTION,
    PAPER_NUMBER,
    Check,
    Claim,
    judge,
)
from tests.reproductions.toys import experiment


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "`at_least` or `at_most` must be given; 'gap' has neither."),
        ({"at_least": 2.0, "at_most": 1.0}, "`at_least` must be at most `at_most`; got 2 and 1 of 'gap'."),
        ({"at_least": 0.0, "owner": "mine"}, f"`owner` must be one of {', '.join(BOUND_OWNERS)}; got 'mine' of 'gap'."),
        # A size that no source gives is no direction, and neither is a direction of nothing.
        ({"at_least": 1.0, "no_effect": 0.0, "owner": PAPER_DIRECTION},
         "`no_effect` must be the one bound of a direction; 'gap' has at least 1 and a `no_effect` of 0.0."),
        ({"at_least": 0.0, "owner": PAPER_DIRECTION},
         "`no_effect` must be the one bound of a direction; 'gap' has at least 0 and a `no_effect` of None."),
    ],
)  # fmt: skip
def test_a_check_that_says_nothing_or_another_thing_is_refused(given, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Check("gap", "gap between the arms", **given)


def test_a_claim_of_nobody_known_is_refused():
    with pytest.raises(ValueError, match=re.escape(", ".join(CLAIM_OWNERS))):
        Claim("9a", "There is an effect.", "nowhere", None, owner="the reviewer's")


def test_what_is_near_no_effect_from_both_sides_is_an_equivalence():
    near = Check("gap", "gap", -1.0, 1.0, no_effect=0.0)
    assert near.is_equivalence
    assert not Check("gap", "gap", 1.0, 2.0, no_effect=0.0).is_equivalence
    assert not Check("gap", "gap", at_most=1.0, no_effect=0.0).is_equivalence
    assert not Check("gap", "gap", 1.0, 2.0).is_equivalence


def test_owners_and_what_was_said_before_are_in_the_json():
    checks = (
        Check("effect", "an effect", at_least=0.5, owner=PAPER_NUMBER),
        Check("third", "a third", at_most=0.4, owner=OURS, by_construction=True),
    )
    claim = Claim(
        "9a",
        "There is an effect.",
        "nowhere",
        experiment(),
        checks,
        owner=OURS,
        earlier="It was stated as twice as large, which did not hold.",
        tried="More seeds.",
    )
    found = judge(claim, [{"effect": 1.0, "third": 0.3}] * 3).to_dict()
    assert (found["owner"], found["tried"]) == (OURS, "More seeds.")
    assert found["earlier"].startswith("It was stated")
    told = [(one["owner"], one["by_construction"]) for one in found["measured"]]
    assert told == [(PAPER_NUMBER, False), (OURS, True)]
