"""The first rows of a table, cell by cell, and what stands between the cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from daleml.reading.cell_values import MISSING

SAMPLE = 200
"""Rows by which a table's layout is judged."""

_NAMES = {
    ",": "commas",
    ";": "semicolons",
    "\t": "tabs",
    "|": "vertical bars",
    " ": "blanks",
}
_LINES = 50  # a quoted cell may go on for so many lines; beyond, a quote is no quote
_NUMBER = re.compile(r"[+-]?(\d[\d.]*(,\d+)?|\.\d+)([eE][+-]?\d+)?%?")
_ENOUGH = 0.6  # of the cells of a table of blanks are numbers: prose is none


class Cell(NamedTuple):
    """A cell of the first rows, blanks around it taken off."""

    text: str
    quoted: bool


class Row(NamedTuple):
    """A row as it is written, and where the next one begins."""

    text: str
    end: int


def first_rows(text: str, start: int = 0) -> list[Row]:
    """Return the first rows that are not blank; a quoted cell may hold the end of a line."""
    return list(_rows(text, start))


def _rows(text: str, start: int) -> Iterator[Row]:
    found = 0
    while start < len(text) and found < SAMPLE:
        end, quotes = start, 0
        for _ in range(_LINES):
            stop = text.find("\n", end)
            stop = len(text) if stop < 0 else stop
            quotes += text.count('"', end, stop)
            end = stop + 1
            if not quotes % 2 or end >= len(text):
                break
        else:  # the quotes do not end: take the line as it is
            stop = text.find("\n", start)
            end = stop + 1
        line = text[start:stop]
        start = end
        if line.strip():
            found += 1
            yield Row(line, min(end, len(text)))


def split(line: str, separator: str) -> list[Cell]:
    """Split a row into cells, as the parser of the whole table does."""
    if separator == " ":
        return [
            Cell(part.strip('"'), part.startswith('"'))
            for part in re.findall(r'"[^"]*"|\S+', line)
        ]
    cells, start, inside, quoted = [], 0, False, False
    for i, character in enumerate(line):
        if character == '"' and (inside or not line[start:i].strip()):
            inside, quoted = not inside, True
        elif character == separator and not inside:
            cells.append(_cell(line[start:i], quoted))
            start, quoted = i + 1, False
    cells.append(_cell(line[start:], quoted))
    return cells


def _cell(text: str, quoted: bool) -> Cell:
    text = text.strip(" ") if quoted else text.strip()
    if quoted and len(text) > 1 and text.endswith('"'):
        return Cell(text[1:-1].replace('""', '"').strip(), True)
    return Cell(text, quoted)


def is_missing(text: str) -> bool:
    """Whether a cell says that it has no value."""
    return text in MISSING


def is_number(text: str) -> bool:
    """Whether a cell is a number, as far as its look goes."""
    return _NUMBER.fullmatch(text) is not None


def find_separator(rows: list[Row], usual: str) -> str:
    """Return what stands between the cells: the usual one, unless another splits the rows better.

    A separator is judged by how many rows it splits alike, and by how many cells are numbers
    then: in ``1;0,41`` the comma gives ``1;0``, the semicolon two numbers.
    """
    lines = [row.text for row in rows]
    scores = {
        mark: _score(lines, mark)
        for mark in (usual, *(mark for mark in ",;\t|" if mark != usual))
    }
    found = {mark: score for mark, score in scores.items() if score is not None}
    if not found:
        # R writes no name above the names of its rows: the first row may lack a cell.
        short = (
            len(lines) > 1
            and len(split(lines[0], " ")) == len(split(lines[1], " ")) - 1
        )
        blanks = _score(lines[1:] if short else lines, " ")
        alike = blanks is not None and blanks[0] == 1 and blanks[1] >= _ENOUGH
        return " " if alike and not _is_unit(lines) else usual
    if usual not in found:
        return max(found, key=lambda mark: found[mark])
    best = max(found, key=lambda mark: (found[mark], mark == usual))
    better_rows, better_cells = (found[best][i] > found[usual][i] for i in (0, 1))
    worse = found[best][0] < found[usual][0] or found[best][1] < found[usual][1]
    return best if (better_rows or better_cells) and not worse else usual


def _score(lines: list[str], mark: str) -> tuple[float, float] | None:
    """Return the fractions of rows that are split alike, and of cells that are numbers.

    None if none is split.
    """
    if mark != " " and not any(mark in line for line in lines):
        return None
    cells = [split(line, mark) for line in lines]
    width = usual_width(cells)
    if width < 2:
        return None
    alike = [row for row in cells if len(row) == width]
    body = [
        cell.text
        for row in alike[1:] or alike
        for cell in row
        if not is_missing(cell.text)
    ]
    numbers = sum(is_number(text) for text in body) / max(len(body), 1)
    return len(alike) / len(cells), numbers


def _is_unit(lines: list[str]) -> bool:
    """Whether blanks stand between a number and its unit in every row, as in ``0.41 um``."""
    cells = [split(line, " ") for line in lines]
    units = {row[-1].text for row in cells}
    return (
        all(len(row) == 2 for row in cells)
        and len(units) == 1
        and not is_number(next(iter(units)))
    )


def usual_width(cells: list[list[Cell]]) -> int:
    """Return how many cells most rows have, the first one aside where there are others."""
    widths = Counter(len(row) for row in cells[1:] or cells)
    return max(widths, key=lambda width: (widths[width], -width)) if widths else 0


def name_of(separator: str) -> str:
    """Return a separator's name, for a sentence."""
    return _NAMES.get(separator, repr(separator))
