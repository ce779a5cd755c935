"""The inverse Gaussian, whose tail is exponential in the end, and the Lomax, whose tail is a power: heavy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    LOG_2PI,
    Array,
    Family,
    Kind,
    Params,
    log_moments,
)
from daleml.analysis.distributions.families.log_probabilities import log_complement
from daleml.analysis.weights.sample import WeightSample


class InverseGaussian(Family):
    r"""Inverse Gaussian, :math:`p(w) = \sqrt{\lambda / 2\pi w^3}\, e^{-\lambda (w - m)^2 / 2 m^2 w}`: closed form."""

    name = "inversegaussian"
    parameters = ("mean", "shape")
    kinds = (Kind.SCALE, Kind.SCALE)

    def logpdf(self, w: Array, params: Params) -> Array:
        mean, shape = params
        return (math.log(shape) - LOG_2PI - 3 * np.log(w)) / 2 - shape / 2 * (
            w / mean - 1
        ) ** 2 / w

    def logcdf(self, w: Array, params: Params) -> Array:
        lower, upper = self._ends(w, params)
        return np.where(
            lower < 0,
            _log_half(-lower, upper, 1.0),
            log_complement(_log_half(lower, upper, -1.0)),
        )

    def logsf(self, w: Array, params: Params) -> Array:
        lower, upper = self._ends(w, params)
        return np.where(
            lower < 0,
            log_complement(_log_half(-lower, upper, 1.0)),
            _log_half(lower, upper, -1.0),
        )

    @staticmethod
    def _ends(w: Array, params: Params) -> tuple[Array, Array]:
        mean, shape = params
        root = np.sqrt(shape / w)
        return root * (w / mean - 1), root * (w / mean + 1)

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        return rng.wald(params[0], params[1], n)

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        mean, shape = params
        return stats.invgauss(mean / shape, scale=shape)

    def start(self, w: Array, counts: Array) -> Params:
        mean = float(np.average(w, weights=counts))
        return mean, 1 / max(
            float(np.average(1 / w, weights=counts)) - 1 / mean, 1e-9 / mean
        )

    def estimate(self, sample: WeightSample) -> Params:
        mean = sample.moments.mean
        return mean, mean / (sample.mean_ratio - 1)

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        mean, shape = params
        ratio = sample.moments.mean / mean
        deviance = shape / mean * (ratio - 2 + sample.mean_ratio / ratio)
        return (math.log(shape) - LOG_2PI - 3 * sample.moments.log_mean - deviance) / 2

    def stderr(self, params: Params, n: float) -> Params:
        mean, shape = params
        return mean * math.sqrt(mean / shape / n), shape * math.sqrt(2 / n)


def _log_half(near: Array, far: Array, sign: float) -> Array:
    r"""Return :math:`\ln(\Phi(-a) \pm e^{(b^2 - a^2)/2} \Phi(-b))`, of which the powers cancel."""
    from scipy.special import erfcx

    near = np.maximum(near, 0.0)
    parts = erfcx(near / math.sqrt(2)) + sign * erfcx(far / math.sqrt(2))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(parts / 2) - near * near / 2)


class Lomax(Family):
    r"""Lomax, or Pareto of the second kind, :math:`P(W > w) = (1 + w/\lambda)^{-\alpha}`.

    One equation by passes.

    Where the tail is no heavier than an exponential's, the likelihood rises for ever along
    :math:`\alpha \to \infty`: the fit ends there and says so.
    """

    name = "lomax"
    parameters = ("shape", "scale")
    kinds = (Kind.SHAPE, Kind.SCALE)
    irregular_cases = frozenset({"exponential"})

    _HEAVIEST, _LIGHTEST = 1e-3, 1e6  # shapes between which the maximum is looked for

    def logpdf(self, w: Array, params: Params) -> Array:
        shape, scale = params
        return math.log(shape / scale) - (shape + 1) * np.log1p(w / scale)

    def logcdf(self, w: Array, params: Params) -> Array:
        return log_complement(self.logsf(w, params))

    def logsf(self, w: Array, params: Params) -> Array:
        return -params[0] * np.log1p(w / params[1])

    def ppf(self, q: Array, params: Params) -> Array:
        with np.errstate(divide="ignore"):
            return params[1] * np.expm1(-np.log1p(-np.asarray(q)) / params[0])

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        return params[1] * np.expm1(rng.exponential(1 / params[0], n))

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        return stats.lomax(params[0], scale=params[1])

    def to_free(self, params: Params) -> Array:
        # scale / shape keeps its place where both run off: it becomes the exponential's scale
        shape, scale = params
        return np.array([math.log(shape), math.log(scale / shape)])

    def from_free(self, free: Array) -> Params:
        shape = min(max(math.exp(min(free[0], 20.0)), self._HEAVIEST), self._LIGHTEST)
        return shape, shape * math.exp(free[1])

    def start(self, w: Array, counts: Array) -> Params:
        from scipy.special import digamma

        # ln w has a variance whatever the tail: pi^2 / 6 of an exponential's, and
        # trigamma(shape), here to two terms
        mean, sd = log_moments(w, counts)
        excess = max(sd**2 - math.pi**2 / 6, 1e-3)
        shape = min(max((1 + math.sqrt(1 + 2 * excess)) / (2 * excess), 0.05), 50.0)
        return shape, math.exp(mean + np.euler_gamma + float(digamma(shape)))

    def limit(self, params: Params) -> str | None:
        return "the exponential" if params[0] > 0.5e4 else None

    def limit_above(self, params: Params, low: float) -> str | None:
        return "a power law" if low > 1e3 * params[1] else None
