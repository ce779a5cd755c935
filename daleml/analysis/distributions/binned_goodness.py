r"""Goodness of fit of very many magnitudes: samples drawn as the numbers of values in bins.

The distance is the largest gap at the ends of the bins, of the data and of each sample alike. So
the test holds its level; and a sample of :math:`10^8` values takes as long as one of thousands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.parameter_kinds import Array, Params
from daleml.analysis.distributions.likelihood_data import LikelihoodData
from daleml.analysis.distributions.likelihood_maximum import maximise
from daleml.analysis.distributions.weight_fit import WeightFit

# At most about so many bins: more take time, and move no distance by more than what they hold.
_BINS = 1 << 13


@dataclass(frozen=True)
class BinnedSample:
    """The data of a likelihood in bins.

    Attributes:
        data: One value a bin, ascending.
        lower: The lower ends of the bins.
        upper: Their upper ends.
    """

    data: LikelihoodData
    lower: Array
    upper: Array

    def distance(self, family: Family, params: Params) -> float:
        """Return the largest gap at the upper ends of bins, and at bounds of censoring."""
        data = self.data
        n_up_to = data.n_censored + np.cumsum(data.counts)
        gaps = np.abs(n_up_to / data.total - self._cdf(family, params, self.upper))
        ends = [float(gaps.max())]
        if data.n_censored:
            below = self._cdf(family, params, np.array([data.threshold]))
            ends.append(abs(float(below[0]) - data.n_censored / data.total))
        return max(ends)

    def draw(
        self, family: Family, params: Params, rng: np.random.Generator
    ) -> BinnedSample:
        """Return a sample of as many values, drawn from a fit."""
        data = self.data
        # The last bin holds all that is larger, up to what is seen.
        upper = np.append(self.upper[:-1], min(data.high, data.ceiling))
        up_to = self._cdf(family, params, upper)
        before = self._cdf(family, params, self.lower)
        chances = [up_to - before, np.zeros(2)]
        if data.threshold:
            chances[1][0] = self._cdf(family, params, np.array([data.threshold]))[0]
        if math.isfinite(data.ceiling):
            chances[1][1] = 1 - self._cdf(family, params, np.array([data.ceiling]))[0]
        fractions = np.maximum(np.concatenate(chances), 0.0)
        drawn = rng.multinomial(round(data.total), fractions / fractions.sum())
        counts = drawn.astype(np.float64)
        return replace(
            self,
            data=replace(
                data,
                counts=counts[:-2],
                n_censored=float(counts[-2]),
                n_above=float(counts[-1]),
            ),
        )

    def _cdf(self, family: Family, params: Params, w: Array) -> Array:
        data = self.data
        with np.errstate(all="ignore"):
            log_seen = likelihood.log_seen(family, params, data)
            log_below = likelihood.log_interval(family, params, data.low, w)
            found = np.minimum(np.exp(log_below - log_seen), 1.0)
        return np.where(w <= data.low, 0.0, np.asarray(found))


def binned(fit: WeightFit) -> BinnedSample:
    """Return the sample of a fit in bins that lie without a gap beside each other."""
    data = fit.observed.data
    streamed = fit.observed.streamed
    assert streamed is not None
    if streamed.histogram is None:
        # Few different values, each of which stands for an interval.
        assert data.lower is not None
        assert data.upper is not None
        first = max(data.low, data.threshold)
        lower = np.append(first, data.upper[:-1])
        return BinnedSample(data, lower, data.upper)
    histogram = streamed.histogram
    every = math.ceil(histogram.number.size / _BINS)
    group = np.arange(histogram.number.size) // every
    counts = np.bincount(group, histogram.counts).astype(np.float64)
    logs = np.bincount(group, histogram.counts * histogram.means) / counts
    ends = np.append(histogram.lower[::every][1:], math.inf)
    upper = np.minimum(ends, min(data.high, data.ceiling))
    lower = np.append(max(data.low, data.threshold), upper[:-1])
    values = np.exp(logs)
    in_bins = replace(
        data, values=values, counts=counts, lower=None, upper=None, log_widths=None
    )
    return BinnedSample(in_bins, lower, upper)


def distances(
    fit: WeightFit, seeds: list[np.random.SeedSequence], report: Callable[[int], object]
) -> Iterator[float]:
    """Yield the distance of the sample from its fit, then those of samples drawn from it.

    Args:
        fit: The fit.
        seeds: One for each sample to draw.
        report: Called with the number of samples done.
    """
    sample = binned(fit)
    yield sample.distance(fit.rule, fit.values)
    for done, seed in enumerate(seeds, start=1):
        drawn = sample.draw(fit.rule, fit.values, np.random.default_rng(seed))
        seen = drawn.data.counts > 0
        refit = replace(
            drawn.data,
            values=drawn.data.values[seen],
            counts=drawn.data.counts[seen],
            lower=_taken(drawn.data.lower, seen),
            upper=_taken(drawn.data.upper, seen),
            log_widths=_taken(drawn.data.log_widths, seen),
        )
        params = maximise(fit.rule, refit, fit.values).params
        yield drawn.distance(fit.rule, params)
        report(done)


def _taken(values: Array | None, seen: NDArray[np.bool_]) -> Array | None:
    return None if values is None else values[seen]
