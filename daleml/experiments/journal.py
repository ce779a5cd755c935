"""The journal: one line per finished seed, written as it ends, so that a killed run goes on where it was.

A line counts if it is whole, has the form that is written here and the checksum of its content.
Whatever else stands there is damaged: that is said, and the seed is run again. No line, however
long or deep, stops a run.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

Numbers: TypeAlias = dict[str, float]
"""What one run measured, by name."""

Key: TypeAlias = tuple[str, str, int]
"""Experiment, digest of its settings, seed."""

_FORMAT = 2  # 1 had no `format` and no `daleml`; its lines still count
_SIGNED = ("key", "numbers", "daleml")
_EARLIER = "a daleml that did not sign its lines"
_LONGEST = 1 << 20  # bytes of a line; a seed's numbers take a few hundred


class Journal:
    """Finished seeds in a file of JSON lines, each with a checksum.

    Args:
        path: The file; made when the first seed ends.
        say: Called with a sentence for every line that is damaged. Its seed is to be run again.

    Raises:
        ValueError: If ``path`` is something else than a file.
        OSError: If it cannot be read.
    """

    def __init__(self, path: Path, say: Callable[[str], object]) -> None:
        self.path = path
        self.finished: dict[Key, Numbers] = {}
        if not os.path.lexists(path):
            return
        if not path.is_file():  # a folder, or a pipe that nobody ever fills
            raise ValueError(
                f"`{path}` must be a file, the journal of finished seeds; it is something"
                " else."
            )
        doubtful: set[Key] = set()
        versions: set[str] = set()
        for number, line in _lines(path):
            if line is not None and not line.strip():
                continue
            entry = None if line is None else _read(line)
            if entry is None:
                say(f"`{path}`, line {number}, is damaged: its seed is run again.")
                continue
            key, numbers, version = entry
            if not _same(self.finished.get(key, numbers), numbers):
                say(
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
            say(
                f"`{path}` holds seeds that were run by {', '.join(others)}; this is"
                f" {_version()}. They count all the same; name another folder to run them"
                " again."
            )

    def add(self, key: Key, numbers: Numbers) -> None:
        """Write a finished seed, on disk before this returns.

        Raises:
            OSError: If it cannot be written; the journal is as it was then.
        """
        plain = {name: repr(float(value)) for name, value in numbers.items()}
        content = list(key), plain, _version()
        entry = {
            "format": _FORMAT,
            **dict(zip(_SIGNED, content, strict=True)),
            "checksum": _checksum(*content),
        }
        with self.path.open("ab+") as file:
            end = file.seek(0, os.SEEK_END)
            torn = (
                end > 0 and _last_byte(file) != b"\n"
            )  # somebody was killed while writing
            try:
                file.write(
                    (b"\n" if torn else b"") + json.dumps(entry).encode() + b"\n"
                )
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:  # a full disk
                os.ftruncate(file.fileno(), end)
                raise OSError(error.errno, error.strerror, str(self.path)) from None
        self.finished[key] = {name: float(value) for name, value in plain.items()}


def _lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines with their numbers, from 1; None for one that is too long to be ours."""
    number = 0
    with path.open("rb") as file:
        while line := file.readline(_LONGEST):
            number += 1
            too_long = not line.endswith(b"\n") and len(line) == _LONGEST
            while (
                too_long
                and (rest := file.readline(_LONGEST))
                and not rest.endswith(b"\n")
            ):
                pass
            yield number, None if too_long else line


def _read(line: bytes) -> tuple[Key, Numbers, str] | None:
    """Return the content of a line, or None if it is not what :meth:`Journal.add` writes."""
    try:
        entry = json.loads(line, object_pairs_hook=_without_repetition)
        key, numbers = entry["key"], entry["numbers"]
        experiment, digest, seed = key
        right = (
            type(experiment) is str
            and type(digest) is str
            and type(seed) is int
            and type(numbers) is dict
            and all(type(value) is str for value in numbers.values())
            and entry["checksum"]
            == _checksum(*(entry[name] for name in _SIGNED if name in entry))
            and entry.get("format", 1) == (_FORMAT if "daleml" in entry else 1)
        )
        if not right:
            return None
        version = entry.get("daleml", _EARLIER)
        return (
            (experiment, digest, seed),
            {name: float(value) for name, value in numbers.items()},
            str(version),
        )
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
    return {name: repr(value) for name, value in one.items()} == {
        name: repr(value) for name, value in other.items()
    }


def _checksum(*content: object) -> str:
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def _version() -> str:
    import daleml

    return f"daleml {daleml.__version__}"


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    return bytes(file.read(1))
