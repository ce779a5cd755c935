"""The results of a search for fixed points: each point, and all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daleml.analysis.activity.constant_maps import Array
from daleml.analysis.activity.linearised_maps import Linearisation, Stability


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A fixed point or a slow point.

    Attributes:
        state: Where it is, (layers, width).
        rates: Of the last layer there, (units,).
        speed: :math:`q = |F(z) - z|^2 / 2`.
        is_fixed: Whether it is a fixed point; else it is a slow one.
        n_starts: How many starts led to it.
        linearisation: Jacobian, eigenvalues, stability and kind.

    Example:
        >>> import torch
        >>> from daleml.analysis import activity
        >>> _ = torch.manual_seed(0)
        >>> point = activity.fixed_points(torch.nn.RNN(3, 5), n_starts=4).points[0]
        >>> point.is_fixed, point.stability.value
        (True, 'stable')
    """

    state: Array = field(repr=False)
    rates: Array = field(repr=False)
    speed: float
    is_fixed: bool
    n_starts: int
    linearisation: Linearisation

    @property
    def stability(self) -> Stability:
        """Whether small deviations from it die out."""
        return self.linearisation.stability

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {
            "rates": self.rates.tolist(),
            "is_fixed": self.is_fixed,
            "n_starts": self.n_starts,
            **self.linearisation.to_dict(),
        }

    def __str__(self) -> str:
        what = "fixed point" if self.is_fixed else f"slow point, q = {self.speed:.2g}"
        return f"{what}, {self.linearisation}"


@dataclass(frozen=True, eq=False)
class FixedPoints:
    """The fixed points and slow points that a search found.

    Attributes:
        points: The fixed points first, in each group those first to which most starts led.
        inputs: The constant input.
        n_starts: How many states the search began from.
        n_unconverged: How many of them led neither to a fixed point nor to a slow one.
        tolerance: Largest move in a step, relative to the state, of a fixed point.
        slow_speed: Largest speed :math:`q` of a slow point.
        merge: Relative distance below which points are one.

    Example:
        >>> import torch
        >>> from daleml.analysis import activity
        >>> _ = torch.manual_seed(0)
        >>> print(activity.fixed_points(torch.nn.RNN(3, 5), n_starts=8))
        1 fixed point and 0 slow points from 8 starts, of which 0 did not converge.
        1: from 8 starts, fixed point, stable node: eigenvalue 0.5674, spectral radius 0.5674
    """

    points: tuple[FixedPoint, ...] = field(repr=False)
    inputs: Array = field(repr=False)
    n_starts: int
    n_unconverged: int
    tolerance: float
    slow_speed: float
    merge: float

    @property
    def fixed(self) -> tuple[FixedPoint, ...]:
        """The fixed points."""
        return tuple(point for point in self.points if point.is_fixed)

    @property
    def slow(self) -> tuple[FixedPoint, ...]:
        """The slow points."""
        return tuple(point for point in self.points if not point.is_fixed)

    @property
    def states(self) -> Array:
        """Where the points are, (points, layers, width)."""
        if not self.points:
            return np.zeros((0, 0, 0))
        return np.stack([point.state for point in self.points])

    def __len__(self) -> int:
        """Return the number of points of both kinds."""
        return len(self.points)

    def __iter__(self) -> Iterator[FixedPoint]:
        """Yield the points, the fixed ones first."""
        return iter(self.points)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {
            "points": [point.to_dict() for point in self.points],
            "inputs": self.inputs.tolist(),
            "n_starts": self.n_starts,
            "n_unconverged": self.n_unconverged,
            "tolerance": self.tolerance,
            "slow_speed": self.slow_speed,
            "merge": self.merge,
        }

    def __str__(self) -> str:
        n_fixed, n_slow = len(self.fixed), len(self.slow)
        lines = [
            f"{n_fixed} fixed point{'' if n_fixed == 1 else 's'} and {n_slow} slow"
            f" point{'' if n_slow == 1 else 's'} from {self.n_starts} starts, of which"
            f" {self.n_unconverged} did not converge."
        ]
        for i, point in enumerate(self.points, start=1):
            lines.append(f"{i}: from {point.n_starts} starts, {point}")
        return "\n".join(lines)
