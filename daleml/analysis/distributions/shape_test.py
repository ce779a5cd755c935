"""Whether two samples are of one shape, whatever their scale.

One test of several measures, by shuffling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from daleml.analysis.distributions.families.family import Array

LEVELS = (np.arange(500) + 0.5) / 500
"""Levels at which quantiles are compared."""

MEASURES = ("log_sd", "gini", "log_skewness")
"""Measures of a shape that are free of scale."""

# values of both samples, beyond which they are counted in bins before they are shuffled
_TOGETHER = 4_000
_BINS = 512
_CELLS = 400_000  # numbers that a batch of shuffles takes at once
_FEW_TIES = 0.9  # share of values that are different: of fewer, the others were rounded to be equal
_SAME = 1e-6  # relative: values no farther apart are one value
# over which the count of a value is spread, where there are too many to spread one by one
_PARTS = 8
_TIE = 1e-9

Measured = tuple[Array, Array]


class ShapeTest(NamedTuple):
    """What was found.

    Attributes:
        p_value: Of the test that both samples are of one shape.
        p_values: By measure, and by ``qq_distance``, of the difference in it: so that of all of
            them together one in twenty samples of one shape has any below 5 %.
        n_shuffles: Number of shuffles they were counted from.
    """

    p_value: float
    p_values: dict[str, float]
    n_shuffles: int


def measure(w: Array, counts: Array) -> tuple[dict[str, float], Array]:
    """Return the measures of sorted values, each seen ``counts`` times, and quantiles of their centred logarithms."""
    n, logs = counts.sum(), np.log(w)
    centred = logs - counts @ logs / n
    sd = np.sqrt(counts @ centred**2 / n)
    skewness = counts @ centred**3 / n / sd**3 if sd > 0 else 0.0
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
    first: Measured, second: Measured, n_shuffles: int, rng: np.random.Generator
) -> ShapeTest:
    r"""Test that two samples are of one shape, whatever their scale.

    The values of both, each divided by the geometric mean of its sample, are put together and
    dealt anew. How far apart two samples lie by chance in each of the measures, and in their
    quantiles, is counted over all ways they were dealt; the test asks how often any of the four
    lies as far out among its own as the one farthest out does here.

    Args:
        first: Sorted values, and how often each was seen.
        second: Likewise.
        n_shuffles: How often they are dealt.
        rng: Where that is drawn from.

    References:
        Westfall & Young 1993, Resampling-Based Multiple Testing (the smallest p-value and its
        chance).
    """
    spread = [_between_steps(w, counts, rng) for w, counts in (first, second)]
    sides = [
        (w / np.exp(counts @ np.log(w) / counts.sum()), counts) for w, counts in spread
    ]
    alone = all(np.all(counts == 1) for _, counts in sides)
    n_values = sum(w.size for w, _ in sides)
    dealt = _by_value if alone and n_values <= _TOGETHER else _by_bin
    gaps = np.concatenate([_gaps(*sides)[None], dealt(sides, n_shuffles, rng)])
    # of each measure, how many of all ways lie at least as far out; the data are the first of them
    ranks = np.stack([_as_far(column) for column in gaps.T], axis=1) / gaps.shape[0]
    smallest = ranks.min(axis=1)

    def chance(p: float) -> float:
        return float(np.count_nonzero(smallest <= p * (1 + _TIE)) / smallest.size)

    by_measure = {
        name: chance(p)
        for name, p in zip((*MEASURES, "qq_distance"), ranks[0], strict=True)
    }
    return ShapeTest(chance(smallest[0]), by_measure, n_shuffles)


def _between_steps(w: Array, counts: Array, rng: np.random.Generator) -> Measured:
    """Return values that were rounded, or counted, spread at random over all that each may stand for.

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
        w, counts = np.repeat(w, counts.astype(np.int64)), np.ones(int(total))
        places = rng.random(w.size)
    else:
        w, counts = np.repeat(w, _PARTS), np.repeat(counts / _PARTS, _PARTS)
        places = (np.tile(np.arange(_PARTS), w.size // _PARTS) + 0.5) / _PARTS
    spread = np.maximum(w + step * (places - 0.5), w / 2)
    order = np.argsort(spread)
    return spread[order], counts[order]


def _as_far(gaps: Array) -> Array:
    """Return for each gap how many are at least as large, but for rounding."""
    ordered = np.sort(gaps)
    return np.asarray(
        gaps.size - np.searchsorted(ordered, gaps * (1 - _TIE), side="left")
    )


def _gaps(first: Measured, second: Measured) -> Array:
    one, other = measure(*first), measure(*second)
    by_measure = [abs(one[0][name] - other[0][name]) for name in MEASURES]
    return np.array([*by_measure, np.abs(one[1] - other[1]).mean()])


def _by_value(
    sides: list[Measured], n_shuffles: int, rng: np.random.Generator
) -> Array:
    """Deal values one by one."""
    logs = np.log(np.concatenate([w for w, _ in sides]))
    n = sides[0][0].size
    batch = max(1, _CELLS // max(logs.size, LEVELS.size))
    found = []
    for done in range(0, n_shuffles, batch):
        dealt = rng.permuted(np.tile(logs, (min(batch, n_shuffles - done), 1)), axis=1)
        one, other = _measures(dealt[:, :n]), _measures(dealt[:, n:])
        by_measure = [np.abs(a - b) for a, b in zip(one[0], other[0], strict=True)]
        found.append(
            np.stack([*by_measure, np.abs(one[1] - other[1]).mean(axis=1)], axis=1)
        )
    return np.concatenate(found)


def _measures(logs: Array) -> tuple[list[Array], Array]:
    """Return the measures of many samples of logarithms, a row each, and their quantiles."""
    n = logs.shape[1]
    logs = np.sort(logs, axis=1)
    centred = logs - logs.mean(axis=1, keepdims=True)
    sd = np.sqrt((centred**2).mean(axis=1))
    skewness = (centred**3).mean(axis=1) / np.where(sd > 0, sd, 1.0) ** 3
    sizes = np.exp(logs - logs[:, -1:])
    gini = 2 * (sizes @ (np.arange(n) + 0.5)) / (n * sizes.sum(axis=1)) - 1
    quantiles = centred[
        :, np.minimum(np.searchsorted(np.arange(1, n + 1), LEVELS * n), n - 1)
    ]
    return [sd, gini, skewness], quantiles


def _by_bin(sides: list[Measured], n_shuffles: int, rng: np.random.Generator) -> Array:
    """Deal values that are counted in bins, or that count more than once."""
    logs = np.concatenate([np.log(w) for w, _ in sides])
    counts = np.concatenate([counts for _, counts in sides])
    values, counts = _binned(logs, counts)
    n_first = round(float(sides[0][1].sum()))
    deal = _dealer(counts, n_first, n_shuffles, rng)
    found = []
    for first, second in deal():
        found.append(_gaps(_seen(values, first), _seen(values, second)))
    return np.array(found)


def _binned(logs: Array, counts: Array) -> Measured:
    """Return values, sorted, and their counts.

    One a bin, at its mean logarithm, where there are many.
    """
    different, places = np.unique(logs, return_inverse=True)
    places = places.reshape(-1)
    if different.size > _BINS:
        width = (different[-1] - different[0]) / _BINS
        places = np.minimum(((logs - different[0]) / width).astype(np.intp), _BINS - 1)
    total = np.asarray(np.bincount(places, counts), dtype=np.float64)
    sums = np.bincount(places, counts * logs)
    there = total > 0
    return np.exp(sums[there] / total[there]), total[there]


def _dealer(
    counts: Array, n_first: int, n_shuffles: int, rng: np.random.Generator
) -> Callable[[], list[tuple[Array, Array]]]:
    whole = np.round(counts).astype(np.int64)
    if np.allclose(whole, counts, rtol=1e-9, atol=1e-9):
        drawn = rng.multivariate_hypergeometric(
            whole, n_first, size=n_shuffles, method="marginals"
        )
        return lambda: [
            (one.astype(np.float64), (whole - one).astype(np.float64)) for one in drawn
        ]
    # sample weights that are no numbers of times: both are drawn from all of them
    shares, n_second = counts / counts.sum(), round(float(counts.sum())) - n_first
    firsts, seconds = (
        rng.multinomial(n, shares, size=n_shuffles).astype(np.float64)
        for n in (n_first, n_second)
    )
    return lambda: list(zip(firsts, seconds, strict=True))


def _seen(values: Array, counts: Array) -> Measured:
    there = counts > 0
    return values[there], counts[there]
