"""MATLAB's files: of version 5 to 7.2 by SciPy, of version 7.3, which are HDF5, by h5py."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from daleml.reading import hdf5
from daleml.reading.files import ARRAYS, allowance, require_room, too_large
from daleml.reading.options import ReadingError, printable, reason

_HEADER = 128
_COMPRESSED = 15
_CHUNK = 1 << 20


def read_mat(path: Path) -> dict[str, NDArray[Any]]:
    """Read the numeric arrays of a MATLAB file, by name; those of a struct by its name and theirs.

    Raises:
        ValueError: If it is damaged, larger than it may be, or holds no array of numbers.
        ModuleNotFoundError: If it is of version 7.3, and h5py is not installed.
        OSError: If it cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER)
    if hdf5.is_hdf5(path):
        return hdf5.read_hdf5(path, matlab=True)
    name = printable(path)
    try:
        if start[124:128].rstrip(b"\0") and start[126:128] in (b"IM", b"MI"):
            _require_small(path, "<" if start[126:128] == b"IM" else ">")
        from scipy.io import loadmat

        require_room(path, path.stat().st_size, ARRAYS)
        with warnings.catch_warnings(action="ignore"):  # SciPy's, of objects it cannot read
            content = loadmat(str(path), mat_dtype=False, struct_as_record=True, verify_compressed_data_integrity=True)
    except ValueError as error:
        if isinstance(error, ReadingError):
            raise
        raise ReadingError(f"`{name}` must be a MATLAB file; {reason(error)}.") from None
    except FileNotFoundError:
        raise
    except Exception as error:  # of SciPy's reader, whatever the damage trips over
        raise ReadingError(f"`{name}` must be a MATLAB file; {reason(error)}.") from None
    found: dict[str, NDArray[Any]] = {}
    others = []
    for key, value in content.items():
        if key.startswith("__"):
            others += (
                ["an object, such as a table of MATLAB's (see `writetable`)"] if key == "__function_workspace__" else []
            )
        elif not _take(key, value, found, path):
            others.append(key)
    if not found:
        what = ", ".join(printable(other) for other in others[:5]) or "nothing"
        raise ReadingError(f"`{name}` must hold an array of numbers; got {what}.")
    return found


def _take(key: str, value: Any, found: dict[str, NDArray[Any]], path: Path) -> bool:
    """Take the arrays of numbers in a value, which may be a struct of them."""
    if hasattr(value, "tocsc"):
        from scipy import sparse

        value = sparse.csc_matrix(value)
        value.check_format(full_check=True)
        require_room(path, 8 * value.shape[0] * value.shape[1], ARRAYS)
        value = value.toarray()
    if not isinstance(value, np.ndarray):
        return False
    if value.dtype.names is not None and value.size == 1:
        taken = [_take(f"{key}.{name}", value[name].flat[0], found, path) for name in value.dtype.names]
        return any(taken)
    if value.dtype.kind not in "fiub":
        return False
    found[key] = value.ravel() if value.ndim == 2 and 1 in value.shape else value
    return True


def _require_small(path: Path, order: str) -> None:
    """Refuse a file whose compressed variables unpack to more than they may: SciPy unpacks them as they are."""
    allowed = allowance(path, ARRAYS)
    total = 0
    with path.open("rb") as file:
        file.seek(_HEADER)
        while len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            if kind == _COMPRESSED:
                end = file.tell() + size
                total += _unpacked_size(file, size, allowed - total, path, allowed)
                file.seek(end)
            elif kind > 0xFFFF:  # a small element keeps its data in its tag
                continue
            else:
                file.seek(size, 1)


def _unpacked_size(file: IO[bytes], size: int, room: int, path: Path, allowed: int) -> int:
    unpacker, total = zlib.decompressobj(), 0
    while size > 0 and not unpacker.eof:
        raw = file.read(min(size, _CHUNK))
        if not raw:
            break
        size -= len(raw)
        while raw and not unpacker.eof:
            total += len(unpacker.decompress(raw, _CHUNK))
            raw = unpacker.unconsumed_tail
            if total > room:
                raise too_large(path, allowed)
    return total
