"""The step of an optimiser as ``torch.compile`` or a CUDA graph records it: lists, and no plan.

A plan asks of addresses and versions of tensors, and of what they hold, which no compiled step can.
Here a step is what torch's own optimisers do: ``_init_group`` fills lists of tensors, which the
compiler runs once and does not trace, and a body over lists changes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from daleml.optim import masters, rules
from daleml.optim._fast import whole_lists
from daleml.optim._fast.alike import Group, Planned, gradients
from daleml.optim.rules import Adaptive, Descent
from daleml.potentials import Euclidean

Lists = tuple[
    list[Tensor], list[Tensor], list[Tensor], list[list[Tensor]], list[Tensor]
]
"""Parameters, what is stepped in their place, gradients, moments, and steps taken."""


def step(optimizer: Any) -> None:
    """Take a step, while ``torch.compile`` or a CUDA graph records it."""
    for group in optimizer.param_groups:
        names = optimizer._moments(group)
        # The undamped first step of a momentum is another rule than all that follow.
        damped = bool(group.get("dampening")) and bool(names)
        # The first ones last, so that they do not take part again.
        for is_first in (False, True) if damped else (False,):
            lists = _lists(optimizer, group, names, is_first)
            for part in _by_dtype(lists):
                _step_part(optimizer, group, part, is_first)
            if is_first:
                for parameter, moment in zip(lists[0], lists[3][0], strict=True):
                    optimizer.state[parameter][names[0]] = moment


def _lists(optimizer: Any, group: Group, names: Sequence[str], is_first: bool) -> Lists:
    parameters: list[Tensor] = []
    weights: list[Tensor] = []
    grads: list[Tensor] = []
    # The compiler fills lists that are arguments themselves, not lists of lists.
    first: list[Tensor] = []
    second: list[Tensor] = []
    third: list[Tensor] = []
    counts: list[Tensor] = []
    optimizer._init_group(
        group, is_first, parameters, weights, grads, first, second, third, counts
    )
    return parameters, weights, grads, [first, second, third][: len(names)], counts


def init_group(
    optimizer: Planned,
    group: Group,
    is_first: bool,
    columns: tuple[list[Tensor], ...],
) -> None:
    """Fill lists with the tensors of a group that has gradients, and the state with what it lacks.

    Args:
        optimizer: The optimiser.
        group: The parameter group.
        is_first: Whether to take the parameters alone whose momentum is not there yet, and to
            leave it out of the state; else all whose momentum is there, or may begin at zero.
        columns: Empty lists: of parameters, what is stepped in their place, gradients, up to
            three moments, and steps taken.
    """
    parameters, weights, grads, *moments, counts = columns
    names = optimizer._moments(group)
    damped = bool(group.get("dampening")) and bool(names)
    for parameter in group["params"]:
        if parameter.grad is None:
            continue
        gradients(optimizer, [parameter])
        state = optimizer.state[parameter]
        if damped and is_first == (names[0] in state):
            continue
        weight = parameter
        if parameter.dtype in masters.LOW_PRECISION:
            weight = state.setdefault("master", parameter.detach().float())
        parameters.append(parameter)
        weights.append(weight)
        grads.append(parameter.grad)
        for name, column in zip(names, moments, strict=False):
            moment = state.get(name)
            if moment is None:
                moment = torch.zeros_like(weight, requires_grad=False)
            if not is_first:
                state[name] = moment
            column.append(moment)
        if optimizer._counts_steps:
            counts.append(_count(state, group, parameter))


def _count(state: Group, group: Group, parameter: Tensor) -> Tensor:
    """Return the number of steps taken; on the parameter's device if a graph is to record it."""
    count: Tensor = state.setdefault("step", torch.tensor(0.0))
    if group.get("capturable") and count.device != parameter.device:
        count = state["step"] = count.to(parameter.device)
    return count


