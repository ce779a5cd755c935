"""The Lomax distribution, or Pareto II, whose tail falls as a power of the weight."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    Family,
    log_moments,
)
from daleml.analysis.distributions.families.log_probabilities import (
    log_complement,
)
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params


class Lomax(Family):
    r"""Lomax, or Pareto of the second kind, :math:`P(W > w) = (1 + w/\lambda)^{-\alpha}`.

    Where the tail is no heavier than an exponential's, the likelihood rises for ever along
    :math:`\alpha \to \infty`: the fit ends there and says so.

    Example:
        >>> import numpy as np
        >>> Lomax().ppf(np.array([0.75]), (1.0, 2.0)).tolist()
        [6.0]
    """

    name = "lomax"
    parameters = ("shape", "scale")
    kinds = (Kind.SHAPE, Kind.SCALE)
    irregular_cases = frozenset({"exponential"})

    # The maximum is looked for between these shapes.
    _HEAVIEST = 1e-3
    _LIGHTEST = 1e6

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
        # Where both run off, scale / shape stays: it becomes the exponential's scale.
        shape, scale = params
        return np.array([math.log(shape), math.log(scale / shape)])

    def from_free(self, free: Array) -> Params:
        shape = min(max(math.exp(min(free[0], 20.0)), self._HEAVIEST), self._LIGHTEST)
        return shape, shape * math.exp(free[1])

    def start(self, w: Array, counts: Array) -> Params:
        from scipy.special import digamma

        # ln w has a variance whatever the tail: pi^2 / 6 of an exponential's, and
        # trigamma(shape), here to two terms.
        mean, sd = log_moments(w, counts)
        excess = max(sd**2 - math.pi**2 / 6, 1e-3)
        shape = min(max((1 + math.sqrt(1 + 2 * excess)) / (2 * excess), 0.05), 50.0)
        return shape, math.exp(mean + np.euler_gamma + float(digamma(shape)))

    def limit(self, params: Params) -> str | None:
        return "the exponential" if params[0] > 0.5e4 else None

    def limit_above(self, params: Params, low: float) -> str | None:
        return "a power law" if low > 1e3 * params[1] else None
