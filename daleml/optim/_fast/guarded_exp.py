r"""The exponentiated step.

A weight multiplied by the exponential of a number, and kept a living, finite weight.

Exponentiated gradient is mirror descent with the negative entropy :math:`\phi(w) = \sum |w| \ln
|w|`: a step :math:`\eta u` in the dual coordinate :math:`\operatorname{sign}(w) (\ln |w| + 1)`
is, in the weights,

.. math:: w \leftarrow w \, \exp(-\eta \operatorname{sign}(w)\, u) .

Signs never change, and zero stays zero. The result is kept between the smallest normal number
of its dtype and the largest, so that no step, however long, makes a living weight infinite or
kills it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from daleml.optim.finite_steps import is_nan, nan_error

Number = (
    float | Tensor
)  # a compiled rule takes what changes between steps as tensors, or it would be compiled anew

_EXPONENT_LIMIT = {
    dtype: math.floor(math.log(torch.finfo(dtype).max))
    for dtype in (torch.float32, torch.float64)
}
_ZERO = {dtype: torch.zeros((), dtype=dtype) for dtype in _EXPONENT_LIMIT}
_SIGN_KERNEL = torch.ops.aten.leaky_relu_backward.grad_input
_GUARD_PIECE = (
    24 << 10
)  # elements: what the guard needs beside the scratch stays below 200 kB


def bounds(dtype: torch.dtype, floor: float = 0.0) -> tuple[float, float]:
    """Return the smallest and the largest magnitude a living weight of ``dtype`` may have.

    The smallest is ``floor``, but at least the smallest normal number; in float16, whose normal
    numbers end at 6e-5 already, the smallest number of all.
    """
    info = torch.finfo(dtype)
    smallest = info.tiny * info.eps if dtype == torch.float16 else info.tiny
    return max(smallest, floor), info.max


def exponentiated(
    weight: Tensor,
    step: Tensor,
    limits: tuple[float, float] | None,
    shrink: Number | None = None,
) -> Tensor:
    r"""Return :math:`w \exp(-\operatorname{sign}(w) \cdot \mathrm{step} - \mathrm{shrink})`, kept within ``limits``.

    Args:
        weight: float32 or float64.
        step: The dual step :math:`\eta u`, of the weight's shape.
        limits: The smallest and the largest magnitude the result may have, see :func:`bounds`;
            a zero stays zero. None for steps that are known to be too short to leave them: the
            guard takes as long as the rest.
        shrink: :math:`\eta \lambda`, at least zero.
    """
    if limits is None:
        exponent = -weight.sign() * step
        return weight * (exponent if shrink is None else exponent - shrink).exp()
    longest = _EXPONENT_LIMIT[weight.dtype]
    # The order of passes is the one that compiles well: gcc's loop for others that mean the
    # same is twice as slow.
    exponent = step.clamp(-longest, longest) * torch.where(weight < 0, 1.0, -1.0)
    if shrink is not None:
        exponent = exponent - shrink
    size = (weight.abs() * exponent.exp()).clamp(*limits)
    return torch.where(weight < 0, -size, torch.where(weight > 0, size, 0.0))


def exponentiate_(
    weight: Tensor,
    exponent: Tensor,
    limits: tuple[float, float],
    *,
    shrink: float = 0.0,
    headroom: float = -math.inf,
    reach: float = math.inf,
) -> float:
    r"""Multiply in place by :math:`e^{\mathrm{exponent} - \mathrm{shrink}}`, in as few passes as will do.

    A step shorter than the headroom, the distance of :math:`\ln |w|` to the limits, needs no
    guard. So the distance is measured when it is not known, and spent until it is used up.

    Args:
        weight: A vector, changed in place.
        exponent: A vector of the weight's length, used up, see :func:`times_sign`.
        limits: The smallest and the largest magnitude the result may have, see :func:`bounds`;
            a zero stays zero.
        shrink: At least zero.
        headroom: By how much :math:`\ln |w|` of each weight that is not zero can change without
            leaving the limits.
        reach: An upper bound on the magnitudes in ``exponent``; measured if it is infinite.

    Returns:
        The headroom left, never more than there is.

    Raises:
        DivergedError: If the reach is measured and there is NaN in ``exponent``. The weight is
            as it was.
    """
    if reach == math.inf:
        reach = math.sqrt(
            torch.dot(exponent, exponent).item()
        )  # none is longer, and the largest costs three times that
        if is_nan(reach):
            raise nan_error()
        if reach > 0.01 * headroom:
            reach = max(exponent.amax().item(), -exponent.amin().item())
    reach = 1.01 * reach + shrink  # 1 % for rounding
    if reach <= headroom:
        _multiply_(weight, exponent.exp_(), shrink)
        return headroom - reach
    longest = _EXPONENT_LIMIT[weight.dtype]
    exponent.clamp_(-longest, longest)
    parts = zip(
        torch.split(weight, _GUARD_PIECE),
        torch.split(exponent, _GUARD_PIECE),
        strict=True,
    )
    return min(_guarded_(part, exponents, limits, shrink) for part, exponents in parts)


def times_sign(weight: Tensor, step: Tensor, out: Tensor) -> Tensor:
    r"""Write :math:`\operatorname{sign}(w) \cdot \mathrm{step}` into ``out``, which may be ``step``, in one pass.

    As torch's gradient of a leaky rectifier of slope -1, of :math:`|w|` that is, the sign of
    zero being -1.
    """
    result: Tensor = _SIGN_KERNEL(step, weight, -1.0, False, grad_input=out)
    return result


def _multiply_(weight: Tensor, factor: Tensor, shrink: float) -> None:
    if shrink:
        torch.addcmul(
            _ZERO[weight.dtype], weight, factor, value=math.exp(-shrink), out=weight
        )
    else:
        weight.mul_(factor)


def _guarded_(
    weight: Tensor, exponent: Tensor, limits: tuple[float, float], shrink: float
) -> float:
    """Multiply by the exponential of what is in ``exponent``, keep within the limits, and measure the headroom."""
    sign = weight.sign()
    _multiply_(weight, exponent.exp_(), shrink)
    weight.abs_().clamp_(*limits)
    headroom = _headroom(weight, limits)
    weight.mul_(sign)
    return headroom


def measured_headroom(
    weights: list[Tensor], limits: tuple[float, float]
) -> list[float]:
    r"""Return by how much :math:`\ln |w|` of each tensor can change without leaving the limits, see above."""
    pieces = (torch.split(weight.reshape(-1), _GUARD_PIECE) for weight in weights)
    return [
        min((_headroom(piece.abs(), limits) for piece in parts), default=math.inf)
        for parts in pieces
    ]


def _headroom(size: Tensor, limits: tuple[float, float]) -> float:
    if not size.numel():
        return math.inf
    largest = size.amax().item()
    smallest = (
        torch.where(size == 0, largest, size).amin().item()
    )  # a zero stays where it is, however long the step
    if not 0 < smallest <= largest < math.inf:
        return -math.inf
    return min(math.log(smallest / limits[0]), math.log(limits[1] / largest)) - 0.01


def exponentiate_foreach_(
    weights: list[Tensor],
    steps: tuple[Tensor, ...],
    limits: tuple[float, float],
    shrink: float,
) -> None:
    """Apply :func:`exponentiated` to a list of tensors of one dtype; the steps are used up."""
    longest = _EXPONENT_LIMIT[weights[0].dtype]
    signs = torch._foreach_sign(weights)
    torch._foreach_clamp_min_(steps, -longest)
    torch._foreach_clamp_max_(steps, longest)
    torch._foreach_mul_(steps, signs)
    torch._foreach_neg_(steps)
    torch._foreach_sub_(steps, shrink)
    torch._foreach_exp_(steps)
    torch._foreach_abs_(weights)
    torch._foreach_mul_(weights, steps)
    torch._foreach_clamp_min_(weights, limits[0])
    torch._foreach_clamp_max_(weights, limits[1])
    torch._foreach_mul_(weights, signs)
