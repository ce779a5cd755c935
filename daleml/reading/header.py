"""Which row names the columns, which column names the rows.

Told by how they differ from the numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from daleml.reading.first_rows import Cell, is_missing, is_number, usual_width
from daleml.reading.table_options import TableOptions, listed, shown

_WHOLE = re.compile(r"0|[1-9]\d*")
# digits: longer ones are beyond any number, and Python makes no whole number of thousands
_LONGEST = 300
_YEARS = range(1900, 2101)
_FAR = 10  # names of units are so many times larger than counts between them
_SHOWN = 4
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
        notes: What was taken for what.
    """

    header: bool
    labels: bool
    width: int
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_layout(
    cells: list[list[Cell]], options: TableOptions, separator: str
) -> Layout:
    """Tell names from data in the first rows of a table.

    Raises:
        ValueError: If the first row is shorter than the others and does not name the columns
            that follow a column of names: the sentence ends what its caller begins.
    """
    first, body = cells[0], cells[1:]
    width = max(usual_width(cells), 1)
    if body and len(first) == width - 1:
        return _of_short_header(first, body, width, options, separator)
    if len(first) > width and all(not cell.text for cell in first[width:]):
        first = first[:width]
    width = max(width, len(first))
    body = [row for row in body if len(row) <= width]
    notes: list[str] = []
    header = options.header
    if header is None:
        header = _is_header(first, body)
        if all(is_number(cell.text) or is_missing(cell.text) for cell in first):
            notes.append(_said_of_header(first, header))
        elif not header:
            notes.append(
                f"The first row, {_some(first)}, was taken as data like the rows below it,"
                " not as names of columns; pass `--header` if it is one."
            )
    labels = options.labels
    if labels is None:
        labels = _has_labels(first, body, header=header)
        if labels:
            of = [row[0] for row in body]
            notes.append(
                f"The first column, {_some(of if header else [first[0], *of])}, was taken"
                " as names of the rows."
            )
    return Layout(
        header,
        labels,
        width,
        tuple(_names(first, width) if header else map(str, range(width))),
        tuple(notes),
    )


def _of_short_header(
    first: list[Cell],
    body: list[list[Cell]],
    width: int,
    options: TableOptions,
    separator: str,
) -> Layout:
    """Read a first row that is one cell shorter than the others.

    R writes so where rows have names.
    """
    full = [row for row in body if len(row) == width]
    if all(not row[-1].text for row in full):
        if options.trailing and options.labels is None:
            return find_layout([[*first, Cell("", False)], *body], options, separator)
        raise ValueError(
            f"it has rows longer than its first: they end in {separator!r}, and the first"
            " row does not; pass `--trailing` to leave that out"
        )
    rest = [cell for row in full for cell in row[1:]]
    ids = [row[0] for row in full]
    digits = (
        separator == ","
        and width == 2
        and all(cell.text.isdigit() and not cell.quoted for cell in [*ids, *rest])
    )
    named = (
        options.header
        or any(not is_number(cell.text) for cell in first)
        or unlike(first, rest)
    )
    sure = (
        named and not digits and options.header is not False and _name_rows(ids, rest)
    )
    if not sure and options.labels is not True:
        either = (
            ": if the comma is a decimal mark, pass `--decimal ,`; if the first column"
            " names the rows, `--labels`"
        )
        raise ValueError(
            f"it has rows longer than its first{either if digits else _OF_TITLE}"
        )
    note = (
        f"The first column, {_some(ids)}, which the first row does not name, was taken as"
        " names of the rows."
    )
    return Layout(
        True, True, width, tuple(_names([Cell("", False), *first], width)), (note,)
    )


def _name_rows(ids: list[Cell], rest: list[Cell]) -> bool:
    texts = [cell.text for cell in ids]
    if len(set(texts)) < len(texts) or any(is_missing(text) for text in texts):
        return False
    return (
        all(not is_number(text) for text in texts)
        or all(cell.quoted for cell in ids)
        or unlike(ids, rest, least=1)
    )


def _is_header(first: list[Cell], body: list[list[Cell]]) -> bool:
    rest = [cell for row in body for cell in row]
    texts = [
        i
        for i, cell in enumerate(first)
        if not is_number(cell.text) and not is_missing(cell.text)
    ]
    numbers = [cell for cell in first if is_number(cell.text)]
    if not texts:
        if not first[
            0
            # the corner above names of rows, which may be numbers as large as those of the columns
        ].text:
            rest = [cell for row in body for cell in row[1:]]
        return bool(numbers) and unlike(numbers, rest)
    if not numbers:
        return True
    # Names and numbers: a row of data has text only where the rows below it have.
    as_below = all(
        any(not is_number(row[i].text) for row in body if i < len(row)) for i in texts
    )
    data = [cell for row in body for i, cell in enumerate(row) if i not in texts]
    return not (body and as_below and texts and not unlike(numbers, data))


