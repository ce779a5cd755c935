"""A claim as a section of a page in Markdown: what each budget gave, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daleml.reproductions.claim import BY_CONSTRUCTION
from daleml.reproductions.verdict import NOT_TESTED, UNKNOWN, in_words

ByBudget = Mapping[str, Mapping[str, Any]]
"""What is kept of one claim, by budget, the smallest first."""


def section(found: ByBudget) -> str:
    """Return the section of a claim.

    Args:
        found: What is kept of it, by budget.
    """
    budget = list(found)[-1]
    claim = found[budget]
    parts = [f"## {claim['id']}", f"{claim['sentence']} *{claim['source']}.*"]
    said = []
    if claim.get("owner"):
        said.append(f"Whose claim: {claim['owner']}.")
    verdicts = [f"{name}: **{one['verdict']}**" for name, one in found.items()]
    if all(one["verdict"] == NOT_TESTED for one in found.values()):
        verdicts = [f"**{NOT_TESTED}**"]
    said.append(f"Verdict: {', '.join(verdicts)}.")
    took = [
        f"{name} {one['minutes']:.2g}"
        for name, one in found.items()
        if one.get("minutes")
    ]
    if took:
        said.append(f"Processor minutes of its experiment: {', '.join(took)}.")
    parts.append(" ".join(said))
    if any(one["measured"] for one in found.values()):
        parts.append(_checks(found))
    for one in found.values():
        if one.get("absent"):
            parts.append(f"Not tested at the {one['budget']} budget: {one['absent']}")
    for heading, name in (
        ("", "note"),
        ("**What was tried.** ", "tried"),
        ("**As it was stated before.** ", "earlier"),
    ):
        if claim.get(name):
            parts.append(f"{heading}{_escaped(claim[name])}")
    return "\n\n".join(parts)


def item(found: ByBudget) -> str:
    """Return a claim as an item of a list: its verdicts, its sentence, whose it is.

    Args:
        found: What is kept of it, by budget.
    """
    claim = list(found.values())[-1]
    verdicts = {name: one["verdict"] for name, one in found.items()}
    said = f"**{claim['verdict']}**"
    # Verdicts that agree are one; others are told by budget.
    if len(set(verdicts.values())) > 1:
        said = ", ".join(f"{name}: **{verdict}**" for name, verdict in verdicts.items())
    owner = f" ({claim['owner']})" if claim.get("owner") else ""
    return f"- [{claim['id']}](#{claim['id']}) {said}{owner}. {_escaped(claim['sentence'])}"


def _checks(found: ByBudget) -> str:
    """Return a table of one row for each check."""
    columns = ["measured", "expected", *found]
    rows = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    # A check may be new at one budget and not yet run at the other.
    by_number: dict[str, dict[str, Mapping[str, Any]]] = {}
    for budget, claim in found.items():
        for one in claim["measured"]:
            by_number.setdefault(_key(one), {})[budget] = one
    for by_budget in by_number.values():
        first = list(by_budget.values())[-1]
        expected = first["expected"]
        owner = owner_of(first)
        if owner:
            expected = f"{expected}<br>{owner}"
        cells = [cell(first["label"]), expected]
        for budget in found:
            one = by_budget.get(budget)
            cells.append("–" if one is None else _measured(one))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _key(one: Mapping[str, Any]) -> str:
    # Two checks may expect different things of one number.
    return f"{one['number']}: {one['expected']}"


def owner_of(one: Mapping[str, Any]) -> str:
    """Return whose the bound of a check is, and whether it holds by construction.

    Args:
        one: What is kept of the check.
    """
    owner = str(one.get("owner", ""))
    if one.get("by_construction"):
        return ", ".join(filter(None, (owner, BY_CONSTRUCTION)))
    return owner


def _measured(one: Mapping[str, Any]) -> str:
    """Return what one budget gave of a check: mean, interval, seeds, verdict."""
    lines = [interval(one), f"{len(one['values'])} seeds{_decides(one)}"]
    said = in_words(one["verdict"], one.get("seeds_needed", UNKNOWN))
    return "<br>".join([*lines, f"**{said}**"])


def _decides(one: Mapping[str, Any]) -> str:
    smallest = one.get("smallest_effect")
    # A number that does not vary decides on any effect.
    if not smallest:
        return ""
    return f", smallest effect {number(smallest)}"


def interval(one: Mapping[str, Any]) -> str:
    """Return a mean with its interval; a dash for what could not be had.

    Args:
        one: What is kept of the check.
    """
    if one["mean"] is None:
        return "–"
    mean, low, high = number(one["mean"]), number(one["low"]), number(one["high"])
    if low == high:
        return mean
    return f"{mean} ({low} to {high})"


def number(value: float | None) -> str:
    """Return three digits; a dash for a number that could not be had.

    Args:
        value: The number.
    """
    if value is None:
        return "–"
    return f"{value:.3g}"


def cell(text: str) -> str:
    """Return text for a cell of a table: a bar would begin another one.

    Args:
        text: The text.
    """
    return _escaped(text).replace("|", "\\|")


def _escaped(text: str) -> str:
    # Markdown would take these for the beginning of an element.
    return text.replace("<", "&lt;")
