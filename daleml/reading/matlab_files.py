"""MATLAB's files. Those of version 7.3 are HDF5; those of version 5 to 7.2 are read here.

SciPy reads them too, and ends the whole process on some damaged ones. Numbers, structs of
numbers and sparse matrices are all that is wanted here, and every length is checked before it
is believed.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, printable, reason
from daleml.reading import hdf5_files
from daleml.reading.notes import ReadingError
from daleml.reading.opening import MOST_ARRAYS, allowance, require_room, too_large

# The layout is described in "MAT-File Format", MathWorks: elements, each a tag of eight bytes
# with a type and a length, then the data. The numbers below are from there.
_HEADER = 128

# Types of elements: an array, and anything compressed by zlib.
_MATRIX = 14
_COMPRESSED = 15

# Types of data, by number; MATLAB stores whole numbers in the smallest that holds them.
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}

# Classes of arrays of numbers, by number.
_CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}

_STRUCT = 2
_SPARSE = 5
_OPAQUE = 17
_COMPLEX = 0x08

# Structs inside of structs are read to this depth.
_DEEPEST = 8

# A name of a field may be declared to have this number of bytes at most.
_LONGEST_NAME = 1024

_CHUNK = 1 << 20


class _Element(NamedTuple):
    kind: int
    data: memoryview


class _DamagedError(ValueError):
    """What is wrong with the file: ends a sentence."""


def read_mat(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of numbers of a MATLAB file, by name.

    Those of a struct are found by its name and theirs. A row or a column is an array of one
    dimension.

    Raises:
        ValueError: If it is damaged, larger than it may be, or holds no array of numbers.
        ModuleNotFoundError: If it is of version 7.3, and h5py is not installed.
        OSError: If it cannot be opened.
    """
    if hdf5_files.is_hdf5(path):
        return hdf5_files.read_hdf5(path, matlab=True)
    name = printable(path)
    size = path.stat().st_size
    require_room(path, size, MOST_ARRAYS)
    content = memoryview(path.read_bytes())
    mark = bytes(content[126:128])
    if mark not in (b"IM", b"MI"):
        raise ReadingError(
            f"`{name}` must be a MATLAB file of version 5 or later; it begins otherwise."
        )
    reader = _Reader(path, "<" if mark == b"IM" else ">")
    try:
        for element in reader.elements(content[_HEADER:], padded=False):
            reader.take(element)
    except (_DamagedError, zlib.error, struct.error) as error:
        raise ReadingError(
            f"`{name}` must be a whole MATLAB file; {reason(error)}."
        ) from None
    if not reader.found:
        raise ReadingError(
            f"`{name}` must hold an array of numbers; got"
            f" {listed(reader.others, 5) or 'nothing'}."
        )
    return reader.found


