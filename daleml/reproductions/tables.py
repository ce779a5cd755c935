"""The tables of the README and the docs, written from ``claims.json`` and from nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daleml._support import atomic_files
from daleml.reproductions.sweep import SEEN
from daleml.reproductions.verdict import HOLDS, NOT_TESTED

_BEGIN, _END = "<!-- claims: written by `make claims` -->", "<!-- claims: end -->"


def by_paper(found: Mapping[str, Any]) -> str:
    """Return a table of one row a paper: how many of its claims hold, and which do not."""
    rows = ["| paper | claims that hold | others |", "| --- | --- | --- |"]
    for paper in dict.fromkeys(claim["paper"] for claim in found["claims"]):
        own = [claim for claim in found["claims"] if claim["paper"] == paper]
        tested = [claim for claim in own if claim["verdict"] != NOT_TESTED]
        n_holding = sum(claim["verdict"] == HOLDS for claim in tested)
        rest = ", ".join(
            f"{claim['id']} {claim['verdict']}"
            for claim in own
            if claim["verdict"] != HOLDS
        )
        rows.append(f"| {paper} | {n_holding} of {len(tested)} | {rest} |")
    return "\n".join(rows) + f"\n\n{_how(found)}\n"


def by_claim(found: Mapping[str, Any]) -> str:
    """Return a section a claim.

    Its sentence, what was measured with its interval, what was expected, the verdict.

    Figures of a paper, under ``figures`` beside the text, come before its first claim.
    """
    parts = [_how(found)]
    sweeps = list(found.get("sweeps", []))  # files of before figures have none
    for claim in found["claims"]:
        for sweep in [sweep for sweep in sweeps if sweep["paper"] == claim["paper"]]:
            parts.append(
                f"![{sweep['title']}](figures/{sweep['name']}.png)\n\n{sweep['title']}"
                f" {sweep['caption']} {SEEN}"
            )
            sweeps.remove(sweep)
        parts.append(
            f"## {claim['id']}: {claim['verdict']}\n\n{claim['sentence']}"
            f" *{claim['source']}.*"
        )
        if claim["measured"]:
            columns = (
                "measured",
                "mean",
                "95 % interval",
                "expected",
                "seeds",
                "verdict",
            )
            rows = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
            rows += [
                f"| {_cell(one['label'])} | {_number(one['mean'])} | {_number(one['low'])}"
                f" to {_number(one['high'])} | {one['expected']} | {len(one['values'])} |"
                f" {one['verdict']} |"
                for one in claim["measured"]
            ]
            parts.append("\n".join(rows))
        if claim["note"]:
            parts.append(claim["note"])
    return "\n\n".join(parts) + "\n"


def merge(found: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Put the claims and figures of a run of some papers in the place of those of an earlier run of all.

    Each claim that was put there remembers the machine of its own run.

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
    sweeps = {
        sweep["name"]: sweep
        for sweep in [*found.get("sweeps", []), *newer.get("sweeps", [])]
    }
    return {**found, "claims": list(claims.values()), "sweeps": list(sweeps.values())}


def update(path: Path, text: str) -> bool:
    """Put ``text`` between the two marks of a file, and tell whether that changed it.

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


def _how(found: Mapping[str, Any]) -> str:
    sentences = [
        "Printed by `daleml reproduce --budget"
        f" {found['budget']}`{_where(found['machine'])}."
    ]
    later: dict[str, list[str]] = {}
    for claim in found["claims"]:
        if "machine" in claim:
            later.setdefault(_where(claim["machine"]), []).append(claim["id"])
    sentences += [
        f"Printed again later: {', '.join(ids)}{where}." for where, ids in later.items()
    ]
    return " ".join(sentences)


def _where(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(
        f"{name} {machine[name]}"
        for name in ("torch", "numpy", "scipy", "python")
        if machine.get(name)
    )
    commit = f" at commit {machine['commit']}" if machine.get("commit") else ""
    return f"{commit} on {machine['processor']} ({versions})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
