"""Reading and writing of a layer's parameters, through masks, pruning and parametrisations.

Signs and a mask may have been fixed on a layer after it was built, or come with a checkpoint:
what is written keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod

from daleml import _sparse_weights, law
from daleml._signs import facts
from daleml.layers import functional


def acting(module: nn.Module, name: str) -> Tensor:
    """Return a parameter as it acts.

    It is zero, and without a gradient, where there is no synapse, and has its strength, without a
    gradient, where a synapse is fixed.
    """
    # Much faster than `getattr`, which is for weights that are computed.
    weight: Tensor | None = module._parameters.get(name)
    if weight is None:
        weight = getattr(module, name)
    buffers = module._buffers
    present = buffers.get(name + law.PRESENT)
    # Where something is fixed there is a mask: so that no other weight is asked about it.
    if present is None:
        return weight
    which = buffers.get(name + law.FIXED)
    if which is None:
        return weight * present
    strengths = buffers[name + law.STRENGTHS]
    assert strengths is not None  # both are written together
    pruned = buffers.get(f"{name}_mask")
    if pruned is not None:
        strengths = strengths * pruned
    return torch.where(which.bool(), strengths.to(weight.dtype), weight * present)


def acting_or_none(module: nn.Module, name: str) -> Tensor | None:
    """Return a parameter as it acts; None if the module has none of that name."""
    if module._parameters.get(name) is None and getattr(module, name, None) is None:
        return None
    return acting(module, name)


def composed(module: nn.Module, matrices: Sequence[str], path: str) -> Tensor:
    """Return what multiplies the presynaptic units of a path.

    That is the path's matrix, or a DANN's three, composed.

    Args:
        module: The layer.
        matrices: The names of the matrices, without the path.
        path: The end of those names, such as ``hh_l0``.
    """
    # In this order a DANN's are excitation, and both steps of inhibition.
    acting_ones = [acting(module, f"{matrix}_{path}") for matrix in matrices]
    if len(acting_ones) == 1:
        return acting_ones[0]
    return functional.dann_effective_weight(*acting_ones)


def unit_signs(module: nn.Module, name: str, otherwise: Tensor) -> Tensor:
    """Return the sign of each presynaptic unit as it is fixed, 0 for one that has none.

    That is ``otherwise`` where it has no values.
    """
    stored = module._buffers.get(name + law.SUFFIX)
    if stored is None or stored.is_meta:
        return otherwise
    pattern = _sparse_weights.pattern(module, name)
    if pattern is not None:
        # The signs of synapses, each that of its sender; who sends nothing keeps its own.
        # Those it has come from the CPU, whatever the module's device is.
        otherwise = otherwise.to(stored.device)
        each = law.as_factors(stored).to(otherwise.dtype)
        return otherwise.index_copy(0, pattern.pre.long(), each)
    if stored.numel() != otherwise.numel():
        return otherwise
    return law.as_factors(stored).flatten()


def present(module: nn.Module, name: str) -> Tensor | None:
    """Return which synapses of a parameter exist, boolean; None if all do, or without values."""
    stored = module._buffers.get(name + law.PRESENT)
    if stored is None or stored.is_meta:
        return None
    return stored.bool()


# -- what is written


def require_scalable(module: nn.Module, name: str) -> None:
    """Raise if synapses of a parameter are fixed at strengths that were given.

    Raises:
        ValueError: If so.
    """
    if not is_scalable(module, name):
        raise ValueError(
            f"`{name}` must have no synapse fixed at a given strength to be scaled; got"
            " some: scale it before `signs.fix` fixes them."
        )


def is_scalable(module: nn.Module, name: str) -> bool:
    """Whether no synapse of a parameter is fixed at a strength that was given."""
    kept = facts.record(module, name)
    return kept is None or kept.fixed is None or kept.fixed.drawn


@contextmanager
def rewritten(module: nn.Module, name: str) -> Iterator[Tensor]:
    """Yield the values of a parameter to change in place; afterwards they are lawful and kept.

    Raises:
        ValueError: If it is computed from others by a parametrisation that cannot be assigned to.
    """
    with torch.no_grad():
        for candidate in (name, f"{name}_orig"):
            # Pruning keeps what is learned under another name.
            stored = module._parameters.get(candidate)
            if stored is not None:
                yield stored
                _keep_law_(module, name, stored)
                _prune_again(module, name)
                return
        if not parametrize.is_parametrized(module, name):
            raise ValueError(
                f"`{name}` must be a parameter of {type(module).__name__} to be written; it"
                " is none."
            )
        values = getattr(module, name).detach().clone()
        yield values
        _keep_law_(module, name, values)
        try:
            setattr(module, name, values)
        except (NotImplementedError, AttributeError, RuntimeError, TypeError):
            # Each kind of parametrisation has its own way to say that it has no inverse.
            kinds = ", ".join(
                type(one).__name__
                for one in module.get_submodule(f"parametrizations.{name}").children()
            )
            raise ValueError(
                f"`{name}` must be a parameter, or parametrised by what can be assigned to;"
                f" got {kinds}: remove it first, and register it again."
            ) from None
        _require_lawful(module, name)


@contextmanager
def rewritten_or_none(module: nn.Module, name: str) -> Iterator[Tensor | None]:
    """Yield what :func:`rewritten` does; None if the module has no parameter of that name."""
    if getattr(module, name, None) is None:
        yield None
        return
    with rewritten(module, name) as values:
        yield values


def _keep_law_(module: nn.Module, name: str, weight: Tensor) -> None:
    """Move what was written onto the signs that are fixed, and put absent synapses at zero."""
    stored = module._buffers.get(name + law.SUFFIX)
    if stored is None or stored.is_meta or weight.is_meta:
        return
    sign = law.broadcastable(stored, weight).to(weight.dtype)
    # The nearest lawful weight: what has the wrong sign becomes zero.
    lawful = (weight * sign).clamp(min=0) * sign
    if bool((sign == 0).any()):
        lawful = torch.where(sign == 0, weight, lawful)
    weight.copy_(lawful)
    exists = present(module, name)
    if exists is not None:
        weight.masked_fill_(~exists, 0)
    facts.settle_fixed_(module, name, weight)


def _require_lawful(module: nn.Module, name: str) -> None:
    """Raise if a parametrisation makes lawless weights of lawful values, as `orthogonal` does."""
    computed = getattr(module, name).detach()
    lawful = computed.clone()
    _keep_law_(module, name, lawful)
    if not torch.equal(computed, lawful):
        raise ValueError(
            f"`{name}` must keep its signs through its parametrisation to be written; got"
            " one that breaks Dale's law."
        )


def _prune_again(module: nn.Module, name: str) -> None:
    """Compute a pruned parameter from what was written, as the next forward pass would."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            setattr(module, name, hook.apply_mask(module))  # type: ignore[no-untyped-call]