def unlike(names: list[Cell], data: list[Cell], *, least: int = 3) -> bool:
    """Whether whole numbers are names, unlike the numbers beside them.

    They are all different, and either quoted where the data are not, or whole where the data
    have decimals, or years where the data are none, or far larger than the data, or they count
    from 0 or from 1.

    Args:
        names: Cells that may be names.
        data: Cells of the table beside or below them.
        least: How many names must count from 0 or 1 to be taken for names by that.
    """
    texts = [cell.text for cell in names]
    if not all(_WHOLE.fullmatch(text) for text in texts) or len(set(texts)) < len(
        texts
    ):
        return False
    if any(len(text) > _LONGEST for text in texts):
        return False
    numbers = [cell for cell in data if is_number(cell.text)]
    if not numbers:
        return False
    if all(cell.quoted for cell in names) and not any(cell.quoted for cell in numbers):
        return True
    values = [int(text) for text in texts]
    whole = [cell.text for cell in numbers if _WHOLE.fullmatch(cell.text.lstrip("-"))]
    sizes = [abs(_value(cell.text)) for cell in numbers]
    if not whole:
        return len(values) > 1 or values[0] == 0 or values[0] > _FAR * max(sizes)
    if all(value in _YEARS for value in values) and not any(
        size in _YEARS for size in sizes
    ):
        return True
    if min(values) > _FAR * max(sizes) and (
        len(values) > 1 or min(values) >= _YEARS.start
    ):
        return True
    counts = values in (list(range(len(values))), list(range(1, len(values) + 1)))
    return counts and len(values) >= least and not _goes_on(values, sizes)


def _goes_on(values: list[int], sizes: list[float]) -> bool:
    """Whether the data go on counting where the names end, as the rows of ``arange`` do."""
    return sizes[: len(values)] == [value + len(values) for value in values]


def _value(text: str) -> float:
    try:
        return float(text.rstrip("%").replace(",", "."))
    except ValueError:
        return 0.0


def _has_labels(first: list[Cell], body: list[list[Cell]], *, header: bool) -> bool:
    rows = body if header else [first, *body]
    ids = [row[0] for row in rows if row]
    rest = [cell for row in rows for cell in row[1:]]
    texts = [cell.text for cell in ids]
    if not ids or not rest:
        return False
    if header and first[0].text and not first[0].text.startswith("Unnamed: "):
        return False  # a column with a name is a column
    distinct = len(set(texts)) == len(texts) and not any(
        is_missing(text) for text in texts
    )
    if (
        header
        and distinct
        and texts == [cell.text for cell in first[1 : len(texts) + 1]]
    ):
        return True
    if all(not is_number(text) for text in texts) and (header or distinct):
        numbers = sum(is_number(cell.text) or is_missing(cell.text) for cell in rest)
        return header or numbers == len(rest)
    return distinct and unlike(ids, rest, least=1 if header else 3)


def _names(first: list[Cell], width: int) -> list[str]:
    """Return names of columns, no two alike.

    A column without a name, or with that of another, gets its place.
    """
    names = [cell.text for cell in first] + [""] * (width - len(first))
    counts = Counter(names)
    return [
        f"column {i + 1}"
        if not name
        else f"{name} #{i + 1}"
        if counts[name] > 1
        else name
        for i, name in enumerate(names)
    ]


def said_of_repeats(names: tuple[str, ...], given: list[str]) -> list[str]:
    """Return a note where columns have one name."""
    counts = Counter(name for name in given if name)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if not repeated:
        return []
    now = [new for new, old in zip(names, given, strict=False) if counts[old] > 1]
    return [
        f"Several columns are called {listed(repeated, _SHOWN)}; they were taken as"
        f" {listed(now)}."
    ]


def _said_of_header(first: list[Cell], header: bool) -> str:
    if header:
        return (
            f"The first row, {_some(first)}, was taken as names of columns, being unlike"
            " the rows below it; pass `--no-header` if it is data."
        )
    return (
        f"The first row, {_some(first)}, was taken as data; pass `--header` if it names the"
        " columns."
    )


def _some(cells: list[Cell]) -> str:
    texts = [cell.text for cell in cells[:_SHOWN]]
    return ", ".join(shown(text)[1:-1] or "''" for text in texts) + (
        ", ..." if len(cells) > _SHOWN else ""
    )
