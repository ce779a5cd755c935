"""Keep the claims of runs under ``docs`` of a checkout, and write its pages, from its root.

======================================================= ========================================
``python -m daleml.reproductions claims.json``          a run of all claims of a budget is kept
``python -m daleml.reproductions --merge claims.json``  claims of runs of some papers take the
                                                        place of those that are there
``python -m daleml.reproductions --refresh``            what is kept is judged by the present
                                                        claims, without a run
``python -m daleml.reproductions --pilot claims.json``  only the pilot is written, by which the
                                                        seeds of longer runs are planned
======================================================= ========================================

A run knows its budget: ``claims.json`` keeps the quick one, ``claims_paper.json`` that of the
paper budget. Each claim keeps the commit and the machine of its run. All pages, figures and the
pilot are then written from the two files; claims that need a run are named, and the exit status
is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daleml._support import atomic_files
from daleml.reproductions import find, kept_claims, papers, pilot
from daleml.reproductions.claim_documents import overview, paper_page, table_of_papers
from daleml.reproductions.claim_figures import write_figures
from daleml.reproductions.rejudging import rejudged
from daleml.reproductions.tables import by_circuit, by_code, update


def main(runs: Sequence[Path], root: Path, *, merged: bool = False) -> dict[str, str]:
    """Keep the claims of runs, and write every page and figure.

    Args:
        runs: The ``claims.json`` of each.
        root: The checkout.
        merged: Whether what is kept of other claims stays.

    Returns:
        Which claims and figures need a run, and why, by code or name and budget.

    Raises:
        ValueError: If a run cannot be merged, or two runs of a budget have the same claim.
    """
    docs = root / "docs"
    kept = kept_claims.read(docs)
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in runs]
    _require_one_run_each(contents)
    begun: set[str] = set()
    for content in contents:
        budget = content["budget"]
        # The first run of a budget takes the place of all, those after it join that one.
        whole = not merged and budget not in begun
        kept[budget] = kept_claims.merge(kept.get(budget), content, whole=whole)
        begun.add(budget)
    ordered = {budget: kept[budget] for budget in kept_claims.FILES if budget in kept}
    stale: dict[str, str] = {}
    for budget, content in ordered.items():
        ordered[budget], missing = rejudged(content, find())
        stale |= {f"{code} ({budget})": why for code, why in missing.items()}
    kept_claims.write(docs, ordered)
    write_pages(root, ordered)
    if "quick" in ordered:
        write_pilot(docs / kept_claims.FILES["quick"], root)
    sweeps = [sweep for paper in papers.all_papers() for sweep in paper.sweeps]
    return stale | write_figures(docs / "figures", ordered, sweeps)


def pages(kept: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the pages that are written whole, by their path from the root.

    Args:
        kept: What is kept, by budget.
    """
    every = papers.all_papers()
    found = {"docs/claims.md": overview(kept, every)}
    for paper in every:
        found[f"docs/claims/{paper.name}.md"] = paper_page(kept, paper)
    return found


def tables(kept: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the tables that stand in pages which people wrote, by the path from the root.

    Args:
        kept: What is kept, by budget.
    """
    every = papers.all_papers()
    return {
        "README.md": table_of_papers(kept, every),
        "docs/papers.md": by_code(kept, every),
        "docs/published_circuits.md": by_circuit(kept),
    }


def write_pages(root: Path, kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Write all pages and tables.

    Args:
        root: The checkout.
        kept: What is kept, by budget.
    """
    (root / "docs" / "claims").mkdir(exist_ok=True)
    for place, text in pages(kept).items():
        atomic_files.write_text(root / place, text)
    for place, text in tables(kept).items():
        update(root / place, text)


def write_pilot(found: Path, root: Path) -> None:
    """Write the pilot of the package from the claims of a quick run.

    Args:
        found: The ``claims.json`` of the run.
        root: The checkout.

    Raises:
        ValueError: If the run was not of the quick budget.
    """
    content = json.loads(found.read_text(encoding="utf-8"))
    if content["budget"] != "quick":
        raise ValueError(
            f"`found` must be of the quick budget, the pilot; got {content['budget']!r}."
        )
    path = root / "daleml" / "reproductions" / pilot.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.write_json(path, pilot.pilot_of(content))


def _require_one_run_each(contents: Sequence[Mapping[str, Any]]) -> None:
    """Raise if two runs have the same claim of the same budget: which one holds is not said."""
    seen: set[tuple[str, str]] = set()
    for content in contents:
        for claim in content["claims"]:
            key = content["budget"], claim["id"]
            if key in seen:
                raise ValueError(
                    f"`runs` must have each claim once; two have {key[1]} of the budget"
                    f" {key[0]!r}."
                )
            seen.add(key)


def _command() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m daleml.reproductions",
        description="Keep the claims of runs under docs, and write the pages from them.",
    )
    add = parser.add_argument
    add("runs", nargs="*", type=Path, help="claims.json of runs")
    add("--merge", action="store_true", help="keep what other runs gave")
    add(
        "--refresh",
        action="store_true",
        help="judge what is kept by the present claims",
    )
    add("--pilot", type=Path, metavar="FILE", help="write the pilot, and nothing else")
    given = parser.parse_args()
    if sum(map(bool, (given.runs, given.refresh, given.pilot))) != 1:
        parser.error("give the claims.json of runs, --refresh, or --pilot")
    root = Path.cwd()
    try:
        if given.pilot:
            write_pilot(given.pilot, root)
            return 0
        stale = main(given.runs, root, merged=given.merge)
    except ValueError as error:
        parser.error(str(error))
    for name, why in stale.items():
        print(f"{name} needs a run: {why}.")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(_command())