class _Reader:
    """Takes the arrays of numbers out of the elements of a file."""

    def __init__(self, path: Path, order: str) -> None:
        self.path, self.order = path, order
        self.bytes_left = allowance(path, MOST_ARRAYS)
        self.found: dict[str, NDArray[Any]] = {}
        self.others: list[str] = []

    def elements(self, data: memoryview, *, padded: bool = True) -> Iterator[_Element]:
        """Yield the elements in a stretch of a file: a tag of 8 bytes, then what it announces."""
        at = 0
        while at + 8 <= len(data):
            kind, size = struct.unpack_from(f"{self.order}II", data, at)
            start, longest = at + 8, len(data)
            is_small = kind >> 16 > 0
            if is_small:
                # Size and type share four bytes, and the data are the other four.
                kind, size = kind & 0xFFFF, kind >> 16
                start, longest = at + 4, 4
            end = start + size
            if end > len(data) or size > longest:
                raise _DamagedError("an element is longer than what holds it")
            yield _Element(kind, data[start:end])
            if is_small:
                at += 8
            elif padded or kind != _COMPRESSED:
                # Every element but a compressed one is filled up to a multiple of 8 bytes.
                at = end + -size % 8
            else:
                at = end

    def take(self, element: _Element) -> None:
        """Take what one element of the file holds."""
        if element.kind == _COMPRESSED:
            for inner in self.elements(memoryview(self._unpacked(element.data))):
                self.take(inner)
        elif element.kind == _MATRIX:
            self._matrix(element.data, "", 0)

    def _unpacked(self, data: memoryview) -> bytes:
        unpacker = zlib.decompressobj()
        parts = []
        rest = bytes(data)
        while rest and not unpacker.eof:
            part = unpacker.decompress(rest, _CHUNK)
            rest = unpacker.unconsumed_tail
            self._spend(len(part))
            parts.append(part)
        return b"".join(parts)

    def _spend(self, size: int) -> None:
        """Count bytes that are taken in memory; raise if there are too many."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise too_large(self.path, allowance(self.path, MOST_ARRAYS))

    def _matrix(self, data: memoryview, prefix: str, depth: int) -> None:
        """Take an array, or the arrays of a struct, whose name follows ``prefix``."""
        parts = self.elements(data)
        flags, kind = self._flags(next(parts, None))
        if kind == _OPAQUE:
            self.others.append(
                "an object, such as a table of MATLAB's (see `writetable`)"
            )
            return
        shape = tuple(self._numbers(next(parts, None), "i4").tolist())
        own = bytes(_data(next(parts, None))).decode("latin-1").rstrip("\0")
        name = f"{prefix}{own}" if own else prefix.rstrip(".")
        if min(shape, default=0) < 0:
            raise _DamagedError("a size is negative")
        if kind == _STRUCT and math.prod(shape) == 1 and depth < _DEEPEST:
            self._struct(parts, name, depth)
        elif flags & _COMPLEX or kind not in (*_CLASSES, _SPARSE):
            self.others.append(name)
        elif kind == _SPARSE:
            self.found[name] = self._sparse(parts, shape)
        else:
            values = self._numbers(next(parts, None), _CLASSES[kind])
            if values.size != math.prod(shape):
                raise _DamagedError(
                    f"{name!r} has {values.size:,} numbers where its shape asks for"
                    f" {math.prod(shape):,}"
                )
            is_vector = len(shape) == 2 and 1 in shape
            self.found[name] = values if is_vector else values.reshape(shape, order="F")

    def _struct(self, parts: Iterator[_Element], name: str, depth: int) -> None:
        """Take the arrays of a struct: the length of a name, the names, then the fields."""
        length = int(self._numbers(next(parts, None), "i4")[:1].sum())
        names = bytes(_data(next(parts, None)))
        if not 0 < length <= _LONGEST_NAME:
            raise _DamagedError("a struct has no names")
        for start, element in zip(range(0, len(names), length), parts, strict=False):
            field = names[start : start + length].split(b"\0")[0].decode("latin-1")
            if element.kind == _MATRIX and len(element.data):
                self._matrix(element.data, f"{name}.{field}.", depth + 1)

    def _sparse(
        self, parts: Iterator[_Element], shape: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Return a sparse matrix, stored column by column, as a dense one."""
        rows = self._numbers(next(parts, None), "i8")
        starts = self._numbers(next(parts, None), "i8")
        values = self._numbers(next(parts, None), "f8")
        fits = len(shape) == 2 and len(starts) == shape[1] + 1
        if not fits or starts[0] != 0 or np.any(np.diff(starts) < 0):
            raise _DamagedError("the columns of a sparse matrix do not fit together")
        n = int(starts[-1])
        inside = (rows[:n] >= 0) & (rows[:n] < shape[0])
        if n > min(len(rows), len(values)) or not np.all(inside):
            raise _DamagedError("an index of a sparse matrix lies outside of it")
        self._spend(8 * math.prod(shape))
        dense = np.zeros(shape)
        dense[rows[:n], np.repeat(np.arange(shape[1]), np.diff(starts))] = values[:n]
        return dense

    def _flags(self, element: _Element | None) -> tuple[int, int]:
        """Return the flags and the class of an array, which share its first word."""
        words = self._numbers(element, "u4")
        if not len(words):
            raise _DamagedError("an array has no kind")
        return (int(words[0]) >> 8) & 0xFF, int(words[0]) & 0xFF

    def _numbers(self, element: _Element | None, dtype: str) -> NDArray[Any]:
        """Return the numbers of an element, which may be stored in a smaller type."""
        data = _data(element)
        stored = None if element is None else _STORED.get(element.kind)
        if stored is None:
            raise _DamagedError("numbers are of no known type")
        given = np.dtype(f"{self.order}{stored}")
        wanted = np.dtype(dtype)
        n = len(data) // given.itemsize
        self._spend(n * wanted.itemsize)
        with np.errstate(invalid="ignore", over="ignore"):
            return np.frombuffer(data, given, n).astype(wanted)


def _data(element: _Element | None) -> memoryview:
    if element is None:
        raise _DamagedError("it ends too early")
    return element.data
