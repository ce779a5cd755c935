"""The tables of claims in the README and the docs, written from what is kept of them alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daleml._support import atomic_files
from daleml.reproductions.claim import Paper
from daleml.reproductions.claim_documents import (
    BEGIN,
    END,
    Kept,
    of_paper,
    table_of_papers,
)
from daleml.reproductions.claim_sections import cell, interval, section
from daleml.reproductions.owner_counts import holding
from daleml.reproductions.papers import all_papers

CIRCUITS = ("decision", "synapses", "interneurons")
"""The papers whose circuits have a page of their own in the docs."""

_AUTHORS = re.compile(r"(.+?),? \(?(\d{4})\)?\b")
_INITIALS = re.compile(r"^(?:[A-Z]\.(?:-[A-Z]\.)? )+")


def by_paper(found: Mapping[str, Any]) -> str:
    """Return a table of one row per paper: how many of its claims hold, and which do not.

    Args:
        found: What ``claims.json`` of one run holds.
    """
    return table_of_papers({found["budget"]: found}, all_papers())


def by_claim(found: Mapping[str, Any]) -> str:
    """Return a section per claim: its sentence, what was measured, what was expected.

    Args:
        found: What ``claims.json`` of one run holds.
    """
    budget = found["budget"]
    parts = []
    for claim in found["claims"]:
        parts.append(section({budget: {**claim, "budget": budget}}))
    return "\n\n".join(parts) + "\n"


def by_circuit(kept: Kept) -> str:
    """Return a table of one row per claim about a published circuit, the papers in order.

    Each row has what is claimed and where, and what each budget gave: numbers and verdict.

    Args:
        kept: What is kept, by budget.
    """
    budgets = list(kept)
    head = ["", "what is claimed"]
    head += [f"ours, {budget} budget: mean (95 % interval)" for budget in budgets]
    rows = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for paper in CIRCUITS:
        own = of_paper(kept, paper)
        for claim in own.get(budgets[0], []):
            cells = [claim["id"], cell(f"{claim['sentence']} *{claim['source']}.*")]
            for budget in budgets:
                found = {one["id"]: one for one in own.get(budget, [])}
                cells.append(_measured(found.get(claim["id"])))
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _measured(claim: Mapping[str, Any] | None) -> str:
    """Return what one budget gave of a claim."""
    if claim is None:
        return "–"
    numbers = [f"{cell(one['label'])}: {interval(one)}" for one in claim["measured"]]
    return "<br>".join([*numbers, f"**{claim['verdict']}**"])


def by_code(kept: Kept, papers: Sequence[Paper]) -> str:
    """Return a table of one row per paper: its codes, its name, how many claims hold.

    Args:
        kept: What is kept, by budget.
        papers: The papers, in order.
    """
    budgets = list(kept)
    head = ["codes", "paper", "name on the command line"]
    head += [f"claims that hold, {budget}" for budget in budgets]
    rows = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for paper in papers:
        own = of_paper(kept, paper.name)
        ids = [claim.id for claim in paper.claims]
        cells = [f"`{ids[0]}` to `{ids[-1]}`", authors(paper.citation)]
        cells.append(f"[`{paper.name}`](claims/{paper.name}.md)")
        cells += [holding(own.get(budget, [])) for budget in budgets]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def authors(citation: str) -> str:
    """Return whose paper it is and of which year, as in a text.

    Args:
        citation: Authors, year, title, and where it was published.

    Example:
        >>> authors("P. Li, J. Cornford & B. A. Richards (2023) Learning better. NeurIPS.")
        'Li et al. 2023'
        >>> authors("A. Laborieux, F. Zenke (2022) Holomorphic equilibrium propagation")
        'Laborieux & Zenke 2022'
    """
    # Some citations have initials and a year in brackets, others neither.
    found = _AUTHORS.match(citation)
    if not found:
        return citation
    named = re.split(r", | & ", found[1].removesuffix(" et al."))
    surnames = [_INITIALS.sub("", one) for one in named]
    if len(surnames) > 2 or "et al." in found[1]:
        return f"{surnames[0]} et al. {found[2]}"
    return f"{' & '.join(surnames)} {found[2]}"


def update(path: Path, text: str) -> bool:
    """Put ``text`` between the two marks of a file, and tell whether that changed it.

    Args:
        path: The file.
        text: What goes between its marks.

    Raises:
        ValueError: If the file lacks the marks.
    """
    before = path.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(before):
        raise ValueError(
            f"`{path}` must have the marks {BEGIN} and {END}; it lacks them."
        )
    after = pattern.sub(lambda _: f"{BEGIN}\n\n{text}\n{END}", before)
    if after != before:
        atomic_files.write_text(path, after)
    return after != before
