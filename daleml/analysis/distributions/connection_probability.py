"""The probability that a pair is connected, where zeros are pairs without a connection."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.parameter_kinds import Params
from daleml.analysis.distributions.observed_sample import ObservedSample
from daleml.analysis.distributions.rounding import Steps

# The quantile of the normal that belongs to a 95 % interval.
_Z = 1.959964


class ConnectionProbability(NamedTuple):
    """The probability that a pair is connected: the fraction of values that are not zero.

    Attributes:
        probability: The estimate.
        low: The lower end of Wilson's 95 % interval.
        high: Its upper end.
    """

    probability: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"connection probability {self.probability:.3g} [{self.low:.3g},"
            f" {self.high:.3g}]"
        )


def connection_probability(
    observed: ObservedSample, family: Family, params: Params
) -> ConnectionProbability:
    """Estimate how likely a pair is connected, from the zeros beside the strengths.

    Small weights that were rounded to zero are connections too: the fit says how many. Pairs
    of which a sparse matrix stores no entry have no connection.

    References:
        Wilson 1927, Journal of the American Statistical Association 22:209.
    """
    sample = observed.sample
    n = observed.total + sample.zero_weight + sample.n_absent
    fraction = observed.total / n
    center = fraction + _Z**2 / (2 * n)
    half_width = _Z * math.sqrt(fraction * (1 - fraction) / n + _Z**2 / (4 * n**2))
    low = (center - half_width) / (1 + _Z**2 / n)
    high = (center + half_width) / (1 + _Z**2 / n)
    seen = 1.0
    resolution = observed.observation.resolution
    if resolution is not None and observed.sample.intervals is None:
        seen = math.exp(float(family.logsf(np.array(Steps(resolution).least), params)))
    return ConnectionProbability(
        _within_0_and_1(fraction / seen),
        _within_0_and_1(low / seen),
        _within_0_and_1(high / seen),
    )


def _within_0_and_1(value: float) -> float:
    return min(max(value, 0.0), 1.0)
