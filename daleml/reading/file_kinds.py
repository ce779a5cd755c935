"""Which reader a file is for: told by its ending."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml.reading import hdf5_files, matlab_files, numpy_files, workbooks
from daleml.reading.opening import require_file, suffix
from daleml.reading.selection import choose
from daleml.reading.table import Table, read_text_table
from daleml.reading.table_options import (
    ReadingError,
    Say,
    TableOptions,
    listed,
    printable,
)

if TYPE_CHECKING:
    from torch import Tensor

_PACKED = ("", ".gz", ".bz2", ".xz", ".zip")
_TEXTS = tuple(
    kind + packed
    for kind in (".csv", ".tsv", ".tab", ".txt", ".dat")
    for packed in _PACKED
)
TABLES = (*_TEXTS, *workbooks.WORKBOOKS, *workbooks.FRAMES)
"""Endings of tables."""

ARRAYS = (".npy", ".npz", ".mat", ".h5", ".hdf5")
"""Endings of files of arrays."""

STATES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
"""Endings of checkpoints."""

KINDS = (*TABLES, *ARRAYS, *STATES)
_HDF5 = (".h5", ".hdf5")


def is_table(path: Path) -> bool:
    """Return whether a file has columns by name, as far as its ending says."""
    return suffix(path) in TABLES


def holds_rows(path: Path) -> bool:
    """Return whether rows can be read from a file.

    A table has them, and so have several arrays of one length.
    """
    return is_table(path) or suffix(path) in ARRAYS


def read_table(path: Path, options: TableOptions, say: Say) -> Table:
    """Read a table; of a file of arrays, the columns are those of one dimension and of the commonest length.

    Raises:
        ValueError: If it cannot be read as what its ending says, or holds no such arrays.
        ModuleNotFoundError: If its library is not installed.
        OSError: If it cannot be opened.
    """
    require_file(path, (*TABLES, *ARRAYS))
    if suffix(path) in workbooks.WORKBOOKS:
        return workbooks.read_workbook(path, options, say).without_totals()
    if suffix(path) in workbooks.FRAMES:
        return workbooks.read_frame(path, options, say)
    if is_table(path):
        return read_text_table(path, options, say).without_totals()
    return _of_columns(path, options, say)


def read_arrays(
    path: Path, say: Say, *, dimensions: int | None = None
) -> dict[str, NDArray[Any]]:
    """Read every array of a file by name; the only one of a ``.npy`` has none.

    Args:
        path: The file.
        say: What takes notes.
        dimensions: How many those to read have; of a ``.npz``, others are never unpacked.
            Default: any number.

    Raises:
        ValueError: If it cannot be read as what its ending says.
        ModuleNotFoundError: If its library is not installed.
        OSError: If it cannot be opened.
    """
    require_file(path, ARRAYS)
    if suffix(path) == ".npy":
        return _fields(numpy_files.read_npy(path))
    if suffix(path) == ".npz":
        archive = numpy_files.Archive(path, say)
        return {name: archive.read(name) for name in archive.names(dimensions)}
    return (
        hdf5_files.read_hdf5(path)
        if suffix(path) in _HDF5
        else matlab_files.read_mat(path)
    )


def read_array(
    path: Path, name: str | None, kind: str, say: Say
) -> tuple[str, NDArray[Any]]:
    """Read one array of a file, and no other: the one there is, or the one asked for.

    Raises:
        ValueError: If there are several to choose from, or none of that name; or as
            :func:`read_arrays`.
        OSError: If it cannot be opened.
    """
    require_file(path, ARRAYS)
    if suffix(path) == ".npz":
        archive = numpy_files.Archive(path, say)
        available = archive.names()
        if name is not None and archive.is_sparse() and name in archive.shapes():
            return name, archive.read(name)
        chosen = choose(name, available, path, kind)
        return chosen, archive.read(chosen)
    if suffix(path) in _HDF5 or (suffix(path) == ".mat" and hdf5_files.is_hdf5(path)):
        chosen = choose(name, hdf5_files.names(path), path, kind)
        found = hdf5_files.read_hdf5(path, matlab=suffix(path) == ".mat", name=chosen)
        return chosen, found[choose(chosen, found, path, kind)]
    found = read_arrays(path, say)
    chosen = choose(name, found, path, kind)
    return chosen, found[chosen]


def read_checkpoint(path: Path, say: Say) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint; the arrays of a ``.npz`` are one too.

    Raises:
        ValueError: If the file is damaged or holds something else.
        OSError: If it cannot be opened.
    """
    # Imports torch, which nothing else here needs.
    from daleml.reading import tensor_files

    if path.name.lower().endswith(".index.json"):
        require_file(path, (".json",))
        return tensor_files.read_state(path, say)
    require_file(path, (*STATES, ".npz"))
    if suffix(path) != ".npz":
        return tensor_files.read_state(path, say)
    import torch

    found = read_arrays(path, say)
    numbers = {
        key or path.stem: value
        for key, value in found.items()
        if value.dtype.kind in "fiub" and value.size
    }
    if not numbers:
        raise ReadingError(
            f"`{printable(path)}` must hold arrays of numbers; got"
            f" {listed(list(found)) or 'none'}."
        )
    native = {
        key: value.astype(value.dtype.newbyteorder("="))
        for key, value in numbers.items()
    }
    return {key: torch.from_numpy(value) for key, value in native.items()}


def _of_columns(path: Path, options: TableOptions, say: Say) -> Table:
    found = {
        key: value
        for key, value in read_arrays(path, say, dimensions=1).items()
        if value.ndim == 1 and value.dtype.kind in "fiubSU"
    }
    if not found:
        raise ReadingError(
            f"`{printable(path)}` must hold arrays of one dimension, a column each; got"
            " none."
        )
    lengths = [len(value) for value in found.values()]
    usual = max(set(lengths), key=lambda length: (lengths.count(length), length))
    columns = {
        key or path.stem: _column(value)
        for key, value in found.items()
        if len(value) == usual
    }
    left = [key for key, value in found.items() if len(value) != usual]
    if left:
        say(
            f"Arrays of another length than {usual:,} were left out: {listed(left, 5)}."
        )
    return Table(path, columns, options, say)


def _column(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array as a column.

    Numbers with decimals as they are, everything else as text, exact.
    """
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    if values.dtype.kind == "S":
        return np.array(
            [value.decode("utf-8", "replace").strip() for value in values.tolist()],
            dtype=object,
        )
    return np.array([str(value).strip() for value in values.tolist()], dtype=object)


def _fields(array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return an array without a name; of an array of records, each field by its own."""
    if array.dtype.names is None:
        return {"": array}
    return {name: np.asarray(array[name]) for name in array.dtype.names}
