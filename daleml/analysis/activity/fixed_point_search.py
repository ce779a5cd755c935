r"""Fixed points and slow points of a circuit at a constant input.

A fixed point is a state that a step leaves where it is, :math:`F(z) = z`. A slow point is a
local minimum of the speed :math:`q(z) = |F(z) - z|^2 / 2` that is small and not zero: activity
that comes near it lingers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from daleml import require
from daleml._support.devices import on_the_cpu
from daleml.analysis.activity.constant_maps import Array, ConstantMap
from daleml.analysis.activity.fixed_point_results import FixedPoint, FixedPoints
from daleml.analysis.activity.linearised_maps import linearised
from daleml.analysis.activity.trajectories import Trajectory

N_STARTS = 64
"""How many states a search begins from, unless it is told."""
WARM_UP = 50
"""After at most so many steps a search begins, from states along the way."""

# The gradient of q over the move is a slope of the map less one: so flat is a minimum.
_FLAT = 1e-6
# What scipy's searches are asked for, and how often at most the second calls the circuit.
_PRECISION = 1e-14
_MOST_CALLS = 400
# A circuit runs until a step moves it by less than this, or for so many steps.
_CLOSE, _MOST_STEPS = 1e-7, 5000


class _End(NamedTuple):
    """Where the search from one start ended."""

    state: Array
    speed: float
    is_fixed: bool


@on_the_cpu
def fixed_points(
    rnn: nn.Module,
    inputs: Any = None,
    *,
    start: Trajectory | Tensor | Array | None = None,
    n_starts: int = N_STARTS,
    tolerance: float = 1e-9,
    slow_speed: float = 1e-4,
    merge: float = 1e-5,
    generator: torch.Generator | None = None,
) -> FixedPoints:
    r"""Find the fixed points and the slow points of a circuit at a constant input.

    .. math:: F(z^*; u) = z^*, \qquad q(z) = \tfrac12 |F(z; u) - z|^2

    From each start the equation is solved by Powell's hybrid method, and where that fails the
    speed is minimised by that of Levenberg and Marquardt, both scipy's, with the exact Jacobian
    of the circuit. What they end in is kept if it is a fixed point, or a slow one.

    Args:
        rnn: A module called like ``nn.RNN``, or a cell. It is copied, and its noise is off.
        inputs: The constant input, (n_inputs,); default: zeros.
        start: Where to begin: states of all layers, (layers, n, width) as the module's own or
            (n, layers * width); or a trajectory, from which ``n_starts`` states are drawn.
            Default: states along the way that the circuit takes at this input, from its own
            start with normal numbers added.
        n_starts: How many states to draw.
        tolerance: A fixed point moves in a step by at most this, in any unit, relative to the
            largest number of its state, or to 1.
        slow_speed: The largest :math:`q` that is called slow.
        merge: Points are one if they are as near as this, relative to their norm, or to 1.
        generator: Source of randomness of the starts; default: one with a fixed seed, so that
            a search gives the same result twice.

    Returns:
        The points, with their linearisations, and how many starts did not converge.

    Raises:
        TypeError: If ``rnn`` is no such module, or states or inputs are no numbers.
        ValueError: If a shape or a number is impossible.

    Example:
        A unit that excites itself strongly has three fixed points, the middle one unstable.

        >>> import torch
        >>> rnn = torch.nn.RNN(1, 1)
        >>> for parameter in rnn.parameters():
        ...     _ = torch.nn.init.constant_(parameter, 0.0)
        >>> _ = torch.nn.init.constant_(rnn.weight_hh_l0, 2.0)
        >>> found = fixed_points(rnn)
        >>> sorted((round(p.state.item(), 3), str(p.stability)) for p in found)
        [(-0.958, 'stable'), (0.0, 'unstable'), (0.958, 'stable')]

    Notes:
        - A search finds what its starts lead to; that no other point exists is not said.
        - Descending on the speed first, as is usual, ends more often in a local minimum that is
          no fixed point: it comes second here, for starts from which the equation is not solved.
        - A point of ``relu`` exactly at a threshold, as the origin of a circuit without biases
          and inputs, has no single slope: its stability is found by following small deviations,
          and its eigenvalues are those of one side.
        - States are found in the order of the Jacobian's cost, the cube of their size: a few
          hundred units take seconds.

    References:
        Sussillo & Barak 2013 (Neural Computation), for fixed points and slow points of trained
        networks.
    """
    n_starts = require.integer("n_starts", n_starts, minimum=1)
    tolerance = require.positive("tolerance", tolerance)
    slow_speed = require.non_negative("slow_speed", slow_speed)
    merge = require.positive("merge", merge)
    require.generator("generator", generator)
    circuit = ConstantMap(rnn, inputs)
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    starts = _starts(circuit, start, n_starts, generator)
    ends = []
    for row in starts.numpy():
        end = _search(circuit, row, tolerance)
        if end.is_fixed or end.speed <= slow_speed:
            ends.append(end)
    points = []
    for end, count in _merged(ends, merge):
        points.append(_point(circuit, end, count))
    # Sorting is stable: of points with as many starts, the slower comes first.
    points.sort(key=lambda point: (not point.is_fixed, -point.n_starts))
    return FixedPoints(
        tuple(points),
        circuit.inputs.numpy(),
        len(starts),
        len(starts) - len(ends),
        tolerance,
        slow_speed,
        merge,
    )


def _starts(
    circuit: ConstantMap, given: Any, n_starts: int, generator: torch.Generator
) -> Tensor:
    """Return the states from which to begin, (n, size)."""
    if given is None:
        return _along_the_way(circuit, n_starts, generator)
    if not isinstance(given, Trajectory):
        return circuit.read_states("start", given)
    states = given.states.detach().cpu().double()
    # Layers stand before the batch in a state.
    if states.ndim == 4:
        states = states.transpose(1, 2)
    rows = circuit.read_states("start", states.flatten(-2).flatten(0, -2))
    chosen = torch.randperm(len(rows), generator=generator)[:n_starts]
    return rows[chosen]


@torch.no_grad()
def _along_the_way(
    circuit: ConstantMap, n_starts: int, generator: torch.Generator
) -> Tensor:
    """Return states that the circuit passes through, each after another number of steps."""
    states = circuit.start.expand(n_starts, -1).clone()
    layers = states.view(n_starts, *circuit.shape)
    # Only the membrane's state is moved: others, as efficacies, live between bounds.
    n_units = circuit.stepper.n_units(circuit.shape[1])
    first = layers[..., :n_units]
    first += torch.randn(first.shape, dtype=first.dtype, generator=generator)
    # Few steps as often as many, since unstable points are close to no trajectory's end.
    fractions = torch.rand(n_starts, dtype=first.dtype, generator=generator)
    steps = ((WARM_UP + 1) ** fractions).long() - 1
    kept = states.clone()
    for step in range(1, WARM_UP + 1):
        states = circuit.advance(states)
        # A state that grows without end is kept where it was last finite.
        finite = states.isfinite().all(1)
        now = finite & (step <= steps)
        kept[now] = states[now]
    return kept


def _search(circuit: ConstantMap, start: Array, tolerance: float) -> _End:
    """Return where the search from one start ends."""
    from scipy.optimize import least_squares, root

    move, slopes = circuit.residual, circuit.residual_jacobian
    # Overflow on the way is scipy's own to mend: it takes a shorter step.
    with np.errstate(all="ignore"):
        solved = root(
            move, start, jac=slopes, method="hybr", options={"xtol": _PRECISION}
        )
        state = _polished(circuit, solved.x)
        if _moves_at_most(circuit, state, tolerance):
            return _End(state, _speed(circuit, state), True)
        minimised = least_squares(
            move,
            start,
            jac=slopes,
            method="lm",
            xtol=_PRECISION,
            ftol=_PRECISION,
            gtol=_PRECISION,
            max_nfev=_MOST_CALLS,
        )
    state = _polished(circuit, minimised.x)
    is_fixed = _moves_at_most(circuit, state, tolerance)
    speed = _speed(circuit, state)
    if not is_fixed and not _is_minimum(circuit, state, speed):
        speed = np.inf
    return _End(state, speed, is_fixed)


def _polished(circuit: ConstantMap, state: Array) -> Array:
    """Return a state after a step of Newton's method, if that takes it closer to rest."""
    if not np.isfinite(state).all():
        return state
    moved = circuit.residual(state)
    try:
        step = np.linalg.solve(circuit.residual_jacobian(state), moved)
    except np.linalg.LinAlgError:
        # On a line of fixed points there is no single step to take.
        return state
    after = state - step
    if np.abs(circuit.residual(after)).max() < np.abs(moved).max():
        return after
    return state


