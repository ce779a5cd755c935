"""Magnitudes as a likelihood sees them: a sample, read through an observation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from daleml.analysis.distributions.families.family import Array, Family, Kind
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.rounding import Grid
from daleml.analysis.weights.sample import WeightSample

_MANY = 5_000  # distinct values: beyond, the maximum is looked for on a histogram first
_BINS = 2048
_BEYOND = (
    1.3  # times the ceiling: where values beyond it are taken to lie, to begin with
)
_CLOSE = 1e-8  # of a value: an interval as narrow is its density times its width, to the last digit
_OFF_GRID = (
    1e-3  # of a step: a recorded number may be so far off for the digits of its format
)
_SINGLE = 3e-7  # of a value: the digits of single precision
_MOST_OFF = (
    0.05  # of the values may have been written down more precisely than the others
)


@dataclass(frozen=True)
class Observed:
    """Magnitudes as a likelihood sees them.

    Attributes:
        values: Distinct ones, above 0.
        counts: How often each was seen.
        n_censored: How many are known only to be no larger than ``threshold``.
        low: The lower end of what could be seen.
        high: The upper end.
        threshold: Of censoring; 0 without it.
        n_above: How many are known only to be no smaller than ``ceiling``.
        ceiling: Of censoring from above; infinite without it.
        lower: From where on each value stands for magnitudes; None if each stands for itself alone.
        upper: Up to where; equal to ``lower`` where the two are too close to be told apart.
        log_widths: Of each value, the logarithm of the width of such a close pair, whose
            density is multiplied by it; else 0.
        edged: Whether ``lower`` and ``upper`` are cells of one grid, so that values have an order.
    """

    values: Array
    counts: Array
    n_censored: float = 0.0
    low: float = 0.0
    high: float = math.inf
    threshold: float = 0.0
    n_above: float = 0.0
    ceiling: float = math.inf
    lower: Array | None = None
    upper: Array | None = None
    log_widths: Array | None = None
    edged: bool = True

    @property
    def total(self) -> float:
        """How many magnitudes there are, the censored ones too."""
        return float(self.counts.sum()) + self.n_censored + self.n_above

    @property
    def all_counts(self) -> Array:
        """How often each value was seen.

        Then the numbers of those censored below and above, if there are any.
        """
        others = [float(number) for number in (self.n_censored, self.n_above) if number]
        return np.append(self.counts, others) if others else self.counts

    @property
    def ends(self) -> Array:
        """Up to where each value reaches."""
        return self.values if self.upper is None else self.upper

    def lengths(self, family: Family) -> Array:
        """Return of what order each free coordinate is.

        Where the values hardly vary, locations vary little.
        """
        logs = np.log(self.values)
        spread = (
            math.sqrt(float(np.cov(logs, aweights=self.counts, ddof=0)))
            if logs.size > 1
            else 1.0
        )
        short = (Kind.LOCATION, Kind.LOG_LOCATION)
        return np.array(
            [
                min(max(spread, 1e-6), 1.0) if kind in short else 1.0
                for kind in family.kinds
            ]
        )

    @property
    def geometric_mean(self) -> float:
        """That of the values: a unit in which they are of order one."""
        return math.exp(float(np.average(np.log(self.values), weights=self.counts)))

    def complete(self) -> tuple[Array, Array]:
        """Return values and counts as if all had been seen.

        The censored ones a little beyond their threshold.
        """
        values = [self.values]
        if self.n_censored:
            values.append(np.array([(self.low + self.threshold) / 2]))
        if self.n_above:
            values.append(
                np.array([min(_BEYOND * self.ceiling, (self.ceiling + self.high) / 2)])
            )
        return np.concatenate(values), self.all_counts

    def coarse(self) -> Observed:
        """Return a histogram of the values, each bin at its geometric mean.

        The same where there are few.

        Values that stand for an interval as wide as a bin, as small counts do, stay as they are.
        """
        if self.values.size <= _MANY:
            return self
        logs = np.log(self.values)
        edges = np.linspace(logs.min(), logs.max(), _BINS + 1)
        fine = np.ones(logs.size, dtype=bool)
        if self.lower is not None and self.upper is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                fine = ~(np.log(self.upper) - np.log(self.lower) > edges[1] - edges[0])
        if np.count_nonzero(fine) <= _MANY:
            return self
        bins = np.minimum(
            ((logs[fine] - edges[0]) / (edges[1] - edges[0])).astype(np.intp), _BINS - 1
        )
        weights = self.counts[fine]
        counts, sums = (
            np.bincount(bins, by, _BINS).astype(np.float64)
            for by in (weights, weights * logs[fine])
        )
        seen = counts > 0
        values, counts = np.exp(sums[seen] / counts[seen]), counts[seen]
        if self.lower is None or self.upper is None or fine.all():
            return replace(
                self,
                values=values,
                counts=counts,
                lower=None,
                upper=None,
                log_widths=None,
            )
        return replace(
            self,
            values=np.append(values, self.values[~fine]),
            counts=np.append(counts, self.counts[~fine]),
            lower=np.append(values, self.lower[~fine]),
            upper=np.append(values, self.upper[~fine]),
            log_widths=np.zeros(values.size + np.count_nonzero(~fine)),
        )

    def in_unit(self, unit: float) -> Observed:
        """Return the same magnitudes, measured in another unit."""
        return replace(
            self,
            values=self.values / unit,
            low=self.low / unit,
            high=self.high / unit,
            threshold=self.threshold / unit,
            ceiling=self.ceiling / unit,
            lower=None if self.lower is None else self.lower / unit,
            upper=None if self.upper is None else self.upper / unit,
        )


def observe(sample: WeightSample, observation: Observation) -> Observed:
    """Read a sample through an observation.

    Raises:
        ValueError: If values lie outside the truncation or all beyond the thresholds of
            censoring; if they are no counts where counts were said to be, or no multiples of a
            resolution; if there are zeros where there must be none.
    """
    values, counts = sample.values(), sample.counts()
    counts = np.ones(values.size) if counts is None else counts
    if sample.intervals is not None:
        return _observe_intervals(sample, counts, observation)
    if observation.grid is not None:
        values = on_grid(values, observation)
    _check(values, sample.n_zero, observation)
    floor, ceiling = observation.censored_below, observation.censored_above
    below, above = values <= floor, values >= ceiling
    n_censored = float(counts[below].sum()) + (
        sample.zero_weight if observation.zeros == "censored" else 0.0
    )
    found = Observed(
        values[~below & ~above],
        counts[~below & ~above],
        n_censored,
        observation.low,
        observation.high,
        floor,
        float(counts[above].sum()),
        ceiling,
    )
    return found if observation.grid is None else cells(found, observation.grid)


def cells(data: Observed, grid: Grid) -> Observed:
    """Return rounded values, each once, with all that they stand for."""
    values, places = np.unique(data.values, return_inverse=True)
    counts = np.bincount(places, data.counts).astype(np.float64)
    lower, upper = grid.below(values), grid.above(values)
    close = upper - lower < _CLOSE * values
    log_widths = np.where(close, np.log(grid.widths(values)), 0.0)
    lower, upper = np.where(close, values, lower), np.where(close, values, upper)
    return replace(
        data,
        values=values,
        counts=counts,
        lower=lower,
        upper=upper,
        log_widths=log_widths,
    )


def _observe_intervals(
    sample: WeightSample, counts: Array, observation: Observation
) -> Observed:
    if not observation.whole:
        raise ValueError(
            "`observation` must say nothing but what to do with zeros for a sample of"
            f" intervals, each of which says what was seen of it; got {observation}."
        )
    assert sample.intervals is not None
    lower, upper = sample.intervals
    if observation.zeros == "error" and sample.n_zero:
        raise ValueError(
            f'`weights` must hold no zero where `zeros` is "error"; got {sample.n_zero}.'
        )
    widths = np.zeros(lower.size)
    return Observed(
        sample.values(),
        counts,
        lower=lower,
        upper=upper,
        log_widths=widths,
        edged=False,
    )


def on_grid(values: Array, observation: Observation) -> Array:
    """Return the recordable numbers that values are, but for their last digits.

    Raises:
        ValueError: If too many are none.
    """
    grid = observation.grid
    assert grid is not None
    if observation.discrete:
        fractions = values != np.round(values)
        if fractions.any():
            raise ValueError(
                "`weights` must be whole numbers where `discrete` is True; got"
                f" {values[fractions][0]:g}."
            )
        return values
    rounded = grid.rounded(values)
    off = np.abs(values - rounded) > _OFF_GRID * grid.widths(values) + _SINGLE * values
    if np.count_nonzero(off) > _MOST_OFF * values.size:
        what = (
            f"multiples of `resolution`, {observation.resolution:g}"
            if observation.resolution
            else ""
        )
        what = (
            what
            or f"numbers of {observation.significant} significant figures, as `significant` says"
        )
        raise ValueError(
            f"`weights` must be {what}; got {int(off.sum()):,} of {values.size:,} that are"
            f" not, {values[off][0]:g} for one. Of values that each have ends of their own"
            " take an `interval_sample`."
        )
    # the few that were written down more precisely are rounded like the others
    lost = rounded <= 0
    return np.asarray(
        np.where(lost, grid.ceil(0.0) if observation.resolution else rounded, rounded)
    )


def _check(values: Array, n_zero: int, observation: Observation) -> None:
    if observation.zeros == "error" and n_zero:
        raise ValueError(
            f'`weights` must hold no zero where `zeros` is "error"; got {n_zero}.'
        )
    outside = (values < observation.low) | (values > observation.high)
    if outside.any():
        raise ValueError(
            f"`weights` must lie within `truncation`, {observation.low:g} to"
            f" {observation.high:g}, or be left out first; got {int(outside.sum())} of"
            f" {values.size} outside it, {values[outside][0]:g} for one."
        )
    threshold, ceiling = observation.censored_below, observation.censored_above
    if (
        math.isfinite(ceiling)
        and np.unique(values[(values > threshold) & (values < ceiling)]).size < 2
    ):
        given = f"{threshold:g} to {ceiling:g}" if threshold else f"{ceiling:g}"
        raise ValueError(
            "`censoring` must leave at least 2 different weights between its ends; got"
            f" {given}."
        )
    if threshold and np.unique(values[values > threshold]).size < 2:
        raise ValueError(
            f"`censoring` must be below at least 2 different weights; got {threshold:g}."
        )
