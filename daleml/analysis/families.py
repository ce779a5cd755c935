r"""Families of distributions for magnitudes, location fixed at 0: one small object a family.

Each knows its maximum-likelihood estimate, in closed form where there is one; the expected Fisher information that
gives the standard errors; its log-likelihood; and the ``scipy.stats`` distribution of the same parameters.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from daleml.analysis.weights import WeightSample

_LOG_2PI = math.log(2 * math.pi)


class Family(ABC):
    """A family of distributions on the positive numbers."""

    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]

    @abstractmethod
    def estimate(self, sample: WeightSample) -> tuple[float, ...]:
        """Return the maximum-likelihood parameters, in the order of ``parameters``."""

    @abstractmethod
    def stderr(self, params: tuple[float, ...], n: int) -> tuple[float, ...]:
        """Return the parameters' standard errors for ``n`` values."""

    @abstractmethod
    def log_likelihood(self, params: tuple[float, ...], sample: WeightSample) -> float:
        """Return the sample's log-likelihood at its maximum-likelihood parameters."""

    @abstractmethod
    def distribution(self, params: tuple[float, ...]) -> Any:
        """Return the frozen ``scipy.stats`` distribution."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class LogNormal(Family):
    r"""Log-normal, :math:`\ln w \sim \mathcal N(\mu, \sigma^2)`: closed form."""

    name = "lognormal"
    parameters = ("mu", "sigma")

    def estimate(self, sample: WeightSample) -> tuple[float, ...]:
        return sample.moments.log_mean, sample.moments.log_sd

    def stderr(self, params: tuple[float, ...], n: int) -> tuple[float, ...]:
        return params[1] / math.sqrt(n), params[1] / math.sqrt(2 * n)

    def log_likelihood(self, params: tuple[float, ...], sample: WeightSample) -> float:
        mu, sigma = params
        return -sample.n * (mu + math.log(sigma) + (_LOG_2PI + 1) / 2)

    def distribution(self, params: tuple[float, ...]) -> Any:
        from scipy import stats

        return stats.lognorm(s=params[1], scale=math.exp(params[0]))


class Gamma(Family):
    r"""Gamma, :math:`p(w) \propto w^{a-1} e^{-w/\theta}`: one equation in the shape, from two means."""

    name = "gamma"
    parameters = ("shape", "scale")

    def estimate(self, sample: WeightSample) -> tuple[float, ...]:
        from scipy.optimize import brentq
        from scipy.special import digamma

        moments = sample.moments
        gap = math.log(moments.mean) - moments.log_mean  # ln a - digamma(a) at the estimate
        start = (3 - gap + math.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)  # within 1.5 % of it
        shape = brentq(lambda a: math.log(a) - digamma(a) - gap, start / 2, start * 2, xtol=1e-300, rtol=1e-14)
        return shape, moments.mean / shape

    def stderr(self, params: tuple[float, ...], n: int) -> tuple[float, ...]:
        from scipy.special import polygamma

        shape, scale = params
        curvature = float(polygamma(1, shape))
        determinant = shape * curvature - 1
        return math.sqrt(shape / (n * determinant)), scale * math.sqrt(curvature / (n * determinant))

    def log_likelihood(self, params: tuple[float, ...], sample: WeightSample) -> float:
        from scipy.special import gammaln

        (shape, scale), moments = params, sample.moments
        kernel = (shape - 1) * moments.log_mean - moments.mean / scale
        return sample.n * (kernel - shape * math.log(scale) - float(gammaln(shape)))

    def distribution(self, params: tuple[float, ...]) -> Any:
        from scipy import stats

        return stats.gamma(params[0], scale=params[1])


class Weibull(Family):
    r"""Weibull, :math:`P(W > w) = e^{-(w/\lambda)^k}`: one equation in the shape, evaluated by passes over the data."""

    name = "weibull"
    parameters = ("shape", "scale")

    def estimate(self, sample: WeightSample) -> tuple[float, ...]:
        from scipy.optimize import brentq

        moments = sample.moments
        start = math.pi / (math.sqrt(6) * moments.log_sd)  # what the spread of ln w would be
        low, high = start / 2, start * 2
        while self._score(sample, low)[0] > 0:
            low /= 2
        while self._score(sample, high)[0] < 0:
            high *= 2
        shape = brentq(lambda k: self._score(sample, k)[0], low, high, xtol=1e-300, rtol=1e-12)
        return shape, math.exp(moments.log_mean + self._score(sample, shape)[1] / shape)

    @staticmethod
    def _score(sample: WeightSample, shape: float) -> tuple[float, float]:
        """Return the equation's left side, rising in ``shape``, and ln of the mean of (w / geometric mean)^shape."""
        center = sample.moments.log_mean
        top = math.log(sample.moments.largest) - center  # taken out of every power, so that none overflows
        power_sum = weighted_sum = 0.0
        for chunk in sample.chunks():
            logs = np.log(chunk) - center
            powers = np.exp(shape * (logs - top))
            power_sum += float(powers.sum())
            weighted_sum += float(np.dot(powers, logs))
        return weighted_sum / power_sum - 1 / shape, shape * top + math.log(power_sum / sample.n)

    def stderr(self, params: tuple[float, ...], n: int) -> tuple[float, ...]:
        shape, scale = params
        scale_factor = 1 + 6 * (1 - np.euler_gamma) ** 2 / math.pi**2
        return shape * math.sqrt(6 / n) / math.pi, scale / shape * math.sqrt(scale_factor / n)

    def log_likelihood(self, params: tuple[float, ...], sample: WeightSample) -> float:
        shape, scale = params  # the mean of (w / scale)^shape is 1 at the estimate
        return sample.n * (math.log(shape) - shape * math.log(scale) + (shape - 1) * sample.moments.log_mean - 1)

    def distribution(self, params: tuple[float, ...]) -> Any:
        from scipy import stats

        return stats.weibull_min(params[0], scale=params[1])


class Exponential(Family):
    r"""Exponential, :math:`p(w) = e^{-w/\theta} / \theta`: closed form."""

    name = "exponential"
    parameters = ("scale",)

    def estimate(self, sample: WeightSample) -> tuple[float, ...]:
        return (sample.moments.mean,)

    def stderr(self, params: tuple[float, ...], n: int) -> tuple[float, ...]:
        return (params[0] / math.sqrt(n),)

    def log_likelihood(self, params: tuple[float, ...], sample: WeightSample) -> float:
        return -sample.n * (math.log(params[0]) + 1)

    def distribution(self, params: tuple[float, ...]) -> Any:
        from scipy import stats

        return stats.expon(scale=params[0])


class HalfNormal(Family):
    r"""Half-normal, :math:`w = |\mathcal N(0, s^2)|`: closed form."""

    name = "halfnormal"
    parameters = ("scale",)

    def estimate(self, sample: WeightSample) -> tuple[float, ...]:
        return (sample.moments.root_mean_square,)

    def stderr(self, params: tuple[float, ...], n: int) -> tuple[float, ...]:
        return (params[0] / math.sqrt(2 * n),)

    def log_likelihood(self, params: tuple[float, ...], sample: WeightSample) -> float:
        return -sample.n * (math.log(params[0]) + (math.log(math.pi / 2) + 1) / 2)

    def distribution(self, params: tuple[float, ...]) -> Any:
        from scipy import stats

        return stats.halfnorm(scale=params[0])


FAMILIES: dict[str, Family] = {
    family.name: family for family in (LogNormal(), Gamma(), Weibull(), Exponential(), HalfNormal())
}
"""The families by name."""
