"""What happens to numbers that are not finite.

Long steps are bounded, and NaN stops an optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from daleml._support.diverged import DivergedError


def bounded(step: Tensor, largest: float) -> Tensor:
    """Return a step without infinities, whose differences would be no numbers."""
    return step.clamp(-largest, largest)


def refuse_nan(tensors: Sequence[Tensor]) -> None:
    """Raise if a tensor holds NaN.

    Only on a CPU: elsewhere asking would cost a synchronisation every step.

    Raises:
        DivergedError: If one does.
    """
    if torch.compiler.is_compiling():
        return
    for tensor in tensors:
        if tensor.is_cpu and is_nan(_dot(tensor)):
            raise nan_error()


def is_nan(number: float) -> bool:
    """Return whether a number is none."""
    return math.isnan(number)


def nan_error() -> DivergedError:
    """Return the error of a step that is no number."""
    return DivergedError(
        "steps must be numbers; got NaN, from gradients or their averages. No weight was"
        " made NaN: lower the learning rate or clip gradients, and begin again from earlier"
        " weights."
    )


def _dot(tensor: Tensor) -> float:
    """Return the sum of squares, the cheapest pass over a tensor in which NaN stays, and only NaN becomes NaN."""
    flat = tensor.detach().reshape(-1)
    return float(torch.dot(flat, flat))
