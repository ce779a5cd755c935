"""NumPy's files: one array, or several by name, dense or sparse.

What a header declares is checked first.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, printable, reason
from daleml.reading.notes import OnNote, ReadingError
from daleml.reading.opening import MOST_ARRAYS, is_of_system, require_room

_COMPRESSED = ("csr", "csc", "bsr")
_SPARSE = (*_COMPRESSED, "coo", "dia")

# Above this number of bytes, an array is mapped instead of read.
_MAPPED = 1 << 26

# The arrays of which ``scipy.sparse.save_npz`` makes a file.
_PARTS = {
    "data",
    "indices",
    "indptr",
    "row",
    "col",
    "offsets",
    "shape",
    "format",
    "coords",
    "_is_array",
}


def read_npy(path: Path) -> NDArray[Any]:
    """Read a ``.npy`` file; a large one is mapped, and read where it is used.

    Raises:
        ValueError: If it is damaged, holds objects, or declares more than it has.
        OSError: If it cannot be opened.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        return _array(file, path, size, printable(path), mapped=size > _MAPPED)


class Archive:
    """A ``.npz`` file: its arrays by name, each read when it is asked for.

    Args:
        path: The file.
        on_note: The callback that takes notes.

    Raises:
        ValueError: If it is damaged.
        OSError: If it cannot be opened.
    """

    def __init__(self, path: Path, on_note: OnNote) -> None:
        self.path = path
        self._name = printable(path)
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        # Beside errors of zipfile's own, whatever a damaged directory trips over.
        except Exception as error:
            if is_of_system(error):
                raise
            raise ReadingError(
                f"`{self._name}` must be a .npz file of numbers; {reason(error)}."
            ) from None
        self._taken = 0
        self._members: dict[str, str] = {}
        others = []
        for member in members:
            name = member.filename
            if name.endswith(".npy"):
                self._members[name.removesuffix(".npy")] = name
            elif not member.is_dir():
                others.append(name)
        if others:
            on_note(
                f"`{self._name}` holds {listed(others, 5)} too, which are no arrays and"
                " were left out."
            )

    def names(self, dimensions: int | None = None) -> list[str]:
        """Return the names of what it holds; a sparse matrix of SciPy's is one thing, with no name.

        Args:
            dimensions: Of those to name; what has no good header is named too, for reading it
                says what is wrong.
        """
        if self.is_sparse():
            return [""]
        names = list(self._members)
        if dimensions is not None:
            for name, shape in self.shapes().items():
                if len(shape) != dimensions:
                    names.remove(name)
        return names

    def is_sparse(self) -> bool:
        """Whether the file is a sparse matrix, as ``scipy.sparse.save_npz`` writes it."""
        return {"format", "shape", "data"} <= set(self._members) <= _PARTS

    def read(self, name: str) -> NDArray[Any]:
        """Return one array; a sparse matrix is made dense.

        Raises:
            ValueError: If it is damaged, holds objects, or is larger than it may be.
        """
        if name == "" and self.is_sparse():
            return self._dense()
        return self._member(name)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays, as their headers declare them.

        What has no good header is left out.
        """
        found = {}
        for name in self._members:
            try:
                with (
                    zipfile.ZipFile(self.path) as archive,
                    archive.open(self._members[name]) as file,
                ):
                    found[name] = _header(file)[0]
            # Errors of zip, zlib and NumPy: reading the array itself says what is wrong.
            except Exception:
                continue
        return found

    def _member(self, name: str) -> NDArray[Any]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(self._members[name])
                self._taken += info.file_size
                require_room(self.path, self._taken, MOST_ARRAYS)
                with archive.open(info) as file:
                    return _array(file, self.path, info.file_size, self._name)
        except ReadingError:
            raise
        # zipfile, zlib and NumPy each have errors of their own.
        except Exception as error:
            raise ReadingError(
                f"`{self._name}` must be a .npz file of numbers; {reason(error)}."
            ) from None

    def _dense(self) -> NDArray[Any]:
        """Return a sparse matrix as an array, every index checked: SciPy trusts them."""
        kind = self._member("format").item()
        if isinstance(kind, bytes):
            kind = kind.decode("ascii", "replace")
        kind = str(kind)
        shape = tuple(map(int, np.atleast_1d(self._member("shape")).tolist()))
        if kind not in _SPARSE or len(shape) != 2 or min(shape) < 0:
            raise ReadingError(
                f"`{self._name}` must hold a sparse matrix of two dimensions; got {kind!r}"
                f" of {shape}."
            )
        data = self._member("data")
        if data.dtype.kind not in "fiub":
            raise ReadingError(
                f"`{self._name}` must hold real numbers; got {data.dtype}."
            )
        require_room(self.path, math.prod(shape) * 8, MOST_ARRAYS)
        try:
            # SciPy warns of shapes and index types that the checks below refuse or accept.
            with warnings.catch_warnings(action="ignore"):
                made = self._sparse(kind, data, shape)
                row, column, values = made.row, made.col, made.data
                if values.size:
                    inside = (row >= 0) & (row < shape[0])
                    inside &= (column >= 0) & (column < shape[1])
                    if not np.all(inside):
                        raise ValueError("an index lies outside of its shape")
                dense = np.zeros(shape)
                np.add.at(dense, (row, column), values)
        # The constructors raise whatever does not fit.
        except Exception as error:
            raise ReadingError(
                f"`{self._name}` must hold a whole sparse matrix; {reason(error)}."
            ) from None
        return dense

    def _sparse(self, kind: str, data: Any, shape: Any) -> Any:
        """Return a sparse matrix of SciPy's, as a list of its entries."""
        from scipy import sparse

        parts: dict[str, Any] = {}
        for name in ("indices", "indptr", "row", "col", "offsets"):
            if name in self._members:
                parts[name] = self._member(name)
        if kind == "coo":
            return sparse.coo_matrix((data, (parts["row"], parts["col"])), shape=shape)
        if kind == "dia":
            return sparse.dia_matrix((data, parts["offsets"]), shape=shape).tocoo()
        make = getattr(sparse, f"{kind}_matrix")
        made = make((data, parts["indices"], parts["indptr"]), shape=shape)
        made.check_format(full_check=True)
        return made.tocoo()


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and the type that the header of an array declares."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is not None:
        shape, _, dtype = read(file)
    else:
        # NumPy reads version 3, of names that are no Latin-1, by this function alone.
        formats: Any = np.lib.format
        shape, _, dtype = formats._read_array_header(file, version)
    return shape, dtype


