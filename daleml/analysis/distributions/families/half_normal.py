"""The half-normal distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    Family,
)
from daleml.analysis.distributions.families.log_probabilities import (
    log_either,
)
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.weights.sample import WeightSample


class HalfNormal(Family):
    r"""Half-normal, :math:`w = |\mathcal N(0, s^2)|`: closed form.

    Example:
        >>> import numpy as np
        >>> HalfNormal().start(np.array([3.0, 3.0]), np.array([1, 1]))
        (3.0,)
    """

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
