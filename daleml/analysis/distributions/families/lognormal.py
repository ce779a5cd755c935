r"""The log-normal distribution, whose maximum-likelihood fit is two means of logarithms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.families.family import LOG_2PI, Family, log_moments
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.weights.sample import WeightSample

# A log-normal of which so many standard deviations are hidden shows nothing but its tail.
_FAR_OFF = 6.0


class LogNormal(Family):
    r"""Log-normal, :math:`\ln w \sim \mathcal N(\mu, \sigma^2)`, fitted in closed form.

    .. math::
        \hat\mu = \frac1n \sum_i \ln w_i, \qquad
        \hat\sigma^2 = \frac1n \sum_i (\ln w_i - \hat\mu)^2

    with the standard errors :math:`\hat\sigma / \sqrt n` and :math:`\hat\sigma / \sqrt{2n}`.

    Example:
        >>> import numpy as np
        >>> mu, sigma = LogNormal.closed_form(np.exp([1.0, 2.0, 3.0]))
        >>> print(f"{mu:.4f} {sigma:.4f}")
        2.0000 0.8165
    """

    name = "lognormal"
    parameters = ("mu", "sigma")
    kinds = (Kind.LOG_LOCATION, Kind.SHAPE)

    @staticmethod
    def closed_form(w: Array) -> Params:
        """Return the maximum-likelihood parameters of magnitudes that were all seen."""
        logs = np.log(w)
        mu = np.mean(logs)
        sigma = np.sqrt(np.mean((logs - mu) ** 2))
        return float(mu), float(sigma)

    def estimate(self, sample: WeightSample) -> Params:
        """Return what :meth:`closed_form` returns, from the moments that the sample has."""
        # A sample sums its logarithms and their squares while it reads the weights, so that a
        # fit of many weights passes over memory once.
        mu, sigma = sample.log_moments
        return mu, sigma

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        mu, sigma = params
        mean, sd = sample.log_moments
        squares = sd**2 + (mean - mu) ** 2
        return -mean - math.log(sigma) - LOG_2PI / 2 - squares / (2 * sigma**2)

    def stderr(self, params: Params, n: float) -> Params:
        sigma = params[1]
        return sigma / math.sqrt(n), sigma / math.sqrt(2 * n)

    def logpdf(self, w: Array, params: Params) -> Array:
        mu, sigma = params
        logs = np.log(w)
        z = (logs - mu) / sigma
        return -z * z / 2 - logs - (math.log(sigma) + LOG_2PI / 2)

    def logcdf(self, w: Array, params: Params) -> Array:
        from scipy.special import log_ndtr

        return np.asarray(log_ndtr((np.log(w) - params[0]) / params[1]))

    def logsf(self, w: Array, params: Params) -> Array:
        from scipy.special import log_ndtr

        return np.asarray(log_ndtr((params[0] - np.log(w)) / params[1]))

    def ppf(self, q: Array, params: Params) -> Array:
        from scipy.special import ndtri

        return np.exp(params[0] + params[1] * ndtri(q))

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        return rng.lognormal(params[0], params[1], n)

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        return stats.lognorm(s=params[1], scale=math.exp(params[0]))

    def start(self, w: Array, counts: Array) -> Params:
        return log_moments(w, counts)

    def interval_factor(self, index: int, n: float, level: float) -> float:
        """Return Student's exact correction for mu, and Bartlett's for sigma.

        The error of the second is of order 1 / n^2.
        """
        from scipy.special import chdtri, digamma, stdtrit

        if n < 3:
            return 1.0
        if index == 0:
            t = float(stdtrit(n - 1, (1 + level) / 2))
            return n * math.log1p(t * t / (n - 1)) / float(chdtri(1, 1 - level))
        return -1 - n * (float(digamma((n - 1) / 2)) + math.log(2 / n))

    def limit_above(self, params: Params, low: float) -> str | None:
        # The exponent of such a tail, z / sigma, changes by a few hundredths over all that is
        # seen of it.
        mu, sigma = params
        if low > 0 and math.log(low) - mu > _FAR_OFF * sigma:
            return "a power law"
        return None
