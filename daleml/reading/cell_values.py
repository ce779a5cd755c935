"""Cells as numbers: which have no value, which are codes for "no value", and all the others.

Here are plain numbers, such as ``-1.5e3``. Other ways to write one are in
:mod:`daleml.reading.number_styles`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import quoted
from daleml.reading.number_styles import LARGEST_EXACT, Hints, OddColumn

EMPTY = frozenset({"", "NA", "NaN", "nan"})
"""Cells without a value that need no note."""

MISSING = EMPTY | {
    "NAN", "N/A", "n/a", "N.A.", "n.a.", "#N/A", "#NA", "#N/A N/A", "<NA>", "NULL", "Null",
    "null", "None", "none", "missing", "-", "--", "\u2013", "\u2014", ".", "-nan", "NaT", "n.d.",
    "nd", "ND",
}  # fmt: skip
"""Cells of a column of numbers that have no value."""

MISSING_LABELS = EMPTY | {"N/A", "n/a", "#N/A", "#NA", "<NA>", "NULL", "null"}
"""Cells of a column of names that have none: fewer, for a cell type may well be called "-"."""

# Digits stand in one way only: with `\d+\.?\d*` a damaged cell of a million digits is split
# between both at every place, and never read to its end.
_DECIMAL = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_PLAIN = re.compile(_DECIMAL.pattern, re.ASCII)

# Numbers that programs write where there is no value: small ones, and the ends of integers.
# Besides, each number all of whose digits are 9, and each that is at least ``_ENDLESS``.
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

_ENDLESS = 1e20

# A column has at most this number of different codes.
_MOST_CODES = 3

# A code is at least this many times larger than all that was measured.
_FAR = 10


@dataclass
class NumberColumn:
    """A column read as numbers.

    Attributes:
        values: float64, NaN where a cell has no value.
        notes: What was taken for what.
    """

    values: NDArray[np.float64]
    notes: list[str] = field(default_factory=list)


def to_numbers(cells: Iterable[str], name: str, hints: Hints) -> NumberColumn:
    """Read the cells of a column as numbers.

    Args:
        cells: Their text, blanks around it taken off.
        name: The column's.
        hints: What the table says of its numbers.

    Raises:
        NotNumbersError: If they are none; the sentence is "must hold numbers; got ..." and what
            follows.
    """
    import pandas as pd

    codes, found = pd.factorize(np.asarray(cells, dtype=object))
    texts = list(map(str, found))
    counts = np.bincount(codes, minlength=len(texts)).tolist()
    missing = hints.missing or ()
    kept: list[str] = []
    said: Counter[str] = Counter()
    for text, count in zip(texts, counts, strict=True):
        if text not in MISSING and not is_named(text, missing):
            kept.append(text)
        elif text in MISSING and text not in EMPTY:
            said[text] = count
    values = _plain_numbers(kept, hints)
    notes: list[str] = []
    if values is None:
        # Codes are counted from 0 in the order of the first cells that have them.
        rows = np.unique(codes, return_index=True)[1].tolist()
        column = OddColumn(
            name,
            dict(zip(texts, counts, strict=True)),
            dict(zip(texts, rows, strict=True)),
            hints,
        )
        values, notes = column.read(kept)
    if said:
        notes.insert(0, _note_of_missing(said, name))
    numbers = dict(zip(kept, values, strict=True))
    table = np.array([numbers.get(text, np.nan) for text in texts], dtype=np.float64)
    return NumberColumn(table[codes] if texts else np.empty(0), notes)


def _plain_numbers(texts: list[str], hints: Hints) -> list[float] | None:
    """Return what plain numbers say; None if one of them is written otherwise, or too large."""
    if hints.decimal == "," or (hints.comma and hints.decimal is None):
        return None
    if not all(map(_PLAIN.fullmatch, texts)):
        return None
    values = list(map(float, texts))
    return values if max(map(abs, values), default=0.0) < LARGEST_EXACT else None


def _note_of_missing(said: Counter[str], name: str) -> str:
    what = ", ".join(quoted(text) for text, _ in said.most_common(3))
    n = said.total()
    plural = "s" if n > 1 else ""
    return (
        f"{n:,} cell{plural} of {quoted(name)} that say {what} were taken as missing."
    )


def is_named(text: str, missing: Iterable[str]) -> bool:
    """Return whether a cell is one of those said to have no value, as text or as a number.

    -9999 names -9999.0 too.
    """
    for given in missing:
        if text == given:
            return True
        both_numbers = _DECIMAL.fullmatch(given) and _DECIMAL.fullmatch(text)
        if both_numbers and float(given) == float(text):
            return True
    return False


def find_code(
    values: NDArray[np.float64], *, signed: bool = False
) -> tuple[float, int] | None:
    """Return a value that looks like a code for "no value", and how often it is there; or None.

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
    several = _farthest_of_several(finite)
    if several is not None:
        return several
    for value in (float(finite.min()), float(finite.max())):
        others = finite[finite != value]
        n = finite.size - others.size
        if not _is_code(value) or not np.any(others > 0):
            continue
        if np.all(np.abs(others) == abs(value)):
            # Such a column holds signs, +1 and -1.
            return None
        if value > 0:
            if _is_far(value, others, n):
                return value, n
        elif others.min() >= 0 and not (signed and value > -10):
            return value, n
    return None


def _is_far(value: float, others: NDArray[np.float64], n: int) -> bool:
    """Return whether a value is far beyond the others, and comes twice or is as long as 999."""
    far = _FAR * np.abs(others).max() < abs(value)
    return bool(far and (n > 1 or abs(value) >= 999))


def _far_below(values: NDArray[np.float64]) -> tuple[float, int] | None:
    """Return a code among numbers that are all negative or zero."""
    value = float(values.min())
    others = values[values != value]
    n = values.size - others.size
    if not _is_code(value) or not np.any(others < 0):
        return None
    return (value, n) if _is_far(value, others, n) else None


def _farthest_of_several(values: NDArray[np.float64]) -> tuple[float, int] | None:
    """Return the farthest of several negative codes, as -1 and -999 are.

    One of them has two digits or more.
    """
    found, counts = np.unique(values[values < 0], return_counts=True)
    if not 1 < found.size <= _MOST_CODES or found[0] > -99:
        return None
    if not all(map(_is_code, found.tolist())):
        return None
    return float(found[0]), int(counts[0])


def _is_code(value: float) -> bool:
    if value in _CODES or abs(value) >= _ENDLESS:
        return True
    digits = str(abs(value)).removesuffix(".0")
    return len(digits) > 1 and set(digits) == {"9"}
