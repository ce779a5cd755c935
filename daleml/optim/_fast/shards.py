"""Sharded tensors of a list: each process steps the part that it holds.

A rule acts weight by weight, so nothing is sent. Only a potential of yours may look at a whole
tensor: then weight, gradient and moments are gathered, and each process keeps its part of the
result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from daleml._support.sharded_tensors import (
    is_sharded,
    local,
    local_part,
    placed_as,
    whole,
)
from daleml.optim._fast import forms
from daleml.optim._fast.guarded_exp import Headroom


class Shards:
    """The parts that this process holds of the tensors that step as a list.

    Args:
        weights: The weights, some of them sharded.
        states: A list for each of the rule's moments.
    """

    def __init__(
        self, weights: Sequence[Tensor], states: Sequence[Sequence[Tensor]]
    ) -> None:
        self._columns = [weights, *states]
        self._parts = [[local(one) for one in column] for column in self._columns]

    def step(
        self,
        rule: forms.Rule,
        group: dict[str, Any],
        grads: Sequence[Tensor],
        options: Any,
        headroom: Headroom,
    ) -> None:
        """Take a step, of the parts or of the whole tensors.

        Args:
            rule: The rule, of one tensor.
            group: The parameter group.
            grads: The gradients, sharded or not as their weights are.
            options: The rule's.
            headroom: What the optimiser knows of it.
        """
        weights = self._columns[0]
        placed = [
            placed_as(one, grad) for one, grad in zip(weights, grads, strict=True)
        ]
        if not forms.is_elementwise(group):
            self._step_whole(rule, group, placed, options, headroom)
            return
        parts, *states = self._current()
        # Where there are fewer rows than processes, some hold nothing.
        held = [i for i, part in enumerate(parts) if part.numel()]
        if not held:
            return
        lists = (
            [parts[i] for i in held],
            [local(placed[i]) for i in held],
            [[column[i] for i in held] for column in states],
        )
        forms.step_lists(rule, group, lists, options, headroom)

    def _step_whole(
        self,
        rule: forms.Rule,
        group: dict[str, Any],
        grads: Sequence[Tensor],
        options: Any,
        headroom: Headroom,
    ) -> None:
        columns = [[whole(one) for one in column] for column in self._columns]
        gathered = [whole(grad) for grad in grads]
        lists = columns[0], gathered, columns[1:]
        forms.step_lists(rule, group, lists, options, headroom)
        for held, stepped in zip(self._columns, columns, strict=True):
            for one, values in zip(held, stepped, strict=True):
                if is_sharded(one):
                    local(one).copy_(local_part(values, one))

    def _current(self) -> Iterator[list[Tensor]]:
        """Yield the parts, which ``fully_shard`` replaces when a model is moved or loaded.

        The same objects as long as they are the same memory: headroom is known of an object.
        """
        for column, parts in zip(self._columns, self._parts, strict=True):
            for i, one in enumerate(column):
                now = local(one)
                if now.data_ptr() != parts[i].data_ptr() or now.shape != parts[i].shape:
                    parts[i] = now
            yield parts
