"""The likelihood of magnitudes that were truncated, censored or counted, and its maximum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from daleml.analysis.distributions.families.family import Array, Family, Params
from daleml.analysis.distributions.likelihood_data import Observed, observe, on_grid

__all__ = [
    "Maximum",
    "Observed",
    "climb",
    "covariance",
    "derivatives",
    "log_interval",
    "log_likelihood",
    "log_seen",
    "maximise",
    "observe",
    "on_grid",
    "pointwise",
    "terms",
]

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
_NARROW = math.log(
    1e-2
)  # of the part of a tail that an interval holds: below, the difference of two tails cancels
_SMOOTH = 0.1  # of the logarithm of a density over an interval: three points integrate it to 1e-12
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(3)


# -- its value
# ---------------------------------------------------------------------------------------------------------


def log_interval(
    family: Family, params: Params, low: Array | float, high: Array | float
) -> Array:
    r"""Return :math:`\ln P(\mathrm{low} < W \le \mathrm{high})`, precise in either tail and of a narrow interval.

    It is the difference of two tails, the smaller ones. Where the interval holds a small part
    of the tail, the difference would cancel, and the density is integrated instead, by three
    points of Gauss and Legendre.
    """
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    inside = np.maximum(low, np.finfo(np.float64).tiny)
    with np.errstate(all="ignore"):
        above_low = np.where(low <= 0, 0.0, family.logsf(inside, params))
        if np.all(high == np.inf):
            return above_low
        below_high = np.where(
            high == np.inf,
            0.0,
            family.logcdf(np.where(high == np.inf, inside, high), params),
        )
        if np.all(low <= 0):
            return below_high
        above_high = np.where(high == np.inf, -np.inf, family.logsf(high, params))
        below_low = np.where(low <= 0, -np.inf, family.logcdf(inside, params))
        upper = above_low < below_high
        larger, smaller = (
            np.where(upper, above_low, below_high),
            np.where(upper, above_high, below_low),
        )
        result = _log_difference(larger, smaller)
        narrow = (
            ~(result - larger > _NARROW) & (low > 0) & (low < high) & (high < np.inf)
        )
        if not narrow.any():
            return result
        result = np.broadcast_to(result, narrow.shape).copy()
        starts, ends = (
            np.broadcast_to(end, narrow.shape)[narrow] for end in (low, high)
        )
        result[narrow] = _integrated(family, params, starts, ends, result[narrow])
        return result


def _integrated(
    family: Family, params: Params, low: Array, high: Array, otherwise: Array
) -> Array:
    """Return ln of the integrals of the density by three points.

    ``otherwise`` where it bends too much for them.
    """
    middle, half = low + (high - low) / 2, (high - low) / 2
    logs = np.array([family.logpdf(middle + node * half, params) for node in _NODES])
    top = logs.max(axis=0)
    integral = np.log(half) + top + np.log(_NODE_WEIGHTS @ np.exp(logs - top))
    smooth = top - logs.min(axis=0) < _SMOOTH
    return np.where(smooth | ~np.isfinite(otherwise), integral, otherwise)


def _log_difference(larger: Array, smaller: Array) -> Array:
    return np.asarray(larger + np.log(-np.expm1(np.minimum(smaller - larger, 0.0))))


def log_seen(family: Family, params: Params, data: Observed) -> float:
    """Return the logarithm of the probability that a magnitude is seen at all."""
    if data.low == 0 and data.high == math.inf:
        return 0.0
    return float(log_interval(family, params, data.low, data.high))


def pointwise(family: Family, params: Params, data: Observed) -> Array:
    """Return the log-likelihood of each value, given that it was seen.

    Then that of a censored one, if any.
    """
    found = terms(family, params, data)
    if data.n_censored:
        found = np.append(found, log_interval(family, params, data.low, data.threshold))
    if data.n_above:
        found = np.append(found, log_interval(family, params, data.ceiling, data.high))
    return found - log_seen(family, params, data)


def terms(family: Family, params: Params, data: Observed) -> Array:
    """Return ln of the density at each value, or of the probability of all that it stands for."""
    if data.lower is None or data.upper is None:
        return family.logpdf(data.values, params)
    mass = family.log_mass(data.values, params)
    if mass is not None:
        return mass
    alone = data.lower == data.upper
    if alone.all():
        return family.logpdf(data.values, params) + (
            0.0 if data.log_widths is None else data.log_widths
        )
    if not alone.any():
        return log_interval(family, params, data.lower, data.upper)
    found = np.empty(data.values.size)
    found[alone] = family.logpdf(data.values[alone], params)
    if data.log_widths is not None:
        found[alone] += data.log_widths[alone]
    found[~alone] = log_interval(family, params, data.lower[~alone], data.upper[~alone])
    return found


def log_likelihood(family: Family, params: Params, data: Observed) -> float:
    """Return the log-likelihood of the data; minus infinity where it cannot be computed."""
    with np.errstate(all="ignore"):
        try:
            total = float(np.dot(data.all_counts, pointwise(family, params, data)))
        except (
            OverflowError,
            ZeroDivisionError,
            ValueError,
        ):  # parameters at the end of what numbers can hold
            return -math.inf
    return total if math.isfinite(total) else -math.inf


# -- its maximum
# -------------------------------------------------------------------------------------------------------


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
    unit = 1.0 if family.own_unit else data.geometric_mean
    scaled = data.in_unit(unit)
    coarse = scaled.coarse()
    lengths = coarse.lengths(family)

    def height(free: Array, of: Observed = coarse) -> float:
        return log_likelihood(family, family.from_free(free * lengths), of)

    starts = (
        family.starts(coarse) if start is None else [family.in_unit(start, 1 / unit)]
    )
    begun: list[Array] = []
    peaks: list[tuple[Array, float]] = []
    for params in starts:
        free = family.to_free(params) / lengths
        known = [
            i
            for i, other in enumerate(begun)
            if np.allclose(free, other, rtol=_SAME_PLACE, atol=_SAME_PLACE)
        ]
        begun.append(free)
        peaks.append(
            peaks[known[0]] if known else climb(height, free, most=_FIRST_CLIMB)
        )
    best, top = climb(height, max(peaks, key=lambda peak: peak[1])[0])
    if not math.isfinite(top):
        raise ValueError(
            f"`weights` must have a finite likelihood under the {family.name} family; got"
            " none."
        )
    if coarse is not scaled:
        best, _ = climb(
            lambda free: height(free, scaled), best, shape=height, most=_MAX_POLISH
        )
    highest = max(other for _, other in peaks)
    agree = sum(other > highest - _SAME_HEIGHT for _, other in peaks)
    return Maximum(
        family.in_unit(family.from_free(best * lengths), unit), len(peaks), agree
    )


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
        shape: A cheaper function of nearly the same curvature, to take that from; default:
            ``height`` itself.
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
        # where the surface bends upwards, or is flat, go by the size of the bend: uphill, and
        # not too far
        step = vectors @ (
            along / np.maximum(np.abs(values), 1e-6 * max(np.abs(values).max(), 1e-12))
        )
        step *= min(1.0, _LONGEST / max(float(np.abs(step).max()), 1e-300))
        expected = float(slope @ step)
        share, reached = 1.0, -math.inf
        while share > 1e-6:
            there = place + share * step
            reached = (
                height(there) if np.abs(there - start).max() < _FARTHEST else -math.inf
            )
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
    height: Callable[[Array], float],
    place: Array,
    here: float,
    shape: Callable[[Array], float] | None = None,
) -> tuple[Array, Array]:
    """Return the gradient of ``height``, and the matrix of second derivatives of ``shape`` (or of ``height``)."""
    n = place.size
    steps = _STEP * np.eye(n)
    ahead, behind = (
        np.array([height(place + side * step) for step in steps]) for side in (1, -1)
    )
    with np.errstate(
        invalid="ignore", over="ignore"
    ):  # off the edge of what can be computed, heights are infinite
        slope = (ahead - behind) / (2 * _STEP)
        if shape is not None:
            return slope, derivatives(shape, place, shape(place))[1]
        curvature = np.diag((ahead - 2 * here + behind) / _STEP**2)
        for i in range(n):
            for j in range(i):
                both = height(place + steps[i] + steps[j]) + height(
                    place - steps[i] - steps[j]
                )
                alone = ahead[i] + behind[i] + ahead[j] + behind[j]
                curvature[i, j] = curvature[j, i] = (both - alone + 2 * here) / (
                    2 * _STEP**2
                )
    return slope, curvature


def covariance(family: Family, params: Params, data: Observed) -> Array:
    """Return the covariance of the estimates, by the observed information.

    NaN where the likelihood is flat.

    It is taken in the free coordinates, where the likelihood is closest to a parabola, and
    carried over.
    """
    data = data.coarse()
    unit = 1.0 if family.own_unit else data.geometric_mean
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
