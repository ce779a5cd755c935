"""Files of tables: which reader a file is for, and the reader of tables of text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, printable, reason
from daleml.reading import array_files, workbooks
from daleml.reading.cell_values import MISSING
from daleml.reading.header import (
    Layout,
    columns_by_name,
    find_layout,
    is_title,
    names_in_comment,
)
from daleml.reading.notes import OnNote, ReadingError
from daleml.reading.opening import (
    ARRAYS,
    FRAMES,
    TABLES,
    WORKBOOKS,
    is_table,
    read_text,
    require_file,
    suffix,
)
from daleml.reading.rows import (
    Cells,
    TextRow,
    find_separator,
    first_rows,
    separator_name,
    split,
    texts_of,
)
from daleml.reading.table import Table, TableOptions

_TABS = (".tsv", ".tab")

# A larger text is not held cell by cell where its first rows show another way: as numbers, or
# as names of which fewer than this fraction of the cells are different.
_LARGE = 1 << 24
_FEW_NAMES = 0.2
_PLAIN = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_table(
    path: Path,
    options: TableOptions,
    on_note: OnNote,
    only: Sequence[str] | None = None,
) -> Table:
    """Read a table. Several arrays of one length are one too.

    Args:
        path: A table of text, a workbook, a Parquet or Feather file, or a file of arrays, whose
            columns are those of one dimension and of the commonest length.
        options: How the table is written, where that is not to be found out.
        on_note: The callback that takes notes.
        only: The columns that are wanted, where they are known: of a file of typed columns no
            others are read, if it has them.

    Raises:
        ValueError: If it cannot be read as what its ending says, or holds no such arrays.
        ModuleNotFoundError: If its library is not installed.
        OSError: If it cannot be opened.
    """
    require_file(path, (*TABLES, *ARRAYS))
    ending = suffix(path)
    if ending in WORKBOOKS:
        return workbooks.read_workbook(path, options, on_note).without_totals()
    if ending in FRAMES:
        return workbooks.read_frame(path, options, on_note, only)
    if is_table(path):
        return read_text_table(path, options, on_note).without_totals()
    return array_files.read_columns(path, options, on_note)


def read_text_table(path: Path, options: TableOptions, on_note: OnNote) -> Table:
    """Read a table of text.

    Raises:
        ValueError: If it is none.
        OSError: If it cannot be opened.
    """
    text, name = read_text(path, on_note), printable(path)
    start, said = _preamble(text)
    rows = first_rows(text, start)
    if not rows:
        raise ReadingError(f"`{name}` must be a table; No columns to parse from file.")
    said = options.separator or said
    if options.header is not False and _is_below_title(rows, said, on_note):
        start, rows = rows[0].end, rows[1:]
    usual = "\t" if suffix(path)[:4] in _TABS else ","
    separator = said or find_separator(rows, usual)
    if options.separator is None and separator != usual:
        on_note(
            f"`{name}` was read with {separator_name(separator)} between its cells."
        )
    if start and text.startswith("#"):
        on_note(f"The lines of `{name}` that begin with # were left out.")
    try:
        separator, layout = _layout(rows, separator, options, on_note, name)
    except ValueError as error:
        raise ReadingError(f"`{name}` must be a table; {error}.") from None
    if layout.header:
        body = text[rows[0].end :]
    else:
        body = text[start:]
        if options.header is None:
            layout = _named_by_comment(layout, text[:start], separator, on_note)
    for note in layout.notes:
        on_note(note)
    _say_of_short_rows(rows[1:], text, separator, layout.width, name, on_note)
    kinds = _kinds(rows[1:], separator, layout.width, len(body))
    columns = _columns(body, separator, name, kinds)
    by_name = columns_by_name(layout, columns, on_note, trailing=options.trailing)
    labels = by_name.pop(layout.names[0]) if layout.labels else None
    return Table(path, by_name, options, on_note, labels, separator, layout.header)


def _preamble(text: str) -> tuple[int, str | None]:
    """Return where the table begins, and the separator if the file says it, as ``sep=;`` does."""
    # Excel writes and reads such a first line.
    if text[:4].lower() == "sep=" and text[5:6] in ("\n", ""):
        return min(6, len(text)), text[4:5]
    start = 0
    while text.startswith("#", start) and not text.startswith("#N", start):
        stop = text.find("\n", start)
        if stop < 0:
            break
        start = stop + 1
    return start, None


def _is_below_title(
    rows: list[TextRow], separator: str | None, on_note: OnNote
) -> bool:
    """Say so, if the first row is a title above a table."""
    for mark in separator or ",;\t":
        cells = [texts_of(split(row.text, mark)) for row in rows[:3]]
        if is_title(cells, on_note):
            return True
    return False


def _named_by_comment(
    layout: Layout, above: str, separator: str, on_note: OnNote
) -> Layout:
    """Return the layout, with the names of the columns if a comment above them has them."""
    names = names_in_comment(above, separator, layout)
    if not names:
        return layout
    on_note(
        f"The columns were named {listed(names, 4)}, as the comment above them says."
    )
    return replace(layout, names=tuple(names))


def _layout(
    rows: list[TextRow],
    separator: str,
    options: TableOptions,
    on_note: OnNote,
    name: str,
) -> tuple[str, Layout]:
    """Return what stands between the cells, and where the names are."""
    cells = [split(row.text, separator) for row in rows]
    if separator == ",":
        # No comma is quoted, so every comma is a decimal one, and the table is one column.
        bare = options.decimal == "," and "," not in "".join(_all_texts(cells))
        unsaid = options.separator is None and options.header is not False
        if not bare and unsaid and _are_decimal_commas(cells):
            bare = True
            on_note(
                f"The commas of `{name}` were taken as decimal commas: its first row has"
                " one cell."
            )
        if bare:
            separator = "\t"
            cells = [split(row.text, separator) for row in rows]
    return separator, find_layout(cells, options, separator)


def _all_texts(rows: list[Cells]) -> list[str]:
    return [cell.text for row in rows for cell in row]


def _are_decimal_commas(rows: list[Cells]) -> bool:
    """Return whether rows such as ``0,41`` below a header of one cell hold one number each.

    No name of a row comes twice, and the whole part of a number may.
    """
    first, body = rows[0], rows[1:]
    if len(first) != 1 or len(body) < 3 or first[0].text.isdigit():
        return False
    wholes = []
    for row in body:
        if len(row) > 2 or not all(map(str.isdigit, texts_of(row))):
            return False
        if any(cell.quoted for cell in row):
            return False
        if len(row) == 2:
            wholes.append(row[0].text)
    return len(set(wholes)) < len(wholes)


def _kinds(
    rows: list[TextRow], separator: str, width: int, size: int
) -> dict[int, Any]:
    """Return as what to read each column: as text, unless the table is large.

    As text each cell would take 60 bytes. So plain numbers with decimals become numbers at once,
    and of names that come again and again each is held once. Whole numbers may be ids, and stay
    text.
    """
    kinds: dict[int, Any] = dict.fromkeys(range(width), str)
    if size < _LARGE or separator == " ":
        return kinds
    cells = [texts_of(split(row.text, separator)) for row in rows]
    for i in range(width):
        kept = [row[i] for row in cells if len(row) > i and row[i] not in MISSING]
        plain = all(map(_PLAIN.fullmatch, kept))
        if plain and any("." in one for one in kept):
            kinds[i] = np.float64
        elif kept and len(set(kept)) < _FEW_NAMES * len(kept):
            kinds[i] = "category"
    return kinds


def _columns(
    body: str, separator: str, name: str, kinds: dict[int, Any]
) -> list[NDArray[Any]]:
    """Return the text of the cells of each column; of plain decimals, numbers."""
    # Imported here: pandas takes longer to import than a small table to read.
    import pandas as pd

    plain: list[Any] = [i for i, kind in kinds.items() if kind is np.float64]
    try:
        # A warning, made an error: rows longer than the others would lose their end.
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            table = pd.read_csv(
                StringIO(body),
                sep=r"\s+" if separator == " " else separator,
                header=None,
                names=range(len(kinds)),
                dtype=kinds,
                keep_default_na=False,
                na_values=dict.fromkeys(plain, sorted(MISSING)) if plain else None,
                skipinitialspace=True,
                index_col=False,
            )
    except pd.errors.EmptyDataError:
        return [np.empty(0, dtype=object) for _ in kinds]
    except pd.errors.ParserWarning:
        raise ReadingError(
            f"`{name}` must be a table; it has rows longer than its first."
        ) from None
    except (ValueError, pd.errors.ParserError) as error:
        if plain:
            # A cell farther down is no plain number: as text, it can be said which.
            return _columns(body, separator, name, dict.fromkeys(kinds, str))
        raise ReadingError(f"`{name}` must be a table; {reason(error)}.") from None
    columns: list[NDArray[Any]] = []
    for i, kind in kinds.items():
        if kind is np.float64:
            columns.append(table[i].to_numpy(dtype=np.float64))
        elif kind == "category":
            # The last one is what a cell that is missing becomes.
            names = [*table[i].cat.categories.str.strip(), ""]
            columns.append(np.array(names, dtype=object)[table[i].cat.codes])
        else:
            columns.append(table[i].fillna("").str.strip().to_numpy(dtype=object))
    return columns


def _say_of_short_rows(
    rows: list[TextRow],
    text: str,
    separator: str,
    width: int,
    name: str,
    on_note: OnNote,
) -> None:
    """Say so where rows have fewer cells than the others.

    Looked at are the first rows, and the last one, as of a file that was cut off.
    """
    last = text.rstrip("\n").rpartition("\n")[2]
    short = 0
    for row in rows:
        cells = split(row.text, separator)
        missing = width - len(cells)
        # One cell fewer, the last one empty, is a row that ends in a separator.
        short += missing > 1 or (missing == 1 and bool(cells[-1].text))
    is_whole = last.count('"') % 2 == 0
    cut = bool(rows) and is_whole and len(split(last, separator)) < width
    if not short and not cut:
        return
    which = f"A row of `{name}` lacks"
    if short > 1:
        which = f"{short:,} of the first rows of `{name}` lack"
    on_note(f"{which} cells, which were taken as missing: was the file cut off?")
