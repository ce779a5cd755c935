"""How many seeds decide a claim: the power of the interval of a mean, before a run.

The interval of :mod:`daleml.experiments.seed_intervals` decides on a bound if all of it lies on
one side. How often it does hangs on the standard deviation over seeds, on their number, and on
how far the expected mean lies from the bound.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from daleml import require
from daleml._support.student_intervals import LEVEL

POWER = 0.8
"""How often a run is to decide, if the mean lies where it is expected: in four runs of five."""

MOST_SEEDS = 1_000_000
"""The most seeds that are counted; a bound that is closer is as good as met."""

# Points of the distribution of the standard deviation; the error left is below 0.0005.
_POINTS = 400


def power(
    sd: float, n: int, to_low: float, to_high: float = math.inf, *, level: float = LEVEL
) -> float:
    r"""Return how often the interval of a mean lies between two bounds.

    With :math:`h = t_{n-1} s / \sqrt n`, where :math:`s` is the standard deviation of the sample
    and :math:`\sigma` the true one, it is the mean over samples of

    .. math:: \Phi\left(\frac{b - h}{\sigma / \sqrt n}\right)
              - \Phi\left(-\frac{a - h}{\sigma / \sqrt n}\right),

    or 0 where that is negative: :math:`a` and :math:`b` are how far the mean lies from the bounds.

    Args:
        sd: The standard deviation over seeds.
        n: How many seeds.
        to_low: How far the expected mean lies above the lower bound; infinite without one.
        to_high: How far it lies below the upper bound.
        level: How often the interval covers the mean.

    Returns:
        A fraction; 0 for a single seed, unless the number does not vary.

    Raises:
        ValueError: If ``sd`` is negative or there is no seed.

    Example:
        >>> print(f"{power(1.0, 5, to_low=2.0):.2f} {power(1.0, 5, to_low=2.0, to_high=2.0):.2f}")
        0.91 0.83

    References:
        J. Neyman & B. Tokarska (1936) Errors of the second kind in testing "Student's"
        hypothesis, J. Am. Stat. Assoc. 31; D. J. Schuirmann (1987) A comparison of the two
        one-sided tests procedure and the power approach for assessing the equivalence of average
        bioavailability, J. Pharmacokinet. Biopharm. 15.
    """
    from scipy.special import ndtr, stdtrit

    sd = require.non_negative("sd", sd)
    n = require.integer("n", n, minimum=1)
    if sd == 0:
        return float(min(to_low, to_high) >= 0)
    if n == 1:
        return 0.0
    half = float(stdtrit(n - 1, (1 + level) / 2)) * _relative_sds(n)
    scale = math.sqrt(n) / sd
    inside = ndtr(to_high * scale - half) - ndtr(half - to_low * scale)
    return float(np.maximum(inside, 0).mean())


def smallest_effect(
    sd: float,
    n: int,
    power: float = POWER,
    *,
    two_sided: bool = False,
    level: float = LEVEL,
) -> float:
    """Return how far from a bound the mean must lie for so many seeds to decide.

    Args:
        sd: The standard deviation over seeds.
        n: How many seeds.
        power: How often they are to decide.
        two_sided: Whether the mean lies amid two bounds, and the interval has to fit between.
        level: How often the interval covers the mean.

    Returns:
        The distance, from either bound if there are two; infinite for a single seed, and 0 where
        the number does not vary.

    Raises:
        ValueError: If ``sd`` is negative, there is no seed, or ``power`` is no fraction.

    Example:
        >>> print(f"{smallest_effect(1.0, 3):.2f} {smallest_effect(1.0, 10):.2f}")
        3.26 1.00
    """
    from scipy.optimize import brentq

    sd = require.non_negative("sd", sd)
    n = require.integer("n", n, minimum=1)
    power = _require_power(power)
    if sd == 0:
        return 0.0
    if n == 1:
        return math.inf

    def missing(distance: float) -> float:
        other = distance if two_sided else math.inf
        return _power(sd, n, distance, other, level=level) - power

    high = sd
    while missing(high) < 0:
        high *= 2
    return float(brentq(missing, 0.0, high, rtol=1e-6))


def seeds_needed(
    sd: float,
    distance: float,
    power: float = POWER,
    *,
    other: float = math.inf,
    level: float = LEVEL,
) -> int | None:
    """Return the smallest number of seeds that decides at a distance from a bound.

    Args:
        sd: The standard deviation over seeds.
        distance: How far the expected mean lies from the bound.
        power: How often they are to decide.
        other: How far it lies from a second bound, on its other side.
        level: How often the interval covers the mean.

    Returns:
        The number; 1 where the number does not vary, and None if :data:`MOST_SEEDS` are too few.

    Raises:
        ValueError: If ``sd`` is negative or ``power`` is no fraction.

    Example:
        >>> seeds_needed(1.0, 1.0), seeds_needed(1.0, 1.0, other=1.0), seeds_needed(1.0, 0.0)
        (10, 13, None)
    """
    sd = require.non_negative("sd", sd)
    power = _require_power(power)
    if sd == 0:
        return 1

    def decides(n: int) -> bool:
        return _power(sd, n, distance, other, level=level) >= power

    if not decides(MOST_SEEDS):
        return None
    # More seeds never decide less, so that the smallest number is found by halving.
    low, high = 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        if decides(middle):
            high = middle
        else:
            low = middle
    return high


# `power` is what the field calls the argument too, which hides the function inside.
_power = power


# All checks ask for the same numbers of seeds: to compute these anew was most of a verdict.
@functools.lru_cache(maxsize=1024)
def _relative_sds(n: int) -> NDArray[np.float64]:
    """Return standard deviations of samples over the true one, each as likely as the others."""
    from scipy.special import gammaincinv

    middles = (np.arange(_POINTS) + 0.5) / _POINTS
    half_freedom = (n - 1) / 2
    return np.asarray(np.sqrt(gammaincinv(half_freedom, middles) / half_freedom))


def _require_power(power: float) -> float:
    power = require.fraction("power", power)
    if not 0 < power < 1:
        raise ValueError(f"`power` must be between 0 and 1; got {power:g}.")
    return power
