"""The journal: one line per finished seed, written as it ends, so that a killed run goes on.

A line counts if it is whole, has the form of :mod:`daleml.experiments.journal_entry` and the
checksum of its content. Any other line is damaged: that is told, and its seed is run again. No
line, however long or deep, stops a run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from daleml.experiments.experiment import Numbers as Numbers
from daleml.experiments.journal_entry import LONGEST, Entry, version
from daleml.experiments.journal_entry import RunKey as RunKey

OnMessage: TypeAlias = Callable[[str], object]
"""Called with a sentence for whoever runs a study."""


class Journal:
    """Finished seeds in a file of JSON lines, each with a checksum.

    Attributes:
        path: The file; made when the first seed ends.
        finished: The numbers of the finished seeds, by the keys of their runs.
        failed: Why the others failed that were run, by the keys of their runs.
        seconds: The processor seconds that finished seeds took, where lines have them.
        sources: The digests of the source of the functions that were run, where lines have them.

    Args:
        path: The file.
        on_message: Called with a sentence for every line that is damaged. Its seed is to be run
            again.

    Raises:
        ValueError: If ``path`` is something else than a file.
        OSError: If it cannot be read.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> journal = Journal(folder / "journal.jsonl", print)
        >>> journal.add(("toy", "digest", 0), {"effect": 0.5})
        >>> Journal(folder / "journal.jsonl", print).finished
        {('toy', 'digest', 0): {'effect': 0.5}}
    """

    def __init__(self, path: Path, on_message: OnMessage) -> None:
        self.path = path
        self.finished: dict[RunKey, Numbers] = {}
        self.failed: dict[RunKey, str] = {}
        self.seconds: dict[RunKey, float] = {}
        self.sources: dict[RunKey, str] = {}
        if not os.path.lexists(path):
            return
        # A folder, or a pipe that nobody ever fills, would stop the run without a word.
        if not path.is_file():
            raise ValueError(
                f"`{path}` must be a file, the journal of finished seeds; it is something"
                " else."
            )
        doubtful: set[RunKey] = set()
        versions: set[str] = set()
        for number, line in _lines(path):
            if line is not None and not line.strip():
                continue
            entry = None if line is None else Entry.read(line)
            if entry is None:
                on_message(
                    f"`{path}`, line {number}, is damaged: its seed is run again."
                )
                continue
            earlier = self.finished.get(entry.key, entry.numbers)
            if not entry.problem and not _same(earlier, entry.numbers):
                on_message(
                    f"`{path}`, line {number}, is of a seed that an earlier line gives"
                    " other numbers: it is run again."
                )
                doubtful.add(entry.key)
            self.keep(entry)
            versions.add(entry.daleml)
        for key in doubtful:
            del self.finished[key]
        others = sorted(versions - {version()})
        if others:
            on_message(
                f"`{path}` holds seeds that were run by {', '.join(others)}; this is"
                f" {version()}. They count all the same; name another folder to run them"
                " again."
            )

    def add(self, key: RunKey, numbers: Numbers) -> None:
        """Write a finished seed, on disk before this returns.

        Args:
            key: The key of its run.
            numbers: What it measured.

        Raises:
            OSError: If it cannot be written; the journal is as it was then.
        """
        self.add_entry(Entry(key, numbers))

    def add_entry(self, entry: Entry) -> None:
        """Write a run that ended, well or not, on disk before this returns.

        Args:
            entry: The run, and what came of it.

        Raises:
            OSError: If it cannot be written; the journal is as it was then.
        """
        line = entry.line()
        with self.path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            # A line without its end is of a run that was killed while it wrote.
            if end > 0 and _last_byte(file) != b"\n":
                line = b"\n" + line
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                # On a full disk, half a line would be left.
                os.ftruncate(file.fileno(), end)
                raise OSError(error.errno, error.strerror, str(self.path)) from None
        self.keep(entry)

    def keep(self, entry: Entry) -> None:
        """Count a run without writing it.

        Args:
            entry: The run, and what came of it.
        """
        # One that ended well once is not undone by one that failed.
        if entry.problem:
            if entry.key not in self.finished:
                self.failed[entry.key] = entry.problem
            return
        self.finished[entry.key] = {
            name: float(value) for name, value in entry.numbers.items()
        }
        self.failed.pop(entry.key, None)
        if entry.source:
            self.sources[entry.key] = entry.source
        if entry.seconds is not None:
            self.seconds[entry.key] = entry.seconds

    def forget_incomplete(
        self, needed: Mapping[tuple[str, str], set[str]], on_message: OnMessage
    ) -> None:
        """Forget seeds whose lines are whole but lack a number, as another version's may.

        Args:
            needed: The names of the numbers that are needed, by the name of the experiment and
                the digest of its settings.
            on_message: Called with a sentence for every seed that is forgotten.
        """
        for key, numbers in list(self.finished.items()):
            experiment, digest, seed = key
            lacking = needed.get((experiment, digest), set()) - numbers.keys()
            if lacking:
                on_message(
                    f"`{self.path}`: {experiment}, seed {seed}, lacks"
                    f" {sorted(lacking)[0]!r}: it is run again."
                )
                del self.finished[key]


def _lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines with their numbers, from 1; None for one that is too long to count."""
    number = 0
    with path.open("rb") as file:
        while line := file.readline(LONGEST):
            number += 1
            too_long = not line.endswith(b"\n") and len(line) == LONGEST
            if too_long:
                _skip_rest_of_line(file)
            yield number, None if too_long else line


def _skip_rest_of_line(file: Any) -> None:
    while True:
        rest = file.readline(LONGEST)
        if not rest or rest.endswith(b"\n"):
            return


def _same(one: Numbers, other: Numbers) -> bool:
    """Whether two seeds have the same numbers; unlike ``==``, NaN is the same as NaN."""
    texts = [
        {name: repr(value) for name, value in each.items()} for each in (one, other)
    ]
    return texts[0] == texts[1]


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    return bytes(file.read(1))
