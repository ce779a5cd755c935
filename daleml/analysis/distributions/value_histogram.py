r"""A histogram of any number of magnitudes, from which fits follow to the last digits.

A bin is what numbers with the same first binary digits have in common. So its ends are known
exactly, whatever the chunks are in which values come; and it holds how many they are, and the mean
and the variance of their logarithms. Where :math:`x = \ln w` has the mean :math:`m_j` and the
variance :math:`v_j` in bin :math:`j`, a sum over all values of a smooth function is

.. math:: \sum_i f(x_i) = \sum_j c_j \left(f(m_j) + \tfrac12 v_j f''(m_j)\right) + O(n h^3)

with a width :math:`h` of the bins of about :math:`10^{-4}` standard deviations of :math:`x`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.distributions.families.parameter_kinds import Array

Keys = NDArray[np.int64]

# Values within so many standard deviations of the mean of ln w lie in fine bins, at most so
# many; the few outside, if any, in bins of a 32nd of an octave.
_WINDOW = 64.0
_FINE = 1 << 20
_COARSE_DIGITS = 5

# The binary digits after the first that a number in double precision has.
_DIGITS = 52

# Of more bins that hold a value, so many neighbouring fine ones are one for a likelihood.
_MANY = 1 << 16
_MERGED = 16

# Values of one bin are taken as two, a standard deviation below and above their mean, so that
# the variance of all stays what it is; but not where they are equal, but for rounding.
_EQUAL = 1e-8


_TINY = float(np.finfo(np.float64).tiny)
_TINIEST = int(np.array(_TINY).view(np.int64))


@dataclass(frozen=True)
class Bins:
    """Bins of positive numbers, by their first binary digits.

    Args:
        digits: How many digits fine bins go by, after the first.
        first: The least number in fine bins.
        last: The least number above them.
    """

    digits: int
    first: float
    last: float

    @classmethod
    def for_sample(
        cls, log_mean: float, log_sd: float, smallest: float, largest: float
    ) -> Bins:
        """Return bins that are as fine as there may be, by what is known of the values.

        Args:
            log_mean: The mean of their logarithms.
            log_sd: The standard deviation of those.
            smallest: The smallest of them.
            largest: The largest.
        """
        low = max(math.log(smallest), log_mean - _WINDOW * log_sd)
        high = max(min(math.log(largest), log_mean + _WINDOW * log_sd), low)
        octaves = (high - low) / math.log(2) + 3 / 2**_COARSE_DIGITS
        digits = min(max(math.floor(math.log2(_FINE / octaves)), 8), _DIGITS)
        # Fine bins begin and end where a coarse one does.
        ends = np.array([low, high])
        with np.errstate(over="ignore"):
            numbers = np.clip(np.exp(ends), _TINY, np.finfo(np.float64).max / 4)
        keys = numbers.view(np.int64) >> (_DIGITS - _COARSE_DIGITS)
        keys[1] += 1
        first, last = (keys << (_DIGITS - _COARSE_DIGITS)).view(np.float64).tolist()
        return cls(digits, first, last)

    @property
    def _shifts(self) -> tuple[int, int]:
        return _DIGITS - self.digits, _DIGITS - _COARSE_DIGITS

    @cached_property
    def _places(self) -> tuple[int, int, int, int]:
        """Return the first keys of the three parts, and where the third begins."""
        fine, coarse = self._shifts
        ends = np.array([self.first, self.last]).view(np.int64)
        n_below = int(ends[0] >> coarse)
        n_fine = int((ends[1] >> fine) - (ends[0] >> fine))
        return n_below, int(ends[0] >> fine), n_below + n_fine, int(ends[1] >> coarse)

    @property
    def size(self) -> int:
        """The number of bins."""
        _, _, above, first_above = self._places
        infinite = int(np.array(np.inf).view(np.int64)) >> self._shifts[1]
        return above + infinite - first_above

    def find(self, w: Array) -> Keys:
        """Return the number of the bin of each value."""
        bits = w.view(np.int64)
        fine, coarse = self._shifts
        n_below, first_fine, n_above, first_above = self._places
        found = (bits >> fine) - (first_fine - n_below)
        below = w < self.first
        if below.any():
            # Below the least normal number, a bin has no width.
            found[below] = np.maximum(bits[below], _TINIEST) >> coarse
        above = w >= self.last
        if above.any():
            found[above] = (bits[above] >> coarse) - first_above + n_above
        return np.asarray(found)

    def lower(self, number: Keys) -> Array:
        """Return the least value of each bin."""
        fine, coarse = self._shifts
        n_below, first_fine, n_above, first_above = self._places
        bits = (number + (first_fine - n_below)) << fine
        bits = np.where(number < n_below, number << coarse, bits)
        above = (number - n_above + first_above) << coarse
        bits = np.where(number >= n_above, above, bits)
        return np.asarray(bits.view(np.float64))


@dataclass(frozen=True)
class ValueHistogram:
    """Magnitudes in bins that hold some.

    Attributes:
        bins: The bins.
        number: The numbers of those that hold a value, ascending.
        counts: How often their values count.
        means: The mean of ln w in each.
        variances: The variance of ln w in each.
    """

    bins: Bins
    number: Keys
    counts: Array
    means: Array
    variances: Array

    @property
    def lower(self) -> Array:
        """The least value of each bin."""
        return self.bins.lower(self.number)

    @property
    def upper(self) -> Array:
        """The least value above each bin."""
        return self.bins.lower(self.number + 1)

    def nodes(self) -> tuple[Array, Array]:
        """Return values and counts with the moments of the magnitudes, of ever fewer bins.

        Neighbouring bins are joined, and the values of each are taken as two.
        """
        total = self.counts.sum()
        mean = float(self.counts @ self.means) / total
        spread = float(self.counts @ (self.means - mean) ** 2) / total
        spread = math.sqrt(spread + float(self.counts @ self.variances) / total)
        group = self._joined()
        counts = np.bincount(group, self.counts).astype(np.float64)
        means = np.bincount(group, self.counts * self.means) / counts
        within = self.variances + (self.means - means[group]) ** 2
        deviations = np.sqrt(np.bincount(group, self.counts * within) / counts)
        wide = deviations > _EQUAL * spread
        halves = counts[wide] / 2
        logs = np.concatenate(
            [
                means[~wide],
                means[wide] - deviations[wide],
                means[wide] + deviations[wide],
            ]
        )
        return np.exp(logs), np.concatenate([counts[~wide], halves, halves])

    def _joined(self) -> Keys:
        """Return to which of fewer bins each belongs, from 0 on."""
        if self.number.size <= _MANY:
            return np.arange(self.number.size)
        n_below, _, n_above, _ = self.bins._places
        fine = (self.number >= n_below) & (self.number < n_above)
        merged = np.where(fine, self.number // _MERGED * _MERGED, self.number)
        merged = np.where(fine, np.maximum(merged, n_below), merged)
        new = np.ones(merged.size, dtype=bool)
        new[1:] = merged[1:] != merged[:-1]
        return np.asarray(np.cumsum(new) - 1)


class Counting:
    """The counting of values in bins, chunk after chunk.

    Args:
        bins: The bins.
    """

    def __init__(self, bins: Bins) -> None:
        self._bins = bins
        self._counts = np.zeros(bins.size)
        self._sums = np.zeros(bins.size)
        self._squares = np.zeros(bins.size)

    def add(self, w: Array, counts: Array | None) -> None:
        """Count values, each once or as often as it counts."""
        if not w.size:
            return
        number = self._bins.find(w)
        w = np.maximum(w, _TINY)
        # How far each lies above the end of its bin, as a fraction of that.
        beyond = w / self._bins.lower(number) - 1
        first = int(number.min())
        number -= first
        self._add(self._counts, first, np.bincount(number, counts))
        weighted = beyond if counts is None else beyond * counts
        self._add(self._sums, first, np.bincount(number, weighted))
        self._add(self._squares, first, np.bincount(number, weighted * beyond))

    @staticmethod
    def _add(to: Array, first: int, more: NDArray[Any]) -> None:
        to[first : first + more.size] += more

    def histogram(self) -> ValueHistogram:
        """Return what was counted."""
        number = np.flatnonzero(self._counts)
        counts = self._counts[number]
        mean = self._sums[number] / counts
        square = self._squares[number] / counts
        # The series of the logarithm, to the third order of the width of a bin.
        logs = np.log(self._bins.lower(number)) + mean - square / 2
        variances = np.maximum(square - mean**2, 0.0)
        return ValueHistogram(self._bins, number, counts, logs, variances)
