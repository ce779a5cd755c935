"""The rows of a table of text, cell by cell, and what stands between the cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from daleml.reading.cell_values import MISSING

SAMPLE = 200
"""The number of rows by which a table's layout is judged."""

_NAMES = {
    ",": "commas",
    ";": "semicolons",
    "\t": "tabs",
    "|": "vertical bars",
    " ": "blanks",
}

# A quoted cell may go on for this number of lines; beyond, a quote is no quote.
_MOST_LINES = 50

# A table whose cells stand between blanks has at least this fraction of numbers: prose has not.
_ENOUGH_NUMBERS = 0.6

# Looser than what is read as a number: 1.234,5 and 12% count too, whatever they turn out to be.
_NUMBER = re.compile(r"[+-]?(\d[\d.]*(,\d+)?|\.\d+)([eE][+-]?\d+)?%?")


class TextCell(NamedTuple):
    """A cell of the first rows, blanks around it taken off."""

    text: str
    quoted: bool = False

    @property
    def is_number(self) -> bool:
        """Whether the cell is a number, as far as its look goes."""
        return _NUMBER.fullmatch(self.text) is not None

    @property
    def is_missing(self) -> bool:
        """Whether the cell says that it has no value."""
        return self.text in MISSING


Cells: TypeAlias = list[TextCell]
"""The cells of one row, or of one column."""


class TextRow(NamedTuple):
    """A row as it is written, and where the next one begins."""

    text: str
    end: int


def first_rows(text: str, start: int = 0) -> list[TextRow]:
    """Return the first rows that are not blank; a quoted cell may hold the end of a line."""
    rows = []
    for row in _rows(text, start):
        if row.text.strip():
            rows.append(row)
        if len(rows) == SAMPLE:
            break
    return rows


def _rows(text: str, start: int) -> Iterator[TextRow]:
    while start < len(text):
        stop = _end_of_row(text, start)
        yield TextRow(text[start:stop], min(stop + 1, len(text)))
        start = stop + 1


def _end_of_row(text: str, start: int) -> int:
    """Return where the row ends that begins at ``start``: at a line feed outside quotes."""
    stop, quotes = _end_of_line(text, start), 0
    first, here = stop, start
    for _ in range(_MOST_LINES):
        quotes += text.count('"', here, stop)
        here = stop + 1
        if quotes % 2 == 0 or here >= len(text):
            return stop
        stop = _end_of_line(text, here)
    return first


def _end_of_line(text: str, start: int) -> int:
    stop = text.find("\n", start)
    return len(text) if stop < 0 else stop


def split(line: str, separator: str) -> Cells:
    """Split a row into cells, as the parser of the whole table does."""
    if separator == " ":
        parts = re.findall(r'"[^"]*"|\S+', line)
        return [TextCell(part.strip('"'), part.startswith('"')) for part in parts]
    # Most rows have no quotes, and this way is many times faster.
    if '"' not in line:
        return [TextCell(part.strip()) for part in line.split(separator)]
    cells, start = [], 0
    inside = quoted = False
    for i, character in enumerate(line):
        if character == '"' and (inside or not line[start:i].strip()):
            inside, quoted = not inside, True
        elif character == separator and not inside:
            cells.append(_cell(line[start:i], quoted))
            start, quoted = i + 1, False
    cells.append(_cell(line[start:], quoted))
    return cells


def _cell(text: str, quoted: bool) -> TextCell:
    if not quoted:
        return TextCell(text.strip())
    text = text.strip(" ")
    if len(text) > 1 and text.endswith('"'):
        text = text[1:-1].replace('""', '"').strip()
    return TextCell(text, True)


def texts_of(cells: Iterable[TextCell]) -> list[str]:
    """Return the text of each cell."""
    return [cell.text for cell in cells]


def all_numbers(cells: Iterable[TextCell], *, or_missing: bool = False) -> bool:
    """Return whether all cells are numbers, or say that they have no value if that is enough."""
    return all(cell.is_number or (or_missing and cell.is_missing) for cell in cells)


def all_quoted(cells: Iterable[TextCell]) -> bool:
    """Return whether all cells stand in quotes."""
    return all(cell.quoted for cell in cells)


def any_number(cells: Iterable[TextCell]) -> bool:
    """Return whether one of the cells is a number."""
    return any(cell.is_number for cell in cells)


def usual_width(rows: list[Cells]) -> int:
    """Return how many cells most rows have, the first one aside where there are others."""
    widths = Counter(map(len, rows[1:] or rows))
    return max(widths, key=lambda width: (widths[width], -width), default=0)


def separator_name(separator: str) -> str:
    """Return a separator's name, for a sentence."""
    return _NAMES.get(separator, repr(separator))


class _Score(NamedTuple):
    """How well a separator splits the rows: the fractions split alike, and of numbers then."""

    alike: float
    numbers: float


def find_separator(rows: list[TextRow], usual: str) -> str:
    """Return what stands between the cells: the usual one, unless another splits the rows better.

    A separator is judged by how many rows it splits alike, and by how many cells are numbers
    then: in ``1;0,41`` the comma gives ``1;0``, the semicolon two numbers.
    """
    lines = [row.text for row in rows]
    scores: dict[str, _Score] = {}
    for mark in dict.fromkeys((usual, *",;\t|")):
        score = _score(lines, mark)
        if score is not None:
            scores[mark] = score
    if not scores:
        return " " if _are_of_blanks(lines) else usual
    if usual not in scores:
        return max(scores, key=lambda mark: scores[mark])
    best = max(scores, key=lambda mark: (scores[mark], mark == usual))
    found, given = scores[best], scores[usual]
    better = found.alike > given.alike or found.numbers > given.numbers
    worse = found.alike < given.alike or found.numbers < given.numbers
    return best if better and not worse else usual


def _score(lines: list[str], mark: str) -> _Score | None:
    """Return how well a separator splits the rows; None if it splits none."""
    if mark != " " and mark not in "\n".join(lines):
        return None
    rows = [split(line, mark) for line in lines]
    width = usual_width(rows)
    if width < 2:
        return None
    alike = [row for row in rows if len(row) == width]
    filled, numbers = 0, 0
    for row in alike[1:] or alike:
        for cell in row:
            filled += not cell.is_missing
            numbers += cell.is_number
    return _Score(len(alike) / len(rows), numbers / max(filled, 1))


def _are_of_blanks(lines: list[str]) -> bool:
    """Return whether blanks stand between the cells of a table: they do in prose too."""
    # R writes no name above the names of its rows: the first row may lack a cell.
    widths = [len(split(line, " ")) for line in lines[:2]]
    is_short = len(widths) == 2 and widths[0] == widths[1] - 1
    score = _score(lines[1:] if is_short else lines, " ")
    if score is None or score.alike < 1 or score.numbers < _ENOUGH_NUMBERS:
        return False
    return not _are_of_units(lines)


def _are_of_units(lines: list[str]) -> bool:
    """Return whether blanks stand between a number and its unit in every row, as in ``0.41 um``."""
    rows = [split(line, " ") for line in lines]
    if set(map(len, rows)) != {2}:
        return False
    units = [row[1] for row in rows]
    return len(set(texts_of(units))) == 1 and not any_number(units)
