"""``daleml reproduce``: the founding papers' claims, measured again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daleml.cli import completions
from daleml.cli.terminal import console, plainly, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from daleml.reproductions import Claim, Reproduction


_JOBS = "Seeds to run at once, at least 1; never more than cores or seeds. Default: one per core."
_SCHEDULER = (
    "Address of a Dask scheduler, such as tcp://host:8786. It must be one you trust: whoever"
    " answers there can run any code on this machine."
)
_SLURM = (
    "Options of sbatch, such as partition=cpu,time=2:00:00,mem=4GB: each seed is a job of SLURM,"
    " by submitit."
)
_PLAN = "Only show what the seeds can decide, by the spread of the quick budget's; run nothing."


@plainly
def reproduce(
    claims: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PAPER|CLAIM",
            autocompletion=completions.papers,
            # The names of `reproductions.papers.FOLDERS`, which help does not import.
            help=(
                "dann, spectral, eg, geometry, regimes, oja, equilibrium, evolution,"
                " interneurons, synapses, decision, or a claim such as 3b. Default: all."
            ),
        ),
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            help="quick (minutes), paper (an hour) or long (a day).",
            autocompletion=completions.budgets,
        ),
    ] = "quick",
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Folder for journal, figures, claims.json and page."
        ),
    ] = Path("reproduction"),
    jobs: Annotated[int | None, typer.Option(help=_JOBS)] = None,
    scheduler: Annotated[str | None, typer.Option(help=_SCHEDULER)] = None,
    slurm: Annotated[str | None, typer.Option(help=_SLURM)] = None,
    plan: Annotated[bool, typer.Option("--plan", help=_PLAN)] = False,
) -> None:
    """Measure the founding papers' claims again, and say which hold.

    Finished seeds are kept in a journal: the same command goes on where it was interrupted.
    """
    from daleml import reproductions

    chosen = reproductions.find(claims or ())
    screen = console()
    if plan:
        _show_plan(chosen, budget, screen)
        return
    executor = _executor(out, scheduler, slurm)
    with _seeds_bar(screen) as (say, progress):
        result = reproductions.reproduce(
            chosen,
            out,
            sweeps=reproductions.sweeps_of(chosen),
            budget=budget,
            jobs=jobs,
            scheduler=scheduler,
            executor=executor,
            # Results are saved below, with the page, as one set.
            save=False,
            say=say,
            progress=progress,
        )
    _report(result, out, f"daleml reproduce --budget {budget}", screen)


def _executor(out: Path, scheduler: str | None, slurm: str | None) -> Any:
    """Return what runs jobs of SLURM; None for another place."""
    if slurm is None:
        return None
    if scheduler is not None:
        raise ValueError("`slurm` must be left out where `scheduler` is given.")
    from daleml.experiments import slurm as queue

    return queue.executor(out / "slurm", queue.options_of(slurm))


def _show_plan(claims: Sequence[Claim], budget: str, screen: Console) -> None:
    """Print what the seeds of a budget can decide, and about how long they take."""
    import pandas as pd

    from daleml.reproductions import BUDGETS, seed_plan
    from daleml.reproductions.verdict import seeds_in_words

    if budget not in BUDGETS:
        raise ValueError(
            f"`budget` must be one of {', '.join(BUDGETS)}; got {budget!r}."
        )
    planned = seed_plan.plan(claims, budget)
    rows = []
    for one in planned:
        row: dict[str, object] = {
            "claim": one.claim.id,
            "measured": one.check.label,
            "seeds": one.seeds,
        }
        if one.pilot is not None and one.prospect is not None:
            row |= {
                "SD of the pilot": one.pilot.sd,
                "smallest effect": one.prospect.smallest_effect,
                "expected distance": one.prospect.distance,
                "seeds needed": seeds_in_words(one.prospect.seeds_needed),
            }
        rows.append(row)
    columns = [
        "claim",
        "measured",
        "seeds",
        "SD of the pilot",
        "smallest effect",
        "expected distance",
        "seeds needed",
    ]
    found = pd.DataFrame(rows, columns=columns)
    print_table(screen, found, "What the seeds decide in four runs of five")
    short = sum(not one.suffices for one in planned)
    minutes = seed_plan.planned_minutes(claims, budget)
    screen.print(
        f"{len(planned) - short} of {len(planned)} expectations have enough seeds; about"
        f" {minutes:,.0f} processor minutes.",
        soft_wrap=True,
    )


def _report(result: Reproduction, out: Path, command: str, screen: Console) -> None:
    """Print what came of the claims, and write their page."""
    from daleml.pages import claims_page
    from daleml.reproductions import papers

    found = claims_page.table(result.outcomes)
    print_table(screen, found, "The founding claims, measured again")
    written = claims_page.write(result, papers.all_papers(), out, command)
    screen.print(claims_page.verdict_counts(result.outcomes), soft_wrap=True)
    screen.print(f"report: {written}", soft_wrap=True)
    # Only now: the seeds that did run are printed and saved already.
    if result.failures:
        raise ValueError(
            f"{len(result.failures)} seeds could not be run: the same command tries them"
            " again."
        )


@contextmanager
def _seeds_bar(
    screen: Console,
) -> Iterator[tuple[Callable[[str], None], Callable[[int, int, str], None]]]:
    """Show a bar of the seeds; yield what prints a line above it, and what moves it."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("seeds", total=None)

        def say(line: str) -> None:
            bar.console.print(line, soft_wrap=True)

        def progress(done: int, total: int, name: str) -> None:
            description = f"seeds, {name} last" if name else "seeds"
            bar.update(task, completed=done, total=total, description=description)

        yield say, progress
