"""The generalised gamma and its special cases: exponential, gamma and Weibull."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    LOG_2PI,
    Array,
    Family,
    Kind,
    Params,
    log_moments,
)
from daleml.analysis.distributions.families.log_probabilities import (
    log_complement,
    log_gamma_tail_near_normal,
    log_gammainc,
    log_gammaincc,
)
from daleml.analysis.weights.sample import WeightSample

if TYPE_CHECKING:
    from daleml.analysis.distributions.likelihood import Observed

_NEAR_NORMAL = 1e-2  # of q: below, gamma functions of 1 / q^2 lose their digits
_SERIES = 100.0  # of a large k, the series of Stirling is exact where gammaln cancels


class Exponential(Family):
    r"""Exponential, :math:`p(w) = e^{-w/\theta} / \theta`: closed form."""

    name = "exponential"
    parameters = ("scale",)
    kinds = (Kind.SCALE,)

    def logpdf(self, w: Array, params: Params) -> Array:
        return -w / params[0] - math.log(params[0])

    def logcdf(self, w: Array, params: Params) -> Array:
        return log_complement(-w / params[0])

    def logsf(self, w: Array, params: Params) -> Array:
        return -w / params[0]

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        return rng.exponential(params[0], n)

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        return stats.expon(scale=params[0])

    def start(self, w: Array, counts: Array) -> Params:
        return (float(np.average(w, weights=counts)),)

    def estimate(self, sample: WeightSample) -> Params:
        return (sample.moments.mean,)

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        return -sample.moments.mean / params[0] - math.log(params[0])

    def stderr(self, params: Params, n: float) -> Params:
        return (params[0] / math.sqrt(n),)


class Gamma(Family):
    r"""Gamma, :math:`p(w) \propto w^{a-1} e^{-w/\theta}`.

    One equation in the shape, from two means.
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
        # the mean keeps its place where the weights hardly vary, and shape and scale move together
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
        gap = (
            math.log(moments.mean) - moments.log_mean
        )  # ln a - digamma(a) at the estimate
        start = _shape_of_gap(gap)
        shape = brentq(
            lambda a: math.log(a) - digamma(a) - gap,
            start / 2,
            start * 2,
            xtol=1e-300,
            rtol=1e-14,
        )
        return shape, moments.mean / shape

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        from scipy.special import gammaln

        (shape, scale), moments = params, sample.moments
        kernel = (shape - 1) * moments.log_mean - moments.mean / scale
        return kernel - shape * math.log(scale) - float(gammaln(shape))

    def stderr(self, params: Params, n: float) -> Params:
        from scipy.special import polygamma

        shape, scale = params
        curvature = float(polygamma(1, shape))
        determinant = shape * curvature - 1
        return math.sqrt(shape / (n * determinant)), scale * math.sqrt(
            curvature / (n * determinant)
        )


def _shape_of_gap(gap: float) -> float:
    """Return a gamma's shape from ln of the mean less the mean of ln, within 1.5 %."""
    return (3 - gap + math.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)


class Weibull(Family):
    r"""Weibull, :math:`P(W > w) = e^{-(w/\lambda)^k}`.

    One equation in the shape, evaluated by passes over the data.
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
        start = math.pi / (
            math.sqrt(6) * moments.log_sd
        )  # what the spread of ln w would be
        low, high = start / 2, start * 2
        while self._score(sample, low)[0] > 0:
            low /= 2
        while self._score(sample, high)[0] < 0:
            high *= 2
        shape = brentq(
            lambda k: self._score(sample, k)[0], low, high, xtol=1e-300, rtol=1e-12
        )
        return shape, math.exp(moments.log_mean + self._score(sample, shape)[1] / shape)

    @staticmethod
    def _score(sample: WeightSample, shape: float) -> tuple[float, float]:
        """Return the equation's left side, rising in ``shape``, and ln of the mean of (w / geometric mean)^shape."""
        center = sample.moments.log_mean
        top = (
            math.log(sample.moments.largest) - center
        )  # taken out of every power, so that none overflows
        power_sum = weighted_sum = 0.0
        for chunk in sample.chunks():
            logs = np.log(chunk) - center
            powers = np.exp(shape * (logs - top))
            power_sum += float(powers.sum())
            weighted_sum += float(np.dot(powers, logs))
        return weighted_sum / power_sum - 1 / shape, shape * top + math.log(
            power_sum / sample.n
        )

    def stderr(self, params: Params, n: float) -> Params:
        shape, scale = params
        scale_factor = 1 + 6 * (1 - np.euler_gamma) ** 2 / math.pi**2
        return shape * math.sqrt(6 / n) / math.pi, scale / shape * math.sqrt(
            scale_factor / n
        )


