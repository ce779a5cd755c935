"""``daleml sweep``: a study of one's own, for many conditions and seeds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daleml.cli.terminal import console, plainly, print_table

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

_SCHEDULER = (
    "Address of a Dask scheduler, such as tcp://host:8786. It must be one you trust: whoever"
    " answers there can run any code on this machine."
)
_SLURM = (
    "Options of sbatch, such as partition=cpu,time=2:00:00,mem=4GB: each run is a job of SLURM,"
    " by submitit."
)
_Study = Annotated[
    Path,
    typer.Argument(
        metavar="STUDY",
        help=(
            "Python file that defines run(seed, ...), and grid, conditions, seeds as"
            " daleml.experiments.sweep takes them."
        ),
    ),
]


@plainly
def sweep(
    study: _Study,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the journal and the tables. Default: runs/ and the file's name.",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="How many seeds, or which: 20, or 3,5,8. Default: the study's."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="The most runs at once. Default: one per core, or all."),
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help=_SCHEDULER)] = None,
    slurm: Annotated[str | None, typer.Option(help=_SLURM)] = None,
    repeat_failed: Annotated[
        bool, typer.Option("--repeat-failed", help="Run again what failed before.")
    ] = False,
    status: Annotated[
        bool,
        typer.Option("--status", help="Only show how far it is; it may be running."),
    ] = False,
) -> None:
    """Run a study of yours for many conditions and seeds, and summarise it.

    Finished runs are kept in a journal: the same command goes on where it was interrupted.
    """
    folder = Path("runs", study.stem) if out is None else out
    screen = console()
    if status:
        _show_status(folder, screen)
        return
    if scheduler is not None and slurm is not None:
        raise ValueError("`slurm` must be left out where `scheduler` is given.")
    options: dict[str, Any] = {} if seeds is None else {"seeds": _seeds(seeds)}
    from daleml import experiments
    from daleml.experiments.study_file import Study

    given = Study.load(study)
    with _executor(folder, scheduler, slurm) as executor:
        table = experiments.sweep(
            given.run,
            out=folder,
            executor=executor,
            jobs=jobs,
            repeat_failed=repeat_failed,
            **{**given.options, **options},
        )
    _report(table, folder, screen)


def _report(table: pd.DataFrame, folder: Path, screen: Console) -> None:
    """Print the summary, write the tables, and say if runs failed."""
    from daleml._support import atomic_files

    atomic_files.write_text(folder / "table.csv", table.to_csv(index=False))
    found = _print_summary(table, screen)
    if found is not None:
        atomic_files.write_text(folder / "summary.csv", found.to_csv(index=False))
    screen.print(f"table: {folder / 'table.csv'}", soft_wrap=True)
    failed = int((table.problem != "").sum())
    if failed:
        raise ValueError(
            f"{failed:,} of {len(table):,} runs failed: see the column `problem` of"
            f" {folder / 'table.csv'}, and give --repeat-failed to run them again."
        )


def _print_summary(table: pd.DataFrame, screen: Console) -> pd.DataFrame | None:
    from daleml.experiments import summary

    if not (table.problem == "").any():
        return None
    found = summary(table)
    shown = found.drop(columns="sd")
    print_table(screen, shown, "Means over seeds with 95 % intervals (Student's t)")
    return found


def _show_status(folder: Path, screen: Console) -> None:
    from daleml import experiments

    found = experiments.status(folder)
    line = f"{found.finished:,} of {found.asked:,} runs finished"
    if found.failed:
        line += f", {found.failed:,} failed"
    screen.print(f"{line}, {found.left:,} left", soft_wrap=True)
    table = experiments.read(folder)
    # Of conditions that were changed under their names, those that were asked for last.
    told = [*table.attrs["conditions"], "seed"]
    _print_summary(table.drop_duplicates(told), screen)


def _seeds(text: str) -> int | list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"`seeds` must be an integer, or integers with commas between; got {text!r}."
        ) from None
    return numbers if "," in text else numbers[0]


@contextlib.contextmanager
def _executor(folder: Path, scheduler: str | None, slurm: str | None) -> Iterator[Any]:
    """Yield where to run; None for this machine."""
    if scheduler is not None:
        from daleml.experiments import cluster

        with cluster.executor(scheduler) as executor:
            yield executor
    elif slurm is not None:
        from daleml.experiments import slurm as queue

        yield queue.executor(folder / "slurm", queue.options_of(slurm))
    else:
        yield None
