"""Cache-sized chunks: an update of several passes reads memory once.

Elementwise rules give the same numbers to the last bit however their tensors are cut, so a
large tensor is worked on a chunk at a time, with scratch that stays in cache and is used again.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_SCRATCH_BYTES = 768 << 10
# All tensors of a chunk together, for two cores with 2 MB of cache each.
_CACHE_BYTES = 4 << 20
IN_CACHE = 1 << 16
"""Number of elements up to which a weight, gradient, moments and scratch stay in 2 MB."""

Row = tuple[Tensor, ...]


class Piece(NamedTuple):
    """Corresponding vectors: what a rule changes, what it reads, and scratch.

    ``indices`` holds the one index of the tensors that they are chunks of.
    """

    changed: Row
    read: Row
    scratch: Row
    indices: Sequence[int]


def pieces(
    changed: Sequence[Sequence[Tensor]],
    read: Sequence[Sequence[Tensor]],
    n_scratch: int = 0,
    longest: int | None = None,
) -> Iterator[Piece]:
    """Cut lists of corresponding tensors, of one dtype, into chunks that cover every element once.

    Args:
        changed: Lists whose tensors the caller changes in place, through the chunks.
        read: Lists whose tensors it leaves alone.
        n_scratch: Number of scratch vectors that come with a chunk. Their content is arbitrary.
        longest: Number of elements of a chunk, at most; default: what suits two cores.

    Yields:
        Chunks, each to be done with before the next is asked for.
    """
    rows = list(zip(*changed, *read, strict=True))
    if not rows:
        return
    n_changed, n_tensors, first = len(changed), len(rows[0]) + 1, rows[0][0]
    if longest is None:
        longest = min(_SCRATCH_BYTES, _CACHE_BYTES // n_tensors) // first.element_size()
    scratch = _scratch(
        threading.get_ident(), first.dtype, first.device, n_scratch, longest
    )
    length = -1
    spare: Row = ()
    for i, row in enumerate(rows):
        if not row[0].numel():
            # The largest element, which the rules ask for, is that of no element.
            continue
        views = _views(row)
        vectors = views or tuple(tensor.reshape(-1).contiguous() for tensor in row)
        # Chunks of one length: a short last one would occupy one core alone.
        n_chunks = -(-vectors[0].numel() // longest)
        chunks: tuple[Row, ...] = (vectors,)
        if n_chunks > 1:
            cut = (tensor.chunk(n_chunks) for tensor in vectors)
            chunks = tuple(zip(*cut, strict=True))
        for chunk in chunks:
            # Most come in few lengths, and cutting takes as long as a pass over a short one.
            if chunk[0].numel() != length:
                length = chunk[0].numel()
                spare = tuple([vector[:length] for vector in scratch])
            yield Piece(chunk[:n_changed], chunk[n_changed:], spare, (i,))
        if views is None:
            _copy_back(row[:n_changed], vectors)


@functools.lru_cache(maxsize=16)
def _scratch(
    thread: int, dtype: torch.dtype, device: torch.device, n_vectors: int, length: int
) -> Row:
    """Return scratch that is kept: asking the system for memory takes as long as a pass."""
    return tuple(torch.empty(n_vectors, length, dtype=dtype, device=device))


@functools.lru_cache(maxsize=256)
def shaped_scratch(thread: int, dtype: torch.dtype, shape: torch.Size) -> Row:
    """Return two tensors of a shape to work in, on a CPU, and then both as vectors.

    They lie where the scratch of chunks does. Networks have tensors of a few shapes, and cutting
    at each step takes as long as a pass over a short one.

    Args:
        thread: Number of the thread that uses them.
        dtype: Theirs.
        shape: Theirs, of at most ``IN_CACHE`` elements.
    """
    place = thread, dtype, torch.device("cpu"), 2, IN_CACHE
    flat = tuple(vector[: shape.numel()] for vector in _scratch(*place))
    return *(vector.view(shape) for vector in flat), *flat


def _copy_back(tensors: Row, vectors: Row) -> None:
    for tensor, vector in zip(tensors, vectors, strict=False):
        if tensor.data_ptr() != vector.data_ptr():
            tensor.copy_(vector.view(tensor.shape))


def _views(row: Row) -> Row | None:
    """View tensors as vectors in one common order of their elements, if they can be."""
    if False not in [tensor.is_contiguous() for tensor in row]:
        return tuple([tensor.view(-1) for tensor in row])
    # Such as channels_last, or matrices that all lie transposed.
    first = row[0]
    strides = {tensor.stride() for tensor in row}
    if len(strides) == 1 and torch.ops.aten.is_non_overlapping_and_dense(first):
        return tuple(
            tensor.as_strided((first.numel(),), (1,), tensor.storage_offset())
            for tensor in row
        )
    return None
