"""The journal: one line per finished seed, written as it ends, so that a killed run goes on.

A line counts if it is whole, has the form that is written here and the checksum of its content.
Any other line is damaged: that is told, and its seed is run again. No line, however long or
deep, stops a run.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from daleml.experiments.experiment import Numbers as Numbers

RunKey: TypeAlias = tuple[str, str, int]
"""Name of the experiment, digest of its settings, seed."""

OnMessage: TypeAlias = Callable[[str], object]
"""Called with a sentence for whoever runs a study."""

# Format 1 had neither `format` nor `daleml`; its lines still count.
_FORMAT = 2
_SIGNED = ("key", "numbers", "daleml")
_EARLIER = "a daleml that did not sign its lines"
# The most bytes that a line may have. The numbers of one seed take a few hundred.
_LONGEST = 1 << 20


class Journal:
    """Finished seeds in a file of JSON lines, each with a checksum.

    Attributes:
        path: The file; made when the first seed ends.
        finished: The numbers of the finished seeds, by the keys of their runs.

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
            entry = None if line is None else _read(line)
            if entry is None:
                on_message(
                    f"`{path}`, line {number}, is damaged: its seed is run again."
                )
                continue
            key, numbers, version = entry
            if not _same(self.finished.get(key, numbers), numbers):
                on_message(
                    f"`{path}`, line {number}, is of a seed that an earlier line gives"
                    " other numbers: it is run again."
                )
                doubtful.add(key)
            self.finished[key] = numbers
            versions.add(version)
        for key in doubtful:
            del self.finished[key]
        others = sorted(versions - {_version()})
        if others:
            on_message(
                f"`{path}` holds seeds that were run by {', '.join(others)}; this is"
                f" {_version()}. They count all the same; name another folder to run them"
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
        # As text, numbers come back to the last bit, and NaN and infinity are JSON too.
        plain = {name: repr(float(value)) for name, value in numbers.items()}
        content = list(key), plain, _version()
        entry = {
            "format": _FORMAT,
            **dict(zip(_SIGNED, content, strict=True)),
            "checksum": _checksum(*content),
        }
        line = json.dumps(entry).encode() + b"\n"
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
        self.finished[key] = {name: float(value) for name, value in plain.items()}

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
        while line := file.readline(_LONGEST):
            number += 1
            too_long = not line.endswith(b"\n") and len(line) == _LONGEST
            if too_long:
                _skip_rest_of_line(file)
            yield number, None if too_long else line


def _skip_rest_of_line(file: Any) -> None:
    while True:
        rest = file.readline(_LONGEST)
        if not rest or rest.endswith(b"\n"):
            return


def _read(line: bytes) -> tuple[RunKey, Numbers, str] | None:
    """Return what a line holds, or None if it is not what :meth:`Journal.add` writes."""
    try:
        entry = json.loads(line, object_pairs_hook=_without_repetition)
        key, numbers = entry["key"], entry["numbers"]
        experiment, digest, seed = key
        signed = [entry[name] for name in _SIGNED if name in entry]
        expected_format = _FORMAT if "daleml" in entry else 1
        right = (
            # `isinstance` would take True for a seed.
            type(experiment) is str
            and type(digest) is str
            and type(seed) is int
            and type(numbers) is dict
            and all(type(value) is str for value in numbers.values())
            and entry["checksum"] == _checksum(*signed)
            and entry.get("format", 1) == expected_format
        )
        if not right:
            return None
        version = entry.get("daleml", _EARLIER)
        values = {name: float(value) for name, value in numbers.items()}
        return (experiment, digest, seed), values, str(version)
    # Nesting beyond the interpreter's depth is a RecursionError, numbers of a million digits a
    # ValueError.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _same(one: Numbers, other: Numbers) -> bool:
    """Whether two seeds have the same numbers; unlike ``==``, NaN is the same as NaN."""
    texts = [
        {name: repr(value) for name, value in each.items()} for each in (one, other)
    ]
    return texts[0] == texts[1]


def _checksum(*content: object) -> str:
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def _version() -> str:
    import daleml

    return f"daleml {daleml.__version__}"


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    return bytes(file.read(1))
