"""Iterate a map of several layers' states until it moves them no more, and say how far it got."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

States: TypeAlias = tuple[Tensor, ...]
_LOOK_EVERY = 5  # iterations: a residual costs about half an iteration of a small network


class NotSettledError(RuntimeError):
    """A gradient was asked of states that are not at a fixed point.

    Example:
        >>> import torch
        >>> from daleml.learning import EquilibriumPropagation, HolomorphicNetwork
        >>> network = HolomorphicNetwork(6, [8, 8], 3, max_steps=2, dtype=torch.float64)
        >>> try:
        ...     EquilibriumPropagation(network)(torch.rand(4, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 0]))
        ... except NotSettledError as error:
        ...     print(str(error)[:75])
        `network` must settle to a residual of 2.2e-14 within 2 steps; 4 of 4 sampl
    """


@dataclass(frozen=True, eq=False)
class Settled:
    """Where a relaxation ended.

    Attributes:
        states: One tensor a hidden layer, samples first.
        residual: A sample's largest change of a unit in the last iteration, (samples,).
        n_steps: Iterations made.

    Example:
        >>> import torch
        >>> from daleml.learning import HolomorphicNetwork
        >>> settled = HolomorphicNetwork(6, [8, 5], 3).settle(torch.rand(4, 6))
        >>> [state.shape for state in settled.states], settled.residual.shape
        ([torch.Size([4, 8]), torch.Size([4, 5])], torch.Size([4]))

    Notes:
        The published code reports a residual too; whether it is the largest change, as here, is not known to us.
    """

    states: States = field(repr=False)
    residual: Tensor = field(repr=False)
    n_steps: int


def relax(step: Callable[[States], States], states: States, *, max_steps: int, tolerance: float) -> Settled:
    r"""Iterate :math:`h \leftarrow f(h)` until no unit of any sample changes by more than the tolerance.

    Args:
        step: :math:`f`.
        states: Where to begin.
        max_steps: How often at most.
        tolerance: The largest change that counts as none; a negative one makes all the steps.

    Returns:
        The last states with the residual of every sample, whether or not they settled.
    """
    for n_steps in range(1, max_steps + 1):
        moved = step(states)
        if n_steps % _LOOK_EVERY == 0 or n_steps == max_steps:
            changes = [(new - old).flatten(1).abs().amax(1) for new, old in zip(moved, states, strict=True)]
            residual = torch.stack(changes).amax(0)
            if bool((residual <= tolerance).all()):
                break
        states = moved
    return Settled(moved, residual, n_steps)


def require_settled(
    residual: Tensor, *, max_steps: int, tolerance: float, leave_out: float, what: str = "`network`"
) -> Tensor:
    """Return which samples settled, or raise if more of them than a share ``leave_out`` did not.

    Raises:
        NotSettledError: If too many samples did not settle, or none did.
    """
    settled = residual <= tolerance  # NaN is not
    n_left_out = int((~settled).sum())
    if n_left_out > leave_out * len(settled) or n_left_out == len(settled):
        worst = float(residual.nan_to_num(torch.inf).max())
        raise NotSettledError(
            f"{what} must settle to a residual of {tolerance:.2g} within {max_steps} steps; "
            f"{n_left_out} of {len(settled)} samples did not, the worst at {worst:.2g}."
        )
    return settled
