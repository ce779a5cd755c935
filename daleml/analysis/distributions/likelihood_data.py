"""The data of a likelihood: magnitudes with all that their observation says of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from daleml.analysis.distributions.families.parameter_kinds import Array, Kind
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.recorded_values import (
    on_grid,
    refuse_outside,
    refuse_too_few,
    refuse_zeros,
)
from daleml.analysis.distributions.rounding import Grid
from daleml.analysis.weights.sample import WeightSample

# Of more distinct values, a likelihood is maximised on a histogram of so many bins first.
_MANY = 5_000
_BINS = 2048

# To begin with, values beyond the ceiling are taken to lie at so many times the ceiling.
_BEYOND = 1.3

# The probability of an interval no wider than this fraction of its value is the density times
# the width, to the last digit.
_CLOSE = 1e-8

# Free coordinates of weights that do not vary at all are searched in steps of this order.
_LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class LikelihoodData:
    """Magnitudes with all that is known of each of them.

    Attributes:
        values: Distinct magnitudes, above 0.
        counts: How often each was seen.
        n_censored: How many are known only to be no larger than ``threshold``.
        low: The lower end of what could be seen.
        high: The upper end of what could be seen.
        threshold: Below what magnitudes are censored; 0 without censoring.
        n_above: How many are known only to be no smaller than ``ceiling``.
        ceiling: From what on magnitudes are censored; infinite without censoring.
        lower: The lower end of what each value stands for; None if each stands for itself.
        upper: The upper end. It equals ``lower`` where the two cannot be told apart.
        log_widths: By value, the logarithm of the width between ends that cannot be told apart,
            by which the density is multiplied; else 0.
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
        """How often each value was seen, then how many are censored below and above, if any."""
        censored = [float(n) for n in (self.n_censored, self.n_above) if n]
        return np.append(self.counts, censored) if censored else self.counts

    @property
    def ends(self) -> Array:
        """The upper end of what each value stands for."""
        return self.values if self.upper is None else self.upper

    @property
    def geometric_mean(self) -> float:
        """The geometric mean of the values: a unit in which they are of order one."""
        return math.exp(float(np.average(np.log(self.values), weights=self.counts)))

    def scales(self, kinds: Sequence[Kind]) -> Array:
        """Return the order of magnitude of each free coordinate.

        Locations vary little where the values do.
        """
        logs = np.log(self.values)
        spread = 1.0
        if logs.size > 1:
            spread = math.sqrt(float(np.cov(logs, aweights=self.counts, ddof=0)))
        of_location = min(max(spread, _LEAST_SCALE), 1.0)
        locations = [kind.is_location for kind in kinds]
        return np.where(locations, of_location, 1.0)

    def complete(self) -> tuple[Array, Array]:
        """Return values and counts as if all had been seen.

        Censored values are taken to lie a little beyond their threshold.
        """
        values = [self.values]
        if self.n_censored:
            values.append(np.array([(self.low + self.threshold) / 2]))
        if self.n_above:
            beyond = min(_BEYOND * self.ceiling, (self.ceiling + self.high) / 2)
            values.append(np.array([beyond]))
        return np.concatenate(values), self.all_counts

    def coarse(self) -> LikelihoodData:
        """Return a histogram of many values, each bin at its geometric mean.

        Few values are returned as they are. So are values that stand for an interval as wide as
        a bin, as small counts do.
        """
        if self.values.size <= _MANY:
            return self
        logs = np.log(self.values)
        edges = np.linspace(logs.min(), logs.max(), _BINS + 1)
        width = edges[1] - edges[0]
        fine = np.ones(logs.size, dtype=bool)
        if self.lower is not None and self.upper is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                fine = ~(np.log(self.upper) - np.log(self.lower) > width)
        if np.count_nonzero(fine) <= _MANY:
            return self
        bins = np.minimum(((logs[fine] - edges[0]) / width).astype(np.intp), _BINS - 1)
        weights = self.counts[fine]
        counts = np.bincount(bins, weights, _BINS).astype(np.float64)
        sums = np.bincount(bins, weights * logs[fine], _BINS).astype(np.float64)
        filled = counts > 0
        counts = counts[filled]
        values = np.exp(sums[filled] / counts)
        if self.lower is None or self.upper is None or fine.all():
            lower = upper = log_widths = None
        else:
            wide = ~fine
            lower = np.append(values, self.lower[wide])
            upper = np.append(values, self.upper[wide])
            log_widths = np.zeros(lower.size)
            values = np.append(values, self.values[wide])
            counts = np.append(counts, self.counts[wide])
        return replace(
            self,
            values=values,
            counts=counts,
            lower=lower,
            upper=upper,
            log_widths=log_widths,
        )

    def in_unit(self, unit: float) -> LikelihoodData:
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


def read_sample(sample: WeightSample, observation: Observation) -> LikelihoodData:
    """Return a sample as a likelihood needs it, by how it was observed.

    Raises:
        ValueError: If values lie outside the truncation or all beyond the thresholds of
            censoring; if they are no counts where counts were said to be, or no multiples of a
            resolution; if there are zeros where there must be none.
    """
    values = sample.values()
    counts = sample.counts()
    if counts is None:
        counts = np.ones(values.size)
    if sample.intervals is not None:
        return _read_intervals(sample, counts, observation)
    if observation.grid is not None:
        values = on_grid(values, observation)
    _check(values, sample.n_zero, observation)
    below = values <= observation.censored_below
    above = values >= observation.censored_above
    n_censored = float(counts[below].sum())
    if observation.zeros == "censored":
        n_censored += sample.zero_weight
    data = LikelihoodData(
        values=values[~below & ~above],
        counts=counts[~below & ~above],
        n_censored=n_censored,
        low=observation.low,
        high=observation.high,
        threshold=observation.censored_below,
        n_above=float(counts[above].sum()),
        ceiling=observation.censored_above,
    )
    return data if observation.grid is None else cells(data, observation.grid)


def cells(data: LikelihoodData, grid: Grid) -> LikelihoodData:
    """Return rounded values, each once, with the interval that each stands for."""
    values, positions = np.unique(data.values, return_inverse=True)
    counts = np.bincount(positions, data.counts).astype(np.float64)
    lower = grid.below(values)
    upper = grid.above(values)
    close = upper - lower < _CLOSE * values
    return replace(
        data,
        values=values,
        counts=counts,
        lower=np.where(close, values, lower),
        upper=np.where(close, values, upper),
        log_widths=np.where(close, np.log(grid.widths(values)), 0.0),
    )


def _read_intervals(
    sample: WeightSample, counts: Array, observation: Observation
) -> LikelihoodData:
    if not observation.whole:
        raise ValueError(
            "`observation` must say nothing but what to do with zeros for a sample of"
            f" intervals, each of which says what was seen of it; got {observation}."
        )
    assert sample.intervals is not None
    refuse_zeros(sample.n_zero, observation)
    lower, upper = sample.intervals
    return LikelihoodData(
        sample.values(),
        counts,
        lower=lower,
        upper=upper,
        log_widths=np.zeros(lower.size),
        edged=False,
    )


def _check(values: Array, n_zero: int, observation: Observation) -> None:
    refuse_zeros(n_zero, observation)
    outside = (values < observation.low) | (values > observation.high)
    if outside.any():
        first = float(values[outside][0])
        refuse_outside(int(outside.sum()), values.size, first, observation)
    if observation.censored_below or math.isfinite(observation.censored_above):
        inside = values[values > observation.censored_below]
        inside = inside[inside < observation.censored_above]
        refuse_too_few(np.unique(inside).size, observation)
