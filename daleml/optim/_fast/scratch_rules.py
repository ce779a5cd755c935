"""The rules in as few passes over memory as will do, in scratch that is used again.

``eg_``, ``eg_adamw_`` and ``sgd_`` have the signature of their namesakes in
:mod:`daleml.optim.rules` and :mod:`daleml.optim.euclidean_steps`, and scratch to work in. They
take vectors: chunks of a large tensor, or many small tensors one after the other, whose
learning rates may differ from weight to weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from daleml.optim.finite_steps import LONGEST_EXPONENT, refuse_nan
from daleml.optim.rules import Adaptive, Descent

_ZERO = {dtype: torch.zeros((), dtype=dtype) for dtype in LONGEST_EXPONENT}


def eg_(
    weight: Tensor,
    grad: Tensor,
    state: Sequence[Tensor],
    options: Descent,
    scratch: Sequence[Tensor],
    *,
    reach: float,
) -> None:
    """Take the step of :func:`daleml.optim.rules.eg_`.

    Args:
        weight: As there, a vector.
        grad: As there, a vector.
        state: As there, of vectors.
        options: As there; but a learning rate per weight is given as minus that, which saves
            a pass.
        scratch: Two vectors of the weight's length.
        reach: How long no component of the step exceeds; infinite where that is not known.
    """
    sign, step = scratch
    torch.sign(weight, out=sign)
    direction = _direction(grad, sign, state, options, step)
    minus_rate = options.lr
    if not isinstance(minus_rate, Tensor):
        minus_rate = -minus_rate
    torch.mul(direction, minus_rate, out=step)
    _exponentiate_(weight, sign, step, options, reach=reach)


def eg_adamw_(
    weight: Tensor,
    grad: Tensor,
    state: Sequence[Tensor],
    options: Adaptive,
    scratch: Sequence[Tensor],
    *,
    reach: float,
) -> None:
    """Take the step of :func:`daleml.optim.rules.eg_adamw_`, with arguments as in :func:`eg_`."""
    sign, step = scratch
    torch.sign(weight, out=sign)
    minus_adam_step_(grad, state, options, step)
    _exponentiate_(weight, sign, step, options, reach=reach)


def sgd_(
    weight: Tensor,
    grad: Tensor,
    state: Sequence[Tensor],
    options: Descent,
    scratch: Sequence[Tensor],
    *,
    reach: float,
) -> None:
    """Take the step of ``torch.optim.SGD``, to the last bit, with arguments as in :func:`eg_`."""
    direction = _direction(grad, weight, state, options, scratch[0], exact=True)
    weight.add_(direction, alpha=-float(options.lr))


def adamw_(
    weight: Tensor,
    grad: Tensor,
    state: Sequence[Tensor],
    options: Adaptive,
    scratch: Sequence[Tensor],
    *,
    reach: float,
) -> None:
    """Take the step of ``torch.optim.AdamW``, with arguments as in :func:`eg_`."""
    _adamw_(weight, grad, state, options, float(options.lr), options.weight_decay)


def eg_exponent(
    weight: Tensor,
    grad: Tensor,
    state: Sequence[Tensor],
    options: Descent,
    scratch: Sequence[Tensor],
) -> tuple[Tensor, float]:
    """Return what to exponentiate, in ``scratch``, and its norm; the rate is a number."""
    sign, exponent = scratch
    torch.sign(weight, out=sign)
    direction = _direction(grad, sign, state, options, exponent)
    zero = _ZERO[weight.dtype]
    torch.addcmul(zero, direction, sign, value=-float(options.lr), out=exponent)
    return exponent, _norm(exponent, sign, (grad, *state))


def eg_adamw_exponent(
    weight: Tensor,
    grad: Tensor,
    state: Sequence[Tensor],
    options: Adaptive,
    scratch: Sequence[Tensor],
) -> tuple[Tensor, float]:
    """Return what to exponentiate but for decay, in ``scratch``, and its norm."""
    sign, exponent = scratch
    minus_adam_step_(grad, state, options, exponent)
    torch.sign(weight, out=sign)
    exponent.mul_(sign)
    return exponent, _norm(exponent, sign, (grad, *state))


def minus_adam_step_(
    grad: Tensor, state: Sequence[Tensor], options: Adaptive, out: Tensor
) -> None:
    """Move the moments, and write minus the step of Adam without decay into ``out``."""
    rate = options.lr
    if isinstance(rate, Tensor):
        # Of minus the rates, see above.
        _adamw_(out.zero_(), grad, state, options, -1.0, 0.0)
        out.mul_(rate)
        return
    # The kernel multiplies the first moment by its rate: above 1 that might overflow.
    _adamw_(out.zero_(), grad, state, options, min(rate, 1.0), 0.0)
    if rate > 1:
        out.mul_(rate)


def _adamw_(
    weight: Tensor,
    grad: Tensor,
    state: Sequence[Tensor],
    options: Adaptive,
    rate: float,
    decay: float,
) -> None:
    """Call torch's kernel. Given weights of zero and no decay, it leaves minus the step."""
    mean, square, *largest = state
    count = options.step_number
    if not isinstance(count, Tensor):
        count = torch.scalar_tensor(count)
    torch._fused_adamw_(
        [weight],
        [grad],
        [mean],
        [square],
        largest,
        [count],
        lr=rate,
        beta1=options.betas[0],
        beta2=options.betas[1],
        weight_decay=decay,
        eps=options.eps,
        amsgrad=len(largest) > 0,
        maximize=options.maximize,
    )


