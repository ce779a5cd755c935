"""Values that are read a chunk at a time: from arrays, mapped files, and what computes them."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml.analysis.weights.real_numbers import numbers

CHUNK = 1 << 16
"""The number of values that are computed on together: what that needs stays in the cache."""

# Pages of a mapped file are given back after so many bytes: more calls would only cost time.
_RELEASED = 1 << 23


# Sums of bits count up to here, and begin anew.
_BITS = 1 << 64


class Chunks:
    """Values that are read a chunk at a time, and anew for each pass over them.

    Every function that takes weights takes them in this form too. A fit of more values than
    memory holds passes over them several times.

    Args:
        read: What yields the chunks, arrays of any length: a list of arrays, or an object that
            begins anew each time it is gone through; or a function that returns an iterator
            each time it is called. The values must be the same each time.

    Raises:
        TypeError: If it can be gone through only once, as a generator can, or not at all.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights
        >>> def blocks():
        ...     for seed in range(10):
        ...         yield np.random.default_rng(seed).lognormal(size=1000)
        >>> fit_weights(Chunks(blocks)).n
        10000
    """

    def __init__(
        self, read: Iterable[ArrayLike] | Callable[[], Iterable[ArrayLike]]
    ) -> None:
        if not callable(read):
            refuse_one_pass(read, "read")
            if isinstance(read, (str, bytes)) or not isinstance(read, Iterable):
                raise TypeError(
                    "`read` must be chunks that can be gone through several times, or a"
                    f" function that returns them; got {type(read).__name__}."
                )
        self._read = read
        # Known after the first pass, and the same in all that follow.
        self._size: int | None = None
        self._digest = 0

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yield the chunks, each of one dimension.

        Raises:
            TypeError: If a chunk holds no numbers.
            ValueError: If there are more values than in the pass before, or fewer, or others.
        """
        total = digest = 0
        for chunk in self._begun():
            values = numbers(chunk).reshape(-1)
            total += values.size
            digest = (digest + _sum_of_bits(values)) % _BITS
            yield values
        if self._size is None:
            self._size, self._digest = total, digest
        if total != self._size:
            raise ValueError(
                "`weights` must be chunks of the same values each time they are read; got"
                f" {self._size:,} values, then {total:,}."
            )
        if digest != self._digest:
            raise ValueError(
                "`weights` must be chunks of the same values each time they are read; got"
                f" {total:,} values, some of which were others before: draw them from the"
                " same seed each time, or copy weights that go on learning."
            )

    def _begun(self) -> Iterable[ArrayLike]:
        """Return the chunks, begun anew."""
        read = self._read() if callable(self._read) else self._read
        if not isinstance(read, Iterable):
            raise TypeError(
                "`read` must be a function that returns chunks, or yields them; got one"
                f" that returns {type(read).__name__}."
            )
        return read

    def __repr__(self) -> str:
        return f"Chunks({self._read!r})"


Source: TypeAlias = "NDArray[Any] | Chunks"
"""Where the values of a sample come from: an array of one dimension, or chunks."""


def _sum_of_bits(values: NDArray[Any]) -> int:
    """Return the sum of values read as whole numbers: exact, whatever their order and chunks."""
    if values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    bits = values.view(f"{values.dtype.byteorder}u{values.dtype.itemsize}")
    return int(bits.sum(dtype=np.uint64))


def refuse_one_pass(values: object, name: str = "weights") -> None:
    """Raise if values can be gone through only once.

    Raises:
        TypeError: If so.
    """
    if isinstance(values, Iterator):
        raise TypeError(
            f"`{name}` must be values that can be read several times; got a"
            f" {type(values).__name__}, which can be read once: give a function that makes"
            " it anew, as in `Chunks(lambda: ...)`."
        )


def pieces(source: Source, size: int = CHUNK) -> Iterator[NDArray[Any]]:
    """Yield the values in pieces of one length, the last one shorter.

    Whatever the chunks are, the pieces are the same, so that a result does not depend on them.
    A piece may be overwritten by the next.

    Raises:
        ValueError: If chunks are of several types.
    """
    if isinstance(source, Chunks):
        yield from _of_one_length(source, size)
        return
    file = _MappedPages.of(source)
    for start in range(0, source.size, size):
        yield source[start : start + size]
        if file is not None:
            file.release(start, start + size)


