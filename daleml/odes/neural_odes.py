"""Differential equations, and networks that learn them.

A spiral, and Robertson's stiff reaction.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from daleml import require

Field = Callable[[Tensor], Tensor]
"""The time derivative of a state, (..., n) to (..., n)."""


@dataclass(frozen=True)
class Spiral:
    r"""A spiral that winds inwards, :math:`\dot y = y^3 A`, the cube taken of each component.

    Attributes:
        decay: Diagonal of A, below 0.
        turn: Its entries beside the diagonal, of opposite signs.

    Example:
        >>> import torch
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
        """Where it begins, (2,)."""
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
        k1: Rate, 1/s.
        k2: Rate, 1/s.
        k3: Rate, 1/s.

    Example:
        >>> import torch
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
        """Where it begins, (3,)."""
        return torch.tensor([1.0, 0.0, 0.0])

    @property
    def scale(self) -> Tensor:
        """The size of each component, (3,): what errors are compared with."""
        return torch.tensor([1.0, 3.65e-5, 1.0])

    def __call__(self, y: Tensor) -> Tensor:
        """Return the derivative of states (..., 3)."""
        y1, y2, y3 = y.unbind(-1)
        made, used, lost = self.k1 * y1, self.k3 * y2 * y3, self.k2 * y2 * y2
        return torch.stack([used - made, made - used - lost, lost], -1)


# -- solvers
# -----------------------------------------------------------------------------------------------------------


