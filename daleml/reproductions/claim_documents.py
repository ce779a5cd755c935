"""The pages of claims on the site, written from what is kept of them and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daleml.reproductions import definitions
from daleml.reproductions.claim import THE_PAPERS, Paper
from daleml.reproductions.claim_sections import ByBudget, item, section
from daleml.reproductions.owner_counts import (
    VERDICTS,
    by_verdict,
    deciding,
    headline,
    holding,
    of_bounds,
    owners_of,
    summary,
    undecided,
)
from daleml.reproductions.sweep import READING
from daleml.reproductions.verdict import NOT_TESTED, RULE

Kept = Mapping[str, Mapping[str, Any]]
"""What is kept, by budget."""

BEGIN, END = "<!-- claims: written by `make claims` -->", "<!-- claims: end -->"
"""What stands around what is written from the results."""

WIDTH_OF_FOREST = 350
"""Pixels: as wide as a telephone shows."""

_WIDTH_OF_FIGURE = 480

READ_A_FOREST = (
    "How to read a forest plot: the line at 0 is the bound of each check, and to the right of it"
    " lies what is expected. The mark is the mean over seeds, and the bar its interval, both as"
    " distances from the bound, divided by half the width of the interval, so that checks of any"
    " unit share an axis; beyond 1 it is logarithmic. The bar of a check that holds begins at 0"
    " or to the right of it. An arrow at an edge stands for what lies farther out; a mark"
    " without a bar is a number that all seeds gave. The upright stroke is the place of no"
    " effect: of a direction it is the line itself. The mark to the left says whose it is."
)
"""What the axis and the marks of a forest plot are."""


def overview(kept: Kept, papers: Sequence[Paper]) -> str:
    """Return the page of all claims.

    Args:
        kept: What is kept, by budget.
        papers: The papers, in order.
    """
    every = {budget: content["claims"] for budget, content in kept.items()}
    last = deciding(every)
    parts = [
        "# The founding claims, measured again",
        _WHAT,
        "## Words",
        "Each is defined by those before it.",
        definitions.listed(),
        f"The rule of verdicts, in full: {RULE}",
        f"{BEGIN}\n\n## How many hold",
        f"{headline(last)} {of_bounds(last)} {_WHICH_BUDGET}",
        _by_owner(kept),
        "## All claims at a glance",
        "Each paper is a block, and each claim a row: that of the check that decides.",
        READ_A_FOREST,
        _forests(kept, "overview", "all claims, a block for each paper", "figures"),
        "## The papers",
    ]
    for paper in papers:
        own = of_paper(kept, paper.name)
        if own:
            parts.append(f"**[{paper.name}](claims/{paper.name}.md).** {summary(own)}")
    parts += [
        "## How and where it was measured",
        provenance(kept),
        END,
        _contents(papers),
    ]
    return "\n\n".join(parts) + "\n"


_WHAT = (
    "`daleml reproduce` measures what the papers below claim, at a scale that fits a laptop, over"
    " several seeds, and judges each claim by one rule. This page defines the words, counts the"
    " verdicts apart by whose claim it is, and shows all claims in one figure. Each paper has a"
    " page of its own, with every number, what departs from the paper, and what was tried where a"
    " claim does not hold. Every number is written by the command that measured it."
)

_WHICH_BUDGET = (
    "These sentences count each claim once, at the largest budget at which it was measured; the"
    " table counts by budget."
)

_ON_A_PAPER = (
    "What the words mean, and how to read the figure, stands on [the page of all"
    " claims](../claims.md#words). In the tables, *expected* is the bound and whose it is."
)


def paper_page(kept: Kept, paper: Paper) -> str:
    """Return the page of a paper.

    Args:
        kept: What is kept, by budget.
        paper: The paper.
    """
    own = of_paper(kept, paper.name)
    claims = _by_claim(own)
    parts = [
        f"# {paper.name}",
        f"{BEGIN}\n\n{paper.citation.rstrip('.')}.",
        summary(own),
        "\n".join(map(item, claims)),
        _ON_A_PAPER,
    ]
    tested = [one for claims_ in own.values() for one in claims_ if one["measured"]]
    if tested:
        shown = {budget: {"claims": claims_} for budget, claims_ in own.items()}
        parts.append(
            _forests(shown, paper.name, f"the checks of {paper.name}", "../figures")
        )
    parts += [figure(sweep) for sweep in _sweeps(kept, paper.name)]
    parts += [section(found) for found in claims]
    return "\n\n".join([*parts, END]) + "\n"


def of_paper(kept: Kept, name: str) -> dict[str, list[Mapping[str, Any]]]:
    """Return what is kept of the claims of a paper, by budget.

    Args:
        kept: What is kept, by budget.
        name: The name of the paper.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for budget, content in kept.items():
        own: list[Mapping[str, Any]] = []
        for one in content["claims"]:
            if one["paper"] == name:
                own.append({**one, "budget": budget})
        if own:
            found[budget] = own
    return found


