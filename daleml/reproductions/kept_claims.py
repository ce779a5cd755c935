"""The measured claims that ship: one file for each budget, into which runs are merged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daleml._support import atomic_files

FILES = {"quick": "claims.json", "paper": "claims_paper.json"}
"""By budget, the file under ``docs`` that keeps what it gave. Longer runs do not ship."""


def read(docs: Path) -> dict[str, dict[str, Any]]:
    """Return what is kept, by budget; a budget without a file is left out.

    Args:
        docs: The folder of the files.
    """
    found = {}
    for budget, name in FILES.items():
        path = docs / name
        if path.exists():
            found[budget] = _as_kept(json.loads(path.read_text(encoding="utf-8")))
    return found


def write(docs: Path, kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Write what is kept.

    Args:
        docs: The folder of the files.
        kept: By budget.
    """
    for budget, content in kept.items():
        atomic_files.write_json(docs / FILES[budget], content)


def merge(
    kept: Mapping[str, Any] | None, run: Mapping[str, Any], *, whole: bool = False
) -> dict[str, Any]:
    """Put the claims and figures of a run in the place of earlier ones.

    A claim is taken from one run with all its numbers, and keeps the commit and the machine of
    that run. One that the run could not test, since files are absent there, takes no place.

    Args:
        kept: What is kept of the same budget; None if nothing is.
        run: What ``claims.json`` of the run holds.
        whole: Whether nothing of what was kept stays.

    Returns:
        What is to be kept.

    Raises:
        ValueError: If the budgets differ, the budget does not ship, or seeds of the run are
            missing.
    """
    budget = run["budget"]
    if budget not in FILES:
        raise ValueError(
            f"`run` must be of the budget {' or '.join(FILES)}: no other ships; got"
            f" {budget!r}."
        )
    if kept is not None and kept["budget"] != budget:
        raise ValueError(
            f"`run` must be of the budget {kept['budget']!r}; got {budget!r}."
        )
    # An interval of the seeds that happened to end would be another one than was planned.
    if run.get("failures"):
        first = next(iter(run["failures"]))
        raise ValueError(
            f"`run` must be whole: {len(run['failures'])} of its seeds could not be run, the"
            f" first is {first}. The command that was run tries them again."
        )
    newer = _as_kept(run)
    before: Mapping[str, Any] = {"claims": [], "sweeps": []}
    if kept is not None and not whole:
        before = kept
    claims = {claim["id"]: claim for claim in before["claims"]}
    for claim in newer["claims"]:
        earlier = claims.get(claim["id"])
        # A machine without the images of a claim says nothing against one that has them.
        is_absent = bool(claim.get("absent"))
        if is_absent and earlier is not None and earlier["measured"]:
            continue
        claims[claim["id"]] = claim
    sweeps = {sweep["name"]: sweep for sweep in before["sweeps"]}
    sweeps |= {sweep["name"]: sweep for sweep in newer["sweeps"]}
    return {
        "budget": budget,
        "claims": list(claims.values()),
        "sweeps": list(sweeps.values()),
    }


def _as_kept(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims and figures of a file, each with the machine of its run."""
    machine = content.get("machine")
    kept: dict[str, Any] = {"budget": content["budget"]}
    # Files that were written before there were figures have none.
    for kind in ("claims", "sweeps"):
        listed = []
        for one in content.get(kind, []):
            listed.append({"machine": machine} | one)
        kept[kind] = listed
    return kept
