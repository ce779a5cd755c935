"""Relaxation: a map of several layers' states, iterated until it moves them no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

States: TypeAlias = tuple[Tensor, ...]
"""One tensor for each hidden layer, samples first."""

_MEASURE_EVERY = 5
"""Iterations from one residual to the next: it costs half an iteration of a small network."""
_NOISE_FACTOR = 100.0
"""A residual of so many standard deviations of the noise is put down to the noise."""


class NotSettledError(RuntimeError):
    """A gradient was asked of states that are not at a fixed point.

    Example:
        >>> import torch
        >>> from daleml.learning import EquilibriumPropagation, HolomorphicNetwork
        >>> network = HolomorphicNetwork(6, [8, 8], 3, max_steps=2, dtype=torch.float64)
        >>> x, y = torch.rand(4, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
        >>> try:
        ...     EquilibriumPropagation(network)(x, y)
        ... except NotSettledError as error:
        ...     print(str(error)[:75])
        `network` must settle to a residual of 8.9e-15 within 2 steps; 4 of 4 sampl
    """


@dataclass(frozen=True, eq=False)
class Settled:
    """Where a relaxation ended.

    Attributes:
        states: One tensor for each hidden layer, samples first.
        residual: The largest distance of a sample's units from what they were driven to, before
            the last iteration, (samples,). With a ``step_size`` of 1 that is the last change; a
            smaller step does not make it smaller.
        n_steps: Number of iterations made.

    Example:
        >>> import torch
        >>> from daleml.learning import HolomorphicNetwork
        >>> settled = HolomorphicNetwork(6, [8, 5], 3).settle(torch.rand(4, 6))
        >>> [state.shape for state in settled.states], settled.residual.shape
        ([torch.Size([4, 8]), torch.Size([4, 5])], torch.Size([4]))

    Notes:
        The published code reports a residual too; whether it is the largest of a unit, as here,
        is not known to us.
    """

    states: States = field(repr=False)
    residual: Tensor = field(repr=False)
    n_steps: int


def largest_change(new: States, old: States) -> Tensor:
    """Return the largest change of a unit by sample; NaN if there is one."""
    changes = []
    for after, before in zip(new, old, strict=True):
        changes.append((after - before).flatten(1).abs().amax(1))
    return torch.stack(changes).amax(0)


def relax(
    step: Callable[[States], States],
    states: States,
    *,
    max_steps: int,
    tolerance: float,
    step_size: float = 1.0,
    distance: Callable[[States, States], Tensor] = largest_change,
) -> Settled:
    r"""Iterate :math:`h \leftarrow h + s (f(h) - h)` until :math:`|f(h) - h|` is small everywhere.

    Args:
        step: :math:`f`.
        states: Where to begin.
        max_steps: The largest number of iterations.
        tolerance: The largest residual that counts as none; a negative one makes all the steps.
        step_size: :math:`s`.
        distance: :math:`|f(h) - h|`, by sample.

    Returns:
        The last states with the residual of every sample, whether or not they settled.
    """
    for n_steps in range(1, max_steps + 1):
        driven = step(states)
        measured = n_steps % _MEASURE_EVERY == 0 or n_steps == max_steps
        # A test of convergence waits for the device, where there is one.
        if measured:
            residual = distance(driven, states)
        # A step of 1 needs no interpolation, which costs a pass over the states.
        if step_size == 1:
            states = driven
        else:
            pairs = zip(states, driven, strict=True)
            states = tuple(torch.lerp(old, new, step_size) for old, new in pairs)
        if measured and bool((residual <= tolerance).all()):
            break
    return Settled(states, residual, n_steps)


def beyond_noise(step: Callable[[States], States], states: States, sd: float) -> Tensor:
    """Return the residual of each sample without noise, or 0 where noise explains it.

    The states carry the noise of the iterations before, which near a bifurcation is many times
    ``sd``. A cycle or a blow-up is more; but under noise above a hundredth of a state, only a
    blow-up is.

    Args:
        step: The iteration without noise.
        states: Where a relaxation under noise ended.
        sd: Standard deviation of the noise.
    """
    residual = largest_change(step(states), states)
    return torch.where(residual <= _NOISE_FACTOR * sd, 0.0, residual)


def require_settled(
    residual: Tensor,
    *,
    max_steps: int,
    tolerance: float,
    leave_out: float,
    what: str = "`network`",
    steps: str = "max_steps",
) -> Tensor:
    """Return which samples settled, or raise if too many did not.

    Args:
        residual: Of each sample.
        max_steps: Number of iterations that there were, for the sentence of the error.
        tolerance: The largest residual that counts as none.
        leave_out: Fraction of the samples that may fail to settle.
        what: What should settle, for the sentence.
        steps: The argument that would give it more iterations, for the sentence.

    Raises:
        NotSettledError: If too many samples did not settle, or none did.
    """
    settled = residual <= tolerance  # NaN is not
    n_left_out = int((~settled).sum())
    if n_left_out > leave_out * len(settled) or n_left_out == len(settled):
        worst = float(residual.nan_to_num(torch.inf).max())
        raise NotSettledError(
            f"{what} must settle to a residual of {tolerance:.2g} within {max_steps} steps;"
            f" {n_left_out} of {len(settled)} samples did not, the worst at {worst:.2g}: a"
            f" smaller `step_size`, more `{steps}` or some `leave_out` may help."
        )
    return settled
