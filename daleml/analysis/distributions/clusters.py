"""Groups of values that lie in clusters, such as spines in animals, compared by whole clusters.

Values of one cluster are alike, so they do not count as independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.p_values import LEVEL
from daleml.analysis.distributions.permutation import n_arrangements

Codes = NDArray[np.intp]

LEAST = 2
"""A group takes part that has at least so many clusters."""

# The number of clusters less that of groups is at least this: 3 and 3 animals can be compared,
# 2 and 2 cannot.
_LEAST_FREEDOM = 4

# Where clusters can be dealt to groups in so many ways, shuffling gives every p-value near 5 %.
_ENOUGH = 1_000

# Sums of squares below this are zero but for rounding.
_ZERO = 1e-300


@dataclass(frozen=True)
class Clusters:
    """The clusters in which values lie.

    Attributes:
        of_value: The cluster of each value, numbered from 0.
        names: Their names.
        what: What a cluster is, such as "animal".
        crossed: Names of the clusters that have values in more than one group.
    """

    of_value: Codes
    names: tuple[str, ...]
    what: str
    crossed: tuple[str, ...]


def find_clusters(labels: NDArray[Any], groups: Codes, what: str) -> Clusters:
    """Number the clusters of values, and see whether each lies in one group."""
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    codes = codes.reshape(-1)
    pairs = np.unique(np.stack([codes, groups]), axis=1)
    crossed = names[np.bincount(pairs[0], minlength=names.size) > 1]
    return Clusters(codes, tuple(names.tolist()), what, tuple(crossed.tolist()))


def means(columns: Array, counts: Array, clusters: Codes) -> Array:
    """Return the mean of each column in each cluster."""
    total = np.bincount(clusters, counts)
    sums = [np.bincount(clusters, counts * column) for column in columns.T]
    return np.asarray(np.stack(sums, axis=1) / total[:, None])


def groups_of(groups: Codes, clusters: Codes) -> Codes:
    """Return the group of each cluster, where each lies in one."""
    found = np.zeros(clusters.max() + 1, dtype=np.intp)
    found[clusters] = groups
    return found


def can_compare(sizes: Sequence[int]) -> bool:
    """Say whether groups of so many clusters can be compared at the level."""
    if len(sizes) < 2 or min(sizes) < LEAST:
        return False
    return sum(sizes) - len(sizes) >= _LEAST_FREEDOM


def same_means(
    tests: Sequence[Array],
    groups: Codes,
    clusters: Codes,
    counts: Array,
    n_shuffles: int,
    rng: np.random.Generator,
) -> list[tuple[float, tuple[float, ...]]]:
    r"""Test whether groups of clusters have the same means.

    Each cluster is one value, the mean of its own, however many those are. Each column has the
    F statistic of these values. Where clusters can be dealt to groups in 1,000 ways or more,
    the chance of the largest F is counted by dealing them anew; of fewer, it is that of the F
    distribution, by Bonferroni over the columns.

    Args:
        tests: One array per test, with a row per value and a column per quantity.
        groups: The group of each value.
        clusters: The cluster of each value; each lies in one group.
        counts: How much each value counts within its cluster.
        n_shuffles: How often clusters are dealt anew.
        rng: Where that is drawn from.

    Returns:
        By test, its p-value, and that of the F test of each column.
    """
    from scipy.special import fdtrc

    of_cluster = groups_of(groups, clusters)
    sizes = np.bincount(of_cluster)
    freedom = sizes.size - 1, of_cluster.size - sizes.size
    shuffles: list[Codes] = []
    if by_shuffles(sizes.tolist()):
        shuffles = [rng.permutation(of_cluster) for _ in range(n_shuffles)]
    found = []
    for columns in tests:
        values = means(columns, counts, clusters)
        ratios = _variance_ratios(values, of_cluster)
        by_column = np.asarray(fdtrc(*freedom, ratios))
        if shuffles:
            least = ratios.max(initial=0.0) * (1 - 1e-9)
            as_far = 0
            for labels in shuffles:
                largest = _variance_ratios(values, labels).max(initial=0.0)
                as_far += bool(largest >= least)
            p = (1 + as_far) / (1 + n_shuffles)
        else:
            p = min(1.0, by_column.size * float(by_column.min(initial=1.0)))
        found.append((p, tuple(by_column.tolist())))
    return found


def by_shuffles(sizes: Sequence[int]) -> bool:
    """Say whether :func:`same_means` counts the chance for groups of so many clusters."""
    return n_arrangements(sizes) >= _ENOUGH


class MedianRatio(NamedTuple):
    """The ratio of the medians of two groups of clusters, with its interval.

    Attributes:
        pair: Numbers of the two groups.
        medians: Of all groups: the geometric mean of the medians of their clusters.
        value: The second's over the first's.
        low: The lower end of the interval.
        high: The upper end.
    """

    pair: tuple[int, int]
    medians: tuple[float, ...]
    value: float
    low: float
    high: float


def median_ratio(
    logs: Array, groups: Codes, clusters: Clusters, n_pairs: int
) -> MedianRatio:
    """Compare the medians of clusters, by Student's t.

    Each cluster is one value, however many values it holds. Where clusters lie in one group
    each, the variance is that between the clusters of all groups; where they lie in several,
    that between the differences inside them. The level is 5 % over ``n_pairs`` such intervals.
    """
    from scipy.special import stdtrit

    pairs = np.stack([clusters.of_value, groups])
    keys, codes = np.unique(pairs, axis=1, return_inverse=True)
    codes = codes.reshape(-1)
    values = np.array([np.median(logs[codes == i]) for i in range(keys.shape[1])])
    n_groups = int(groups.max()) + 1
    centers = np.array([values[keys[1] == i].mean() for i in range(n_groups)])
    pair = (int(centers.argmin()), int(centers.argmax()))
    if n_groups == 2:
        pair = (0, 1)
    difference = float(centers[pair[1]] - centers[pair[0]])
    error = math.inf
    if clusters.crossed:
        differences = _in_both(keys, values, pair)
        freedom = differences.size - 1
        if differences.size:
            difference = float(differences.mean())
        if freedom > 0:
            error = float(differences.std(ddof=1)) / math.sqrt(differences.size)
    else:
        sizes = np.bincount(keys[1])
        freedom = values.size - n_groups
        inside = float(((values - centers[keys[1]]) ** 2).sum()) / max(freedom, 1)
        if freedom > 0:
            error = math.sqrt(inside * float((1 / sizes[list(pair)]).sum()))
    t = -float(stdtrit(max(freedom, 1), LEVEL / 2 / n_pairs))
    half_width = t * error
    return MedianRatio(
        pair,
        tuple(np.exp(centers).tolist()),
        _finite_exp(difference),
        _finite_exp(difference - half_width),
        _finite_exp(difference + half_width),
    )


def _finite_exp(value: float) -> float:
    return math.exp(min(max(value, -700.0), 700.0))


def _in_both(keys: NDArray[np.intp], values: Array, pair: tuple[int, int]) -> Array:
    """Return the differences between two groups in each cluster that has values of both."""
    clusters, groups = keys
    first = groups == pair[0]
    second = groups == pair[1]
    _, in_first, in_second = np.intersect1d(
        clusters[first], clusters[second], return_indices=True
    )
    return np.asarray(values[second][in_second] - values[first][in_first])


def _variance_ratios(values: Array, labels: Codes) -> Array:
    """Return the F statistic of each column."""
    sizes = np.bincount(labels)
    sums = np.stack([np.bincount(labels, column) for column in values.T], axis=1)
    centers = sums / sizes[:, None]
    squares = sizes[:, None] * (centers - values.mean(axis=0)) ** 2
    between = squares.sum(axis=0) / (sizes.size - 1)
    inside = ((values - centers[labels]) ** 2).sum(axis=0) / (labels.size - sizes.size)
    # Of equal values both are zero, and nothing speaks for a difference.
    zeros = np.zeros_like(between)
    return np.asarray(np.divide(between, inside, out=zeros, where=inside > _ZERO))
