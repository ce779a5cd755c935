"""The mean of a few values with its confidence interval by Student's t."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
"""How often the interval covers the mean of normal values."""


class MeanInterval(NamedTuple):
    """The mean of some values with its interval.

    Attributes:
        mean: The mean of those values that are finite; NaN if none is.
        low: The lower end of the interval; NaN if fewer than two are.
        high: The upper end.
        n: How many are finite.
    """

    mean: float
    low: float
    high: float
    n: int


def student_interval(values: Sequence[float], level: float = LEVEL) -> MeanInterval:
    r"""Return the mean of values and its interval, :math:`\bar x \pm t_{n-1} s / \sqrt n`.

    Args:
        values: Independent values, such as one per seed; those that are not finite are left out.
        level: How often the interval covers the mean, if the values are normal.

    Example:
        >>> student_interval([1.0, 2.0, 3.0]).n
        3
        >>> low, high = student_interval([1.0, 2.0, 3.0])[1:3]
        >>> print(f"{low:.3f} {high:.3f}")
        -0.484 4.484
    """
    from scipy.special import stdtrit

    array = np.asarray(values, dtype=np.float64)
    finite = array[np.isfinite(array)]
    n = int(finite.size)
    if n == 0:
        return MeanInterval(np.nan, np.nan, np.nan, 0)
    mean = float(finite.mean())
    if n == 1:
        return MeanInterval(mean, np.nan, np.nan, 1)
    error = float(finite.std(ddof=1)) / np.sqrt(n)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * error
    return MeanInterval(mean, mean - half, mean + half, n)
