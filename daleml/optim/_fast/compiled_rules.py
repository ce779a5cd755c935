"""The rules compiled by torch, each with all tensors of a list in one body.

``eg_``, ``eg_adamw_`` and ``mirror_`` take lists of tensors where their namesakes in
:mod:`daleml.optim.rules` take one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from daleml.optim import rules
from daleml.optim._fast import compile_cache
from daleml.optim._fast.chunked_rules import adam_reach
from daleml.optim._fast.guarded_exp import Headroom, exponentiated, measured_headroom
from daleml.optim.finite_steps import refuse_nan
from daleml.optim.rules import Adaptive, Descent, Number

Lists = Sequence[Sequence[Tensor]]


def mirror_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Lists,
    options: Descent,
    headroom: Headroom,
) -> None:
    """Take the step of :func:`daleml.optim.rules.mirror_` on each weight."""
    refuse_nan(grads)
    compile_cache.run(
        _mirror, (weights, grads, *states), options._asdict(), changing=("lr",)
    )


def eg_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Lists,
    options: Descent,
    headroom: Headroom,
) -> None:
    """Take the step of :func:`daleml.optim.rules.eg_` on each weight."""
    refuse_nan(grads)
    compile_cache.run(
        _eg, (weights, grads, *states), options._asdict(), changing=("lr",)
    )


def eg_adamw_(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Lists,
    options: Adaptive,
    headroom: Headroom,
) -> None:
    """Take the step of :func:`daleml.optim.rules.eg_adamw_` on each weight.

    The guard takes half the time: it is left out as long as no weight is near a limit. How
    near is measured, and again when as far as steps can reach is used up. Weights that lie at
    their limits, and those whose headroom is not kept, have the rule with its guard.
    """
    refuse_nan(grads)
    limits = options.limits
    reach = _longest_step(options, weights[0])
    left = [-math.inf]
    if reach < math.inf:
        left = headroom.known(weights, limits)
        if -math.inf in left or 0 <= min(left) < reach:
            left = measured_headroom(weights, limits)
            # Measured every few steps, it would cost more than the guard.
            if min(left) < 50 * reach:
                left = [-1.0] * len(weights)
    free = reach <= min(left)
    given = options._asdict()
    given["corrections"] = rules.adam_corrections(
        options.betas, given.pop("step_number")
    )
    given["limits"] = None if free else limits
    compile_cache.run(
        _eg_adamw, (weights, grads, *states), given, changing=("lr", "corrections")
    )
    if reach < math.inf:
        headroom.remember(weights, limits, [one - reach * free for one in left])


def _longest_step(options: Adaptive, weight: Tensor) -> float:
    r"""Return by how much :math:`\ln |w|` changes at most; infinite if that is not known."""
    # The master copy of a low-precision weight is written to before every step.
    is_master = options.limits[1] < torch.finfo(weight.dtype).max
    if is_master or not weight.is_cpu:
        return math.inf
    lr = float(options.lr)
    decay = lr * float(options.weight_decay)
    return 1.01 * lr * adam_reach(options.betas, float(options.eps)) + decay


def _mirror(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    *states: Sequence[Tensor],
    **options: Any,
) -> None:
    for i, weight in enumerate(weights):
        state = [moments[i] for moments in states]
        rules.mirror_(weight, grads[i], state, Descent(**options))


def _eg(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    *states: Sequence[Tensor],
    **options: Any,
) -> None:
    given = Descent(**options)
    for i, weight in enumerate(weights):
        state = [moments[i] for moments in states]
        direction = rules.descent_direction(weight, grads[i], state, given)
        weight.copy_(exponentiated(weight, direction * given.lr, given.limits))


def _eg_adamw(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    *states: Sequence[Tensor],
    corrections: tuple[Number, Number],
    limits: tuple[float, float] | None,
    **options: Any,
) -> None:
    given = Adaptive(**options, limits=(0.0, 0.0), step_number=0.0)
    beta1, beta2 = given.betas
    for i, weight in enumerate(weights):
        mean, square, *largest = [moments[i] for moments in states]
        grad = -grads[i] if given.maximize else grads[i]
        mean.mul_(beta1).add_(grad * (1 - beta1))
        square.mul_(beta2).add_(grad * grad * (1 - beta2))
        if largest:
            square = largest[0].copy_(torch.maximum(largest[0], square))
        # One division per weight: those by numbers are products with their reciprocals.
        root = square.sqrt() * (1 / corrections[1]) + given.eps
        step = mean * (1 / corrections[0]) / root * given.lr
        shrink = given.weight_decay * given.lr
        weight.copy_(exponentiated(weight, step, limits, shrink))