def _by_dtype(lists: Lists) -> list[Lists]:
    """Divide lists into those of one dtype and device."""
    parameters, weights, grads, moments, counts = lists
    kinds: dict[Any, list[int]] = {}
    for i, parameter in enumerate(parameters):
        kinds.setdefault((parameter.dtype, parameter.device), []).append(i)
    parts = []
    for places in kinds.values():
        parts.append(
            (
                [parameters[i] for i in places],
                [weights[i] for i in places],
                [grads[i] for i in places],
                [[column[i] for i in places] for column in moments],
                [counts[i] for i in places] if counts else [],
            )
        )
    return parts


def _step_part(optimizer: Any, group: Group, part: Lists, is_first: bool) -> None:
    """Take a step of tensors of one dtype and device."""
    parameters, weights, grads, moments, counts = part
    dtype = parameters[0].dtype
    is_low = dtype in masters.LOW_PRECISION
    if is_low:
        for master, parameter in zip(weights, parameters, strict=True):
            masters.follow_(master, parameter)
        grads = [grad.to(torch.float32) for grad in grads]
    # Whoever has taken a step is not fresh; a momentum of zero becomes what a fresh one does.
    options = optimizer._options(group, dtype, 0.0 if is_first else 1.0)
    if isinstance(options, Adaptive):
        _adaptive_(group, (weights, grads, moments), options, counts)
    else:
        _descent_(optimizer, group, (weights, grads, moments), options)
    if is_low:
        torch._foreach_copy_(parameters, weights)


def _descent_(optimizer: Any, group: Group, lists: Any, options: Descent) -> None:
    weights, grads, moments = lists
    if group["euclidean"] and not group.get("capturable"):
        _sgd_(weights, grads, moments, options)
        return
    if group["euclidean"]:
        # Not torch's own, which outside of its compiler asks a tensor for the rate.
        options = options._replace(potential=Euclidean())
        for i, weight in enumerate(weights):
            state = [column[i] for column in moments]
            towards = rules.descent_direction(weight, grads[i], state, options)
            weight.sub_(options.lr * towards)
        return
    rule = optimizer._rule(group, options)
    if rule is rules.eg_:
        whole_lists.eg_(weights, grads, moments, options)
        return
    for i, weight in enumerate(weights):
        rule(weight, grads[i], [column[i] for column in moments], options)


def _sgd_(
    weights: list[Tensor],
    grads: list[Tensor],
    moments: list[list[Tensor]],
    options: Descent,
) -> None:
    momenta: list[Tensor | None] = [None] * len(weights)
    if moments and not options.fresh:
        momenta = list(moments[0])
    sgd(
        weights,
        grads,
        momenta,
        lr=options.lr,  # type: ignore[arg-type]  # a tensor will do
        momentum=options.momentum,
        dampening=options.dampening,
        weight_decay=options.weight_decay or 0.0,
        nesterov=options.nesterov,
        maximize=options.maximize,
        foreach=True,
    )
    if moments and options.fresh:
        torch._foreach_copy_(moments[0], cast("list[Tensor]", momenta))


def _adaptive_(
    group: Group, lists: Any, options: Adaptive, counts: list[Tensor]
) -> None:
    weights, grads, moments = lists
    torch._foreach_add_(counts, 1.0)
    each = [_corrections(options.betas, count) for count in counts]
    corrections = [bias for bias, _ in each], [root for _, root in each]
    if not group["euclidean"]:
        whole_lists.eg_adamw_corrected_(weights, grads, moments, options, corrections)
        return
    # The step of torch.optim.AdamW, whose own form for compilers takes one minus a power near
    # one in float32.
    torch._foreach_mul_(weights, 1 - options.lr * options.weight_decay)
    steps = whole_lists.adam_steps(grads, moments, options, corrections)
    torch._foreach_sub_(weights, steps)


def _corrections(betas: tuple[float, float], count: Tensor) -> tuple[Tensor, Tensor]:
    """Return what :func:`daleml.optim.rules.adam_corrections` does, of a count in float32.

    One minus a power near one would lose half of its digits.
    """
    beta1, beta2 = betas
    return _remainder(beta1, count), _remainder(beta2, count).sqrt()


def _remainder(beta: float, count: Tensor) -> Tensor:
    """Return one minus a power."""
    if beta == 0:
        return torch.ones_like(count)
    return -torch.expm1(count * math.log(beta))
