"""Solvers of ordinary differential equations whose right-hand side does not depend on time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from daleml import require
from daleml._support.devices import widest

Field: TypeAlias = Callable[[Tensor], Tensor]
"""The time derivative of a state, (..., n) to (..., n)."""


def rk4(field: Field, initial: Tensor, times: Tensor) -> Tensor:
    r"""Solve an equation by the classic Runge-Kutta rule, with one step between two times.

    .. math::
        y \leftarrow y + \tfrac h6 (k_1 + 2 k_2 + 2 k_3 + k_4), \qquad
        k_1 = f(y), \; k_2 = f(y + \tfrac h2 k_1), \; k_3 = f(y + \tfrac h2 k_2), \;
        k_4 = f(y + h k_3)

    Args:
        field: :math:`f`, the derivative of a state; it does not depend on time.
        initial: The state at ``times[0]``.
        times: At least two times, increasing.

    Shape:
        ``initial``: (..., n); ``times``: (k,) -> (k, ..., n).

    Returns:
        The states at ``times``.

    Raises:
        TypeError: If an argument is no tensor.
        ValueError: If ``times`` does not increase.

    Example:
        >>> import torch
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


# The coefficients of RODAS3 (Sandu et al. 1997), in the form of Hairer & Wanner (Solving
# Ordinary Differential Equations II, IV.7) that needs no product with the Jacobian.
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
    r"""Solve a stiff equation by RODAS3, an L-stable rule of third order.

    .. math::
        \Big(\frac{1}{\gamma h} - J\Big) u_i
        = f\Big(y + \sum_{j<i} a_{ij} u_j\Big) + \sum_{j<i} \frac{c_{ij}}{h} u_j,
        \qquad y \leftarrow y + \sum_i m_i u_i, \qquad \gamma = \tfrac12

    The steps are laid out beforehand: between two times, ``substeps`` steps of equal ratio.
    Since no step depends on the solution, a whole population runs in one batch under
    ``torch.func.vmap``, and gradients pass.

    Args:
        field: :math:`f`, the derivative of a state; it does not depend on time.
        initial: The state at ``start``.
        times: Positive and increasing times.
        substeps: Number of steps between two times.
        start: The time at which ``initial`` holds; at most ``times[0]``.

    Shape:
        ``initial``: (..., n); ``times``: (k,) -> (k, ..., n).

    Returns:
        The states at ``times``.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If ``times`` is not positive and increasing, or an argument is out of range.

    Example:
        >>> import torch
        >>> times = torch.tensor([1e-6, 1.0])
        >>> rosenbrock(lambda y: -1e6 * (y - 1), torch.zeros(1), times)[-1]
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
    for grid in _grids(times.tolist(), start, substeps):
        # Where `start` is the first of `times`, no step leads there.
        if grid[-1] > grid[0]:
            for t, u in itertools.pairwise(grid):
                y = _rosenbrock_step(field, y, u - t)
        states.append(y)
    return torch.stack(states)


def _grids(times: list[float], start: float, substeps: int) -> Iterator[list[float]]:
    """Yield the times of the steps that lead to each of ``times``."""
    fractions = [i / substeps for i in range(substeps + 1)]
    # From a start that may be 0, equal steps; from then on, steps of equal ratio.
    yield [start + (times[0] - start) * fraction for fraction in fractions]
    for t, u in itertools.pairwise(times):
        yield [t * (u / t) ** fraction for fraction in fractions]


def _rosenbrock_step(field: Field, y: Tensor, h: float) -> Tensor:
    # By reverse mode: states of such equations have few components.
    jacobian = jacrev(field)
    for _ in range(y.ndim - 1):
        jacobian = vmap(jacobian)
    identity = torch.eye(y.shape[-1], dtype=y.dtype, device=y.device)
    # One factorisation serves all four stages.
    factors = torch.linalg.lu_factor(identity / (_GAMMA * h) - jacobian(y))
    stages: list[Tensor] = []
    for a, c in zip(_A, _C, strict=True):
        point = y + _weighted(a, stages, y)
        right = field(point) + _weighted([c_j / h for c_j in c], stages, y)
        stages.append(torch.linalg.lu_solve(*factors, right[..., None])[..., 0])
    return y + _weighted(_M, stages, y)


def _weighted(weights: Sequence[float], stages: list[Tensor], like: Tensor) -> Tensor:
    """Return a weighted sum of stages."""
    total = torch.zeros_like(like)
    for weight, stage in zip(weights, stages, strict=True):
        # Some coefficients are zero, and each would cost a pass over the states.
        if weight:
            total = total + weight * stage
    return total


def adaptive(
    field: Field,
    initial: Tensor,
    times: Tensor,
    *,
    method: str = "dopri5",
    rtol: float = 1e-4,
    atol: float = 1e-4,
) -> Tensor:
    """Solve an equation by one of torchdiffeq's explicit rules, which choose their steps.

    Args:
        field: The derivative of a state; it does not depend on time.
        initial: The state at ``times[0]``.
        times: At least two times, increasing.
        method: Name of the rule, such as ``"dopri5"`` or ``"bosh3"``.
        rtol: Relative tolerance.
        atol: Absolute tolerance.

    Shape:
        ``initial``: (..., n); ``times``: (k,) -> (k, ..., n).

    Returns:
        The states at ``times``.

    Raises:
        ImportError: If torchdiffeq is not installed.
        TypeError: If an argument is no tensor.
        ValueError: If ``times`` does not increase.

    Example:
        >>> import torch
        >>> times = torch.linspace(0, 1, 3)
        >>> adaptive(lambda y: -y, torch.ones(1), times).shape
        torch.Size([3, 1])
    """
    # For its checks alone: torchdiffeq would fail in words of its own.
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
    """Solve a stiff equation by scipy's Radau, in float64: the reference for other solvers.

    Args:
        field: The derivative of a state; it does not depend on time.
        initial: The state at time 0.
        times: Positive and increasing times.
        rtol: Relative tolerance.
        atol: Absolute tolerance.

    Shape:
        ``initial``: (n,); ``times``: (k,) -> (k, n).

    Returns:
        The states at ``times``, float64, without a gradient.

    Raises:
        TypeError: If an argument is no tensor.
        ValueError: If ``times`` is not positive and increasing.
        RuntimeError: If scipy gives up, with its reason.

    Example:
        >>> import torch
        >>> radau(lambda y: -1e6 * (y - 1), torch.zeros(1), torch.tensor([1e-6, 1.0]))
        tensor([[0.6321],
                [1.0000]], dtype=torch.float64)
    """
    import numpy as np
    from scipy.integrate import solve_ivp

    _require_positive(times)
    require.tensor("initial", initial)

    where, wide = initial.device, widest(initial.device)

    def derivative(t: float, y: np.ndarray) -> np.ndarray:
        # Scipy knows numpy alone, and no gradient could pass.
        with torch.no_grad():
            found = field(torch.as_tensor(y, dtype=wide, device=where))
            return found.to("cpu", torch.float64).numpy()

    grid = times.to("cpu", torch.float64).numpy()
    solution = solve_ivp(
        derivative,
        (0.0, grid[-1]),
        initial.to("cpu", torch.float64).numpy(),
        method="Radau",
        t_eval=grid,
        rtol=rtol,
        atol=atol,
    )
    if not solution.success:
        raise RuntimeError(f"`field` must be solvable; scipy says: {solution.message}")
    return torch.as_tensor(solution.y.T.copy(), dtype=wide, device=where)


def _require_positive(times: Tensor) -> float:
    """Return the first of positive, increasing times, at least one, or raise."""
    require.tensor("times", times)
    is_list = times.ndim == 1 and len(times) > 0
    if not is_list or not bool((times.diff() > 0).all()) or not times[0] > 0:
        shown = f"{times.flatten()[:4].tolist()} of {times.numel()}"
        raise ValueError(
            f"`times` must be positive and increasing, at least one; got {shown}."
        )
    return float(times[0])


def _steps(times: Tensor) -> list[float]:
    """Return the lengths of the steps between increasing times, at least two, or raise."""
    require.tensor("times", times)
    if times.ndim != 1 or len(times) < 2 or not bool((times.diff() > 0).all()):
        raise ValueError(
            "`times` must be at least two increasing numbers; got shape"
            f" {tuple(times.shape)}."
        )
    steps: list[float] = times.to("cpu", torch.float64).diff().tolist()
    return steps
