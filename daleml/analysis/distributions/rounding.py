"""Grids of numbers that can be recorded, each of which stands for all that are rounded to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# A bound within this fraction of a recordable number is that number, at most within this
# fraction of a step: 0.3 / 0.1 is not quite 3, and in single precision 0.09 / 0.01 is not
# quite 9.
_SLIP = 4e-7
_MOST_SLIP = 0.01

# A power of ten in single precision may lie below itself by as much, in its logarithm.
_LOG_SLIP = 5e-8


class Grid(Protocol):
    """The numbers that can be recorded. Each stands for all those that are rounded to it."""

    def rounded(self, w: ArrayLike) -> Array:
        """Return the recordable number nearest to each of ``w``."""

    def floor(self, w: ArrayLike) -> Array:
        """Return the largest recordable number that is no larger than each of ``w``."""

    def ceil(self, w: ArrayLike) -> Array:
        """Return the smallest recordable number that is no smaller than each of ``w``."""

    def below(self, recorded: ArrayLike) -> Array:
        """Return the least number that is rounded to each recordable one."""

    def above(self, recorded: ArrayLike) -> Array:
        """Return the largest number that is rounded to each recordable one."""

    def widths(self, recorded: ArrayLike) -> Array:
        """Return how wide the interval is that each recordable number stands for."""

    @property
    def least(self) -> float:
        """The number below which everything is recorded as zero; 0 if nothing is."""


def _slip(steps: Array) -> Array:
    return np.minimum(_SLIP * np.maximum(steps, 1), _MOST_SLIP)


@dataclass(frozen=True)
class Steps:
    """Whole multiples of one step, such as counts or the marks of a ruler.

    Less than half a step is recorded as zero.

    Args:
        size: The step, in the unit of the weights.

    Example:
        >>> Steps(0.5).rounded([0.2, 0.3, 1.1]).tolist()
        [0.0, 0.5, 1.0]
    """

    size: float

    def rounded(self, w: ArrayLike) -> Array:
        """Return the nearest multiple."""
        return np.floor(self._steps(w) + 0.5) * self.size

    def floor(self, w: ArrayLike) -> Array:
        """Return the largest multiple that is no larger."""
        steps = self._steps(w)
        return np.floor(steps + _slip(steps)) * self.size

    def ceil(self, w: ArrayLike) -> Array:
        """Return the smallest multiple that is no smaller, and not zero."""
        steps = self._steps(w)
        return np.maximum(np.ceil(steps - _slip(steps)), 1) * self.size

    def below(self, recorded: ArrayLike) -> Array:
        """Return half a step less."""
        return np.asarray(recorded, dtype=np.float64) - self.size / 2

    def above(self, recorded: ArrayLike) -> Array:
        """Return half a step more."""
        return np.asarray(recorded, dtype=np.float64) + self.size / 2

    def widths(self, recorded: ArrayLike) -> Array:
        """Return the step, for each."""
        return np.full(np.shape(recorded), self.size)

    @property
    def least(self) -> float:
        """Half a step."""
        return self.size / 2

    def _steps(self, w: ArrayLike) -> Array:
        return np.asarray(w, dtype=np.float64) / self.size

    def __str__(self) -> str:
        return f"rounded to {self.size:g}"


@dataclass(frozen=True)
class Figures:
    """Numbers of so many significant figures, as 0.0123 and 12300 are of three.

    Nothing is rounded to zero.

    Args:
        number: How many figures.

    Example:
        >>> Figures(2).rounded([0.1234, 567.0]).tolist()
        [0.12, 570.0]
    """

    number: int

    def rounded(self, w: ArrayLike) -> Array:
        """Return the nearest number of so many figures."""
        w = np.asarray(w, dtype=np.float64)
        step = self._step(w)
        return np.floor(w / step + 0.5) * step

    def floor(self, w: ArrayLike) -> Array:
        """Return the largest number of so many figures that is no larger."""
        w = np.asarray(w, dtype=np.float64)
        step = self._step(w)
        return np.floor(w / step + _slip(w / step)) * step

    def ceil(self, w: ArrayLike) -> Array:
        """Return the smallest number of so many figures that is no smaller."""
        w = np.asarray(w, dtype=np.float64)
        step = self._step(w)
        return np.ceil(w / step - _slip(w / step)) * step

    def below(self, recorded: ArrayLike) -> Array:
        """Return half a step less: a power of ten has steps a tenth as wide below it."""
        recorded = np.asarray(recorded, dtype=np.float64)
        return recorded - self._step(recorded * (1 - 1e-5)) / 2

    def above(self, recorded: ArrayLike) -> Array:
        """Return half a step more."""
        recorded = np.asarray(recorded, dtype=np.float64)
        return recorded + self._step(recorded) / 2

    def widths(self, recorded: ArrayLike) -> Array:
        """Return half the steps below and above each."""
        recorded = np.asarray(recorded, dtype=np.float64)
        return self._step(recorded) / 2 + self._step(recorded * (1 - 1e-5)) / 2

    @property
    def least(self) -> float:
        """Zero, since nothing is rounded to zero."""
        return 0.0

    def _step(self, w: Array) -> Array:
        with np.errstate(divide="ignore"):
            exponent = np.floor(np.log10(np.maximum(w, 1e-300)) + _LOG_SLIP)
        return np.asarray(10.0 ** (exponent - self.number + 1))

    def __str__(self) -> str:
        figures = "figures" if self.number > 1 else "figure"
        return f"rounded to {self.number} significant {figures}"
