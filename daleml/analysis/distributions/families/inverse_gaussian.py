"""The inverse Gaussian, whose tail is exponential in the end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    LOG_2PI,
    Family,
)
from daleml.analysis.distributions.families.log_probabilities import (
    log_complement,
)
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.weights.sample import WeightSample


class InverseGaussian(Family):
    r"""Inverse Gaussian, fitted in closed form.

    .. math:: p(w) = \sqrt{\lambda / 2\pi w^3}\, e^{-\lambda (w - m)^2 / 2 m^2 w}

    Its tail falls as :math:`w^{-3/2} e^{-\lambda w / 2 m^2}`.

    Example:
        >>> import numpy as np
        >>> InverseGaussian().start(np.array([1.0, 4.0]), np.array([1, 1]))[0]
        2.5
    """

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
        # The closed form; the bound keeps equal weights from a shape without end.
        reciprocal = float(np.average(1 / w, weights=counts))
        return mean, 1 / max(reciprocal - 1 / mean, 1e-9 / mean)

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
