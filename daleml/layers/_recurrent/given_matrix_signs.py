"""The signs of the units of a matrix of weights, which each of its columns must share."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daleml._support import unit_order


class Columns:
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
            found = given_signs(given, len(weights))
        elif drop_minority:
            # A tie excites, as in a graph.
            total = torch.where(weights.sum(0) >= 0, 1.0, -1.0)
            found = torch.where(found.isnan(), total, found)
        opposed = (weights * found < 0).any(0) | found.isnan()
        if opposed.any() and not drop_minority:
            unit = int(opposed.nonzero()[0])
            column = weights[:, unit]
            counts = int((column > 0).sum()), int((column < 0).sum())
            transposed = not bool(_said(weights.T).isnan().any())
            self.refuse(unit, float(found[unit]), counts, transposed=transposed)
        return self.with_silent(found)

    def with_silent(self, found: Tensor) -> Tensor:
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

    def refuse(
        self, unit: int, sign: float, counts: tuple[int, int], *, transposed: bool
    ) -> None:
        """Raise for a unit that has so many positive and so many negative weights.

        Args:
            unit: The unit.
            sign: The sign that it was given; NaN if none was.
            counts: How many of its weights are positive, and how many negative.
            transposed: Whether the transpose keeps the law.
        """
        n_exc, n_inh = counts
        # NaN where nobody gave a sign.
        rule = "give each presynaptic unit one sign"
        if sign == sign:
            rule = "have the signs that `signs` gives"
        hint = ""
        if transposed and sign != sign:
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


def given_signs(given: Any, n_units: int) -> Tensor:
    exc, inh = unit_order.by_sign("signs", given)
    if len(exc) + len(inh) != n_units:
        raise ValueError(
            f"`signs` must hold +1 or -1 for each of {n_units} units; got"
            f" {len(exc) + len(inh)}."
        )
    found = torch.ones(n_units, dtype=torch.float64, device="cpu")
    found[inh] = -1.0
    return found
