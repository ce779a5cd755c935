"""The Weibull distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    Family,
    log_moments,
)
from daleml.analysis.distributions.families.log_probabilities import (
    log_complement,
)
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.weights.sample import WeightSample


class Weibull(Family):
    r"""Weibull, :math:`P(W > w) = e^{-(w/\lambda)^k}`.

    The shape solves one equation, evaluated by passes over the data.

    Example:
        >>> import numpy as np
        >>> Weibull().logsf(np.array([2.0]), (3.0, 2.0)).tolist()
        [-1.0]
    """

    name = "weibull"
    parameters = ("shape", "scale")
    kinds = (Kind.SHAPE, Kind.SCALE)
    special_cases = frozenset({"exponential"})

    def logpdf(self, w: Array, params: Params) -> Array:
        shape, scale = params
        logs = np.log(w) - math.log(scale)
        return shape * logs - np.exp(shape * logs) - np.log(w) + math.log(shape)

    def logcdf(self, w: Array, params: Params) -> Array:
        return log_complement(self.logsf(w, params))

    def logsf(self, w: Array, params: Params) -> Array:
        return -np.exp(params[0] * (np.log(w) - math.log(params[1])))

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        return params[1] * rng.weibull(params[0], n)

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        return stats.weibull_min(params[0], scale=params[1])

    def start(self, w: Array, counts: Array) -> Params:
        mean, sd = log_moments(w, counts)
        shape = math.pi / (math.sqrt(6) * sd)
        return shape, math.exp(mean + np.euler_gamma / shape)

    def estimate(self, sample: WeightSample) -> Params:
        from scipy.optimize import brentq

        moments = sample.moments
        # The standard deviation of ln w is pi / sqrt(6) over the shape.
        start = math.pi / (math.sqrt(6) * moments.log_sd)
        # The equation rises with the shape: widen the interval until it holds the root.
        low = start / 2
        high = start * 2
        while self._score(sample, low)[0] > 0:
            low /= 2
        while self._score(sample, high)[0] < 0:
            high *= 2

        def equation(k: float) -> float:
            return self._score(sample, k)[0]

        shape = brentq(equation, low, high, xtol=1e-300, rtol=1e-12)
        return shape, math.exp(moments.log_mean + self._score(sample, shape)[1] / shape)

    @staticmethod
    def _score(sample: WeightSample, shape: float) -> tuple[float, float]:
        r"""Return the equation's left side, which rises with the shape, and a log-mean of powers.

        With the geometric mean :math:`g`, the second is :math:`\ln \overline{(w / g)^k}`.
        """
        center = sample.moments.log_mean
        # It is taken out of every power, so that none overflows.
        top = math.log(sample.moments.largest) - center
        power_sum = weighted_sum = 0.0
        for chunk in sample.chunks():
            logs = np.log(chunk) - center
            powers = np.exp(shape * (logs - top))
            power_sum += float(powers.sum())
            weighted_sum += float(np.dot(powers, logs))
        log_mean_power = shape * top + math.log(power_sum / sample.n)
        return weighted_sum / power_sum - 1 / shape, log_mean_power

    def stderr(self, params: Params, n: float) -> Params:
        shape, scale = params
        scale_factor = 1 + 6 * (1 - np.euler_gamma) ** 2 / math.pi**2
        shape_error = shape * math.sqrt(6 / n) / math.pi
        return shape_error, scale / shape * math.sqrt(scale_factor / n)
