"""The progress of long tasks on standard error: bars on a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from daleml.cli.terminal import console

if TYPE_CHECKING:
    from rich.console import Console

Report = Callable[[str, int, int], object]

_FIRST_ESTIMATE = 2.0
"""Seconds after which the time of what is left can be told from what is done."""

_BETWEEN_LINES = 20.0
"""Seconds from one line of a log to the next."""


@contextmanager
def progress() -> Iterator[Report]:
    """Yield what to call with a task, the number of samples done and the number of all.

    On standard error, so that a table that is piped on has none of it.
    """
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield LogLines(screen)
        return
    with _bars(screen) as report:
        yield report


@contextmanager
def _bars(screen: Console) -> Iterator[Report]:
    """Show a bar for each task, and take it away when all is done."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("samples, time left:", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as bars:
        tasks = {}

        def report(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done, total=of)

        yield report


class LogLines:
    """Says now and then, one line each, how far a task is and how long it will take.

    Args:
        screen: Where to write.
        clock: Tells the time in seconds.
    """

    def __init__(
        self, screen: Console, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._screen = screen
        self._clock = clock
        self._began: dict[str, float] = {}
        self._next = 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        """Hear that a task has done some of its samples; say so, if it is time."""
        now = self._clock()
        if what not in self._began:
            self._began[what] = now
            self._next = now + _FIRST_ESTIMATE
            self._say(f"{what}: {of:,} samples are drawn and fitted")
        if now < self._next or done >= of:
            return
        self._next = now + _BETWEEN_LINES
        seconds_left = (now - self._began[what]) / done * (of - done)
        self._say(
            f"{what}: {done:,} of {of:,} samples, about {duration(seconds_left)} left"
        )

    def _say(self, line: str) -> None:
        self._screen.print(line, soft_wrap=True)


def duration(seconds: float) -> str:
    """Return how long something takes, as roughly as it is known.

    Example:
        >>> duration(0.2), duration(48), duration(610), duration(9000)
        ('1 s', '48 s', '10 min', '2.5 h')
    """
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 99.5 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
