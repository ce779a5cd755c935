"""The tables of claims in the README and the docs, written from ``claims.json`` alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daleml._support import atomic_files
from daleml.reproductions.sweep import READING
from daleml.reproductions.verdict import HOLDS, NOT_TESTED, UNKNOWN, in_words

CIRCUITS = ("decision", "synapses", "interneurons")
"""The papers whose circuits have a page of their own in the docs."""

_BEGIN, _END = "<!-- claims: written by `make claims` -->", "<!-- claims: end -->"


def by_paper(found: Mapping[str, Any]) -> str:
    """Return a table of one row per paper: how many of its claims hold, and which do not.

    Args:
        found: What ``claims.json`` holds.
    """
    rows = ["| paper | claims that hold | others |", "| --- | --- | --- |"]
    for paper in dict.fromkeys(claim["paper"] for claim in found["claims"]):
        n_tested, n_holding, others = 0, 0, []
        for claim in found["claims"]:
            if claim["paper"] != paper:
                continue
            n_tested += claim["verdict"] != NOT_TESTED
            n_holding += claim["verdict"] == HOLDS
            if claim["verdict"] != HOLDS:
                others.append(f"{claim['id']} {claim['verdict']}")
        rows.append(f"| {paper} | {n_holding} of {n_tested} | {', '.join(others)} |")
    return "\n".join(rows) + f"\n\n{_provenance(found)}\n"


def by_claim(found: Mapping[str, Any]) -> str:
    """Return a section per claim.

    It has the claim's sentence, what was measured with its interval, what was expected, and the
    verdict. Figures of a paper, under ``figures`` beside the text, come before its first claim.

    Args:
        found: What ``claims.json`` holds.
    """
    parts = [_provenance(found)]
    # Files that were written before there were figures have none.
    sweeps = list(found.get("sweeps", []))
    for claim in found["claims"]:
        for sweep in [one for one in sweeps if one["paper"] == claim["paper"]]:
            parts.append(_figure(sweep))
            sweeps.remove(sweep)
        parts.append(
            f"## {claim['id']}: {claim['verdict']}\n\n{claim['sentence']}"
            f" *{claim['source']}.*"
        )
        if claim["measured"]:
            parts.append(_measured(claim["measured"]))
        if claim["note"]:
            parts.append(claim["note"])
    return "\n\n".join(parts) + "\n"


def by_circuit(found: Mapping[str, Any]) -> str:
    """Return a table of one row per claim about a published circuit, the papers in order.

    Each row has what is claimed and where, what was measured with its interval, and the verdict.

    Args:
        found: What ``claims.json`` holds.
    """
    rows = [
        "| | what is claimed | what ours does: mean, 95 % interval | verdict |",
        "| --- | --- | --- | --- |",
    ]
    for paper in CIRCUITS:
        for claim in found["claims"]:
            if claim["paper"] == paper:
                rows.append(_beside(claim))
    return "\n".join(rows) + "\n"


def _beside(claim: Mapping[str, Any]) -> str:
    """Return the row of one claim, what was measured beside what is claimed."""
    measured = []
    for one in claim["measured"]:
        interval = f"{_number(one['low'])} to {_number(one['high'])}"
        label = _cell(one["label"])
        measured.append(f"{label}: {_number(one['mean'])}, {interval}")
    cells = (
        claim["id"],
        _cell(f"{claim['sentence']} *{claim['source']}.*"),
        "; ".join(measured),
        claim["verdict"],
    )
    return f"| {' | '.join(cells)} |"


def _figure(sweep: Mapping[str, Any]) -> str:
    image = f"![{sweep['title']}](figures/{sweep['name']}.png)"
    return f"{image}\n\n{sweep['title']} {sweep['caption']} {READING}"


def _measured(measured: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of one row per expectation of a claim."""
    columns = ("measured", "mean", "95 % interval", "expected", "seeds", "verdict")
    rows = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for one in measured:
        cells = (
            _cell(one["label"]),
            _number(one["mean"]),
            f"{_number(one['low'])} to {_number(one['high'])}",
            one["expected"],
            str(len(one["values"])),
            in_words(one["verdict"], one.get("seeds_needed", UNKNOWN)),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def merge(found: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Put the claims and figures of a run of some papers into those of an earlier run of all.

    Each claim that was put there remembers the machine of its own run.

    Args:
        found: What ``claims.json`` of the earlier run holds.
        newer: What that of the later run holds.

    Raises:
        ValueError: If the runs had different budgets.
    """
    if newer["budget"] != found["budget"]:
        raise ValueError(
            f"`newer` must be of the budget {found['budget']!r}; got {newer['budget']!r}."
        )
    claims = {claim["id"]: claim for claim in found["claims"]}
    for claim in newer["claims"]:
        claims[claim["id"]] = {**claim, "machine": newer["machine"]}
    both = [*found.get("sweeps", []), *newer.get("sweeps", [])]
    # A later figure of the same name takes the earlier one's place.
    sweeps = {sweep["name"]: sweep for sweep in both}
    return {**found, "claims": list(claims.values()), "sweeps": list(sweeps.values())}


def update(path: Path, text: str) -> bool:
    """Put ``text`` between the two marks of a file, and tell whether that changed it.

    Args:
        path: The file.
        text: What goes between its marks.

    Raises:
        ValueError: If the file lacks the marks.
    """
    before = path.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(_BEGIN) + ".*?" + re.escape(_END), re.DOTALL)
    if not pattern.search(before):
        raise ValueError(
            f"`{path}` must have the marks {_BEGIN} and {_END}; it lacks them."
        )
    after = pattern.sub(lambda _: f"{_BEGIN}\n\n{text}\n{_END}", before)
    if after != before:
        atomic_files.write_text(path, after)
    return after != before


def _provenance(found: Mapping[str, Any]) -> str:
    """Return how, where and at which commit the claims were measured."""
    first = _where(found["machine"])
    sentences = [f"Printed by `daleml reproduce --budget {found['budget']}`{first}."]
    later: dict[str, list[str]] = {}
    for claim in found["claims"]:
        if "machine" in claim:
            later.setdefault(_where(claim["machine"]), []).append(claim["id"])
    for where, ids in later.items():
        sentences.append(f"Printed again later: {', '.join(ids)}{where}.")
    return " ".join(sentences)


def _where(machine: Mapping[str, Any]) -> str:
    names = ("torch", "numpy", "scipy", "python")
    known = [f"{name} {machine[name]}" for name in names if machine.get(name)]
    where = f" on {machine['processor']} ({', '.join(known)})"
    if machine.get("commit"):
        return f" at commit {machine['commit']}{where}"
    return where


def _cell(text: str) -> str:
    # A bar would begin another column.
    return text.replace("|", "\\|")


def _number(value: float | None) -> str:
    """Return three digits; a dash for a number that could not be had."""
    if value is None:
        return "–"
    return f"{value:.3g}"
