"""Names that are whole numbers: of rows, of columns, of units of a network.

A matrix of weights often has 0, 1, 2, ... above its columns and before its rows. Taken for
weights they would be the largest ones, so they are told from numbers by how they differ.
"""

from __future__ import annotations

import re

from daleml.reading.rows import Cells, all_quoted, texts_of

_WHOLE = re.compile(r"0|[1-9]\d*")

# Longer whole numbers are beyond any float, and Python refuses to read thousands of digits.
_MOST_DIGITS = 300

_YEARS = range(1900, 2101)

# Names of units are at least this many times larger than counts of synapses between them.
_FAR = 10


def are_names(names: Cells, data: Cells, *, least: int = 3) -> bool:
    """Return whether whole numbers are names, unlike the numbers beside them.

    They are all different, and either quoted where the data are not, or whole where the data
    have decimals, or years where the data are none, or far larger than the data, or they count
    from 0 or from 1.

    Args:
        names: Cells that may be names.
        data: Cells of the table beside or below them.
        least: How many names must count from 0 or 1 to be taken for names by that.
    """
    texts = texts_of(names)
    if not all(map(_WHOLE.fullmatch, texts)) or len(set(texts)) < len(texts):
        return False
    if max(map(len, texts), default=0) > _MOST_DIGITS:
        return False
    numbers = [cell for cell in data if cell.is_number]
    if not numbers:
        return False
    if all_quoted(names) and True not in {cell.quoted for cell in numbers}:
        return True
    values = list(map(int, texts))
    sizes = [abs(_value(cell.text)) for cell in numbers]
    far_larger = min(values) > _FAR * max(sizes)
    if not any(map(_is_whole, texts_of(numbers))):
        return len(values) > 1 or values[0] == 0 or far_larger
    if set(values) <= set(_YEARS) and not set(sizes) & set(_YEARS):
        return True
    if far_larger and (len(values) > 1 or values[0] >= _YEARS.start):
        return True
    return len(values) >= least and _count(values) and not _goes_on(values, sizes)


def _count(values: list[int]) -> bool:
    """Return whether values count from 0 or from 1."""
    first = values[0]
    return first in (0, 1) and values == list(range(first, first + len(values)))


def _goes_on(values: list[int], sizes: list[float]) -> bool:
    """Return whether the data go on counting where the names end, as the rows of ``arange`` do."""
    n = len(values)
    return sizes[:n] == list(range(values[0] + n, values[0] + 2 * n))


def _is_whole(text: str) -> bool:
    return _WHOLE.fullmatch(text.lstrip("-")) is not None


def _value(text: str) -> float:
    try:
        return float(text.rstrip("%").replace(",", "."))
    except ValueError:
        return 0.0
