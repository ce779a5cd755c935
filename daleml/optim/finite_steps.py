"""Bounds that keep steps and weights finite, and the error that NaN is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from daleml._support.diverged import DivergedError

LONGEST_EXPONENT = {
    dtype: math.floor(math.log(torch.finfo(dtype).max))
    for dtype in (torch.float32, torch.float64)
}
"""The largest whole number whose exponential is finite: 88, in float64 709."""


def bounds(dtype: torch.dtype, floor: float = 0.0) -> tuple[float, float]:
    """Return the smallest and the largest magnitude that a weight which is not zero may have.

    The smallest is ``floor``, but at least the smallest normal number; in float16, whose normal
    numbers end at 6e-5 already, the smallest number of all.
    """
    info = torch.finfo(dtype)
    # Not a subnormal number: some processors take those for zero, and then the weight is dead.
    smallest = info.tiny
    if dtype == torch.float16:
        smallest *= info.eps
    return max(smallest, floor), info.max


def bounded(step: Tensor, largest: float) -> Tensor:
    """Return a step without infinities: the difference of two of them would be NaN."""
    return step.clamp(-largest, largest)


def kept_alive(before: Tensor, after: Tensor, limits: tuple[float, float]) -> Tensor:
    """Return the weights after a step that keeps signs, within the limits; a zero stays zero.

    A long step may end at zero or at infinity, where no later step could move the weight.
    """
    # A weight that the step carried to zero keeps the sign that it had.
    sign = torch.where(after == 0, before, after).sign()
    living = sign * after.abs().clamp(*limits)
    return torch.where(before == 0, after, living)


def refuse_nan(tensors: Sequence[Tensor]) -> None:
    """Raise if a tensor holds NaN.

    Only on a CPU: elsewhere asking would cost a synchronisation at every step.

    Raises:
        DivergedError: If one does.
    """
    if torch.compiler.is_compiling():
        return
    for tensor in tensors:
        if tensor.is_cpu and math.isnan(_sum_of_squares(tensor)):
            raise nan_error()


def nan_error() -> DivergedError:
    """Return the error of a step that is NaN."""
    return DivergedError(
        "steps must be numbers; got NaN, from gradients or their averages. No weight was"
        " made NaN: lower the learning rate or clip gradients, and begin again from earlier"
        " weights."
    )


def _sum_of_squares(tensor: Tensor) -> float:
    """Return the sum of squares, the cheapest pass that is NaN where any element is."""
    # Measured: `isnan().any()` takes several times as long, since it writes a tensor of flags.
    flat = tensor.detach().reshape(-1)
    return float(torch.dot(flat, flat))
