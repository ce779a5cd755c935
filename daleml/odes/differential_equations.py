"""Differential equations to learn: a spiral, and Robertson's stiff reaction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from daleml import require


@dataclass(frozen=True)
class Spiral:
    r"""A spiral that winds inwards, :math:`\dot y = y^3 A`, with the cube of each component.

    Attributes:
        decay: Both diagonal entries of A, below 0.
        turn: The entry of A above the diagonal; the one below it is the negative.

    Shape:
        Called with states (..., 2), it returns their derivatives, (..., 2).

    Raises:
        TypeError: If a constant is not a number.
        ValueError: If ``decay`` is not below 0.

    Example:
        >>> import torch
        >>> from daleml.odes import rk4
        >>> spiral = Spiral()
        >>> y = rk4(spiral, spiral.initial, torch.linspace(0, 25, 1000))
        >>> y.shape, bool(y[-1].norm() < y[0].norm())
        (torch.Size([1000, 2]), True)

    References:
        Chen, Rubanova, Bettencourt, Duvenaud 2018 NeurIPS, whose example it is.
    """

    decay: float = -0.1
    turn: float = 2.0

    def __post_init__(self) -> None:
        if require.number("decay", self.decay) >= 0:
            raise ValueError(
                f"`decay` must be below 0, or it winds outwards; got {self.decay:g}."
            )
        require.number("turn", self.turn)

    @property
    def initial(self) -> Tensor:
        """The initial state, (2,)."""
        return torch.tensor([2.0, 0.0])

    def __call__(self, y: Tensor) -> Tensor:
        """Return the derivative of states (..., 2)."""
        return y**3 @ y.new_tensor([[self.decay, self.turn], [-self.turn, self.decay]])


@dataclass(frozen=True)
class Robertson:
    r"""Robertson's autocatalytic reaction, whose rates differ by nine orders of magnitude.

    .. math::
        \dot y_1 &= -k_1 y_1 + k_3 y_2 y_3 \\
        \dot y_2 &= k_1 y_1 - k_3 y_2 y_3 - k_2 y_2^2 \\
        \dot y_3 &= k_2 y_2^2

    Attributes:
        k1: Rate of the first reaction, 1/s.
        k2: Rate of the second, 1/s.
        k3: Rate of the third, 1/s.

    Shape:
        Called with states (..., 3), it returns their derivatives, (..., 3).

    Raises:
        TypeError: If a rate is not a number.
        ValueError: If a rate is not positive.

    Example:
        >>> import torch
        >>> from daleml.odes import rosenbrock
        >>> times = torch.logspace(-5, 3, 50, dtype=torch.float64)
        >>> robertson = Robertson()
        >>> y = rosenbrock(robertson, robertson.initial.double(), times)
        >>> bool((y.sum(-1) - 1).abs().max() < 1e-9)  # nothing is lost
        True

    References:
        Robertson 1966. Kim, Ji, Deng, Ma, Rackauckas 2021 Chaos 31:093122, for learning it.
    """

    k1: float = 0.04
    k2: float = 3e7
    k3: float = 1e4

    def __post_init__(self) -> None:
        for name in ("k1", "k2", "k3"):
            require.positive(name, getattr(self, name))

    @property
    def initial(self) -> Tensor:
        """The initial state, (3,)."""
        return torch.tensor([1.0, 0.0, 0.0])

    @property
    def scale(self) -> Tensor:
        """The size of each component along the trajectory, (3,), which errors are divided by."""
        # The second component is used up nearly as fast as it is made; its peak is this.
        return torch.tensor([1.0, 3.65e-5, 1.0])

    def __call__(self, y: Tensor) -> Tensor:
        """Return the derivative of states (..., 3)."""
        y1, y2, y3 = y.unbind(-1)
        # The three reactions, each a rate times concentrations.
        first = self.k1 * y1
        second = self.k2 * y2 * y2
        third = self.k3 * y2 * y3
        return torch.stack([third - first, first - third - second, second], -1)
