"""The recurrence of one layer as a loop anyone can read.

Any nonlinearity, any number of derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear, softplus

Nonlinearity = Callable[[Tensor], Tensor]

NONLINEARITIES: dict[str, Nonlinearity] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "softplus": softplus,
}
"""Those the fused function knows: the derivative of each can be told from what it returns."""


def function(nonlinearity: str | Nonlinearity) -> Nonlinearity:
    """Return a nonlinearity, by its name or given, as a function that leaves the state as it is.

    One of the user's may work in place, as ``nn.ReLU(inplace=True)`` does, and a leak needs the
    state afterwards.

    Raises:
        TypeError: From the function, if the nonlinearity gives no tensor of the shape that it
            was given.
    """
    if not callable(nonlinearity):
        return NONLINEARITIES[nonlinearity]
    given = nonlinearity

    def of_copy(state: Tensor) -> Tensor:
        rates = given(state.clone())
        if not isinstance(rates, Tensor) or rates.shape != state.shape:
            got = (
                tuple(rates.shape)
                if isinstance(rates, Tensor)
                else type(rates).__name__
            )
            raise TypeError(
                f"`nonlinearity` must give a rate for each state, {tuple(state.shape)}; got"
                f" {got}."
            )
        return rates

    return of_copy


def loop(
    x: Tensor,
    weight_ih: Tensor,
    bias: Tensor | None,
    weight_hh: Tensor,
    state: Tensor,
    noise: Tensor | None,
    keep: Tensor | float | None,
    f: Nonlinearity,
    batch_sizes: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Run one layer step by step: any nonlinearity, any number of derivatives."""
    drive = linear(x, weight_ih, bias)
    drive = drive if noise is None else drive + noise
    return advance(
        drive,
        lambda now, rates: now + linear(rates, weight_hh),
        state,
        keep,
        f,
        batch_sizes,
    )


def advance(
    drive: Tensor,
    current: Callable[[Tensor, Tensor], Tensor],
    state: Tensor,
    keep: Tensor | float | None,
    f: Nonlinearity,
    batch_sizes: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Advance the state by ``current(drive at this step, rates before it)``.

    Sequences that end drop out.
    """
    rates, finished, outputs = state if keep is None else f(state), [], []
    for now in torch.split(drive, list(batch_sizes)):
        n = now.shape[0]
        if n < state.shape[0]:
            finished.append(state[n:])
            state, rates = state[:n], rates[:n]
        received = current(now, rates)
        state = f(received) if keep is None else keep * state + received
        rates = state if keep is None else f(state)
        outputs.append(rates)
    return torch.cat(outputs), torch.cat([state, *reversed(finished)])
