"""Tensors of one group that step as a list: large ones, and those that are not plain."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from daleml._support.sharded_tensors import is_sharded, local, locals_of
from daleml.optim import masters
from daleml.optim._fast import forms
from daleml.optim._fast.alike import Alike, Planned, gradients
from daleml.optim._fast.shards import Shards


class Listed:
    """Tensors of one group, dtype and device that step as a list."""

    def __init__(self, optimizer: Planned, alike: Alike) -> None:
        self._parameters = alike.parameters
        self._group = alike.groups[0]
        self._taken = alike.taken
        self._moments = alike.moments
        self._dtype = alike.parameters[0].dtype
        self._kept: list[tuple[dict[str, Any], str, Tensor]] = []
        self._weights: list[Tensor] = []
        self._steps: list[Tensor] = []
        self._states: list[list[Tensor]] = [[] for _ in self._moments]
        for parameter in self._parameters:
            self._adopt(optimizer, parameter)
        self._shards = None
        if any(map(is_sharded, self._parameters)):
            self._shards = Shards(self._weights, self._states)

    def _adopt(self, optimizer: Planned, parameter: Tensor) -> None:
        """Take over what the state holds of a parameter, or put there what it lacks."""
        weight = parameter
        if self._dtype in masters.LOW_PRECISION:
            master = optimizer.state[parameter].get("master")
            if master is None:
                master = parameter.float()
            weight = self._keep(optimizer, parameter, "master", master)
        self._weights.append(weight)
        for name, tensors in zip(self._moments, self._states, strict=True):
            moment = optimizer.state[parameter].get(name)
            if moment is None:
                moment = torch.zeros_like(weight)
            # The model may have been given another dtype since.
            moment = moment.to(weight.dtype)
            tensors.append(self._keep(optimizer, parameter, name, moment))
        if optimizer._counts_steps:
            count = torch.tensor(float(self._taken))
            self._steps.append(self._keep(optimizer, parameter, "step", count))

    def _keep(
        self, optimizer: Planned, parameter: Tensor, name: str, value: Tensor
    ) -> Tensor:
        """Put a tensor into the state."""
        state = optimizer.state[parameter]
        state[name] = value
        self._kept.append((state, name, value))
        return value

    def takes_over(self, optimizer: Planned) -> bool:
        """Whether the rule still changes the same tensors; its options are asked at every step."""
        return optimizer._moments(self._group) == self._moments

    def holds(self) -> bool:
        """Whether the state is what it was when the list was made."""
        for state, name, tensor in self._kept:
            if state.get(name) is not tensor:
                return False
        return all(count.item() == self._taken for count in self._steps)

    def step(self, optimizer: Planned) -> None:
        """Take a step."""
        grads = gradients(optimizer, self._parameters)
        if self._dtype in masters.LOW_PRECISION:
            for master, parameter in zip(self._weights, self._parameters, strict=True):
                masters.follow_(local(master), local(parameter))
            grads = [grad.to(torch.float32) for grad in grads]
        if self._steps:
            torch._foreach_add_(self._steps, 1.0)
        # Asked anew, and once per step: a potential of yours may be another each time.
        options = optimizer._options(self._group, self._dtype, self._taken)
        rule = optimizer._rule(self._group, options)
        self._taken += 1
        if self._shards is not None:
            headroom = optimizer._headroom
            self._shards.step(rule, self._group, grads, options, headroom)
        else:
            lists = self._weights, grads, self._states
            forms.step_lists(rule, self._group, lists, options, optimizer._headroom)
        if self._dtype in masters.LOW_PRECISION:
            torch._foreach_copy_(locals_of(self._parameters), locals_of(self._weights))
