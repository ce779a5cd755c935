r"""Geometry of plasticity: in which dual coordinate the change of the weights is normal.

Learning that steps in the dual :math:`\nabla\phi(w)` of a potential adds to every weight's dual
coordinate a sum of many small terms, one an example. When there are far more weights than
examples, that sum is nearly Gaussian over the weights, whatever the task, and whatever they
were before:

.. math:: \delta = \nabla\phi(w_\text{after}) - \nabla\phi(w_\text{before}) \approx \text{normal}

In the dual of another potential it is not. The weights after learning alone do not tell: those
before are needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from daleml import require
from daleml.analysis.plasticity.before_after import FEWEST, Weights, read_pair
from daleml.analysis.plasticity.normality import (
    Floor,
    bootstrap_distances,
    normal_distance,
    sampling_floor,
)
from daleml.potentials import Euclidean, NegativeEntropy, PNorm, Potential

if TYPE_CHECKING:
    import pandas as pd

LEVELS = (np.arange(400) + 0.5) / 400
"""The fractions at which a result keeps the quantiles of the standardised change."""

_GROUPS = 1000
_ROUNDINGS = 8


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
        shown = (
            f"{value:g}" if isinstance(value, (int, float)) else str(value)
            for value in values
        )
        return f"{name}({', '.join(shown)})" if values else str(name)

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


@dataclass(frozen=True)
class GeometryInference:
    """Which potential's dual makes the change of the weights normal.

    Attributes:
        changes: One a potential, the most nearly normal first.
        n: Number of weights read.
        n_absent: Number of other synapses left out: masked, pruned, or zero both before and after.
        n_unchanged: Number of the ``n`` that did not change at all.
        n_crossed: Number of the ``n`` that changed sign.
        parameters: Names of the parameters pooled; empty for arrays.
        is_rounding: Whether the change is no larger than the rounding of the weights' precision.
    """

    changes: tuple[DualChange, ...]
    n: int
    n_absent: int
    n_unchanged: int
    n_crossed: int
    parameters: tuple[str, ...]
    is_rounding: bool

    @property
    def best(self) -> DualChange:
        """The change that is most nearly normal."""
        return self.changes[0]

    @property
    def tied(self) -> tuple[DualChange, ...]:
        """The changes that cannot be told from the best.

        As near, by the bootstrap, or as normal as chance allows.
        """
        return tuple(
            one
            for one in self.changes
            if one is self.best or one.behind[0] <= 0 or one.is_normal
        )

    @property
    def fits(self) -> bool:
        """Whether even the best is near normal.

        No further than twice what chance allows in 95 of 100 cases.
        """
        return self.best.distance <= 2 * self.best.floor.upper

    def conclusion(self) -> str:
        """Say in one sentence which potential the change of the weights speaks for, or why none can be told."""
        best = self.best
        if self.is_rounding:
            return (
                "Cannot tell: the weights changed by no more than the rounding of their"
                " precision."
            )
        if not self.fits:
            times = best.distance / best.floor.upper
            with_it = (
                f" (not to be told from {_and(self.tied[1:])})"
                if len(self.tied) > 1
                else ""
            )
            return (
                f"None of the candidates fits: the nearest, {best.label}{with_it}, is"
                f" {best.distance:.3g} from normal, {times:.1f} times what chance allows at"
                f" n = {best.n:,}{self._mixed()}."
            )
        if len(self.tied) > 1:
            return (
                f"Cannot tell between {_and(self.tied)}:"
                f" {_and_numbers(one.distance for one in self.tied)} from normal, where"
                f" chance allows {best.floor.upper:.3g} at n = {best.n:,}{self._mixed()}."
            )
        rest = self.changes[1:]
        further = (
            f"; the next, {rest[0].label}, is {rest[0].distance:.3g} from it"
            if rest
            else ""
        )
        return (
            f"The change is nearest to normal in the dual of {best.label}:"
            f" {best.distance:.3g} from it, where chance allows {best.floor.upper:.3g} at n"
            f" = {best.n:,}{further}{self._mixed()}."
        )

    def _mixed(self) -> str:
        """Say how many weights speak against the answer, if it keeps signs and they did not."""
        if not (self.best.potential.keeps_signs and self.n_crossed):
            return ""
        return (
            f", but {self.n_crossed:,} weights changed sign, which learning under it"
            " cannot do"
        )

    def table(self) -> pd.DataFrame:
        """Return one row a potential, the most nearly normal first."""
        import pandas as pd

        return pd.DataFrame(
            {
                "potential": [one.label for one in self.changes],
                "distance": [one.distance for one in self.changes],
                "low": [one.interval[0] for one in self.changes],
                "high": [one.interval[1] for one in self.changes],
                "floor": [one.floor.mean for one in self.changes],
                "floor_upper": [one.floor.upper for one in self.changes],
                "centred": [one.centred for one in self.changes],
                "relative_change": [one.relative_change for one in self.changes],
                "n": [one.n for one in self.changes],
                "n_zero": [one.n_zero for one in self.changes],
                "n_crossed": [one.n_crossed for one in self.changes],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {
            "changes": [one.to_dict() for one in self.changes],
            "tied": [one.label for one in self.tied],
            "fits": self.fits,
            "n": self.n,
            "n_absent": self.n_absent,
            "n_unchanged": self.n_unchanged,
            "n_crossed": self.n_crossed,
            "parameters": list(self.parameters),
            "is_rounding": self.is_rounding,
            "conclusion": self.conclusion(),
        }

    def __str__(self) -> str:
        width = max(len(one.label) for one in self.changes)
        lines = [
            self.conclusion(),
            (
                f"{'potential':<{width}}  distance  95 % interval     centred  floor (95 %)"
                "     n"
            ),
        ]
        for one in self.changes:
            low, high = one.interval
            lines.append(
                f"{one.label:<{width}}  {one.distance:8.4f}  [{low:.4f}, {high:.4f}] "
                f" {one.centred:7.4f}  {one.floor.mean:.4f} ({one.floor.upper:.4f}) "
                f" {one.n:,}"
            )
        left_out = {
            "absent": self.n_absent,
            "unchanged, but counted": self.n_unchanged,
            "changed sign": self.n_crossed,
        }
        found = [f"{count:,} {what}" for what, count in left_out.items() if count]
        return "\n".join(
            lines
            + (
                [f"Of {self.n + self.n_absent:,} synapses: {', '.join(found)}."]
                if found
                else []
            )
        )


def infer_geometry(
    before: Weights,
    after: Weights,
    potentials: Sequence[Potential] = (
        NegativeEntropy(),
        PNorm(1.5),
        Euclidean(),
        PNorm(2.5),
        PNorm(3),
    ),
    *,
    parameters: Sequence[str] | None = None,
    drop_crossed: bool = False,
    n_boot: int = 200,
    rng: np.random.Generator | int = 0,
) -> GeometryInference:
    r"""Infer the potential that plasticity descends under, from the weights before and after learning.

    .. math::
        \hat\delta = \frac{\nabla\phi(w_\text{after}) - \nabla\phi(w_\text{before})}{\text{sd}}, \qquad
        \text{distance} = \int_{-5}^{5} |\hat F_{\hat\delta}(z) - \Phi(z)|\, dz

    Args:
        before: Weights before learning: a tensor, an array, a module or a state dict. A state dict shares memory with
            its module: take a copy before training.
        after: The same weights after learning.
        potentials: The candidates, of :mod:`daleml.potentials`.
        parameters: Names of the parameters to pool; default: all with two dimensions or more. The authors leave the
            readout out. Synapses that are masked, pruned, or zero both times are left out.
        drop_crossed: Whether to leave weights that changed sign out under a potential that keeps signs; default: they
            count, as in the authors' code, and against it.
        n_boot: Number of bootstrap samples.
        rng: Source of randomness, or its seed; the default gives the same intervals each time.

    Shape:
        Any, the same before and after.

    Returns:
        The potentials, ranked by distance, with intervals, the sampling floor, and a conclusion.

    Raises:
        TypeError: If weights are not real numbers, or a candidate is not a potential.
        ValueError: If shapes or names differ, nothing changed, a weight is NaN or infinite, all are zero, there are
            fewer than 20, or too few have a dual coordinate under some potential.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> before = rng.lognormal(-3, 1, 5_000)
        >>> after = before * np.exp(0.1 * rng.normal(size=5_000))  # a step in ln w
        >>> result = infer_geometry(before, after)
        >>> result.best.label, [one.label for one in result.tied]
        ('NegativeEntropy', ['NegativeEntropy'])

    Notes:
        The distance is that of the paper, uncentred; its integral is exact, by sorting, where the authors sum over
        1,000 points. The interval, the floor and the verdict are ours. The floor takes weights as independent: those
        of a network share presynaptic and postsynaptic activity, so expect a real match to lie somewhat above it, and
        an interval too narrow.

        The bootstrap draws weights in up to 1,000 random groups, the same for every potential, and sees the
        distribution through bins of 0.01 standard deviations. Its samples are a little less normal than the data,
        always: that shift is taken off. For 500 numbers of Student's t with 4 degrees of freedom, whose distance is
        2.7 floors, the interval covered it in 88 of 100 cases.

        Under the negative entropy a weight that is zero has no dual coordinate, and is left out and counted. One that
        changed sign cannot have got there: its dual coordinate leaps by some :math:`2 |\ln |w||`, which rightly carries
        the negative entropy away from normal. Without those weights it can look better than the truth.

    References:
        Pogodin, Cornford, Ghosh, Gidel, Lajoie & Richards 2024 (ICLR), "Synaptic weight distributions depend on the
        geometry of plasticity".
    """
    candidates = _candidates(potentials)
    require.flag("drop_crossed", drop_crossed)
    require.integer("n_boot", n_boot, minimum=20)
    names, old, new, n_absent, eps = read_pair(before, after, parameters)
    crossed = np.sign(old) * np.sign(new) < 0
    generator, n_groups = np.random.default_rng(rng), min(_GROUPS, old.size)
    groups = generator.permutation(old.size) % n_groups
    # how often each group is taken, with replacement
    draws = generator.multinomial(
        n_groups, np.full(n_groups, 1 / n_groups), size=n_boot
    ).astype(np.float64)
    left_out = crossed if drop_crossed else np.zeros_like(crossed)
    found = [
        _judge(potential, old, new, left_out, groups, draws) for potential in candidates
    ]
    found.sort(key=lambda one: one.distance)
    moved = new - old
    return GeometryInference(
        tuple(one.row(found[0]) for one in found),
        n=old.size,
        n_absent=n_absent,
        n_unchanged=int(np.count_nonzero(moved == 0)),
        n_crossed=int(np.count_nonzero(crossed)),
        parameters=names,
        is_rounding=bool(
            np.linalg.norm(moved) < _ROUNDINGS * eps * np.linalg.norm(old)
        ),
    )


@dataclass(frozen=True)
class _Judged:
    """One potential's numbers, before they are compared to the best one's."""

    potential: Potential
    distance: float
    centred: float
    draws: NDArray[np.float64]
    relative_change: float
    counts: tuple[int, int, int]
    quantiles: NDArray[np.float64]

    def row(self, best: _Judged) -> DualChange:
        n, n_zero, n_crossed = self.counts
        return DualChange(
            self.potential,
            self.distance,
            _interval(self.distance, self.draws, lowest=0.0),
            _interval(self.distance - best.distance, self.draws - best.draws),
            self.centred,
            self.relative_change,
            n,
            n_zero,
            n_crossed,
            self.quantiles,
        )


def _interval(
    value: float, draws: NDArray[np.float64], lowest: float = -math.inf
) -> tuple[float, float]:
    """Return the 95 % interval of a value from its bootstrap, the draws' shift from it taken off."""
    low, high = np.quantile(draws - draws.mean(), [0.025, 0.975])
    return max(lowest, value + float(low)), value + float(high)


