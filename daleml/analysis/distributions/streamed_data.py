"""The data of a likelihood of more magnitudes than are held in memory, chunk after chunk.

Many magnitudes are counted in the bins of a :class:`ValueHistogram`, from which fits follow to
about 1e-9; those that were rounded or counted, and take few different values, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.likelihood_data import LikelihoodData, cells
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.recorded_values import (
    recorded,
    refuse_off,
    refuse_outside,
    refuse_too_few,
    refuse_zeros,
)
from daleml.analysis.distributions.value_histogram import (
    Bins,
    Counting,
    ValueHistogram,
)
from daleml.analysis.weights.sample import WeightSample

IN_MEMORY = 1 << 20
"""Of more magnitudes than this, what is computed is computed by chunks."""

PIECE = 1 << 18
"""So many values are read at a time: few calls, and little memory."""

# Of rounded values, so many different ones are kept as they are. More lie too close together
# for their rounding to show.
_DISTINCT = 1 << 20


@dataclass(frozen=True)
class StreamedData:
    """What one pass over a sample yields.

    Attributes:
        data: The data of a likelihood, of few values that stand for many.
        histogram: Of the magnitudes that were not censored; None if the data are all of them.
    """

    data: LikelihoodData
    histogram: ValueHistogram | None


class Seen(NamedTuple):
    """Some magnitudes as they were recorded, and how often each counts; None of once."""

    values: Array
    counts: Array | None


def is_streamed(sample: WeightSample) -> bool:
    """Return whether a sample is so large that it is read by chunks."""
    return sample.n > IN_MEMORY and sample.intervals is None


def uncensored_chunks(sample: WeightSample, observation: Observation) -> Iterator[Seen]:
    """Yield the magnitudes that were not censored, as they were recorded."""
    reader = _Reader(sample, observation)
    return reader.chunks()


def stream(sample: WeightSample, observation: Observation) -> StreamedData:
    """Return a sample as a likelihood needs it, read by chunks.

    Raises:
        ValueError: As :func:`read_sample` does.
    """
    if observation.grid is not None:
        found = _distinct(sample, observation)
        if found is not None:
            return StreamedData(found, None)
    reader = _Reader(sample, observation)
    counting = Counting(Bins.for_sample(*sample.log_moments, *sample.extremes))
    for values, counts in reader.chunks():
        counting.add(values, counts)
    reader.check()
    histogram = counting.histogram()
    values, counts = histogram.nodes()
    data = reader.data(values, counts)
    if observation.grid is not None:
        # The cells are narrower than the bins: their probability is the density times their
        # width.
        widths = np.log(observation.grid.widths(values))
        data = replace(data, lower=values, upper=values, log_widths=widths)
    return StreamedData(data, histogram)


def _distinct(sample: WeightSample, observation: Observation) -> LikelihoodData | None:
    """Return all different values of a sample that was rounded; None if they are too many."""
    reader = _Reader(sample, observation)
    kept = np.empty(0)
    often = np.empty(0)
    for values, counts in reader.chunks():
        weights = np.ones(values.size) if counts is None else counts
        both = np.concatenate([kept, values])
        kept, positions = np.unique(both, return_inverse=True)
        often = np.bincount(positions, np.concatenate([often, weights])).astype(float)
        if kept.size > _DISTINCT:
            return None
    reader.check()
    assert observation.grid is not None
    return cells(reader.data(kept, often), observation.grid)


class _Reader:
    """A pass over a sample that finds what was censored, and what cannot have been seen."""

    def __init__(self, sample: WeightSample, observation: Observation) -> None:
        self._sample = sample
        self._observation = observation
        self._n = self._n_off = self._n_outside = 0
        self._first_off = self._first_outside = math.nan
        self._below = self._above = 0.0
        self._least, self._largest = math.inf, 0.0

    def chunks(self) -> Iterator[Seen]:
        """Yield what was not censored."""
        observation = self._observation
        floor = observation.censored_below
        ceiling = observation.censored_above
        bounded = observation.low > 0 or observation.high < math.inf
        for values, counts in self._sample.counted_chunks(PIECE):
            if not values.size:
                continue
            self._n += values.size
            if observation.grid is not None:
                values = self._recorded(values)
            if bounded:
                self._look_outside(values)
            if floor or ceiling < math.inf:
                values, counts = self._inside(Seen(values, counts))
                if not values.size:
                    continue
            self._least = min(self._least, float(values.min()))
            self._largest = max(self._largest, float(values.max()))
            yield Seen(values, counts)

    def check(self) -> None:
        """Raise if the sample cannot have been observed so; call it after the pass."""
        observation = self._observation
        if self._n_off:
            refuse_off(self._n_off, self._n, self._first_off, observation)
        refuse_zeros(self._sample.n_zero, observation)
        refuse_outside(self._n_outside, self._n, self._first_outside, observation)
        refuse_too_few(2 if self._least < self._largest else 1, observation)

    def data(self, values: Array, counts: Array) -> LikelihoodData:
        """Return data of a likelihood; call it after the pass."""
        observation = self._observation
        n_censored = self._below
        if observation.zeros == "censored":
            n_censored += self._sample.zero_weight
        return LikelihoodData(
            values=values,
            counts=counts,
            n_censored=n_censored,
            low=observation.low,
            high=observation.high,
            threshold=observation.censored_below,
            n_above=self._above,
            ceiling=observation.censored_above,
        )

    def _recorded(self, values: Array) -> Array:
        found = recorded(values, self._observation)
        n_off = int(np.count_nonzero(found.off))
        if n_off and not self._n_off:
            self._first_off = float(values[found.off][0])
        self._n_off += n_off
        return found.values

    def _look_outside(self, values: Array) -> None:
        observation = self._observation
        if values.min() >= observation.low and values.max() <= observation.high:
            return
        outside = (values < observation.low) | (values > observation.high)
        if not self._n_outside:
            self._first_outside = float(values[outside][0])
        self._n_outside += int(outside.sum())

    def _inside(self, seen: Seen) -> Seen:
        """Count what is censored, and return the rest."""
        values, counts = seen
        below = values <= self._observation.censored_below
        above = values >= self._observation.censored_above
        if counts is None:
            self._below += float(np.count_nonzero(below))
            self._above += float(np.count_nonzero(above))
        else:
            self._below += float(counts[below].sum())
            self._above += float(counts[above].sum())
        kept = ~(below | above)
        return Seen(values[kept], None if counts is None else counts[kept])
