r"""Synapses that exist and do not learn: which they are, their strengths, and where both are kept.

A layer composes its weight of what learns and of what is fixed,

.. math:: w_{ij} = \begin{cases} c_{ij} & \text{where the synapse is fixed} \\
    \theta_{ij} & \text{elsewhere} \end{cases}

so that no optimiser can change what acts, and the gradient of a fixed synapse is exactly zero. The
parameter shows the strengths too, for whoever reads it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from daleml import law
from daleml._support.sharded_tensors import whole

_CASTS: tuple[tuple[torch.dtype, ...], ...] = (
    (),
    (torch.float16,),
    (torch.bfloat16,),
    (torch.float16, torch.bfloat16),
    (torch.bfloat16, torch.float16),
    (torch.float32,),
)
"""Casts that a module may have gone through, each of which rounds its strengths."""


@dataclass(frozen=True)
class FixedSynapses:
    """Which synapses of one parameter do not learn, in plain bytes.

    Attributes:
        shape: Shape of the parameter.
        asked: Which were asked for, eight synapses per byte; those that exist are fixed.
        strengths: Their strengths, float64, of those that exist; None until they are drawn.
        drawn: Whether the strengths were drawn at random, so that a redraw draws them anew and
            a checkpoint may bring others.
    """

    shape: tuple[int, ...]
    asked: bytes
    strengths: bytes | None = None
    drawn: bool = False

    def which(self, mask: Tensor | None) -> Tensor:
        """Return which synapses are fixed, int8, on the CPU."""
        n_synapses = int(np.prod(self.shape))
        bits = np.unpackbits(
            np.frombuffer(self.asked, dtype=np.uint8), count=n_synapses
        )
        asked = torch.from_numpy(bits.astype(np.int8)).reshape(self.shape)
        return asked if mask is None else asked * mask

    def values(self, mask: Tensor | None) -> Tensor | None:
        """Return the strengths, float64, zero where a synapse is not fixed; None if unknown."""
        if self.strengths is None:
            return None
        known = np.frombuffer(self.strengths, dtype=np.float64).copy()
        filled = torch.zeros(self.shape, dtype=torch.float64, device="cpu")
        return filled.masked_scatter_(self.which(mask) != 0, torch.from_numpy(known))

    def at(self, weight: Tensor, mask: Tensor | None) -> FixedSynapses:
        """Return the same synapses at the strengths that a weight has now."""
        if weight.is_meta:
            return replace(self, strengths=None)
        now = whole(weight.detach()).to("cpu", torch.float64)
        values = now[self.which(mask) != 0]
        return replace(self, strengths=values.numpy().tobytes())

    def released(self) -> FixedSynapses:
        """Return the same synapses without strengths, as before they are drawn."""
        return replace(self, strengths=None, drawn=True)


def of(asked: Tensor) -> FixedSynapses:
    """Return synapses that are to be fixed, without strengths."""
    bits = np.packbits(asked.detach().to("cpu", torch.bool).numpy()).tobytes()
    return FixedSynapses(tuple(asked.shape), bits)


def agree(found: Tensor, expected: Tensor) -> bool:
    """Whether strengths are those expected, but for the rounding of casts and averages."""
    if found.shape != expected.shape:
        return False
    for casts in _CASTS:
        rounded = _through(expected, [*casts, found.dtype])
        if not bool(law.differing(found.to("cpu"), rounded).any()):
            return True
    return False


def _through(values: Tensor, dtypes: Sequence[torch.dtype]) -> Tensor:
    for dtype in dtypes:
        values = values.to(dtype)
    return values
