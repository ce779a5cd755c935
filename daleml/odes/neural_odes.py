"""Neural networks in the place of a differential equation's right-hand side."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from daleml import require
from daleml._support.devices import drawn_
from daleml.odes.differential_equations import Robertson


class SpiralODE(nn.Module):
    r"""A network in the place of the spiral's matrix.

    .. math:: \dot y = W_2 \tanh(W_1 y^3 + b_1) + b_2

    Args:
        hidden: Number of hidden units.
        generator: Source of randomness; default: torch's global one.

    Shape:
        - states: (..., 2), and their derivatives.

    Raises:
        TypeError: If ``hidden`` is not an integer.
        ValueError: If ``hidden`` is below 1.

    Example:
        >>> import torch
        >>> from daleml.odes import rk4
        >>> model = SpiralODE(hidden=50)
        >>> rk4(model, torch.rand(20, 2), torch.linspace(0, 0.2, 10)).shape
        torch.Size([10, 20, 2])

    Notes:
        All weights are drawn from N(0, 0.1²), and biases begin at zero, whichever rule learns.
        The published comparison gives its two arms different initial weights, and biases to
        only one of them.

    References:
        Hazelden, Liu, Shlizerman, Shea-Brown 2023 arXiv:2311.10869.
    """

    def __init__(
        self, hidden: int = 1000, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        hidden = require.integer("hidden", hidden, minimum=1)
        self.net = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 2))
        with torch.no_grad():
            # Small weights, so that trajectories begin slow.
            for parameter in self.parameters():
                if parameter.ndim == 2:
                    drawn_(Tensor.normal_, parameter, 0, 0.1, generator=generator)
                else:
                    parameter.zero_()

    def forward(self, y: Tensor) -> Tensor:
        """Return the derivative of states, of the same shape."""
        derivative: Tensor = self.net(y**3)
        return derivative


class RobertsonODE(nn.Module):
    r"""A small deep network :math:`N` for a stiff reaction.

    .. math:: \dot y = N(y / s)\, s / T

    Args:
        scale: :math:`s`, the sizes of the components, (n,), above 0; default: Robertson's.
        t_end: :math:`T`, the time that the trajectory lasts, s.
        hidden: Number of units of each hidden layer.
        depth: Number of hidden layers.

    Shape:
        - states: (..., n), and their derivatives.

    Raises:
        TypeError: If a size is not an integer, or ``scale`` is no tensor.
        ValueError: If a size or time is not positive, or ``scale`` is no vector of positive
            numbers.

    Example:
        >>> import torch
        >>> from daleml.odes import Robertson, rosenbrock
        >>> model = RobertsonODE(t_end=10.0).double()
        >>> times = torch.logspace(-5, 1, 5, dtype=torch.float64)
        >>> y = rosenbrock(model, Robertson().initial.double(), times)
        >>> y.shape
        torch.Size([5, 3])

    Notes:
        The paper names "a stiff neural ODE benchmark" and no more; this is the usual one, of
        Kim et al. They do not divide the state by its size before the network sees it; the
        second component would vanish.

    References:
        Kim, Ji, Deng, Ma, Rackauckas 2021 Chaos 31:093122.
    """

    scale: Tensor

    def __init__(
        self,
        scale: Tensor | None = None,
        *,
        t_end: float = 1e5,
        hidden: int = 5,
        depth: int = 6,
    ) -> None:
        super().__init__()
        scale = Robertson().scale if scale is None else require.tensor("scale", scale)
        if scale.ndim != 1 or not bool((scale > 0).all()):
            raise ValueError(
                f"`scale` must be sizes above 0, one a component; got {scale.tolist()}."
            )
        self.t_end = require.positive("t_end", t_end)
        self.register_buffer("scale", scale.detach().clone())
        hidden = require.integer("hidden", hidden, minimum=1)
        depth = require.integer("depth", depth, minimum=1)
        sizes = [len(scale), *[hidden] * depth, len(scale)]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.GELU()]
        # No activation follows the last layer: a derivative may have either sign.
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, y: Tensor) -> Tensor:
        """Return the derivative of states, of the same shape."""
        # The network sees and gives numbers of order 1, whatever the sizes of the components.
        derivative: Tensor = self.net(y / self.scale) * (self.scale / self.t_end)
        return derivative
