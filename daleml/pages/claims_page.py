"""What a reproduction found, as a table, as figures and as one page."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from daleml._support import atomic_files
from daleml.analysis import plots
from daleml.analysis.plots.drawing import Drawing
from daleml.pages.html_page import Section, page
from daleml.pages.page_words import OF_CLAIMS
from daleml.reproductions import definitions, owner_counts
from daleml.reproductions.claim import Paper
from daleml.reproductions.claim_documents import READ_A_FOREST
from daleml.reproductions.claim_sections import owner_of
from daleml.reproductions.running_claims import Reproduction
from daleml.reproductions.sweep import READING
from daleml.reproductions.verdict import (
    FAILS,
    HOLDS,
    NOT_TESTED,
    RULE,
    Outcome,
    in_words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_FILE = re.compile(r"\b\w+\.py\b")
_FILE_OF_AUTHORS = "is a file of the authors' code; its address is not on record here"

_READ_A_FIGURE = (
    "In the figure of a claim, each dot is a seed, the diamond is the mean of the seeds, the bar"
    " is the 95 % interval of that mean, and the green band is what was expected. The bar is"
    " judged, not the dots: some dots may lie outside the band of a claim that holds."
)
_NO_EFFECT = " The dashed line is where the number would be if there were no effect."

_COLUMNS = (
    "claim",
    "measured",
    "mean [95 % interval]",
    "expected",
    "whose bound",
    "seeds",
    "verdict",
)


def table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return one row per expectation: claim, measurement, interval, expectation, verdict."""
    import pandas as pd

    rows: list[dict[str, object]] = []
    for outcome in outcomes:
        claim = outcome.claim
        for one in outcome.measured:
            rows.append(
                {
                    "claim": claim.id,
                    "measured": one.check.label,
                    "mean [95 % interval]": (
                        f"{one.mean:.4g} [{one.low:.4g}, {one.high:.4g}]"
                    ),
                    "expected": one.check.bound(),
                    "whose bound": owner_of(dataclasses.asdict(one.check)),
                    "seeds": len(one.values),
                    "verdict": in_words(one.verdict, one.prospect.seeds_needed),
                }
            )
        # A claim that was not tested has a row too: left out, it would not be missed.
        if not outcome.measured:
            row = {"claim": claim.id, "measured": claim.sentence}
            rows.append({**row, "verdict": outcome.verdict})
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def summary(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return one row per claim: its sentence, whose it is, and its verdict."""
    import pandas as pd

    rows = []
    for outcome in outcomes:
        claim = outcome.claim
        row = {"claim": f"{claim.id}: {claim.sentence}", "whose": claim.owner}
        rows.append(row | {"verdict": outcome.verdict})
    return pd.DataFrame(rows)


def verdict_counts(outcomes: Sequence[Outcome]) -> str:
    """Say how many claims hold, and how many do what else."""
    verdicts = [outcome.verdict for outcome in outcomes]
    counts = Counter(verdicts)
    # What was not tested speaks neither for the claims nor against them.
    tested = len(verdicts) - counts[NOT_TESTED]
    said = f"{counts[HOLDS]} of {tested} tested claims hold"
    for verdict in sorted(counts.keys() - {HOLDS}):
        words = verdict
        if verdict == FAILS and counts[verdict] > 1:
            words = "do not hold"
        said += f"; {counts[verdict]} {words}"
    return f"{said}."


def write(
    result: Reproduction, papers: Sequence[Paper], out: Path, command: str
) -> Path:
    """Write ``claims.json``, the figures, and the page that holds them all: as one set.

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
    sections = [_words(), Section("What the verdicts mean", [RULE, _READ_A_FIGURE])]
    sections.append(_at_a_glance(result, files))
    for paper in papers:
        own = [one for one in result.outcomes if one.claim.paper == paper.name]
        # A paper of which nothing was chosen has no section.
        if own:
            sections.append(_of_paper(paper, own, result, files))
        sections += [_of_claim(outcome, files, command) for outcome in own]
    machine = [f"{name} {value}" for name, value in result.machine.items() if value]
    files["index.html"] = page(
        "The founding claims, measured again",
        verdict_counts(result.outcomes),
        _facts(result),
        sections,
        [f"Made by `{command}` on {', '.join(machine)}."],
        OF_CLAIMS,
    ).encode()
    atomic_files.write_set("out", out, files, "claims.json", result.to_dict())
    return out / "index.html"


def _words() -> Section:
    """Compose the section of the words in which claims are judged."""
    import pandas as pd

    rows = []
    for term, meaning in definitions.TERMS.items():
        # Marks of Markdown, which this page does not read.
        plain = re.sub("[*`]", "", meaning)
        rows.append({"word": term, "what it means": plain})
    return Section(
        "Words", ["Each is defined by those before it."], [pd.DataFrame(rows)]
    )


def _at_a_glance(result: Reproduction, files: dict[str, bytes]) -> Section:
    """Compose the section of all claims: their counts by owner, and one figure."""
    kept = [outcome.to_dict() for outcome in result.outcomes]
    said = [owner_counts.headline(kept)]
    drawings = []
    if any(claim["measured"] for claim in kept):
        said += [owner_counts.of_bounds(kept), READ_A_FOREST]
        drawing = Drawing(
            plots.forest_overview(kept, title=f"{result.budget} budget"),
            "Forest plot of all claims, a block for each paper: one row for each claim, that of"
            " the check that decides. The tables below have the numbers.",
        )
        files["figures/forest-overview.png"] = drawing.png()
        drawings.append(drawing)
    return Section("All claims at a glance", said, (), drawings)


def _facts(result: Reproduction) -> list[tuple[str, str]]:
    n_hold = 0
    seeds: list[int] = []
    for outcome in result.outcomes:
        n_hold += outcome.verdict == HOLDS
        seeds += [len(one.values) for one in outcome.measured]
    return [
        (str(n_hold), "claims hold"),
        (str(len(result.outcomes)), "claims listed"),
        (str(min(seeds, default=0)), "seeds or more for each claim"),
        (result.budget, "budget"),
    ]


def _of_paper(
    paper: Paper,
    outcomes: Sequence[Outcome],
    result: Reproduction,
    files: dict[str, bytes],
) -> Section:
    """Compose the section of a paper, and keep its figures among the files."""
    drawings = []
    kept = [outcome.to_dict() for outcome in outcomes]
    if any(claim["measured"] for claim in kept):
        drawing = Drawing(
            plots.forest(kept, title=f"{result.budget} budget"),
            f"Forest plot of the checks of {paper.name}: the interval of each beside its bound."
            " The tables below have the numbers.",
        )
        files[f"figures/forest-{paper.name}.png"] = drawing.png()
        drawings.append(drawing)
    for swept in result.sweeps:
        sweep = swept.sweep
        if sweep in paper.sweeps:
            caption = f"{sweep.title} {sweep.caption} {READING}"
            drawing = Drawing(plots.sweep(swept), caption)
            # Beside the page too, to be put into a talk.
            files[f"figures/{sweep.name}.png"] = drawing.png()
            drawings.append(drawing)
    said = [paper.citation, owner_counts.summary({result.budget: kept})]
    return Section(paper.name, said, [summary(outcomes)], drawings)


def _of_claim(outcome: Outcome, files: dict[str, bytes], command: str) -> Section:
    """Compose the section of a claim, and keep its figure among the files."""
    claim = outcome.claim
    heading = f"{claim.id}: {outcome.verdict}"
    said = [f"{claim.sentence} Verdict: {outcome.verdict}.", _source(claim.source)]
    if claim.owner:
        said.append(f"Whose claim: {claim.owner}.")
    if claim.note:
        said.append(claim.note)
    if outcome.absent:
        said.append(f"Not tested here: {outcome.absent}")
    if claim.tried:
        said.append(f"What was tried. {claim.tried}")
    if claim.earlier:
        said.append(f"As it was stated before. {claim.earlier}")
    if not outcome.measured:
        return Section(heading, said, level=3)
    # The command of this claim alone, for a reader who wants to see it measured.
    said.append(f"`{command.replace('reproduce', f'reproduce {claim.id}', 1)}`")
    drawing = Drawing(plots.claim(outcome), _caption(outcome))
    files[f"figures/{claim.id}.png"] = drawing.png()
    measured = table([outcome]).drop(columns="claim")
    return Section(heading, said, [measured], [drawing], level=3)


def _source(source: str) -> str:
    """Say where something is claimed, and what a file that is named there is."""
    files = _FILE.findall(source)
    if not files:
        return f"Source: {source}."
    return f"Source: {source}. `{files[0]}` {_FILE_OF_AUTHORS}."


def _caption(outcome: Outcome) -> str:
    """Say what the figure of a claim shows, to those too who cannot see it."""
    said = (
        f"The seeds of claim {outcome.claim.id}, their mean and its interval, beside what"
        " was expected; the table above has the numbers."
    )
    if any(one.check.no_effect is not None for one in outcome.measured):
        said += _NO_EFFECT
    return said
