"""The plan of an optimiser's step: which tensors go together, and where their numbers lie.

A step of a small network is mostly the calling of operations, once per tensor and group. So
small tensors on a CPU are copied into one vector, stepped as one, and copied back. Which they
are is worked out once, and kept until something changes: the parameters, which of them have a
gradient, an option that decides the form of the step, a state that somebody else put there.
All of that is asked at every step, in a few microseconds.

The moments of gathered tensors lie in vectors, and ``optimizer.state`` holds views of these.
Nothing relies on it for longer than a step: a plan made anew copies in what the state holds.
Weights are read anew at every step, zeros and signs with them, since torch does not count what
is written through ``.data``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from daleml._support.sharded_tensors import (
    is_sharded,
    joined,
    local,
    locals_of,
    placed_as,
)
from daleml.optim import masters
from daleml.optim._fast import forms
from daleml.optim._fast.alike import Alike, Planned, alike, gradients
from daleml.optim._fast.chunked_rules import adam_reach
from daleml.optim._fast.listed import Listed
from daleml.optim.finite_steps import nan_error

CAPACITY = 1 << 15
"""Number of elements that are gathered at a time: all vectors together stay in cache."""

_KIND = attrgetter("shape", "dtype", "device")
_STRUCTURAL = ("euclidean", "foreach", "fused", "potential", "amsgrad")
"""Options that decide the form of a step, rather than its numbers."""


class StepPlan:
    """Which tensors step together, until something changes."""

    def __init__(self, optimizer: Planned) -> None:
        self._groups = _copied(optimizer)
        found = alike(optimizer)
        listed = [Listed(optimizer, one) for one in found if not one.is_gathered]
        gathered = _gathered(optimizer, [one for one in found if one.is_gathered])
        segments = [segment for one in gathered for segment in one.segments]
        self.parts: list[Gathered | Listed] = [*gathered, *listed]
        self._watched: list[Segment | Listed] = [*segments, *listed]
        self._asks = _may_be_written(optimizer)
        self._facts = _facts(optimizer)

    def holds(self, optimizer: Planned) -> bool:
        """Whether nothing has changed; options that are numbers may, and are taken over."""
        if _facts(optimizer) != self._facts:
            return False
        try:
            differs = self._asks or optimizer.param_groups != self._groups
        except (RuntimeError, ValueError):
            # A group may hold anything of yours, such as a tensor: whether two of them are
            # equal is no yes or no.
            differs = True
        if differs:
            self._groups = _copied(optimizer)
            self._asks = _may_be_written(optimizer)
            if not all(part.takes_over(optimizer) for part in self._watched):
                return False
        return all(part.holds() for part in self._watched)


def _facts(optimizer: Planned) -> Sequence[Any]:
    """Return whatever a plan depends on beside the groups' options."""
    # Lists of their own, since comparing them is one call; this runs at every step.
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return (
        # A group may be replaced by another, or give a parameter to its neighbour.
        [(id(group), len(group["params"])) for group in optimizer.param_groups],
        list(map(id, parameters)),
        [parameter.grad is None for parameter in parameters],
        list(map(_KIND, parameters)),
        # Two may come to share memory. The addresses alone would not do: trainers that put
        # the weights of before back, as `.data`, change them at every step.
        len(set(map(Tensor.data_ptr, parameters))),
        list(map(id, optimizer.state.values())),
    )


def _may_be_written(optimizer: Planned) -> bool:
    """Whether a group has an option that may change in place: a tensor of a rate, a list."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor) or isinstance(group.get("betas"), list):
            return True
    return False


def _copied(optimizer: Planned) -> list[dict[str, Any]]:
    return [dict(group) for group in optimizer.param_groups]


def _gathered(optimizer: Planned, small: list[Alike]) -> list[Gathered]:
    """Distribute small tensors over vectors, with scratch that all of one dtype share."""
    # Vectors are stepped one after the other, so that all can use the scratch of the longest.
    vectors = list(_vectors(small))
    lengths: dict[torch.dtype, int] = {}
    for vector in vectors:
        dtype = masters.stepped_dtype(vector[0].parameters[0])
        lengths[dtype] = max(lengths.get(dtype, 0), sum(map(_length, vector)))
    scratch = {
        dtype: torch.empty(4, length, dtype=dtype) for dtype, length in lengths.items()
    }
    return [
        Gathered(
            optimizer, vector, scratch[masters.stepped_dtype(vector[0].parameters[0])]
        )
        for vector in vectors
    ]


def _vectors(small: list[Alike]) -> Iterator[list[Alike]]:
    """Yield what goes into one vector: parameters of one dtype, up to the capacity."""
    for dtype in dict.fromkeys(one.parameters[0].dtype for one in small):
        vector: list[Alike] = []
        length = 0
        for one in small:
            if one.parameters[0].dtype != dtype:
                continue
            some = replace(one, parameters=[], groups=[])
            vector.append(some)
            for parameter, group in zip(one.parameters, one.groups, strict=True):
                if length and length + parameter.numel() > CAPACITY:
                    yield [full for full in vector if full.parameters]
                    some = replace(one, parameters=[], groups=[])
                    vector, length = [some], 0
                some.parameters.append(parameter)
                some.groups.append(group)
                length += parameter.numel()
        yield vector


def _length(alike: Alike) -> int:
    return sum(local(parameter).numel() for parameter in alike.parameters)


def _shaped(vector: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return views of a vector in the shapes of the parameters, one after the other."""
    sizes = [parameter.numel() for parameter in parameters]
    parts = torch.split_with_sizes(vector, sizes)
    views = []
    for part, parameter in zip(parts, parameters, strict=True):
        views.append(part.view(parameter.shape))
    return views


