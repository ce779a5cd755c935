"""The change of weights in the dual of one potential, and how far from normal it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from daleml.analysis.plasticity.before_after import FEWEST, Pair
from daleml.analysis.plasticity.normality import (
    Floor,
    bootstrap_distances,
    normal_distance,
    sampling_floor,
)
from daleml.potentials import Potential

LEVELS = (np.arange(400) + 0.5) / 400
"""The fractions at which a result keeps the quantiles of the standardised change."""

# The bootstrap draws weights in at most this number of groups: the work of one of its samples
# grows with the number of groups, not with that of the weights.
_MOST_GROUPS = 1000

# A change whose spread is below this fraction of its mean is the same for all weights.
_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class DualChange:
    r"""The change of the weights in the dual of one potential, and how far from normal it is.

    Attributes:
        potential: :math:`\phi`.
        distance: :math:`\int |\hat F - \Phi|\, dz` of :math:`\delta` over its standard
            deviation, mean and all.
        interval: 95 % bootstrap interval of the distance, over weights.
        behind: 95 % bootstrap interval of how much larger it is than the best potential's, on
            the same weights.
        centred: The distance where the mean of :math:`\delta` is subtracted first.
        relative_change: :math:`\|\delta\| / \|\nabla\phi(w_\text{before})\|`, small where the
            theory holds.
        n: Number of weights compared.
        n_zero: Number left out because they are 0 before or after, where a zero has no dual
            coordinate.
        n_crossed: Number left out, if asked, because they changed sign, which this potential
            never lets them.
    """

    potential: Potential
    distance: float
    interval: tuple[float, float]
    behind: tuple[float, float]
    centred: float
    relative_change: float
    n: int
    n_zero: int
    n_crossed: int
    _quantiles: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def label(self) -> str:
        """The potential's name, with its parameters in brackets if it has any."""
        name, *values = self.potential.to_dict().values()
        if not values:
            return str(name)
        return f"{name}({', '.join(map(_short, values))})"

    @property
    def floor(self) -> Floor:
        """The distance that as many normal numbers have."""
        return sampling_floor(self.n)

    @property
    def is_normal(self) -> bool:
        """Whether chance alone may explain the distance, at 5 %."""
        return self.distance <= self.floor.upper

    def quantiles(self) -> NDArray[np.float64]:
        """Return the quantiles of the change over its standard deviation, at ``LEVELS``."""
        return self._quantiles.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain values, ready for JSON."""
        return {
            "potential": self.potential.to_dict(),
            "distance": self.distance,
            "interval": list(self.interval),
            "behind": list(self.behind),
            "floor": self.floor.mean,
            "floor_upper": self.floor.upper,
            "centred": self.centred,
            "relative_change": self.relative_change,
            "n": self.n,
            "n_zero": self.n_zero,
            "n_crossed": self.n_crossed,
        }


def _short(value: Any) -> str:
    """Return a parameter of a potential, for its label."""
    if isinstance(value, (int, float)):
        return f"{value:g}"
    return str(value)


@dataclass(frozen=True)
class Bootstrap:
    """The samples that a bootstrap draws, the same for every potential.

    Attributes:
        groups: The group of each weight.
        draws: How often each sample takes each group, shape ``(samples, groups)``.
    """

    groups: NDArray[np.int64]
    draws: NDArray[np.float64]

    @classmethod
    def of(cls, n: int, n_boot: int, rng: np.random.Generator | int) -> Bootstrap:
        """Draw ``n_boot`` samples of ``n`` weights, with replacement."""
        generator = np.random.default_rng(rng)
        n_groups = min(_MOST_GROUPS, n)
        groups = generator.permutation(n) % n_groups
        equal = np.full(n_groups, 1 / n_groups)
        draws = generator.multinomial(n_groups, equal, size=n_boot)
        return cls(groups, draws.astype(np.float64))


@dataclass(frozen=True)
class MeasuredChange:
    """The numbers of one potential, before they are compared to the best one's."""

    potential: Potential
    distance: float
    centred: float
    draws: NDArray[np.float64]
    relative_change: float
    n: int
    n_zero: int
    n_crossed: int
    quantiles: NDArray[np.float64]

    def beside(self, best: MeasuredChange) -> DualChange:
        """Return the result, compared to the best potential's."""
        behind = self.distance - best.distance
        return DualChange(
            self.potential,
            self.distance,
            interval=_interval(self.distance, self.draws, lowest=0.0),
            behind=_interval(behind, self.draws - best.draws),
            centred=self.centred,
            relative_change=self.relative_change,
            n=self.n,
            n_zero=self.n_zero,
            n_crossed=self.n_crossed,
            _quantiles=self.quantiles,
        )


