"""Whether numbers were rounded, and to what: a step, or a number of significant figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml.analysis.distributions.rounding import Figures, Steps

Array = NDArray[np.float64]

_FEWEST = 8  # values, below which nothing is said of a step
_LOOKED_AT = 2000  # distinct values at most
# of the values must be recordable numbers: somebody may have written down one more digit
_ON_IT = 0.95
_SLIP = 1e-3  # of a step
_SINGLE = 3e-7  # of a value: the digits of single precision
# times the step: of larger values a step cannot be told from none in single precision
_MOST_STEPS = 2e4
_FIGURES = 4  # significant figures at most: more leave no trace in a fit
_LARGE = 4  # different values that a step would have written down with more figures
# of one over the root of the number of values: the part of them in one cell that shows in a
# test
_MATTERS = 0.2
_MANTISSAS = (1.0, 2.0, 2.5, 4.0, 5.0)


@dataclass(frozen=True)
class Rounding:
    """To what numbers seem to have been rounded.

    Attributes:
        grid: The numbers that can be written down.
        cell: The part of the values that one of them holds, where they lie densest.
        n: How many values there are.
    """

    grid: Steps | Figures
    cell: float
    n: float

    @property
    def matters(self) -> bool:
        r"""Whether it shows in what is computed.

        The density varies over :math:`\sqrt n` cells or fewer, about.
        """
        return bool(self.cell * math.sqrt(self.n) > _MATTERS)

    @property
    def said(self) -> str:
        """What it is, for a sentence."""
        return str(self.grid)

    @property
    def argument(self) -> str:
        """What says so to a fit in Python."""
        if isinstance(self.grid, Figures):
            return f"observation=Observation(significant={self.grid.number})"
        return f"resolution={self.grid.size:g}"

    @property
    def option(self) -> str:
        """What says so to the command."""
        if isinstance(self.grid, Figures):
            return f"--significant {self.grid.number}"
        return f"--resolution {self.grid.size:g}"


def detect_rounding(
    values: ArrayLike, counts: ArrayLike | None = None
) -> Rounding | None:
    """Return to what magnitudes seem to have been rounded.

    None if they seem to be as they were measured.

    Every number in a computer is rounded. What is said here matters only where ``matters`` is True.

    Args:
        values: Above zero.
        counts: How often each was seen; default: once.
    """
    w = np.asarray(values, dtype=np.float64).ravel()
    times = (
        np.ones(w.size)
        if counts is None
        else np.asarray(counts, dtype=np.float64).ravel()
    )
    w, times = w[(w > 0) & np.isfinite(w)], times[(w > 0) & np.isfinite(w)]
    if w.size < _FEWEST:
        return None
    distinct, often = _merged(w, times)
    if distinct.size < 3:
        return None
    every = max(1, distinct.size // _LOOKED_AT)
    shown, weights = distinct[::every], often[::every]
    step = _step(shown, weights)
    figures = _figures(shown, weights, step)
    grid = Figures(figures) if figures else Steps(step) if step else None
    return (
        None
        if grid is None
        else Rounding(grid, _cell(grid, distinct, often), float(often.sum()))
    )


def _merged(w: Array, times: Array) -> tuple[Array, Array]:
    """Return values that differ, ascending, and how often each was seen.

    Last digits are no difference.
    """
    order = np.argsort(w)
    w, times = w[order], times[order]
    new = np.r_[True, np.diff(w) > _SINGLE * w[1:]]
    return w[new], np.bincount(np.cumsum(new) - 1, times).astype(np.float64)


def _step(w: Array, counts: Array) -> float:
    """Return the largest step of which nearly all values are multiples; 0 if there is none."""
    gaps = np.diff(w)
    guesses = {
        float(w[0]),
        float(np.median(gaps)),
        *np.quantile(gaps, [0, 0.05, 0.25]).tolist(),
    }
    guesses |= {guess / part for guess in tuple(guesses) for part in (2, 3)}
    low, high = (
        math.floor(math.log10(w[-1] / _MOST_STEPS)),
        math.ceil(math.log10(w[-1])),
    )
    decimals = {
        mantissa * 10.0**k for k in range(low - 1, high + 1) for mantissa in _MANTISSAS
    }
    for guess in sorted(guesses | decimals, reverse=True):
        step = guess if guess in decimals else _refined(guess, w)
        if step > 0 and _share_on(step, w, counts) >= _ON_IT:
            return _nice(step)
    return 0.0


def _refined(step: float, w: Array) -> float:
    """Return the step by least squares.

    Of the small values first, whose number of steps is certain.
    """
    for most in (20.0, 200.0, 2000.0, _MOST_STEPS):
        steps = np.round(w / step)
        used = (steps > 0) & (steps <= most)
        if used.any():
            step = float(w[used] @ steps[used] / (steps[used] @ steps[used]))
    return step


def _share_on(step: float, w: Array, counts: Array) -> float:
    steps = w / step
    if np.median(steps) > _MOST_STEPS:
        return 0.0
    nearest = np.round(steps)
    on = (np.abs(steps - nearest) <= _SLIP + _SINGLE * steps) & (nearest > 0)
    if np.unique(nearest[on]).size < _ON_IT * np.count_nonzero(
        on
    ):  # values that differ are different multiples
        return 0.0
    return float(counts[on].sum() / counts.sum())


def _nice(step: float) -> float:
    """Return a step without the digits that rounding left in it: 0.01 instead of 0.0099999998."""
    short = float(f"{step:.3g}")
    return short if abs(short - step) < 1e-5 * step else float(f"{step:.7g}")


def _figures(w: Array, counts: Array, step: float) -> int:
    """Return how many figures nearly all values have, where a step would have left more of them.

    Else 0.
    """
    for number in range(1, _FIGURES + 1):
        grid = Figures(number)
        on = np.abs(w - grid.rounded(w)) <= _SINGLE * w
        if counts[on].sum() < _ON_IT * counts.sum():
            continue
        large = w > 10.0**number * step * (
            1 + 1e-6
        )  # a power of ten has one figure, however it was rounded
        n_large = float(counts[large].sum())
        clear = (
            np.count_nonzero(large & on) >= _LARGE
            and counts[large & on].sum() >= _ON_IT * n_large
        )
        return number if clear else 0
    return 0


def _cell(grid: Steps | Figures, w: Array, counts: Array) -> float:
    """Return the part of the values in the fullest cell, the first and the last aside.

    Values may pile up there.
    """
    total = counts.sum()
    inner = counts[1:-1]
    tied = float(inner.max()) / total if inner.size and inner.max() > 3 else 0.0
    logs, widths = np.log(w), grid.widths(w) / w
    quartiles = np.interp([0.25, 0.75], np.cumsum(counts) / total, logs)
    typical = (
        float(np.average(widths, weights=counts))
        if isinstance(grid, Figures)
        else _median(widths, counts)
    )
    return max(tied, 0.5 * typical / max(float(quartiles[1] - quartiles[0]), 1e-12))


def _median(values: Array, counts: Array) -> float:
    order = np.argsort(values)
    return float(np.interp(0.5, np.cumsum(counts[order]) / counts.sum(), values[order]))
