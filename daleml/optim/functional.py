r"""The update rules, as functions of tensors: the readable truth, and its list-at-a-time twins.

Exponentiated gradient is mirror descent with the negative entropy :math:`\phi(w) = \sum |w| \ln |w|`: a step
:math:`\eta u` in the dual coordinate :math:`\operatorname{sign}(w) (\ln |w| + 1)` is, in the weights,

.. math:: w \leftarrow w \, \exp(-\eta \operatorname{sign}(w)\, u) .

Signs never change, and zero stays zero. The result is kept between the smallest normal number of its dtype and the
largest, so that no step, however long, makes a living weight infinite or kills it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_PIECE = 1 << 16  # elements: a weight, its gradient and three temporaries in float32 are 1.25 MB
_EXPONENT_LIMIT = {dtype: math.floor(math.log(torch.finfo(dtype).max)) for dtype in (torch.float32, torch.float64)}


def bounds(dtype: torch.dtype) -> tuple[float, float]:
    """Return the smallest and the largest magnitude a living weight of ``dtype`` may have.

    The smallest normal number; in float16, whose normal numbers end at 6e-5 already, the smallest number of all.
    """
    info = torch.finfo(dtype)
    return (info.tiny * info.eps if dtype == torch.float16 else info.tiny), info.max


def exponentiate_(weight: Tensor, step: Tensor, limits: tuple[float, float]) -> None:
    r"""Move by a dual step: :math:`w \leftarrow w \exp(-\operatorname{sign}(w) \cdot \mathrm{step})`, in place.

    Args:
        weight: float32 or float64.
        step: The dual step :math:`\eta u`, of the weight's shape; left alone.
        limits: The smallest and the largest magnitude the result may have, see :func:`bounds`.
    """
    longest = _EXPONENT_LIMIT[weight.dtype]
    sign = weight.sign()
    # The step is cut before it meets the sign: infinity times the sign of zero would be NaN.
    exponent = step.clamp(-longest, longest).mul_(sign).neg_()
    weight.abs_().mul_(exponent.exp_()).clamp_(*limits).mul_(sign)


def exponentiate_foreach_(weights: list[Tensor], steps: tuple[Tensor, ...], limits: tuple[float, float]) -> None:
    """Apply :func:`exponentiate_` to a list of tensors of one dtype; the steps are used up."""
    longest = _EXPONENT_LIMIT[weights[0].dtype]
    signs = torch._foreach_sign(weights)
    torch._foreach_clamp_min_(steps, -longest)
    torch._foreach_clamp_max_(steps, longest)
    torch._foreach_mul_(steps, signs)
    torch._foreach_neg_(steps)
    torch._foreach_exp_(steps)
    torch._foreach_abs_(weights)
    torch._foreach_mul_(weights, steps)
    torch._foreach_clamp_min_(weights, limits[0])
    torch._foreach_clamp_max_(weights, limits[1])
    torch._foreach_mul_(weights, signs)


def _in_pieces(*tensors: Tensor | None) -> Iterator[tuple[Any, ...]]:
    """Yield corresponding flat views that fit in cache, or the tensors themselves if small; None stays None.

    An update of several passes then reads memory once, and its temporaries are small and reused: the numbers are the
    same to the last bit, in a third of the time for large tensors.
    """
    given = [tensor for tensor in tensors if tensor is not None]
    divisible = given[0].numel() > _PIECE and all(tensor.is_contiguous() for tensor in given)
    if not divisible or torch.compiler.is_compiling():  # a compiled body reads memory once by itself
        yield tensors
        return
    flat = [None if tensor is None else tensor.view(-1) for tensor in tensors]
    for start in range(0, given[0].numel(), _PIECE):
        yield tuple(None if tensor is None else tensor[start : start + _PIECE] for tensor in flat)


def eg_(
    weights: list[Tensor],
    grads: list[Tensor],
    buffers: list[Tensor | None],
    *,
    lr: float | Tensor,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    limits: tuple[float, float],
) -> None:
    r"""Take one step of :class:`~daleml.optim.EG` on each weight.

    .. math::
        u = g + \lambda \operatorname{sign}(w), \qquad
        b \leftarrow \mu b + (1 - d)\, u, \qquad
        w \leftarrow w \exp(-\eta \operatorname{sign}(w)\, b)

    Args:
        weights: Changed in place.
        grads: Left alone.
        buffers: Momentum, one a weight; None before the first step, which keeps :math:`u` whole, as torch's SGD does.
        lr: :math:`\eta`.
        momentum: :math:`\mu`.
        dampening: :math:`d`.
        weight_decay: :math:`\lambda`, the pull on :math:`\ln |w|`.
        nesterov: Whether to step in :math:`u + \mu b` instead of :math:`b`.
        maximize: Whether to climb.
        limits: The smallest and the largest magnitude a weight may have, see :func:`bounds`.
    """
    for i, (weight, grad) in enumerate(zip(weights, grads, strict=True)):
        whole = momentum and buffers[i] is None
        if whole:
            buffers[i] = torch.empty_like(weight)
        for w, g, buffer in _in_pieces(weight, grad, buffers[i] if momentum else None):
            direction = g.neg() if maximize else g
            if weight_decay:
                direction = direction.add(w.sign(), alpha=weight_decay)
            if momentum:
                buffer.copy_(direction) if whole else buffer.mul_(momentum).add_(direction, alpha=1 - dampening)
                direction = direction.add(buffer, alpha=momentum) if nesterov else buffer
            exponentiate_(w, direction.mul(lr), limits)


def eg_foreach_(
    weights: list[Tensor],
    grads: list[Tensor],
    buffers: list[Tensor | None],
    *,
    lr: float | Tensor,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    limits: tuple[float, float],
) -> None:
    """Take the step of :func:`eg_`, every operation on the whole list."""
    directions = torch._foreach_neg(grads) if maximize else grads
    if weight_decay:
        directions = torch._foreach_add(directions, torch._foreach_sign(weights), alpha=weight_decay)
    if momentum:
        old = [buffer for buffer in buffers if buffer is not None]
        if old:
            torch._foreach_mul_(old, momentum)
            added = [u for u, buffer in zip(directions, buffers, strict=True) if buffer is not None]
            torch._foreach_add_(old, added, alpha=1 - dampening)
        kept = [u.clone() if b is None else b for u, b in zip(directions, buffers, strict=True)]
        buffers[:] = kept
        directions = torch._foreach_add(directions, kept, alpha=momentum) if nesterov else kept
    exponentiate_foreach_(weights, torch._foreach_mul(directions, lr), limits)


def eg_adamw_(
    weights: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor],
    corrections: list[tuple[float | Tensor, float | Tensor]],
    *,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    maximize: bool,
    limits: tuple[float, float],
) -> None:
    r"""Take one step of :class:`~daleml.optim.EGAdamW` on each weight.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
        w \leftarrow w \exp\Bigl(-\eta \lambda
            - \eta \operatorname{sign}(w) \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}\Bigr)

    Args:
        weights: Changed in place.
        grads: Left alone.
        exp_avgs: First moments :math:`m`, changed in place.
        exp_avg_sqs: Second moments :math:`v`, changed in place.
        max_exp_avg_sqs: Largest second moments so far (AMSGrad), changed in place; empty without it.
        corrections: :math:`(1 - \beta_1^t, \sqrt{1 - \beta_2^t})`, one pair a weight.
        lr: :math:`\eta`.
        betas: :math:`(\beta_1, \beta_2)`.
        eps: :math:`\epsilon`.
        weight_decay: :math:`\lambda`, the pull on :math:`\ln |w|`.
        maximize: Whether to climb.
        limits: The smallest and the largest magnitude a weight may have, see :func:`bounds`.
    """
    beta1, beta2 = betas
    for i, (weight, grad) in enumerate(zip(weights, grads, strict=True)):
        first_correction, second_correction = corrections[i]
        largest_square = max_exp_avg_sqs[i] if max_exp_avg_sqs else None
        for w, g, average, square, top in _in_pieces(weight, grad, exp_avgs[i], exp_avg_sqs[i], largest_square):
            direction = g.neg() if maximize else g
            average.lerp_(direction, 1 - beta1)
            square.mul_(beta2).addcmul_(direction, direction, value=1 - beta2)
            second = square if top is None else top.copy_(torch.maximum(top, square))
            step = average.div(first_correction).div_(second.sqrt().div_(second_correction).add_(eps))
            if weight_decay:
                step.add_(w.sign(), alpha=weight_decay)
            exponentiate_(w, step.mul_(lr), limits)


def eg_adamw_foreach_(
    weights: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor],
    corrections: list[tuple[float | Tensor, float | Tensor]],
    *,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    maximize: bool,
    limits: tuple[float, float],
) -> None:
    """Take the step of :func:`eg_adamw_`, every operation on the whole list."""
    beta1, beta2 = betas
    directions = torch._foreach_neg(grads) if maximize else grads
    torch._foreach_lerp_(exp_avgs, directions, 1 - beta1)
    torch._foreach_mul_(exp_avg_sqs, beta2)
    torch._foreach_addcmul_(exp_avg_sqs, directions, directions, value=1 - beta2)
    seconds = exp_avg_sqs
    if max_exp_avg_sqs:
        torch._foreach_maximum_(max_exp_avg_sqs, exp_avg_sqs)
        seconds = max_exp_avg_sqs
    steps = torch._foreach_div(exp_avgs, [float(first) for first, _ in corrections])
    denominators = torch._foreach_sqrt(seconds)
    torch._foreach_div_(denominators, [float(second) for _, second in corrections])
    torch._foreach_add_(denominators, eps)
    torch._foreach_div_(steps, denominators)
    if weight_decay:
        torch._foreach_add_(steps, torch._foreach_sign(weights), alpha=weight_decay)
    torch._foreach_mul_(steps, lr)
    exponentiate_foreach_(weights, steps, limits)
