"""Detection of rounding: whether numbers were rounded to a step, or to significant figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml.analysis.distributions.rounding import Figures, Steps

Array = NDArray[np.float64]

# Of fewer values, nothing is said of a step; at most so many distinct ones are looked at.
_FEWEST = 8
_LOOKED_AT = 2000

# This fraction of the values must be recordable: some may have been written with more digits.
_ON_IT = 0.95

# A value is a multiple if it lies this near, as a fraction of a step and of its own size: the
# digits of single precision.
_SLIP = 1e-3
_SINGLE = 3e-7

# Of values larger than so many steps, single precision cannot tell a step from none.
_MOST_STEPS = 2e4

# More significant figures leave no trace in a fit.
_FIGURES = 4

# So many distinct values would have had more figures, had they been rounded to a step.
_LARGE = 4

# The fraction of n values in one cell shows in a test from this on, over the root of n.
_MATTERS = 0.2

# Steps are often one of these times a power of ten.
_MANTISSAS = (1.0, 2.0, 2.5, 4.0, 5.0)


@dataclass(frozen=True)
class Rounding:
    """To what numbers seem to have been rounded.

    Attributes:
        grid: The numbers that can be written down.
        cell: The fraction of the values that one of them holds, where they lie densest.
        n: How many values there are.

    Example:
        >>> import numpy as np
        >>> found = detect_rounding(np.round(np.random.default_rng(0).lognormal(size=50), 1))
        >>> found.said, found.matters
        ('rounded to 0.1', True)
    """

    grid: Steps | Figures
    cell: float
    n: float

    @property
    def matters(self) -> bool:
        r"""Whether it shows in what is computed.

        It does where the density varies over about :math:`\sqrt n` cells or fewer.
        """
        return bool(self.cell * math.sqrt(self.n) > _MATTERS)

    @property
    def said(self) -> str:
        """The rounding in words, for a sentence."""
        return str(self.grid)

    @property
    def argument(self) -> str:
        """The argument that says so to a fit in Python."""
        if isinstance(self.grid, Figures):
            return f"observation=Observation(significant={self.grid.number})"
        return f"resolution={self.grid.size:g}"

    @property
    def option(self) -> str:
        """The option that says so to the command."""
        if isinstance(self.grid, Figures):
            return f"--significant {self.grid.number}"
        return f"--resolution {self.grid.size:g}"


def detect_rounding(
    values: ArrayLike, counts: ArrayLike | None = None
) -> Rounding | None:
    """Return to what magnitudes seem to have been rounded; None if to nothing.

    Every number in a computer is rounded: the result matters only where ``matters`` is True.

    Args:
        values: Above zero.
        counts: How often each was seen; default: once.
    """
    w = np.asarray(values, dtype=np.float64).ravel()
    times = np.ones(w.size)
    if counts is not None:
        times = np.asarray(counts, dtype=np.float64).ravel()
    usable = (w > 0) & np.isfinite(w)
    w = w[usable]
    times = times[usable]
    if w.size < _FEWEST:
        return None
    distinct, often = _merged(w, times)
    if distinct.size < 3:
        return None
    every = max(1, distinct.size // _LOOKED_AT)
    shown = distinct[::every]
    weights = often[::every]
    step = _step(shown, weights)
    figures = _figures(shown, weights, step)
    grid: Steps | Figures
    if figures:
        grid = Figures(figures)
    elif step:
        grid = Steps(step)
    else:
        return None
    return Rounding(grid, _cell(grid, distinct, often), float(often.sum()))


def _merged(w: Array, times: Array) -> tuple[Array, Array]:
    """Return distinct values, ascending, and how often each was seen.

    Values that differ in their last digits are one.
    """
    order = np.argsort(w)
    w = w[order]
    times = times[order]
    new = np.r_[True, np.diff(w) > _SINGLE * w[1:]]
    return w[new], np.bincount(np.cumsum(new) - 1, times).astype(np.float64)


def _step(w: Array, counts: Array) -> float:
    """Return the largest step of which nearly all values are multiples; 0 if there is none."""
    decimals = _decimals(w[-1])
    for guess in sorted(_guesses(w) | decimals, reverse=True):
        step = guess
        if guess not in decimals:
            step = _refined(guess, w)
        if step > 0 and _fraction_on(step, w, counts) >= _ON_IT:
            return _nice(step)
    return 0.0


def _guesses(w: Array) -> set[float]:
    """Return steps that the values themselves and their distances suggest."""
    gaps = np.diff(w)
    found = {float(w[0]), float(np.median(gaps))}
    found.update(np.quantile(gaps, [0, 0.05, 0.25]).tolist())
    for guess in tuple(found):
        found |= {guess / 2, guess / 3}
    return found


def _decimals(largest: float) -> set[float]:
    """Return steps that people choose, which are not too fine to be told."""
    low = math.floor(math.log10(largest / _MOST_STEPS))
    high = math.ceil(math.log10(largest))
    found = set()
    for exponent in range(low - 1, high + 1):
        found |= {mantissa * 10.0**exponent for mantissa in _MANTISSAS}
    return found


def _refined(step: float, w: Array) -> float:
    """Return the step by least squares.

    It begins with the small values, whose number of steps is certain.
    """
    for most in (20.0, 200.0, 2000.0, _MOST_STEPS):
        steps = np.round(w / step)
        used = (steps > 0) & (steps <= most)
        if used.any():
            step = float(w[used] @ steps[used] / (steps[used] @ steps[used]))
    return step


def _fraction_on(step: float, w: Array, counts: Array) -> float:
    """Return the fraction of the values that are multiples of a step."""
    steps = w / step
    if np.median(steps) > _MOST_STEPS:
        return 0.0
    nearest = np.round(steps)
    on = (np.abs(steps - nearest) <= _SLIP + _SINGLE * steps) & (nearest > 0)
    # Values that differ must be different multiples.
    if np.unique(nearest[on]).size < _ON_IT * np.count_nonzero(on):
        return 0.0
    return float(counts[on].sum() / counts.sum())


def _nice(step: float) -> float:
    """Return a step without the digits of rounding: 0.01 instead of 0.0099999998."""
    short = float(f"{step:.3g}")
    if abs(short - step) < 1e-5 * step:
        return short
    return float(f"{step:.7g}")


def _figures(w: Array, counts: Array, step: float) -> int:
    """Return how many figures nearly all values have; 0 if a step left them as many.

    A step leaves more figures in large values.
    """
    for number in range(1, _FIGURES + 1):
        grid = Figures(number)
        on = np.abs(w - grid.rounded(w)) <= _SINGLE * w
        if counts[on].sum() < _ON_IT * counts.sum():
            continue
        # A power of ten has one figure, however it was rounded.
        large = w > 10.0**number * step * (1 + 1e-6)
        few = np.count_nonzero(large & on) < _LARGE
        if few or counts[large & on].sum() < _ON_IT * counts[large].sum():
            return 0
        return number
    return 0


def _cell(grid: Steps | Figures, w: Array, counts: Array) -> float:
    """Return the fraction of the values in the fullest cell.

    The first and the last cell are left aside, where values may pile up.
    """
    total = counts.sum()
    fullest = float(counts[1:-1].max(initial=0.0))
    tied = 0.0
    if fullest > 3:
        tied = fullest / total
    logs = np.log(w)
    widths = grid.widths(w) / w
    quartiles = np.interp([0.25, 0.75], np.cumsum(counts) / total, logs)
    if isinstance(grid, Figures):
        typical = float(np.average(widths, weights=counts))
    else:
        typical = _median(widths, counts)
    return max(tied, 0.5 * typical / max(float(quartiles[1] - quartiles[0]), 1e-12))


def _median(values: Array, counts: Array) -> float:
    order = np.argsort(values)
    return float(np.interp(0.5, np.cumsum(counts[order]) / counts.sum(), values[order]))
