"""The rules with every operation on a whole list of tensors at once.

For devices where a call costs more than its memory traffic. ``eg_`` and ``eg_adamw_`` take
lists of tensors of one dtype where their namesakes in :mod:`daleml.optim.rules` take one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from daleml.optim._fast.guarded_exp import Headroom
from daleml.optim.finite_steps import LONGEST_EXPONENT, refuse_nan
from daleml.optim.rules import Adaptive, Descent, Number, adam_corrections

Lists = Sequence[Sequence[Tensor]]
Listed = tuple[Tensor, ...] | list[Tensor]


def eg_(
    weights: list[Tensor],
    grads: list[Tensor],
    states: Lists,
    options: Descent,
    headroom: Headroom | None = None,
) -> None:
    """Take the step of :func:`daleml.optim.rules.eg_` on each weight."""
    # On a CPU alone: on CUDA asking would wait for the device.
    refuse_nan(grads)
    directions: Listed = torch._foreach_neg(grads) if options.maximize else grads
    if options.weight_decay is not None:
        decays = torch._foreach_mul(torch._foreach_sign(weights), options.weight_decay)
        directions = torch._foreach_add(directions, decays)
    for momenta in map(list, states):
        if options.fresh:
            torch._foreach_copy_(momenta, directions)
        else:
            damped = torch._foreach_mul(directions, 1 - options.dampening)
            torch._foreach_mul_(momenta, options.momentum)
            torch._foreach_add_(momenta, damped)
        if options.nesterov:
            ahead = torch._foreach_mul(momenta, options.momentum)
            directions = torch._foreach_add(directions, ahead)
        else:
            directions = momenta
    steps = torch._foreach_mul(directions, options.lr)
    exponentiate_foreach_(weights, steps, options.limits, 0.0)


def eg_adamw_(
    weights: list[Tensor],
    grads: list[Tensor],
    states: Lists,
    options: Adaptive,
    headroom: Headroom | None = None,
) -> None:
    """Take the step of :func:`daleml.optim.rules.eg_adamw_` on each weight."""
    corrections = adam_corrections(options.betas, options.step_number)
    eg_adamw_corrected_(weights, grads, states, options, corrections)


def eg_adamw_corrected_(
    weights: list[Tensor],
    grads: list[Tensor],
    states: Lists,
    options: Adaptive,
    corrections: tuple[Number | list[Tensor], Number | list[Tensor]],
) -> None:
    """Do that, for biases of the moments that the caller knows: of all, or of each."""
    steps = adam_steps(grads, states, options, corrections)
    # A tensor where the rate is one: asking for its value would wait for the device.
    shrink = options.lr * options.weight_decay
    exponentiate_foreach_(weights, steps, options.limits, shrink)


def adam_steps(
    grads: list[Tensor],
    states: Lists,
    options: Adaptive,
    corrections: tuple[Number | list[Tensor], Number | list[Tensor]],
) -> tuple[Tensor, ...]:
    """Return Adam's steps, and bring its moments up to date."""
    refuse_nan(grads)
    means, squares, *largest = map(list, states)
    beta1, beta2 = options.betas
    directions: Listed = torch._foreach_neg(grads) if options.maximize else grads
    torch._foreach_mul_(means, beta1)
    torch._foreach_add_(means, torch._foreach_mul(directions, 1 - beta1))
    torch._foreach_mul_(squares, beta2)
    new_squares = torch._foreach_mul(directions, directions)
    torch._foreach_add_(squares, torch._foreach_mul(new_squares, 1 - beta2))
    if largest:
        torch._foreach_maximum_(largest[0], squares)
        squares = largest[0]
    roots = torch._foreach_sqrt(squares)
    torch._foreach_div_(roots, corrections[1])
    torch._foreach_add_(roots, options.eps)
    steps = torch._foreach_div(means, corrections[0])
    torch._foreach_div_(steps, roots)
    torch._foreach_mul_(steps, options.lr)
    return steps


def exponentiate_foreach_(
    weights: list[Tensor],
    steps: tuple[Tensor, ...],
    limits: tuple[float, float],
    shrink: Number,
) -> None:
    """Multiply each weight by its exponential, within the limits; the steps are used up."""
    # Steps are bounded before the signs come in: an infinite one of a zero would be NaN.
    longest = LONGEST_EXPONENT[weights[0].dtype]
    signs = torch._foreach_sign(weights)
    torch._foreach_clamp_min_(steps, -longest)
    torch._foreach_clamp_max_(steps, longest)
    torch._foreach_mul_(steps, signs)
    torch._foreach_neg_(steps)
    if isinstance(shrink, Tensor) and not torch.compiler.is_compiling():
        # As a list: one tensor would be asked for its value.
        torch._foreach_sub_(steps, [shrink] * len(steps))
    else:
        # Not subtracted, which takes no tensor while it is compiled.
        torch._foreach_add_(steps, -shrink)
    torch._foreach_exp_(steps)
    torch._foreach_abs_(weights)
    torch._foreach_mul_(weights, steps)
    torch._foreach_clamp_min_(weights, limits[0])
    torch._foreach_clamp_max_(weights, limits[1])
    torch._foreach_mul_(weights, signs)
