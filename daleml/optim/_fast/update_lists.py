r"""The update rules, as functions of lists of tensors.

``mirror_`` and ``eg_adamw_`` are the rules, ``eg_foreach_`` and ``eg_adamw_foreach_`` the same
an operation at a time over whole lists, for devices where a call costs more than its memory
traffic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from daleml.optim._fast.chunks import Piece, pieces
from daleml.optim._fast.guarded_exp import (
    Number,
    exponentiate_,
    exponentiate_foreach_,
    exponentiated,
    times_sign,
)
from daleml.optim.finite_steps import bounded, refuse_nan
from daleml.potentials import NegativeEntropy, Potential, is_plain


def mirror_(
    weights: list[Tensor],
    grads: list[Tensor],
    buffers: list[Tensor],
    *,
    potential: Potential,
    lr: Number,
    momentum: Number,
    dampening: Number,
    weight_decay: Number | None,
    nesterov: bool,
    maximize: bool,
    fresh: bool,
    limits: tuple[float, float],
    headroom: list[float] | None = None,
) -> None:
    r"""Take one step of :class:`~daleml.optim.MirrorDescent` on each weight.

    .. math::
        u = g + \lambda\, w\, \phi''(w), \qquad
        b \leftarrow \mu b + (1 - d)\, u, \qquad
        \nabla\phi(w) \leftarrow \nabla\phi(w) - \eta\, b

    Args:
        weights: Changed in place. float32 or float64.
        grads: Left alone.
        buffers: Momentum :math:`b`, one a weight, changed in place; empty without momentum.
        potential: :math:`\phi`.
        lr: :math:`\eta`.
        momentum: :math:`\mu`.
        dampening: :math:`d`.
        weight_decay: :math:`\lambda`; None for none.
        nesterov: Whether to step in :math:`u + \mu b` instead of :math:`b`.
        maximize: Whether to climb.
        fresh: Whether the buffers hold nothing yet: they become :math:`u`, undamped, as torch's SGD has it.
        limits: The smallest and the largest magnitude a weight may have under the negative entropy, see
            :func:`~bounds`.
        headroom: One a weight, changed in place, see :func:`~exponentiate_`; None to guard
            every step.
    """
    exponentiated_gradient = (
        type(potential) is NegativeEntropy
    )  # a subclass may step otherwise
    left = [math.inf if exponentiated_gradient else -math.inf] * len(weights)
    changed = [weights, buffers] if buffers else [weights]
    cut = _pieces_or_whole if is_plain(potential) else _whole
    for piece in cut(changed, [grads], n_scratch=1):
        weight, *buffer = piece.changed
        direction = -piece.read[0] if maximize else piece.read[0]
        if weight_decay is not None:
            direction = direction + weight_decay * potential.decay(weight)
        if buffer:
            direction = _accelerate(
                direction,
                buffer[0],
                momentum,
                dampening,
                nesterov=nesterov,
                fresh=fresh,
            )
        if not exponentiated_gradient:
            after = potential.step(weight, bounded(direction * lr, limits[1]))
            refuse_nan([after])
            after = (
                _kept_alive(weight, after, limits)
                if potential.keeps_signs
                else bounded(after, limits[1])
            )
            weight.copy_(after)
        elif not piece.scratch:
            weight.copy_(exponentiated(weight, direction * lr, limits))
        else:
            exponent = times_sign(weight, direction, out=piece.scratch[0]).mul_(-lr)
            room = exponentiate_(
                weight, exponent, limits, headroom=_least(headroom, piece)
            )
            for i in piece.indices:
                left[i] = min(left[i], room)
    if headroom is not None:
        headroom[:] = left


def _kept_alive(before: Tensor, after: Tensor, limits: tuple[float, float]) -> Tensor:
    """Keep a step under a potential that keeps signs from ending at zero or at infinity."""
    living = torch.where(after == 0, before, after).sign() * after.abs().clamp(*limits)
    return torch.where(before == 0, after, living)


def _least(headroom: list[float] | None, piece: Piece) -> float:
    return -math.inf if headroom is None else min(headroom[i] for i in piece.indices)


def _accelerate(
    direction: Tensor,
    buffer: Tensor,
    momentum: Number,
    dampening: Number,
    *,
    nesterov: bool,
    fresh: bool,
) -> Tensor:
    if fresh:
        buffer.copy_(direction)
    else:
        damped = isinstance(dampening, Tensor) or dampening != 0
        buffer.mul_(momentum).add_(direction * (1 - dampening) if damped else direction)
    return direction + momentum * buffer if nesterov else buffer


def eg_adamw_(
    weights: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor],
    *,
    count: float,
    corrections: tuple[Number, Number],
    lr: Number,
    betas: tuple[Number, Number],
    eps: Number,
    weight_decay: Number,
    maximize: bool,
    limits: tuple[float, float] | None,
    headroom: list[float] | None = None,
) -> None:
    r"""Take one step of :class:`~daleml.optim.EGAdamW` on each weight.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
        w \leftarrow w \exp\Bigl(-\eta \lambda
            - \eta \operatorname{sign}(w) \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}\Bigr)

    Args:
        weights: Changed in place. float32 or float64.
        grads: Left alone.
        exp_avgs: First moments :math:`m`, changed in place.
        exp_avg_sqs: Second moments :math:`v`, changed in place.
        max_exp_avg_sqs: Largest second moments so far (AMSGrad), changed in place; empty without it.
        count: :math:`t`, this step's number: 1 at the first.
        corrections: What it makes of the betas, see :func:`adam_corrections`.
        lr: :math:`\eta`.
        betas: :math:`(\beta_1, \beta_2)`.
        eps: :math:`\epsilon`.
        weight_decay: :math:`\lambda`, the pull on :math:`\ln |w|`.
        maximize: Whether to climb.
        limits: The smallest and the largest magnitude a weight may have, see :func:`~bounds`;
            compiled also None, to leave out the guard where the headroom is longer than :func:`adam_reach` allows.
        headroom: One a weight, changed in place, see :func:`~exponentiate_`; None to guard
            every step.
    """
    left = [math.inf] * len(weights)
    moments = [exp_avgs, exp_avg_sqs, *([max_exp_avg_sqs] if max_exp_avg_sqs else [])]
    for piece in _pieces_or_whole([weights, *moments], [grads], n_scratch=1):
        weight, average, square, *largest = piece.changed
        (grad,) = piece.read
        if not piece.scratch:
            direction = _adam_direction(
                -grad if maximize else grad,
                average,
                square,
                largest,
                corrections,
                betas,
                eps,
            )
            weight.copy_(
                exponentiated(weight, direction * lr, limits, weight_decay * lr)
            )
            continue
        assert limits is not None
        rate = float(lr)
        longest = rate * adam_reach(betas, eps)
        # torch's own fused kernel, given weights of zero and no decay, leaves minus the step.
        step = piece.scratch[0].zero_()
        torch._fused_adamw_(
            [step], [grad], [average], [square], largest, [torch.tensor(count)],
            lr=min(rate, 1.0), beta1=float(betas[0]), beta2=float(betas[1]), weight_decay=0.0, eps=float(eps),
            amsgrad=bool(largest), maximize=maximize,
        )  # fmt: skip
        if (
            rate > 1
        ):  # the kernel would multiply the moment by it first, and could overflow
            step.mul_(rate)
        refuse_nan([step])
        room = exponentiate_(
            weight, times_sign(weight, step, out=step), limits, shrink=rate * float(weight_decay),
            headroom=_least(headroom, piece), reach=longest,
        )  # fmt: skip
        for i in piece.indices:
            left[i] = min(left[i], room)
    if headroom is not None:
        headroom[:] = left


def adam_corrections(betas: tuple[float, float], count: float) -> tuple[float, float]:
    r"""Return :math:`1 - \beta_1^t` and :math:`\sqrt{1 - \beta_2^t}`, the biases of the moments of step :math:`t`."""
    return 1 - betas[0] ** count, math.sqrt(1 - betas[1] ** count)


def adam_reach(betas: tuple[Number, Number], eps: Number) -> float:
    r"""Return how long a component of Adam's direction can be at most, whatever the gradients.

    Infinite if unbounded.

    By the inequality of Cauchy and Schwarz, :math:`(1 - \beta_1) / \sqrt{(1 - \beta_2) (1 -
    \beta_1^2 / \beta_2)}`, and 1 at the first step. A positive ``eps`` keeps it so where the
    second moment underflows.
    """
    beta1, beta2 = float(betas[0]), float(betas[1])
    if eps < 1e-12 or beta1**2 >= beta2:
        return math.inf
    return 1.01 * max(
        1.0, (1 - beta1) / math.sqrt((1 - beta2) * (1 - beta1**2 / beta2))
    )


def _adam_direction(
    grad: Tensor,
    average: Tensor,
    square: Tensor,
    largest: Sequence[Tensor],
    corrections: tuple[Number, Number],
    betas: tuple[Number, Number],
    eps: Number,
) -> Tensor:
    average.mul_(betas[0]).add_(grad * (1 - betas[0]))
    square.mul_(betas[1]).add_(grad * grad * (1 - betas[1]))
    second = square
    if largest:
        second = largest[0].copy_(torch.maximum(largest[0], square))
    # one division a weight: those by numbers are of numbers
    return average * (1 / corrections[0]) / (second.sqrt() * (1 / corrections[1]) + eps)


def _pieces_or_whole(
    changed: Sequence[Sequence[Tensor]],
    read: Sequence[Sequence[Tensor]],
    n_scratch: int,
) -> Iterator[Piece]:
    """Yield pieces with scratch where cache is what counts.

    Elsewhere, and to a compiler, tensors as they are.
    """
    if changed[0] and changed[0][0].is_cpu and not torch.compiler.is_compiling():
        yield from pieces(changed, read, n_scratch)
    else:
        yield from _whole(changed, read)


def _whole(
    changed: Sequence[Sequence[Tensor]],
    read: Sequence[Sequence[Tensor]],
    n_scratch: int = 0,
) -> Iterator[Piece]:
    """Yield tensors as they are, in their own shape."""
    for i, row in enumerate(zip(*changed, *read, strict=True)):
        yield Piece(row[: len(changed)], row[len(changed) :], (), (i,))


# -- an operation at a time over whole lists
# ---------------------------------------------------------------------------


def eg_foreach_(
    weights: list[Tensor],
    grads: list[Tensor],
    buffers: list[Tensor],
    *,
    lr: Number,
    momentum: Number,
    dampening: Number,
    weight_decay: Number | None,
    nesterov: bool,
    maximize: bool,
    fresh: bool,
    limits: tuple[float, float],
) -> None:
    """Take the step of :func:`mirror_` with the negative entropy, every operation on the whole list."""
    directions = torch._foreach_neg(grads) if maximize else tuple(grads)
    if weight_decay is not None:
        decays = torch._foreach_mul(torch._foreach_sign(weights), weight_decay)
        directions = torch._foreach_add(directions, decays)
    if buffers:
        if fresh:
            torch._foreach_copy_(buffers, directions)
        else:
            torch._foreach_mul_(buffers, momentum)
            torch._foreach_add_(buffers, torch._foreach_mul(directions, 1 - dampening))
        ahead = torch._foreach_mul(buffers, momentum) if nesterov else ()
        directions = (
            torch._foreach_add(directions, ahead) if nesterov else tuple(buffers)
        )
    exponentiate_foreach_(weights, torch._foreach_mul(directions, lr), limits, 0.0)


def eg_adamw_foreach_(
    weights: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor],
    *,
    corrections: tuple[Number, Number],
    lr: Number,
    betas: tuple[Number, Number],
    eps: Number,
    weight_decay: Number,
    maximize: bool,
    limits: tuple[float, float],
) -> None:
    """Take the step of :func:`eg_adamw_`, every operation on the whole list."""
    directions = torch._foreach_neg(grads) if maximize else tuple(grads)
    torch._foreach_mul_(exp_avgs, betas[0])
    torch._foreach_add_(exp_avgs, torch._foreach_mul(directions, 1 - betas[0]))
    torch._foreach_mul_(exp_avg_sqs, betas[1])
    squares = torch._foreach_mul(directions, directions)
    torch._foreach_add_(exp_avg_sqs, torch._foreach_mul(squares, 1 - betas[1]))
    seconds = exp_avg_sqs
    if max_exp_avg_sqs:
        torch._foreach_maximum_(max_exp_avg_sqs, exp_avg_sqs)
        seconds = max_exp_avg_sqs
    denominators = torch._foreach_sqrt(seconds)
    torch._foreach_div_(denominators, corrections[1])
    torch._foreach_add_(denominators, eps)
    steps = torch._foreach_div(exp_avgs, corrections[0])
    torch._foreach_div_(steps, denominators)
    torch._foreach_mul_(steps, lr)
    exponentiate_foreach_(weights, steps, limits, float(lr * weight_decay))
