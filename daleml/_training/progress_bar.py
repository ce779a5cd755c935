"""The progress bar of a training run, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def progress_bar(
    progress: bool, done: int, epochs: int
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Show a progress bar on a terminal; yield what advances it by an epoch."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[results]}"),
    )
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not (progress and console.is_terminal),
    ) as bar:
        task = bar.add_task("train", total=epochs, completed=done, results="")

        def advance(results: Mapping[str, float]) -> None:
            shown = [f"{name} {value:.4g}" for name, value in results.items()]
            bar.update(task, advance=1, results=", ".join(shown))

        yield advance
