"""The parameter behind a name that signs were fixed under, through pruning and parametrisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from daleml import law
from daleml._support import sharded_tensors


def resolve(module: nn.Module, name: str) -> tuple[str, Tensor]:
    """Find a parameter by the name it was declared under.

    Returns:
        The name it has now, and the parameter; or the tensor that is computed in its place.

    Raises:
        AttributeError: If there is none.
    """
    # torch.nn.utils.prune keeps the parameter as `weight_orig`, and makes `weight` a plain tensor.
    for candidate in (name, f"{name}_orig"):
        parameter = module._parameters.get(candidate)
        if parameter is not None:
            return candidate, parameter
    if parametrize.is_parametrized(module, name):
        with sharded_tensors.gathered(module.get_submodule(f"parametrizations.{name}")):
            return name, getattr(module, name)
    # The older torch.nn.utils.weight_norm computes its weight in a hook before each forward pass.
    for hook in module._forward_pre_hooks.values():
        if getattr(hook, "name", None) == name and hasattr(hook, "compute_weight"):
            return name, hook.compute_weight(module)
    raise AttributeError(
        f"`name` must name a parameter of {type(module).__name__}; got {name!r}."
    )


def trained(module: nn.Module, name: str) -> list[nn.Parameter]:
    """Return what an optimiser trains in order to change a parameter.

    That is the parameter itself, or those that it is computed from.
    """
    _, weight = resolve(module, name)
    if isinstance(weight, nn.Parameter):
        return [weight]
    if parametrize.is_parametrized(module, name):
        return list(module.get_submodule(f"parametrizations.{name}").parameters())
    # The older weight_norm: magnitude and direction.
    parts = (module._parameters.get(f"{name}_{part}") for part in ("g", "v"))
    return [part for part in parts if part is not None]


def require_shape(name: str, weight: Tensor) -> None:
    """Raise if a parameter has no shape yet."""
    if isinstance(weight, UninitializedParameter):
        raise ValueError(
            f"`{name}` must have a shape before its signs are fixed; run the lazy module"
            " once first."
        )


def fits(weight: Tensor, stored: Tensor) -> bool:
    """Whether a sign buffer has one entry for each presynaptic unit of a weight."""
    if sharded_tensors.is_sharded(weight):
        # Its shape is all that is asked for.
        weight = torch.empty(weight.shape, device="meta")
    state = {
        "weight": weight.detach(),
        "weight" + law.SUFFIX: torch.ones_like(stored),
    }
    try:
        law.saved_signs(state, "weight")
    except ValueError:
        return False
    return True


# -- parametrisations that keep facts of their own -------------------------------------------------


def refresh(module: nn.Module, name: str) -> None:
    """Write the facts into the buffers ``signs`` and ``present`` of parametrisations."""
    stored = module._buffers.get(name + law.SUFFIX)
    for inner in copies(module, name):
        if stored is not None:
            unit_signs = law.broadcastable(stored, getattr(module, name))
            inner._buffers["signs"].copy_(unit_signs)  # type: ignore[union-attr]
        for own, suffix in (
            ("present", law.PRESENT),
            ("fixed", law.FIXED),
            ("strengths", law.STRENGTHS),
        ):
            values, copy = module._buffers.get(name + suffix), inner._buffers.get(own)
            if values is not None and copy is not None:
                copy.copy_(values)


def copies(module: nn.Module, name: str) -> list[nn.Module]:
    """Return the parametrisations of a parameter that keep signs of their own."""
    if not parametrize.is_parametrized(module, name):
        return []
    inside = module.get_submodule(f"parametrizations.{name}").children()
    return [inner for inner in inside if inner._buffers.get("signs") is not None]
