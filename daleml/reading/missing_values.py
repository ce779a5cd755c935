"""Numbers that are no sizes: codes for "no value", and ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml.reading.cell_values import MISSING_LABELS

_CODES = (
    -1.0,
    -9.0,
    32767.0,
    -32768.0,
    65535.0,
    2147483647.0,
    -2147483648.0,
    4294967295.0,
)
"""What programs write where there is no value, beside numbers all of whose digits are 9, and endless ones."""

_ENDLESS = 1e20
_MOST = 3  # codes in one column
_FAR = 10  # a code is so many times larger than all that was measured


def code(
    values: NDArray[np.float64], *, signed: bool = False
) -> tuple[float, int] | None:
    """Return a value that is a code for "no value" by its looks, and how often it is there.

    Or None.

    Negative codes are the only negative numbers; a positive one is far above all others, and
    where all numbers are negative, as inward currents are, a negative one is far below them.

    Args:
        values: A column.
        signed: Whether negative values are known to mean something: -1 is no code then.
    """
    finite = values[np.isfinite(values)]
    if finite.size < 3:
        return None
    if not np.any(finite > 0):
        return _far_below(finite)
    several = _several(finite)
    if several is not None:
        return several
    for value in (float(finite.min()), float(finite.max())):
        others = finite[finite != value]
        n = finite.size - others.size
        if not _is_code(value) or not np.any(others > 0):
            continue
        if np.all(np.abs(others) == abs(value)):
            return None  # a column of signs
        if value < 0 and others.min() >= 0 and not (signed and value > -10):
            return value, n
        if (
            value > 0
            and _FAR * np.abs(others).max() < value
            and (n > 1 or value >= 999)
        ):
            return value, n
    return None


def _far_below(values: NDArray[np.float64]) -> tuple[float, int] | None:
    """Return a code among numbers that are all negative or zero."""
    value = float(values.min())
    others = values[values != value]
    n = values.size - others.size
    if not _is_code(value) or not np.any(others < 0):
        return None
    return (
        (value, n)
        if _FAR * np.abs(others).max() < -value and (n > 1 or value <= -999)
        else None
    )


def _several(values: NDArray[np.float64]) -> tuple[float, int] | None:
    """Return the farthest of several negative codes, as -1 and -999 are.

    One of them has two digits or more.
    """
    found, counts = np.unique(values[values < 0], return_counts=True)
    if (
        not 1 < found.size <= _MOST
        or found[0] > -99
        or not all(_is_code(float(value)) for value in found)
    ):
        return None
    return float(found[0]), int(counts[0])


def _is_code(value: float) -> bool:
    if value in _CODES or abs(value) >= _ENDLESS:
        return True
    digits = str(abs(value)).removesuffix(".0")
    return len(digits) > 1 and set(digits) == {"9"}


def rounded_ids(cells: Iterable[str]) -> str | None:
    """Return a cell that is an id rounded by a program that took it for a number; or None.

    It is written with an exponent, as 7.20576E+17, or with a point; or all long ids have zeros
    after the fifteenth digit, the last that a spreadsheet keeps.
    """
    kept = {cell for cell in cells if cell not in MISSING_LABELS}
    written = next((cell for cell in sorted(kept) if _ROUNDED.fullmatch(cell)), None)
    if written is not None:
        return written
    long = sorted(cell for cell in kept if len(cell) > _KEPT and cell.isdigit())
    return (
        long[0]
        if len(long) > 1 and not any(cell[_KEPT:].strip("0") for cell in long)
        else None
    )


_ROUNDED = re.compile(r"\d(\.\d+)?[eE]\+?(1[5-9]|[2-9]\d)|\d{16,}\.0*")
_KEPT = 15


def whole(cells: NDArray[Any]) -> list[int | None] | None:
    """Return cells as whole numbers, None where one has no value; None if they are anything else.

    A number that begins with 0 is a name, whose zeros would be lost.
    """
    texts = cells.tolist()
    kept = {text for text in texts if text not in MISSING_LABELS}
    # Python makes no whole number of a text of thousands of digits.
    if (
        not kept
        or max(map(len, kept)) > _LONGEST_INTEGER
        or not all(map(_INTEGER.fullmatch, kept))
    ):
        return None
    numbers = {text: int(text) for text in kept}
    if any(not -(2**63) <= number < 2**63 for number in numbers.values()):
        return None
    return [numbers.get(text) for text in texts]


_INTEGER = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_LONGEST_INTEGER = 20  # of 64 bits, with its sign
