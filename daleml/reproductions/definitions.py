"""The words in which claims are judged, each defined by words before it."""

from __future__ import annotations

from daleml.reproductions.claim import (
    AGAINST,
    BY_CONSTRUCTION,
    OURS,
    PAPER_DIRECTION,
    PAPER_NUMBER,
    RELEASED_CODE,
    THE_PAPERS,
)
from daleml.reproductions.verdict import CANNOT_TELL, FAILS, HOLDS, NOT_TESTED

TERMS = {
    "seed": (
        "A number that decides all random draws of one run. Several seeds are several"
        " independent runs."
    ),
    "budget": (
        "How much is computed: `quick` takes minutes, `paper` an hour or more, at larger"
        " settings and over more seeds, `long` a night. No two budgets share a seed."
    ),
    "claim": (
        "A sentence that measurements can support or contradict. Each has a code, such as"
        " `1a`."
    ),
    "check": (
        "A number that a claim is about, with what is expected of its mean over seeds. A"
        " claim has one check or several."
    ),
    "interval": (
        "The 95 % interval of that mean, by Student's t. Of many such intervals, each of new"
        " seeds, 95 in 100 hold the mean of infinitely many seeds."
    ),
    "bound": (
        "The smallest or the largest mean that a check allows: *at least*, *at most*, or a"
        " range, from the one to the other."
    ),
    "no effect": (
        "What the number of a check would be if there were nothing to the claim, such as 0"
        " for a difference."
    ),
    "direction": (
        "A bound that is the value of no effect: it says which of two has more, and not by"
        " how much."
    ),
    HOLDS: "For each check of the claim, the whole interval keeps the bound.",
    FAILS: (
        "For at least one check, the whole interval lies outside the bound. Where a claim"
        " has several checks that vary between seeds, that interval is wider, so that their"
        " chances to fail by chance do not add up."
    ),
    CANNOT_TELL: (
        "Neither: for some check, the interval lies on both sides of the bound. More seeds"
        " may tell, and the page says how many would."
    ),
    NOT_TESTED: "Nothing measures the claim here; its note says why.",
    PAPER_NUMBER: "Owner of a bound that the paper prints.",
    PAPER_DIRECTION: "Owner of a direction that the paper states.",
    RELEASED_CODE: (
        "Owner of a bound that stands in the authors' code, or in results that they saved."
    ),
    OURS: "Owner of a bound that no source has, and of a claim that the paper does not make.",
    THE_PAPERS: "Owner of a claim that the paper makes, whoever owns its bounds.",
    AGAINST: "Owner of a claim of ours that contradicts what the paper says.",
    BY_CONSTRUCTION: (
        "Owner of a claim, or of a check, that the equations or a constant that was copied"
        " leave no other outcome: it tests the code."
    ),
    "smallest effect": (
        "How far a mean must lie from its bound for so many seeds to decide, in four runs of"
        " five. It follows from how much the number varies between seeds."
    ),
    "pilot": (
        "A run by which a bound or a number of seeds was planned. Its seeds are not among"
        " those that are judged then: the quick budget is the pilot of the longer ones."
    ),
}
"""What each word means, in the order in which they build on one another."""


def listed() -> str:
    """Return the definitions as a list in Markdown."""
    return "\n".join(f"- **{term}**: {meaning}" for term, meaning in TERMS.items())
