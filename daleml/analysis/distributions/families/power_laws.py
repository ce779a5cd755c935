"""Power laws: a tail that falls as a power of the weight, from a lower bound on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.distributions.likelihood_data import LikelihoodData
    from daleml.analysis.distributions.observation import Observation

# From this whole number on, the zeta function is its asymptotic series to the last digit.
_LARGE = 1e3

# No exponent is larger than this one by more than 1.
_STEEPEST = 1e3

# Beyond this count, floats cannot hold every whole number.
_FARTHEST = 1e15


class PowerLaw(Family):
    r"""Power law, or Pareto I.

    .. math:: p(w) = \frac{\alpha - 1}{w_{min}} (w / w_{min})^{-\alpha}, \quad w > w_{min}

    It has no finite total without a lower bound, which is the lower end of what was seen:
    ``truncation=(w_min, None)``. :func:`daleml.analysis.power_law` looks for one. Seen whole
    from there on, the estimate is that of Clauset et al.,

    .. math:: \hat\alpha = 1 + n \Big/ \sum_i \ln (w_i / w_{min}) .

    Of counts (``discrete=True``) it is the zeta distribution, :math:`P(k) = k^{-\alpha} /
    \zeta(\alpha, k_{min})`.

    Notes:
        :math:`\alpha` is the exponent of the density, as in Clauset et al.; that of the tail,
        which scipy's ``pareto`` calls ``b``, is one less.

    References:
        Clauset, Shalizi & Newman 2009, SIAM Review 51:661.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights
        >>> weights = np.random.default_rng(0).pareto(1.5, 3000) + 1  # alpha = 2.5
        >>> print(fit_weights(weights, "powerlaw", truncation=(1, None)).parameters_text())
        alpha 2.481 ± 0.027
    """

    name = "powerlaw"
    parameters = ("alpha",)
    kinds = (Kind.SHAPE,)
    needs_bound = True

    def logpdf(self, w: Array, params: Params) -> Array:
        """Return the logarithm of the density, up to the constant that divides it.

        The likelihood divides by the integral over what was seen.
        """
        return -params[0] * np.log(w)

    def logcdf(self, w: Array, params: Params) -> Array:
        """Return infinity: what lies below has no finite total."""
        return np.full(np.shape(w), np.inf)

    def logsf(self, w: Array, params: Params) -> Array:
        return (1 - params[0]) * np.log(w) - math.log(params[0] - 1)

    def observed_as(self, observation: Observation) -> Family:
        if observation.discrete:
            return Zeta()
        bound = observation.truncation[0] if observation.truncation else None
        if not bound:
            raise ValueError(
                "`truncation` must have a lower end above 0 to fit a power law, which"
                " holds from there on: `power_law` looks for one, as `daleml fit --tail`"
                f" does (Lomax, Pareto II, needs none); got {bound}."
            )
        return self

    def to_free(self, params: Params) -> Array:
        return np.array([math.log(params[0] - 1)])

    def from_free(self, free: Array) -> Params:
        return (1 + math.exp(min(max(float(free[0]), -30.0), math.log(_STEEPEST))),)

    def allowed(self, params: Params) -> bool:
        return params[0] > 1

    def start(self, w: Array, counts: Array) -> Params:
        return self._closed(w, counts, float(w.min()))

    def starts(self, data: LikelihoodData) -> Iterator[Params]:
        values, counts = data.complete()
        yield self._closed(values, counts, data.low)

    @staticmethod
    def _closed(w: Array, counts: Array, low: float) -> Params:
        spread = float(np.average(np.log(w / low), weights=counts))
        return (1 + 1 / max(spread, 1 / _STEEPEST),)

    def between(
        self, params: Params, n: int, low: float, high: float, rng: np.random.Generator
    ) -> Array:
        tail = params[0] - 1
        hidden = 0.0 if high == math.inf else math.exp(-tail * math.log(high / low))
        return np.asarray(low * (1 - rng.uniform(size=n) * (1 - hidden)) ** (-1 / tail))

    def above(self, params: Params, low: float) -> Any:
        from scipy import stats

        return stats.pareto(params[0] - 1, scale=low)


class Zeta(PowerLaw):
    """A power law of counts, which a :class:`PowerLaw` becomes where weights are counts.

    It has the name of that family.
    """

    own_unit = True

    def logsf(self, w: Array, params: Params) -> Array:
        return log_zeta(params[0], np.floor(w) + 1)

    def log_mass(self, counts: Array, params: Params) -> Array:
        return -params[0] * np.log(counts)

    def observed_as(self, observation: Observation) -> Family:
        return self

    def starts(self, data: LikelihoodData) -> Iterator[Params]:
        # The bound lies half below the least count, which is close, unless that is 1.
        values, counts = data.complete()
        yield self._closed(values, counts, data.low)

    def between(
        self, params: Params, n: int, low: float, high: float, rng: np.random.Generator
    ) -> Array:
        tail = TailOfCounts(params[0], math.floor(low) + 1)
        levels = rng.uniform(size=n)
        if high < math.inf:
            levels = levels * float(tail.cdf(math.floor(high)))
        return tail.ppf(levels)

    def above(self, params: Params, low: float) -> Any:
        return TailOfCounts(params[0], math.floor(low) + 1)


@dataclass(frozen=True)
class TailOfCounts:
    r"""The zeta distribution from a least count on, with methods as in ``scipy.stats``.

    Args:
        alpha: Its exponent.
        least: The least count, 1 or more.

    Example:
        >>> TailOfCounts(2.5, 3).median()
        4.0
    """

    alpha: float
    least: int

    def logsf(self, k: ArrayLike) -> Array:
        r"""Return :math:`\ln P(K > k)`."""
        beyond = np.maximum(np.floor(np.asarray(k, dtype=np.float64)) + 1, self.least)
        return log_zeta(self.alpha, beyond) - self._log_total()

    def sf(self, k: ArrayLike) -> Array:
        """Return :math:`P(K > k)`."""
        return np.exp(self.logsf(k))

    def cdf(self, k: ArrayLike) -> Array:
        r"""Return :math:`P(K \le k)`."""
        return np.asarray(-np.expm1(self.logsf(k)))

    def pmf(self, k: ArrayLike) -> Array:
        """Return the probability of each count."""
        k = np.asarray(k, dtype=np.float64)
        with np.errstate(divide="ignore"):
            logs = -self.alpha * np.log(k) - self._log_total()
        return np.where((k >= self.least) & (k == np.floor(k)), np.exp(logs), 0.0)

    def ppf(self, q: ArrayLike) -> Array:
        """Return the least count up to which there is a fraction of at least ``q``."""
        levels = np.log1p(-np.minimum(np.asarray(q, dtype=np.float64), 1 - 1e-16))
        # The count lies above `below` and is at most `above`: double, then halve the distance.
        below = np.full(levels.shape, self.least - 1.0)
        above = np.full(levels.shape, float(self.least))
        short = self.logsf(above) > levels
        while short.any() and above.max() < _FARTHEST:
            below = np.where(short, above, below)
            above = np.where(short, 2 * above, above)
            short = self.logsf(above) > levels
        for _ in range(60):
            if (above - below <= 1).all():
                break
            middle = np.floor((below + above) / 2)
            short = self.logsf(middle) > levels
            below = np.where(short, middle, below)
            above = np.where(short, above, middle)
        return np.asarray(above)

    def _log_total(self) -> Array:
        """Return ln of the sum of the powers of all counts."""
        return log_zeta(self.alpha, np.array(float(self.least)))

    def median(self) -> float:
        """Return the median."""
        return float(self.ppf(0.5))

    def rvs(self, size: int | tuple[int, ...] = 1, random_state: Any = None) -> Array:
        """Draw counts."""
        return self.ppf(np.random.default_rng(random_state).uniform(size=size))


def log_zeta(alpha: float, least: Array) -> Array:
    r"""Return :math:`\ln \sum_{k \ge m} k^{-\alpha}`, Hurwitz's zeta function."""
    from scipy.special import zeta

    least = np.asarray(least, dtype=np.float64)
    with np.errstate(all="ignore"):
        # The sum of Euler and Maclaurin, relative to the integral.
        more = (alpha - 1) / (2 * least) + alpha * (alpha - 1) / (12 * least**2)
        series = (1 - alpha) * np.log(least) - math.log(alpha - 1) + np.log1p(more)
        exact = np.log(zeta(alpha, np.minimum(least, _LARGE)))
    return np.where((least < _LARGE) & np.isfinite(exact), exact, series)
