"""Tensors of which each process holds a shard: torch's ``DTensor``, as ``fully_shard`` makes them.

A rule that acts weight by weight acts on the shard of its own process (:func:`local`), with the
part of every mask that belongs to it (:func:`local_part`). What needs a whole weight gathers one
at a time (:func:`whole`, :func:`gathered`): all processes must do so together.

Nothing here imports ``torch.distributed`` before somebody has sharded a tensor.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn


def is_sharded(tensor: object) -> bool:
    """Whether a tensor is a DTensor, of which each process holds a part."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process holds: all of one that is not sharded.

    Writes into it are writes into the tensor, and no gradient goes through.
    """
    if not is_sharded(tensor):
        return tensor
    with torch.no_grad():
        return cast("Tensor", cast("Any", tensor).to_local())


def locals_of(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return the parts of several tensors that this process holds."""
    return [local(tensor) for tensor in tensors]


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor, gathered from all processes if it is sharded."""
    if not is_sharded(tensor):
        return tensor
    sharded: Any = tensor.detach()
    device = sharded.device
    # What was moved to the CPU to save memory is gathered where the processes communicate.
    if device.type != sharded.device_mesh.device_type:
        sharded = sharded.to(sharded.device_mesh.device_type)
    return cast("Tensor", sharded.full_tensor().to(device))


def spread(values: Tensor, like: Tensor) -> Tensor:
    """Return a DTensor of values that every process has, sharded as another tensor is.

    Args:
        values: The whole of it, which broadcasts against ``like``; dimensions along which it
            does so are not sharded.
        like: A sharded tensor.
    """
    from torch.distributed.tensor import distribute_tensor

    sharded: Any = like
    placements = [_placement(one, values, like) for one in sharded.placements]
    # Every process splits what it has itself: nothing is sent.
    return distribute_tensor(
        values.detach(), sharded.device_mesh, placements, src_data_rank=None
    )


def local_part(values: Tensor, like: Tensor) -> Tensor:
    """Return the part of values that belongs to the shard of a tensor, of all its dimensions.

    All of the values if the tensor is not sharded.
    """
    if not is_sharded(like):
        return values
    # As many dimensions, so that the parts broadcast as the whole tensors do.
    shape = (1,) * (like.ndim - values.ndim) + tuple(values.shape)
    part = local(spread(values.reshape(shape), like))
    return part.to(local(like).device)


def joined(part: Tensor, like: Tensor) -> Tensor:
    """Return what every process holds a part of as one tensor, sharded as another is.

    The part itself if the other is not sharded.
    """
    if not is_sharded(like):
        return part
    from torch.distributed.tensor import DTensor

    sharded: Any = like
    return DTensor.from_local(
        part,
        sharded.device_mesh,
        sharded.placements,
        run_check=False,
        shape=sharded.shape,
        stride=sharded.stride(),
    )


def placed_as(weight: Tensor, grad: Tensor) -> Tensor:
    """Return a gradient with the placement of its weight."""
    if not is_sharded(weight):
        return grad
    sharded: Any = weight
    placed: Any = grad
    if placed.placements == sharded.placements:
        return grad
    moved: Tensor = placed.redistribute(sharded.device_mesh, sharded.placements)
    return moved


def _placement(placement: Any, values: Tensor, like: Tensor) -> Any:
    """Return where values lie along one dimension of the mesh, if a tensor lies as is said."""
    from torch.distributed.tensor import Replicate

    dim = getattr(placement, "dim", None)
    if dim is None:
        return Replicate()
    own = dim - (like.ndim - values.ndim)
    if own < 0 or values.shape[own] != like.shape[dim]:
        return Replicate()
    if own == dim:
        return placement
    # Sharded along one dimension by two dimensions of the mesh, in strides.
    if hasattr(placement, "split_factor"):
        return type(placement)(own, split_factor=placement.split_factor)
    return type(placement)(own)


def reshard(model: nn.Module) -> None:
    """Let a model hold shards again where a forward pass has left gathered copies of weights.

    ``fully_shard`` leaves those of the outermost module until the backward pass, and a write into
    a copy is lost.
    """
    fsdp: Any = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None or not hasattr(fsdp, "FSDPModule"):
        return
    for module in model.modules():
        if isinstance(module, fsdp.FSDPModule):
            cast("Any", module).reshard()


@contextmanager
def gathered(module: nn.Module) -> Iterator[None]:
    """Let a module and its children have whole weights while the context lasts, to be read."""
    sharded: list[tuple[nn.Module, str, nn.Parameter]] = []
    # Nobody has sharded anything: this is asked for at every step of some rules.
    may_be_sharded = "torch.distributed.tensor" in sys.modules
    for owner in module.modules() if may_be_sharded else ():
        for name, parameter in owner._parameters.items():
            if parameter is not None and is_sharded(parameter):
                sharded.append((owner, name, parameter))
    try:
        for owner, name, parameter in sharded:
            copy = nn.Parameter(whole(parameter), requires_grad=False)
            owner._parameters[name] = copy
        yield
    finally:
        for owner, name, parameter in sharded:
            owner._parameters[name] = parameter
