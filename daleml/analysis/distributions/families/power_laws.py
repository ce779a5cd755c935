"""Power laws: a tail that falls as a power of the weight, from a lower bound on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from daleml.analysis.distributions.families.family import Array, Family, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.distributions.likelihood import Observed
    from daleml.analysis.distributions.observation import Observation

# a whole number, from which on the zeta function is its asymptotic series to the last digit
_LARGE = 1e3
_STEEPEST = 1e3
_FARTHEST = 1e15  # count, beyond which whole numbers have gaps


class PowerLaw(Family):
    r"""Power law, :math:`p(w) = \frac{\alpha - 1}{w_{min}} (w / w_{min})^{-\alpha}` for :math:`w > w_{min}`: Pareto I.

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
    """

    name = "powerlaw"
    parameters = ("alpha",)
    kinds = (Kind.SHAPE,)
    needs_bound = True

    def logpdf(self, w: Array, params: Params) -> Array:
        """Return the logarithm of the density, but for what it is divided by.

        The part that was seen.
        """
        return -params[0] * np.log(w)

    def logcdf(self, w: Array, params: Params) -> Array:
        """Return infinity: what lies below has no finite total."""
        return np.full(np.shape(w), np.inf)

    def logsf(self, w: Array, params: Params) -> Array:
        return (1 - params[0]) * np.log(w) - math.log(params[0] - 1)

    def observed_as(self, observation: Observation) -> Family:
        bound = None if observation.truncation is None else observation.truncation[0]
        if observation.discrete:
            return Zeta()
        if not bound:
            raise ValueError(
                "`truncation` must have a lower end above 0 to fit a power law, which"
                " holds from there on: see `power_law`, which looks for one (Lomax, Pareto"
                f" II, needs none); got {bound}."
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

    def starts(self, data: Observed) -> Iterator[Params]:
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
    """A power law of counts.

    It goes by the name of :class:`PowerLaw`, which becomes it where weights are counts.
    """

    own_unit = True

    def logsf(self, w: Array, params: Params) -> Array:
        return log_zeta(params[0], np.floor(w) + 1)

    def log_mass(self, counts: Array, params: Params) -> Array:
        return -params[0] * np.log(counts)

    def observed_as(self, observation: Observation) -> Family:
        return self

    def starts(self, data: Observed) -> Iterator[Params]:
        values, counts = data.complete()
        yield self._closed(
            values, counts, data.low
        )  # half below the least count: close, if that is not 1

    def between(
        self, params: Params, n: int, low: float, high: float, rng: np.random.Generator
    ) -> Array:
        tail = TailOfCounts(params[0], math.floor(low) + 1)
        most = 1.0 if high == math.inf else float(tail.cdf(math.floor(high)))
        return tail.ppf(rng.uniform(size=n) * most)

    def above(self, params: Params, low: float) -> Any:
        return TailOfCounts(params[0], math.floor(low) + 1)


@dataclass(frozen=True)
class TailOfCounts:
    r"""The zeta distribution from a least count on, with the methods of ``scipy.stats`` that are needed of it.

    Args:
        alpha: Its exponent.
        least: The least count, 1 or more.
    """

    alpha: float
    least: int

    def logsf(self, k: ArrayLike) -> Array:
        r"""Return :math:`\ln P(K > k)`."""
        beyond = np.maximum(np.floor(np.asarray(k, dtype=np.float64)) + 1, self.least)
        return log_zeta(self.alpha, beyond) - log_zeta(
            self.alpha, np.array(float(self.least))
        )

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
            logs = -self.alpha * np.log(k) - log_zeta(
                self.alpha, np.array(float(self.least))
            )
        return np.where((k >= self.least) & (k == np.floor(k)), np.exp(logs), 0.0)

    def ppf(self, q: ArrayLike) -> Array:
        """Return the least count up to which there is a share of at least ``q``."""
        levels = np.log1p(-np.minimum(np.asarray(q, dtype=np.float64), 1 - 1e-16))
        inside, beyond = (
            np.full(levels.shape, self.least - 1.0),
            np.full(levels.shape, float(self.least)),
        )
        while (short := self.logsf(beyond) > levels).any() and beyond.max() < _FARTHEST:
            inside, beyond = (
                np.where(short, beyond, inside),
                np.where(short, 2 * beyond, beyond),
            )
        for _ in range(60):
            if (beyond - inside <= 1).all():
                break
            middle = np.floor((inside + beyond) / 2)
            short = self.logsf(middle) > levels
            inside, beyond = (
                np.where(short, middle, inside),
                np.where(short, beyond, middle),
            )
        return np.asarray(beyond)

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
        # Euler and Maclaurin's sum, relative to the integral
        more = (alpha - 1) / (2 * least) + alpha * (alpha - 1) / (12 * least**2)
        series = (1 - alpha) * np.log(least) - math.log(alpha - 1) + np.log1p(more)
        exact = np.log(zeta(alpha, np.minimum(least, _LARGE)))
    return np.where((least < _LARGE) & np.isfinite(exact), exact, series)
