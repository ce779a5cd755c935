"""Tables of typed cells: Excel workbooks, Parquet and Feather files.

Their libraries are optional.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml.reading.first_rows import SAMPLE, Cell
from daleml.reading.header import find_layout
from daleml.reading.opening import (
    ARRAYS,
    allowance,
    is_of_system,
    require_room,
    suffix,
    too_large,
)
from daleml.reading.preamble import is_title
from daleml.reading.table import Table, name_columns
from daleml.reading.table_options import (
    ReadingError,
    Say,
    TableOptions,
    listed,
    printable,
    reason,
    shown,
)

WORKBOOKS = (".xlsx", ".xlsm")
FRAMES = (".parquet", ".pq", ".feather", ".arrow")
_CELL = 64  # bytes that a cell of a workbook takes in memory


def need(library: str, path: Path) -> ModuleNotFoundError:
    """Return the error of a file whose library is not installed."""
    return ModuleNotFoundError(
        f"`{printable(path)}` must have {library} to be read, which is not installed: pip"
        " install 'daleml[files]'"
    )


def read_workbook(path: Path, options: TableOptions, say: Say) -> Table:
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
    name = printable(path)
    try:
        with zipfile.ZipFile(path) as archive:
            require_room(
                path, sum(member.file_size for member in archive.infolist()), ARRAYS
            )
    except (zipfile.BadZipFile, NotImplementedError, IndexError, OSError) as error:
        if is_of_system(error):
            raise
        raise ReadingError(
            f"`{name}` must be a workbook, .xlsx; {reason(error)}."
        ) from None
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # openpyxl's, of styles it does not know
            book = openpyxl.load_workbook(
                path, read_only=True, data_only=True, keep_links=False
            )
            try:
                sheet, every = _sheet(book, path, options)
            finally:
                book.close()
            if any(value is None for row in every for value in row):
                _refuse_formulas(openpyxl, path, sheet)
    except ReadingError:
        raise
    except (
        Exception
    ) as error:  # of the parsers of zip and XML, whatever the damage trips over
        if is_of_system(error):
            raise
        raise ReadingError(
            f"`{name}` must be a workbook, .xlsx; {reason(error)}."
        ) from None
    return _table_of_cells(
        path,
        [row for row in every if any(value is not None for value in row)],
        options,
        say,
    )


def _sheet(
    book: Any, path: Path, options: TableOptions
) -> tuple[str, list[tuple[Any, ...]]]:
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    where = printable(path)
    if options.sheet is not None:
        if options.sheet not in sheets:
            titles = listed(list(sheets))
            raise ReadingError(
                f"`--sheet` must name a sheet of `{where}`; got {shown(options.sheet)}, of"
                f" {titles}."
            )
        return options.sheet, _rows(sheets[options.sheet], path)
    found = {title: _rows(sheet, path) for title, sheet in sheets.items()}
    filled = {title: rows for title, rows in found.items() if rows}
    if len(filled) > 1:
        raise ReadingError(
            f"`--sheet` must name one sheet of `{printable(path)}`; got"
            f" {listed(list(filled))} to choose from."
        )
    if not filled:
        raise ReadingError(
            f"`{printable(path)}` must be a table; its sheets are empty."
        )
    return next(iter(filled.items()))


def _rows(sheet: Any, path: Path) -> list[tuple[Any, ...]]:
    """Return the rows of a sheet, without empty rows and columns at their end."""
    allowed = allowance(path, ARRAYS)
    rows, taken = [], 0
    sheet.reset_dimensions()  # what a sheet says of its size may be wrong
    for row in sheet.iter_rows(values_only=True):
        taken += _CELL * (len(row) + 1)
        if taken > allowed:
            raise too_large(path, allowed)
        rows.append(row)
    while rows and all(value is None for value in rows[-1]):
        rows.pop()
    width = max(
        (i + 1 for row in rows for i, value in enumerate(row) if value is not None),
        default=0,
    )
    if (
        _CELL * width * len(rows) > allowed
    ):  # a single cell at the far end of a sheet makes all rows as wide
        raise too_large(path, allowed)
    return [tuple(row[:width]) + (None,) * (width - len(row)) for row in rows]


def _refuse_formulas(openpyxl: Any, path: Path, title: str) -> None:
    """Refuse a sheet with a formula whose value was never saved.

    Its cell would be read as empty.
    """
    formulas = openpyxl.load_workbook(path, read_only=True, keep_links=False)
    values = openpyxl.load_workbook(
        path, read_only=True, data_only=True, keep_links=False
    )
    try:
        sheets = (formulas[title], values[title])
        for sheet in sheets:
            sheet.reset_dimensions()
        for written, computed in zip(
            *(sheet.iter_rows(values_only=True) for sheet in sheets), strict=False
        ):
            for one, value in zip(written, computed, strict=False):
                if value is None and isinstance(one, str) and one.startswith("="):
                    raise ReadingError(
                        f"`{printable(path)}` must hold the values of its formulas; got"
                        f" {shown(one)} without one: open and save it in a spreadsheet"
                        " program."
                    )
    finally:
        formulas.close()
        values.close()


def _table_of_cells(
    path: Path, rows: list[tuple[Any, ...]], options: TableOptions, say: Say
) -> Table:
    texts = [[_text(value) for value in row] for row in rows]
    if options.header is not False and is_title(texts[:3], say):
        texts, rows = texts[1:], rows[1:]
    cells = [
        [
            Cell(text, isinstance(value, str))
            for text, value in zip(row, given, strict=True)
        ]
        for row, given in zip(texts[: SAMPLE + 1], rows, strict=False)
    ]
    try:
        layout = find_layout(cells, options, "cell")
    except ValueError as error:
        raise ReadingError(f"`{printable(path)}` must be a table; {error}.") from None
    for note in layout.notes:
        say(note)
    body = texts[1:] if layout.header else texts
    columns = [
        np.array([row[i] for row in body], dtype=object) for i in range(layout.width)
    ]
    given = texts[0] if layout.header else []
    by_name = name_columns(layout, given, columns, say)
    labels = by_name.pop(layout.names[0]) if layout.labels else None
    return Table(path, by_name, options, say, labels, None, layout.header)


def _text(value: Any) -> str:
    """Return a typed cell as text, exact: a whole number without a point."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return (
            str(int(value))
            if value.is_integer() and abs(value) < 2**53
            else repr(value)
        )
    return str(value).strip()


