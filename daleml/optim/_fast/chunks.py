"""Cache-sized pieces: an update of several passes reads memory once.

Elementwise rules give the same numbers to the last bit however their tensors are cut, so a
large tensor is worked on a piece at a time, and many small tensors as one piece, with scratch
that stays in cache and is used again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_SCRATCH_BYTES = 768 << 10
_CACHE_BYTES = 4 << 20  # all tensors of a piece together, for two cores of 2 MB each
_SMALL = 1 << 14  # elements: below, calling a pass costs more than the pass

Row = tuple[Tensor, ...]


class Piece(NamedTuple):
    """Corresponding vectors: what a rule changes, what it reads, and scratch.

    And which of the tensors they are of.
    """

    changed: Row
    read: Row
    scratch: Row
    indices: Sequence[int]


def pieces(
    changed: Sequence[Sequence[Tensor]],
    read: Sequence[Sequence[Tensor]],
    n_scratch: int = 0,
) -> Iterator[Piece]:
    """Cut lists of corresponding tensors, of one dtype, into pieces that together cover every element once.

    Args:
        changed: Lists whose tensors the caller changes in place, through the pieces.
        read: Lists whose tensors it leaves alone.
        n_scratch: Scratch vectors a piece comes with. What is in them is anything.

    Yields:
        Pieces, each to be done with before the next is asked for.
    """
    rows = list(zip(*changed, *read, strict=True))
    if not rows:
        return
    n_changed, n_tensors, first = len(changed), len(rows[0]) + n_scratch, rows[0][0]
    scratch = first.new_empty(_SCRATCH_BYTES // first.element_size())
    longest = (
        min(_SCRATCH_BYTES // max(n_scratch, 1), _CACHE_BYTES // n_tensors)
        // first.element_size()
    )
    room = [scratch[i * longest : (i + 1) * longest] for i in range(n_scratch)]
    gathered = min(_SMALL, scratch.numel() // n_tensors - 1)
    small: list[tuple[int, Row]] = []
    copied: list[tuple[Row, Row]] = []
    for i, row in enumerate(rows):
        flat = _views(row)
        if flat is None:
            flat = tuple(tensor.reshape(-1).contiguous() for tensor in row)
            copied.append((row, flat))
        if flat[0].numel() <= gathered:
            small.append((i, flat))
            continue
        n_pieces = -(
            -flat[0].numel() // longest
        )  # of one length: a short last one would occupy one core
        cut = (tensor.chunk(n_pieces) for tensor in flat)
        for views in zip(*cut, strict=True) if n_pieces > 1 else (flat,):
            spare = tuple(place[: views[0].numel()] for place in room)
            yield Piece(views[:n_changed], views[n_changed:], spare, (i,))
    yield from _gathered(small, n_changed, n_scratch, scratch)
    for row, flat in copied:
        for tensor, vector in zip(row[:n_changed], flat, strict=False):
            if tensor.data_ptr() != vector.data_ptr():
                tensor.copy_(vector.view(tensor.shape))


def _gathered(
    rows: list[tuple[int, Row]], n_changed: int, n_scratch: int, scratch: Tensor
) -> Iterator[Piece]:
    """Copy many small tensors into one piece, and what has changed back."""
    while rows:
        room = scratch.chunk(len(rows[0][1]) + n_scratch)
        sizes: list[int] = []
        length = 0
        for _, flat in rows:
            size = flat[0].numel()
            if length + size > room[-1].numel():
                break
            sizes.append(size)
            length += size
        taken, rows = rows[: len(sizes)], rows[len(sizes) :]
        columns = list(zip(*(flat for _, flat in taken), strict=True))
        places = tuple(place[:length] for place in room)
        for column, place in zip(columns, places, strict=False):
            torch.cat(column, out=place)
        read, spare = places[n_changed : len(columns)], places[len(columns) :]
        yield Piece(places[:n_changed], read, spare, [i for i, _ in taken])
        for column, place in zip(columns[:n_changed], places, strict=False):
            torch._foreach_copy_(column, torch.split_with_sizes(place, sizes))


def _views(row: Row) -> Row | None:
    """View tensors as vectors in one common order of their elements, if they can be."""
    if all(tensor.is_contiguous() for tensor in row):
        return tuple(tensor if tensor.ndim == 1 else tensor.view(-1) for tensor in row)
    first = row[0]
    strides = {tensor.stride() for tensor in row}
    if len(strides) == 1 and torch.ops.aten.is_non_overlapping_and_dense(first):
        return tuple(
            tensor.as_strided((first.numel(),), (1,), tensor.storage_offset())
            for tensor in row
        )
    return None
