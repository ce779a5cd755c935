"""The recurrence of one layer under dynamics given as an object, as a loop that anyone can read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from daleml.layers._shared.sparse_product import StepMatrix, times_rows
from daleml.layers.dynamics.protocol import Dynamics, State, TimeStep

Current = Callable[[Tensor, Tensor], Tensor]
"""Takes a step's drive, and what the units send; returns what they receive."""


def dynamics_loop(
    x: Tensor,
    weight_ih: StepMatrix,
    bias: Tensor | None,
    weight_hh: StepMatrix,
    state: Tensor,
    noise: Tensor | None,
    dynamics: Dynamics,
    time: TimeStep,
    batch_sizes: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Run one layer step by step, under any dynamics.

    Shape:
        ``state`` (sequences, variables * units), the rest as in :func:`loop`.
    """
    drive = times_rows(x, weight_ih, bias)
    if noise is not None:
        drive = drive + noise

    def current(now: Tensor, sent: Tensor) -> Tensor:
        return now + times_rows(sent, weight_hh)

    return advance_dynamics(drive, current, state, dynamics, time, batch_sizes)


def advance_dynamics(
    drive: Tensor,
    current: Current,
    state: Tensor,
    dynamics: Dynamics,
    time: TimeStep,
    batch_sizes: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Advance the state variables by the dynamics' steps; sequences that end drop out.

    Args:
        drive: What the input contributes, (rows, ...).
        current: Returns what the units receive in a step.
        state: Where the sequences begin, the variables side by side.
        dynamics: The dynamics.
        time: The step.
        batch_sizes: Number of sequences that take part in each step.
    """
    variables = side_by_side(state, dynamics)
    finished: list[Tensor] = []
    outputs: list[Tensor] = []
    for now in torch.split(drive, list(batch_sizes)):
        n = now.shape[0]
        # The longest sequences stand first, so those that end are the last rows.
        if n < variables[0].shape[0]:
            finished.append(torch.cat([each[n:] for each in variables], dim=-1))
            variables = tuple(each[:n] for each in variables)

        def receive(sent: Tensor, now: Tensor = now) -> Tensor:
            return current(now, sent)

        # Whatever the dynamics do with it, inputs and noise are those of this step.
        variables = checked_step(dynamics, variables, receive, time)
        outputs.append(checked_rates(dynamics, variables, time))
    last = torch.cat(variables, dim=-1)
    return torch.cat(outputs), torch.cat([last, *reversed(finished)])


def side_by_side(state: Tensor, dynamics: Dynamics) -> State:
    """Return the variables of a state, which lie side by side in its last dimension."""
    return state.chunk(len(dynamics.state_names), dim=-1)


def checked_step(
    dynamics: Dynamics,
    state: State,
    receive: Callable[[Tensor], Tensor],
    time: TimeStep,
) -> State:
    """Return the state after a step, or raise if the dynamics return something else."""
    after: Any = dynamics.step(state, receive, time)
    # Dynamics may be the user's own, and a wrong shape would broadcast in silence.
    wanted = state[0].shape
    if not isinstance(after, (tuple, list)) or len(after) != len(state):
        got: object = type(after).__name__
        if isinstance(after, (tuple, list)):
            got = len(after)
        raise TypeError(
            f"`step` of {type(dynamics).__name__} must return the {len(state)} state"
            f" variables that `state_names` names; got {got}."
        )
    for name, one in zip(dynamics.state_names, after, strict=True):
        if not isinstance(one, Tensor) or one.shape != wanted:
            got = tuple(one.shape) if isinstance(one, Tensor) else type(one).__name__
            raise TypeError(
                f"`step` of {type(dynamics).__name__} must return `{name}` of every unit,"
                f" {tuple(wanted)}; got {got}."
            )
    return tuple(after)


def checked_rates(dynamics: Dynamics, state: State, time: TimeStep) -> Tensor:
    """Return the rates of a state, or raise if the dynamics return something else."""
    rates: Any = dynamics.rates(state, time.f)
    if not isinstance(rates, Tensor) or rates.shape != state[0].shape:
        got: object = type(rates).__name__
        if isinstance(rates, Tensor):
            got = tuple(rates.shape)
        raise TypeError(
            f"`rates` of {type(dynamics).__name__} must return a rate for every unit,"
            f" {tuple(state[0].shape)}; got {got}."
        )
    return rates
