"""The normal distribution of which only the part above zero exists."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    LOG_2PI,
    Distribution,
    Family,
)
from daleml.analysis.distributions.families.log_probabilities import (
    log_complement,
)
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.weights.sample import WeightSample

# Below this value of w / scale, times 1 + |location| / scale, two tails differ by too little.
_NEAR_ZERO = 3.0

# Gauss and Legendre's rule on the interval from 0 to 1.
_nodes, _weights = np.polynomial.legendre.leggauss(24)
_NODES = _nodes / 2.0 + 0.5
_NODE_WEIGHTS = _weights / 2.0


class TruncatedNormal(Family):
    r"""Normal of which only the part above zero exists, :math:`p(w) \propto e^{-(w - m)^2 / 2s^2}`.

    Where the weights vary more than their mean, the likelihood rises for ever along :math:`m
    \to -\infty`, towards the exponential: the fit ends there and says so.

    Example:
        >>> TruncatedNormal().limit((-9.0, 1.0))
        'the exponential'
    """

    name = "truncatednormal"
    parameters = ("location", "scale")
    kinds = (Kind.LOCATION, Kind.SCALE)
    special_cases = frozenset({"halfnormal"})
    irregular_cases = frozenset({"exponential"})

    # Below this location / scale nothing but an exponential is left.
    _FARTHEST = -1e3

    def logpdf(self, w: Array, params: Params) -> Array:
        location, scale = params
        shift = location / scale
        return -w / scale * (w / scale - 2 * shift) / 2 - (
            math.log(scale) + LOG_2PI / 2 + _log_mass(shift)
        )

    def logcdf(self, w: Array, params: Params) -> Array:
        from scipy.special import log_ndtr

        location, scale = params
        shift = location / scale
        x = np.asarray(w, dtype=np.float64) / scale
        result = np.array(log_complement(self._log_upper(x, shift)))
        if shift > 0:
            # Below the location the upper part is all but 1, and the lower one has the digits.
            to_x = np.asarray(log_ndtr(x - shift))
            to_zero = float(log_ndtr(-shift))
            rest = log_complement(np.minimum(to_zero - to_x, 0.0))
            below = to_x + rest - float(log_ndtr(shift))
            result = np.where(x < shift, below, result)
        near = x * (1 + abs(shift)) < _NEAR_ZERO
        if near.any():
            # So near zero the difference of two tails would cancel: integrate instead.
            t = x[near][..., None] * _NODES
            parts = np.exp(t * shift - t * t / 2) @ _NODE_WEIGHTS
            result[near] = (
                np.log(x[near]) + np.log(parts) - LOG_2PI / 2 - _log_mass(shift)
            )
        return result

    def logsf(self, w: Array, params: Params) -> Array:
        location, scale = params
        w = np.asarray(w, dtype=np.float64)
        upper = self._log_upper(w / scale, location / scale)
        if not (upper > -0.5).any():
            return upper
        # Near 1, the complement has the digits.
        return np.where(upper > -0.5, log_complement(self.logcdf(w, params)), upper)

    @staticmethod
    def _log_upper(x: Array, shift: float) -> Array:
        """Return ln of the part above ``x`` scales, precise where that is not near 1."""
        from scipy.special import erfcx, log_ndtr

        z = x - shift
        inside = z > 0
        far = (
            np.log(erfcx(np.where(inside, z, 0) / math.sqrt(2)) / 2)
            - x * (x - 2 * shift) / 2
            - _log_mass(shift)
        )
        near = np.asarray(log_ndtr(-z)) - float(log_ndtr(shift))
        return np.where(inside, far, near)

    def ppf(self, q: Array, params: Params) -> Array:
        return np.asarray(Distribution(self, params).ppf(q))

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        from scipy.special import log_ndtr, ndtri_exp

        shift = params[0] / params[1]
        above = ndtri_exp(np.log1p(-rng.uniform(size=n)) + log_ndtr(shift))
        return np.asarray(params[1] * np.maximum(shift - above, 0.0))

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        location, scale = params
        if location / scale < -30:
            # scipy's quantiles are lost where nearly all of the normal is cut off.
            return super().distribution(params)
        return stats.truncnorm(-location / scale, math.inf, loc=location, scale=scale)

    def to_free(self, params: Params) -> Array:
        # Where the location runs off, location / scale^2 stays: it becomes the exponential's
        # rate. Where weights of order one hardly vary, the location stays.
        location, scale = params
        return np.array([location / (1 + scale**2), math.log(scale)])

    def from_free(self, free: Array) -> Params:
        scale = math.exp(free[1])
        return max(float(free[0]) * (1 / scale + scale), self._FARTHEST) * scale, scale

    def start(self, w: Array, counts: Array) -> Params:
        mean = float(np.average(w, weights=counts))
        sd = math.sqrt(float(np.average((w - mean) ** 2, weights=counts)))
        if sd < mean / 2:
            return mean, sd
        return 0.0, math.hypot(mean, sd)

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        moments = sample.moments
        location, scale = params
        shift = location / scale
        mean = moments.mean / scale
        rms = moments.root_mean_square / scale
        return (
            -(rms**2) / 2
            + mean * shift
            - math.log(scale)
            - LOG_2PI / 2
            - _log_mass(shift)
        )

    def limit(self, params: Params) -> str | None:
        return "the exponential" if params[0] / params[1] < -8 else None


def _log_mass(shift: float) -> float:
    r"""Return :math:`\ln \Phi(a) + a^2 / 2`.

    The part above zero, without the factor that cancels.
    """
    from scipy.special import erfcx, log_ndtr

    # Far in the tail, erfcx has the square in the exponent divided out already.
    if shift < 0:
        return math.log(float(erfcx(-shift / math.sqrt(2))) / 2)
    return float(log_ndtr(shift)) + shift**2 / 2
