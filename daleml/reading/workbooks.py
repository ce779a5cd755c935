"""Tables of typed cells: Excel workbooks, Parquet and Feather files.

Their libraries are optional.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, printable, quoted, reason
from daleml.reading.header import columns_by_name, find_layout, is_title
from daleml.reading.notes import OnNote, ReadingError
from daleml.reading.number_styles import LARGEST_EXACT
from daleml.reading.opening import (
    FRAMES,
    MOST_ARRAYS,
    allowance,
    is_of_system,
    require_room,
    suffix,
    too_large,
)
from daleml.reading.rows import SAMPLE, Cells, TextCell
from daleml.reading.table import Table, TableOptions

# A cell of a workbook takes about this number of bytes in memory.
_BYTES_OF_CELL = 64

# Of more cells than this, each different one is held once.
_MANY_CELLS = 1 << 16

# The values of a row of a sheet, None where a cell is empty.
_TypedRow: TypeAlias = tuple[Any, ...]


def need(library: str, path: Path) -> ModuleNotFoundError:
    """Return the error of a file whose library is not installed."""
    return ModuleNotFoundError(
        f"`{printable(path)}` must have {library} to be read, which is not installed: pip"
        " install 'daleml[files]'"
    )


def read_workbook(path: Path, options: TableOptions, on_note: OnNote) -> Table:
    """Read a sheet of an Excel workbook.

    Raises:
        ValueError: If it is damaged, or has several sheets and none is named.
        ModuleNotFoundError: If openpyxl is not installed.
        OSError: If it cannot be opened.
    """
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise need("openpyxl", path) from None
    with _damage(path, "a workbook, .xlsx"):
        with zipfile.ZipFile(path) as archive:
            needed = sum(member.file_size for member in archive.infolist())
        require_room(path, needed, MOST_ARRAYS)
        # openpyxl warns of styles that it does not know.
        with warnings.catch_warnings(action="ignore"):
            book = _load(openpyxl, path)
            try:
                sheet, rows = _sheet(book, path, options)
            finally:
                book.close()
            if any(None in row for row in rows):
                _refuse_formulas(openpyxl, path, sheet)
    return _table_of_rows(path, list(filter(_is_filled, rows)), options, on_note)


@contextmanager
def _damage(path: Path, what: str) -> Iterator[None]:
    """Raise what a library raises on a damaged file as a ``ReadingError``."""
    try:
        yield
    except ReadingError:
        raise
    # The parsers of zip, of XML and of Arrow raise whatever the damage trips over.
    except Exception as error:
        if is_of_system(error):
            raise
        raise ReadingError(
            f"`{printable(path)}` must be {what}; {reason(error)}."
        ) from None


def _load(openpyxl: Any, path: Path, *, values: bool = True) -> Any:
    return openpyxl.load_workbook(
        path, read_only=True, data_only=values, keep_links=False
    )


def _is_filled(row: _TypedRow) -> bool:
    return any(value is not None for value in row)


def _sheet(book: Any, path: Path, options: TableOptions) -> tuple[str, list[_TypedRow]]:
    """Return the name and the rows of the sheet that is meant."""
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    name = printable(path)
    if options.sheet is not None:
        if options.sheet not in sheets:
            raise ReadingError(
                f"`--sheet` must name a sheet of `{name}`; got {quoted(options.sheet)}, of"
                f" {listed(list(sheets))}."
            )
        return options.sheet, _rows(sheets[options.sheet], path)
    filled: dict[str, list[_TypedRow]] = {}
    for title, sheet in sheets.items():
        rows = _rows(sheet, path)
        if rows:
            filled[title] = rows
    if len(filled) > 1:
        raise ReadingError(
            f"`--sheet` must name one sheet of `{name}`; got {listed(list(filled))} to"
            " choose from."
        )
    if not filled:
        raise ReadingError(f"`{name}` must be a table; its sheets are empty.")
    return next(iter(filled.items()))


def _rows(sheet: Any, path: Path) -> list[_TypedRow]:
    """Return the rows of a sheet, without empty rows and columns at their end."""
    allowed = allowance(path, MOST_ARRAYS)
    rows: list[_TypedRow] = []
    taken = width = 0
    # What a sheet says of its size may be wrong.
    sheet.reset_dimensions()
    for row in sheet.iter_rows(values_only=True):
        taken += _BYTES_OF_CELL * (len(row) + 1)
        if taken > allowed:
            raise too_large(path, allowed)
        rows.append(row)
        width = max(width, _width(row))
    while rows and not _is_filled(rows[-1]):
        rows.pop()
    # A single cell at the far end of a sheet makes all rows as wide.
    if _BYTES_OF_CELL * width * len(rows) > allowed:
        raise too_large(path, allowed)
    return [row[:width] + (None,) * (width - len(row)) for row in rows]


def _width(row: _TypedRow) -> int:
    """Return how many cells a row has, without empty ones at its end."""
    width = len(row)
    while width and row[width - 1] is None:
        width -= 1
    return width


def _refuse_formulas(openpyxl: Any, path: Path, title: str) -> None:
    """Refuse a sheet with a formula whose value was never saved.

    Its cell would be read as empty.
    """
    formulas, values = _load(openpyxl, path, values=False), _load(openpyxl, path)
    try:
        sheets = (formulas[title], values[title])
        for sheet in sheets:
            sheet.reset_dimensions()
        pairs = (sheet.iter_rows(values_only=True) for sheet in sheets)
        for written, computed in zip(*pairs, strict=False):
            for cell, value in zip(written, computed, strict=False):
                if value is None and isinstance(cell, str) and cell.startswith("="):
                    raise ReadingError(
                        f"`{printable(path)}` must hold the values of its formulas; got"
                        f" {quoted(cell)} without one: open and save it in a spreadsheet"
                        " program."
                    )
    finally:
        formulas.close()
        values.close()


def _table_of_rows(
    path: Path, rows: list[_TypedRow], options: TableOptions, on_note: OnNote
) -> Table:
    texts = [list(map(_text, row)) for row in rows]
    if options.header is not False and is_title(texts[:3], on_note):
        texts, rows = texts[1:], rows[1:]
    first = [_cells(row) for row in rows[: SAMPLE + 1]]
    try:
        layout = find_layout(first, options, "cell")
    except ValueError as error:
        raise ReadingError(f"`{printable(path)}` must be a table; {error}.") from None
    for note in layout.notes:
        on_note(note)
    body = np.array(texts[1:] if layout.header else texts, dtype=object)
    columns = list(body.reshape(-1, layout.width).T)
    by_name = columns_by_name(layout, columns, on_note)
    labels = by_name.pop(layout.names[0]) if layout.labels else None
    return Table(path, by_name, options, on_note, labels, None, layout.header)


def _cells(row: _TypedRow) -> Cells:
    return [TextCell(_text(value), isinstance(value, str)) for value in row]


def _text(value: Any) -> str:
    """Return a typed cell as text, exact: a whole number without a point."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value).strip()
    if math.isnan(value):
        return ""
    if value.is_integer() and abs(value) < LARGEST_EXACT:
        return str(int(value))
    return repr(value)


