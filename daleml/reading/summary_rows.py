"""Rows below the data, and columns beside them, that sum the data up: totals, means, extremes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml.reading.cell_values import MISSING

_SURE = frozenset({
    "total", "totals", "grand total", "grand mean", "sum", "sums", "mean", "average", "avg", "median",
    "summe", "gesamt", "mittelwert", "durchschnitt", "somme", "moyenne", "media", "suma", "promedio",
})  # fmt: skip
_BESIDE = frozenset({
    "sd", "std", "stdev", "std dev", "std. dev.", "st. dev.", "standard deviation", "se", "sem", "s.d.", "s.e.m.",
    "min", "minimum", "max", "maximum", "n", "count", "var", "variance", "range", "cv",
})  # fmt: skip
_LONGEST = 12  # rows of such kinds below a table
_FEWEST = 3  # rows of data above one that names itself
_FEWEST_UNNAMED = 10  # rows of data above one that is told by its numbers alone
_GLANCE = 50  # rows that a total must exceed, before all are added up
_LARGEST = (
    1_000_000  # rows that are added up: of more, an unnamed total changes nothing
)


def is_total(name: str) -> bool:
    """Whether a row or a column calls itself a total or a mean."""
    return _plain(name) in _SURE


def sums_up(totals: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether a column of a matrix is the sum or the mean of those beside it, as far as it was rounded."""
    if others.shape[1] < 2:
        return False
    sums = np.nansum(others, axis=1)
    room = 0.01 * np.abs(others).max(initial=0.0, where=~np.isnan(others))
    return any(
        bool(np.all(np.abs(totals - found) <= room))
        for found in (sums, sums / others.shape[1])
    )


def rows_below(columns: Sequence[NDArray[Any]]) -> tuple[int, str]:
    """Return how many rows at the end of a table sum up those above, and what the first of them is called.

    A row says so itself, by a word that its column holds but once; or it has no name and its
    numbers are the sums of those above.
    """
    texts = [column for column in columns if column.dtype == object]
    n = max((len(column) for column in columns), default=0)
    found, name = 0, ""
    words: set[str] = set()
    for below in range(1, min(_LONGEST, n - _FEWEST) + 1):
        cells = [
            (column, str(column[n - below]).strip())
            for column in texts
            if len(column) == n
        ]
        if (
            columns
            and not any(cell for _, cell in cells)
            and len(texts) == len(columns)
        ):
            continue  # a blank row above the totals
        word = next(
            (
                cell
                for column, cell in cells
                if _sums_up(cell) and _is_once(column, cell)
            ),
            None,
        )
        if word is None:
            break
        found, name = below, word
        words.add(_plain(word))
    if words & _SURE or len(words) > 1:  # one alone, as SD, may well be a region's name
        return found, name
    return (1, "") if _is_sum(columns, n) else (0, "")


def _plain(name: str) -> str:
    return name.strip().rstrip(":").strip().casefold()


def _sums_up(name: str) -> bool:
    return _plain(name) in _SURE | _BESIDE


def _is_once(column: NDArray[Any], cell: str) -> bool:
    return int(np.count_nonzero(column == cell)) == 1


def _is_sum(columns: Sequence[NDArray[Any]], n: int) -> bool:
    """Whether the last row has nothing but sums of the rows above, all of one sign."""
    if not _FEWEST_UNNAMED < n <= _LARGEST or any(
        len(column) != n for column in columns
    ):
        return False
    last = [_number(column[-1]) for column in columns]
    blank = [
        str(column[-1]).strip() in MISSING or last[i] != last[i]
        for i, column in enumerate(columns)
    ]
    kept = [
        (column, value)
        for column, value, gone in zip(columns, last, blank, strict=True)
        if not gone
    ]
    if not kept or any(value is None for _, value in kept):
        return False
    return all(
        _adds_up(column, float(value)) for column, value in kept if value is not None
    )


def _adds_up(column: NDArray[Any], total: float) -> bool:
    for above in (column[:_GLANCE], column):
        values = [
            _number(cell)
            for cell in (
                above
                if above is not column and len(above) < len(column)
                else above[:-1]
            )
        ]
        numbers = np.array(
            [value for value in values if value is not None and value == value]
        )
        if numbers.size < _FEWEST_UNNAMED or len(values) - numbers.size > numbers.size:
            return False
        if (
            not (np.all(numbers >= 0) or np.all(numbers <= 0))
            or np.count_nonzero(numbers) < _FEWEST_UNNAMED
        ):
            return False
        whole = bool(np.all(numbers == np.round(numbers)))
        step = 0.0 if whole else 10.0 ** -_decimals(column)
        room = step * (0.5 + np.sqrt(numbers.size)) + 1e-9 * abs(total)
        if above is column:
            return bool(
                abs(abs(numbers.sum()) - abs(total)) <= room and room < abs(total) / 100
            )
        if abs(total) + room < abs(numbers.sum()):
            return False
    return False


def _decimals(column: NDArray[Any]) -> int:
    """Return how many decimals a column's numbers have, at most 9."""
    if column.dtype != object:
        return 9
    texts = [str(cell).replace(",", ".") for cell in column[:_GLANCE]]
    return min(
        max(
            (len(text.partition(".")[2]) for text in texts if "e" not in text.lower()),
            default=9,
        ),
        9,
    )


def _number(cell: Any) -> float | None:
    text = str(cell).strip()
    if text in MISSING:
        return float("nan")
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None
