"""What a number of seeds can decide about an expectation, given a mean and a spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daleml._support.student_intervals import LEVEL
from daleml.reproductions.claim import Check
from daleml.reproductions.power import power, seeds_needed, smallest_effect

_ROUNDING = 1e-14
"""The largest relative difference between values that are the same but for rounding."""


@dataclass(frozen=True)
class Prospect:
    """What some seeds decide about one expectation.

    Attributes:
        distance: How far the expected mean lies from the nearest bound, inside or outside.
        smallest_effect: How far it has to lie for so many seeds to decide in four runs of five.
        power: How often so many seeds decide, if it lies where it is expected.
        seeds_needed: How many seeds decide in four runs of five; None if
            :data:`~daleml.reproductions.power.MOST_SEEDS` are too few, or nothing is known.

    Example:
        >>> found = prospect(Check("gap", "gap", at_least=0.0), mean=1.0, sd=1.0, n=5)
        >>> print(f"{found.smallest_effect:.2f} {found.power:.2f} {found.seeds_needed}")
        1.68 0.40 10
    """

    distance: float
    smallest_effect: float
    power: float
    seeds_needed: int | None


def prospect(
    check: Check, mean: float, sd: float, n: int, *, fail_level: float = LEVEL
) -> Prospect:
    """Return what so many seeds decide.

    Args:
        check: The expectation.
        mean: The mean that is expected, such as that of a pilot.
        sd: The standard deviation over seeds that is expected; NaN if nobody knows.
        n: How many seeds.
        fail_level: How often the interval covers the mean that has to lie elsewhere for the
            expectation to fail; see :func:`~daleml.reproductions.verdict.measure`.
    """
    least = -math.inf if check.at_least is None else check.at_least
    most = math.inf if check.at_most is None else check.at_most
    to_low, to_high = mean - least, most - mean
    near, far = sorted((to_low, to_high))
    if not (math.isfinite(mean) and math.isfinite(sd)):
        return Prospect(near, math.nan, math.nan, None)
    if near >= 0:
        two_sided = math.isfinite(far)
        return Prospect(
            near,
            smallest_effect(sd, n, two_sided=two_sided),
            power(sd, n, near, far),
            seeds_needed(sd, near, other=far),
        )
    # From outside, the interval has to stay on the other side of one bound.
    return Prospect(
        -near,
        smallest_effect(sd, n, level=fail_level),
        power(sd, n, -near, level=fail_level),
        seeds_needed(sd, -near, level=fail_level),
    )


def standard_deviation(values: Sequence[float]) -> float:
    """Return the standard deviation over seeds; NaN of one seed, and if a value is not finite.

    Args:
        values: One per seed.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2 or not np.isfinite(array).all():
        return math.nan
    # Sums in another order differ in their last bits, which is no spread.
    if np.ptp(array) <= _ROUNDING * np.abs(array).max():
        return 0.0
    return float(array.std(ddof=1))