def _moves_at_most(circuit: ConstantMap, state: Array, tolerance: float) -> bool:
    size = max(1.0, float(np.abs(state).max()))
    moved = np.abs(circuit.residual(state)).max()
    # A NaN is not at most anything.
    return bool(moved <= tolerance * size)


def _speed(circuit: ConstantMap, state: Array) -> float:
    moved = circuit.residual(state)
    return float(moved @ moved) / 2


def _is_minimum(circuit: ConstantMap, state: Array, speed: float) -> bool:
    """Whether the gradient of the speed vanishes, relative to the move itself."""
    if not np.isfinite(speed):
        return False
    moved = circuit.residual(state)
    gradient = circuit.residual_jacobian(state).T @ moved
    return bool(np.abs(gradient).max() <= _FLAT * np.linalg.norm(moved))


def point_from(circuit: ConstantMap, start: Tensor) -> FixedPoint | None:
    """Return the fixed point to which a circuit goes from a state; None if it finds no rest."""
    state = start[None]
    with torch.no_grad():
        for _ in range(_MOST_STEPS):
            after = circuit.advance(state)
            if not after.isfinite().all():
                return None
            is_close = float((after - state).abs().max()) < _CLOSE
            state = after
            if is_close:
                break
    end = _search(circuit, state[0].numpy(), 1e-9)
    if not end.is_fixed:
        return None
    return _point(circuit, end, 1)


def _merged(ends: list[_End], merge: float) -> list[tuple[_End, int]]:
    """Return the distinct ends, the slowest first, with how many are the same as each."""
    kept: list[_End] = []
    counts: list[int] = []
    for end in sorted(ends, key=lambda one: (not one.is_fixed, one.speed)):
        for i, other in enumerate(kept):
            size = max(1.0, float(np.linalg.norm(other.state)))
            distance = np.linalg.norm(end.state - other.state)
            if end.is_fixed == other.is_fixed and distance <= merge * size:
                counts[i] += 1
                break
        else:
            kept.append(end)
            counts.append(1)
    return list(zip(kept, counts, strict=True))


def _point(circuit: ConstantMap, end: _End, n_starts: int) -> FixedPoint:
    row = torch.from_numpy(end.state)
    with torch.no_grad():
        rates = circuit.rates(row[None])[0].numpy()
    linear = linearised(circuit, row)
    return FixedPoint(linear.state, rates, end.speed, end.is_fixed, n_starts, linear)
