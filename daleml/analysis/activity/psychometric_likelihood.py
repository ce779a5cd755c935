r"""The likelihood of choices between two alternatives, and where it is largest.

The fraction of choices at a strength :math:`s` of the stimulus is

.. math:: p(s) = \gamma + (1 - \gamma - \lambda) F(\beta (s - b))

with bias :math:`b`, slope :math:`\beta`, lapse rates :math:`\gamma` and :math:`\lambda`, and
:math:`F` the logistic or the normal distribution function. Everything here is in strengths that
were scaled to [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]

SHAPES = ("logistic", "gaussian")
"""The functions :math:`F` that a curve may have."""

BIAS, SLOPE, LOW, HIGH = range(4)
"""The places of bias, slope and the two lapse rates among the parameters."""

FARTHEST = 3.0
"""The largest bias that data can tell: as far outside of the strengths as they are wide."""

# From a slope on at which neighbouring strengths lie so many widths apart, the curve is a step.
_WIDTHS = 80.0

# The logarithm of the largest gradient, in place of an infinite one.
_LARGEST = 200.0

# Starts are tried on this grid, and the best of them are gone on with.
_BIASES = (-0.6, -0.2, 0.2, 0.6)
_SLOPES = (-32.0, -8.0, -2.0, 2.0, 8.0, 32.0)
_N_STARTS = 5
_LAPSE = 0.03


@dataclass(frozen=True)
class Counts:
    """Choices by strength: ``chosen`` of ``total`` trials at each of the scaled strengths."""

    strengths: Array
    chosen: Array
    total: Array

    @property
    def steepest(self) -> float:
        """The largest slope that is told from a step."""
        gaps = np.diff(self.strengths)
        return _WIDTHS / float(gaps.min())

    @property
    def saturated(self) -> float:
        """The log-likelihood of the fractions themselves."""
        fractions = self.chosen / self.total
        return _binomial(self, fractions)


class Point(NamedTuple):
    """Bias, slope and the two lapse rates, with the log-likelihood there."""

    params: Array
    log_likelihood: float


class LogProbabilities(NamedTuple):
    """ln p and ln(1 - p) at each strength, and the gradients of both, (4, strengths)."""

    chosen: Array
    rest: Array
    chosen_gradient: Array
    rest_gradient: Array


def log_probabilities(params: Array, strengths: Array, shape: str) -> LogProbabilities:
    r"""Return the logarithms of p and 1 - p at each strength, with their gradients.

    Args:
        params: Intercept, slope, and the two lapse rates: :math:`z = a + \beta s`. The intercept
            stays finite where the bias does not, and a likelihood without lapses is concave in it.
        strengths: Scaled strengths.
        shape: Name of :math:`F`.
    """
    intercept, slope, low, high = params
    z = intercept + slope * strengths
    if shape == "logistic":
        log_f, log_rest = special.log_expit(z), special.log_expit(-z)
        log_density = log_f + log_rest
    else:
        log_f, log_rest = special.log_ndtr(z), special.log_ndtr(-z)
        log_density = -(z**2) / 2 - math.log(2 * math.pi) / 2
    # A lapse rate of 0 has the logarithm minus infinity, which adds nothing.
    with np.errstate(divide="ignore"):
        log_scale = np.log(1 - low - high)
        log_p = np.logaddexp(np.log(low), log_scale + log_f)
        log_q = np.logaddexp(np.log(high), log_scale + log_rest)
    # As logarithms first: far from the bias, density and p underflow, and their ratio does not.
    by_z = log_scale + log_density
    gradients = []
    for log_side, sign in ((log_p, 1.0), (log_q, -1.0)):
        slopes = sign * _ratio(by_z - log_side)
        rows = [
            slopes,
            slopes * strengths,
            sign * _ratio(log_rest - log_side),
            -sign * _ratio(log_f - log_side),
        ]
        gradients.append(np.stack(rows))
    return LogProbabilities(log_p, log_q, *gradients)


def _ratio(log_ratio: Array) -> Array:
    """Return a ratio from its logarithm, or a large number in place of an overflow."""
    return np.asarray(np.exp(np.minimum(log_ratio, _LARGEST)))


def information(params: Array, counts: Counts, shape: str) -> Array:
    """Return the expected information on bias, slope and lapse rates."""
    found = log_probabilities(with_intercept(params), counts.strengths, shape)
    bias, slope = params[:2]
    # The chain rule, from the intercept, minus slope times bias, to these two.
    sides = []
    for gradient in (found.chosen_gradient, found.rest_gradient):
        by_bias, by_slope = -slope * gradient[0], gradient[1] - bias * gradient[0]
        sides.append(np.stack([by_bias, by_slope, *gradient[2:]]))
    # The gradients of ln p and ln(1 - p) are dp/p and -dp/(1 - p).
    return np.asarray(-(sides[0] * counts.total) @ sides[1].T)


def with_intercept(params: Array) -> Array:
    """Return intercept, slope and lapse rates, from bias, slope and lapse rates."""
    bias, slope, low, high = params
    return np.array([-slope * bias, slope, low, high])


def _with_bias(params: Array) -> Array:
    """Return bias, slope and lapse rates, from intercept, slope and lapse rates."""
    intercept, slope, low, high = params
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = -intercept / slope
    return np.array([bias, slope, low, high])


def _weighted(counts: Counts, log_p: Array, log_q: Array) -> float:
    missed = counts.total - counts.chosen
    # 0 trials of probability 0 say nothing, where 0 times minus infinity would be NaN.
    chosen = np.where(counts.chosen > 0, counts.chosen * log_p, 0.0)
    rest = np.where(missed > 0, missed * log_q, 0.0)
    return float(chosen.sum() + rest.sum())


def _binomial(counts: Counts, p: Array) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return _weighted(counts, np.log(p), np.log1p(-p))


@dataclass(frozen=True)
class Model:
    """Which parameters are free: intercept, slope and lapse rates are linear in those.

    Attributes:
        shape: Name of :math:`F`.
        base: What the parameters are where all free ones are 0.
        matrix: (4, free): how the parameters depend on the free ones.
        bounds: Of the free ones.
        max_lapse: The largest lapse rate.
    """

    shape: str
    base: Array
    matrix: Array
    bounds: tuple[tuple[float, float], ...]
    max_lapse: float

    def held(self, place: int, value: float) -> Model:
        """Return the model with bias, slope or a lapse rate held at a value."""
        base, matrix = self.base.copy(), self.matrix.copy()
        column = self.column(place)
        if place == BIAS:
            # The intercept is minus the slope times the bias, and the slope stays free.
            matrix[BIAS] = -value * matrix[SLOPE]
        else:
            # A lapse rate that both ends share is held at both.
            base += matrix[:, column] * value
        matrix = np.delete(matrix, column, axis=1)
        bounds = self.bounds[:column] + self.bounds[column + 1 :]
        return Model(self.shape, base, matrix, bounds, self.max_lapse)

    def column(self, place: int) -> int:
        """Return which of the free parameters one of the four is."""
        return int(np.flatnonzero(self.matrix[place])[0])

    def free(self, params: Array) -> Array:
        """Return the free parameters that are nearest to bias, slope and lapse rates."""
        distance = with_intercept(params) - self.base
        solution = np.linalg.lstsq(self.matrix, distance, rcond=None)[0]
        low, high = np.array(self.bounds).T
        return np.asarray(np.clip(solution, low, high))


def model(shape: str, n_lapses: int, max_lapse: float, counts: Counts) -> Model:
    """Return the model with so many lapse rates: 0, 1 for both sides, or 2."""
    matrix = np.zeros((4, 2 + n_lapses))
    matrix[BIAS, 0] = matrix[SLOPE, 1] = 1
    if n_lapses:
        matrix[LOW, 2] = matrix[HIGH, 1 + n_lapses] = 1
    steepest = counts.steepest
    farthest = FARTHEST * steepest
    bounds = [(-farthest, farthest), (-steepest, steepest)]
    bounds += [(0.0, max_lapse)] * n_lapses
    return Model(shape, np.zeros(4), matrix, tuple(bounds), max_lapse)


def maximise(counts: Counts, chosen: Model, starts: Iterable[Array]) -> Point:
    """Return the best point that is reached from some starting points."""
    best = Point(np.full(4, np.nan), -math.inf)
    for start in starts:
        found = _ascend(counts, chosen, chosen.free(start))
        if found.log_likelihood > best.log_likelihood:
            best = found
    return best


def _ascend(counts: Counts, chosen: Model, start: Array) -> Point:
    n = counts.total.sum()
    missed = counts.total - counts.chosen

    def loss(free: Array) -> tuple[float, Array]:
        params = chosen.base + chosen.matrix @ free
        found = log_probabilities(params, counts.strengths, chosen.shape)
        value = -_weighted(counts, found.chosen, found.rest) / n
        slope = found.chosen_gradient @ counts.chosen + found.rest_gradient @ missed
        return min(value, 1e300), -chosen.matrix.T @ slope / n

    if not len(start):
        return Point(_with_bias(chosen.base), -loss(start)[0] * n)
    found = optimize.minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=chosen.bounds,
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 500},
    )
    params = chosen.base + chosen.matrix @ found.x
    return Point(_with_bias(params), -float(found.fun) * n)


def starts(counts: Counts, chosen: Model) -> list[Array]:
    """Return the most likely points of a grid."""
    points = []
    for bias in _BIASES:
        for slope in _SLOPES:
            start = np.array([bias, slope, _LAPSE, _LAPSE])
            params = chosen.base + chosen.matrix @ chosen.free(start)
            found = log_probabilities(params, counts.strengths, chosen.shape)
            points.append((_weighted(counts, found.chosen, found.rest), start))
    points.sort(key=lambda point: -point[0])
    return [start for _, start in points[:_N_STARTS]]


# -- the limit of infinite slope


def steps(
    counts: Counts, chosen: Model, places: Sequence[float] | None = None
) -> Iterator[Point]:
    """Yield the curves of infinite slope, which step between strengths or at one.

    Each has the lapse rates that are most likely. At a strength where it steps, the curve may
    take any value between the two sides.

    Args:
        counts: The choices.
        chosen: What is free; a slope that is held is not looked at.
        places: Where to step; default: in the middle between two strengths, and at each.
    """
    if places is None:
        middles = (counts.strengths[1:] + counts.strengths[:-1]) / 2
        # Of equals the first is taken: where data leave a gap, its middle.
        places = [*middles, *counts.strengths]
    for place in places:
        for direction in (1.0, -1.0):
            yield _step(counts, chosen, place, direction)


def _step(counts: Counts, chosen: Model, place: float, direction: float) -> Point:
    side = direction * np.sign(counts.strengths - place)
    most = chosen.max_lapse
    lapsed = np.where(side < 0, counts.chosen, counts.total - counts.chosen)
    low, high = chosen.base[[LOW, HIGH]]
    of_low, of_high = chosen.matrix[[LOW, HIGH]]
    if of_low @ of_high:
        low = high = _fraction(lapsed, counts.total, side != 0, most)
    else:
        # A lapse rate that is held has no free parameter.
        if of_low.any():
            low = _fraction(lapsed, counts.total, side < 0, most)
        if of_high.any():
            high = _fraction(lapsed, counts.total, side > 0, most)
    p = np.where(side < 0, low, 1 - high)
    between = np.clip(counts.chosen / counts.total, low, 1 - high)
    p = np.where(side == 0, between, p)
    params = np.array([place, direction * math.inf, low, high])
    return Point(params, _binomial(counts, p))


def _fraction(
    lapsed: Array, total: Array, where: NDArray[np.bool_], most: float
) -> float:
    """Return the most likely lapse rate of some strengths; 0 if there are none."""
    n = total[where].sum()
    if not n:
        return 0.0
    return float(min(lapsed[where].sum() / n, most))