class GeneralizedGamma(Family):
    r"""Generalised gamma, in the form whose limit at :math:`q = 0` is the log-normal.

    .. math::
        \ln w = \mu + \frac{\sigma}{q} \ln(q^2 g), \qquad g \sim \mathrm{Gamma}(q^{-2})

    At :math:`q = 1` it is the Weibull, at :math:`q = \sigma` the gamma, at :math:`q = \sigma =
    1` the exponential, at :math:`q \sigma = 1` the stretched exponential, at :math:`q = 2\sigma
    = \sqrt 2` the half-normal.

    References:
        Prentice 1974, Biometrika 61:539.
    """

    name = "generalizedgamma"
    parameters = ("mu", "sigma", "q")
    kinds = (Kind.LOG_LOCATION, Kind.SHAPE, Kind.REAL)
    special_cases = frozenset(
        {
            "exponential",
            "gamma",
            "weibull",
            "lognormal",
            "halfnormal",
            "stretchedexponential",
        }
    )

    def logpdf(self, w: Array, params: Params) -> Array:
        from scipy.special import gammaln

        mu, sigma, q = params
        logs = np.log(w)
        z = (logs - mu) / sigma
        k = q**-2 if abs(q) > 1e-9 else np.inf
        if k < _SERIES:
            constant = math.log(abs(q)) + k * math.log(k) - k - float(gammaln(k))
        else:  # the same, by Stirling's series: no cancellation, and the log-normal at q = 0
            constant = -LOG_2PI / 2 - q**2 / 12 + q**6 / 360 - q**10 / 1260
        return constant - _bend(q, z) - logs - math.log(sigma)

    def logcdf(self, w: Array, params: Params) -> Array:
        return self._tail(w, params, lower=True)

    def logsf(self, w: Array, params: Params) -> Array:
        return self._tail(w, params, lower=False)

    @staticmethod
    def _tail(w: Array, params: Params, *, lower: bool) -> Array:
        mu, sigma, q = params
        z = (np.log(w) - mu) / sigma
        if abs(q) < _NEAR_NORMAL:
            zeta = np.copysign(np.sqrt(2 * _bend(q, z)), z if q >= 0 else -z)
            return log_gamma_tail_near_normal(q, zeta, lower=lower == (q >= 0))
        rule = log_gammainc if lower == (q > 0) else log_gammaincc
        with np.errstate(over="ignore"):
            return rule(q**-2, np.exp(q * z) / q**2)

    def ppf(self, q: Array, params: Params) -> Array:
        from scipy.special import gammainccinv, gammaincinv

        mu, sigma, bend = params
        if abs(bend) < _NEAR_NORMAL:
            return np.asarray(self.distribution(params).ppf(q))
        k = bend**-2
        found = gammaincinv(k, q) if bend > 0 else gammainccinv(k, q)
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(mu + sigma / bend * np.log(found / k)))

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        mu, sigma, q = params
        if (
            abs(q) < 1e-7
        ):  # the gamma's digits would be lost, and the log-normal's are the same
            return rng.lognormal(mu, sigma, n)
        k = q**-2
        with np.errstate(
            divide="ignore", over="ignore"
        ):  # a gamma of a tiny shape is often 0
            return np.asarray(np.exp(mu + sigma / q * np.log(rng.gamma(k, 1 / k, n))))

    def start(self, w: Array, counts: Array) -> Params:
        from scipy.special import digamma, polygamma

        mean, sd = log_moments(w, counts)
        skew = float(np.average((np.log(w) - mean) ** 3, weights=counts)) / sd**3
        q = float(np.clip(-skew, -1.5, 1.5))
        q = q if abs(q) > 0.05 else 0.05
        k = q**-2
        sigma = sd * abs(q) / math.sqrt(float(polygamma(1, k)))
        return mean - sigma / q * (float(digamma(k)) - math.log(k)), sigma, q

    def starts(self, data: Observed) -> Iterator[Params]:
        """Yield one place of what was seen whole.

        Where a part is hidden, also where its special cases end.
        """
        yield self.start(*data.complete())
        if (
            data.low == 0
            and data.high == math.inf
            and not data.n_censored
            and not data.n_above
        ):
            return
        from daleml.analysis.distributions.families.lognormal import LogNormal
        from daleml.analysis.distributions.likelihood import maximise

        for family in (LogNormal(), Weibull(), Gamma()):
            try:
                yield self._as_general(family, maximise(family, data).params)
            except (ValueError, OverflowError):
                continue

    @staticmethod
    def _as_general(family: Family, params: Params) -> Params:
        """Return the parameters of a special case as those of this family."""
        first, second = params
        if family.name == "lognormal":
            return first, second, 1e-3
        if family.name == "weibull":
            return math.log(second), 1 / first, 1.0
        return math.log(first * second), first**-0.5, first**-0.5


def _bend(q: float, z: Array) -> Array:
    r"""Return :math:`(e^{qz} - 1 - qz) / q^2`, which is :math:`z^2 / 2` at :math:`q = 0`, without cancellation."""
    y = q * z
    with np.errstate(over="ignore"):
        series = z * z * (0.5 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y / 720))))
        if abs(q) < 1e-9:
            return np.asarray(series)
        return np.where(np.abs(y) < 0.01, series, (np.expm1(y) - y) / q**2)
