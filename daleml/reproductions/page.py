"""What a reproduction found, as a table, as figures and as one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from daleml import _files
from daleml.analysis import plots
from daleml.report import Drawing, Section, page
from daleml.reproductions.claim import Paper
from daleml.reproductions.running import Reproduction
from daleml.reproductions.sweep import SEEN, Swept
from daleml.reproductions.verdict import FAILS, HOLDS, NOT_TESTED, RULE, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure


def table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return one row an expectation: the claim, what was measured with its interval, what was expected, the verdict."""
    import pandas as pd

    rows = []
    for outcome in outcomes:
        for one in outcome.measured:
            rows.append(
                {
                    "claim": outcome.claim.id,
                    "measured": one.check.label,
                    "mean [95 % interval]": f"{one.mean:.4g} [{one.low:.4g}, {one.high:.4g}]",
                    "expected": one.check.bound(),
                    "seeds": len(one.values),
                    "verdict": one.verdict,
                }
            )
        if not outcome.measured:
            rows.append({"claim": outcome.claim.id, "measured": outcome.claim.sentence, "verdict": outcome.verdict})
    return pd.DataFrame(rows, columns=["claim", "measured", "mean [95 % interval]", "expected", "seeds", "verdict"])


def summary(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return one row a claim: its sentence and its verdict."""
    import pandas as pd

    return pd.DataFrame(
        [{"claim": f"{outcome.claim.id}: {outcome.claim.sentence}", "verdict": outcome.verdict} for outcome in outcomes]
    )


def verdict_counts(outcomes: Sequence[Outcome]) -> str:
    """Say how many claims hold, and how many do what else."""
    verdicts = [outcome.verdict for outcome in outcomes]
    counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys([HOLDS, *sorted(verdicts)])}
    tested = len(verdicts) - counts.get(NOT_TESTED, 0)
    several = {FAILS: "do not hold"}
    rest = "; ".join(
        f"{count} {several.get(verdict, verdict) if count > 1 else verdict}"
        for verdict, count in counts.items()
        if verdict != HOLDS
    )
    return f"{counts[HOLDS]} of {tested} tested claims hold" + (f"; {rest}" if rest else "") + "."


def write(result: Reproduction, papers: Sequence[Paper], out: Path, command: str) -> Path:
    """Write a figure a claim, those of the papers, and the page that holds them all.

    Args:
        result: What was found.
        papers: Whose claims they are.
        out: Folder for ``index.html`` and ``figures/``.
        command: What was typed, without the claims.

    Returns:
        The page.
    """
    figures = _files.folder("out", out / "figures")
    sections = []
    for paper in papers:
        own = [outcome for outcome in result.outcomes if outcome.claim.paper == paper.name]
        if own:
            drawn = [_drawing(swept, figures) for swept in result.sweeps if swept.sweep in paper.sweeps]
            sections.append(Section(paper.name, [paper.citation], [summary(own)], drawn))
        for outcome in own:
            sections.append(_section(outcome, figures, command))
    n_seeds = min((len(one.values) for outcome in result.outcomes for one in outcome.measured), default=0)
    facts = [
        (str(sum(outcome.verdict == HOLDS for outcome in result.outcomes)), "claims hold"),
        (str(len(result.outcomes)), "claims listed"),
        (str(n_seeds), "seeds at least"),
        (result.budget, "budget"),
    ]
    footer = [RULE, ", ".join(f"{name} {value}" for name, value in result.machine.items() if value)]
    lead = verdict_counts(result.outcomes)
    text = page("The founding claims, measured again", lead, facts, sections, footer)
    path = out / "index.html"
    _files.write_text(path, text)
    return path


def _section(outcome: Outcome, figures: Path, command: str) -> Section:
    claim = outcome.claim
    said = [f"{claim.sentence} {outcome.verdict.capitalize()}.", f"Source: {claim.source}."]
    said += [claim.note] if claim.note else []
    if not outcome.measured:
        return Section(f"{claim.id}: {outcome.verdict}", said)
    said.append(f"`{command.replace('reproduce', f'reproduce {claim.id}', 1)}`")
    drawing = plots.claim(outcome)
    _save(drawing, figures / f"{claim.id}.png")
    caption = "Dots are seeds, the bar is the 95 % interval of their mean, the green band is what was expected."
    shown = table([outcome]).drop(columns="claim")
    return Section(f"{claim.id}: {outcome.verdict}", said, [shown], [Drawing(drawing, caption)])


def _drawing(swept: Swept, figures: Path) -> Drawing:
    drawing = plots.sweep(swept)
    _save(drawing, figures / f"{swept.sweep.name}.png")
    return Drawing(drawing, f"{swept.sweep.title} {swept.sweep.caption} {SEEN}")


def _save(drawing: Figure, path: Path) -> None:
    _files.write(path, lambda temporary: drawing.savefig(temporary, dpi=160, metadata={"Software": None}))
