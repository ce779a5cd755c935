"""Ids and names of cells: whole numbers that are no sizes, and must stay exact."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import quoted
from daleml.reading.cell_values import MISSING_LABELS, is_named
from daleml.reading.notes import ReadingError

_ZEROS_AT_END = re.compile(r"\d{15}0*")
_ROUNDED = re.compile(r"\d(\.\d+)?[eE]\+?(1[5-9]|[2-9]\d)|\d{16,}\.0*")

# The number of digits of an id that a spreadsheet keeps: it sets the others to zero.
_KEPT = 15

_WITH_POINT = re.compile(r"-*\d+\.0")
_INTEGER = re.compile(r"0|-?[1-9]\d*", re.ASCII)

# A whole number of 64 bits has at most this number of characters, with its sign.
_LONGEST_INTEGER = 20

# Ids have at least this number of digits if 0 or -1 beside them is none.
_SHORTEST_ID = 6


def names_of(
    cells: NDArray[Any], where: str, missing: tuple[str, ...] | None, *, ids: bool
) -> NDArray[Any]:
    """Return cells as names, an empty one where a cell has none.

    Args:
        cells: Their text.
        where: What they are, for a sentence.
        missing: Cells that have no value, if the user named some.
        ids: Whether they are cells of a connection: 0 or -1 among long ids is nobody's.

    Raises:
        ValueError: If there are rounded ids, or an id that looks like a code for no cell.
    """
    different = set(cells.tolist())
    rounded = _rounded_id(different)
    if rounded is not None:
        raise ReadingError(
            f"{where} must hold whole ids; got {quoted(rounded)}: a program took them for"
            " numbers and rounded them; save them as text or as integers."
        )
    names = {}
    for cell in different:
        gone = cell in MISSING_LABELS or is_named(cell, missing or ())
        names[cell] = "" if gone else cell
    if ids and missing is None:
        _refuse_nobody(cells, set(names.values()) - {""}, where)
    _take_points_off(names)
    return np.array(list(map(names.get, cells.tolist())), dtype=object)


def _take_points_off(names: dict[str, str]) -> None:
    """Make whole numbers of 7.0 and the like, if all names are such.

    A program wrote them that knows no gaps among whole numbers.
    """
    kept = list(filter(None, names.values()))
    if kept and all(map(_WITH_POINT.fullmatch, kept)):
        for cell, name in names.items():
            names[cell] = name.removesuffix(".0")


def _refuse_nobody(cells: NDArray[Any], found: set[str], where: str) -> None:
    """Refuse 0 or -1 among long ids."""
    nobody = found & {"0", "-1"}
    others = found - nobody
    if nobody and others and all(map(_is_long_id, others)):
        cell = min(nobody)
        n = int(np.count_nonzero(cells == cell))
        raise ReadingError(
            f"{where} must name cells; got {cell} in {n:,} rows, unlike all the other ids,"
            f" as a code for no cell is: pass `--missing {cell}` to leave it out, or"
            " `--missing ''` if it is a cell."
        )


def _is_long_id(cell: str) -> bool:
    return cell.isdigit() and len(cell) >= _SHORTEST_ID


def _rounded_id(cells: Iterable[str]) -> str | None:
    """Return a cell that is an id rounded by a program that took it for a number; or None.

    It is written with an exponent, as 7.20576E+17, or with a point; or all long ids have zeros
    after the fifteenth digit, the last that a spreadsheet keeps.
    """
    long = []
    for cell in sorted(cells):
        if cell in MISSING_LABELS:
            continue
        if _ROUNDED.fullmatch(cell):
            return cell
        if len(cell) > _KEPT and cell.isdigit():
            long.append(cell)
    if len(long) < 2 or not all(map(_ZEROS_AT_END.fullmatch, long)):
        return None
    return long[0]


def whole_numbers(cells: NDArray[Any]) -> list[int | None] | None:
    """Return cells as whole numbers, None where one has no value; None if they are anything else.

    A number that begins with 0 is a name, whose zeros would be lost.
    """
    texts = cells.tolist()
    kept = set(texts) - MISSING_LABELS
    # Python makes no whole number of a text of thousands of digits.
    if not kept or max(map(len, kept)) > _LONGEST_INTEGER:
        return None
    if not all(map(_INTEGER.fullmatch, kept)):
        return None
    numbers = {text: int(text) for text in kept}
    if min(numbers.values()) < -(2**63) or max(numbers.values()) >= 2**63:
        return None
    return list(map(numbers.get, texts))


def are_padded(cells: set[str]) -> bool:
    """Return whether whole numbers are names whose zeros count, such as 007."""
    if not all(map(str.isdigit, cells)):
        return False
    return any(len(cell) > 1 and cell[0] == "0" for cell in cells)