def _of_one_length(chunks: Chunks, size: int) -> Iterator[NDArray[Any]]:
    buffer: NDArray[Any] | None = None
    filled = 0
    for chunk in chunks:
        # A list without values has no type of its own.
        if not chunk.size:
            continue
        if buffer is None:
            buffer = np.empty(size, chunk.dtype)
        if not np.can_cast(chunk.dtype, buffer.dtype):
            raise ValueError(
                "`weights` must be chunks of one type of number; got"
                f" {buffer.dtype} and {chunk.dtype}."
            )
        start = 0
        while start < chunk.size:
            taken = chunk[start : start + size - filled]
            buffer[filled : filled + taken.size] = taken
            start += taken.size
            filled += taken.size
            if filled == size:
                yield buffer
                filled = 0
    if buffer is not None and filled:
        yield buffer[:filled]


def chunks_of(weights: Any) -> Chunks | None:
    """Return what is read by chunks as such; None if it is an array, or can only become one.

    Columns of pyarrow are stored in chunks, and arrays of Dask are computed in chunks.

    Raises:
        TypeError: If it can be gone through only once, as a generator can.
    """
    if isinstance(weights, Chunks):
        return weights
    # Who holds one has imported its library; neither is imported for the question.
    pyarrow, dask = sys.modules.get("pyarrow"), sys.modules.get("dask")
    if pyarrow and isinstance(weights, (pyarrow.Array, pyarrow.ChunkedArray)):
        # A single array of pyarrow is one chunk.
        parts = getattr(weights, "chunks", [weights])
        # Whole numbers with a null become floats, in all chunks or in none.
        lacking = any(part.null_count for part in parts)
        return Chunks(lambda: (_of_arrow(part, lacking=lacking) for part in parts))
    if dask and dask.is_dask_collection(weights) and hasattr(weights, "to_delayed"):
        if hasattr(weights, "ravel"):
            weights = weights.ravel()
        delayed = weights.to_delayed()
        return Chunks(lambda: (part.compute() for part in np.ravel(delayed)))
    refuse_one_pass(weights)
    return None


def _of_arrow(part: Any, *, lacking: bool) -> NDArray[Any]:
    """Return an array of pyarrow, without a copy where the column lacks no value."""
    array: NDArray[Any] = part.to_numpy(zero_copy_only=False)
    whole = array.dtype.kind in "iu"
    return array.astype(np.float64) if lacking and whole else array


def _mapped_base(array: Any) -> Any:
    """Return the file that is mapped into memory of which an array is a view; None if of none."""
    while array is not None:
        if isinstance(array, (np.memmap, mmap.mmap)):
            return array
        array = getattr(array, "base", None)
    return None


class _MappedPages:
    """The pages of a file that is mapped for reading, which are given back once read.

    The system would keep them until memory is short, and count them to the process until then.
    """

    def __init__(self, array: NDArray[Any], pages: mmap.mmap) -> None:
        first = np.frombuffer(pages, dtype=np.uint8).__array_interface__["data"][0]
        self._pages = pages
        self._offset = array.__array_interface__["data"][0] - first
        self._itemsize = array.itemsize
        self._end = array.nbytes + self._offset
        self._from = self._offset

    @classmethod
    def of(cls, array: NDArray[Any]) -> _MappedPages | None:
        """Return the pages of an array; None if it is no file mapped for reading only.

        What was changed in private pages would be lost with them.
        """
        base = _mapped_base(array)
        pages = getattr(base, "_mmap", None)
        if pages is None or getattr(base, "mode", None) != "r":
            return None
        known = hasattr(mmap, "MADV_DONTNEED") and array.flags.c_contiguous
        return cls(array, pages) if known else None

    def release(self, start: int, stop: int) -> None:
        """Give back the pages that lie before a position, if they are many or the last.

        Args:
            start: The first value that was read.
            stop: The value after the last one.
        """
        if start == 0:
            self._from = self._offset
        end = min(self._offset + stop * self._itemsize, self._end)
        if end - self._from < _RELEASED and end < self._end:
            return
        first = self._from - self._from % mmap.PAGESIZE
        self._pages.madvise(mmap.MADV_DONTNEED, first, end - first)
        self._from = end
