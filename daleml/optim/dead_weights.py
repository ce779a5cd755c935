"""Weights that a multiplicative rule cannot move: zeros, and what lies at the floor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from daleml._support.sharded_tensors import whole
from daleml.optim.finite_steps import bounds


@dataclass(frozen=True)
class Stuck:
    """Counts of the weights that exponentiated gradient can hardly move, or not at all.

    Absent synapses, of sparse connectivity or pruned, are zeros too, and meant to be.

    Attributes:
        n_weights: Number of weights that learn by exponentiated gradient.
        n_zero: Exact zeros: no step moves them.
        n_floor: At the smallest magnitude a living weight may have: the ``floor``, or the
            smallest normal number.
        tensors: The same, ``(n_weights, n_zero, n_floor)``, for each parameter that has any: by
            name where the optimiser was given names, otherwise by its place among the
            parameters.

    Example:
        >>> import torch
        >>> from daleml.optim import EG
        >>> weight = torch.nn.Parameter(torch.tensor([0.0, 1.0, -2.0]))
        >>> print(EG([("weight", weight)], lr=0.1).stuck())
        1 of 3 weights under exponentiated gradient are stuck (33.3%): 1 at zero, 0 at the floor.
          weight: 1 at zero, 0 at the floor, of 3
    """

    n_weights: int
    n_zero: int
    n_floor: int
    tensors: dict[str, tuple[int, int, int]]

    @property
    def share(self) -> float:
        """The fraction of the weights that are stuck."""
        return (self.n_zero + self.n_floor) / max(self.n_weights, 1)

    def __str__(self) -> str:
        lines = [
            f"{self.n_zero + self.n_floor:,} of {self.n_weights:,} weights under"
            f" exponentiated gradient are stuck ({self.share:.1%}): {self.n_zero:,} at"
            f" zero, {self.n_floor:,} at the floor."
        ]
        for name, (n, n_zero, n_floor) in self.tensors.items():
            lines.append(
                f"  {name}: {n_zero:,} at zero, {n_floor:,} at the floor, of {n:,}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        return asdict(self)


@torch.no_grad()
def count_stuck(optimizer: torch.optim.Optimizer) -> Stuck:
    """Count the stuck weights of an optimiser's groups that step by exponentiated gradient."""
    total = zeros = floored = 0
    tensors = {}
    for name, parameter, floor in _multiplicative(optimizer):
        size = whole(parameter).abs()
        n_zero = int((size == 0).sum())
        # Zeros lie below the floor, too.
        n_floor = int((size <= bounds(parameter.dtype, floor)[0]).sum()) - n_zero
        total, zeros, floored = total + size.numel(), zeros + n_zero, floored + n_floor
        if n_zero or n_floor:
            tensors[name] = (size.numel(), n_zero, n_floor)
    return Stuck(total, zeros, floored, tensors)


@torch.no_grad()
def refuse_zeros(optimizer: torch.optim.Optimizer) -> None:
    """Raise if all there is to learn by exponentiated gradient is zero, where it stays."""
    # A meta tensor has no values yet: whoever gives it some is not asked again.
    given = []
    for _, parameter, _ in _multiplicative(optimizer):
        if parameter.numel() and not parameter.is_meta:
            given.append(parameter)
    if given and not any(bool(whole(parameter).any()) for parameter in given):
        raise ValueError(
            f"`params` of {type(optimizer).__name__} must not all be zero, where"
            f" exponentiated gradient leaves them; got {sum(p.numel() for p in given)}"
            " weights of zero."
        )


def _multiplicative(
    optimizer: torch.optim.Optimizer,
) -> Iterator[tuple[str, Tensor, float]]:
    """Yield name, parameter and floor of what steps by exponentiated gradient."""
    place = 0
    for group in optimizer.param_groups:
        names = group.get("param_names")
        places = range(place, place + len(group["params"]))
        place = places.stop
        if group["euclidean"] or not _leaves_zeros(optimizer, group):
            continue
        # Names are there only where the optimiser was given named parameters.
        names = names or list(map(str, places))
        for name, parameter in zip(names, group["params"], strict=True):
            yield name, parameter, group.get("floor", 0.0)


def _leaves_zeros(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> bool:
    """Whether no step of a group moves a zero; asked of its potential, if it has one."""
    potential_of = getattr(optimizer, "potential", None)
    if potential_of is None:
        return True
    # In the shape of a weight, since a potential of the user's may look at the whole of it.
    shapes = [parameter.shape for parameter in group["params"] if parameter.numel()]
    step = torch.ones(shapes[0] if shapes else 1, device="cpu")
    return not bool(potential_of(group).step(torch.zeros_like(step), step).any())
