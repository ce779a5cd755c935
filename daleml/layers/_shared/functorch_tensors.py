"""Tensors that a transform of ``torch.func`` stands behind."""

from __future__ import annotations

import torch
from torch import Tensor


def is_wrapped(given: Tensor) -> bool:
    """Whether ``torch.func`` looks on: such a tensor has no values to ask for."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(given))


def is_batched(tensor: Tensor | None) -> bool:
    """Whether a gradient is many at once, as of ``is_grads_batched=True``."""
    if tensor is None:
        return False
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(
        tensor
    )
