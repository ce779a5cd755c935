"""What goes into models and comes out of them: side by side, one by one, and what kind it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from daleml.experiments._ensemble.batched_layers import Activity


def stacked_results(results: Sequence[Any]) -> Any:
    """Return what models returned as one, with a first dimension of models in every tensor."""
    leaves, specs = zip(*map(pytree.tree_flatten, results), strict=True)
    stacked = []
    for each in zip(*leaves, strict=True):
        if not isinstance(each[0], Tensor):
            _require_same(each)
        is_tensor = isinstance(each[0], Tensor)
        stacked.append(torch.stack(each) if is_tensor else each[0])
    return pytree.tree_unflatten(stacked, specs[0])


def _require_same(each: Sequence[Any]) -> None:
    """Raise unless what models returned beside tensors is a plain value, the same of all."""
    kind = type(each[0])
    if kind not in (int, float, bool, str, type(None)):
        raise TypeError(
            "models of an ensemble must return tensors, or tuples, lists and mappings of"
            f" them; got {kind.__name__}."
        )
    if any(one != each[0] for one in each):
        raise TypeError(
            "models of an ensemble must return numbers in which they differ as tensors;"
            f" got {each[0]!r} and others."
        )


def kind_of_call(*given: Any) -> tuple[Any, ...]:
    """Return what tells calls apart of which one may run together and another not."""
    return tuple(
        (one.shape, one.dtype) if isinstance(one, Tensor) else type(one)
        for one in pytree.tree_leaves(given)
    )


def unwrapped(
    args: Sequence[Any], kwargs: dict[str, Any], n: int, level: int
) -> Activity | None:
    """Return what a layer is given within a transform as plain tensors.

    None if it is not one tensor, or a tuple of tensors.
    """
    if len(args) != 1 or kwargs:
        return None
    leaves, spec = pytree.tree_flatten(args[0])
    if not all(isinstance(leaf, Tensor) for leaf in leaves):
        return None
    plain = [torch._C._functorch._unwrap_batched(leaf, level) for leaf in leaves]
    shared = all(dim is None for _, dim in plain)
    values = []
    for value, dim in plain:
        if dim is not None:
            value = value.movedim(dim, 0)
        elif not shared:
            # A part that is the same for all, beside others that are not.
            value = value.expand(n, *value.shape)
        values.append(value)
    return Activity(pytree.tree_unflatten(values, spec), shared)
