"""Families on the positive half of a bell: half-normal, truncated normal, stretched exponential."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    LOG_2PI,
    Array,
    Distribution,
    Family,
    Kind,
    Params,
    log_moments,
)
from daleml.analysis.distributions.families.log_probabilities import (
    log_complement,
    log_either,
    log_gammainc,
    log_gammaincc,
)
from daleml.analysis.weights.sample import WeightSample

_NEAR_ZERO = 3.0  # of w / scale, times 1 + |location| / scale
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(24) / np.array(
    [[2.0], [2.0]]
) + np.array([[0.5], [0.0]])


class HalfNormal(Family):
    r"""Half-normal, :math:`w = |\mathcal N(0, s^2)|`: closed form."""

    name = "halfnormal"
    parameters = ("scale",)
    kinds = (Kind.SCALE,)

    def logpdf(self, w: Array, params: Params) -> Array:
        return -((w / params[0]) ** 2) / 2 - (
            math.log(params[0]) + math.log(math.pi / 2) / 2
        )

    def logcdf(self, w: Array, params: Params) -> Array:
        from scipy.special import erf, erfc

        z = w / (params[0] * math.sqrt(2))
        return log_either(erf(z), erfc(z))

    def logsf(self, w: Array, params: Params) -> Array:
        from scipy.special import erf, log_ndtr

        z = w / params[0]
        return np.where(
            z < 0.5,
            np.log1p(-erf(np.minimum(z, 1) / math.sqrt(2))),
            math.log(2) + log_ndtr(-z),
        )

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        return np.abs(rng.normal(0, params[0], n))

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        return stats.halfnorm(scale=params[0])

    def start(self, w: Array, counts: Array) -> Params:
        return (math.sqrt(float(np.average(w**2, weights=counts))),)

    def estimate(self, sample: WeightSample) -> Params:
        return (sample.moments.root_mean_square,)

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        ratio = sample.moments.root_mean_square / params[0]
        return -(ratio**2) / 2 - math.log(params[0]) - math.log(math.pi / 2) / 2

    def stderr(self, params: Params, n: float) -> Params:
        return (params[0] / math.sqrt(2 * n),)


class TruncatedNormal(Family):
    r"""Normal of which only the part above zero exists, :math:`p(w) \propto e^{-(w - m)^2 / 2s^2}`.

    Where the weights vary more than their mean, the likelihood rises for ever along :math:`m
    \to -\infty`, towards the exponential: the fit ends there and says so.
    """

    name = "truncatednormal"
    parameters = ("location", "scale")
    kinds = (Kind.LOCATION, Kind.SCALE)
    special_cases = frozenset({"halfnormal"})
    irregular_cases = frozenset({"exponential"})

    _FARTHEST = -1e3  # of location / scale: nothing but an exponential is left here

    def logpdf(self, w: Array, params: Params) -> Array:
        location, scale = params
        shift = location / scale
        return -w / scale * (w / scale - 2 * shift) / 2 - (
            math.log(scale) + LOG_2PI / 2 + _log_mass(shift)
        )

    def logcdf(self, w: Array, params: Params) -> Array:
        from scipy.special import log_ndtr

        (location, scale), w = params, np.asarray(w, dtype=np.float64)
        shift, x = location / scale, w / scale
        result = np.array(log_complement(self._log_upper(x, shift)))
        if shift > 0:  # below the location the upper part is all but 1
            lower = np.asarray(log_ndtr(x - shift)), float(log_ndtr(-shift))
            below = (
                lower[0]
                + log_complement(np.minimum(lower[1] - lower[0], 0.0))
                - float(log_ndtr(shift))
            )
            result = np.where(x < shift, below, result)
        near = x * (1 + abs(shift)) < _NEAR_ZERO
        if (
            near.any()
        ):  # so near zero that the difference of two tails would cancel: Gauss-Legendre
            t = x[near][..., None] * _NODES
            parts = np.exp(t * shift - t * t / 2) @ _NODE_WEIGHTS
            result[near] = (
                np.log(x[near]) + np.log(parts) - LOG_2PI / 2 - _log_mass(shift)
            )
        return result

    def logsf(self, w: Array, params: Params) -> Array:
        (location, scale), w = params, np.asarray(w, dtype=np.float64)
        upper = self._log_upper(w / scale, location / scale)
        # near 1, the complement has the digits
        return (
            np.where(upper > -0.5, log_complement(self.logcdf(w, params)), upper)
            if (upper > -0.5).any()
            else upper
        )

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
        if (
            location / scale < -30
        ):  # scipy's quantiles are lost where nearly all of the normal is cut off
            return super().distribution(params)
        return stats.truncnorm(-location / scale, math.inf, loc=location, scale=scale)

    def to_free(self, params: Params) -> Array:
        # location / scale^2 keeps its place where the location runs off: it becomes the
        # exponential's rate. Where
        # weights of order one hardly vary it is the location that keeps its place
        location, scale = params
        return np.array([location / (1 + scale**2), math.log(scale)])

    def from_free(self, free: Array) -> Params:
        scale = math.exp(free[1])
        return max(float(free[0]) * (1 / scale + scale), self._FARTHEST) * scale, scale

    def start(self, w: Array, counts: Array) -> Params:
        mean = float(np.average(w, weights=counts))
        sd = math.sqrt(float(np.average((w - mean) ** 2, weights=counts)))
        return (mean, sd) if sd < mean / 2 else (0.0, math.hypot(mean, sd))

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        moments = sample.moments
        location, scale = params
        shift, mean, rms = (
            location / scale,
            moments.mean / scale,
            moments.root_mean_square / scale,
        )
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

    if shift < 0:
        return math.log(float(erfcx(-shift / math.sqrt(2))) / 2)
    return float(log_ndtr(shift)) + shift**2 / 2


class StretchedExponential(Family):
    r"""Stretched exponential, :math:`p(w) \propto e^{-(w/s)^\beta}`.

    A density with its mode at zero.

    One equation in :math:`\beta`, by passes over the data. Some authors call the Weibull by
    this name, whose *tail* :math:`P(W > w)` has this form.
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

        return np.asarray(
            params[1] * gammaincinv(1 / params[0], q) ** (1 / params[0]),
            dtype=np.float64,
        )

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        return np.asarray(
            params[1] * rng.gamma(1 / params[0], 1.0, n) ** (1 / params[0]),
            dtype=np.float64,
        )

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        return stats.halfgennorm(params[0], scale=params[1])

    def start(self, w: Array, counts: Array) -> Params:
        shape = min(max(math.pi / (math.sqrt(6) * log_moments(w, counts)[1]), 0.1), 5.0)
        powers = np.average(np.exp(shape * np.log(w)), weights=counts)
        return shape, float(shape * powers) ** (1 / shape)

    def estimate(self, sample: WeightSample) -> Params | None:
        from scipy.optimize import minimize_scalar

        def scale_of(shape: float) -> float:
            return math.exp((math.log(shape) + _log_mean_power(sample, shape)) / shape)

        def height(
            log_shape: float,
        ) -> float:  # minus the mean log-likelihood, the scale at its best
            shape = math.exp(log_shape)
            return self._log_norm(shape, scale_of(shape)) + 1 / shape

        found = minimize_scalar(
            height,
            bounds=(math.log(0.05), math.log(50)),
            method="bounded",
            options={"xatol": 1e-7},
        )
        shape = math.exp(found.x)
        # a maximum is flat, so its place is known to half the digits: one step of Newton's
        # gives the others
        step = 1e-3
        low, middle, high = (
            height(found.x - step),
            height(found.x),
            height(found.x + step),
        )
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
