"""The generalised gamma, which holds the log-normal, the gamma and the Weibull."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from daleml.analysis.distributions.families.family import (
    LOG_2PI,
    Family,
    log_moments,
)
from daleml.analysis.distributions.families.gamma import Gamma
from daleml.analysis.distributions.families.log_probabilities import (
    log_gamma_tail_near_normal,
    log_gammainc,
    log_gammaincc,
)
from daleml.analysis.distributions.families.lognormal import LogNormal
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params
from daleml.analysis.distributions.families.weibull import Weibull

if TYPE_CHECKING:
    from daleml.analysis.distributions.likelihood_data import LikelihoodData

# Below this q, gamma functions of 1 / q^2 lose their digits.
_NEAR_NORMAL = 1e-2

# From this k on, Stirling's series is exact, where gammaln cancels.
_SERIES = 100.0


class GeneralizedGamma(Family):
    r"""Generalised gamma, in the form whose limit at :math:`q = 0` is the log-normal.

    .. math::
        \ln w = \mu + \frac{\sigma}{q} \ln(q^2 g), \qquad g \sim \mathrm{Gamma}(q^{-2})

    At :math:`q = 1` it is the Weibull, at :math:`q = \sigma` the gamma, at :math:`q = \sigma =
    1` the exponential, at :math:`q \sigma = 1` the stretched exponential, at :math:`q = 2\sigma
    = \sqrt 2` the half-normal.

    Example:
        >>> import numpy as np
        >>> weibull = GeneralizedGamma().logsf(np.array([2.0]), (0.0, 0.5, 1.0))  # of shape 2
        >>> weibull.round(9).tolist()
        [-4.0]

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
        # Stirling's series of what follows: it does not cancel, and is the log-normal at q = 0.
        constant = -LOG_2PI / 2 - q**2 / 12 + q**6 / 360 - q**10 / 1260
        if abs(q) > 1e-9 and q**-2 < _SERIES:
            k = q**-2
            constant = math.log(abs(q)) + k * math.log(k) - k - float(gammaln(k))
        return constant - _bend(q, z) - logs - math.log(sigma)

    def logcdf(self, w: Array, params: Params) -> Array:
        return self._tail(w, params, lower=True)

    def logsf(self, w: Array, params: Params) -> Array:
        return self._tail(w, params, lower=False)

    @staticmethod
    def _tail(w: Array, params: Params, *, lower: bool) -> Array:
        mu, sigma, q = params
        z = (np.log(w) - mu) / sigma
        # A negative q turns the axis of ln w round, and with it the tails.
        lower = lower == (q >= 0)
        if abs(q) < _NEAR_NORMAL:
            zeta = np.copysign(np.sqrt(2 * _bend(q, z)), z if q >= 0 else -z)
            return log_gamma_tail_near_normal(q, zeta, lower=lower)
        with np.errstate(over="ignore"):
            x = np.exp(q * z) / q**2
            return log_gammainc(q**-2, x) if lower else log_gammaincc(q**-2, x)

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
        if abs(q) < 1e-7:
            # The gamma's digits would be lost, and the log-normal's are the same.
            return rng.lognormal(mu, sigma, n)
        k = q**-2
        # A gamma of a tiny shape is often 0, and its logarithm minus infinity.
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(np.exp(mu + sigma / q * np.log(rng.gamma(k, 1 / k, n))))

    def start(self, w: Array, counts: Array) -> Params:
        from scipy.special import digamma, polygamma

        mean, sd = log_moments(w, counts)
        skew = float(np.average((np.log(w) - mean) ** 3, weights=counts)) / sd**3
        # The skewness of ln w has the sign of -q; at q = 0 the scale would be undefined.
        q = float(np.clip(-skew, -1.5, 1.5))
        if abs(q) <= 0.05:
            q = 0.05
        k = q**-2
        sigma = sd * abs(q) / math.sqrt(float(polygamma(1, k)))
        return mean - sigma / q * (float(digamma(k)) - math.log(k)), sigma, q

    def starts(self, data: LikelihoodData) -> Iterator[Params]:
        """Yield one starting point where all was seen.

        Where a part is hidden, the fits of the special cases are starting points too.
        """
        yield self.start(*data.complete())
        unbounded = data.low == 0 and data.high == math.inf
        if unbounded and not data.n_censored and not data.n_above:
            return
        # The search for the maximum asks families for their starting points.
        from daleml.analysis.distributions.likelihood_maximum import maximise

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
    r"""Return :math:`(e^{qz} - 1 - qz) / q^2` without cancellation.

    It is :math:`z^2 / 2` at :math:`q = 0`.
    """
    y = q * z
    with np.errstate(over="ignore"):
        series = z * z * (0.5 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y / 720))))
        if abs(q) < 1e-9:
            return np.asarray(series)
        return np.where(np.abs(y) < 0.01, series, (np.expm1(y) - y) / q**2)
