"""What says the signs of published connections, in the order in which it is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, quoted
from daleml._support.summed_pairs import SummedPairs
from daleml.datasets import neuron_tables
from daleml.datasets.published_layouts import PREDICTIONS
from daleml.reading.edge_tables import EdgeRows
from daleml.reading.given_graphs import signs_of_names
from daleml.reading.large_tables import LargeTable, plain_name, texts

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Decided:
    """How pairs got their signs: the beginning of a sentence, and names without a sign."""

    how: str
    without: Sequence[str] = ()

    def said(self, pairs: SummedPairs) -> str:
        """Say it, with how many pairs have none."""
        n_unknown = int((pairs.sign == 0).sum())
        if not n_unknown:
            return f"{self.how}."
        of = f" ({listed(list(self.without))})" if self.without else ""
        return f"{self.how}; {n_unknown:,} of {len(pairs.sign):,} pairs have none{of}."


class SignSources:
    """What says the signs of connections, in the order in which it is believed."""

    def __init__(
        self, table: LargeTable, rows: EdgeRows, signs: Mapping[str, int]
    ) -> None:
        self.table, self.rows, self.signs = table, rows, signs

    def decide(
        self, neurons: DataFrame, column: str | None
    ) -> tuple[DataFrame, NDArray[np.int8] | None, Decided]:
        """Return the neurons with their transmitters, the rows' signs, and what was decided."""
        rows = self.rows
        # A column of signs was put there on purpose.
        named, neurons = neuron_tables.transmitters(neurons, column)
        if rows.sign is not None:
            how = f"Signs by the column {quoted(rows.found['sign'])}"
            return neurons, rows.sign, Decided(how)
        if named is not None:
            of_cell, decided = self._by_name(
                texts(neurons["transmitter"]), f"of each neuron, {quoted(named)}"
            )
            # A neuron without a row in the table has the place -1: the zero at the end.
            at = neuron_tables.places(neurons, rows.names)
            of_name = np.append(of_cell, np.int8(0))[at]
            return neurons, of_name[rows.pre], decided
        if rows.transmitter is not None:
            where = f"of each row, {quoted(rows.found['transmitter'])}"
            return neurons, *self._by_name(rows.transmitter, where)
        likely = self._likeliest()
        if likely is not None:
            of_name, decided = self._by_name(likely, "likeliest of each sender's rows")
            at = neuron_tables.places(neurons, rows.names)
            inside = at >= 0
            told = np.full(len(neurons), None, dtype=object)
            told[at[inside]] = likely.astype(object).to_numpy()[inside]
            neurons = neurons.assign(transmitter=told)
            return neurons, of_name[rows.pre], decided
        if bool((rows.weight < 0).any()):
            of_weight = np.sign(rows.weight).astype(np.int8)
            return neurons, of_weight, Decided("Signs by those of the weights")
        return neurons, None, Decided("Nothing says signs")

    def _by_name(self, names: Any, where: str) -> tuple[NDArray[np.int8], Decided]:
        """Return the sign of each name, 0 where it has none, and what was decided."""
        there = names.cat.categories.tolist()
        if not self.signs:
            how = f"No signs, since `signs` does not give those of the transmitter {where}"
            return np.zeros(len(names), dtype=np.int8), Decided(how, there)
        known = {name: sign for name, sign in self.signs.items() if name in there}
        # All of one spelling, that of the table, whether or not it is there.
        shown = known
        for spelling in (str.isupper, str.islower):
            if known and all(map(spelling, known)):
                shown = {n: s for n, s in self.signs.items() if spelling(n)}
        rule = ", ".join(f"{name} {sign:+d}" for name, sign in shown.items())
        decided = Decided(
            f"Signs by the transmitter {where}: {rule}",
            [name for name in there if name not in known],
        )
        return signs_of_names(names, self.signs), decided

    def _likeliest(self) -> Any:
        """Return the likeliest transmitter of each name, where rows hold probabilities."""
        import pandas as pd

        columns: dict[str, str] = {}
        for column in self.table.columns:
            transmitter = PREDICTIONS.get(plain_name(column))
            if transmitter is not None:
                columns[transmitter] = column
        if len(columns) < 2:
            return None
        rows, n = self.rows, len(self.rows.names)
        totals = np.zeros((len(columns), n))
        # One column at a time: six of them would be the largest part of the memory.
        for k, column in enumerate(columns.values()):
            values = self.table.read([column])[column].to_numpy(dtype=np.float64)
            if rows.there is not None:
                values = values[rows.there]
            weighted = np.nan_to_num(values) * np.abs(rows.weight)
            totals[k] = np.bincount(rows.pre, weighted, minlength=n)
        codes = np.where(totals.max(axis=0) > 0, totals.argmax(axis=0), -1)
        kind = pd.CategoricalDtype(list(columns))
        return pd.Series(pd.Categorical.from_codes(codes, dtype=kind))
