"""What was seen of a sample, and what its fit says of that.

The numbers behind the plots of distributions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.weight_fit import WeightFit


class Seen(NamedTuple):
    """Magnitudes in ascending order, the censored ones left out.

    Attributes:
        values: Above the threshold of censoring.
        counts: How often each was seen.
        below: Of each, how many are smaller, the censored ones among them.
        n_censored: How many were known only to be below the threshold.
        total: How many there are.
    """

    values: Array
    counts: Array
    below: Array
    n_censored: float
    total: float


def seen(fit: WeightFit) -> Seen:
    """Return what was seen of a fit's sample."""
    data = fit.observed.data
    values, counts = data.values, data.counts
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    return Seen(
        values,
        counts,
        data.n_censored + np.cumsum(counts) - counts,
        data.n_censored,
        data.total,
    )


def density(fit: WeightFit, w: ArrayLike) -> Array:
    """Return the fitted density of ln w of magnitudes that were seen."""
    w, data = np.asarray(w, dtype=np.float64), fit.observed.data
    with np.errstate(all="ignore"):  # far from the weights a density may underflow to 0
        heights = w * np.exp(
            fit.rule.logpdf(w, fit.values)
            - likelihood.log_seen(fit.rule, fit.values, data)
        )
    return np.where((w < data.low) | (w > data.high), 0.0, heights)


def share_between(fit: WeightFit, edges: Array) -> Array:
    """Return the fitted share of counts between each two edges, which lie halfway between whole numbers."""
    return np.diff(fit.seen_cdf(edges - 0.5))


def at_least(fit: WeightFit, w: ArrayLike) -> Array:
    r"""Return the fitted :math:`P(W \ge w)` of magnitudes that were seen."""
    w = np.asarray(w, dtype=np.float64)
    grid = fit.observation.grid
    return np.asarray(
        1 - fit.seen_cdf(w if grid is None else grid.floor(grid.below(w)))
    )


def quantile(fit: WeightFit, levels: Array) -> Array:
    """Return the fitted quantiles of magnitudes that were seen."""
    low, high = fit.observation.low, fit.observation.high
    grid = fit.observation.grid
    law = fit.distribution() if fit.rule.needs_bound else None

    def below(end: float) -> float:
        return (
            float(law.cdf(end))
            if law is not None
            else math.exp(float(fit.rule.logcdf(np.asarray(end), fit.values)))
        )

    ends = below(low) if low > 0 else 0.0, below(high) if high < math.inf else 1.0
    inside = ends[0] + levels * (ends[1] - ends[0])
    found = (
        fit.rule.ppf(inside, fit.values) if law is None else np.asarray(law.ppf(inside))
    ).clip(low, high)
    if grid is None:
        return np.asarray(found)
    return np.asarray(
        np.maximum(grid.rounded(found), grid.ceil(low))
        if low > 0
        else grid.rounded(found)
    )


def band(fit: WeightFit, ranks: Array, n: float, level: float) -> tuple[Array, Array]:
    """Return between what the values of these ranks, 1 the smallest, would lie in samples of ``n`` drawn from a fit."""
    # The same numbers as `scipy.stats.beta.ppf`, without the second it takes to import that.
    from scipy.special import betaincinv

    lower: Array = np.asarray(betaincinv(ranks, n + 1 - ranks, (1 - level) / 2), float)
    upper: Array = np.asarray(betaincinv(ranks, n + 1 - ranks, (1 + level) / 2), float)
    return quantile(fit, lower), quantile(fit, upper)
