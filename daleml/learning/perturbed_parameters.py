"""The parameters that an evolution strategy perturbs, and the noise of some members."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from daleml import law


def rows_of_noise(noise: Tensor, rows: Tensor) -> Tensor:
    """Return the perturbations of some members; those of the second half are negated."""
    rows = rows.to(noise.device)
    sign = torch.where(rows < len(noise), 1, -1).to(noise.dtype)
    return noise[rows % len(noise)] * sign.view(-1, *[1] * (noise.ndim - 1))


def perturbed_names(model: nn.Module, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the parameters that are perturbed, or raise if one is unknown."""
    known = dict(model.named_parameters())
    if names is None:
        names = [name for name, parameter in known.items() if parameter.requires_grad]
        if not names:
            raise ValueError(
                "`model` must have a parameter that requires a gradient; it has none."
            )
    elif isinstance(names, str) or not names:
        raise ValueError(
            f"`names` must be a sequence of parameters' names; got {names!r}."
        )
    for name in names:
        if name not in known:
            raise ValueError(f"`names` must be among {', '.join(known)}; got {name!r}.")
    return tuple(names)


def present_synapses(model: nn.Module) -> dict[int, Tensor]:
    """Return which synapses exist and learn, by the identity of their parameter."""
    found = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            # `torch.nn.utils.prune` renames the parameter, and not what is known of it.
            plain = name.removesuffix("_orig")
            exists = module._buffers.get(plain + law.PRESENT)
            if parameter is None or exists is None:
                continue
            # A synapse that is fixed does not change what the model does.
            which = module._buffers.get(plain + law.FIXED)
            found[id(parameter)] = exists if which is None else exists * (1 - which)
    return found
