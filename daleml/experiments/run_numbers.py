"""What a run returns: numbers by name, checked and made plain."""

from __future__ import annotations

import math
import numbers
import traceback
from collections.abc import Collection, Mapping
from typing import Any

from daleml._support import safe_text

_MOST = 10_000
_LONGEST_VALUE = 60


def plain_numbers(returned: Any, taken: Collection[str] = ()) -> dict[str, float]:
    """Return what a run returned as floats by name.

    Args:
        returned: A mapping. Its values may be Python's numbers, NumPy's, or tensors and arrays
            without dimensions; NaN and infinity are numbers too.
        taken: Names that mean something else in the table of a sweep.

    Raises:
        TypeError: If it is no mapping, or a value is no number.
        ValueError: If there are no numbers, or far too many, a name is taken, or a number is no
            float.
    """
    if not isinstance(returned, Mapping):
        raise TypeError(
            '`run` must return a mapping of numbers by name, such as {"loss": 0.1}; got'
            f" {type(returned).__name__}."
        )
    if not 0 < len(returned) <= _MOST:
        raise ValueError(
            f"`run` must return between 1 and {_MOST:,} numbers; got {len(returned):,}."
        )
    found = {}
    for name, value in returned.items():
        if not isinstance(name, str) or not name:
            raise TypeError(
                f"`run` must return numbers by name; got the name {name!r}."
            )
        if name in taken:
            raise ValueError(
                f"`run` must not call a number {name!r}: another column of the table is"
                " called so."
            )
        found[name] = _number(name, value)
    return found


def _number(name: str, value: Any) -> float:
    # Of NumPy, torch and whatever else has arrays.
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, numbers.Real):
        shown = safe_text.shortened(repr(value), _LONGEST_VALUE)
        raise TypeError(f"`run` must return numbers; got {shown} for {name!r}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if isinstance(value, numbers.Integral) and number != value:
        raise ValueError(
            f"`run` must return numbers that are floats; got {name!r}, an integer that no"
            " float is equal to."
        )
    return number


def traceback_of(error: BaseException, own_frames: int) -> str:
    """Return the traceback of what a run raised, without the frames of those who called it.

    Args:
        error: What was raised.
        own_frames: How many frames of the callers stand above the run's own.
    """
    tail = error.__traceback__
    for _ in range(own_frames):
        if tail is not None and tail.tb_next is not None:
            tail = tail.tb_next
    return "".join(traceback.format_exception(type(error), error, tail))


def last_line(problem: str) -> str:
    r"""Return what a traceback comes to, in one line.

    Example:
        >>> last_line("Traceback (most recent call last):\n  ...\nValueError: no\nsuch")
        'ValueError: no such'
    """
    lines = problem.strip().splitlines()
    # Messages may have several lines, and only frames are indented.
    begin = len(lines)
    for number, line in enumerate(lines):
        if line.startswith(("Traceback ", " ")):
            begin = number + 1
    last = lines[begin:] or lines[-1:]
    return safe_text.shortened(" ".join(" ".join(last).split()), 1_000)
