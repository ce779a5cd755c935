"""A weight of a layer as it multiplies rates: a matrix, or a sparse one."""

from __future__ import annotations

from torch import nn

from daleml import _sparse_weights
from daleml.layers._shared.acting_parameters import acting
from daleml.layers._shared.sparse_product import SparseMatrix, StepMatrix


def step_weight(module: nn.Module, name: str) -> StepMatrix:
    """Return a weight as it acts, masked and with its fixed synapses."""
    values = acting(module, name)
    pattern = _sparse_weights.pattern(module, name)
    return values if pattern is None else SparseMatrix(values, pattern)