def _direction(
    grad: Tensor,
    decaying: Tensor,
    state: Sequence[Tensor],
    options: Descent,
    spare: Tensor,
    *,
    exact: bool = False,
) -> Tensor:
    """Return what :func:`daleml.optim.rules.descent_direction` does, perhaps in ``spare``.

    Args:
        grad: The gradient.
        decaying: What weight decay goes along.
        state: The momentum, or nothing.
        options: The rule's.
        spare: A vector of the same length.
        exact: Whether to round as torch does.
    """
    direction = grad
    if options.maximize:
        direction = torch.neg(direction, out=spare)
    if options.weight_decay is not None:
        direction = torch.add(
            direction, decaying, alpha=options.weight_decay, out=spare
        )
    if not state:
        return direction
    (momentum,) = state
    if options.fresh:
        momentum.copy_(direction)
    elif options.dampening or exact:
        momentum.mul_(options.momentum).add_(direction, alpha=1 - options.dampening)
    else:
        # One pass instead of two; it rounds once instead of twice.
        torch.add(direction, momentum, alpha=options.momentum, out=momentum)
    if options.nesterov:
        return torch.add(direction, momentum, alpha=options.momentum, out=spare)
    return momentum


def _exponentiate_(
    weight: Tensor,
    sign: Tensor,
    step: Tensor,
    options: Descent | Adaptive,
    *,
    reach: float,
) -> None:
    """Take the step, and keep within the limits whatever is not zero; the step is used up."""
    longest = LONGEST_EXPONENT[weight.dtype]
    if not reach <= longest:
        refuse_nan([step])
        # Before the sign: an infinite step of a weight of zero would be NaN.
        step.clamp_(-longest, longest)
    exponent = step.mul_(sign)
    if isinstance(options, Adaptive) and options.weight_decay:
        if isinstance(options.lr, Tensor):
            exponent.add_(options.lr, alpha=options.weight_decay)
        else:
            exponent.sub_(options.lr * options.weight_decay)
    weight.mul_(exponent.exp_()).abs_().clamp_(*options.limits).mul_(sign)


def _norm(exponent: Tensor, sign: Tensor, inputs: Sequence[Tensor]) -> float:
    """Return the length of a vector, which no component exceeds, or raise if there is NaN in it."""
    norm = math.sqrt(torch.dot(exponent, exponent).item())
    if math.isnan(norm):
        refuse_nan(inputs)
        # What was an infinite step of a weight of zero, which stays where it is.
        exponent.masked_fill_(sign == 0, 0.0)
        refuse_nan([exponent])
        return math.inf
    return norm
