"""What a reproduction found, as a table, as figures and as one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from daleml._support import atomic_files
from daleml.analysis import plots
from daleml.analysis.plots.drawing import Drawing
from daleml.pages.html_page import Section, page
from daleml.reproductions.claim import Paper
from daleml.reproductions.running_claims import Reproduction
from daleml.reproductions.sweep import SEEN, Swept
from daleml.reproductions.verdict import FAILS, HOLDS, NOT_TESTED, RULE, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return one row an expectation.

    The claim, what was measured with its interval, what was expected, the verdict.
    """
    import pandas as pd

    rows = []
    for outcome in outcomes:
        for one in outcome.measured:
            rows.append(
                {
                    "claim": outcome.claim.id,
                    "measured": one.check.label,
                    "mean [95 % interval]": (
                        f"{one.mean:.4g} [{one.low:.4g}, {one.high:.4g}]"
                    ),
                    "expected": one.check.bound(),
                    "seeds": len(one.values),
                    "verdict": one.verdict,
                }
            )
        if not outcome.measured:
            rows.append(
                {
                    "claim": outcome.claim.id,
                    "measured": outcome.claim.sentence,
                    "verdict": outcome.verdict,
                }
            )
    return pd.DataFrame(
        rows,
        columns=[
            "claim",
            "measured",
            "mean [95 % interval]",
            "expected",
            "seeds",
            "verdict",
        ],
    )


def summary(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return one row a claim: its sentence and its verdict."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "claim": f"{outcome.claim.id}: {outcome.claim.sentence}",
                "verdict": outcome.verdict,
            }
            for outcome in outcomes
        ]
    )


def verdict_counts(outcomes: Sequence[Outcome]) -> str:
    """Say how many claims hold, and how many do what else."""
    verdicts = [outcome.verdict for outcome in outcomes]
    counts = {
        verdict: verdicts.count(verdict)
        for verdict in dict.fromkeys([HOLDS, *sorted(verdicts)])
    }
    tested = len(verdicts) - counts.get(NOT_TESTED, 0)
    several = {FAILS: "do not hold"}
    rest = "; ".join(
        f"{count} {several.get(verdict, verdict) if count > 1 else verdict}"
        for verdict, count in counts.items()
        if verdict != HOLDS
    )
    return (
        f"{counts[HOLDS]} of {tested} tested claims hold"
        + (f"; {rest}" if rest else "")
        + "."
    )


def write(
    result: Reproduction, papers: Sequence[Paper], out: Path, command: str
) -> Path:
    """Write ``claims.json``, a figure per claim, those of the papers, and the page that holds them all: as one set.

    Args:
        result: What was found.
        papers: Whose claims they are.
        out: Folder for ``claims.json``, ``index.html`` and ``figures/``.
        command: What was typed, without the claims.

    Returns:
        The page.

    Raises:
        ValueError: If the folder cannot be written to.
        OSError: If the set cannot be written; the earlier one is there still.
    """
    files: dict[str, bytes] = {}
    sections = []
    for paper in papers:
        own = [
            outcome for outcome in result.outcomes if outcome.claim.paper == paper.name
        ]
        if own:
            drawn = [
                _drawing(swept, files)
                for swept in result.sweeps
                if swept.sweep in paper.sweeps
            ]
            sections.append(
                Section(paper.name, [paper.citation], [summary(own)], drawn)
            )
        for outcome in own:
            sections.append(_section(outcome, files, command))
    n_seeds = min(
        (len(one.values) for outcome in result.outcomes for one in outcome.measured),
        default=0,
    )
    facts = [
        (
            str(sum(outcome.verdict == HOLDS for outcome in result.outcomes)),
            "claims hold",
        ),
        (str(len(result.outcomes)), "claims listed"),
        (str(n_seeds), "seeds at least"),
        (result.budget, "budget"),
    ]
    footer = [
        RULE,
        ", ".join(f"{name} {value}" for name, value in result.machine.items() if value),
    ]
    lead = verdict_counts(result.outcomes)
    files["index.html"] = page(
        "The founding claims, measured again", lead, facts, sections, footer
    ).encode()
    atomic_files.write_set("out", out, files, "claims.json", result.to_dict())
    return out / "index.html"


def _section(outcome: Outcome, files: dict[str, bytes], command: str) -> Section:
    claim = outcome.claim
    said = [
        f"{claim.sentence} {outcome.verdict.capitalize()}.",
        f"Source: {claim.source}.",
    ]
    said += [claim.note] if claim.note else []
    if not outcome.measured:
        return Section(f"{claim.id}: {outcome.verdict}", said)
    said.append(f"`{command.replace('reproduce', f'reproduce {claim.id}', 1)}`")
    caption = (
        "Dots are seeds, the bar is the 95 % interval of their mean, the green band is what"
        " was expected."
    )
    shown = table([outcome]).drop(columns="claim")
    drawing = Drawing(plots.claim(outcome), caption)
    files[f"figures/{claim.id}.png"] = drawing.png()
    return Section(f"{claim.id}: {outcome.verdict}", said, [shown], [drawing])


def _drawing(swept: Swept, files: dict[str, bytes]) -> Drawing:
    drawing = Drawing(
        plots.sweep(swept), f"{swept.sweep.title} {swept.sweep.caption} {SEEN}"
    )
    files[f"figures/{swept.sweep.name}.png"] = drawing.png()
    return drawing
