"""Tests that groups are alike, by shuffling their labels; right for groups of any size."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.p_values import LEVEL

# A batch of shuffles takes so many numbers at once, which stay in cache.
_CELLS = 400_000

# Statistics of the same partition differ by rounding, relatively this much.
_TIE = 1e-9

Codes = NDArray[np.intp]


def generator_for(rng: int | np.random.Generator, *data: Array) -> np.random.Generator:
    """Return the generator of the shuffles of some data.

    It is the same for the same data and seed, and another for other data. The same shuffles for
    all data would not do: of sorted values, each shuffle always picks the same ranks, and how
    far out the data lie among them has a distribution of its own for every seed.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    # A checksum of the data, so that equal data have equal shuffles.
    mark = 0
    for array in data:
        mark = zlib.crc32(np.ascontiguousarray(array, dtype=np.float64).tobytes(), mark)
    return np.random.default_rng([rng, mark])


def shuffled_labels(
    tests: Sequence[Array],
    groups: Codes,
    counts: Array,
    n_shuffles: int,
    rng: np.random.Generator,
    strata: Codes | None = None,
) -> Array:
    r"""Test whether groups have the same mean in every column.

    .. math:: T = \sum_g \frac{\left|\sum_{i \in g} u_i\right|^2}{n_g}, \qquad
              p = \frac{1 + \#\{b : T_b \ge T\}}{1 + B}

    where the :math:`T_b` are of shuffled labels. If labels mean nothing, every order of them is
    as likely as the one there is, so that :math:`p` is right for groups of any size, and for
    values of any distribution.

    Args:
        tests: One array per test, with a row per value and a column per quantity, which has
            mean 0 and variance 1.
        groups: The group of each value, numbered from 0.
        counts: How much each value counts; it keeps that, wherever its label goes.
        n_shuffles: Number of shuffles, :math:`B`. They are the same for all tests.
        rng: Where they are drawn from.
        strata: What each value lies in; labels are shuffled within each only. Default: among all.

    Returns:
        The p-value of each test.
    """
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    columns = np.concatenate(tests, axis=1)
    if strata is not None:
        columns = _less_their_means(columns, strata)
        strata = strata[order]
    weights = counts[:, None]
    weighted = np.concatenate([columns * weights, weights], axis=1)[order]
    edges = np.cumsum([0, *(test.shape[1] for test in tests)])

    def statistics(shuffles: NDArray[np.intp]) -> Array:
        sums = np.add.reduceat(weighted[shuffles], starts, axis=1)
        by_column = (sums[..., :-1] ** 2 / sums[..., -1:]).sum(axis=1)
        by_test = []
        for low, high in itertools.pairwise(edges):
            by_test.append(by_column[:, low:high].sum(axis=1))
        return np.stack(by_test, axis=1)

    observed = statistics(np.arange(groups.size)[None])[0]
    as_far = np.zeros(len(tests))
    for shuffles in _shuffles(groups.size, weighted.shape[1], n_shuffles, rng, strata):
        as_far += (statistics(shuffles) >= observed - _TIE * (1 + observed)).sum(axis=0)
    return np.asarray((1 + as_far) / (1 + n_shuffles))


def _less_their_means(columns: Array, strata: Codes) -> Array:
    """Return columns less their mean in each stratum.

    Only differences within a stratum say anything of groups.
    """
    sizes = np.maximum(np.bincount(strata), 1)
    sums = np.stack([np.bincount(strata, column) for column in columns.T], axis=1)
    means = sums / sizes[:, None]
    return np.asarray(columns - means[strata])


def _shuffles(
    size: int,
    width: int,
    n_shuffles: int,
    rng: np.random.Generator,
    strata: Codes | None,
) -> Iterator[NDArray[np.intp]]:
    """Yield orders of all values, a batch at a time; no value leaves its stratum."""
    batch = max(1, _CELLS // (size * width))
    by_stratum = np.empty(0, dtype=np.intp)
    if strata is not None:
        by_stratum = np.argsort(strata, kind="stable")
    for done in range(0, n_shuffles, batch):
        n = min(batch, n_shuffles - done)
        if strata is not None:
            # Sorting random keys, each plus the number of its stratum, shuffles within strata.
            keys = rng.random((n, size)) + strata[by_stratum]
            shuffles = np.empty((n, size), dtype=np.intp)
            shuffles[:, by_stratum] = by_stratum[np.argsort(keys, axis=1)]
            yield shuffles
        elif n > 1:
            yield rng.permuted(np.tile(np.arange(size), (n, 1)), axis=1)
        else:
            yield rng.permutation(size)[None]


def n_arrangements(sizes: Sequence[int]) -> float:
    """Return in how many ways values can be dealt to groups of these sizes.

    Groups of one size can change places.
    """
    logs = math.lgamma(sum(sizes) + 1)
    logs -= sum(math.lgamma(size + 1) for size in sizes)
    logs -= sum(math.lgamma(sizes.count(size) + 1) for size in set(sizes))
    return math.exp(min(logs, 700.0))


def can_reject(sizes: Sequence[int]) -> bool:
    """Say whether groups of these sizes can ever have a p-value below the level."""
    return n_arrangements(sizes) * LEVEL > 1 - _TIE


def same_fraction(
    successes: Array, totals: Array, n_shuffles: int, rng: np.random.Generator
) -> float:
    r"""Return the p-value of the test that groups have one probability of success.

    The statistic is Pearson's :math:`\chi^2`, and its chance is counted.

    Args:
        successes: Number of successes of each group, whole.
        totals: Number of trials of each group, whole.
        n_shuffles: Number of tables drawn with the same margins.
        rng: Where they are drawn from.
    """
    fraction = successes.sum() / totals.sum()
    if not 0 < fraction < 1:
        return 1.0
    tables = rng.multivariate_hypergeometric(
        totals.astype(np.int64),
        int(successes.sum()),
        size=n_shuffles,
        method="marginals",
    )
    expected = fraction * totals
    statistics = ((tables - expected) ** 2 / totals).sum(axis=1)
    observed = float(((successes - expected) ** 2 / totals).sum())
    as_far = (statistics >= observed * (1 - _TIE)).sum()
    return float((1 + as_far) / (1 + n_shuffles))
