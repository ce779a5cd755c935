"""Models that share the memory of stacked parameters, as those of an ensemble do.

An ensemble is a module with a ``_dale_stack``. An optimiser trains its stacked parameters, (models,
...); signs, masks, roles and corrections are those of the models, whose own parameters are slices
of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


def _stacks(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        stack = vars(module).get("_dale_stack")
        if stack is not None:
            yield stack


def first_slices(model: nn.Module) -> dict[int, Tensor]:
    """Return, by the identity of each stacked parameter, its slice in the first model."""
    found: dict[int, Tensor] = {}
    for stack in _stacks(model):
        found.update(stack.first_of())
    return found


def with_slices(model: nn.Module, trained: set[int]) -> set[int]:
    """Return the identities of parameters that are trained, and of the slices of those."""
    found = set(trained)
    for stack in _stacks(model):
        found |= stack.slices_of(trained)
    return found
