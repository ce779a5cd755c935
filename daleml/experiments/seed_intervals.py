"""The mean of a number over seeds, and its bootstrap confidence interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_RESAMPLES = 10_000
_LEVEL = 0.95


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean.

    The interval of one value, and of values that are all equal, is the value itself. The
    resamples are drawn from a fixed seed: the same values have the same interval every time.

    Args:
        values: One per seed.

    Returns:
        The lower and the upper end; NaN or infinite if a value is.

    Example:
        >>> mean_interval([1.0, 1.0, 1.0])
        (1.0, 1.0)
        >>> low, high = mean_interval([1.0, 2.0, 3.0])
        >>> 1.0 <= low < 2.0 < high <= 3.0
        True
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2 or np.ptp(array) == 0 or not np.isfinite(array).all():
        return float(array.mean()), float(array.mean())
    # A generator of its own, so that neither order nor number of calls changes an interval.
    shape = (_RESAMPLES, array.size)
    means = np.random.default_rng(0).choice(array, shape).mean(axis=1)
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
