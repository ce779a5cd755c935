"""``daleml reproduce``: the founding papers' claims, measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daleml.cli.terminal import console, plainly, print_table


@plainly
def reproduce(
    claims: Annotated[
        list[str] | None,
        typer.Argument(metavar="PAPER|CLAIM", help="Such as: dann 3b. Default: all."),
    ] = None,
    budget: Annotated[
        str, typer.Option(help="quick (minutes), paper (an hour) or long (a day).")
    ] = "quick",
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Folder for journal, figures, claims.json and page."
        ),
    ] = Path("reproduction"),
    jobs: Annotated[
        int | None,
        typer.Option(
            help=(
                "Seeds to run at once, at least 1; never more than cores or seeds. Default:"
                " one per core."
            )
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help=(
                "Address of a Dask scheduler, such as tcp://host:8786. It must be one you"
                " trust: "
                "whoever answers there can run any code on this machine."
            )
        ),
    ] = None,
) -> None:
    """Measure the founding papers' claims again, and say which hold.

    Finished seeds are kept in a journal: the same command goes on where it was interrupted.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    from daleml import reproductions
    from daleml.pages import claims_page
    from daleml.reproductions import papers

    chosen = reproductions.find(claims or ())
    screen = console()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("seeds", total=None)
        result = reproductions.reproduce(
            chosen,
            out,
            sweeps=reproductions.sweeps_of(chosen),
            budget=budget,
            jobs=jobs,
            scheduler=scheduler,
            save=False,  # with the page, as one set
            say=lambda line: bar.console.print(line, soft_wrap=True),
            progress=lambda done, total, name: bar.update(
                task,
                completed=done,
                total=total,
                description=f"seeds, {name} last" if name else "seeds",
            ),
        )
    print_table(
        screen,
        claims_page.table(result.outcomes),
        "The founding claims, measured again",
    )
    written = claims_page.write(
        result, papers.all_papers(), out, f"daleml reproduce --budget {budget}"
    )
    screen.print(claims_page.verdict_counts(result.outcomes), soft_wrap=True)
    screen.print(f"report: {written}", soft_wrap=True)
    if result.failures:
        raise ValueError(
            f"{len(result.failures)} seeds could not be run: the same command tries them"
            " again."
        )