def _array(
    file: Any, path: Path, size: int, name: str, *, mapped: bool = False
) -> NDArray[Any]:
    """Read one array whose header declares no more than the ``size`` bytes there are."""
    try:
        # NumPy warns of headers that Python 2 wrote.
        with warnings.catch_warnings(action="ignore"):
            shape, dtype = _header(file)
            if dtype.hasobject:
                raise ValueError(
                    "it holds objects, not numbers, and nothing is unpickled"
                )
            needed = math.prod(shape) * dtype.itemsize
            if min(shape, default=0) < 0 or needed > size:
                raise ValueError(
                    f"its header declares {needed:,} bytes, and it has {size:,}"
                )
            require_room(path, needed, MOST_ARRAYS)
            file.seek(0)
            if mapped:
                array = np.load(path, mmap_mode="r", allow_pickle=False)
                if array.flags.c_contiguous:
                    found: NDArray[Any] = array
                    return found
            array = np.lib.format.read_array(file, allow_pickle=False)
            return np.asarray(array, order="C")
    except ReadingError:
        raise
    # NumPy raises whatever the damage trips over.
    except Exception as error:
        if is_of_system(error):
            raise
        raise ReadingError(
            f"`{name}` must be a {path.suffix.lower()} file of numbers; {reason(error)}."
        ) from None
