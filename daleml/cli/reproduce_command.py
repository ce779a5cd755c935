"""``daleml reproduce``: the founding papers' claims, measured again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daleml.cli import completions
from daleml.cli.terminal import console, plainly, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from daleml.reproductions import Reproduction


_JOBS = "Seeds to run at once, at least 1; never more than cores or seeds. Default: one per core."
_SCHEDULER = (
    "Address of a Dask scheduler, such as tcp://host:8786. It must be one you trust: whoever"
    " answers there can run any code on this machine."
)


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
) -> None:
    """Measure the founding papers' claims again, and say which hold.

    Finished seeds are kept in a journal: the same command goes on where it was interrupted.
    """
    from daleml import reproductions

    chosen = reproductions.find(claims or ())
    screen = console()
    with _seeds_bar(screen) as (say, progress):
        result = reproductions.reproduce(
            chosen,
            out,
            sweeps=reproductions.sweeps_of(chosen),
            budget=budget,
            jobs=jobs,
            scheduler=scheduler,
            # Results are saved below, with the page, as one set.
            save=False,
            say=say,
            progress=progress,
        )
    _report(result, out, f"daleml reproduce --budget {budget}", screen)


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
