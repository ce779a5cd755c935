"""Samples of which only intervals are known: each weight lies between two ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml.analysis.weights.real_numbers import numbers
from daleml.analysis.weights.sample import WeightSample
from daleml.analysis.weights.sampling import weight_sample

# To begin with, a weight without an upper end is taken to lie at so many times its lower end.
_BEYOND = 1.3


def interval_sample(
    low: ArrayLike, high: ArrayLike, *, sample_weights: ArrayLike | None = None
) -> WeightSample:
    r"""Return a sample of magnitudes that are known only to lie between two ends each.

    It is fitted like any other. Its likelihood is that of interval censoring,

    .. math:: \ln L = \sum_i \ln P(\mathrm{low}_i < W \le \mathrm{high}_i) ,

    with the density where both ends are equal.

    Args:
        low: The lower end of each; 0 where it is known only to be no larger than the upper one.
        high: The upper end; infinite where it is known only to be no smaller than the lower one.
        sample_weights: How often each counts; bins of a histogram count as often as their bars say.

    Returns:
        A sample for :func:`fit_weights` and :func:`compare_families`.

    Raises:
        ValueError: If the ends differ in number, are not in order, negative or missing; or if
            fewer than two intervals exclude anything.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights
        >>> weights = np.random.default_rng(0).lognormal(size=3000)
        >>> edges = np.array([0, 0.25, 0.5, 1, 2, 4, 8, np.inf])
        >>> bars, _ = np.histogram(weights, edges)  # as read off a published figure
        >>> sample = interval_sample(edges[:-1], edges[1:], sample_weights=bars)
        >>> print(fit_weights(sample).parameters_text())
        mu -0.03267 ± 0.018, sigma 0.9863 ± 0.014

    Notes:
        There is no goodness of fit of such a sample, since nobody knows what ends others like
        it would have.
    """
    lower = _column(low, "low")
    upper = _column(high, "high")
    if lower.size != upper.size:
        raise ValueError(
            f"`high` must be as many as `low`, {lower.size}; got {upper.size}."
        )
    wrong = ~((lower >= 0) & (lower <= upper) & (upper > 0) & (lower < np.inf))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            "`low` and `high` must be the ends of an interval above 0, in this order,"
            f" neither missing; got {lower[first]:g} and {upper[first]:g}."
        )
    empty = (lower == 0) & (upper == np.inf)
    if empty.any():
        raise ValueError(
            "`low` and `high` must not be 0 and infinite at once, which says nothing; got"
            f" {int(empty.sum())} such."
        )
    if sample_weights is not None:
        counts = _column(sample_weights, "sample_weights")
        counted = counts != 0
        # Empty bars are left out; a wrong number of them is refused with the sample.
        if counts.size == lower.size and counted.any():
            lower = lower[counted]
            upper = upper[counted]
            sample_weights = counts[counted]
    between = _between(lower, upper)
    sample = weight_sample(between, sample_weights=sample_weights)
    return replace(sample, intervals=(lower, upper))


def _column(values: ArrayLike, name: str) -> NDArray[np.float64]:
    return np.array(numbers(values, name), dtype=np.float64).reshape(-1)


def _between(
    lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a value inside each interval, from which a fit may begin."""
    bounded = np.where(upper < np.inf, upper, lower)
    between = np.where(lower > 0, np.sqrt(lower * bounded), upper / 2)
    return np.where(upper == np.inf, _BEYOND * lower, between)
