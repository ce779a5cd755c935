"""Fits of more weights than memory should hold, and spectra of large sparse matrices."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from benchmarks.timing import Case
from daleml.analysis import fit_weights, spectrum
from daleml.analysis.distributions import streamed_data

Pair = tuple[Callable[[], object], Callable[[], object]]

_BOUND = 0.05


def by_chunks(n: int, work: Callable[[np.ndarray], object]) -> Callable[[], Pair]:
    """Compare what is computed by chunks with the same computed on all weights in memory."""

    def setup() -> Pair:
        x = np.random.default_rng(0).lognormal(-2, 1, n).astype(np.float32)
        x = x[x > _BOUND]

        def in_memory() -> object:
            limit = streamed_data.IN_MEMORY
            streamed_data.IN_MEMORY = x.size
            try:
                return work(x)
            finally:
                streamed_data.IN_MEMORY = limit

        return lambda: work(x), in_memory

    return setup


def fit(x: np.ndarray) -> object:
    """Fit a truncated log-normal."""
    return fit_weights(x, truncation=(_BOUND, None))


def distance(x: np.ndarray) -> object:
    """Fit it, and take the exact Kolmogorov-Smirnov distance."""
    return fit_weights(x, truncation=(_BOUND, None)).ks_distance()


def largest_singular_values() -> Pair:
    """Compare a spectrum of six singular values with scipy's, from the same start."""
    rng = np.random.default_rng(0)
    n, n_entries = 20_000, 1_000_000
    ends = rng.integers(0, n, n_entries), rng.integers(0, n, n_entries)
    matrix = sparse.csr_array((rng.lognormal(size=n_entries), ends), shape=(n, n))
    start = np.random.default_rng(0).standard_normal(n)
    return lambda: spectrum(matrix, k=6), lambda: linalg.svds(
        matrix, k=6, v0=start, return_singular_vectors=False
    )


CASES = [
    Case(
        "truncated log-normal fit, 5M weights",
        "the same in memory",
        by_chunks(5_000_000, fit),
        rounds=5,
        clock=time.process_time,
    ),
    Case(
        "truncated fit and its KS distance, 5M weights",
        "the same in memory",
        by_chunks(5_000_000, distance),
        rounds=5,
        clock=time.process_time,
    ),
    Case(
        "6 singular values of 20,000 square, 1M entries",
        "scipy svds",
        largest_singular_values,
        rounds=3,
        clock=time.process_time,
    ),
]
