"""The Kolmogorov-Smirnov distance of a fit from the weights that were seen."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.parameter_kinds import Array, Params
from daleml.analysis.distributions.likelihood_data import LikelihoodData
from daleml.analysis.distributions.observed_sample import ObservedSample
from daleml.analysis.distributions.streamed_distance import largest_gap


def ks_distance(family: Family, params: Params, observed: ObservedSample) -> float:
    r"""Return :math:`\max_w |F_n(w) - F(w)|`, of what was seen and of the fit.

    It is NaN of a sample of intervals, whose order is not known.
    """
    data = observed.data
    if not data.edged:
        return math.nan
    log_seen = likelihood.log_seen(family, params, data)

    def cdf(w: Array | float) -> Array:
        log_below = likelihood.log_interval(family, params, data.low, w)
        return np.exp(log_below - log_seen)

    streamed = observed.streamed
    with np.errstate(all="ignore"):
        if streamed is None or streamed.histogram is None:
            gaps = _gaps_of_values(data, cdf)
        else:
            sample, observation = observed.sample, observed.observation
            gaps = [largest_gap(sample, observation, streamed, cdf)]
        # Of censored values only their number is known, at the threshold and at the ceiling.
        if data.n_censored:
            censored = data.n_censored / data.total
            gaps.append(abs(float(cdf(data.threshold)) - censored))
        if data.n_above:
            below_ceiling = 1 - data.n_above / data.total
            gaps.append(abs(float(cdf(data.ceiling)) - below_ceiling))
    return float(max(gaps))


def _gaps_of_values(data: LikelihoodData, cdf: Callable[[Array], Array]) -> list[float]:
    """Return the largest gaps at values that are all held."""
    order = np.argsort(data.values, kind="stable")
    ends = data.ends[order]
    n_up_to = data.n_censored + np.cumsum(data.counts[order])
    up_to = n_up_to / data.total
    theory = cdf(np.minimum(ends, data.high))
    gaps = [np.max(np.abs(up_to - theory))]
    # The empirical function jumps at each value: the gap before the jump counts too. Of
    # rounded weights, both functions rise in the same steps.
    if data.lower is None:
        before = np.append(data.n_censored / data.total, up_to[:-1])
        gaps.append(np.max(np.abs(theory - before)))
    return list(map(float, gaps))
