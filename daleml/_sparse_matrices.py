"""Sparse matrices of torch as tools take them: dense where that is small, or as scipy has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LARGEST_DENSE = 2**26
"""The most entries with which a sparse weight is made dense: half a gigabyte in float64."""


def require_small(shape: tuple[int, ...]) -> None:
    """Raise if a sparse weight is too large to become a dense matrix.

    Raises:
        ValueError: If it has more than 2**26 entries.
    """
    if shape[0] * shape[1] > LARGEST_DENSE:
        raise ValueError(
            f"a sparse weight must have at most {LARGEST_DENSE:,} entries to be made a dense"
            f" matrix; got {shape[0]:,} times {shape[1]:,}."
        )


def dense_if_small(matrix: Tensor) -> Tensor:
    """Return a sparse matrix as a dense one, unless it is too large."""
    if (
        matrix.layout == torch.strided
        or matrix.shape[0] * matrix.shape[1] > LARGEST_DENSE
    ):
        return matrix
    return matrix.to_dense()


def block(matrix: Tensor, post: slice, pre: slice) -> Tensor:
    """Return some rows and columns of a matrix, which may be sparse."""
    if matrix.layout == torch.strided:
        return matrix[post, pre]
    part = to_scipy(matrix)[post, pre].tocsr()
    columns = part.indptr, part.indices, part.data
    starts, indices, values = (torch.from_numpy(each) for each in columns)
    return torch.sparse_csr_tensor(starts, indices, values, part.shape)


def dense(matrix: Tensor) -> Tensor:
    """Return a matrix as a dense one, if it is sparse and small.

    Raises:
        ValueError: If it is too large.
    """
    if matrix.layout == torch.strided:
        return matrix
    require_small(tuple(matrix.shape))
    return matrix.to_dense()


def to_scipy(matrix: Tensor) -> csr_array:
    """Return a ``torch.sparse_csr`` matrix as ``scipy.sparse.csr_array``, float64."""
    from scipy.sparse import csr_array

    matrix = matrix.detach().cpu()
    data = matrix.values().to(torch.float64).numpy()
    starts, columns = matrix.crow_indices().numpy(), matrix.col_indices().numpy()
    n_post, n_pre = matrix.shape
    return csr_array((data, columns, starts), shape=(n_post, n_pre))