def figure(sweep: Mapping[str, Any]) -> str:
    """Return a figure of a paper with its caption.

    Args:
        sweep: What is kept of it, with the budget.
    """
    name = figure_name(sweep["name"], sweep["budget"])
    image = _image(f"../figures/{name}", sweep["title"], _WIDTH_OF_FIGURE)
    said = f"{sweep['title']} {sweep['caption']} {READING}"
    return f"{image}\n\n{said} Budget: {sweep['budget']}."


def figure_name(name: str, budget: str) -> str:
    """Return the file of a figure: it is named by its budget.

    Args:
        name: The name of the figure.
        budget: The budget at which its numbers were measured.
    """
    return f"{name}-{budget}.png"


def provenance(kept: Kept) -> str:
    """Say by which command, at which commit and where claims were measured.

    Args:
        kept: What is kept, by budget.
    """
    lines = []
    for budget, content in kept.items():
        by_run: dict[str, list[str]] = {}
        for claim in content["claims"]:
            if claim["verdict"] != NOT_TESTED:
                by_run.setdefault(_where(claim.get("machine") or {}), []).append(
                    claim["id"]
                )
        command = f"`daleml reproduce --budget {budget}`"
        for where, ids in by_run.items():
            lines.append(f"- {command}{where}: {', '.join(ids)}.")
    return "\n".join(lines)


def _where(machine: Mapping[str, Any]) -> str:
    names = ("torch", "numpy", "scipy", "python")
    known = [f"{name} {machine[name]}" for name in names if machine.get(name)]
    where = f" on {machine.get('processor', 'a machine without a name')}"
    if known:
        where += f" ({', '.join(known)})"
    if machine.get("commit"):
        return f" at commit {machine['commit']}{where}"
    return where


def _by_owner(kept: Kept) -> str:
    """Return a table of counts: one row for each owner, one column for each verdict and budget."""
    head = ["whose claim"]
    for budget in kept:
        head += [f"{budget}: {verdict}" for verdict in VERDICTS]
    rows = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    everything = [one for content in kept.values() for one in content["claims"]]
    # None stands for the last row, of everybody's claims.
    for owner in [*owners_of(everything), None]:
        cells = ["all" if owner is None else owner or "not written down"]
        for content in kept.values():
            owners = () if owner is None else (owner,)
            counts = by_verdict(content["claims"], *owners)
            cells += [str(counts[verdict]) for verdict in VERDICTS]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _forests(kept: Kept, name: str, what: str, folder: str) -> str:
    """Return the forest plots of all budgets, beside one another where there is room."""
    images = []
    for budget, content in kept.items():
        said = (
            f"Forest plot of {what} at the {budget} budget; the tables have the numbers"
        )
        # Of a budget at which none of these was measured there is no figure.
        if not any(one["measured"] for one in content["claims"]):
            continue
        file = figure_name(f"forest-{name}", budget)
        images.append(_image(f"{folder}/{file}", said, WIDTH_OF_FOREST))
    return "\n".join(images)


def _image(path: str, alternative: str, width: int) -> str:
    # An element of HTML has a width on the site and on GitHub alike.
    said = alternative.replace('"', "&quot;")
    return f'<img src="{path}" alt="{said}" width="{width}">'


def _by_claim(own: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[ByBudget]:
    """Return what is kept of each claim by budget, in the order of the claims."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for budget, claims in own.items():
        for claim in claims:
            found.setdefault(claim["id"], {})[budget] = claim
    return list(found.values())


def _sweeps(kept: Kept, name: str) -> list[Mapping[str, Any]]:
    """Return the figures of a paper, each of the budget that runs most."""
    found = {}
    for budget, content in kept.items():
        for sweep in content["sweeps"]:
            # A later budget takes the place of an earlier one.
            if sweep["paper"] == name:
                found[sweep["name"]] = {**sweep, "budget": budget}
    return list(found.values())


def _contents(papers: Sequence[Paper]) -> str:
    names = "\n".join(f"claims/{paper.name}" for paper in papers)
    return f"```{{toctree}}\n:hidden:\n\n{names}\n```"


def table_of_papers(kept: Kept, papers: Sequence[Paper], folder: str = "docs/") -> str:
    """Return a table of one row for each paper: how many claims hold, apart by owner.

    Args:
        kept: What is kept, by budget.
        papers: The papers, in order.
        folder: Where the pages are, from the page that has the table.
    """
    head = ["paper"]
    head += [f"its own claims that hold, {budget}" for budget in kept]
    head += ["others", "what does not hold, or cannot be told"]
    rows = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for paper in papers:
        own = of_paper(kept, paper.name)
        cells = [f"[{paper.name}]({folder}claims/{paper.name}.md)"]
        cells += [holding(own.get(budget, []), THE_PAPERS, "") for budget in kept]
        once = deciding(own)
        others = owners_of(once)
        # Without owners, every claim would be counted.
        meant = [owner for owner in others if owner not in (THE_PAPERS, "")]
        cells.append(holding(once, *meant) if meant else "–")
        cells.append(undecided(once))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
