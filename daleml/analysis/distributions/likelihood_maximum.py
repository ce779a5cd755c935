"""The maximum of a likelihood, by Newton's method, and the covariance of the estimates there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.parameter_kinds import Array, Params
from daleml.analysis.distributions.likelihood import log_likelihood
from daleml.analysis.distributions.likelihood_data import LikelihoodData

Objective: TypeAlias = Callable[[Array], float]
"""What is maximised, as a function of free coordinates of order one."""

# Finite differences take this step, in coordinates of order one.
_STEP = 1e-4

# Newton steps at most: in all; from each of several starting points, the best of which is then
# gone on with; and from the maximum over a histogram to that over its values.
_MAX_STEPS = 100
_FIRST_STEPS = 30
_LAST_STEPS = 3

# A Newton step changes no free coordinate by more than this: a positive parameter changes by
# no more than a factor of seven.
_LONGEST_STEP = 2.0

# A step is halved down to this fraction of itself before the search gives up.
_SHORTEST = 1e-6

# The search goes no farther than this from its start, in any free coordinate. Data do not lead
# farther.
_FARTHEST = 60.0

# The search ends when the log-likelihood rises by less than this, or by less than its own
# rounding, a fraction of its size.
_TOLERANCE = 1e-9
_ROUNDING = 1e-14

# Two starting points that are closer than this are one.
_SAME_START = 1e-3

# Two maxima whose log-likelihoods differ by less than this cannot be told apart by any data.
_SAME_MAXIMUM = 0.05

# Curvatures below this fraction of the largest one are taken for flat.
_FLAT = 1e-6

# A parameter is undetermined when flat directions add at least this fraction to its variance.
_NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Maximum:
    """Where a likelihood is largest.

    Attributes:
        params: The parameters there.
        n_starts: From how many starting points it was looked for.
        n_agree: From how many of them the search arrived at the highest maximum.
    """

    params: Params
    n_starts: int
    n_agree: int


def maximise(
    family: Family, data: LikelihoodData, start: Params | None = None
) -> Maximum:
    """Maximise the likelihood, of a histogram first where there are many values.

    Args:
        family: What to fit.
        data: What to fit it to.
        start: Where to begin; default: where the family says, which may be several points.

    Raises:
        ValueError: If the likelihood is finite nowhere that the search arrives.
    """
    # In a unit in which weights are of order one, the free coordinates are of order one too.
    unit = 1.0 if family.own_unit else data.geometric_mean
    scaled = data.in_unit(unit)
    coarse = scaled.coarse()
    scales = coarse.scales(family.kinds)

    def of_histogram(theta: Array) -> float:
        return log_likelihood(family, family.from_free(theta * scales), coarse)

    def of_values(theta: Array) -> float:
        return log_likelihood(family, family.from_free(theta * scales), scaled)

    starts: Iterable[Params] = family.starts(coarse)
    if start is not None:
        starts = [family.in_unit(start, 1 / unit)]
    thetas = (family.to_free(params) / scales for params in starts)
    maxima = _from_each(of_histogram, thetas)
    begun, _ = max(maxima, key=lambda found: found[1])
    best, top = maximise_function(of_histogram, begun)
    if not math.isfinite(top):
        raise ValueError(
            f"`weights` must have a finite likelihood under the {family.name} family; got"
            " none."
        )
    # The maximum over the values lies within a step or two of that over the histogram.
    if coarse is not scaled:
        best, _ = maximise_function(
            of_values, best, curvature_of=of_histogram, max_steps=_LAST_STEPS
        )
    heights = [height for _, height in maxima]
    agree = sum(height > max(heights) - _SAME_MAXIMUM for height in heights)
    params = family.in_unit(family.from_free(best * scales), unit)
    return Maximum(params, len(maxima), agree)


def _from_each(
    objective: Objective, starts: Iterable[Array]
) -> list[tuple[Array, float]]:
    """Return, for each starting point, where the first steps end, and the objective there."""
    seen: list[Array] = []
    maxima: list[tuple[Array, float]] = []
    for theta in starts:
        found = None
        for other, maximum in zip(seen, maxima, strict=True):
            if np.allclose(theta, other, rtol=_SAME_START, atol=_SAME_START):
                found = maximum
                break
        if found is None:
            found = maximise_function(objective, theta, max_steps=_FIRST_STEPS)
        seen.append(theta)
        maxima.append(found)
    return maxima


def maximise_function(
    objective: Objective,
    start: Array,
    curvature_of: Objective | None = None,
    tolerance: float = _TOLERANCE,
    max_steps: int = _MAX_STEPS,
) -> tuple[Array, float]:
    """Maximise a function by Newton's method with finite differences, never downhill.

    Args:
        objective: What to maximise, a function of free coordinates of order one.
        start: Where to begin.
        curvature_of: A cheaper function of nearly the same curvature, to take that from;
            default: ``objective`` itself.
        tolerance: A gain too small to go on for.
        max_steps: Number of steps at most: along a flat ridge there is no end to them.

    Returns:
        The free coordinates of the maximum, and the objective there.
    """
    theta = start
    value = objective(start)
    for _ in range(max_steps):
        gradient, hessian = derivatives(objective, theta, value, curvature_of)
        if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()):
            break
        step = _newton_step(gradient, hessian)
        expected = float(gradient @ step)
        there, reached = _line_search(objective, theta, step, value, start)
        if not reached >= value:
            break
        # Either the quadratic model or the function itself promises nothing more.
        gained = reached - value
        theta = there
        value = reached
        if min(expected, gained) < tolerance + _ROUNDING * abs(value):
            break
    return theta, value


def _newton_step(gradient: Array, hessian: Array) -> Array:
    """Return the step of Newton's method, uphill and not too long.

    Where the surface bends upwards, or is flat, it goes by the size of the curvature.
    """
    values, vectors = np.linalg.eigh(-hessian)
    sizes = np.abs(values)
    sizes = np.maximum(sizes, _FLAT * max(sizes.max(), 1e-12))
    step = vectors @ (vectors.T @ gradient / sizes)
    step *= min(1.0, _LONGEST_STEP / max(float(np.abs(step).max()), 1e-300))
    return np.asarray(step)


def _line_search(
    objective: Objective, theta: Array, step: Array, value: float, start: Array
) -> tuple[Array, float]:
    """Return the end of the step, halved until the objective is no lower than ``value``."""
    fraction = 1.0
    while True:
        there = theta + fraction * step
        reached = -math.inf
        if np.abs(there - start).max() < _FARTHEST:
            reached = objective(there)
        fraction /= 2
        if reached >= value or fraction <= _SHORTEST:
            return there, reached


def derivatives(
    objective: Objective,
    theta: Array,
    value: float,
    curvature_of: Objective | None = None,
) -> tuple[Array, Array]:
    """Return the gradient and the matrix of second derivatives, by finite differences.

    Args:
        objective: The function.
        theta: Where to take them.
        value: The objective at ``theta``.
        curvature_of: What to take the second derivatives from; default: ``objective``.
    """
    n = theta.size
    steps = _STEP * np.eye(n)
    ahead = np.array([objective(theta + step) for step in steps])
    behind = np.array([objective(theta - step) for step in steps])
    # Beyond the edge of what can be computed, the objective is minus infinity.
    with np.errstate(invalid="ignore", over="ignore"):
        gradient = (ahead - behind) / (2 * _STEP)
        if curvature_of is not None:
            _, hessian = derivatives(curvature_of, theta, curvature_of(theta))
            return gradient, hessian
        hessian = np.diag((ahead - 2 * value + behind) / _STEP**2)
        for i in range(n):
            for j in range(i):
                both = objective(theta + steps[i] + steps[j])
                both += objective(theta - steps[i] - steps[j])
                alone = ahead[i] + behind[i] + ahead[j] + behind[j]
                mixed = (both - alone + 2 * value) / (2 * _STEP**2)
                hessian[i, j] = mixed
                hessian[j, i] = mixed
    return gradient, hessian


def covariance(family: Family, params: Params, data: LikelihoodData) -> Array:
    """Return the covariance of the estimates, by the observed information.

    It is taken in the free coordinates, where the likelihood is closest to a parabola, and
    carried over. It is NaN for parameters along which the likelihood is flat.
    """
    data = data.coarse()
    unit = 1.0 if family.own_unit else data.geometric_mean
    scaled = data.in_unit(unit)
    scales = data.scales(family.kinds)
    theta = family.to_free(family.in_unit(params, 1 / unit)) / scales

    def parameters(theta: Array) -> Params:
        return family.in_unit(family.from_free(theta * scales), unit)

    def objective(theta: Array) -> float:
        return log_likelihood(family, family.from_free(theta * scales), scaled)

    height = objective(theta)
    _, hessian = derivatives(objective, theta, height)
    size = abs(height) + float(np.sum(data.all_counts))
    noise = 4 * np.finfo(np.float64).eps * size / _STEP**2
    with np.errstate(all="ignore"):
        columns = []
        for step in _STEP * np.eye(theta.size):
            ahead = parameters(theta + step)
            behind = parameters(theta - step)
            columns.append(np.subtract(ahead, behind) / (2 * _STEP))
        jacobian = np.array(columns).T
        result = _carried_over(-hessian, jacobian, noise)
        variances = np.diag(result)
        return np.where((variances > 0) & (variances < np.inf), result, np.nan)


def _carried_over(information: Array, jacobian: Array, noise: float) -> Array:
    """Return the covariance of parameters from the information on free coordinates.

    Args:
        information: The matrix of negative second derivatives.
        jacobian: The derivatives of the parameters by the free coordinates.
        noise: Curvatures that are no larger are rounding.

    Returns:
        The covariance; NaN in rows and columns of parameters that the data do not determine.
    """
    if not (np.isfinite(information).all() and np.isfinite(jacobian).all()):
        return np.full(information.shape, np.nan)
    curvatures, directions = np.linalg.eigh(information)
    # One component as narrow as may be is an edge of the likelihood, along which curvatures can
    # be of the other sign: they are no rounding.
    determined = np.abs(curvatures) > noise
    if determined.all():
        return np.asarray(jacobian @ np.linalg.inv(information) @ jacobian.T)
    # A component that lies below a threshold of censoring may lie anywhere there. The inverse
    # of a matrix with such a direction is rounding, or does not exist, for all parameters
    # alike. So flat directions are left out, with the parameters that depend on them.
    loadings = jacobian @ directions
    known = loadings[:, determined]
    result = (known / curvatures[determined]) @ known.T
    at_least = np.sum(loadings[:, ~determined] ** 2, axis=1) / noise
    lost = at_least > _NEGLIGIBLE * np.diag(result)
    result[lost] = np.nan
    result[:, lost] = np.nan
    return np.asarray(result)
