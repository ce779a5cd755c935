"""The rules in as few passes over memory as will do, in scratch that is used again.

``eg_``, ``eg_adamw_`` and ``sgd_`` have the signature of their namesakes in
:mod:`daleml.optim.rules` and :mod:`daleml.optim.euclidean_steps`, and scratch to work in. They
take vectors: chunks of a large tensor, or many small tensors one after the other, whose
learning rates may differ from weight to weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from daleml.optim.finite_steps import LONGEST_EXPONENT, refuse_nan
from daleml.optim.rules import Adaptive, Descent


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
    towards = direction(grad, sign, state, options, step)
    minus_rate = options.lr
    if not isinstance(minus_rate, Tensor):
        minus_rate = -minus_rate
    torch.mul(towards, minus_rate, out=step)
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
    # Not kept from the last step: a mask may have been written since.
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
    towards = direction(grad, weight, state, options, scratch[0], exact=True)
    weight.add_(towards, alpha=-float(options.lr))


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


def direction(
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
    towards = grad
    if options.maximize:
        towards = torch.neg(towards, out=spare)
    if options.weight_decay is not None:
        towards = torch.add(towards, decaying, alpha=options.weight_decay, out=spare)
    if not state:
        return towards
    (momentum,) = state
    if options.fresh:
        momentum.copy_(towards)
    elif options.dampening or exact:
        momentum.mul_(options.momentum).add_(towards, alpha=1 - options.dampening)
    else:
        # One pass instead of two; it rounds once instead of twice.
        torch.add(towards, momentum, alpha=options.momentum, out=momentum)
    if options.nesterov:
        return torch.add(towards, momentum, alpha=options.momentum, out=spare)
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
    # A zero has the sign zero, which takes it back from the lower limit.
    weight.mul_(exponent.exp_()).abs_().clamp_(*options.limits).mul_(sign)
