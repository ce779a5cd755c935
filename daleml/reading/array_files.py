"""Files of arrays: NumPy's, MATLAB's and HDF5, one array of them or all, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, printable
from daleml.reading import hdf5_files, matlab_files, numpy_files
from daleml.reading.notes import OnNote, ReadingError
from daleml.reading.opening import ARRAYS, HDF5, choose, require_file, suffix
from daleml.reading.table import Table, TableOptions


def read_arrays(
    path: Path, on_note: OnNote, *, dimensions: int | None = None
) -> dict[str, NDArray[Any]]:
    """Read every array of a file by name; the only one of a ``.npy`` has none.

    Args:
        path: The file.
        on_note: The callback that takes notes.
        dimensions: How many those to read have; of a ``.npz``, others are never unpacked.
            Default: any number.

    Raises:
        ValueError: If it cannot be read as what its ending says.
        ModuleNotFoundError: If its library is not installed.
        OSError: If it cannot be opened.
    """
    require_file(path, ARRAYS)
    ending = suffix(path)
    if ending == ".npy":
        return _fields(numpy_files.read_npy(path))
    if ending == ".npz":
        archive = numpy_files.Archive(path, on_note)
        names = archive.names(dimensions)
        return dict(zip(names, map(archive.read, names), strict=True))
    if ending in HDF5:
        return hdf5_files.read_hdf5(path)
    return matlab_files.read_mat(path)


def read_array(
    path: Path, name: str | None, kind: str, on_note: OnNote, option: str = "--column"
) -> tuple[str, NDArray[Any]]:
    """Read one array of a file, and no other: the one there is, or the one asked for.

    Raises:
        ValueError: If there are several to choose from, or none of that name; or as
            :func:`read_arrays`.
        OSError: If it cannot be opened.
    """
    require_file(path, ARRAYS)
    if suffix(path) == ".npz":
        archive = numpy_files.Archive(path, on_note)
        # A part of a sparse matrix, such as its indices, is read if it is asked for.
        if name is not None and archive.is_sparse() and name in archive.shapes():
            return name, archive.read(name)
        chosen = choose(name, archive.names(), path, kind, option)
        return chosen, archive.read(chosen)
    matlab = suffix(path) == ".mat"
    if suffix(path) in HDF5 or (matlab and hdf5_files.is_hdf5(path)):
        chosen = choose(name, hdf5_files.names(path), path, kind, option)
        found = hdf5_files.read_hdf5(path, matlab=matlab, name=chosen)
    else:
        found = read_arrays(path, on_note)
    chosen = choose(name, found, path, kind, option)
    return chosen, found[chosen]


def read_columns(path: Path, options: TableOptions, on_note: OnNote) -> Table:
    """Read arrays of one dimension, and of the commonest length, as columns of a table.

    Raises:
        ValueError: If there are none; or as :func:`read_arrays`.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, value in read_arrays(path, on_note, dimensions=1).items():
        if value.ndim == 1 and value.dtype.kind in "fiubSU":
            found[name] = value
    if not found:
        raise ReadingError(
            f"`{printable(path)}` must hold arrays of one dimension, a column each; got"
            " none."
        )
    lengths = list(map(len, found.values()))
    usual = max(set(lengths), key=lambda length: (lengths.count(length), length))
    columns, others = {}, []
    for name, value in found.items():
        if len(value) == usual:
            columns[name or path.stem] = _column(value)
        else:
            others.append(name)
    if others:
        on_note(
            f"Arrays of another length than {usual:,} were left out: {listed(others, 5)}."
        )
    return Table(path, columns, options, on_note)


def _column(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array as a column.

    Numbers with decimals as they are, everything else as text, exact.
    """
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    cells = values.tolist()
    if values.dtype.kind == "S":
        cells = [cell.decode("utf-8", "replace") for cell in cells]
    return np.array([str(cell).strip() for cell in cells], dtype=object)


def _fields(array: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return an array without a name; of an array of records, each field by its own."""
    if array.dtype.names is None:
        return {"": array}
    return {name: np.asarray(array[name]) for name in array.dtype.names}
