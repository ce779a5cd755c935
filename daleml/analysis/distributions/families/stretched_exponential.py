"""The stretched exponential as a density, not as a tail."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    Family,
    log_moments,
)
from daleml.analysis.distributions.families.log_probabilities import (
    log_gammainc,
    log_gammaincc,
)
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.weights.sample import WeightSample


class StretchedExponential(Family):
    r"""Stretched exponential, :math:`p(w) \propto e^{-(w/s)^\beta}`, with its mode at zero.

    The likelihood is maximised over :math:`\beta` alone, by passes over the data. Some authors
    call the Weibull by this name, whose *tail* :math:`P(W > w)` has this form.

    Example:
        >>> StretchedExponential().parameters
        ('shape', 'scale')
    """

    name = "stretchedexponential"
    parameters = ("shape", "scale")
    kinds = (Kind.SHAPE, Kind.SCALE)
    special_cases = frozenset({"exponential", "halfnormal"})

    def logpdf(self, w: Array, params: Params) -> Array:
        shape, scale = params
        return -np.exp(shape * (np.log(w) - math.log(scale))) - self._log_norm(
            shape, scale
        )

    @staticmethod
    def _log_norm(shape: float, scale: float) -> float:
        from scipy.special import gammaln

        return math.log(scale) - math.log(shape) + float(gammaln(1 / shape))

    def logcdf(self, w: Array, params: Params) -> Array:
        return log_gammainc(1 / params[0], self._power(w, params))

    def logsf(self, w: Array, params: Params) -> Array:
        return log_gammaincc(1 / params[0], self._power(w, params))

    @staticmethod
    def _power(w: Array, params: Params) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(params[0] * (np.log(w) - math.log(params[1]))))

    def ppf(self, q: Array, params: Params) -> Array:
        from scipy.special import gammaincinv

        shape, scale = params
        return np.asarray(scale * gammaincinv(1 / shape, q) ** (1 / shape))

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        shape, scale = params
        return np.asarray(scale * rng.gamma(1 / shape, 1.0, n) ** (1 / shape))

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        return stats.halfgennorm(params[0], scale=params[1])

    def start(self, w: Array, counts: Array) -> Params:
        # As if it were a Weibull, whose spread of ln w gives its shape.
        shape = min(max(math.pi / (math.sqrt(6) * log_moments(w, counts)[1]), 0.1), 5.0)
        powers = np.average(np.exp(shape * np.log(w)), weights=counts)
        return shape, float(shape * powers) ** (1 / shape)

    def estimate(self, sample: WeightSample) -> Params | None:
        from scipy.optimize import minimize_scalar

        def scale_of(shape: float) -> float:
            return math.exp((math.log(shape) + _log_mean_power(sample, shape)) / shape)

        def loss(log_shape: float) -> float:
            """Return minus the mean log-likelihood, at the best scale of a shape."""
            shape = math.exp(log_shape)
            return self._log_norm(shape, scale_of(shape)) + 1 / shape

        found = minimize_scalar(
            loss,
            bounds=(math.log(0.05), math.log(50)),
            method="bounded",
            options={"xatol": 1e-7},
        )
        shape = math.exp(found.x)
        # A maximum is flat, so that it is found to half the digits: one step of Newton's
        # method gives the others.
        step = 1e-3
        low = loss(found.x - step)
        middle = loss(found.x)
        high = loss(found.x + step)
        curvature = (low - 2 * middle + high) / step**2
        if curvature > 0:
            shape = math.exp(found.x - (high - low) / (2 * step) / curvature)
        return shape, scale_of(shape)


def _log_mean_power(sample: WeightSample, power: float) -> float:
    """Return ln of the mean of w^power, without overflow."""
    top = math.log(sample.moments.largest)
    total = sum(
        float(np.exp(power * (np.log(chunk) - top)).sum()) for chunk in sample.chunks()
    )
    return power * top + math.log(total / sample.n)
