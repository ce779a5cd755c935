"""The names in a table: which row names the columns, which column names the rows.

They are told by how they differ from the numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from daleml._support.safe_text import listed, quoted
from daleml.reading.cell_values import EMPTY, MISSING
from daleml.reading.notes import OnNote
from daleml.reading.number_names import are_names
from daleml.reading.rows import (
    Cells,
    TextCell,
    all_numbers,
    all_quoted,
    any_number,
    split,
    texts_of,
    usual_width,
)
from daleml.reading.table import TableOptions

# The number of cells that a note shows.
_SHOWN = 4

_OF_COMMA = (
    ": if the comma is a decimal mark, pass `--decimal ,`; if the first column names the"
    " rows, `--labels`"
)
_OF_TITLE = (
    ": if lines above its header are a title, take them out; if its first column names the"
    " rows, pass `--labels`"
)


@dataclass(frozen=True)
class Layout:
    """Where a table has its names.

    Attributes:
        header: Whether the first row names the columns.
        labels: Whether the first column names the rows.
        width: Number of cells of a row, the row's name among them.
        names: Of the columns, the one of the rows' names among them; numbered from 0 where
            there is no header.
        given: The cells of the first row, one per column; empty where it is no header.
        notes: What was taken for what.
    """

    header: bool
    labels: bool
    width: int
    names: tuple[str, ...]
    given: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def find_layout(rows: list[Cells], options: TableOptions, separator: str) -> Layout:
    """Tell names from data in the first rows of a table.

    Raises:
        ValueError: If the first row is shorter than the others and does not name the columns
            that follow a column of names: the sentence ends what its caller begins.
    """
    first, body = rows[0], rows[1:]
    width = max(usual_width(rows), 1)
    if body and len(first) == width - 1:
        if not _ends_in_separators(body, width):
            return _of_short_header(first, body, width, options, separator)
        if not options.trailing or options.labels is not None:
            raise ValueError(
                f"it has rows longer than its first: they end in {separator!r}, and the"
                " first row does not; pass `--trailing` to leave that out"
            )
        first = [*first, TextCell("")]
    if not any(texts_of(first[width:])):
        first = first[:width]
    width = max(width, len(first))
    body = [row for row in body if len(row) <= width]
    notes: list[str] = []
    header, labels = options.header, options.labels
    if header is None:
        header = _is_header(first, body)
        notes += _notes_of_header(first, header)
    if labels is None:
        labels = _has_labels(first, body, header)
        if labels:
            ids = _column(body if header else [first, *body], 0)
            notes.append(
                f"The first column, {_some(ids)}, was taken as names of the rows."
            )
    if not header:
        return Layout(False, labels, width, tuple(map(str, range(width))), notes=notes)
    return _headed(first, labels, width, notes)


def _headed(first: Cells, labels: bool, width: int, notes: list[str]) -> Layout:
    given = texts_of(first) + [""] * (width - len(first))
    return Layout(True, labels, width, tuple(_distinct(given)), tuple(given), notes)


def _column(rows: list[Cells], i: int) -> Cells:
    return [row[i] for row in rows if i < len(row)]


def _beside(rows: list[Cells], start: int = 1) -> Cells:
    """Return the cells of some rows, row by row, but for the first of each."""
    return [cell for row in rows for cell in row[start:]]


def _ends_in_separators(body: list[Cells], width: int) -> bool:
    """Return whether every row of the usual width ends in a separator, with nothing behind it."""
    return not any(row[-1].text for row in body if len(row) == width)


def _of_short_header(
    first: Cells,
    body: list[Cells],
    width: int,
    options: TableOptions,
    separator: str,
) -> Layout:
    """Read a first row that is one cell shorter than the others.

    R writes so where rows have names.
    """
    full = [row for row in body if len(row) == width]
    ids, rest = _column(full, 0), _beside(full)
    # In a list of decimal commas that nobody quoted, 0,41 looks like two cells.
    may_be_commas = separator == "," and width == 2 and all(map(_is_bare, ids + rest))
    if options.labels is not True:
        if may_be_commas:
            raise ValueError(f"it has rows longer than its first{_OF_COMMA}")
        if options.header is False or not (
            (options.header or _are_column_names(first, rest))
            and _are_row_names(ids, rest)
        ):
            raise ValueError(f"it has rows longer than its first{_OF_TITLE}")
    note = (
        f"The first column, {_some(ids)}, which the first row does not name, was taken as"
        " names of the rows."
    )
    return _headed([TextCell(""), *first], True, width, [note])


def _is_bare(cell: TextCell) -> bool:
    return cell.text.isdigit() and not cell.quoted


def _are_column_names(first: Cells, rest: Cells) -> bool:
    return not all_numbers(first) or are_names(first, rest)


def _are_distinct(ids: Cells) -> bool:
    """Return whether no two cells are alike, and none is missing."""
    texts = texts_of(ids)
    return len(set(texts)) == len(texts) and MISSING.isdisjoint(texts)


def _are_row_names(ids: Cells, rest: Cells) -> bool:
    if not _are_distinct(ids):
        return False
    return all_quoted(ids) or not any_number(ids) or are_names(ids, rest, least=1)


def _is_header(first: Cells, body: list[Cells]) -> bool:
    """Return whether the first row names the columns."""
    numbers = [cell for cell in first if cell.is_number]
    # The places of the words in the first row.
    words: list[int] = []
    for i, cell in enumerate(first):
        if not cell.is_number and not cell.is_missing:
            words.append(i)
    if not words:
        # Above names of rows the corner is empty, and the names may be numbers that are
        # as large as those of the columns.
        rest = _beside(body, start=int(not first[0].text))
        return bool(numbers) and are_names(numbers, rest)
    if not numbers or not body:
        return True
    # Names and numbers: a row of data has text only where the rows below it have.
    for i in words:
        if all_numbers(_column(body, i)):
            return True
    data: Cells = []
    for row in body:
        data += [cell for i, cell in enumerate(row) if i not in words]
    return are_names(numbers, data)


def _has_labels(first: Cells, body: list[Cells], header: bool) -> bool:
    """Return whether the first column names the rows."""
    # A column with a name is a column; pandas calls one without "Unnamed: 0".
    if header and first[0].text and not first[0].text.startswith("Unnamed: "):
        return False
    rows = body if header else [first, *body]
    ids, rest = _column(rows, 0), _beside(rows)
    if not ids or not rest:
        return False
    distinct = _are_distinct(ids)
    if header and distinct and texts_of(ids) == texts_of(first[1 : len(ids) + 1]):
        return True
    if not any_number(ids) and (header or distinct):
        return header or all_numbers(rest, or_missing=True)
    return distinct and are_names(ids, rest, least=1 if header else 3)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of columns, no two alike.

    A column without a name, or with that of another, gets its place.
    """
    counts = Counter(names)
    distinct = []
    for place, name in enumerate(names, 1):
        if not name:
            name = f"column {place}"
        elif counts[name] > 1:
            name = f"{name} #{place}"
        distinct.append(name)
    return distinct


