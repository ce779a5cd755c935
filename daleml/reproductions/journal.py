"""The journal: one line a finished seed, written as it ends, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from daleml.reproductions.claim import Numbers

Key: TypeAlias = tuple[str, str, int]
"""Experiment, digest of its settings, seed."""


class Journal:
    """Finished seeds in a file of JSON lines, each with a checksum.

    Args:
        path: The file; made when the first seed ends.
        say: Called with a sentence for every line that is damaged. Its seed is to be run again.
    """

    def __init__(self, path: Path, say: Callable[[str], object]) -> None:
        self.path = path
        self.finished: dict[Key, Numbers] = {}
        if not path.exists():
            return
        for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                content = entry["key"], entry["numbers"]
                if entry["checksum"] != _checksum(*content):
                    raise ValueError
                (experiment, digest, seed), numbers = content
            except (ValueError, KeyError, TypeError):
                say(f"`{path}`, line {number}, is damaged: its seed is run again.")
                continue
            self.finished[experiment, digest, seed] = {name: _number(value) for name, value in numbers.items()}

    def add(self, key: Key, numbers: Numbers) -> None:
        """Write a finished seed, on disk before this returns."""
        plain = {name: repr(float(value)) for name, value in numbers.items()}
        entry = {"key": list(key), "numbers": plain, "checksum": _checksum(list(key), plain)}
        with self.path.open("ab+") as file:
            torn = file.tell() > 0 and _last_byte(file) != b"\n"  # somebody was killed while writing
            file.write((b"\n" if torn else b"") + json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.finished[key] = {name: _number(value) for name, value in plain.items()}


def _checksum(key: object, numbers: object) -> str:
    return f"{zlib.crc32(json.dumps([key, numbers], sort_keys=True).encode()):08x}"


def _number(text: object) -> float:
    return float(str(text))


def _last_byte(file: object) -> bytes:
    file.seek(-1, os.SEEK_END)  # type: ignore[attr-defined]
    return bytes(file.read(1))  # type: ignore[attr-defined]
