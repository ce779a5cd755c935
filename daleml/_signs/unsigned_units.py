"""Units without a sign beside others, and the signs of weights that have none at all."""

from __future__ import annotations

import torch
from torch import Tensor

from daleml import law
from daleml._sparse_weights import Pattern
from daleml.law import JudgedWeight, Unjudged


def without_sign(
    name: str,
    weight: Tensor,
    stored: Tensor,
    present: Tensor | None,
    pattern: Pattern | None,
) -> Unjudged:
    """Return the part of a weight, or all of it, whose units have no sign."""
    if pattern is not None:
        return _of_sparse(name, stored, present, pattern)
    exists = torch.ones_like(weight, dtype=torch.bool) if present is None else present
    counts, unit_signs = law.by_unit(exists, stored)
    free = unit_signs == 0
    n_synapses = int(counts[free].sum())
    if bool(free.all()):
        return Unjudged(name, n_synapses)
    return Unjudged(name, n_synapses, int(free.sum()))


def _of_sparse(
    name: str, stored: Tensor, present: Tensor | None, pattern: Pattern
) -> Unjudged:
    """Return the part of a sparse weight, or all of it, whose units have no sign."""
    unsigned = stored == law.UNSIGNED
    counted = unsigned if present is None else unsigned & present
    n_synapses = int(counted.sum())
    if bool(unsigned.all()):
        return Unjudged(name, n_synapses)
    return Unjudged(name, n_synapses, len(torch.unique(pattern.pre[unsigned])))


def majority(key: str, weight: Tensor, pattern: Pattern) -> JudgedWeight:
    """Return a sparse weight, and for each unit the sign of most of its synapses."""
    pre, kinds = pattern.pre.long().cpu(), weight.sign().float().cpu()
    excess = torch.zeros(pattern.shape[1], device="cpu").index_add(0, pre, kinds)
    of_units = torch.where(excess >= 0, 1, -1)
    return key, weight, of_units[pre], None, None, pattern
