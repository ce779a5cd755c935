"""Intervals of the parameters of a psychometric curve, from the profile of its likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import optimize

from daleml.analysis.activity import psychometric_likelihood as likelihood
from daleml.analysis.activity.psychometric_likelihood import Counts, Model, Point

# The ends of an interval are found to this fraction of its width.
_TOLERANCE = 1e-3

# An interval's end is looked for this many times twice as far as the last time.
_DOUBLINGS = 12


def profile_interval(
    counts: Counts, chosen: Model, best: Point, place: int, drop: float, step: float
) -> tuple[float, float]:
    """Return the values of a parameter at which the profile likelihood has not dropped by much.

    Args:
        counts: The choices, by scaled strength.
        chosen: Which parameters are free.
        best: The most likely parameters; the slope may be infinite.
        place: Which parameter.
        drop: How far below its maximum the log-likelihood may be.
        step: A first guess of the interval's half-width.

    Returns:
        Its ends; infinite where the likelihood does not drop so far within the bounds of slope
        or bias, and the bound of a lapse rate.
    """
    profile = _Profile(counts, chosen, best, place, drop)
    low, high = chosen.bounds[chosen.column(place)]
    if place == likelihood.BIAS:
        low, high = -likelihood.FARTHEST, likelihood.FARTHEST
    value = float(best.params[place])
    is_lapse = place in (likelihood.LOW, likelihood.HIGH)
    ends = []
    for direction, bound in ((-1, low), (1, high)):
        outside = direction * math.inf
        if place == likelihood.BIAS and not low < value < high:
            # No data bound what lies so far outside, but perhaps on the side of the strengths.
            inner = math.copysign(likelihood.FARTHEST, value)
            end = outside
            if value * direction < 0:
                end = _end(profile, inner, -inner, direction * step)
        elif math.isinf(value):
            # From an infinite slope there is one way only.
            end = outside
            if value * direction < 0:
                end = _end(profile, -bound, bound, -2 * bound)
        else:
            end = _end(profile, value, bound, direction * step)
        if end == bound and not is_lapse:
            end = outside
        ends.append(end)
    return ends[0], ends[1]


class _Profile:
    """How far the profile log-likelihood lies above the least that an interval allows."""

    def __init__(
        self, counts: Counts, chosen: Model, best: Point, place: int, drop: float
    ) -> None:
        self.counts, self.chosen, self.place = counts, chosen, place
        self.least = best.log_likelihood - drop
        # From an infinite slope the search starts at the steepest finite one.
        steepest = counts.steepest
        start = np.clip(np.nan_to_num(best.params), -steepest, steepest)
        self.starts = [start, likelihood.starts(counts, chosen)[0]]
        self.known: dict[float, float] = {}

    def __call__(self, value: float) -> float:
        # The root finder asks for the ends of a bracket again: they must not have changed.
        if value not in self.known:
            self.known[value] = self._at(value)
        return self.known[value]

    def _at(self, value: float) -> float:
        held = self.chosen.held(self.place, value)
        found = likelihood.maximise(self.counts, held, self.starts)
        highest = found.log_likelihood
        if np.isfinite(highest):
            # The next value is near this one, and so is its maximum.
            self.starts[1] = found.params
        if self.place != likelihood.SLOPE:
            places = [value] if self.place == likelihood.BIAS else None
            for one in likelihood.steps(self.counts, held, places):
                highest = max(highest, one.log_likelihood)
        return highest - self.least


def _end(
    profile: Callable[[float], float], value: float, bound: float, step: float
) -> float:
    """Return where the profile crosses 0 between a value and a bound; the bound if it does not."""
    inside = value
    # Of a step, even the steepest finite slope may be much less likely.
    if profile(inside) < 0:
        return inside
    for _ in range(_DOUBLINGS):
        outside = value + step
        reached = abs(outside - value) >= abs(bound - value)
        if reached:
            outside = bound
        if profile(outside) < 0:
            tolerance = _TOLERANCE * abs(outside - value)
            return float(
                optimize.brentq(profile, inside, outside, xtol=tolerance, rtol=1e-9)
            )
        if reached:
            return bound
        inside = outside
        step *= 2
    return bound