def _interval(
    value: float, draws: NDArray[np.float64], lowest: float = -math.inf
) -> tuple[float, float]:
    """Return the 95 % interval of a value from its bootstrap.

    The draws' shift from the value is taken off.
    """
    # A bootstrap sample repeats values, so it is less normal than the data: only the spread counts.
    low, high = np.quantile(draws - draws.mean(), [0.025, 0.975])
    return max(lowest, value + float(low)), value + float(high)


def change_in_dual(
    potential: Potential,
    pair: Pair,
    left_out: NDArray[np.bool_],
    bootstrap: Bootstrap,
) -> MeasuredChange:
    r"""Measure how far the change of the weights in one dual is from normal.

    .. math:: \delta = \nabla\phi(w_\text{after}) - \nabla\phi(w_\text{before})

    Args:
        potential: :math:`\phi`.
        pair: The weights before and after.
        left_out: Which weights are left out if the potential keeps signs.
        bootstrap: The samples of weights for the interval.

    Raises:
        ValueError: If too few weights have a dual coordinate.
    """
    start, end = _dual(potential, pair.before), _dual(potential, pair.after)
    # Under the negative entropy zero has no finite coordinate, ln 0.
    has_dual = np.isfinite(start) & np.isfinite(end)
    kept = has_dual
    # Such a potential has no way from one sign to the other.
    if potential.keeps_signs:
        kept = has_dual & ~left_out
    n, n_all = int(np.count_nonzero(kept)), pair.before.size
    n_zero = int(np.count_nonzero(~has_dual))
    if n < FEWEST:
        raise ValueError(
            f"`potentials` must leave at least {FEWEST} weights to compare;"
            f" {type(potential).__name__} leaves {n} of {n_all:,}, the others being zero"
            " or of another sign afterwards."
        )
    groups = bootstrap.groups
    # Selecting copies, so it is done only where there is something to leave out.
    if n < n_all:
        start, end, groups = start[kept], end[kept], groups[kept]
    change = end - start
    mean, sd = float(change.mean()), float(change.std())
    if sd <= _NO_SPREAD * abs(mean):
        # The same for all weights is as far from normal as can be.
        infinite = np.full(n, math.copysign(math.inf, mean))
        distance, centred = normal_distance(infinite), normal_distance(np.zeros(n))
        draws = np.full(len(bootstrap.draws), distance)
        quantiles = np.empty(0)
    else:
        standardised = change / sd
        distance = normal_distance(standardised)
        centred = normal_distance(standardised - mean / sd)
        draws = bootstrap_distances(standardised, groups, bootstrap.draws)
        quantiles = np.quantile(standardised, LEVELS)
    size = float(np.linalg.norm(start))
    return MeasuredChange(
        potential,
        distance,
        centred,
        draws,
        relative_change=float(np.linalg.norm(change)) / size if size else math.inf,
        n=n,
        n_zero=n_zero,
        n_crossed=n_all - n - n_zero,
        quantiles=quantiles,
    )


def _dual(potential: Potential, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return potential.gradient(torch.from_numpy(weights)).numpy()