class Gathered:
    """Small tensors of one dtype, copied into one vector for a step, and back."""

    def __init__(
        self, optimizer: Planned, vector: list[Alike], scratch: Tensor
    ) -> None:
        self._parameters = [p for one in vector for p in one.parameters]
        self._is_sharded = any(map(is_sharded, self._parameters))
        length = sum(map(_length, vector))
        inside = scratch[0, :length]
        self._grad = grad = scratch[1, :length]
        if self._parameters[0].dtype in masters.LOW_PRECISION:
            inside = torch.empty(length, dtype=self._parameters[0].dtype)
        self._inside = _shaped(inside, locals_of(self._parameters))
        self._grads = _shaped(grad, locals_of(self._parameters))
        self.segments = []
        start = 0
        for one in vector:
            part = slice(start, start + _length(one))
            self.segments.append(
                Segment(optimizer, one, inside[part], grad[part], scratch[2:, part])
            )
            start = part.stop

    def step(self, optimizer: Planned) -> None:
        """Take a step."""
        grads: list[Any] = [parameter.grad for parameter in self._parameters]
        if True in [grad.is_sparse for grad in grads]:
            gradients(optimizer, self._parameters)
        parameters = self._parameters
        if self._is_sharded:
            grads = list(map(placed_as, parameters, grads))
            parameters, grads = locals_of(parameters), locals_of(grads)
        # One call in and one out: each costs half a microsecond per tensor.
        # Whatever their strides and dtypes: the copy adapts both.
        torch._foreach_copy_(self._inside + self._grads, parameters + grads)
        # Before anything has changed: NaN leaves weights and moments as they were.
        norm = math.sqrt(torch.dot(self._grad, self._grad).item())
        if math.isnan(norm):
            raise nan_error()
        for segment in self.segments:
            segment.step(norm)
        torch._foreach_copy_(parameters, self._inside)


