"""Files of one matrix: a table, an array, or a tensor of a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, printable
from daleml.reading.array_files import read_array
from daleml.reading.notes import OnNote
from daleml.reading.opening import (
    KINDS,
    STATES,
    choose,
    is_table,
    require_file,
    suffix,
)
from daleml.reading.table import Table, TableOptions
from daleml.reading.table_files import read_table
from daleml.reading.table_forms import to_matrix
from daleml.reading.tensor_files import read_checkpoint

# What tables call the two cells of a connection, among those that were met.
_SENDER = re.compile(
    r"(pre|source|from|sender|src)([ _.-].*|id)?|.*[ _.-]pre", re.IGNORECASE
)
_RECEIVER = re.compile(
    r"(post|target|to|receiver|dst|tgt)([ _.-].*|id)?|.*[ _.-]post", re.IGNORECASE
)


def read_matrix(
    path: Path, name: str | None, on_note: OnNote, option: str = "--column"
) -> Any:
    """Read one matrix of a file: an array or a tensor; see :func:`read_labelled_matrix`."""
    return read_labelled_matrix(path, name, on_note, option)[0]


def read_labelled_matrix(
    path: Path, name: str | None, on_note: OnNote, option: str = "--column"
) -> tuple[Any, list[str] | None]:
    """Read one matrix of a file, and the names that its rows and columns share.

    Args:
        path: A table, a file of arrays, or a checkpoint.
        name: The array or tensor to read, where the file holds several.
        on_note: What takes notes, a sentence each, on what was taken for what.
        option: What an error calls ``name``.

    Returns:
        The matrix; its names, None if rows and columns have none, or others, or are numbered
        from 0 on, as pandas numbers what has no names.

    Raises:
        ValueError: If the file cannot be read as what its name says, or there are several to
            choose from, or none of that name.
        ModuleNotFoundError: If the library for it is not installed.
        OSError: If it cannot be opened.
    """
    require_file(path, KINDS)
    if is_table(path):
        table = read_table(path, TableOptions(), on_note)
        matrix = matrix_of(table)
        return matrix, _shared_names(table, matrix.shape[1])
    if suffix(path) not in STATES:
        return read_array(path, name, "matrix", on_note, option)[1], None
    state = read_checkpoint(path, on_note)
    matrices = [key for key, value in state.items() if value.ndim == 2]
    return state[choose(name, matrices, path, "matrix", option)], None


def _shared_names(table: Table, n_columns: int) -> list[str] | None:
    """Return the names of the columns if those of the rows are the same."""
    columns, rows = table.names(), table.labels
    if not table.named:
        return None
    if rows is None:
        rows, columns = table.text(columns[0]), columns[1:]
    # A last column of totals was left out.
    columns = columns[:n_columns]
    if rows.tolist() != columns or columns == list(map(str, range(n_columns))):
        return None
    return columns


def matrix_of(table: Table) -> NDArray[np.float64]:
    """Return the matrix that a table is.

    Raises:
        ValueError: If it is a list of connections, or a cell is no number.
    """
    names, where = table.names(), printable(table.path)
    sender, receiver = _first(_SENDER, names), _first(_RECEIVER, names)
    if table.named and sender and receiver and table.labels is None:
        raise ValueError(
            f"`{where}` must hold a matrix; it lists connections, from {sender} to"
            f" {receiver}, a row each: write it as a matrix, a row for each receiver and a"
            " column for each sender."
        )
    if not names or not len(table):
        raise ValueError(f"`{where}` must hold a matrix; got none.")
    if table.named and table.labels is None and not table.is_labelled_square():
        table.on_note(
            f"The columns {listed(names, 4)} were taken as those of one matrix."
        )
    return to_matrix(table)


def _first(rule: re.Pattern[str], names: Iterable[str]) -> str | None:
    """Return the first name that a rule describes."""
    return next((name for name in names if rule.fullmatch(name)), None)
