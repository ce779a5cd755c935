"""HDF5 files, by h5py, which is optional: their arrays of numbers, by path."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, printable, reason
from daleml.reading.notes import ReadingError
from daleml.reading.opening import MOST_ARRAYS, require_room
from daleml.reading.workbooks import need

_SIGNATURE = b"\x89HDF\r\n\x1a\n"

# At most this number of objects is visited: a file of links in a circle has no end.
_MOST_OBJECTS = 100_000


def is_hdf5(path: Path) -> bool:
    """Return whether a file begins as HDF5 does, perhaps after a header, as MATLAB's has."""
    with path.open("rb") as file:
        for start in (0, 512, 1024, 2048):
            file.seek(start)
            if file.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
    return False


def names(path: Path, *, matlab: bool = False) -> list[str]:
    """Return the paths of the arrays of numbers in an HDF5 file, of which none is read.

    See :func:`read_hdf5`.
    """
    with _opened(path) as (file, h5py):
        found = []
        for key, value in _walk(file, h5py):
            if isinstance(value, h5py.Group) or _is_numeric(value):
                found += _paths_of_fields(key, value) or [key]
        return found


def read_hdf5(
    path: Path, *, matlab: bool = False, name: str | None = None
) -> dict[str, NDArray[Any]]:
    """Read the arrays of numbers of an HDF5 file, by path; of a table, each column.

    Args:
        path: The file.
        matlab: Whether MATLAB wrote it, which stores the last dimension first, and sparse
            matrices as groups.
        name: Of the one to read; default: all.

    Raises:
        ValueError: If it is damaged, holds no numbers, or an array is larger than it may be.
        ModuleNotFoundError: If h5py is not installed.
        OSError: If it cannot be opened.
    """
    found: dict[str, NDArray[Any]] = {}
    others: list[str] = []
    taken = 0
    with _opened(path) as (file, h5py):
        for key, value in _walk(file, h5py):
            wanted = name is None or name == key or name.startswith(f"{key}/")
            array = None
            if wanted and isinstance(value, h5py.Group):
                array = _sparse(value, path, h5py)
            elif wanted and _is_numeric(value):
                array = _array(value, path, matlab)
            if array is None:
                others.append(key)
                continue
            taken += array.nbytes
            require_room(path, taken, MOST_ARRAYS)
            if array.dtype.names is None:
                found[key] = array
                continue
            for column in _fields(value):
                found[f"{key}/{column}"] = np.asarray(array[column])
    if not found:
        raise ReadingError(
            f"`{printable(path)}` must hold an array of numbers; got"
            f" {listed(others, 5) or 'nothing'}."
        )
    return found


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open an HDF5 file; what h5py raises on a damaged one is a ``ValueError``."""
    try:
        import h5py
    except ModuleNotFoundError:
        raise need("h5py", path) from None
    # h5py's own error of a file that may not be read names no cause.
    path.open("rb").close()
    try:
        with h5py.File(path, "r") as file:
            yield file, h5py
    except ReadingError:
        raise
    # h5py raises whatever the damage trips over.
    except Exception as error:
        raise ReadingError(
            f"`{printable(path)}` must be an HDF5 file; {reason(error)}."
        ) from None


def _walk(group: Any, h5py: Any) -> Iterator[tuple[str, Any]]:
    """Yield data sets by path, and groups that are sparse matrices.

    Links are followed only where they are hard.
    """
    seen: set[tuple[int, int]] = set()
    todo = [("", group)]
    while todo and len(seen) < _MOST_OBJECTS:
        path, here = todo.pop()
        for key in here:
            # MATLAB keeps what cells refer to in a group of that name.
            link = here.get(key, getlink=True)
            if key == "#refs#" or not isinstance(link, h5py.HardLink):
                continue
            value = here[key]
            info = h5py.h5o.get_info(value.id)
            if (info.fileno, info.addr) in seen:
                continue
            seen.add((info.fileno, info.addr))
            name = f"{path}/{key}" if path else str(key)
            if isinstance(value, h5py.Dataset) or {"data", "ir", "jc"} <= set(value):
                yield name, value
            elif isinstance(value, h5py.Group):
                todo.append((name, value))


def _is_numeric(data: Any) -> bool:
    """Return whether a data set holds numbers, or columns of numbers, and lies in this file."""
    if data.dtype.kind not in "fiub" and not _fields(data):
        return False
    if data.shape is None or data.is_virtual or data.external:
        return False
    if data.attrs.get("MATLAB_class") in (b"char", b"cell"):
        return False
    return "MATLAB_empty" not in data.attrs


def _fields(value: Any) -> list[str]:
    """Return the columns of numbers of a table; none of what is an array."""
    dtype: Any = getattr(value, "dtype", None)
    names = getattr(dtype, "names", None) or ()
    return [name for name in names if dtype[name].kind in "fiub"]


def _paths_of_fields(key: str, value: Any) -> list[str]:
    return [f"{key}/{name}" for name in _fields(value)]


def _array(data: Any, path: Path, matlab: bool) -> NDArray[Any]:
    require_room(path, math.prod(data.shape) * data.dtype.itemsize, MOST_ARRAYS)
    array = np.asarray(data[()])
    if not matlab:
        return array
    # A row or a column of MATLAB's is a matrix.
    is_vector = array.ndim == 2 and 1 in array.shape
    return array.ravel() if is_vector else array.T


def _sparse(group: Any, path: Path, h5py: Any) -> NDArray[Any] | None:
    """Read a sparse matrix of MATLAB's: values, rows, and where each column begins."""
    rows = group.attrs.get("MATLAB_sparse")
    parts = []
    for key in ("data", "ir", "jc"):
        part = group.get(key)
        if rows is None or not isinstance(part, h5py.Dataset):
            return None
        parts.append(_array(part, path, False))
    values, index, starts = parts
    from scipy import sparse

    shape = int(rows), len(starts) - 1
    require_room(path, 8 * math.prod(shape), MOST_ARRAYS)
    made = sparse.csc_matrix(
        (values, index.astype(np.int64), starts.astype(np.int64)), shape=shape
    )
    made.check_format(full_check=True)
    return np.asarray(made.toarray())
