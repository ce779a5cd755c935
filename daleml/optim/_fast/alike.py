"""Parameters sorted into those that step alike: by one rule, with equal options."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from daleml._support.sharded_tensors import local
from daleml.optim._fast import forms
from daleml.optim._fast.guarded_exp import Headroom

Group = dict[str, Any]


class Planned(Protocol):
    """What a plan of steps asks of an optimiser."""

    param_groups: list[Group]
    defaults: Group
    state: defaultdict[Tensor, Any]
    _headroom: Headroom
    _counts_steps: bool

    def _rule(self, group: Group, options: Any) -> forms.Rule:
        """Return the rule that a group steps by, with these options."""

    def _is_steady(self) -> bool:
        """Whether the rule of a group changes with the group's options alone."""

    def _moments(self, group: Group) -> tuple[str, ...]:
        """Return the names in the state of what the rule changes beside the weight."""

    def _steps_taken(self, state: Group) -> float:
        """Return how many steps a parameter has taken, as far as its rule has to know."""

    def _options(self, group: Group, dtype: torch.dtype, taken: float) -> Any:
        """Return the options of the rule."""


@dataclass
class Alike:
    """Parameters of one dtype and device that step by one rule, with equal options.

    Attributes:
        moments: The names in the state of what it changes beside the weight.
        taken: How many steps each parameter has taken.
        is_gathered: Whether they step as one vector. Then their learning rates may differ.
        parameters: The parameters.
        groups: The group of each.
    """

    moments: tuple[str, ...]
    taken: float
    is_gathered: bool
    parameters: list[Tensor] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)


def alike(optimizer: Planned) -> list[Alike]:
    """Sort the parameters that have a gradient."""
    keys: list[list[Any]] = []
    found: list[Alike] = []
    tied = _sharing(optimizer.param_groups)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    # Those without a gradient too: which are gathered does not depend on the step.
    longest = forms.longest_gathered(parameters)
    for i, group in enumerate(optimizer.param_groups):
        moments = optimizer._moments(group)
        for parameter in group["params"]:
            grad = parameter.grad
            if grad is None:
                continue
            gradients(optimizer, [parameter])
            taken = optimizer._steps_taken(optimizer.state.get(parameter, {}))
            together = (
                optimizer._is_steady()
                and id(parameter) not in tied
                and forms.is_gathered(group, parameter, grad, longest)
            )
            if together:
                # A rule without a row need not act weight by weight.
                options = optimizer._options(group, parameter.dtype, taken)
                together = optimizer._rule(group, options) in forms.FAST
            key = [parameter.dtype, parameter.device, taken, together]
            if together and not group["euclidean"]:
                key += [group.get(name) for name in optimizer.defaults if name != "lr"]
            else:
                # A list has one rate, and so have the steps of torch's own.
                key.append(i)
            # By comparison, since options need not be hashable; there are few.
            if key not in keys:
                keys.append(key)
                found.append(Alike(moments, taken, together))
            one = found[keys.index(key)]
            one.parameters.append(parameter)
            one.groups.append(group)
    return found


def _sharing(groups: Sequence[Group]) -> set[int]:
    """Return the identities of parameters that share memory with another, as tied weights do.

    Each of them takes its step where the one before has come to. In a vector all would start
    from the same weights, and the last one copied back would be the only one to count.
    """
    extents = []
    for group in groups:
        for parameter in group["params"]:
            if parameter.layout != torch.strided or not parameter.numel():
                continue
            held = local(parameter)
            last = 0
            for size, stride in zip(held.shape, held.stride(), strict=True):
                last += (size - 1) * stride
            start = held.data_ptr()
            end = start + (last + 1) * held.element_size()
            extents.append((start, end, id(parameter)))
    extents.sort()
    shared: set[int] = set()
    # The one that reaches furthest, of those that begin no later.
    furthest, holder = 0, 0
    for start, end, identity in extents:
        if start < furthest:
            shared |= {identity, holder}
        if end > furthest:
            furthest, holder = end, identity
    return shared


def gradients(optimizer: object, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of parameters that have one, or raise if any is sparse."""
    grads: list[Any] = [parameter.grad for parameter in parameters]
    if True in [grad.is_sparse for grad in grads]:
        raise RuntimeError(
            f"{type(optimizer).__name__} does not support sparse gradients."
        )
    return grads
