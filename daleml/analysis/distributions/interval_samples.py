"""Samples of which only intervals are known: each weight lies between two ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from daleml.analysis.weights.real_numbers import numbers
from daleml.analysis.weights.sample import WeightSample
from daleml.analysis.weights.sampling import weight_sample

# times the lower end: where a weight without an upper end is taken to lie, to begin with
_BEYOND = 1.3


def interval_sample(
    low: ArrayLike, high: ArrayLike, *, sample_weights: ArrayLike | None = None
) -> WeightSample:
    r"""Return a sample of magnitudes that are known only to lie between two ends each.

    It is fitted like any other.

    Its likelihood is that of interval censoring, :math:`\sum_i \ln P(\mathrm{low}_i < W \le
    \mathrm{high}_i)`, and the density where both ends are equal.

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
        >>> bars, edges = np.histogram(weights, [0, 0.25, 0.5, 1, 2, 4, 8, np.inf])  # read off a published figure
        >>> print(fit_weights(interval_sample(edges[:-1], edges[1:], sample_weights=bars)).parameters_text())
        mu -0.03267 ± 0.018, sigma 0.9863 ± 0.014

    Notes:
        There is no goodness of fit of such a sample, since nobody knows what ends others like
        it would have.
    """
    ends = [
        np.array(numbers(end, name), dtype=np.float64).reshape(-1)
        for name, end in (("low", low), ("high", high))
    ]
    lower, upper = ends
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
        counts = np.array(
            numbers(sample_weights, "sample_weights"), dtype=np.float64
        ).reshape(-1)
        if counts.size == lower.size and (counts == 0).any() and counts.any():
            lower, upper, sample_weights = (
                lower[counts != 0],
                upper[counts != 0],
                counts[counts != 0],
            )
    between = np.where(
        lower > 0, np.sqrt(lower * np.where(upper < np.inf, upper, lower)), upper / 2
    )
    between = np.where(upper == np.inf, _BEYOND * lower, between)
    sample = weight_sample(between, sample_weights=sample_weights)
    return WeightSample(
        sample.n,
        0,
        0,
        1,
        sample.log_moments,
        between,
        None if sample_weights is None else sample.counts(),
        (lower, upper),
    )
