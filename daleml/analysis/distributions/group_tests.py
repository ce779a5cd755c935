"""Tests that groups are of one distribution, and that their pairs are equally often connected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from daleml.analysis.distributions import clusters as nested
from daleml.analysis.distributions import permutation
from daleml.analysis.distributions.clusters import Clusters
from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.group_verdicts import (
    LEAST,
    SameConnection,
    SameDistribution,
)
from daleml.analysis.distributions.p_values import at_floor
from daleml.analysis.distributions.permutation import Codes
from daleml.analysis.distributions.scores import standard_scores
from daleml.analysis.distributions.weight_fit import WeightFit

# With so many values of every group, the chi-squared distribution holds to within 1 % of its
# level.
_LARGE = 100

# Labels of more values in large groups are not shuffled: chance is known well enough.
_ROWS = 50_000

# All shuffles together move at most so many numbers, but there are always so many shuffles.
_WORK = 1e9
_FEWEST = 199


def taking_part(sizes: Mapping[str, int]) -> list[str]:
    """Return the groups that are tested, by their numbers of values alone.

    Groups of fewer than five values say little of themselves, and are left out where at least
    two others hold most of the values. Else they are what there is, as many axons with four
    synapses each are, and those of two values or more take part.
    """
    # It must not depend on the values, or the level of the test would not hold.
    large = [name for name, size in sizes.items() if size >= LEAST]
    held = sum(sizes[name] for name in large)
    if len(large) > 1 and 2 * held >= sum(sizes.values()):
        return large
    return [name for name, size in sizes.items() if size > 1]


class _Found(NamedTuple):
    """The outcome of a test of groups, before it has the name of a family."""

    p_value: float
    method: str
    n_shuffles: int = 0
    by_column: tuple[float, ...] = ()


def judge_strengths(
    fits: Sequence[WeightFit],
    values: Array,
    counts: Array,
    groups: Codes,
    apart: Sequence[Comparison | None],
    clusters: Clusters | None,
    n_shuffles: int,
    rng: np.random.Generator,
) -> dict[str, SameDistribution]:
    """Test under each family that groups have the same parameters.

    Args:
        fits: Of all values together, one per family.
        values: The magnitudes.
        counts: How often each counts.
        groups: The group of each of the values.
        apart: The comparison of each group; None of one that cannot be fitted.
        clusters: The cluster of each value, if values lie in clusters.
        n_shuffles: Number of shuffles.
        rng: Where they are drawn from.

    Returns:
        By family, the test.
    """
    rows = _as_rows(counts)
    counted = counts
    if rows.size != groups.size:
        counted = np.ones(rows.size)
    tests = [standard_scores(fit, values, counts)[rows] for fit in fits]
    codes = groups[rows]
    if clusters is None or clusters.crossed:
        strata = None if clusters is None else clusters.of_value[rows]
        found = _by_rows(tests, codes, counted, strata, n_shuffles, rng)
    else:
        found = _by_clusters(
            tests, codes, clusters.of_value[rows], counted, n_shuffles, rng
        )
    results = {}
    large = _is_large(codes, counted)
    for fit, one in zip(fits, found, strict=True):
        statistic, freedom = _likelihood_ratio(fit, apart)
        if large and one.method == "shuffled labels":
            one = _in_the_tail(one, statistic, freedom)
        p_scale = p_shape = math.nan
        if one.by_column:
            p_scale = one.by_column[0]
        of_shape = one.by_column[1:]
        if of_shape:
            # The least of several p-values, by Bonferroni.
            p_shape = min(1.0, len(of_shape) * min(of_shape))
        results[fit.family] = SameDistribution(
            family=fit.family,
            statistic=statistic,
            freedom=freedom,
            p_value=one.p_value,
            method=one.method,
            n_shuffles=one.n_shuffles,
            p_strengths=one.p_value,
            p_scale=p_scale,
            p_shape=p_shape,
        )
    return results


def _by_rows(
    tests: Sequence[Array],
    groups: Codes,
    counts: Array,
    strata: Codes | None,
    n_shuffles: int,
    rng: np.random.Generator,
) -> list[_Found]:
    """Test rows that are independent, or independent within strata."""
    method = "shuffled within clusters"
    if strata is None:
        method = "shuffled labels"
        if not permutation.can_reject(np.bincount(groups).tolist()):
            return [_Found(math.nan, method)] * len(tests)
        if groups.size > _ROWS and _is_large(groups, counts):
            p_values = [_score_p(columns, groups, counts) for columns in tests]
            return [_Found(p, "score") for p in p_values]
    # Many rows are shuffled less often, but often enough to reject.
    work = groups.size * (1 + sum(columns.shape[1] for columns in tests))
    n = max(min(n_shuffles, int(_WORK / work)), min(n_shuffles, _FEWEST))
    counted = permutation.shuffled_labels(tests, groups, counts, n, rng, strata)
    return [_Found(p, method, n) for p in counted.tolist()]


def _by_clusters(
    tests: Sequence[Array],
    groups: Codes,
    clusters: Codes,
    counts: Array,
    n_shuffles: int,
    rng: np.random.Generator,
) -> list[_Found]:
    """Test clusters that lie in one group each."""
    sizes = np.bincount(nested.groups_of(groups, clusters)).tolist()
    method = "F test of clusters"
    n = 0
    if not nested.can_compare(sizes):
        return [_Found(math.nan, method)] * len(tests)
    if nested.by_shuffles(sizes):
        method = "shuffled clusters"
        n = n_shuffles
    found = nested.same_means(tests, groups, clusters, counts, n_shuffles, rng)
    return [_Found(p, method, n, by_column) for p, by_column in found]


def judge_connections(
    connected: Array,
    groups: Codes,
    names: Sequence[str],
    counts: Array,
    clusters: Clusters | None,
    n_shuffles: int,
    rng: np.random.Generator,
) -> SameConnection:
    """Test that pairs of all groups are connected with one probability.

    Args:
        connected: One or zero per pair.
        groups: The group of each pair.
        names: Of the groups.
        counts: How many pairs each stands for.
        clusters: The cluster of each pair, if they lie in clusters.
        n_shuffles: Number of shuffles.
        rng: Where they are drawn from.
    """
    n_connected = np.asarray(np.bincount(groups, counts * connected), dtype=np.float64)
    n_pairs = np.asarray(np.bincount(groups, counts), dtype=np.float64)
    columns = [connected[:, None]]
    found = _Found(math.nan, "shuffled labels")
    if clusters is not None and clusters.crossed:
        of_value = clusters.of_value
        found = _by_rows(columns, groups, counts, of_value, n_shuffles, rng)[0]
    elif clusters is not None:
        of_value = clusters.of_value
        found = _by_clusters(columns, groups, of_value, counts, n_shuffles, rng)[0]
    elif permutation.can_reject(np.round(n_pairs).astype(int).tolist()):
        p = permutation.same_fraction(
            np.round(n_connected), np.round(n_pairs), n_shuffles, rng
        )
        found = _Found(p, "shuffled labels", n_shuffles)
        ratio = _connection_ratio(n_connected, n_pairs)
        found = _in_the_tail(found, ratio, len(names) - 1)
    return SameConnection(
        dict(zip(names, n_connected.tolist(), strict=True)),
        dict(zip(names, n_pairs.tolist(), strict=True)),
        found.p_value,
        found.n_shuffles,
    )


# -- parts


def _as_rows(counts: Array) -> Codes:
    """Return the rows to take, each as often as it counts.

    Counts that are no whole numbers are no frequencies: each row is then taken once.
    """
    every = np.arange(counts.size)
    if not np.all(counts == np.round(counts)) or counts.sum() > 4 * _ROWS:
        return every
    return np.repeat(every, counts.astype(np.int64))


def _is_large(groups: Codes, counts: Array) -> bool:
    return float(np.bincount(groups, counts).min()) >= _LARGE


def _score_p(columns: Array, groups: Codes, counts: Array) -> float:
    """Return the p-value of the score statistic by its distribution in large samples.

    That holds whatever the truth is.
    """
    from scipy.special import chdtrc

    if not columns.shape[1]:
        return 1.0
    totals = np.bincount(groups, counts)
    sums = np.stack([np.bincount(groups, counts * column) for column in columns.T])
    freedom = columns.shape[1] * (totals.size - 1)
    return float(chdtrc(freedom, (sums**2 / totals).sum()))


def _likelihood_ratio(
    fit: WeightFit, apart: Sequence[Comparison | None]
) -> tuple[float, int]:
    """Return the likelihood ratio of the groups apart and together, and its freedom."""
    freedom = len(fit.params) * (len(apart) - 1)
    alone = 0.0
    for one in apart:
        if one is None:
            return math.nan, freedom
        alone += one[fit.family].log_likelihood
    ratio = 2 * (alone - fit.log_likelihood)
    if not math.isfinite(ratio):
        return math.nan, freedom
    return max(ratio, 0.0), freedom


def _in_the_tail(found: _Found, statistic: float, freedom: int) -> _Found:
    """Return a p-value by the chi-squared distribution, if it is too low to be counted.

    The chi-squared distribution must say so too.
    """
    from scipy.special import chdtrc

    if not at_floor(found.p_value, found.n_shuffles) or not math.isfinite(statistic):
        return found
    tail = float(chdtrc(freedom, statistic))
    return _Found(tail, "chi-squared") if tail < found.p_value else found


def _connection_ratio(n_connected: Array, n_pairs: Array) -> float:
    """Return the likelihood ratio of one probability against one per group."""
    from scipy.special import xlogy

    def log_likelihood(successes: Array, trials: Array) -> float:
        p = successes / trials
        terms = xlogy(successes, p) + xlogy(trials - successes, 1 - p)
        return float(np.sum(terms))

    apart = log_likelihood(n_connected, n_pairs)
    together = log_likelihood(
        n_connected.sum(keepdims=True), n_pairs.sum(keepdims=True)
    )
    return 2 * (apart - together)