def read_frame(path: Path, options: TableOptions, say: Say) -> Table:
    """Read a Parquet or Feather file, whose columns have names and types.

    Raises:
        ValueError: If it is damaged, or larger than it may be.
        ModuleNotFoundError: If pyarrow is not installed.
        OSError: If it cannot be opened.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise need("pyarrow", path) from None
    name = printable(path)
    try:
        table = _of_parquet(path) if suffix(path) in FRAMES[:2] else _of_feather(path)
        names = [str(column) for column in table.column_names]
        index = [
            i for i, column in enumerate(names) if column.startswith("__index_level_")
        ]
        columns = [_of_arrow(table.column(i), pa) for i in range(len(names))]
    except FileNotFoundError:
        raise
    except ValueError as error:
        if isinstance(error, ReadingError):
            raise
        raise ReadingError(
            f"`{name}` must be a {suffix(path)} file; {reason(error)}."
        ) from None
    except Exception as error:  # Arrow has its own kinds, of OSError too
        raise ReadingError(
            f"`{name}` must be a {suffix(path)} file; {reason(error)}."
        ) from None
    kept = [i for i in range(len(names)) if i not in index]
    labels = columns[index[0]] if len(index) == 1 else None
    counts: dict[str, int] = {}
    for column in names:
        counts[column.strip()] = counts.get(column.strip(), 0) + 1
    by_name = {}
    for i in kept:
        plain = names[i].strip() or f"column {i + 1}"
        by_name[
            f"{plain} #{i + 1}" if counts.get(names[i].strip(), 0) > 1 else plain
        ] = columns[i]
    return Table(path, by_name, options, say, labels)


def _of_parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=False) as file:
        meta = file.metadata
        needed = sum(
            meta.row_group(i).total_byte_size for i in range(meta.num_row_groups)
        )
        # a column of one value repeated takes no bytes in the file, and 8 a row in memory
        require_room(path, max(needed, 8 * meta.num_rows * meta.num_columns), ARRAYS)
        return file.read(use_threads=False)


def _of_feather(path: Path) -> Any:
    import pyarrow as pa

    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
        allowed = allowance(path, ARRAYS)
        batches, taken = [], 0
        for i in range(file.num_record_batches):
            batch = file.get_batch(i)
            taken += batch.nbytes
            if taken > allowed:
                raise too_large(path, allowed)
            batch.validate(full=True)
            batches.append(batch)
        return pa.Table.from_batches(batches, file.schema)


def _of_arrow(column: Any, pa: Any) -> NDArray[Any]:
    """Return a column as float64 if it has decimals, else as text, exact."""
    column.validate(full=True)
    if pa.types.is_dictionary(column.type):
        column = (
            column.combine_chunks().dictionary_decode()
            if column.num_chunks
            else column.cast(column.type.value_type)
        )
    if pa.types.is_floating(column.type):
        return np.asarray(
            column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64
        )
    return np.array([_text(value) for value in column.to_pylist()], dtype=object)
