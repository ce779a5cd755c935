"""Projection of a sharded weight: each process projects the part that it holds.

Nothing is sent, since each synapse is lawful or not by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from daleml._support.sharded_tensors import local, local_part
from daleml.law import FixedStrengths


class ShardedWeight(NamedTuple):
    """A sharded weight, and what its shard here is projected onto.

    Attributes:
        weight: The whole parameter, a DTensor.
        low: The least lawful value of each synapse of the shard, to broadcast.
        high: The greatest.
        absent: Which synapses of the shard do not exist; None if all do.
        fixed: Which do not learn, and their strengths; None if all do.
    """

    weight: Tensor
    low: Tensor
    high: Tensor
    absent: Tensor | None
    fixed: FixedStrengths | None

    def project_(self) -> None:
        """Project the shard, in place."""
        shard = local(self.weight)
        shard.clamp_(min=self.low, max=self.high)
        if self.absent is not None:
            shard.masked_fill_(self.absent, 0)
        if self.fixed is not None:
            which, strengths = self.fixed
            shard.copy_(torch.where(which, strengths, shard))

    def is_current(self) -> bool:
        """Whether the weight has the dtype and the device of what was taken from it."""
        shard = local(self.weight)
        return shard.dtype is self.low.dtype and shard.device == self.low.device


def sharded_weight(
    weight: Tensor,
    bounds: tuple[Tensor, Tensor],
    present: Tensor | None,
    fixed: FixedStrengths | None,
) -> ShardedWeight:
    """Return what a projection needs of a sharded weight.

    Args:
        weight: The parameter, a DTensor.
        bounds: The least and the greatest lawful value of each synapse of the whole weight.
        present: Which of its synapses exist; None if all do.
        fixed: Which do not learn, and their strengths; None if all do.
    """
    low, high = (local_part(bound, weight) for bound in bounds)
    absent = None
    if present is not None:
        absent = ~local_part(present, weight)
    if fixed is not None:
        which, strengths = fixed
        own = local_part(strengths, weight).to(weight.dtype)
        fixed = local_part(which, weight), own
    return ShardedWeight(weight, low, high, absent, fixed)
