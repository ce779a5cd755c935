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
from daleml._support import unit_order
from daleml._support.synapse_arrays import ROWS, Synapses
from daleml._support.type_names import alike_but_for_blanks, is_mapping
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
    weights, labels = _read(given, variable)
    if rows == "pre":
        weights = weights.T
    if isinstance(names, str):
        raise TypeError(
            f"`names` must hold the cell type of each unit; got the string {names!r}."
        )
    cell_types = None
    if names is not None:
        cell_types = list(_in_order("names", names, labels))
    signs = _in_order("signs", signs, labels)
    # Before the signs, whose sentences name cell types.
    if cell_types is not None and len(cell_types) != len(weights):
        raise ValueError(
            f"`names` must hold the cell type of each of {len(weights)} units; got"
            f" {len(cell_types)}."
        )
    columns = _Columns(weights, cell_types, labels)
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
    # Sparse matrices of scipy, and those of torch.
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


class _Columns:
    """The columns of a matrix ``(post, pre)``, and the sign of each."""

    def __init__(
        self,
        weights: Tensor,
        cell_types: Sequence[str] | None,
        labels: Sequence[Hashable] | None,
    ) -> None:
        self.weights, self.cell_types, self.labels = weights, cell_types, labels

    def signs(self, given: Any, drop_minority: bool) -> Tensor:
        """Return +1 or -1 for each column, or raise if one has weights of both signs.

        A column of zeros has the sign of its cell type, else it excites.
        """
        weights = self.weights
        found = _said(weights)
        if given is not None:
            found = _given_signs(given, len(weights))
        elif drop_minority:
            # A tie excites, as in a graph.
            total = torch.where(weights.sum(0) >= 0, 1.0, -1.0)
            found = torch.where(found.isnan(), total, found)
        opposed = (weights * found < 0).any(0) | found.isnan()
        if opposed.any() and not drop_minority:
            self._refuse(int(opposed.nonzero()[0]), found)
        return self._with_silent(found)

    def _with_silent(self, found: Tensor) -> Tensor:
        """Give columns that say nothing the sign of their type, or let them excite."""
        of_type: dict[str | None, float] = {}
        types: Sequence[str | None] = self.cell_types or [None] * len(found)
        for cell_type, sign in zip(types, found.tolist(), strict=True):
            if sign and cell_type is not None:
                of_type.setdefault(cell_type, sign)
        unit_signs = []
        for cell_type, sign in zip(types, found.tolist(), strict=True):
            unit_signs.append(sign or of_type.get(cell_type, 1.0))
        return torch.tensor(unit_signs, dtype=torch.float64, device="cpu")

    def _refuse(self, unit: int, found: Tensor) -> None:
        column = self.weights[:, unit]
        n_exc, n_inh = int((column > 0).sum()), int((column < 0).sum())
        sign = float(found[unit])
        # NaN where nobody gave a sign.
        rule = "give each presynaptic unit one sign"
        if sign == sign:
            rule = "have the signs that `signs` gives"
        hint = ""
        if not _said(self.weights.T).isnan().any() and sign != sign:
            hint = "; its transpose keeps Dale's law, so `rows` may be the other one"
        raise ValueError(
            f"`weights` must {rule}, unless `drop_minority` is True; got"
            f" {self._name(unit)} with {n_exc} positive and {n_inh} negative weights"
            f"{hint}."
        )

    def _name(self, unit: int) -> str:
        name = f"unit {unit}"
        if self.labels is not None:
            name += f", {self.labels[unit]!r},"
        if self.cell_types is not None:
            name += f" of type {self.cell_types[unit]!r}"
        return name


def _said(weights: Tensor) -> Tensor:
    """Return the sign of each column: 0 for one of zeros, NaN for one of both signs."""
    excites, inhibits = (weights > 0).any(0), (weights < 0).any(0)
    found = excites.double() - inhibits.double()
    # NaN, so that no comparison takes it for a sign.
    found[excites & inhibits] = np.nan
    return found


def _given_signs(given: Any, n_units: int) -> Tensor:
    exc, inh = unit_order.by_sign("signs", given)
    if len(exc) + len(inh) != n_units:
        raise ValueError(
            f"`signs` must hold +1 or -1 for each of {n_units} units; got"
            f" {len(exc) + len(inh)}."
        )
    found = torch.ones(n_units, dtype=torch.float64, device="cpu")
    found[inh] = -1.0
    return found
