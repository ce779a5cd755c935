r"""The Kolmogorov-Smirnov distance of very many magnitudes, exactly, by passes over them.

At the ends of bins the empirical distribution function :math:`F_n` is known exactly. Within the
bin :math:`[a, b)` both functions rise, so that neither gap between them is larger than

.. math:: \max\left(F_n(b^-) - F(a),\; F(b) - F_n(a^-)\right) .

Only bins in which that is larger than the largest gap known so far can hold the maximum. Their
values are collected, a bounded number in each pass, and looked at one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.streamed_data import (
    StreamedData,
    uncensored_chunks,
)
from daleml.analysis.distributions.value_histogram import Keys, ValueHistogram
from daleml.analysis.weights.sample import WeightSample

# So many values are collected in one pass, and as many are computed on together.
_COLLECTED = 1 << 21
_TOGETHER = 1 << 16

# A bin that could raise the distance by less is not looked at.
_ROUNDING = 1e-15


def largest_gap(
    sample: WeightSample,
    observation: Observation,
    streamed: StreamedData,
    cdf: Callable[[Array], Array],
) -> float:
    """Return the largest gap between a sample that was not censored and a fit.

    Args:
        sample: The magnitudes.
        observation: How they were observed.
        streamed: What one pass over them yielded, with a histogram.
        cdf: The distribution function of what was seen.
    """
    histogram = streamed.histogram
    assert histogram is not None
    search = _Search(histogram, observation, streamed, cdf)
    while True:
        chosen = search.next_bins()
        if not chosen.size:
            return search.gap
        search.look_at(chosen, uncensored_chunks(sample, observation))


@dataclass
class _Search:
    """A search for the largest gap, bin by bin."""

    histogram: ValueHistogram
    observation: Observation
    streamed: StreamedData
    cdf: Callable[[Array], Array]
    gap: float = 0.0

    def __post_init__(self) -> None:
        data = self.streamed.data
        counts = self.histogram.counts
        self._total = data.total
        self._up_to = (data.n_censored + np.cumsum(counts)) / data.total
        self._before = self._up_to - counts / data.total
        lower = np.maximum(self.histogram.lower, max(data.low, data.threshold))
        upper = np.minimum(self.histogram.upper, min(data.high, data.ceiling))
        grid = self.observation.grid
        at_upper = self._at(upper)
        if grid is None:
            self.gap = float(np.max(np.abs(self._up_to - at_upper)))
        else:
            # A recorded number stands for what reaches beyond it.
            at_upper = self._at(np.minimum(grid.above(grid.ceil(upper)), data.high))
        at_lower = self._at(lower)
        self._bound = np.maximum(self._up_to - at_lower, at_upper - self._before)

    def next_bins(self) -> Keys:
        """Return positions of bins that may hold the maximum, ascending; none if it is found."""
        possible = np.flatnonzero(self._bound > self.gap + _ROUNDING)
        if not possible.size:
            return possible
        order = possible[np.argsort(-self._bound[possible], kind="stable")]
        n = np.cumsum(self.histogram.counts[order])
        # At least one, however many values it holds.
        return np.sort(order[: max(int(np.searchsorted(n, _COLLECTED)), 1)])

    def look_at(
        self, chosen: Keys, chunks: Iterator[tuple[Array, Array | None]]
    ) -> None:
        """Find the largest gap in some bins, and strike them off the list."""
        values, counts = self._collected(chosen, chunks)
        bins = np.searchsorted(self.histogram.number, self.histogram.bins.find(values))
        # How many of its own bin lie up to each value.
        running = np.cumsum(counts)
        first = np.searchsorted(bins, bins, side="left")
        within = running - running[first] + counts[first]
        up_to = self._before[bins] + within / self._total
        self.gap = max(self.gap, self._largest(values, up_to, counts / self._total))
        self._bound[chosen] = -math.inf

    def _collected(
        self, chosen: Keys, chunks: Iterator[tuple[Array, Array | None]]
    ) -> tuple[Array, Array]:
        """Return the different values of some bins, ascending, and how often each was seen."""
        wanted = np.zeros(self.histogram.bins.size, dtype=bool)
        wanted[self.histogram.number[chosen]] = True
        kept, often = np.empty(0), np.empty(0)
        pending: list[tuple[Array, Array]] = []
        n_pending = 0
        for values, counts in chunks:
            inside = wanted[self.histogram.bins.find(values)]
            found = values[inside]
            pending.append(
                (found, np.ones(found.size) if counts is None else counts[inside])
            )
            n_pending += found.size
            if n_pending > _COLLECTED:
                kept, often = _merged([(kept, often), *pending])
                pending, n_pending = [], 0
        return _merged([(kept, often), *pending])

    def _largest(self, values: Array, up_to: Array, steps: Array) -> float:
        gap = 0.0
        grid = self.observation.grid
        high = self.streamed.data.high
        for start in range(0, values.size, _TOGETHER):
            part = slice(start, start + _TOGETHER)
            ends = values[part] if grid is None else grid.above(values[part])
            theory = self.cdf(np.minimum(ends, high))
            gap = max(gap, float(np.max(np.abs(up_to[part] - theory))))
            # The empirical function jumps at each value, and rounded ones in steps that the
            # fit has too.
            if grid is None:
                before = up_to[part] - steps[part]
                gap = max(gap, float(np.max(np.abs(theory - before))))
        return gap

    def _at(self, w: Array) -> Array:
        found = np.empty(w.size)
        for start in range(0, w.size, _TOGETHER):
            part = slice(start, start + _TOGETHER)
            found[part] = self.cdf(w[part])
        return found


def _merged(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    values = np.concatenate([one for one, _ in parts])
    counts = np.concatenate([other for _, other in parts])
    different, positions = np.unique(values, return_inverse=True)
    return different, np.bincount(positions, counts, different.size).astype(np.float64)
