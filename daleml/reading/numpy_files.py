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

from daleml.reading.opening import ARRAYS, is_of_system, require_room
from daleml.reading.table_options import ReadingError, Say, listed, printable, reason

SPARSE = ("csr", "csc", "bsr", "coo", "dia")
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
    """Read a ``.npy`` file.

    Raises:
        ValueError: If it is damaged, holds objects, or declares more than it has.
        OSError: If it cannot be opened.
    """
    with path.open("rb") as file:
        return _array(file, path, path.stat().st_size, printable(path))


class Archive:
    """A ``.npz`` file: its arrays by name, each read when it is asked for.

    Args:
        path: The file.
        say: What takes notes.

    Raises:
        ValueError: If it is damaged.
        OSError: If it cannot be opened.
    """

    def __init__(self, path: Path, say: Say) -> None:
        self.path = path
        self._name = printable(path)
        try:
            with zipfile.ZipFile(path) as archive:
                names = [
                    member.filename
                    for member in archive.infolist()
                    if not member.is_dir()
                ]
        # zipfile's own, and what its directory trips over where it is damaged
        except Exception as error:
            if is_of_system(error):
                raise
            raise ReadingError(
                f"`{self._name}` must be a .npz file of numbers; {reason(error)}."
            ) from None
        self._taken = 0
        self._members = {
            name.removesuffix(".npy"): name for name in names if name.endswith(".npy")
        }
        others = [name for name in names if not name.endswith(".npy")]
        if others:
            say(
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
        shapes = self.shapes() if dimensions is not None else {}
        return [
            name
            for name in self._members
            if name not in shapes or len(shapes[name]) == dimensions
        ]

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
            except (
                Exception
            ):  # of zip, zlib and NumPy; reading the array itself says what is wrong
                continue
        return found

    def _member(self, name: str) -> NDArray[Any]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(self._members[name])
                self._taken += info.file_size
                require_room(self.path, self._taken, ARRAYS)
                with archive.open(info) as file:
                    return _array(file, self.path, info.file_size, self._name)
        except ValueError as error:
            if isinstance(error, ReadingError):
                raise
            raise ReadingError(
                f"`{self._name}` must be a .npz file of numbers; {reason(error)}."
            ) from None
        except Exception as error:  # zipfile, zlib and NumPy each have their own
            raise ReadingError(
                f"`{self._name}` must be a .npz file of numbers; {reason(error)}."
            ) from None

    def _dense(self) -> NDArray[Any]:
        """Return a sparse matrix as an array, every index checked: SciPy trusts them."""
        from scipy import sparse

        kind = self._member("format").item()
        kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
        shape = tuple(
            int(size) for size in np.atleast_1d(self._member("shape")).tolist()
        )
        if kind not in SPARSE or len(shape) != 2 or min(shape) < 0:
            raise ReadingError(
                f"`{self._name}` must hold a sparse matrix of two dimensions; got {kind!r}"
                f" of {shape}."
            )
        data = self._member("data")
        if data.dtype.kind not in "fiub":
            raise ReadingError(
                f"`{self._name}` must hold real numbers; got {data.dtype}."
            )
        require_room(self.path, math.prod(shape) * 8, ARRAYS)
        parts = {
            name: self._member(name)
            for name in ("indices", "indptr", "row", "col", "offsets")
            if name in self._members
        }
        try:
            with warnings.catch_warnings(action="ignore"):
                made: Any
                if kind == "coo":
                    made = sparse.coo_matrix(
                        (data, (parts["row"], parts["col"])), shape=shape
                    )
                elif kind == "dia":
                    made = sparse.dia_matrix((data, parts["offsets"]), shape=shape)
                else:
                    make = {
                        "csr": sparse.csr_matrix,
                        "csc": sparse.csc_matrix,
                        "bsr": sparse.bsr_matrix,
                    }[kind]
                    made = make((data, parts["indices"], parts["indptr"]), shape=shape)
                    made.check_format(full_check=True)
                rows = made.tocoo()
                if rows.nnz and (
                    min(rows.row.min(), rows.col.min()) < 0
                    or rows.row.max() >= shape[0]
                    or rows.col.max() >= shape[1]
                ):
                    raise ValueError("an index lies outside of its shape")
                dense = np.zeros(shape)
                np.add.at(dense, (rows.row, rows.col), rows.data)
        except Exception as error:  # of the constructors, of whatever does not fit
            raise ReadingError(
                f"`{self._name}` must hold a whole sparse matrix; {reason(error)}."
            ) from None
        return dense


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is not None:
        shape, _, dtype = read(file)
    else:
        shape, _, dtype = np.lib.format._read_array_header(file, version)  # type: ignore[attr-defined]
    return shape, dtype


def _array(file: Any, path: Path, size: int, name: str) -> NDArray[Any]:
    """Read one array whose header declares no more than the ``size`` bytes there are."""
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # NumPy's, on headers of Python 2
            content = file
            shape, dtype = _header(content)
            if dtype.hasobject:
                raise ValueError(
                    "it holds objects, not numbers, and nothing is unpickled"
                )
            needed = math.prod(shape) * dtype.itemsize
            if min(shape, default=0) < 0 or needed > size:
                raise ValueError(
                    f"its header declares {needed:,} bytes, and it has {size:,}"
                )
            require_room(path, needed, ARRAYS)
            content.seek(0)
            return np.asarray(
                np.lib.format.read_array(content, allow_pickle=False), order="C"
            )
    except ValueError as error:
        if isinstance(error, ReadingError):
            raise
        raise ReadingError(
            f"`{name}` must be a {path.suffix.lower()} file of numbers; {reason(error)}."
        ) from None
    except Exception as error:  # whatever the damage trips over
        if is_of_system(error):
            raise
        raise ReadingError(
            f"`{name}` must be a {path.suffix.lower()} file of numbers; {reason(error)}."
        ) from None