def _note_repeats(layout: Layout, on_note: OnNote) -> None:
    """Say so where columns have one name."""
    counts = Counter(filter(None, layout.given))
    repeated = sorted(counts - Counter(list(counts)))
    if repeated:
        pairs = zip(layout.names, layout.given, strict=True)
        now = [name for name, given in pairs if given in repeated]
        on_note(
            f"Several columns are called {listed(repeated, _SHOWN)}; they were taken as"
            f" {listed(now)}."
        )


def _notes_of_header(first: Cells, header: bool) -> list[str]:
    """Return what must be said of a first row that was found to be a header, or none."""
    if not all_numbers(first, or_missing=True):
        if header:
            return []
        return [
            f"The first row, {_some(first)}, was taken as data like the rows below it, not"
            " as names of columns; pass `--header` if it is one."
        ]
    if header:
        return [
            f"The first row, {_some(first)}, was taken as names of columns, being unlike"
            " the rows below it; pass `--no-header` if it is data."
        ]
    return [
        f"The first row, {_some(first)}, was taken as data; pass `--header` if it names the"
        " columns."
    ]


def _some(cells: Cells) -> str:
    """Return the first of some cells, for a note."""
    shown = [quoted(cell.text)[1:-1] or "''" for cell in cells[:_SHOWN]]
    more = ", ..." if len(cells) > _SHOWN else ""
    return ", ".join(shown) + more


def is_title(rows: list[list[str]], on_note: OnNote) -> bool:
    """Say so, if the first row is a title.

    That is a cell of text above names of several columns and a row of numbers.
    """
    if len(rows) < 3:
        return False
    title, names, data = rows[:3]
    alone = bool(title[0]) and not any(title[1:]) and not TextCell(title[0]).is_number
    headed = len(names) > 1 and all(names) and not any_number(map(TextCell, names))
    if not alone or not headed or len(data) < len(names):
        return False
    if not any_number(map(TextCell, data)):
        return False
    on_note(f"The first line, {quoted(title[0])}, was taken as a title and left out.")
    return True


def names_in_comment(above: str, separator: str, layout: Layout) -> list[str]:
    """Return the names of all columns if the last comment above the table has them.

    NumPy's ``savetxt`` writes them so.
    """
    last = above.rstrip("\n").rpartition("\n")[2]
    if layout.labels or not last.startswith("#"):
        return []
    cells = split(last.lstrip("# "), separator)
    names = texts_of(cells)
    if len(names) != layout.width or len(names) < 2:
        return []
    if not all(names) or any_number(cells) or len(set(names)) < len(names):
        return []
    return names


def columns_by_name(
    layout: Layout,
    columns: list[NDArray[Any]],
    on_note: OnNote,
    *,
    trailing: bool = False,
) -> dict[str, NDArray[Any]]:
    """Return columns by name.

    Say which got other names, and leave out those without a name and without a value.

    Args:
        layout: Where the table has its names.
        columns: The text of the cells of each column.
        on_note: The callback that takes notes.
        trailing: Whether an empty column without a name needs no note.
    """
    by_name = dict(zip(layout.names, columns, strict=True))
    if not layout.header:
        return by_name
    _note_repeats(layout, on_note)
    for i, name in enumerate(layout.names):
        # The column of the rows' names needs no name of its own.
        if layout.given[i] or (layout.labels and i == 0):
            continue
        if not set(columns[i].tolist()) <= EMPTY:
            on_note(f"Column {i + 1}, which has no name, was taken as {quoted(name)}.")
            continue
        del by_name[name]
        if not trailing:
            on_note(
                f"Column {i + 1}, which has neither a name nor a value, was left out."
            )
    return by_name
