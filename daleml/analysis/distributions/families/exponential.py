"""The exponential distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    Family,
)
from daleml.analysis.distributions.families.log_probabilities import (
    log_complement,
)
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.weights.sample import WeightSample


class Exponential(Family):
    r"""Exponential, :math:`p(w) = e^{-w/\theta} / \theta`: closed form.

    Example:
        >>> import numpy as np
        >>> Exponential().logsf(np.array([3.0]), (2.0,)).tolist()
        [-1.5]
    """

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
