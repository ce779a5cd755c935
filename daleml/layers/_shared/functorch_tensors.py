"""Tensors that a transform of ``torch.func`` stands behind."""

from __future__ import annotations

import torch
from torch import Tensor


def is_wrapped(given: Tensor) -> bool:
    """Whether ``torch.func`` looks on: such a tensor has no values to ask for."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(given))
