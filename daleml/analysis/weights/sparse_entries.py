"""Sparse matrices of weights, of scipy and of torch: the entries that they store.

An entry that is stored is a synapse, of strength 0 too. One that is not stored is a pair without
a synapse, and no zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from daleml._support.torch_values import is_tensor
from daleml.analysis.weights.real_numbers import is_sparse, numbers

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from torch import Tensor

__all__ = ["as_csr", "is_sparse"]


def as_csr(weights: Any, name: str = "weights") -> csr_array:
    """Return a sparse matrix ``(post, pre)`` in rows, each entry once.

    Entries that are stored several times are added up, as both libraries do.

    Args:
        weights: A sparse matrix or array of scipy, or a sparse tensor of torch.
        name: What it is called, for a sentence.

    Raises:
        TypeError: If it does not hold real numbers.
        ValueError: If it is no matrix, or entries of one place are of both signs: added up,
            they would hide an inhibitory synapse behind an excitatory one.

    Example:
        >>> import scipy.sparse
        >>> matrix = scipy.sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2))
        >>> as_csr(matrix).toarray().tolist()
        [[0.0, 3.0], [0.0, 0.0]]
    """
    from scipy import sparse

    shape = tuple(weights.shape)
    if len(shape) != 2:
        raise ValueError(f"`{name}` must be a matrix where sparse; got shape {shape}.")
    if is_tensor(weights):
        found = _of_tensor(weights, name)
    elif weights.dtype.kind in "fiu":
        found = sparse.csr_array(_kept_twice(weights))
    else:
        raise TypeError(
            f"`{name}` must be real numbers; got {weights.dtype} values in a sparse matrix."
        )
    if found.has_canonical_format:
        return found
    # What was given is left as it is.
    found = found.copy()
    found.sort_indices()
    _refuse_opposites(found, name)
    found.sum_duplicates()
    return found


def _kept_twice(weights: Any) -> Any:
    """Return a matrix as something whose conversion to rows does not add entries up yet."""
    from scipy import sparse

    if weights.format != "coo":
        return weights
    # scipy adds up the entries of a coordinate matrix when it sorts them into rows.
    order = np.argsort(weights.row, kind="stable")
    starts = np.zeros(weights.shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(weights.row, minlength=weights.shape[0]), out=starts[1:])
    parts = weights.data[order], weights.col[order], starts
    return sparse.csr_array(parts, shape=weights.shape)


def _of_tensor(weights: Tensor, name: str) -> csr_array:
    """Return a sparse tensor as a matrix of scipy."""
    import torch
    from scipy import sparse

    weights = weights.detach().cpu()
    if weights.layout in (torch.sparse_csr, torch.sparse_csc):
        rows = weights.layout == torch.sparse_csr
        if rows:
            starts, others = weights.crow_indices(), weights.col_indices()
        else:
            starts, others = weights.ccol_indices(), weights.row_indices()
        make = sparse.csr_array if rows else sparse.csc_array
        values = _values(weights.values(), name)
        parts = values, others.numpy(), starts.numpy()
        n_post, n_pre = weights.shape
        return sparse.csr_array(make(parts, shape=(n_post, n_pre)))
    if weights.layout != torch.sparse_coo:
        raise TypeError(
            f"`{name}` must be dense, or sparse by entries; got the layout"
            f" {weights.layout}: give `weights.to_sparse_csr()`."
        )
    # The public methods would add up entries before they could be looked at.
    values = _values(weights._values(), name)
    rows, columns = weights._indices().numpy()
    shape = tuple(weights.shape)
    matrix = sparse.coo_array((values, (rows, columns)), shape=shape)
    return sparse.csr_array(_kept_twice(matrix))


def _values(values: Tensor, name: str) -> Any:
    if values.ndim != 1:
        raise ValueError(
            f"`{name}` must have one number at each place where sparse; got values of"
            f" shape {tuple(values.shape)}."
        )
    return numbers(values, name)


def _refuse_opposites(matrix: csr_array, name: str) -> None:
    """Raise if a sorted matrix stores entries of both signs at one place."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    columns = matrix.indices
    new = np.ones(columns.size, dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    place = np.cumsum(new) - 1
    n_places = int(new.sum())
    positive = np.bincount(place[matrix.data > 0], minlength=n_places)
    negative = np.bincount(place[matrix.data < 0], minlength=n_places)
    both = np.flatnonzero((positive > 0) & (negative > 0))
    if both.size:
        first = int(np.flatnonzero(new)[both[0]])
        raise ValueError(
            f"`{name}` must have entries of one sign at each place; got {both.size} places"
            f" with entries of both, ({rows[first]}, {columns[first]}) for one."
        )
