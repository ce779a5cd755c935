"""The largest modulus of an eigenvalue of a large matrix, without a decomposition of it all."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Real: TypeAlias = NDArray[np.float64]

LARGEST_DENSE = 512
"""The most units of which all eigenvalues are computed.

Measured on one core: at 500 units they take 55 ms, and ARPACK's largest ones 6 ms; at 1,000
units 340 ms and 30 ms. Below, neither matters, and all eigenvalues leave nothing to chance.
"""
_SPARSE_BELOW = 0.25
"""The density below which products go by the entries that are not zero.

One entry takes a number and an index, and its vector is read out of order.
"""
# With this many vectors and this tolerance ARPACK found the largest of random balanced circuits
# of 1,500 to 139,255 units, whose eigenvalues crowd at the rim of a disc; with the default of 20
# vectors, or at 1e-6, it stopped at another, up to 1.4 % smaller. One that stands out takes a
# single round of products.
_N_VECTORS, _TOLERANCE, _MOST_RESTARTS = 64, 1e-9, 60
# From so many products on eigenvalues crowd, and a second start has to find the same one. Of
# 139,255 units a start takes 10 to 20 s then, and with so many vectors none was missed.
_CROWDED, _LARGEST_TWICE = 3 * _N_VECTORS, 20_000
_RESIDUAL = 1e-6
"""What an eigenpair may leave of ``A v - lambda v``, relative to lambda, to be believed."""
_LARGEST_FALLBACK = 8192
"""The most units of which all eigenvalues are computed where ARPACK finds none."""
_N_PRODUCTS = 2000


def largest_modulus(matrix: Tensor | csr_array) -> float:
    """Return the largest modulus of an eigenvalue.

    Args:
        matrix: Square and finite: a tensor, or a matrix of scipy.sparse.
    """
    if isinstance(matrix, Tensor):
        found = matrix.detach()
        if len(found) <= LARGEST_DENSE:
            return float(torch.linalg.eigvals(found.double()).abs().max())
        values = found.cpu().double().numpy()
        if _is_one_dense_part(values):
            return _iterated(values)
        from scipy.sparse import csr_array

        matrix = csr_array(values)
    return _of_entries(matrix.astype(np.float64))


def _is_one_dense_part(values: Real) -> bool:
    """Whether most entries are there, and lead from every unit to every other one."""
    there = values != 0
    if np.count_nonzero(there) < _SPARSE_BELOW * values.size:
        return False
    for leads in (there, there.T):
        reached, n_before = leads[:, 0], -1
        # Dense as it is, two or three steps reach all that can be reached.
        while reached.sum() > n_before:
            n_before = reached.sum()
            reached = reached | leads[:, reached].any(axis=1)
        if not reached.all():
            return False
    return True


def _of_entries(matrix: csr_array) -> float:
    """Return that of a matrix by its strongly connected parts, whose eigenvalues are all it has."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    entries = matrix.tocoo()
    there = entries.data != 0
    rows, columns, data = entries.row[there], entries.col[there], entries.data[there]
    pattern = csr_array((np.ones(len(data)), (rows, columns)), shape=matrix.shape)
    _, part = connected_components(pattern, directed=True, connection="strong")
    # What leads from one part into another is on no loop, and no eigenvalue depends on it.
    within = part[rows] == part[columns]
    rows, columns, data = rows[within], columns[within], data[within]
    if not len(data):
        return 0.0
    in_loops, places = np.unique(np.concatenate([rows, columns]), return_inverse=True)
    ends = places[: len(rows)], places[len(rows) :]
    n = len(in_loops)
    loops = csr_array((data, ends), shape=(n, n))
    return _by_all(loops.toarray()) if n <= LARGEST_DENSE else _iterated(loops)


def _by_all(values: Real) -> float:
    return float(torch.linalg.eigvals(torch.from_numpy(values)).abs().max())


def _iterated(matrix: Any) -> float:
    """Return that of a large matrix by ARPACK, or as it can be had where that finds none."""
    found, n_products = _by_arpack(matrix, seed=0)
    crowded = n_products > _CROWDED and matrix.shape[0] <= _LARGEST_TWICE
    if found is not None and crowded:
        again, _ = _by_arpack(matrix, seed=1)
        # What one start missed and the other found is the larger.
        found = None if again is None else max(found, again)
    return _without_arpack(matrix) if found is None else found


def _by_arpack(matrix: Any, seed: int) -> tuple[float | None, int]:
    """Return the largest modulus that ARPACK finds, None if none, and its number of products."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

    n_products = 0

    def product(vector: Real) -> Real:
        nonlocal n_products
        n_products += 1
        result: Real = matrix @ vector
        return result

    # The same start each time, so that the same matrix gives the same number.
    start = np.random.default_rng(seed).standard_normal(matrix.shape[0])
    try:
        values, vectors = eigs(
            LinearOperator(matrix.shape, matvec=product, dtype=np.float64),
            k=1,
            which="LM",
            v0=start,
            ncv=_N_VECTORS,
            maxiter=_MOST_RESTARTS,
            tol=_TOLERANCE,
        )
    except ArpackError:
        return None, n_products
    value, vector = values[0], vectors[:, 0]
    left = np.linalg.norm(matrix @ vector - value * vector)
    # Of a matrix without a loop that matters the value is rounding, and so is what is left.
    scale = float(np.abs(matrix.data if hasattr(matrix, "nnz") else matrix).max())
    if left > _RESIDUAL * max(abs(value), np.finfo(float).eps * scale):
        return None, n_products
    return float(abs(value)), n_products


def _without_arpack(matrix: Any) -> float:
    """Return it where ARPACK finds none, as of a ring, whose eigenvalues are all as large."""
    # A ring of 8,192 units takes a minute so; one of 100,000 would take a month.
    n = matrix.shape[0]
    if n <= _LARGEST_FALLBACK:
        return _by_all(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
    warnings.warn(
        f"the spectral radius of {n} units is an estimate, by how fast {_N_PRODUCTS} products"
        " with the weight grow: ARPACK found no largest eigenvalue.",
        stacklevel=2,
    )
    vector = np.random.default_rng(0).standard_normal(n)
    growth = []
    for _ in range(_N_PRODUCTS):
        vector = matrix @ vector
        size = np.linalg.norm(vector)
        if not size:
            return 0.0
        growth.append(np.log(size))
        vector /= size
    return float(np.exp(np.mean(growth[_N_PRODUCTS // 2 :])))
