"""The recurrence of one layer as a loop that anyone can read.

It takes any nonlinearity, and any number of derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from daleml.layers._recurrent.nonlinearities import (
    NONLINEARITIES as NONLINEARITIES,
)
from daleml.layers._recurrent.nonlinearities import Nonlinearity as Nonlinearity
from daleml.layers._shared.sparse_product import StepMatrix, times_rows


def loop(
    x: Tensor,
    weight_ih: StepMatrix,
    bias: Tensor | None,
    weight_hh: StepMatrix,
    state: Tensor,
    noise: Tensor | None,
    keep: Tensor | float | None,
    f: Nonlinearity,
    batch_sizes: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Run one layer step by step: any nonlinearity, any number of derivatives."""
    drive = times_rows(x, weight_ih, bias)
    if noise is not None:
        drive = drive + noise

    def current(now: Tensor, rates: Tensor) -> Tensor:
        return now + times_rows(rates, weight_hh)

    return advance(drive, current, state, keep, f, batch_sizes)


def advance(
    drive: Tensor,
    current: Callable[[Tensor, Tensor], Tensor],
    state: Tensor,
    keep: Tensor | float | None,
    f: Nonlinearity,
    batch_sizes: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Advance the state by ``current(drive, rates before)``; sequences that end drop out.

    Args:
        drive: What the input contributes, (rows, ...).
        current: Returns what the units receive in a step.
        state: Where the sequences begin.
        keep: The fraction of the state that is kept; None if the state is the rate.
        f: The nonlinearity.
        batch_sizes: Number of sequences that take part in each step.
    """
    rates = state if keep is None else f(state)
    finished: list[Tensor] = []
    outputs: list[Tensor] = []
    for now in torch.split(drive, list(batch_sizes)):
        n = now.shape[0]
        # The longest sequences stand first, so those that end are the last rows.
        if n < state.shape[0]:
            finished.append(state[n:])
            state, rates = state[:n], rates[:n]
        received = current(now, rates)
        if keep is None:
            state = rates = f(received)
        else:
            state = keep * state + received
            rates = f(state)
        outputs.append(rates)
    return torch.cat(outputs), torch.cat([state, *reversed(finished)])
