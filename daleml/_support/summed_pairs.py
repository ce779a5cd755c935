"""Rows of connections, summed to one edge for each ordered pair."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class SummedPairs(NamedTuple):
    """One edge for each ordered pair, sorted by sender, then by receiver.

    Attributes:
        pre: Index of the sender.
        post: Index of the receiver.
        weight: Sum of its rows' magnitudes.
        sign: That of most of its weight; 0 where no row has one, or both weigh the same.
        n_rows: How many rows it sums.
    """

    pre: NDArray[np.intp]
    post: NDArray[np.intp]
    weight: NDArray[np.float64]
    sign: NDArray[np.int8]
    n_rows: NDArray[np.intp]


def summed_pairs(
    pre: NDArray[np.intp],
    post: NDArray[np.intp],
    weight: NDArray[np.float64],
    sign: NDArray[np.int8] | None,
    n_units: int,
) -> SummedPairs:
    """Sum the rows of each ordered pair.

    Args:
        pre: Index of each row's sender.
        post: Index of its receiver.
        weight: Its magnitude.
        sign: +1, -1, or 0 where unknown; None if it is unknown of all.
        n_units: How many cells there are.
    """
    # One number for each ordered pair, exact for three billion units.
    pair = pre.astype(np.int64) * n_units + post
    order = np.argsort(pair, kind="stable")
    pair = pair[order]
    starts = np.flatnonzero(np.diff(pair, prepend=-1))
    pair = pair[starts]
    n_rows = np.diff(np.append(starts, len(order)))
    moved = weight[order]
    sums = _sums(moved, starts)
    signs = np.zeros(len(starts), dtype=np.int8)
    if sign is not None:
        rows = sign[order]
        # Columns of millions of rows are the memory that a reader takes.
        del order
        has = [_sums((rows == one).astype(np.int32), starts) > 0 for one in (1, -1)]
        moved *= rows
        excess = np.sign(_sums(moved, starts)).astype(np.int8)
        # Rows of one sign decide even if they weigh nothing.
        only = has[0].astype(np.int8) - has[1].astype(np.int8)
        signs = np.where(only != 0, only, excess)
    return SummedPairs(pair // n_units, pair % n_units, sums, signs, n_rows)


def _sums(values: NDArray[np.generic], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    if not len(starts):
        return np.zeros(0)
    found: NDArray[np.float64] = np.add.reduceat(values, starts)
    return found
