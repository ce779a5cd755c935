"""The likelihood of magnitudes that were truncated, censored or counted, and its maximum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from daleml.analysis.families.base import Array, Family, Kind, Params
from daleml.analysis.observation import Observation
from daleml.analysis.weights import WeightSample

_MANY = 5_000  # distinct values: beyond, the maximum is looked for on a histogram first
_BINS = 2048
_STEP = 1e-4  # of finite differences, in coordinates of order one
_MAX_CLIMB = 100
_MAX_POLISH = 3  # steps, from the top of a histogram to that of its values
_FIRST_CLIMB = 30  # steps from each start, of which the best is then taken to the top
_LONGEST = 2.0  # of a step: a factor of seven in a positive parameter
_FARTHEST = 60.0  # from the start: no data lead there
_FLAT = 1e-9  # of a log-likelihood
_NOISE = 1e-14  # of a log-likelihood's size: its rounding
_SAME_PLACE = 1e-3
_SAME_HEIGHT = 0.05  # of log-likelihoods: no data tell such peaks apart


@dataclass(frozen=True)
class Observed:
    """Magnitudes as a likelihood sees them.

    Attributes:
        values: Distinct ones, above 0.
        counts: How often each was seen.
        n_censored: How many are known only to be no larger than ``threshold``.
        low: The lower end of what could be seen.
        high: The upper end.
        threshold: Of censoring; 0 without it.
        half_width: A value stands for all that lie no farther from it: one half for counts, else 0.
    """

    values: Array
    counts: Array
    n_censored: float = 0.0
    low: float = 0.0
    high: float = math.inf
    threshold: float = 0.0
    half_width: float = 0.0

    @property
    def total(self) -> float:
        """How many magnitudes there are, the censored ones too."""
        return float(self.counts.sum()) + self.n_censored

    @property
    def all_counts(self) -> Array:
        """How often each value was seen; then the number of the censored ones, if there are any."""
        return np.append(self.counts, self.n_censored) if self.n_censored else self.counts

    def lengths(self, family: Family) -> Array:
        """Return of what order each free coordinate is: where the values hardly vary, locations vary little."""
        logs = np.log(self.values)
        spread = math.sqrt(float(np.cov(logs, aweights=self.counts, ddof=0))) if logs.size > 1 else 1.0
        short = (Kind.LOCATION, Kind.LOG_LOCATION)
        return np.array([min(max(spread, 1e-6), 1.0) if kind in short else 1.0 for kind in family.kinds])

    @property
    def geometric_mean(self) -> float:
        """That of the values: a unit in which they are of order one."""
        return math.exp(float(np.average(np.log(self.values), weights=self.counts)))

    def complete(self) -> tuple[Array, Array]:
        """Return values and counts as if all had been seen: the censored ones halfway below their threshold."""
        if not self.n_censored:
            return self.values, self.counts
        return np.append(self.values, (self.low + self.threshold) / 2), self.all_counts

    def coarse(self) -> Observed:
        """Return a histogram of the values, each bin at its geometric mean; the same where there are few."""
        if self.values.size <= _MANY or self.half_width:
            return self
        logs = np.log(self.values)
        edges = np.linspace(logs.min(), logs.max(), _BINS + 1)
        bins = np.minimum(((logs - edges[0]) / (edges[1] - edges[0])).astype(np.intp), _BINS - 1)
        counts, sums = (np.bincount(bins, by, _BINS).astype(np.float64) for by in (self.counts, self.counts * logs))
        seen = counts > 0
        return replace(self, values=np.exp(sums[seen] / counts[seen]), counts=counts[seen])

    def in_unit(self, unit: float) -> Observed:
        """Return the same magnitudes, measured in another unit."""
        ends = (self.low, self.high, self.threshold, self.half_width)
        return Observed(self.values / unit, self.counts, self.n_censored, *(end / unit for end in ends))


def observe(sample: WeightSample, observation: Observation) -> Observed:
    """Read a sample through an observation.

    Raises:
        ValueError: If values lie outside the truncation or all below the threshold of censoring; if they are no counts
            where counts were said to be; if there are zeros where there must be none.
    """
    values, counts = sample.values(), sample.counts()
    _check(values, sample.n_zero, observation)
    counts = np.ones(values.size) if counts is None else counts
    n_censored, threshold = 0.0, observation.censoring or 0.0
    if threshold:
        below = values <= threshold
        n_censored = float(counts[below].sum())
        values, counts = values[~below], counts[~below]
    if observation.discrete:
        values, places = np.unique(values, return_inverse=True)
        counts = np.bincount(places, counts).astype(np.float64)
    half_width = 0.5 if observation.discrete else 0.0
    return Observed(values, counts, n_censored, observation.low, observation.high, threshold, half_width)


def _check(values: Array, n_zero: int, observation: Observation) -> None:
    if observation.zeros == "error" and n_zero:
        raise ValueError(f'`weights` must hold no zero where `zeros` is "error"; got {n_zero}.')
    fractions = values != np.round(values)
    if observation.discrete and fractions.any():
        raise ValueError(f"`weights` must be whole numbers where `discrete` is True; got {values[fractions][0]:g}.")
    outside = (values < observation.low) | (values > observation.high)
    if outside.any():
        raise ValueError(
            f"`weights` must lie within `truncation`, {observation.low:g} to {observation.high:g}, or be left out "
            f"first; got {int(outside.sum())} of {values.size} outside it, {values[outside][0]:g} for one."
        )
    threshold = observation.censoring
    if threshold is not None and np.unique(values[values > threshold]).size < 2:
        raise ValueError(f"`censoring` must be below at least 2 different weights; got {threshold:g}.")


# -- its value ---------------------------------------------------------------------------------------------------------


def log_interval(family: Family, params: Params, low: Array | float, high: Array | float) -> Array:
    r"""Return :math:`\ln P(\mathrm{low} < W \le \mathrm{high})`, precise in either tail."""
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    inside = np.maximum(low, np.finfo(np.float64).tiny)
    with np.errstate(all="ignore"):
        above_low = np.where(low <= 0, 0.0, family.logsf(inside, params))
        if np.all(high == np.inf):
            return above_low
        below_high = np.where(high == np.inf, 0.0, family.logcdf(high, params))
        if np.all(low <= 0):
            return below_high
        above_high = np.where(high == np.inf, -np.inf, family.logsf(high, params))
        below_low = np.where(low <= 0, -np.inf, family.logcdf(inside, params))
        upper = above_low < below_high
        return np.where(upper, _log_difference(above_low, above_high), _log_difference(below_high, below_low))


def _log_difference(larger: Array, smaller: Array) -> Array:
    return np.asarray(larger + np.log(-np.expm1(np.minimum(smaller - larger, 0.0))))


def log_seen(family: Family, params: Params, data: Observed) -> float:
    """Return the logarithm of the probability that a magnitude is seen at all."""
    if data.low == 0 and data.high == math.inf:
        return 0.0
    return float(log_interval(family, params, data.low, data.high))


def pointwise(family: Family, params: Params, data: Observed) -> Array:
    """Return the log-likelihood of each value, given that it was seen; then that of a censored one, if any."""
    if data.half_width:
        terms = log_interval(family, params, data.values - data.half_width, data.values + data.half_width)
    else:
        terms = family.logpdf(data.values, params)
    if data.n_censored:
        terms = np.append(terms, log_interval(family, params, data.low, data.threshold))
    return terms - log_seen(family, params, data)


def log_likelihood(family: Family, params: Params, data: Observed) -> float:
    """Return the log-likelihood of the data; minus infinity where it cannot be computed."""
    with np.errstate(all="ignore"):
        try:
            total = float(np.dot(data.all_counts, pointwise(family, params, data)))
        except (OverflowError, ZeroDivisionError, ValueError):  # parameters at the end of what numbers can hold
            return -math.inf
    return total if math.isfinite(total) else -math.inf


# -- its maximum -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Maximum:
    """Where a likelihood is largest: the parameters, and how many of the climbs ended there."""

    params: Params
    n_starts: int
    n_agree: int


def maximise(family: Family, data: Observed, start: Params | None = None) -> Maximum:
    """Climb the likelihood, of a histogram first where there are many values.

    Args:
        family: What to fit.
        data: What to fit it to.
        start: Where to begin; default: where the family says, which may be several places.

    Raises:
        ValueError: If no climb arrives anywhere.
    """
    unit = data.geometric_mean
    scaled = data.in_unit(unit)
    coarse = scaled.coarse()
    lengths = coarse.lengths(family)

    def height(free: Array, of: Observed = coarse) -> float:
        return log_likelihood(family, family.from_free(free * lengths), of)

    starts = family.starts(coarse) if start is None else [family.in_unit(start, 1 / unit)]
    begun: list[Array] = []
    peaks: list[tuple[Array, float]] = []
    for params in starts:
        free = family.to_free(params) / lengths
        known = [i for i, other in enumerate(begun) if np.allclose(free, other, rtol=_SAME_PLACE, atol=_SAME_PLACE)]
        begun.append(free)
        peaks.append(peaks[known[0]] if known else climb(height, free, most=_FIRST_CLIMB))
    best, top = climb(height, max(peaks, key=lambda peak: peak[1])[0])
    if not math.isfinite(top):
        raise ValueError(f"`weights` must have a finite likelihood under the {family.name} family; got none.")
    if coarse is not scaled:
        best, _ = climb(lambda free: height(free, scaled), best, shape=height, most=_MAX_POLISH)
    highest = max(other for _, other in peaks)
    agree = sum(other > highest - _SAME_HEIGHT for _, other in peaks)
    return Maximum(family.in_unit(family.from_free(best * lengths), unit), len(peaks), agree)


def climb(
    height: Callable[[Array], float],
    start: Array,
    shape: Callable[[Array], float] | None = None,
    flat: float = _FLAT,
    most: int = _MAX_CLIMB,
) -> tuple[Array, float]:
    """Climb to the top by Newton's method with finite differences, never downhill.

    Args:
        height: What to climb, of free coordinates of order one.
        start: Where to begin.
        shape: A cheaper function of nearly the same curvature, to take that from; default: ``height`` itself.
        flat: A gain too small to go on for.
        most: Number of steps at most: along a flat ridge there is no end to them.

    Returns:
        The place, and its height.
    """
    place, here = start, height(start)
    for _ in range(most):
        slope, curvature = derivatives(height, place, here, shape)
        if not (np.isfinite(slope).all() and np.isfinite(curvature).all()):
            break
        values, vectors = np.linalg.eigh(-curvature)
        along = vectors.T @ slope
        # where the surface bends upwards, or is flat, go by the size of the bend: uphill, and not too far
        step = vectors @ (along / np.maximum(np.abs(values), 1e-6 * max(np.abs(values).max(), 1e-12)))
        step *= min(1.0, _LONGEST / max(float(np.abs(step).max()), 1e-300))
        expected = float(slope @ step)
        share, reached = 1.0, -math.inf
        while share > 1e-6:
            there = place + share * step
            reached = height(there) if np.abs(there - start).max() < _FARTHEST else -math.inf
            if reached >= here:
                break
            share /= 2
        if reached < here:
            break
        place, gained, here = there, reached - here, reached
        if min(expected, gained) < flat + _NOISE * abs(here):
            break
    return place, here


def derivatives(
    height: Callable[[Array], float], place: Array, here: float, shape: Callable[[Array], float] | None = None
) -> tuple[Array, Array]:
    """Return the gradient of ``height``, and the matrix of second derivatives of ``shape`` (or of ``height``)."""
    n = place.size
    steps = _STEP * np.eye(n)
    ahead, behind = (np.array([height(place + side * step) for step in steps]) for side in (1, -1))
    with np.errstate(invalid="ignore", over="ignore"):  # off the edge of what can be computed, heights are infinite
        slope = (ahead - behind) / (2 * _STEP)
        if shape is not None:
            return slope, derivatives(shape, place, shape(place))[1]
        curvature = np.diag((ahead - 2 * here + behind) / _STEP**2)
        for i in range(n):
            for j in range(i):
                both = height(place + steps[i] + steps[j]) + height(place - steps[i] - steps[j])
                alone = ahead[i] + behind[i] + ahead[j] + behind[j]
                curvature[i, j] = curvature[j, i] = (both - alone + 2 * here) / (2 * _STEP**2)
    return slope, curvature


def covariance(family: Family, params: Params, data: Observed) -> Array:
    """Return the covariance of the estimates, by the observed information; NaN where the likelihood is flat.

    It is taken in the free coordinates, where the likelihood is closest to a parabola, and carried over.
    """
    data = data.coarse()
    unit = data.geometric_mean
    scaled, lengths = data.in_unit(unit), data.lengths(family)
    free = family.to_free(family.in_unit(params, 1 / unit)) / lengths

    def height(place: Array) -> float:
        return log_likelihood(family, family.from_free(place * lengths), scaled)

    _, curvature = derivatives(height, free, height(free))
    with np.errstate(all="ignore"):
        jacobian = np.array(
            [
                np.subtract(
                    family.in_unit(family.from_free((free + step) * lengths), unit),
                    family.in_unit(family.from_free((free - step) * lengths), unit),
                )
                / (2 * _STEP)
                for step in _STEP * np.eye(free.size)
            ]
        ).T
        try:
            inverse = np.linalg.inv(-curvature)
        except np.linalg.LinAlgError:
            return np.full(curvature.shape, np.nan)
        result = jacobian @ inverse @ jacobian.T
        return np.where(np.diag(result) > 0, result, np.nan)
