"""The progress of a sweep on standard error: a bar on a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_BETWEEN_LINES = 30.0
"""Seconds from one line of a log to the next."""
_WIDTH = 160
"""Columns of what is no terminal, so that a sentence is one line."""


@contextmanager
def display(shown: bool) -> Iterator[Display]:
    """Yield what shows how far a sweep is.

    Args:
        shown: Whether to show that; messages are shown in any case.
    """
    from rich.console import Console

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console = Console(
            stderr=True, markup=False, emoji=False, highlight=False, width=_WIDTH
        )
    if not shown:
        yield Display(console)
    elif not console.is_terminal:
        yield Lines(console)
    else:
        yield from _bar(console)


def _bar(console: Any) -> Iterator[Display]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("runs"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[failed]}", markup=False),
        TextColumn("time left:", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield Bar(console, bar)


class Display:
    """Shows messages only.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Any) -> None:
        self._console = console
        self._total = 0
        self._done = 0
        self._failed = 0

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        from daleml._support import safe_text

        self._console.print(safe_text.shown(sentence), soft_wrap=True)

    def begin(self, done: int, total: int) -> None:
        """Hear how many runs there are, and how many were finished before."""
        self._done, self._total = done, total
        self._show()

    def advance(self, failed: bool) -> None:
        """Hear that a run has ended, and whether it failed."""
        self._done += 1
        self._failed += failed
        self._show()

    def _show(self) -> None:
        """Show how far the sweep is."""


class Bar(Display):
    """Shows a bar.

    Args:
        console: Where to write.
        bar: What draws it.
    """

    def __init__(self, console: Any, bar: Any) -> None:
        super().__init__(console)
        self._bar = bar
        self._task: Any = None

    def _show(self) -> None:
        failed = f"{self._failed:,} failed," if self._failed else ""
        if self._task is None:
            # Runs of an earlier start were not done in this one's time.
            self._task = self._bar.add_task(
                "runs", total=self._total, completed=self._done, failed=failed
            )
            return
        self._bar.update(self._task, completed=self._done, failed=failed)


class Lines(Display):
    """Writes a line now and then.

    Args:
        console: Where to write.
        clock: Tells the time in seconds.
    """

    def __init__(
        self, console: Any, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(console)
        self._clock = clock
        self._began = clock()
        self._first = -1
        self._next = 0.0

    def _show(self) -> None:
        now = self._clock()
        if self._first < 0:
            self._first = self._done
            self._began = now
        is_last = self._done == self._total
        if now < self._next and not is_last:
            return
        self._next = now + _BETWEEN_LINES
        line = f"{self._done:,} of {self._total:,} runs"
        if self._failed:
            line += f", {self._failed:,} failed"
        own = self._done - self._first
        if own and not is_last:
            seconds = (now - self._began) / own * (self._total - self._done)
            line += f", about {duration(seconds)} left"
        self.say(line)


def duration(seconds: float) -> str:
    """Return how long something takes, as roughly as it is known.

    Example:
        >>> duration(0.2), duration(48), duration(610), duration(9000), duration(400_000)
        ('1 s', '48 s', '10 min', '2.5 h', '4.6 days')
    """
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 99.5 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 99.5 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} days"
