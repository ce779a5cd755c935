"""Adjacency matrices in workbooks, as those of the worm are published: names around numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml._support.safe_text import listed, printable, quoted
from daleml.reading.workbooks import need

if TYPE_CHECKING:
    from pandas import DataFrame

# Names of groups of cells stand outside those of the cells, in few rows and columns.
_MOST_OUTSIDE = 6


def read_adjacency(path: Path, sheet: str | None) -> DataFrame:
    """Return the connections of a sheet: a row for each number, its sender in the row's name.

    Args:
        path: The workbook.
        sheet: Its sheet; may be left out where there is one.

    Raises:
        ValueError: If the sheet is not there, or holds no matrix with names.
        ModuleNotFoundError: If openpyxl is not installed.
    """
    import pandas as pd

    try:
        book = pd.ExcelFile(path, engine="openpyxl")
    except ImportError:
        raise need("openpyxl", path) from None
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(
            f"`connections` must be a workbook that can be read; got"
            f" {printable(path.name)}: {error}."
        ) from None
    with book:
        names = list(map(str, book.sheet_names))
        if sheet is None and len(names) == 1:
            sheet = names[0]
        if sheet not in names:
            raise ValueError(
                f"`sheet` must name one of {listed(list(map(quoted, names)))}; got"
                f" {sheet!r}."
            )
        cells = pd.read_excel(book, sheet, header=None).to_numpy(dtype=object)
    top, left = _row_of_names(cells), _row_of_names(cells.T)
    if top is None or left is None:
        raise ValueError(
            "`connections` must hold a matrix with the names of senders beside it and those"
            f" of receivers above it; got sheet {sheet!r} of {printable(path.name)}."
        )
    # Sums stand where there is no name.
    rows = [k for k in range(top + 1, len(cells)) if _is_name(cells[k, left])]
    columns = [k for k in range(left + 1, cells.shape[1]) if _is_name(cells[top, k])]
    inside = pd.DataFrame(cells[np.ix_(rows, columns)])
    values = inside.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    pre, post = np.nonzero(np.nan_to_num(values))
    senders = np.array([str(cells[k, left]).strip() for k in rows], dtype=object)
    receivers = np.array([str(cells[top, k]).strip() for k in columns], dtype=object)
    return pd.DataFrame(
        {"pre": senders[pre], "post": receivers[post], "weight": values[pre, post]}
    )


def _row_of_names(cells: Any) -> int | None:
    """Return the row among the first of which most cells are names, None if there is none."""
    n_names = [sum(map(_is_name, row)) for row in cells[:_MOST_OUTSIDE]]
    # A title is one name.
    if max(n_names, default=0) < 2:
        return None
    return n_names.index(max(n_names))


def _is_name(cell: Any) -> bool:
    return isinstance(cell, str) and bool(cell.strip())
