"""Synapses in columns: from which unit to which, and how strong, without a matrix of all pairs.

Rows of a sparse matrix ``(post, pre)`` in compressed form: sorted by the receiver, then by the
sender, each pair once. A synapse of weight 0 exists.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ROWS = ("post", "pre")
"""What a row of a matrix may be: the synapses onto a unit, or those that it makes."""


@dataclass(frozen=True, eq=False)
class Synapses:
    """Synapses sorted by receiver, then by sender, without duplicates; see :func:`of_pairs`.

    Attributes:
        post: Index of the receiver of each synapse, int64.
        pre: Index of its sender, int64.
        weights: Its weight, float64, signed or a magnitude; 0 is a synapse too.
        shape: How many receivers and how many senders there are.
        names: Of the units, where receivers and senders are the same ones; None if they have
            none.

    Raises:
        ValueError: If a column has another length, an index is out of range, a weight is not
            finite, or the pairs are not sorted, each of them once.
    """

    post: NDArray[np.int64]
    pre: NDArray[np.int64]
    weights: NDArray[np.float64]
    shape: tuple[int, int]
    names: tuple[Hashable, ...] | None = None

    def __post_init__(self) -> None:
        columns = {"post": self.post, "pre": self.pre, "weights": self.weights}
        for name, column in columns.items():
            dtype = np.float64 if name == "weights" else np.int64
            if column.dtype != dtype or column.shape != (self.size,):
                raise ValueError(
                    f"`{name}` must be a column of {self.size} numbers, {np.dtype(dtype)};"
                    f" got {column.dtype} of shape {column.shape}."
                )
        _require_in_range("post", self.post, self.shape[0])
        _require_in_range("pre", self.pre, self.shape[1])
        require_finite(self.weights)
        # The difference of neighbours is positive in one of the two columns, the first that moves.
        down, right = np.diff(self.post), np.diff(self.pre)
        if not np.all((down > 0) | ((down == 0) & (right > 0))):
            raise ValueError(
                "`post` and `pre` must be sorted by receiver, then by sender, each pair once;"
                " make synapses with `of_pairs`."
            )
        if self.names is not None and {len(self.names)} != set(self.shape):
            raise ValueError(
                f"`names` must hold a name for each of the units, {self.shape}; got"
                f" {len(self.names)}."
            )

    @property
    def size(self) -> int:
        """Number of synapses."""
        return len(self.post)

    @property
    def density(self) -> float:
        """Fraction of all pairs that are synapses."""
        return self.size / (self.shape[0] * self.shape[1])

    def csr(self) -> csr_array:
        """Return the synapses as ``scipy.sparse.csr_array``, ``(post, pre)``; columns are shared.

        Synapses of weight 0 are among its entries.
        """
        from scipy.sparse import csr_array

        return csr_array((self.weights, self.pre, self.row_starts()), shape=self.shape)

    def row_starts(self) -> NDArray[np.int64]:
        """Return where each row begins, and where the last one ends: ``crow`` of a CSR matrix."""
        counts = np.bincount(self.post, minlength=self.shape[0])
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def dense(self) -> NDArray[np.float64]:
        """Return the weights as a matrix ``(post, pre)``, 0 where there is no synapse."""
        values = np.zeros(self.shape)
        values[self.post, self.pre] = self.weights
        return values

    def present(self) -> NDArray[np.bool_]:
        """Return which synapses exist, as a matrix ``(post, pre)``."""
        exists = np.zeros(self.shape, dtype=bool)
        exists[self.post, self.pre] = True
        return exists

    def reordered(self, order: NDArray[np.int64]) -> Synapses:
        """Return the same synapses among units in another order: unit ``k`` was ``order[k]``."""
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        names = self.names
        if names is not None:
            names = tuple(names[unit] for unit in order.tolist())
        post, pre = place[self.post], place[self.pre]
        return of_pairs(post, pre, self.weights, self.shape, names)

    def kept(self, which: NDArray[np.bool_]) -> Synapses:
        """Return those of the synapses that are marked."""
        post, pre, weights = self.post[which], self.pre[which], self.weights[which]
        return Synapses(post, pre, weights, self.shape, self.names)


def of_pairs(
    post: NDArray[Any],
    pre: NDArray[Any],
    weights: NDArray[Any],
    shape: tuple[int, int],
    names: Sequence[Hashable] | None = None,
    *,
    sum_repeats: bool = False,
) -> Synapses:
    """Sort synapses that are given in any order.

    Args:
        post: Index of the receiver of each.
        pre: Index of its sender.
        weights: Its weight.
        shape: Numbers of receivers and of senders.
        names: Of the units, if they have any.
        sum_repeats: Whether weights of a pair that comes again are summed, instead of being
            refused.

    Raises:
        ValueError: If an index is out of range, a weight not finite, or a pair comes again.
    """
    from scipy.sparse import coo_array

    values = np.asarray(weights, dtype=np.float64)
    ends = np.asarray(post, dtype=np.int64), np.asarray(pre, dtype=np.int64)
    # Before scipy, whose compiled code trusts its indices.
    _require_in_range("post", ends[0], shape[0])
    _require_in_range("pre", ends[1], shape[1])
    require_finite(values)
    # Sorting by counting, which takes as long as reading; repeats are summed.
    rows = coo_array((values, ends), shape=shape).tocsr()
    rows.sort_indices()
    n_again = len(values) - rows.nnz
    if n_again and not sum_repeats:
        raise ValueError(
            f"`post` and `pre` must name each pair once; got {n_again} of {len(values)}"
            " again."
        )
    receivers = np.repeat(np.arange(shape[0], dtype=np.int64), np.diff(rows.indptr))
    senders = rows.indices.astype(np.int64, copy=False)
    # Sums of finite numbers may overflow.
    own_names = None if names is None else tuple(names)
    return Synapses(receivers, senders, rows.data, shape, own_names)


def of_sparse(
    matrix: Any, rows: str, names: Sequence[Hashable] | None = None
) -> Synapses:
    """Read a matrix of scipy.sparse, whose rows are the receivers ("post") or senders ("pre").

    Entries of one place are summed, as scipy means them; entries that are 0 are synapses.

    Raises:
        TypeError: If the entries are no real numbers.
        ValueError: If ``rows`` is neither, or an entry is not finite.
    """
    if rows not in ROWS:
        raise ValueError(
            "`rows` must be 'post' if a row holds the synapses onto a unit, or 'pre' if it"
            f" holds those that the unit makes; got {rows!r}."
        )
    if not np.issubdtype(matrix.dtype, np.number) or matrix.dtype.kind == "c":
        raise TypeError(
            f"`matrix` must hold real numbers; got a sparse matrix of {matrix.dtype}."
        )
    entries = matrix.tocoo()
    ends, shape = (entries.row, entries.col), entries.shape
    if rows == "pre":
        ends, shape = ends[::-1], shape[::-1]
    return of_pairs(*ends, entries.data, shape, names, sum_repeats=True)


def is_sparse(given: object) -> bool:
    """Whether an object is a matrix or an array of scipy.sparse."""
    # Known by what it can do, so that scipy is loaded by whoever has one.
    return hasattr(given, "tocoo") and hasattr(given, "nnz")


def require_finite(weights: NDArray[np.float64]) -> None:
    """Raise unless all weights are finite numbers."""
    n_wrong = int(np.count_nonzero(~np.isfinite(weights)))
    if n_wrong:
        raise ValueError(
            f"`weights` must be finite; got {n_wrong} NaN or infinite values of"
            f" {len(weights)}."
        )


def _require_in_range(name: str, ends: NDArray[np.int64], n_units: int) -> None:
    if len(ends) and not (ends.min() >= 0 and ends.max() < n_units):
        raise ValueError(
            f"`{name}` must be indices from 0 to {n_units - 1}; got {ends.min()} to"
            f" {ends.max()}."
        )
