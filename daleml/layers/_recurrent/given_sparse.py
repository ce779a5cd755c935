"""A wiring that was given as a matrix of scipy.sparse, read without a matrix of all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daleml._support.synapse_arrays import Synapses, of_sparse
from daleml.layers._recurrent.given_matrix_signs import Columns, given_signs
from daleml.layers._recurrent.given_wiring import GivenWiring
from daleml.populations import Populations


def of_sparse_matrix(
    given: Any,
    *,
    rows: str,
    cell_types: Sequence[str] | None,
    signs: Any,
    drop_minority: bool,
    zeros_exist: bool,
) -> GivenWiring:
    """Read the wiring of a sparse matrix; see ``EIRNN.from_matrix``.

    An entry that is stored and 0 is a synapse where ``zeros_exist``; what is not stored is none.
    """
    synapses = of_sparse(given, rows)
    n_units = synapses.shape[1]
    if synapses.shape[0] != n_units or not n_units:
        raise ValueError(
            "`weights` must be square, a row and a column for each unit; got shape"
            f" {synapses.shape}."
        )
    if not zeros_exist:
        synapses = synapses.kept(synapses.weights != 0)
    # Before the signs, whose sentences name cell types.
    if cell_types is not None and len(cell_types) != n_units:
        raise ValueError(
            f"`names` must hold the cell type of each of {n_units} units; got"
            f" {len(cell_types)}."
        )
    columns = SparseColumns(synapses, cell_types)
    unit_signs = columns.signs(signs, drop_minority)
    lawful = synapses.weights * unit_signs.numpy()[synapses.pre] >= 0
    kept = synapses.kept(lawful)
    populations, order = Populations.from_signs(unit_signs, cell_types)
    n_dropped = len(lawful) - kept.size
    moved = kept.reordered(order.numpy())
    return GivenWiring(populations, order, moved, "weights", n_dropped)


class SparseColumns(Columns):
    """The columns of a sparse matrix ``(post, pre)``, and the sign of each."""

    def __init__(self, synapses: Synapses, cell_types: Sequence[str] | None) -> None:
        self.synapses, self.cell_types, self.labels = synapses, cell_types, None

    def signs(self, given: Any, drop_minority: bool) -> Tensor:
        """Return +1 or -1 for each column, or raise if one has weights of both signs."""
        weights, pre = self.synapses.weights, self.synapses.pre
        n_units = self.synapses.shape[1]
        excites, inhibits = self._counts(pre)
        found = np.sign(excites).astype(float) - np.sign(inhibits)
        # NaN, so that no comparison takes it for a sign.
        found[(excites > 0) & (inhibits > 0)] = np.nan
        if given is not None:
            found = given_signs(given, n_units).numpy()
        elif drop_minority:
            total = np.bincount(pre, weights=weights, minlength=n_units)
            found = np.where(np.isnan(found), np.where(total >= 0, 1.0, -1.0), found)
        opposed = np.isnan(found)
        opposed[pre[weights * found[pre] < 0]] = True
        if opposed.any() and not drop_minority:
            unit = int(opposed.argmax())
            counts = int(excites[unit]), int(inhibits[unit])
            # What keeps the law the other way round was most likely meant that way.
            across = self._counts(self.synapses.post)
            transposed = not bool(np.any((across[0] > 0) & (across[1] > 0)))
            self.refuse(unit, float(found[unit]), counts, transposed=transposed)
        return self.with_silent(torch.from_numpy(found))

    def _counts(self, ends: Any) -> tuple[Any, Any]:
        """Return how many positive and how many negative weights there are of each unit."""
        weights, n_units = self.synapses.weights, self.synapses.shape[1]
        return (
            np.bincount(ends[weights > 0], minlength=n_units),
            np.bincount(ends[weights < 0], minlength=n_units),
        )
