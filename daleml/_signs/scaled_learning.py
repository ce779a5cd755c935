r"""Factors on what each synapse learns, applied to the whole update of an optimiser.

.. math:: w \leftarrow w_0 + f \odot (w_1 - w_0), \qquad \text{or } w_0 \odot (w_1 / w_0)^f

from the weight :math:`w_0` before a step to :math:`w_1` after it; the second for an optimiser that
multiplies weights. Scaled gradients would be nothing under Adam, which divides them back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from daleml._signs import facts, parameter_lookup
from daleml._support.sharded_tensors import local, local_part

_COPIES: Any = WeakTensorKeyDictionary()
"""By factors, a copy of them on the device and in the dtype of the weight that they belong to."""


class Before(NamedTuple):
    """One weight as it was before a step.

    Attributes:
        weight: The parameter.
        values: What it was: of a sharded weight, the part that this process holds.
        factors: The factor on what each synapse of that learns.
    """

    weight: Tensor
    values: Tensor
    factors: Tensor


def scaled_weights(model: nn.Module) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield the name of every parameter whose synapses learn by factors, it, and the factors.

    Raises:
        ValueError: If it is computed by a parametrisation, whose originals have no synapses.
    """
    for path, module in model.named_modules():
        for own, factors in facts.learning(module).items():
            actual, weight = parameter_lookup.resolve(module, own)
            name = f"{path}.{actual}" if path else actual
            if not isinstance(weight, nn.Parameter):
                raise ValueError(
                    f"`{name}` must be a parameter for its synapses to learn by factors; it"
                    " is computed by a parametrisation."
                )
            yield name, weight, factors


def remembered(model: nn.Module, trained: Collection[int]) -> list[Before]:
    """Return the weights that learn by factors as they are, of those that are trained.

    Args:
        model: The model.
        trained: The identities of the parameters that a step may change.
    """
    found = []
    for _, weight, factors in scaled_weights(model):
        if id(weight) in trained:
            factors = _beside(weight, local_part(factors, weight))
            found.append(Before(weight, local(weight.detach()).clone(), factors))
    return found


def _beside(weight: Tensor, factors: Tensor) -> Tensor:
    """Return factors where a weight is, copied once: a copy at every step would wait for it."""
    device, dtype = weight.device, _precise(weight.dtype)
    if factors.device == device and factors.dtype == dtype:
        return factors
    key = device, dtype, factors._version
    if factors not in _COPIES or key not in _COPIES[factors]:
        _COPIES[factors] = {key: factors.to(device=device, dtype=dtype)}
    copy: Tensor = _COPIES[factors][key]
    return copy


@torch.no_grad()
def scale_(one: Before, *, multiplied: bool) -> None:
    """Scale what a step has changed of one weight, in place.

    Args:
        one: The weight as it was before the step.
        multiplied: Whether the optimiser multiplies weights.
    """
    values, factors = one.values, one.factors
    weight = local(one.weight)
    before, after = values.to(factors), weight.to(factors)
    scaled = torch.lerp(before, after, factors)
    if multiplied:
        ratio = after / before
        # A weight of zero stays zero, and one that was not must not become so.
        powered = before * ratio**factors
        usable = (ratio > 0) & powered.isfinite() & (powered != 0)
        scaled = torch.where(usable, powered, scaled)
    # Exactly, whatever rounding would make of it, and of a step to infinity.
    scaled = torch.where(factors == 0, before, scaled)
    weight.copy_(torch.where(factors == 1, after, scaled))


def _precise(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
