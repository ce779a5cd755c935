"""How many claims hold, counted apart by whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from daleml.reproductions.claim import (
    AGAINST,
    BOUND_OWNERS,
    BY_CONSTRUCTION,
    CLAIM_OWNERS,
    OURS,
    THE_PAPERS,
)
from daleml.reproductions.verdict import CANNOT_TELL, FAILS, HOLDS, NOT_TESTED

VERDICTS = (HOLDS, FAILS, CANNOT_TELL, NOT_TESTED)
"""All verdicts, in the order in which they are counted."""

_OF_OWNER = {
    THE_PAPERS: "the papers' own claims",
    OURS: "claims of ours",
    AGAINST: "claims against a paper",
    BY_CONSTRUCTION: "claims by construction",
    "": "claims whose owner is not written down",
}

_OTHERS = (OURS, AGAINST, BY_CONSTRUCTION, "")


def by_verdict(claims: Sequence[Mapping[str, Any]], *owners: str) -> Counter[str]:
    """Count claims by their verdict.

    Args:
        claims: What is kept of them.
        owners: Whose claims are meant; default: everybody's.
    """
    meant = [one for one in claims if not owners or one.get("owner", "") in owners]
    return Counter(str(one["verdict"]) for one in meant)


def holding(claims: Sequence[Mapping[str, Any]], *owners: str) -> str:
    """Return how many tested claims hold, as "5 of 6"; a dash where none was tested.

    Args:
        claims: What is kept of them.
        owners: Whose claims are meant; default: everybody's.
    """
    counts = by_verdict(claims, *owners)
    # What was not tested speaks neither for the claims nor against them.
    tested = counts.total() - counts[NOT_TESTED]
    if not tested:
        return "–"
    return f"{counts[HOLDS]} of {tested}"


def owners_of(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return whose claims there are, the papers' first.

    Args:
        claims: What is kept of them.
    """
    there = {one.get("owner", "") for one in claims}
    return [owner for owner in (*CLAIM_OWNERS, "") if owner in there]


def headline(claims: Sequence[Mapping[str, Any]]) -> str:
    """Say how many claims hold, of each owner by itself.

    Args:
        claims: What is kept of them.

    Example:
        >>> claim = {"owner": "the paper's", "verdict": "holds"}
        >>> print(headline([claim, claim, {"owner": "ours", "verdict": "cannot tell"}]))
        Of the papers' own claims that were tested, 2 of 2 hold; of claims of ours, 0 of 1.
    """
    parts: list[str] = []
    for owner in owners_of(claims):
        count = holding(claims, owner)
        # An owner of whose claims none was tested has nothing to be counted.
        if count == "–":
            continue
        tested, verb = ("", "")
        if not parts:
            tested, verb = " that were tested", " hold"
        parts.append(f"{_OF_OWNER[owner]}{tested}, {count}{verb}")
    if not parts:
        return "No claim was tested."
    return f"Of {'; of '.join(parts)}."


def of_bounds(claims: Sequence[Mapping[str, Any]]) -> str:
    """Say how many checks of tested claims have whose bound.

    Args:
        claims: What is kept of them.
    """
    counts: Counter[str] = Counter()
    for claim in claims:
        # Files of an earlier version know no owners.
        counts.update(one.get("owner", "") for one in claim["measured"])
    said = []
    for owner in (*BOUND_OWNERS, ""):
        if counts[owner]:
            said.append(f"{counts[owner]} {owner or 'nobody, so far'}")
    return f"Of {counts.total()} checks, the bounds are: {', '.join(said)}."


def undecided(claims: Sequence[Mapping[str, Any]]) -> str:
    """Return the claims that were tested and do not hold, each with its verdict.

    Args:
        claims: What is kept of them.
    """
    said = []
    for claim in claims:
        if claim["verdict"] in (FAILS, CANNOT_TELL):
            said.append(f"{claim['id']} {claim['verdict']}")
    return ", ".join(said)


def deciding(
    by_budget: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[Mapping[str, Any]]:
    """Return each claim once: of the largest budget at which it was measured.

    Args:
        by_budget: What is kept of some claims, by budget, the smallest first.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for budget, claims in by_budget.items():
        for one in claims:
            earlier = found.get(one["id"])
            # A claim that a larger budget did not measure keeps what a smaller one gave.
            if one["measured"] or earlier is None or not earlier["measured"]:
                found[one["id"]] = {**one, "budget": budget}
    return list(found.values())


def summary(by_budget: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Say in one sentence what came of the claims of a paper.

    Each claim tells what it gave at the largest budget at which it was measured; a smaller one is
    told of where it says otherwise.

    Args:
        by_budget: What is kept of the paper's claims, by budget.
    """
    claims = deciding(by_budget)
    budgets = {one["budget"] for one in claims if one["measured"]}
    at = "At the largest budget of each"
    if len(budgets) == 1:
        at = f"At the {budgets.pop()} budget"
    own, others = holding(claims, THE_PAPERS), holding(claims, *_OTHERS)
    if own == "–" and others == "–":
        parts = ["No claim was tested"]
    elif own == "–":
        parts = [f"{at}, {others} claims hold, none of them its own"]
    else:
        parts = [f"{at}, {own} claims of its own hold"]
        if others != "–":
            parts[0] += f", and {others} others"
    for verdict, verb in ((FAILS, "do not hold"), (CANNOT_TELL, "cannot be told")):
        ids = [one["id"] for one in claims if one["verdict"] == verdict]
        if len(ids) == 1:
            verb = verb.replace("do not", "does not")
        if ids:
            parts.append(f"{_listed(ids)} {verb}")
    untested = [one["id"] for one in claims if one["verdict"] == NOT_TESTED]
    if untested:
        were = "was" if len(untested) == 1 else "were"
        parts.append(f"{_listed(untested)} {were} not tested")
    changed = _otherwise(by_budget)
    if changed:
        parts.append(changed)
    return f"{'; '.join(parts)}."


def _otherwise(by_budget: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Say which claims have another verdict at the smaller budget; nothing if none has."""
    budgets = list(by_budget)
    if len(budgets) < 2:
        return ""
    least = {one["id"]: one["verdict"] for one in by_budget[budgets[0]]}
    changed = []
    # A claim that was run at one budget only has nothing to differ from.
    for one in deciding(by_budget):
        before = least.get(one["id"], one["verdict"])
        if before != one["verdict"]:
            changed.append(f"{one['id']} {before}")
    if not changed:
        return ""
    return f"at the {budgets[0]} budget {', '.join(changed)}"


def _listed(ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return ids[0]
    return f"{', '.join(ids[:-1])} and {ids[-1]}"