class Segment:
    """The part of a vector whose parameters step by one rule, with equal options.

    Args:
        optimizer: The optimiser.
        alike: The parameters.
        inside: Their place in the vector, in their dtype.
        grad: The place of their gradients.
        scratch: Two vectors of that length.
    """

    def __init__(
        self,
        optimizer: Planned,
        alike: Alike,
        inside: Tensor,
        grad: Tensor,
        scratch: Tensor,
    ) -> None:
        self._alike = alike
        self._inside = self._weight = inside
        self._grad = grad
        self._kept: list[tuple[dict[str, Any], str, Tensor]] = []
        if inside.dtype in masters.LOW_PRECISION:
            self._weight = self._adopt(optimizer, "master")
        self._state = [self._adopt(optimizer, name) for name in alike.moments]
        self._steps = None
        if optimizer._counts_steps:
            self._steps = self._adopt_counts(optimizer)
        self._groups, sizes = _sizes_by_group(alike)
        options = optimizer._options(self._groups[0], inside.dtype, alike.taken)
        rule = optimizer._rule(self._groups[0], options)
        self._rule: Callable[..., None] = rule
        self._scratch = None
        fast = forms.FAST[rule].gathered
        if fast is not None:
            self._rule, self._scratch = fast, tuple(scratch)
        self._rates = torch.empty(inside.numel(), dtype=grad.dtype)
        self._rates_by_group = torch.split_with_sizes(self._rates, sizes)
        self._names = list(optimizer.defaults)
        self._structure = [self._groups[0].get(name) for name in _STRUCTURAL]
        self._take_options(optimizer)
        # No component of the momentum is longer; nor are Adam's moments NaN if it is finite.
        self._norm = math.sqrt(sum(moment.dot(moment).item() for moment in self._state))

    def _adopt(self, optimizer: Planned, name: str) -> Tensor:
        """Copy what the state holds under a name into a vector, and put views of it there."""
        vector = torch.zeros_like(self._grad)
        parameters = self._alike.parameters
        views = _shaped(vector, locals_of(parameters))
        for parameter, view in zip(parameters, views, strict=True):
            state = optimizer.state[parameter]
            if name in state:
                view.copy_(local(state[name]))
            elif name == "master":
                view.copy_(local(parameter))
            state[name] = kept = joined(view, parameter)
            self._kept.append((state, name, kept))
        return vector

    def _adopt_counts(self, optimizer: Planned) -> Tensor:
        """Return the numbers of steps taken as a vector, and put views of it into the state."""
        counts = torch.full((len(self._alike.parameters),), float(self._alike.taken))
        for parameter, count in zip(self._alike.parameters, counts, strict=True):
            state = optimizer.state[parameter]
            state["step"] = count
            self._kept.append((state, "step", count))
        return counts

    def _take_options(self, optimizer: Planned) -> None:
        """Take over the options of the rule, with a rate per weight if groups differ in it."""
        dtype = self._inside.dtype
        options = optimizer._options(self._groups[0], dtype, self._alike.taken)
        rates = [float(group["lr"]) for group in self._groups]
        self._top_rate = max(rates)
        if self._steps is not None:
            # It is counted where torch's kernel reads it.
            options = options._replace(step_number=self._steps[0])
        if rates.count(rates[0]) == len(rates):
            self._options = options._replace(lr=rates[0])
            return
        for part, rate in zip(self._rates_by_group, rates, strict=True):
            part.fill_(rate if self._scratch is None else -rate)
        self._options = options._replace(lr=self._rates)

    def takes_over(self, optimizer: Planned) -> bool:
        """Take over options that have changed, unless the parameters are not alike any more."""
        group = self._groups[0]
        # Schedulers cycle the momentum and the betas, too, of all groups alike.
        for name in self._names:
            each = [other.get(name) for other in self._groups]
            if name != "lr" and each.count(each[0]) < len(each):
                return False
        if [group.get(name) for name in _STRUCTURAL] != self._structure:
            return False
        if optimizer._moments(group) != self._alike.moments:
            return False
        self._take_options(optimizer)
        return True

    def holds(self) -> bool:
        """Whether the state is what the segment has put there."""
        for state, name, view in self._kept:
            if state.get(name) is not view:
                return False
        if self._steps is not None:
            taken = self._alike.taken
            return self._steps.tolist().count(taken) == len(self._steps)
        return True

    def step(self, norm: float) -> None:
        """Take a step of what has been copied in.

        Args:
            norm: Length of the gradient, which no component exceeds.
        """
        options = self._options
        if self._weight is not self._inside:
            masters.follow_(self._weight, self._inside)
        if self._steps is not None:
            self._steps.add_(1.0)
            self._alike.taken += 1
        if not self._grad.numel():
            # Of few rows in many processes, some have none.
            pass
        elif self._scratch is None:
            self._rule(self._weight, self._grad, self._state, options)
        else:
            self._rule(
                self._weight,
                self._grad,
                self._state,
                options,
                self._scratch,
                reach=self._top_rate * self._reach(norm),
            )
        # The first step of a momentum is another rule than all that follow.
        if self._steps is None and options.fresh:
            self._alike.taken += 1
            self._options = options._replace(fresh=False)
        if self._weight is not self._inside:
            self._inside.copy_(self._weight)

    def _reach(self, norm: float) -> float:
        """Return what no component of the direction exceeds, with 1 % for rounding."""
        options = self._options
        if self._steps is not None:
            self._norm += norm
            if self._norm < math.inf:
                return adam_reach(options.betas, options.eps)
            return math.inf
        # By the triangle inequality; the sign vector of n weights has the length sqrt(n).
        if options.weight_decay is not None:
            norm += options.weight_decay * math.sqrt(self._grad.numel())
        if self._state:
            if options.fresh:
                self._norm = norm
            else:
                self._norm *= options.momentum
                self._norm += abs(1 - options.dampening) * norm
            norm += self._norm
        return 1.01 * norm


def _sizes_by_group(alike: Alike) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the groups of parameters, each once, and how many elements are of each."""
    groups: list[dict[str, Any]] = []
    sizes: list[int] = []
    for parameter, group in zip(alike.parameters, alike.groups, strict=True):
        if not groups or groups[-1] is not group:
            groups.append(group)
            sizes.append(0)
        sizes[-1] += local(parameter).numel()
    return groups, sizes
