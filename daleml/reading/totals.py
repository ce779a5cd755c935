"""Totals and means: rows below the data, and columns beside them, that sum the data up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml.reading.cell_values import MISSING

# Totals and means, in the languages of the spreadsheets that write them.
_SURE = frozenset({
    "total", "totals", "grand total", "grand mean", "sum", "sums", "mean", "average", "avg",
    "median", "summe", "gesamt", "mittelwert", "durchschnitt", "somme", "moyenne", "media",
    "suma", "promedio",
})  # fmt: skip

# Words that stand beside those in further rows; one alone, as SD, may be a region's name.
_BESIDE = frozenset({
    "sd", "std", "stdev", "std dev", "std. dev.", "st. dev.", "standard deviation", "se",
    "sem", "s.d.", "s.e.m.", "min", "minimum", "max", "maximum", "n", "count", "var",
    "variance", "range", "cv",
})  # fmt: skip

# A table has at most this number of rows below its data.
_MOST_BELOW = 12

# A row that names itself has at least this number of rows of data above it.
_FEWEST = 3

# A row that is told by its numbers alone has more rows of data than this above it.
_FEWEST_UNNAMED = 10

# A total must exceed the sum of this number of rows, before all are added up.
_GLANCE = 50

# In a table of more rows than this, an unnamed total changes nothing, and is not looked for.
_MOST_ADDED = 1_000_000


def is_total(name: str) -> bool:
    """Return whether a row or a column calls itself a total or a mean."""
    return _plain(name) in _SURE


def sums_up(totals: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Return whether a column of a matrix is the sum or the mean of those beside it.

    It is so as far as it was rounded.
    """
    width = others.shape[1]
    if width < 2:
        return False
    sums = np.nansum(others, axis=1)
    tolerance = 0.01 * np.abs(others).max(initial=0.0, where=~np.isnan(others))
    of_sums = np.abs(totals - sums) <= tolerance
    of_means = np.abs(totals - sums / width) <= tolerance
    return bool(np.all(of_sums) or np.all(of_means))


def rows_below(columns: Sequence[NDArray[Any]]) -> tuple[int, str]:
    """Return how many rows at the end of a table sum up those above, and the name of the first.

    A row says so itself, by a word that its column holds but once; or it has no name and its
    numbers are the sums of those above.
    """
    n = max(map(len, columns), default=0)
    texts = [column for column in columns if column.dtype == object]
    full = [column for column in texts if len(column) == n]
    below, name = 0, ""
    words: set[str] = set()
    for place in range(1, min(_MOST_BELOW, n - _FEWEST) + 1):
        cells = [str(column[-place]).strip() for column in full]
        # A blank row may stand above the totals.
        if columns and not any(cells) and len(texts) == len(columns):
            continue
        word = _word_of_total(full, cells)
        if word is None:
            break
        below, name = place, word
        words.add(_plain(word))
    if words & _SURE or len(words) > 1:
        return below, name
    return (1, "") if _is_sum(columns, n) else (0, "")


def _plain(name: str) -> str:
    return name.strip().rstrip(":").strip().casefold()


def _word_of_total(columns: Iterable[NDArray[Any]], cells: Iterable[str]) -> str | None:
    """Return the cell of a row that says that the row sums up those above."""
    for column, cell in zip(columns, cells, strict=True):
        if _plain(cell) in _SURE | _BESIDE and np.count_nonzero(column == cell) == 1:
            return cell
    return None


def _is_sum(columns: Sequence[NDArray[Any]], n: int) -> bool:
    """Return whether the last row has nothing but sums of the rows above, all of one sign."""
    if not _FEWEST_UNNAMED < n <= _MOST_ADDED or {n} != set(map(len, columns)):
        return False
    sums = 0
    for column in columns:
        total = _number(column[-1])
        if total is None:
            return False
        if np.isnan(total):
            continue
        sums += 1
        if not _adds_up(column, total):
            return False
    return sums > 0


def _adds_up(column: NDArray[Any], total: float) -> bool:
    """Return whether a total is the sum of the cells of a column but the last."""
    above = column[:-1]
    first = _numbers(above[:_GLANCE])
    if first is None or abs(total) + _rounding(column, first, total) < abs(first.sum()):
        return False
    numbers = _numbers(above)
    if numbers is None:
        return False
    tolerance = _rounding(column, numbers, total)
    exact = abs(abs(numbers.sum()) - abs(total)) <= tolerance
    return bool(exact and tolerance < abs(total) / 100)


def _numbers(cells: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the numbers among some cells; None if they are few, or not of one sign."""
    read = map(_number, cells)
    values = np.array([np.nan if value is None else value for value in read])
    numbers = values[~np.isnan(values)]
    n = numbers.size
    if n < _FEWEST_UNNAMED or values.size - n > n:
        return None
    if np.any(numbers > 0) and np.any(numbers < 0):
        return None
    return numbers if np.count_nonzero(numbers) >= _FEWEST_UNNAMED else None


def _rounding(
    column: NDArray[Any], numbers: NDArray[np.float64], total: float
) -> float:
    """Return how far a sum of rounded numbers may lie from the rounded sum."""
    step = 0.0
    if not np.all(numbers == np.round(numbers)):
        step = 10.0 ** -_decimals(column)
    return float(step * (0.5 + np.sqrt(numbers.size)) + 1e-9 * abs(total))


def _decimals(column: NDArray[Any]) -> int:
    """Return how many decimals a column's numbers have, at most 9."""
    if column.dtype != object:
        return 9
    most = None
    for cell in column[:_GLANCE]:
        text = str(cell).replace(",", ".")
        if "e" not in text.lower():
            most = max(most or 0, len(text.partition(".")[2]))
    return 9 if most is None else min(most, 9)


def _number(cell: Any) -> float | None:
    """Return what a cell says: NaN if it has no value, None if it is no number."""
    text = str(cell).strip()
    if text in MISSING:
        return float("nan")
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None
