"""Comparison of facts between the processes that hold one sharded model.

``fully_shard`` sends neither weights nor buffers: what a process draws by itself is its own. Shards
of weights may come from different draws. Signs, masks and fixed strengths may not, since each
process would then compute with another circuit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from daleml._signs import facts
from daleml._support.sharded_tensors import is_sharded


class _HasFacts(NamedTuple):
    """What is asked for of one fixed parameter."""

    name: str
    module: nn.Module
    own: str
    weight: Tensor


def require_one_wiring(fixed: Iterable[Any]) -> None:
    """Raise unless all processes have fixed the same of every sharded weight.

    All processes must call it together. Nothing is sent if no weight is sharded.

    Args:
        fixed: The fixed parameters, with their ``name``, ``module``, ``own`` and ``weight``.

    Raises:
        ValueError: If signs, a mask or fixed strengths differ.
    """
    by_mesh: dict[Any, list[_HasFacts]] = {}
    for one in fixed:
        if is_sharded(one.weight):
            mesh: Any = one.weight.device_mesh
            found = _HasFacts(one.name, one.module, one.own, one.weight)
            by_mesh.setdefault(mesh, []).append(found)
    for mesh, weights in by_mesh.items():
        _compare(mesh, weights)


def _compare(mesh: Any, weights: list[_HasFacts]) -> None:
    from torch.distributed.tensor import DTensor, Shard

    digests = torch.tensor([[_digest(one) for one in weights]], dtype=torch.int64)
    row = digests.to(mesh.device_type)
    # One row per process; a DTensor gathers them whatever the mesh is.
    rows = DTensor.from_local(row, mesh, [Shard(0)] * mesh.ndim, run_check=False)
    differ = (rows.full_tensor() != row).any(dim=0).tolist()
    for one, differs in zip(weights, differ, strict=True):
        if differs:
            raise ValueError(
                f"`{one.name}` must have the same signs, mask and fixed strengths in every"
                " process; they differ, as those do that each process draws by itself: build"
                " the model from one seed in all processes."
            )


def _digest(one: _HasFacts) -> int:
    """Return a number that differs where the facts of a parameter do."""
    digest = hashlib.sha256(one.name.encode())
    record = facts.record(one.module, one.own)
    if record is not None:
        digest.update(record.signs + (record.mask or b""))
    if record is not None and record.fixed is not None:
        digest.update(record.fixed.asked + (record.fixed.strengths or b""))
    # Seven bytes: of eight, half would not be int64.
    return int.from_bytes(digest.digest()[:7], "little")
