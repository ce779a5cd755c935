"""Notes of a reader, what takes them, and errors: each is one sentence."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import TypeAlias

OnNote: TypeAlias = Callable[[str], None]
"""A callback that takes a note: one sentence that says what in a file was taken for what."""

_OPTION = re.compile(r"`--(?P<off>no-)?(?P<name>[a-z][a-z-]*)(?: (?P<value>[^`]*))?`")
_FLAGS = ("header", "labels", "keep_totals")


class ReadingError(ValueError):
    """A sentence of the readers' own, which names the file, the rule and what was found."""


def warn(note: str) -> None:
    """Give a note as a warning: the callback where the caller has none."""
    warnings.warn(in_keywords(note), UserWarning, stacklevel=2)


def in_keywords(sentence: str) -> str:
    """Return a sentence that names options of the command line in the words of Python.

    ``--no-header`` becomes ``header=False``.

    Example:
        >>> in_keywords("pass `--no-header` or `--missing -1`.")
        "pass `header=False` or `missing='-1'`."
    """
    return _OPTION.sub(_keyword, sentence)


def _keyword(found: re.Match[str]) -> str:
    name, value = found["name"].replace("-", "_"), found["value"]
    if value is not None:
        bare = value.strip("'")
        return f"`{name}={bare!r}`"
    if found["off"]:
        return f"`{name}=False`"
    if name in _FLAGS:
        return f"`{name}=True`"
    return f"`{name}`"
