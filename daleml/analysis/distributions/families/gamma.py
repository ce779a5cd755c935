"""The gamma distribution."""

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


class Gamma(Family):
    r"""Gamma, :math:`p(w) \propto w^{a-1} e^{-w/\theta}`.

    The shape solves one equation in two means, :math:`\ln a - \psi(a) = \ln \bar w -
    \overline{\ln w}`; the scale is :math:`\bar w / a`.

    Example:
        >>> import numpy as np
        >>> Gamma().logsf(np.array([3.0]), (1.0, 2.0)).tolist()
        [-1.5]
    """

    name = "gamma"
    parameters = ("shape", "scale")
    kinds = (Kind.SHAPE, Kind.SCALE)
    special_cases = frozenset({"exponential"})

    def logpdf(self, w: Array, params: Params) -> Array:
        from scipy.special import gammaln

        shape, scale = params
        return (
            (shape - 1) * np.log(w)
            - w / scale
            - (shape * math.log(scale) + float(gammaln(shape)))
        )

    def logcdf(self, w: Array, params: Params) -> Array:
        return log_gammainc(params[0], w / params[1])

    def logsf(self, w: Array, params: Params) -> Array:
        return log_gammaincc(params[0], w / params[1])

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        return rng.gamma(params[0], params[1], n)

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        return stats.gamma(params[0], scale=params[1])

    def to_free(self, params: Params) -> Array:
        # Where the weights hardly vary, shape and scale move together and the mean stays.
        shape, scale = params
        return np.array([math.log(shape), math.log(shape) + math.log(scale)])

    def from_free(self, free: Array) -> Params:
        return math.exp(free[0]), math.exp(free[1] - free[0])

    def start(self, w: Array, counts: Array) -> Params:
        mean = float(np.average(w, weights=counts))
        gap = max(math.log(mean) - log_moments(w, counts)[0], 1e-6)
        shape = _shape_of_gap(gap)
        return shape, mean / shape

    def estimate(self, sample: WeightSample) -> Params:
        from scipy.optimize import brentq
        from scipy.special import digamma

        moments = sample.moments
        # At the estimate the shape a solves ln a - digamma(a) = gap.
        gap = math.log(moments.mean) - moments.log_mean
        start = _shape_of_gap(gap)

        def equation(a: float) -> float:
            return math.log(a) - float(digamma(a)) - gap

        shape = brentq(equation, start / 2, start * 2, xtol=1e-300, rtol=1e-14)
        return shape, moments.mean / shape

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        from scipy.special import gammaln

        shape, scale = params
        moments = sample.moments
        kernel = (shape - 1) * moments.log_mean - moments.mean / scale
        return kernel - shape * math.log(scale) - float(gammaln(shape))

    def stderr(self, params: Params, n: float) -> Params:
        from scipy.special import polygamma

        shape, scale = params
        curvature = float(polygamma(1, shape))
        determinant = shape * curvature - 1
        shape_error = math.sqrt(shape / (n * determinant))
        return shape_error, scale * math.sqrt(curvature / (n * determinant))


def _shape_of_gap(gap: float) -> float:
    """Return a gamma's shape from ln of the mean less the mean of ln, within 1.5 %."""
    return (3 - gap + math.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
