"""The likelihood of magnitudes that were truncated, censored, rounded or counted."""

from __future__ import annotations

import math

import numpy as np

from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.parameter_kinds import Array, Params
from daleml.analysis.distributions.likelihood_data import LikelihoodData

# Where an interval holds less than a hundredth of the tail, the difference of two tails
# cancels: the density is integrated instead. Three points do so to 1e-12 where its logarithm
# varies by less than 0.1 over the interval.
_NARROW = math.log(1e-2)
_SMOOTH = 0.1
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(3)


def log_likelihood(family: Family, params: Params, data: LikelihoodData) -> float:
    r"""Return the log-likelihood of the data; minus infinity where it cannot be computed.

    With :math:`S` the probability that a magnitude is seen at all, it is

    .. math:: \ln L = \sum_i c_i \ln p_i - n \ln S

    over all magnitudes, where :math:`p_i` is a density or the probability of an interval.
    """
    with np.errstate(all="ignore"):
        try:
            total = float(np.dot(data.all_counts, pointwise(family, params, data)))
        except (OverflowError, ZeroDivisionError, ValueError):
            # The parameters lie at the end of what numbers can hold.
            return -math.inf
    return total if math.isfinite(total) else -math.inf


def pointwise(family: Family, params: Params, data: LikelihoodData) -> Array:
    """Return the log-likelihood of each value, given that it was seen.

    After the values come one that is censored below and one that is censored above, if there
    are any.
    """
    found = terms(family, params, data)
    if data.n_censored:
        found = np.append(found, log_interval(family, params, data.low, data.threshold))
    if data.n_above:
        found = np.append(found, log_interval(family, params, data.ceiling, data.high))
    return found - _log_seen(family, params, data)


def terms(family: Family, params: Params, data: LikelihoodData) -> Array:
    """Return ln of the density at each value, or of the probability of what it stands for."""
    if data.lower is None or data.upper is None:
        return family.logpdf(data.values, params)
    # A family of counts knows their probabilities; others integrate over the interval.
    mass = family.log_mass(data.values, params)
    if mass is not None:
        return mass
    alone = data.lower == data.upper
    widths = np.zeros(data.values.size) if data.log_widths is None else data.log_widths
    if alone.all():
        return family.logpdf(data.values, params) + widths
    if not alone.any():
        return log_interval(family, params, data.lower, data.upper)
    found = np.empty(data.values.size)
    found[alone] = family.logpdf(data.values[alone], params) + widths[alone]
    found[~alone] = log_interval(family, params, data.lower[~alone], data.upper[~alone])
    return found


def log_seen(family: Family, params: Params, data: LikelihoodData) -> float:
    """Return the logarithm of the probability that a magnitude is seen at all."""
    with np.errstate(all="ignore"):
        return _log_seen(family, params, data)


def _log_seen(family: Family, params: Params, data: LikelihoodData) -> float:
    if data.high == math.inf:
        if data.low == 0:
            return 0.0
        # Most thresholds have no upper end: one tail is all that there is to compute.
        return float(family.logsf(np.asarray(data.low), params))
    return float(log_interval(family, params, data.low, data.high))


def log_interval(
    family: Family, params: Params, low: Array | float, high: Array | float
) -> Array:
    r"""Return :math:`\ln P(\mathrm{low} < W \le \mathrm{high})`, precise in either tail.

    It is the difference of two tails, the smaller ones. Where the interval holds a small part
    of the tail, the difference would cancel, and the density is integrated instead, by three
    points of Gauss and Legendre.
    """
    low = np.asarray(low, dtype=np.float64)
    high = np.asarray(high, dtype=np.float64)
    # Families are functions of positive numbers: at zero their tails are 1 and 0.
    inside = np.maximum(low, np.finfo(np.float64).tiny)
    with np.errstate(all="ignore"):
        above_low = np.where(low <= 0, 0.0, family.logsf(inside, params))
        unbounded = high == np.inf
        if np.all(unbounded):
            return above_low
        finite = np.where(unbounded, inside, high)
        below_high = np.where(unbounded, 0.0, family.logcdf(finite, params))
        if np.all(low <= 0):
            return below_high
        above_high = np.where(unbounded, -np.inf, family.logsf(high, params))
        below_low = np.where(low <= 0, -np.inf, family.logcdf(inside, params))
        # Of the two pairs of tails, the smaller one has the digits.
        upper = above_low < below_high
        larger = np.where(upper, above_low, below_high)
        smaller = np.where(upper, above_high, below_low)
        result = _log_difference(larger, smaller)
        wide = result - larger > _NARROW
        narrow = ~wide & (low > 0) & (low < high) & (high < np.inf)
        if not narrow.any():
            return result
        result = np.broadcast_to(result, narrow.shape).copy()
        starts = np.broadcast_to(low, narrow.shape)[narrow]
        ends = np.broadcast_to(high, narrow.shape)[narrow]
        result[narrow] = _integrated(family, params, starts, ends, result[narrow])
        return result


def _integrated(
    family: Family, params: Params, low: Array, high: Array, otherwise: Array
) -> Array:
    """Return ln of the integrals of the density by three points.

    Where it bends too much for them, return ``otherwise``.
    """
    middle = low + (high - low) / 2
    half = (high - low) / 2
    logs = np.array([family.logpdf(middle + node * half, params) for node in _NODES])
    top = logs.max(axis=0)
    integral = np.log(half) + top + np.log(_NODE_WEIGHTS @ np.exp(logs - top))
    smooth = top - logs.min(axis=0) < _SMOOTH
    return np.where(smooth | ~np.isfinite(otherwise), integral, otherwise)


def _log_difference(larger: Array, smaller: Array) -> Array:
    return np.asarray(larger + np.log(-np.expm1(np.minimum(smaller - larger, 0.0))))