def rk4(field: Field, initial: Tensor, times: Tensor) -> Tensor:
    """Solve an autonomous equation by the classic Runge-Kutta rule, one step between two times.

    Args:
        field: The derivative of a state; does not depend on time.
        initial: The state at ``times[0]``, (..., n).
        times: Increasing, (k,), at least two.

    Returns:
        The states at ``times``, (k, ..., n).

    Raises:
        ValueError: If ``times`` does not increase.

    Example:
        >>> rk4(lambda y: -y, torch.ones(1), torch.linspace(0, 1, 11))[-1]
        tensor([0.3679])
    """
    require.tensor("initial", initial)
    y, states = initial, [initial]
    for h in _steps(times):
        k1 = field(y)
        k2 = field(y + h / 2 * k1)
        k3 = field(y + h / 2 * k2)
        k4 = field(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(y)
    return torch.stack(states)


# RODAS3 of Sandu et al. 1997, in the form that needs no product with the Jacobian
_GAMMA = 0.5
_A = ((), (0.0,), (2.0, 0.0), (2.0, 0.0, 1.0))
_C = ((), (4.0,), (1.0, -1.0), (1.0, -1.0, -8 / 3))
_M = (2.0, 0.0, 1.0, 1.0)


def rosenbrock(
    field: Field,
    initial: Tensor,
    times: Tensor,
    *,
    substeps: int = 16,
    start: float = 0.0,
) -> Tensor:
    r"""Solve a stiff autonomous equation by RODAS3, an L-stable rule of third order, at steps laid out beforehand.

    .. math::
        \Big(\frac{1}{\gamma h} - J\Big) u_i = f\Big(y + \sum_{j<i} a_{ij} u_j\Big) + \sum_{j<i} \frac{c_{ij}}{h} u_j,
        \qquad y \leftarrow y + \sum_i m_i u_i, \qquad \gamma = \tfrac12

    Between two times, ``substeps`` steps of equal ratio. Since no step depends on the solution,
    a whole population runs in one batch under ``torch.func.vmap``, and gradients pass.

    Args:
        field: The derivative of a state; does not depend on time.
        initial: The state at ``start``, (..., n).
        times: Positive and increasing, (k,).
        substeps: Steps between two times.
        start: When ``initial`` holds; at most ``times[0]``.

    Returns:
        The states at ``times``, (k, ..., n).

    Raises:
        ValueError: If ``times`` is not positive and increasing, or an argument is out of range.

    Example:
        >>> rosenbrock(lambda y: -1e6 * (y - 1), torch.zeros(1), torch.tensor([1e-6, 1.0]))[-1]
        tensor([1.])

    References:
        Sandu, Verwer, Blom, Spee, Carmichael, Potra 1997 Atmospheric Environment 31:3459.
    """
    substeps = require.integer("substeps", substeps, minimum=1)
    first = _require_positive(times)
    if not 0 <= require.number("start", start) <= first:
        raise ValueError(
            f"`start` must be between 0 and the first of `times`, {first:g}; got {start:g}."
        )
    y, states = require.tensor("initial", initial), []
    grid = times.double().tolist()
    stops = [
        [
            start,
            *(start + (first - start) * i / substeps for i in range(1, substeps + 1)),
        ]
    ]
    stops += [
        [t * (u / t) ** (i / substeps) for i in range(substeps + 1)]
        for t, u in itertools.pairwise(grid)
    ]
    for inner in stops:
        if inner[-1] > inner[0]:
            for t, u in itertools.pairwise(inner):
                y = _rosenbrock_step(field, y, u - t)
        states.append(y)
    return torch.stack(states)


def _rosenbrock_step(field: Field, y: Tensor, h: float) -> Tensor:
    jacobian = jacrev(field)
    for _ in range(y.ndim - 1):
        jacobian = vmap(jacobian)
    system = torch.eye(y.shape[-1], dtype=y.dtype, device=y.device) / (
        _GAMMA * h
    ) - jacobian(y)
    factors = torch.linalg.lu_factor(system)
    stages: list[Tensor] = []
    for a, c in zip(_A, _C, strict=True):
        point = y + sum(
            (a_j * u for a_j, u in zip(a, stages, strict=True) if a_j),
            torch.zeros_like(y),
        )
        right = field(point) + sum(
            (c_j / h * u for c_j, u in zip(c, stages, strict=True)), torch.zeros_like(y)
        )
        stages.append(torch.linalg.lu_solve(*factors, right[..., None])[..., 0])
    return y + sum(
        (m * u for m, u in zip(_M, stages, strict=True) if m), torch.zeros_like(y)
    )


def adaptive(
    field: Field,
    initial: Tensor,
    times: Tensor,
    *,
    method: str = "dopri5",
    rtol: float = 1e-4,
    atol: float = 1e-4,
) -> Tensor:
    """Solve an autonomous equation by one of torchdiffeq's explicit rules, which choose their steps.

    Args:
        field: The derivative of a state; does not depend on time.
        initial: The state at ``times[0]``, (..., n).
        times: Increasing, (k,), at least two.
        method: Such as ``"dopri5"`` or ``"bosh3"``.
        rtol: Relative tolerance.
        atol: Absolute tolerance.

    Returns:
        The states at ``times``, (k, ..., n).

    Raises:
        ImportError: If torchdiffeq is not installed.
        ValueError: If ``times`` does not increase.
    """
    _steps(times)
    require.tensor("initial", initial)
    try:
        from torchdiffeq import odeint
    except ImportError:
        raise ImportError(
            "`adaptive` needs torchdiffeq, which is not installed: pip install"
            " 'daleml[ode]'."
        ) from None
    states: Tensor = odeint(
        lambda t, y: field(y), initial, times, method=method, rtol=rtol, atol=atol
    )
    return states


def radau(
    field: Field,
    initial: Tensor,
    times: Tensor,
    *,
    rtol: float = 1e-10,
    atol: float = 1e-14,
) -> Tensor:
    """Solve a stiff autonomous equation by scipy's Radau, in float64.

    The reference for other solvers.

    Args:
        field: The derivative of a state; does not depend on time.
        initial: The state at time 0, (n,).
        times: Positive and increasing, (k,).
        rtol: Relative tolerance.
        atol: Absolute tolerance.

    Returns:
        The states at ``times``, (k, n), float64, without a gradient.

    Raises:
        ValueError: If ``times`` is not positive and increasing.
        RuntimeError: If scipy gives up, with its reason.
    """
    import numpy as np
    from scipy.integrate import solve_ivp

    _require_positive(times)
    require.tensor("initial", initial)

    def derivative(t: float, y: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return field(torch.as_tensor(y, dtype=torch.float64)).numpy()

    grid = times.double().numpy()
    solution = solve_ivp(
        derivative,
        (0.0, grid[-1]),
        initial.double().numpy(),
        method="Radau",
        t_eval=grid,
        rtol=rtol,
        atol=atol,
    )
    if not solution.success:
        raise RuntimeError(f"`field` must be solvable; scipy says: {solution.message}")
    return torch.as_tensor(solution.y.T.copy())


def _require_positive(times: Tensor) -> float:
    """Return the first of positive, increasing times, at least one, or raise."""
    require.tensor("times", times)
    if (
        times.ndim != 1
        or not len(times)
        or not bool((times.diff() > 0).all())
        or not times[0] > 0
    ):
        shown = f"{times.flatten()[:4].tolist()} of {times.numel()}"
        raise ValueError(
            f"`times` must be positive and increasing, at least one; got {shown}."
        )
    return float(times[0])


def _steps(times: Tensor) -> Sequence[float]:
    require.tensor("times", times)
    if times.ndim != 1 or len(times) < 2 or not bool((times.diff() > 0).all()):
        raise ValueError(
            "`times` must be at least two increasing numbers; got shape"
            f" {tuple(times.shape)}."
        )
    steps: list[float] = times.double().diff().tolist()
    return steps


# -- networks that learn them
# ------------------------------------------------------------------------------------------


class SpiralODE(nn.Module):
    r"""A network in the place of the spiral's matrix.

    :math:`\dot y = W_2 \tanh(W_1 y^3 + b_1) + b_2`.

    Args:
        hidden: Units between.
        generator: Source of randomness; default: torch's global one.

    Shape:
        - states: (..., 2), and their derivatives.

    Example:
        >>> import torch
        >>> model = SpiralODE(hidden=50)
        >>> rk4(model, torch.rand(20, 2), torch.linspace(0, 0.2, 10)).shape
        torch.Size([10, 20, 2])

    Notes:
        All weights are drawn from N(0, 0.1²), and biases begin at zero, whoever learns. The
        published comparison gives its two arms different initial weights, and only one of them
        biases.

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
            for parameter in self.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(0, 0.1, generator=generator)
                else:
                    parameter.zero_()

    def forward(self, y: Tensor) -> Tensor:
        """Return the derivative of states."""
        derivative: Tensor = self.net(y**3)
        return derivative


class RobertsonODE(nn.Module):
    r"""A small deep network for a stiff reaction, :math:`\dot y = N(y / s)\, s / T`, with each component's size s.

    Args:
        scale: Sizes of the components, (n,), above 0; default: Robertson's.
        t_end: T, the time the trajectory lasts, s.
        hidden: Units a layer.
        depth: Hidden layers.

    Shape:
        - states: (..., n), and their derivatives.

    Example:
        >>> import torch
        >>> model = RobertsonODE(t_end=10.0).double()
        >>> y = rosenbrock(model, Robertson().initial.double(), torch.logspace(-5, 1, 5, dtype=torch.float64))
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
        hidden, depth = (
            require.integer("hidden", hidden, minimum=1),
            require.integer("depth", depth, minimum=1),
        )
        sizes = [len(scale), *[hidden] * depth, len(scale)]
        layers = [
            layer
            for pair in itertools.pairwise(sizes)
            for layer in (nn.Linear(*pair), nn.GELU())
        ]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, y: Tensor) -> Tensor:
        """Return the derivative of states."""
        derivative: Tensor = self.net(y / self.scale) * (self.scale / self.t_end)
        return derivative
