"""The numbers behind the plots of distributions: a fit's sample, and what the fit says of it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.weight_fit import WeightFit


class PlottedSample(NamedTuple):
    """Magnitudes in ascending order, the censored ones left out.

    Attributes:
        values: Those above the threshold of censoring.
        counts: How often each was seen.
        below: For each, how many are smaller, the censored ones among them.
        n_censored: How many were known only to be below the threshold.
        total: How many there are.
    """

    values: Array
    counts: Array
    below: Array
    n_censored: float
    total: float


def sample_of(fit: WeightFit) -> PlottedSample:
    """Return what was seen of a fit's sample."""
    data = fit.observed.data
    order = np.argsort(data.values, kind="stable")
    values, counts = data.values[order], data.counts[order]
    below = data.n_censored + np.cumsum(counts) - counts
    return PlottedSample(values, counts, below, data.n_censored, data.total)


def density(fit: WeightFit, w: ArrayLike) -> Array:
    """Return the fitted density of ln w of magnitudes that were seen."""
    w = np.asarray(w, dtype=np.float64)
    data = fit.observed.data
    # Far from the weights a density may underflow to 0.
    with np.errstate(all="ignore"):
        log_seen = likelihood.log_seen(fit.rule, fit.values, data)
        densities = w * np.exp(fit.rule.logpdf(w, fit.values) - log_seen)
    return np.where((w < data.low) | (w > data.high), 0.0, densities)


def fraction_between(fit: WeightFit, edges: Array) -> Array:
    """Return the fitted fraction of counts between each two edges.

    The edges lie halfway between whole numbers.
    """
    return np.diff(fit.seen_cdf(edges - 0.5))


def at_least(fit: WeightFit, w: ArrayLike) -> Array:
    r"""Return the fitted :math:`P(W \ge w)` of magnitudes that were seen."""
    w = np.asarray(w, dtype=np.float64)
    grid = fit.observation.grid
    # Among rounded values, those below w are at most the one that is next to it.
    if grid is not None:
        w = grid.floor(grid.below(w))
    return np.asarray(1 - fit.seen_cdf(w))


def quantile(fit: WeightFit, levels: Array) -> Array:
    """Return the fitted quantiles of magnitudes that were seen."""
    low, high = fit.observation.low, fit.observation.high
    # A family that begins at a bound is asked through its distribution, which knows the bound.
    law = fit.distribution() if fit.rule.needs_bound else None

    def below(end: float) -> float:
        if law is not None:
            return float(law.cdf(end))
        return math.exp(float(fit.rule.logcdf(np.asarray(end), fit.values)))

    first = below(low) if low > 0 else 0.0
    last = below(high) if high < math.inf else 1.0
    inside = first + levels * (last - first)
    if law is None:
        found = fit.rule.ppf(inside, fit.values)
    else:
        found = np.asarray(law.ppf(inside))
    found = found.clip(low, high)
    grid = fit.observation.grid
    if grid is None:
        return np.asarray(found)
    rounded = grid.rounded(found)
    if low > 0:
        rounded = np.maximum(rounded, grid.ceil(low))
    return np.asarray(rounded)


def band(fit: WeightFit, ranks: Array, n: float, level: float) -> tuple[Array, Array]:
    """Return between what the values of some ranks would lie in samples drawn from a fit.

    Args:
        fit: The fit.
        ranks: The ranks, 1 the smallest.
        n: The size of each sample.
        level: The fraction of samples whose value lies between.
    """
    # The same numbers as `scipy.stats.beta.ppf`, without the second it takes to import that.
    from scipy.special import betaincinv

    lower: Array = np.asarray(betaincinv(ranks, n + 1 - ranks, (1 - level) / 2), float)
    upper: Array = np.asarray(betaincinv(ranks, n + 1 - ranks, (1 + level) / 2), float)
    return quantile(fit, lower), quantile(fit, upper)
