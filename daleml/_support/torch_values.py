"""Whether something is torch's, without importing torch to find out.

As long as nobody has imported torch, no value can be one of its.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from torch import Tensor, nn


def is_tensor(value: object) -> TypeGuard[Tensor]:
    """Return whether ``value`` is a tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_module(value: object) -> TypeGuard[nn.Module]:
    """Return whether ``value`` is a module of torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)