def read_frame(
    path: Path,
    options: TableOptions,
    on_note: OnNote,
    only: Sequence[str] | None = None,
) -> Table:
    """Read a Parquet or Feather file, whose columns have names and types.

    Args:
        path: The file.
        options: What the user said of it.
        on_note: The callback that takes notes.
        only: The columns that are wanted; if the file has them, no others are read.

    Raises:
        ValueError: If it is damaged, or larger than it may be.
        ModuleNotFoundError: If pyarrow is not installed.
        OSError: If it cannot be opened.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise need("pyarrow", path) from None
    ending = suffix(path)
    with _damage_of_arrow(path, f"a {ending} file"):
        read = _of_parquet if ending in FRAMES[:2] else _of_feather
        table = read(path, list(only or ()))
        names = list(map(str, table.column_names))
        columns = [_of_arrow(table.column(i), pa) for i in range(len(names))]
    counts = Counter(map(str.strip, names))
    indexes: list[NDArray[Any]] = []
    by_name: dict[str, NDArray[Any]] = {}
    for place, (name, column) in enumerate(zip(names, columns, strict=True), 1):
        # pandas stores the index of a frame under such names.
        if name.startswith("__index_level_"):
            indexes.append(column)
            continue
        plain = name.strip() or f"column {place}"
        if counts[name.strip()] > 1:
            plain = f"{plain} #{place}"
        by_name[plain] = column
    labels = indexes[0] if len(indexes) == 1 else None
    return Table(path, by_name, options, on_note, labels)


@contextmanager
def _damage_of_arrow(path: Path, what: str) -> Iterator[None]:
    """Raise what Arrow raises as a ``ReadingError``: its errors of damage are ``OSError`` too."""
    try:
        yield
    except (FileNotFoundError, ReadingError):
        raise
    except Exception as error:
        raise ReadingError(
            f"`{printable(path)}` must be {what}; {reason(error)}."
        ) from None


def _wanted(names: Sequence[str], only: list[str]) -> list[str]:
    """Return the columns to read: those wanted, if a file has them once; else all."""
    once = all(names.count(name) == 1 for name in only)
    return only if only and once else list(names)


def _of_parquet(path: Path, only: list[str]) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=False) as file:
        meta = file.metadata
        wanted = _wanted(file.schema_arrow.names, only)
        needed = 0
        for group in map(meta.row_group, range(meta.num_row_groups)):
            needed += _bytes_of(group, wanted)
        # A column of one repeated value takes no bytes in the file, and 8 per row in memory.
        needed = max(needed, 8 * meta.num_rows * len(wanted))
        require_room(path, needed, MOST_ARRAYS)
        return file.read(columns=wanted if only else None, use_threads=False)


def _bytes_of(group: Any, wanted: list[str]) -> int:
    """Return how many bytes some columns of a part of a Parquet file take, unpacked."""
    total = 0
    for i in range(group.num_columns):
        column = group.column(i)
        path = column.path_in_schema
        # A nested column has parts, whose paths begin with its name.
        if path in wanted or path.partition(".")[0] in wanted:
            total += column.total_uncompressed_size
    return total


def _of_feather(path: Path, only: list[str]) -> Any:
    import pyarrow as pa

    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
        allowed = allowance(path, MOST_ARRAYS)
        batches, taken = [], 0
        wanted = _wanted(file.schema.names, only)
        for i in range(file.num_record_batches):
            batch = file.get_batch(i).select(wanted) if only else file.get_batch(i)
            taken += batch.nbytes
            if taken > allowed:
                raise too_large(path, allowed)
            batch.validate(full=True)
            batches.append(batch)
        schema = pa.schema([file.schema.field(name) for name in wanted])
        return pa.Table.from_batches(batches, schema if only else file.schema)


def _of_arrow(column: Any, pa: Any) -> NDArray[Any]:
    """Return a column as float64 if it has decimals, else as text, exact."""
    column.validate(full=True)
    if pa.types.is_dictionary(column.type):
        if column.num_chunks:
            column = column.combine_chunks().dictionary_decode()
        else:
            column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return np.asarray(numbers, dtype=np.float64)
    if len(column) > _MANY_CELLS and not pa.types.is_nested(column.type):
        # Of names that come again and again, each is held once.
        names = column.combine_chunks().dictionary_encode()
        texts = [*map(_text, names.dictionary.to_pylist()), ""]
        places = names.indices.fill_null(len(texts) - 1).to_numpy(zero_copy_only=False)
        return np.asarray(np.array(texts, dtype=object)[places])
    return np.array(list(map(_text, column.to_pylist())), dtype=object)
