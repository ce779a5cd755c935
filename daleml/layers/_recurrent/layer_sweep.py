"""The description of a layer's run over its steps, which every way of running it takes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daleml.layers._recurrent.nonlinearities import Nonlinearity, function
from daleml.layers.dynamics.protocol import Dynamics, TimeStep


class LayerSweep(NamedTuple):
    """How a layer is to run over its steps.

    Attributes:
        state: Where it starts, (sequences, units).
        noise: Added to the state at every step, (rows, units); None for none.
        leak: Fraction of the state that is replaced in a step, a number or (units,); None if
            the state is the rate.
        nonlinearity: Its name in ``NONLINEARITIES``, or a function.
        batch_sizes: Number of sequences that take part in each step.
        kept: Fraction that is kept, where it is known more exactly than from a leak in the
            precision of the weights.
        dynamics: What moves the state, if not the circuit's own leak. There is then neither a
            leak nor a fraction kept, and noise is added to what the units receive.
        time: What they are told of a step.
    """

    state: Tensor
    noise: Tensor | None
    leak: Tensor | float | None
    nonlinearity: str | Nonlinearity
    batch_sizes: tuple[int, ...]
    kept: Tensor | float | None = None
    dynamics: Dynamics | None = None
    time: TimeStep | None = None

    @property
    def f(self) -> Nonlinearity:
        """The nonlinearity, as a function."""
        return function(self.nonlinearity)

    @property
    def keep(self) -> Tensor | float | None:
        """Fraction of the state that is kept from step to step."""
        if self.leak is None or self.kept is not None:
            return self.kept
        return 1 - self.leak


def is_lowered(like: Tensor) -> bool:
    """Whether autocast lowers the precision of what is computed on a tensor's device."""
    # Torch raises when it is asked about autocast on the meta device.
    return not like.is_meta and torch.is_autocast_enabled(like.device.type)


def full_precision(like: Tensor) -> AbstractContextManager[Any]:
    """Return a block in which autocast lowers nothing on a tensor's device."""
    if not is_lowered(like):
        return nullcontext()
    return torch.autocast(like.device.type, enabled=False)


def lowered(*values: Tensor | float | None) -> list[Any]:
    """Return tensors in the precision of autocast, as ``nn.RNN`` takes them; numbers stay."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    dtype = torch.get_autocast_dtype(tensors[0].device.type)
    found: list[Any] = list(values)
    for i, value in enumerate(found):
        if isinstance(value, Tensor):
            found[i] = value.to(dtype)
    return found
