"""The test whether two samples are of one shape, whatever their scale.

It puts several measures together, and counts their chance by shuffling.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from daleml.analysis.distributions.families.parameter_kinds import Array

LEVELS = (np.arange(500) + 0.5) / 500
"""Levels at which quantiles are compared."""

MEASURES = ("log_sd", "gini", "log_skewness")
"""Measures of a shape that are free of scale."""

# More values of both samples are counted in so many bins before they are shuffled.
_TOGETHER = 4_000
_BINS = 512

# A batch of shuffles takes so many numbers at once.
_CELLS = 400_000

# If a smaller fraction of the values is distinct, the others were rounded to be equal.
_FEW_TIES = 0.9

# Values that differ by less than this fraction are one value.
_SAME = 1e-6

# The count of a value is spread over so many parts, where there are too many values to spread
# one by one.
_PARTS = 8

# Equal but for rounding, relatively this much, counts as equal.
_TIE = 1e-9

CountedValues: TypeAlias = tuple[Array, Array]
"""Sorted values, and how often each was seen."""


class ShapeTest(NamedTuple):
    """The result of a test that two samples are of one shape.

    Attributes:
        p_value: Of the test that both samples are of one shape.
        p_values: By measure, and by ``qq_distance``, of the difference in it: so that of all of
            them together one in twenty samples of one shape has any below 5 %.
        n_shuffles: Number of shuffles they were counted from.
    """

    p_value: float
    p_values: dict[str, float]
    n_shuffles: int


def measure_shape(w: Array, counts: Array) -> tuple[dict[str, float], Array]:
    """Return the measures of sorted values, and quantiles of their centred logarithms.

    Each value was seen ``counts`` times.
    """
    n = counts.sum()
    logs = np.log(w)
    centred = logs - counts @ logs / n
    sd = np.sqrt(counts @ centred**2 / n)
    skewness = 0.0
    if sd > 0:
        skewness = counts @ centred**3 / n / sd**3
    below = np.cumsum(counts)
    sizes = counts * (w / w[-1])
    gini = 2 * float(sizes @ (below - counts / 2)) / (n * sizes.sum()) - 1
    quantiles = centred[np.minimum(np.searchsorted(below, LEVELS * n), w.size - 1)]
    return {
        "log_sd": float(sd),
        "gini": gini,
        "log_skewness": float(skewness),
    }, quantiles


def same_shape(
    first: CountedValues,
    second: CountedValues,
    n_shuffles: int,
    rng: np.random.Generator,
) -> ShapeTest:
    r"""Test that two samples are of one shape, whatever their scale.

    The values of both, each divided by the geometric mean of its sample, are put together and
    dealt anew. How far apart two samples lie by chance in each of the measures, and in their
    quantiles, is counted over all ways they were dealt; the test asks how often any of the four
    lies as far out among its own as the one farthest out does here.

    Args:
        first: Sorted values, and how often each was seen.
        second: Sorted values of the other, and how often each was seen.
        n_shuffles: How often they are dealt.
        rng: Where that is drawn from.

    References:
        Westfall & Young 1993, Resampling-Based Multiple Testing (the smallest p-value and its
        chance).
    """
    one = _scaled(*_between_steps(*first, rng))
    other = _scaled(*_between_steps(*second, rng))
    alone = bool(np.all(one[1] == 1) and np.all(other[1] == 1))
    if alone and one[0].size + other[0].size <= _TOGETHER:
        dealt = _by_value(one, other, n_shuffles, rng)
    else:
        dealt = _by_bin(one, other, n_shuffles, rng)
    gaps = np.concatenate([_gaps(one, other)[None], dealt])
    # Of each measure, how many of all ways lie at least as far out; the data come first.
    ranks = np.stack([_as_far(column) for column in gaps.T], axis=1) / gaps.shape[0]
    smallest = ranks.min(axis=1)

    def chance(p: float) -> float:
        return float(np.count_nonzero(smallest <= p * (1 + _TIE)) / smallest.size)

    names = (*MEASURES, "qq_distance")
    by_measure = dict(zip(names, map(chance, ranks[0]), strict=True))
    return ShapeTest(chance(smallest[0]), by_measure, n_shuffles)


def _scaled(w: Array, counts: Array) -> CountedValues:
    """Return values divided by their geometric mean."""
    return w / np.exp(counts @ np.log(w) / counts.sum()), counts


def _between_steps(w: Array, counts: Array, rng: np.random.Generator) -> CountedValues:
    """Return rounded or counted values spread at random over what each may stand for.

    Two samples on one grid, each divided by its own mean, lie on two grids, whose distance is
    no difference of shape.
    """
    different = np.unique(w).astype(np.float64)
    total = counts.sum()
    if different.size > _FEW_TIES * total or different.size < 2:
        return w, counts
    gaps = np.diff(different)
    step = gaps[gaps > _SAME * different[1:]].min(initial=np.inf)
    if not np.isfinite(step):
        return w, counts
    if np.all(counts == np.round(counts)) and total <= _TOGETHER:
        w = np.repeat(w, counts.astype(np.int64))
        counts = np.ones(int(total))
        positions = rng.random(w.size)
    else:
        positions = (np.tile(np.arange(_PARTS), w.size) + 0.5) / _PARTS
        w = np.repeat(w, _PARTS)
        counts = np.repeat(counts / _PARTS, _PARTS)
    spread = np.maximum(w + step * (positions - 0.5), w / 2)
    order = np.argsort(spread)
    return spread[order], counts[order]


def _as_far(gaps: Array) -> Array:
    """Return for each gap how many are at least as large, but for rounding."""
    ordered = np.sort(gaps)
    return np.asarray(
        gaps.size - np.searchsorted(ordered, gaps * (1 - _TIE), side="left")
    )


def _gaps(first: CountedValues, second: CountedValues) -> Array:
    """Return how far apart two samples lie, in each measure and in their quantiles."""
    one, quantiles = measure_shape(*first)
    other, other_quantiles = measure_shape(*second)
    gaps = [abs(one[name] - other[name]) for name in MEASURES]
    return np.array([*gaps, np.abs(quantiles - other_quantiles).mean()])


def _by_value(
    first: CountedValues,
    second: CountedValues,
    n_shuffles: int,
    rng: np.random.Generator,
) -> Array:
    """Deal values one by one."""
    logs = np.log(np.concatenate([first[0], second[0]]))
    n = first[0].size
    batch = max(1, _CELLS // max(logs.size, LEVELS.size))
    found = []
    for done in range(0, n_shuffles, batch):
        dealt = rng.permuted(np.tile(logs, (min(batch, n_shuffles - done), 1)), axis=1)
        one, quantiles = _measures(dealt[:, :n])
        other, other_quantiles = _measures(dealt[:, n:])
        distances = np.abs(quantiles - other_quantiles).mean(axis=1, keepdims=True)
        found.append(np.concatenate([np.abs(one - other), distances], axis=1))
    return np.concatenate(found)


def _measures(logs: Array) -> tuple[Array, Array]:
    """Return the measures of many samples of logarithms, one per row, and their quantiles."""
    n = logs.shape[1]
    logs = np.sort(logs, axis=1)
    centred = logs - logs.mean(axis=1, keepdims=True)
    sd = np.sqrt((centred**2).mean(axis=1))
    skewness = (centred**3).mean(axis=1) / np.where(sd > 0, sd, 1.0) ** 3
    sizes = np.exp(logs - logs[:, -1:])
    gini = 2 * (sizes @ (np.arange(n) + 0.5)) / (n * sizes.sum(axis=1)) - 1
    ranks = np.minimum(np.searchsorted(np.arange(1, n + 1), LEVELS * n), n - 1)
    return np.stack([sd, gini, skewness], axis=1), centred[:, ranks]


def _by_bin(
    first: CountedValues,
    second: CountedValues,
    n_shuffles: int,
    rng: np.random.Generator,
) -> Array:
    """Deal values that are counted in bins, or that count more than once."""
    logs = np.concatenate([np.log(first[0]), np.log(second[0])])
    counts = np.concatenate([first[1], second[1]])
    values, counts = _binned(logs, counts)
    n_first = round(float(first[1].sum()))
    found = []
    for one, other in _deal(counts, n_first, n_shuffles, rng):
        found.append(_gaps(_seen(values, one), _seen(values, other)))
    return np.array(found)


def _binned(logs: Array, counts: Array) -> CountedValues:
    """Return values, sorted, and their counts.

    Where there are many, there is one per bin, at its mean logarithm.
    """
    different, bins = np.unique(logs, return_inverse=True)
    bins = bins.reshape(-1)
    if different.size > _BINS:
        width = (different[-1] - different[0]) / _BINS
        bins = np.minimum(((logs - different[0]) / width).astype(np.intp), _BINS - 1)
    total = np.asarray(np.bincount(bins, counts), dtype=np.float64)
    sums = np.bincount(bins, counts * logs)
    there = total > 0
    return np.exp(sums[there] / total[there]), total[there]


def _deal(
    counts: Array, n_first: int, n_shuffles: int, rng: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """Yield the counts of two samples, dealt anew from those of both together."""
    whole = np.round(counts).astype(np.int64)
    if np.allclose(whole, counts, rtol=1e-9, atol=1e-9):
        drawn = rng.multivariate_hypergeometric(
            whole, n_first, size=n_shuffles, method="marginals"
        )
        for one in drawn:
            yield one.astype(np.float64), (whole - one).astype(np.float64)
        return
    # Sample weights that are no numbers of times: both are drawn from all of them.
    fractions = counts / counts.sum()
    n_second = round(float(counts.sum())) - n_first
    firsts = rng.multinomial(n_first, fractions, size=n_shuffles).astype(np.float64)
    seconds = rng.multinomial(n_second, fractions, size=n_shuffles).astype(np.float64)
    yield from zip(firsts, seconds, strict=True)


def _seen(values: Array, counts: Array) -> CountedValues:
    there = counts > 0
    return values[there], counts[there]
