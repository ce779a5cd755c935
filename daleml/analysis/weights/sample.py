"""A sample of weights: magnitudes of one sign, with what was left out counted."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml.analysis.weights.value_chunks import CHUNK, Source, pieces

if TYPE_CHECKING:
    from torch import Tensor, nn

    from daleml.analysis.weights.value_chunks import Chunks

WeightsLike: TypeAlias = (
    "Tensor | ArrayLike | nn.Module | Mapping[str, Any] | WeightSample | Chunks"
)
"""What the analysis reads.

A tensor, an array, a module, a state dict, a sample already taken, or chunks.
"""

# Beyond this exponent a unit of float64 would be infinite, or lose digits.
_LARGEST_EXPONENT = 1000


@dataclass(frozen=True)
class Moments:
    """What passes over a sample yield; all that several families need of it.

    Attributes:
        n: Number of magnitudes.
        mean: Their mean.
        root_mean_square: The root of the mean of their squares.
        log_mean: The mean of their logarithms.
        log_sd: The standard deviation of their logarithms.
        smallest: The smallest of them.
        largest: The largest of them.
    """

    n: int
    mean: float
    root_mean_square: float
    log_mean: float
    log_sd: float
    smallest: float
    largest: float


@dataclass(frozen=True)
class WeightSample:
    """Magnitudes of one sign, as they were when the sample was taken.

    They are held once, whatever is computed of them.

    Attributes:
        n: Number of magnitudes above 0.
        n_zero: Number of exact zeros, left out.
        n_dropped: Number of other values left out: of the other sign, or missing.
        sign: +1 for excitatory weights, -1 for inhibitory ones, 0 for both, pooled because the
            caller asked.
        log_moments: Mean and standard deviation of the logarithms of the magnitudes.
        frequencies: How often each value that was read counts, those left out too; None if
            each counts once.
        intervals: The lower and the upper end of each, where no more is known of it; see
            :func:`interval_sample`.
        n_absent: Number of pairs without a synapse, of a sparse matrix: the entries that it
            does not store. They are no zeros.

    Example:
        >>> from daleml.analysis import weight_sample
        >>> sample = weight_sample([0.5, -1.0, 0.0, -4.0], sign=-1)
        >>> sample.n, sample.n_zero, sample.n_dropped
        (2, 1, 1)
        >>> sample.values()
        array([1., 4.])
        >>> sample.moments.mean
        2.5
    """

    n: int
    n_zero: int
    n_dropped: int
    sign: int
    log_moments: tuple[float, float]
    _source: Source = field(repr=False, compare=False)
    frequencies: NDArray[np.float64] | None = field(
        default=None, repr=False, compare=False
    )
    intervals: tuple[NDArray[np.float64], NDArray[np.float64]] | None = field(
        default=None, repr=False, compare=False
    )
    n_absent: int = 0

    @property
    def size(self) -> int:
        """Number of values that were read, those left out too."""
        return self.n + self.n_zero + self.n_dropped

    @property
    def density(self) -> float:
        """The fraction of the pairs of a sparse matrix that have a synapse; 1 of others."""
        return self.size / (self.size + self.n_absent)

    def density_text(self) -> str:
        """Return the density in words."""
        pairs = self.size + self.n_absent
        return f"density {self.density:.3g}, of {pairs:,} pairs"

    def chunks(self, size: int = CHUNK) -> Iterator[NDArray[np.float64]]:
        """Yield the magnitudes, a few at a time, as float64.

        Args:
            size: How many values are read at a time.
        """
        is_whole = self.n == self.size
        for piece in pieces(self._source, size):
            values = piece.astype(np.float64)
            sizes = magnitudes(values, self.sign, out=values)
            # Selecting copies, so it is done only where there is something to leave out:
            # zero, the other sign, NaN.
            if not is_whole:
                sizes = sizes[sizes > 0]
            yield sizes

    def counted_chunks(
        self, size: int = CHUNK
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
        """Yield the magnitudes a few at a time, and how often each counts; None of once.

        Args:
            size: How many values are read at a time.
        """
        if self.frequencies is None:
            for sizes in self.chunks(size):
                yield sizes, None
            return
        counted = pieces(self.frequencies, size)
        for piece, counts in zip(pieces(self._source, size), counted, strict=True):
            sizes = magnitudes(piece.astype(np.float64), self.sign)
            kept = sizes > 0
            yield sizes[kept], counts[kept]

    def values(self) -> NDArray[np.float64]:
        """Return the magnitudes, shape ``(n,)``, float64: a copy."""
        return np.concatenate(list(self.chunks()))

    def some_values(self, most: int) -> NDArray[np.float64]:
        """Return the magnitudes if there are few, else about ``most`` of them.

        Those lie evenly over the order in which they came.
        """
        every = max(1, math.ceil(self.n / most))
        if every == 1:
            return self.values()
        found = []
        skipped = 0
        for sizes in self.chunks():
            found.append(sizes[skipped::every])
            skipped = (skipped - sizes.size) % every
        return np.concatenate(found)

    def counts(self) -> NDArray[np.float64] | None:
        """Return how often each of :meth:`values` counts, or None if each counts once."""
        if self.frequencies is None or self.n == self.size:
            return self.frequencies
        parts = [counts for _, counts in self.counted_chunks() if counts is not None]
        return np.concatenate(parts)

    def others(self) -> NDArray[np.float64]:
        """Return the sizes of the values of the other sign, which were left out.

        There are none where both signs were pooled.
        """
        if not self.n_dropped or self.sign == 0:
            return np.empty(0)
        found = []
        for piece in pieces(self._source):
            if piece.dtype.kind != "u":
                values = piece.astype(np.float64)
                found.append(np.abs(values[np.sign(values) == -self.sign]))
        return np.concatenate(found or [np.empty(0)])

    @property
    def zero_weight(self) -> float:
        """How much the exact zeros count together.

        It is their number, unless sample weights were given.
        """
        if self.frequencies is None:
            return float(self.n_zero)
        total = 0.0
        counted = pieces(self.frequencies)
        for piece, counts in zip(pieces(self._source), counted, strict=True):
            total += float(counts[piece == 0].sum())
        return total

    @functools.cached_property
    def moments(self) -> Moments:
        """Means of the magnitudes, of their squares and logarithms, and the extremes."""
        log_mean, log_sd = self.log_moments
        # A power of two near the middle is the unit, so that neither sums nor squares
        # overflow, or lose a digit.
        exponent = round((log_mean + log_sd) / math.log(2))
        unit = 2.0 ** np.clip(exponent, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
        total = squares = 0.0
        smallest, largest = math.inf, 0.0
        for chunk in self.chunks():
            if not chunk.size:
                continue
            smallest = min(smallest, float(chunk.min()))
            largest = max(largest, float(chunk.max()))
            chunk /= unit
            total += float(chunk.sum())
            squares += float(np.dot(chunk, chunk))
        mean = float(unit * (total / self.n))
        root_mean_square = float(unit * np.sqrt(squares / self.n))
        return Moments(
            self.n, mean, root_mean_square, log_mean, log_sd, smallest, largest
        )

    @functools.cached_property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest magnitude."""
        smallest, largest = math.inf, 0.0
        for chunk in self.chunks():
            smallest = min(smallest, float(chunk.min(initial=math.inf)))
            largest = max(largest, float(chunk.max(initial=0.0)))
        return smallest, largest

    @functools.cached_property
    def mean_ratio(self) -> float:
        """Mean of the magnitudes times the mean of their reciprocals.

        That is the mean ratio of two of them, at least 1.
        """
        mean = self.moments.mean
        return sum(float((mean / chunk).sum()) for chunk in self.chunks()) / self.n


def magnitudes(
    values: NDArray[Any], sign: int, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Return the values of one sign as positive numbers; 0 means both signs."""
    if values.dtype.kind == "u":
        return values if sign >= 0 else np.zeros_like(values)
    if sign == 0:
        return np.asarray(np.abs(values, out=out))
    return np.asarray(np.multiply(values, sign, out=out))
