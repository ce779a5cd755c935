r"""The exponentiated step: a weight times an exponential, kept a living, finite weight.

Exponentiated gradient is mirror descent with the negative entropy :math:`\phi(w) = \sum |w| \ln
|w|`: a step :math:`\eta u` in the dual coordinate :math:`\operatorname{sign}(w) (\ln |w| + 1)`
is, in the weights,

.. math:: w \leftarrow w \, \exp(-\eta \operatorname{sign}(w)\, u) .

Signs never change, and zero stays zero. The result is kept between the smallest normal number
of its dtype and the largest, so that no step, however long, makes a living weight infinite or
kills it. That guard takes as long as the rest: here it is left out where it is known not to act.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from daleml.optim.finite_steps import LONGEST_EXPONENT, bounds, nan_error
from daleml.optim.rules import Number

__all__ = [
    "ZERO",
    "Headroom",
    "Number",
    "bounds",
    "exponentiate_",
    "exponentiated",
    "measured_headroom",
    "times_sign",
]

ZERO = {dtype: torch.zeros((), dtype=dtype) for dtype in (torch.float32, torch.float64)}
_SIGN_KERNEL = torch.ops.aten.leaky_relu_backward.grad_input
# Elements: what the guard needs beside the scratch stays below 200 kB.
_GUARD_PIECE = 24 << 10


class Headroom:
    r"""What an optimiser knows of how far its weights are from the limits, in :math:`\ln |w|`.

    It holds as long as nobody else has written to a weight since, which torch counts (but for
    writing through ``.data``).
    """

    def __init__(self) -> None:
        self._left: dict[Tensor, tuple[Hashable, float]] = {}

    def known(
        self, weights: Sequence[Tensor], limits: tuple[float, float]
    ) -> list[float]:
        """Return the headroom of each weight tensor; minus infinity where it is not known."""
        found = []
        for weight in weights:
            written, left = self._left.get(weight, (None, 0.0))
            is_current = written == _stamp(weight, limits)
            found.append(left if is_current else -math.inf)
        return found

    def remember(
        self,
        weights: Sequence[Tensor],
        limits: tuple[float, float],
        headroom: Sequence[float],
    ) -> None:
        """Keep the headroom of each weight tensor, as it is written now."""
        for weight, left in zip(weights, headroom, strict=True):
            self._left[weight] = _stamp(weight, limits), left

    def clear(self) -> None:
        """Forget everything: the next step is guarded."""
        self._left.clear()


def _stamp(weight: Tensor, limits: tuple[float, float]) -> Hashable:
    return weight._version, weight.data_ptr(), limits


def exponentiated(
    weight: Tensor,
    step: Tensor,
    limits: tuple[float, float] | None,
    shrink: Number | None = None,
) -> Tensor:
    r"""Return the weights after an exponentiated step, within ``limits``.

    .. math:: w \exp(-\operatorname{sign}(w) \cdot \mathrm{step} - \mathrm{shrink})

    Args:
        weight: float32 or float64.
        step: The dual step :math:`\eta u`, of the weight's shape.
        limits: The smallest and the largest magnitude the result may have, see
            :func:`~daleml.optim.finite_steps.bounds`; a zero stays zero. None for steps that
            are known to be too short to leave them: the guard takes as long as the rest.
        shrink: :math:`\eta \lambda`, at least zero.
    """
    if limits is None:
        exponent = -weight.sign() * step
        return weight * (exponent if shrink is None else exponent - shrink).exp()
    longest = LONGEST_EXPONENT[weight.dtype]
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
    r"""Multiply in place by an exponential, in as few passes as will do.

    .. math:: w \leftarrow w\, e^{\mathrm{exponent} - \mathrm{shrink}}

    A step shorter than the headroom, the distance of :math:`\ln |w|` to the limits, needs no
    guard. So the distance is measured when it is not known, and spent until it is used up.

    Args:
        weight: A vector, changed in place.
        exponent: A vector of the weight's length, used up; minus the step times the weight's
            sign.
        limits: The smallest and the largest magnitude the result may have, see
            :func:`~daleml.optim.finite_steps.bounds`; a zero stays zero.
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
    if not exponent.numel():
        return headroom  # torch finds no largest element among none
    if reach == math.inf:
        # No element is longer than the whole vector, and the largest costs three times that.
        reach = math.sqrt(torch.dot(exponent, exponent).item())
        if math.isnan(reach):
            raise nan_error()
        if reach > 0.01 * headroom:
            reach = max(exponent.amax().item(), -exponent.amin().item())
    reach = 1.01 * reach + shrink  # 1 % for rounding
    if reach <= headroom:
        _multiply_(weight, exponent.exp_(), shrink)
        return headroom - reach
    longest = LONGEST_EXPONENT[weight.dtype]
    exponent.clamp_(-longest, longest)
    parts = zip(
        torch.split(weight, _GUARD_PIECE),
        torch.split(exponent, _GUARD_PIECE),
        strict=True,
    )
    return min(_guarded_(part, exponents, limits, shrink) for part, exponents in parts)


def times_sign(weight: Tensor, step: Tensor, out: Tensor) -> Tensor:
    r"""Write a step times the sign of its weight into ``out``, which may be ``step``.

    In one pass, as torch's gradient of a leaky rectifier of slope -1, of :math:`|w|` that is,
    the sign of zero being -1.
    """
    result: Tensor = _SIGN_KERNEL(step, weight, -1.0, False, grad_input=out)
    return result


def _multiply_(weight: Tensor, factor: Tensor, shrink: float) -> None:
    if shrink:
        torch.addcmul(
            ZERO[weight.dtype], weight, factor, value=math.exp(-shrink), out=weight
        )
    else:
        weight.mul_(factor)


def _guarded_(
    weight: Tensor, exponent: Tensor, limits: tuple[float, float], shrink: float
) -> float:
    """Multiply by the exponential, keep within the limits, and return the headroom."""
    sign = weight.sign()
    _multiply_(weight, exponent.exp_(), shrink)
    weight.abs_().clamp_(*limits)
    headroom = _headroom(weight, limits)
    weight.mul_(sign)
    return headroom


def measured_headroom(
    weights: Sequence[Tensor], limits: tuple[float, float]
) -> list[float]:
    r"""Return by how much :math:`\ln |w|` of each tensor can change without leaving the limits."""
    measured = []
    for weight in weights:
        parts = torch.split(weight.reshape(-1), _GUARD_PIECE)
        each = [_headroom(part.abs(), limits) for part in parts]
        measured.append(min(each, default=math.inf))
    return measured


def _headroom(size: Tensor, limits: tuple[float, float]) -> float:
    if not size.numel():
        return math.inf
    largest = size.amax().item()
    # A zero stays where it is, however long the step.
    smallest = torch.where(size == 0, largest, size).amin().item()
    if not 0 < smallest <= largest < math.inf:
        return -math.inf
    return min(math.log(smallest / limits[0]), math.log(limits[1] / largest)) - 0.01
