"""A wiring that was given as a matrix of weights, in any order of units and either orientation."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daleml import reading, require
from daleml._support.synapse_arrays import ROWS, Synapses, is_sparse
from daleml._support.type_names import alike_but_for_blanks, is_mapping
from daleml.layers._recurrent.given_matrix_signs import Columns
from daleml.layers._recurrent.given_sparse import of_sparse_matrix
from daleml.layers._recurrent.given_wiring import GivenWiring
from daleml.populations import Populations


def of_matrix(
    given: Any,
    *,
    rows: str,
    names: Sequence[str] | Mapping[Hashable, str] | None,
    signs: Any,
    drop_minority: bool,
    zeros_exist: bool,
    variable: str | None,
) -> GivenWiring:
    """Read the wiring of a matrix; see ``EIRNN.from_matrix``."""
    if rows not in ROWS:
        raise ValueError(
            "`rows` must be 'post' if a row holds the synapses onto a unit, or 'pre' if it"
            f" holds those that the unit makes; got {rows!r}."
        )
    require.flag("drop_minority", drop_minority)
    require.flag("zeros_exist", zeros_exist)
    if is_sparse(given) and variable is None:
        # Its units have no names, by which a mapping could go.
        n_units = given.shape[0]
        return of_sparse_matrix(
            given,
            rows=rows,
            cell_types=_cell_types(names, range(n_units)),
            signs=_in_order("signs", signs, range(n_units)),
            drop_minority=drop_minority,
            zeros_exist=zeros_exist,
        )
    weights, labels = _read(given, variable)
    if rows == "pre":
        weights = weights.T
    cell_types = _cell_types(names, labels)
    signs = _in_order("signs", signs, labels)
    # Before the signs, whose sentences name cell types.
    if cell_types is not None and len(cell_types) != len(weights):
        raise ValueError(
            f"`names` must hold the cell type of each of {len(weights)} units; got"
            f" {len(cell_types)}."
        )
    columns = Columns(weights, cell_types, labels)
    unit_signs = columns.signs(signs, drop_minority)
    # What is left of the other sign was to be dropped.
    kept = torch.where(weights * unit_signs >= 0, weights, 0.0)
    populations, order = Populations.from_signs(unit_signs, cell_types)
    kept = kept[order][:, order]
    present = torch.ones_like(kept, dtype=torch.bool) if zeros_exist else kept != 0
    nodes = None if labels is None else tuple(labels[i] for i in order.tolist())
    synapses = _synapses(kept, present, nodes)
    n_dropped = int((weights * unit_signs < 0).sum())
    return GivenWiring(populations, order, synapses, "weights", n_dropped)


def _cell_types(names: Any, labels: Sequence[Hashable] | None) -> list[str] | None:
    """Return the cell type of each unit; None if there are none."""
    if isinstance(names, str):
        raise TypeError(
            f"`names` must hold the cell type of each unit; got the string {names!r}."
        )
    return None if names is None else list(_in_order("names", names, labels))


def _synapses(
    weights: Tensor, present: Tensor, nodes: tuple[Hashable, ...] | None
) -> Synapses:
    # In the order of rows, and of columns within them: sorted as they should be.
    post, pre = present.nonzero(as_tuple=True)
    strengths = weights[present].numpy()
    shape = (len(weights), len(weights))
    return Synapses(post.numpy(), pre.numpy(), strengths, shape, nodes)


def _read(given: Any, variable: str | None) -> tuple[Tensor, Sequence[Hashable] | None]:
    """Return a square matrix, float64 and on the CPU, and the names of its units if it has any."""
    labels: Sequence[Hashable] | None = None
    if isinstance(given, (str, os.PathLike)):
        given, labels = _of_file(Path(given), variable)
    elif variable is not None:
        raise TypeError(
            f"`variable` must be left out unless `weights` is a file; got {variable!r}."
        )
    if hasattr(given, "columns") and hasattr(given, "index"):
        labels = _labels(given)
        given = given.to_numpy()
    # Sparse matrices of a file.
    if hasattr(given, "toarray"):
        given = given.toarray()
    try:
        values = given
        if not isinstance(given, Tensor):
            # A copy, since a file's array may be read-only; in NumPy's own precision.
            values = torch.from_numpy(np.array(given))
        values = values.detach().cpu().to_dense()
        if values.is_complex() or values.dtype == torch.bool:
            raise TypeError
        values = values.double()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            "`weights` must be a matrix of real numbers, or a file of one; got"
            f" {type(given).__name__}."
        ) from None
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not values.numel():
        raise ValueError(
            "`weights` must be square, a row and a column for each unit; got shape"
            f" {tuple(values.shape)}."
        )
    n_wrong = int((~values.isfinite()).sum())
    if n_wrong:
        raise ValueError(
            f"`weights` must be finite; got {n_wrong} NaN or infinite values of"
            f" {values.numel()}."
        )
    return values, labels


def _in_order(argument: str, given: Any, labels: Sequence[Hashable] | None) -> Any:
    """Return values in the order of the units, from a mapping by the names of the units."""
    if not is_mapping(given):
        return given
    values = dict(given.items())
    if labels is None:
        # A column of a table that is numbered as the units are.
        labels = range(len(values))
    missing = [label for label in labels if label not in values]
    if missing:
        raise ValueError(
            f"`{argument}` must have a value for every unit, by its name in `weights`; got"
            f" none for {missing[0]!r}."
        )
    return [values[label] for label in labels]


def _of_file(path: Path, variable: str | None) -> tuple[Any, list[str] | None]:
    """Read the matrix of a file with its names, and pass on what a reader notes of it."""
    notes: list[str] = []
    found, labels = reading.read_labelled_matrix(
        path, variable, notes.append, "variable"
    )
    is_square = len(set(found.shape)) == 1
    for note in notes:
        # As many rows as columns leave no doubt that the first row is one of them.
        if not (is_square and "taken as data" in note):
            reading.warn(note)
    return found, labels


def _labels(table: Any) -> list[Hashable]:
    """Return the names of the units of a labelled matrix, which rows and columns share."""
    labels, columns = list(table.index), list(table.columns)
    if labels != columns:
        raise ValueError(
            "`weights` must name the same units in rows and columns, in one order; got"
            f" {labels[:3]} and {columns[:3]} first."
        )
    if len(set(labels)) < len(labels):
        raise ValueError("`weights` must name each unit once; got names that repeat.")
    alike = alike_but_for_blanks(labels)
    if alike is not None:
        raise ValueError(
            "`weights` must name units by more than blanks; got"
            f" {alike[0]!r} and {alike[1]!r}: strip the names first."
        )
    return labels
