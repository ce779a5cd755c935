"""float32 masters of low-precision weights: short steps add up instead of rounding away."""

from __future__ import annotations

import torch
from torch import Tensor

LOW_PRECISION = (torch.float16, torch.bfloat16)


def stepped_dtype(parameter: Tensor) -> torch.dtype:
    """Return the dtype that a parameter is stepped in: its own, or float32."""
    # A relative step below one part in 256 is nothing to bfloat16, and 1e-3 is a usual one.
    if parameter.dtype in LOW_PRECISION:
        return torch.float32
    return parameter.dtype


def follow_(master: Tensor, parameter: Tensor) -> Tensor:
    """Let a master take the values of its parameter wherever it does not round to them.

    Somebody else has written there: a mask, a checkpoint, an initialisation.
    """
    # Compared in the low precision: there every value of the master has exactly one.
    stale = master.to(parameter.dtype) != parameter
    return master.copy_(torch.where(stale, parameter.float(), master))