def _judge(
    potential: Potential,
    old: NDArray[np.float64],
    new: NDArray[np.float64],
    left_out: NDArray[np.bool_],
    groups: NDArray[np.int64],
    draws: NDArray[np.float64],
) -> _Judged:
    start, end = (_dual(potential, weights) for weights in (old, new))
    has_dual = np.isfinite(start) & np.isfinite(end)
    kept = has_dual & ~left_out if potential.keeps_signs else has_dual
    n, n_zero = int(np.count_nonzero(kept)), int(np.count_nonzero(~has_dual))
    if n < FEWEST:
        raise ValueError(
            f"`potentials` must leave at least {FEWEST} weights to compare;"
            f" {type(potential).__name__} leaves {n} of {old.size:,}, the others being zero"
            " or of another sign afterwards."
        )
    if n < old.size:
        start, end, groups = start[kept], end[kept], groups[kept]
    change = end - start
    mean, sd = float(change.mean()), float(change.std())
    size = float(np.linalg.norm(start))
    relative = float(np.linalg.norm(change)) / size if size else math.inf
    counts = n, n_zero, old.size - n - n_zero
    if sd <= 1e-12 * abs(
        mean
    ):  # the same for all weights: as far from normal as can be
        ends = np.full(n, math.copysign(math.inf, mean))
        far = normal_distance(ends)
        return _Judged(
            potential,
            far,
            normal_distance(np.zeros(n)),
            np.full(len(draws), far),
            relative,
            counts,
            ends[:0],
        )
    standardised = change / sd
    return _Judged(
        potential,
        normal_distance(standardised),
        normal_distance(standardised - mean / sd),
        bootstrap_distances(standardised, groups, draws),
        relative,
        counts,
        np.quantile(standardised, LEVELS),
    )


def _dual(potential: Potential, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return potential.gradient(torch.from_numpy(weights)).numpy()


def _candidates(potentials: Sequence[Potential]) -> list[Potential]:
    candidates = list(potentials) if isinstance(potentials, Iterable) else [potentials]
    for candidate in candidates:
        if not isinstance(candidate, Potential):
            raise TypeError(
                "`potentials` must be potentials, such as NegativeEntropy() or PNorm(3) of"
                f" daleml.potentials; got {candidate!r}."
            )
    if not candidates:
        raise ValueError("`potentials` must hold at least one potential; got none.")
    return candidates


def _and(changes: Iterable[DualChange]) -> str:
    return _listed([one.label for one in changes])


def _and_numbers(values: Iterable[float]) -> str:
    return _listed([f"{value:.3g}" for value in values])


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
