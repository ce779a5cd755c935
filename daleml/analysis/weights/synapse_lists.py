"""The synapses of a model as a table, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.weights import pathways
from daleml.analysis.weights.stored_matrices import WeightMatrix, weight_matrices
from daleml.populations import Populations

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from daleml.modules import SynapticWeight

Positions: TypeAlias = NDArray[np.intp]
"""Indices of units, or of rows of a matrix."""


def weight_table(weights: nn.Module) -> pd.DataFrame:
    """List the synapses of a model, one row each, with the populations of both units.

    Args:
        weights: A module. Synapses that do not exist, see ``signs.fix``, have no row.

    Returns:
        A table with the columns ``parameter``, ``pre`` and ``post``, the populations' names,
        ``pathway``, ``pre_unit`` and ``post_unit``, their indices, and ``weight``, signed. A
        name is empty where a layer does not say it. A kernel has a row for each tap, whose
        units are channels.

    Raises:
        TypeError: If ``weights`` are no module.
        ValueError: If no layer names its populations.

    Example:
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> rnn = EIRNN(2, Populations.of(exc={"E": 8}, inh={"PV": 1, "SST": 1}))
        >>> table = weight_table(rnn)
        >>> recurrent = table[table["parameter"] == "weight_hh_l0"]
        >>> recurrent.groupby("pathway")["weight"].count()["E->PV"]
        np.int64(8)
    """
    import pandas as pd

    pathways.require_module(weights, None)
    known = pathways.known_by_name(weights)
    pathways.require_populations(one for _, one in known.values())
    columns = []
    for matrix in weight_matrices(weights):
        module, one = known.get(matrix.name, (None, None))
        # Without signs, a kernel has the shape that torch gives it, and no populations.
        if matrix.pattern is not None:
            columns.append(_rows(matrix, one, _Channels(matrix.shape[0])))
        elif matrix.values.ndim == 2:
            channels = _channels(len(matrix.values), module, one)
            columns.append(_rows(matrix, one, channels))
    return pd.concat(columns, ignore_index=True)


class _Channels(NamedTuple):
    """How the rows of a matrix follow from the outputs of a layer: a row for each tap."""

    n_rows: int
    n_taps: int = 1
    groups: int = 1

    @property
    def n_post(self) -> int:
        """Number of outputs of all groups."""
        return self.groups * self.n_rows // self.n_taps

    def post_unit(self, row: Positions, pre_unit: Positions, n_pre: int) -> Positions:
        """Return the output that a row belongs to."""
        n_post_of_group = self.n_rows // self.n_taps
        # The rows of a group are its own outputs alone.
        group = pre_unit // (n_pre // self.groups)
        found: Positions = group * n_post_of_group + row // self.n_taps
        return found


def _channels(
    n_rows: int, module: nn.Module | None, one: SynapticWeight | None
) -> _Channels:
    if module is None or one is None:
        return _Channels(n_rows)
    n_taps = getattr(module, one.name)[0, 0].numel()
    groups = getattr(module, "groups", 1)
    return _Channels(n_rows, n_taps, groups)


def labelled(model: Any, by: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return every synapse of a model's layers, and the parameter and block that it lies in."""
    pathways.require_way(by)
    table = weight_table(model)
    block = table["pre"]
    # A read-out does not say what its outputs are: its synapses go by the presynaptic side.
    if by == "pathway":
        block = table["pathway"].where(table["pathway"] != "", block)
    group = (table["parameter"] + " " + block).where(block != "", "")
    return table["weight"].to_numpy(), group.to_numpy()


def _rows(
    matrix: WeightMatrix, one: SynapticWeight | None, channels: _Channels
) -> pd.DataFrame:
    import pandas as pd

    values = matrix.values
    # As `weight_samples` does: a synapse of strength 0 counts, one that does not exist does not.
    exists = np.ones(values.shape, dtype=bool)
    if matrix.present is not None:
        exists = matrix.present
    n_pre = matrix.shape[1]
    if matrix.pattern is None:
        row, pre_unit = np.nonzero(exists)
    else:
        ends = matrix.pattern.post, matrix.pattern.pre
        row, pre_unit = (each.long().numpy()[exists] for each in ends)
    post_unit = channels.post_unit(row, pre_unit, n_pre)
    pre = _names(None if one is None else one.pre, n_pre)[pre_unit]
    post = _names(None if one is None else one.post, channels.n_post)[post_unit]
    pathway = [f"{a}->{b}" if a and b else "" for a, b in zip(pre, post, strict=True)]
    return pd.DataFrame(
        {
            "parameter": matrix.name,
            "pre": pre,
            "post": post,
            "pathway": pathway,
            "pre_unit": pre_unit,
            "post_unit": post_unit,
            "weight": values[exists],
        }
    )


def _names(populations: Populations | None, n_units: int) -> NDArray[Any]:
    """Return the name of each unit's population; empty ones if nobody knows."""
    if populations is None or populations.size != n_units:
        return np.full(n_units, "", dtype=object)
    names = populations.per_unit("names", {name: name for name in populations})
    return np.array(names, dtype=object)
