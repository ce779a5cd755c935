"""A line of the journal: one run and what came of it, with the version and a checksum."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any, TypeAlias

from daleml.experiments.experiment import Numbers

RunKey: TypeAlias = tuple[str, str, int]
"""Name of the experiment, digest of its settings, seed."""

LONGEST = 1 << 20
"""The most bytes that a line may have. The numbers of one seed take a few hundred."""

# Format 1 had neither `format` nor `daleml`, format 2 has neither `source` nor `problem`, and
# format 3 has no `seconds`; lines of all still count, and what needs no more is written in them.
_SIGNED = ("key", "numbers", "daleml", "source", "problem", "seconds")
_EARLIER = "a daleml that did not sign its lines"
_MOST_OF_PROBLEM = 20_000


def version() -> str:
    """Return the version of daleml, as lines name it."""
    import daleml

    return f"daleml {daleml.__version__}"


@dataclass(frozen=True)
class Entry:
    """One run, and what came of it.

    Attributes:
        key: What it is filed under.
        numbers: What it measured; empty if it failed.
        source: The digest of the source of the function that was run; may be empty.
        problem: Why it failed, the traceback in most cases; empty if it did not.
        daleml: The version that it was run by.
        seconds: Processor seconds that it took; None where nobody took the time.
    """

    key: RunKey
    numbers: Numbers
    source: str = ""
    problem: str = ""
    daleml: str = ""
    seconds: float | None = None

    def line(self) -> bytes:
        """Return it as a line of the journal."""
        # As text, numbers come back to the last bit, and NaN and infinity are JSON too.
        plain = {name: repr(float(value)) for name, value in self.numbers.items()}
        content: list[Any] = [list(self.key), plain, self.daleml or version()]
        is_timed = self.seconds is not None
        if self.source or self.problem or is_timed:
            # Whatever raised it, the end of a traceback says most.
            content += [self.source, self.problem[-_MOST_OF_PROBLEM:]]
        if is_timed:
            content.append(self.seconds)
        named = dict(zip(_SIGNED, content, strict=False))
        entry = {
            "format": _format(named),
            **named,
            "checksum": _checksum(content),
        }
        return json.dumps(entry).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Entry | None:
        """Return what a line holds, or None if it is not what :meth:`line` writes."""
        try:
            entry = json.loads(line, object_pairs_hook=_without_repetition)
            experiment, digest, seed = entry["key"]
            numbers = entry["numbers"]
            signed = [entry[name] for name in _SIGNED if name in entry]
            source, problem = entry.get("source", ""), entry.get("problem", "")
            seconds = entry.get("seconds")
            right = (
                # `isinstance` would take True for a seed.
                type(experiment) is str
                and type(digest) is str
                and type(seed) is int
                and type(numbers) is dict
                and all(type(value) is str for value in numbers.values())
                and type(source) is type(problem) is str
                and ("seconds" not in entry or type(seconds) is float)
                and entry["checksum"] == _checksum(signed)
                and entry.get("format", 1) == _format(entry)
            )
            if not right:
                return None
            values = {name: float(value) for name, value in numbers.items()}
            by = str(entry.get("daleml", _EARLIER))
            return cls((experiment, digest, seed), values, source, problem, by, seconds)
        # Nesting beyond the interpreter's depth is a RecursionError, numbers of a million digits a
        # ValueError.
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def key_text(key: RunKey) -> bytes:
    """Return what every line of a run contains, to search a long journal by."""
    return b'"key": ' + json.dumps(list(key)).encode()


def _format(entry: dict[str, Any]) -> int:
    if "daleml" not in entry:
        return 1
    if "problem" not in entry:
        return 2
    if "seconds" not in entry:
        return 3
    return 4


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _checksum(content: list[Any]) -> str:
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"
