"""SynapseTable: one row per synapse, with what was measured of it, and how it was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from daleml._support.safe_text import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame, Series

# The number of values of a column that an error shows.
_SHOWN = 8

# From here on float64 rounds some whole numbers.
_EXACT = 2**53


@dataclass(frozen=True, eq=False)
class SynapseTable:
    r"""Synapses, one per row, with the sizes measured of them, and what could not be seen.

    A cell without a value was not measured. Where synapses were seen only if their size
    :math:`x` was above a threshold :math:`c`, the sample is of the truncated density

    .. math:: f(x \mid x > c) = \frac{f(x)}{1 - F(c)}, \qquad x > c,

    and ``thresholds`` has that :math:`c` by column: give it to a fit as the lower bound of its
    truncation.

    Args:
        name: What was measured.
        table: The rows; its column names are strings.
        source: Where they come from.
        licence: Terms under which they are shared.
        citation: What to cite.
        units: Unit of each column that has one, by name.
        pre: Name of the column that says which cell, or axon, sends; None if unknown.
        post: Name of the column that says which cell, or dendrite, receives; None if unknown.
        thresholds: By column, the value above which a synapse was seen at all.
        row: What a row is: "synapse", or "connection" where those of one pair of cells were
            summed.

    Raises:
        ValueError: If ``units``, ``pre``, ``post`` or ``thresholds`` name a column that is not
            there; or if ``pre`` or ``post`` hold long ids as floating-point numbers, which have
            rounded them.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"axon": [1, 1, 2], "dendrite": 7, "area": [0.2, 0.3, 0.1]})
        >>> ends = {"pre": "axon", "post": "dendrite"}
        >>> synapses = SynapseTable("three synapses", rows, units={"area": "um2"}, **ends)
        >>> print(synapses)
        three synapses: 3 synapses, 2 connections; area (um2)
        >>> synapses.values("area", axon=1)
        array([0.2, 0.3])
        >>> synapses.per_connection("area").values("area")
        array([0.5, 0.1])
    """

    name: str
    table: DataFrame = field(repr=False)
    source: str = ""
    licence: str = ""
    citation: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    pre: str | None = None
    post: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    row: Literal["synapse", "connection"] = "synapse"

    def __post_init__(self) -> None:
        if self.pre is not None:
            self._require("pre", self.pre)
        if self.post is not None:
            self._require("post", self.post)
        for argument, names in (("units", self.units), ("thresholds", self.thresholds)):
            for column in names:
                self._require(argument, column)
        # pandas makes floats of ids in which one is missing, and rounds those of 18 digits.
        for end in filter(None, (self.pre, self.post)):
            self._require_exact(end)

    def __str__(self) -> str:
        n_rows = len(self.table)
        plural = "" if n_rows == 1 else "s"
        text = f"{self.name}: {n_rows:,} {self.row}{plural}"
        if self.row == "synapse" and self._knows_ends():
            text += f", {self._pairs().ngroups:,} connections"
        measured = []
        for column, unit in self.units.items():
            notes = [unit]
            n = int(self.table[column].notna().sum())
            if n < n_rows:
                notes.append(f"n = {n:,}")
            if column in self.thresholds:
                notes.append(f"seen above {self.thresholds[column]:g}")
            measured.append(f"{column} ({', '.join(notes)})")
        if measured:
            text += f"; {', '.join(measured)}"
        if self.citation:
            text += f"\n{self.citation}"
        return text

    def _knows_ends(self) -> bool:
        """Return whether it is known which cells the synapses connect."""
        return self.pre is not None and self.post is not None

    def select(self, **where: Any) -> SynapseTable:
        """Keep the synapses whose cells have the values asked for.

        Args:
            where: Columns, each with the value its cells must have, or a list, tuple or set of
                such values.

        Returns:
            A table of those rows; everything else as it is.

        Raises:
            ValueError: If there is no such column, or none of its cells has a value asked for.
        """
        kept = self.table
        for column, wanted in where.items():
            self._require("where", column)
            cells = self.table[column]
            several = [wanted]
            if isinstance(wanted, (list, tuple, set, frozenset)):
                several = list(wanted)
            for value in several:
                # A misspelt value would select nothing, without a word.
                if not cells.eq(value).fillna(False).any():
                    raise ValueError(
                        f"`{column}` must be one of {_listed(cells)}; got {value!r}."
                    )
            kept = kept[cells.loc[kept.index].isin(several)]
        return dataclasses.replace(self, table=kept.copy())

    def values(self, column: str, **where: Any) -> NDArray[np.float64]:
        """Return the values measured in one column.

        A cell without a value is no synapse of size 0, and is left out.

        Args:
            column: Its name.
            where: As for :meth:`select`: only synapses with these values in these columns.

        Returns:
            A new one-dimensional float64 array, in the order of the rows.

        Raises:
            ValueError: If there is no such column, it holds no numbers, or no cell has a value
                asked for.
        """
        chosen = self.select(**where)
        return chosen._numbers(column).dropna().to_numpy(dtype="float64", copy=True)

    def per_connection(self, column: str) -> SynapseTable:
        """Add a column up over the synapses of each connection: a pair of a sender and a receiver.

        A sum is of all its synapses or of none: where one of them was not measured, neither was
        the connection. A threshold is kept: what a synapse must exceed, a sum of them must.

        Args:
            column: Name of the column to add up.

        Returns:
            A table with one row per connection, in the order of first appearance: the two columns
            of its ends, ``n_synapses``, and ``column``.

        Raises:
            ValueError: If the rows are connections already, it is unknown which cells they
                connect, there is no such column, or it holds no numbers.

        Notes:
            A synapse of which an end is missing belongs to no known connection, and is left out.
        """
        if self.row != "synapse":
            raise ValueError(
                "`per_connection` must be asked of single synapses; got a table of"
                " connections."
            )
        if not self._knows_ends():
            raise ValueError(
                f"`per_connection` must know the columns `pre` and `post`; got {self.pre},"
                f" {self.post}."
            )
        sizes = self._numbers(column)
        if column in (self.pre, self.post):
            raise ValueError(
                "`column` must be a measured one, not an end of the connection; got"
                f" {column!r}."
            )
        # pandas leaves a synapse without one of its ends out of every group.
        ends = [self.table[self.pre], self.table[self.post]]
        grouped = sizes.groupby(ends, sort=False)
        count, measured = grouped.size(), grouped.count()
        table = count.index.to_frame(index=False)
        table["n_synapses"] = count.to_numpy()
        # A sum is of all synapses of a connection or of none.
        sums = grouped.sum().astype("float64").where(measured == count)
        table[column] = sums.to_numpy()
        return dataclasses.replace(
            self,
            name=f"{self.name}, {column} summed per connection",
            table=table,
            units=_only(column, self.units),
            thresholds=_only(column, self.thresholds),
            row="connection",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return where the table comes from and what was measured, as JSON can hold it.

        Returns:
            ``name``, ``source``, ``licence``, ``citation``, ``row``, ``n_rows``, ``pre``,
            ``post``, ``n_connections`` (None where the ends are unknown), and ``columns``: for
            each, its ``unit`` and ``threshold`` (None where there is none), and ``n``, the
            number of cells with a value.
        """
        columns = {}
        for column in self.table.columns:
            columns[column] = {
                "unit": self.units.get(column),
                "threshold": self.thresholds.get(column),
                "n": int(self.table[column].notna().sum()),
            }
        n_connections = self._pairs().ngroups if self._knows_ends() else None
        return {
            "name": self.name,
            "source": self.source,
            "licence": self.licence,
            "citation": self.citation,
            "row": self.row,
            "n_rows": len(self.table),
            "pre": self.pre,
            "post": self.post,
            "n_connections": n_connections,
            "columns": columns,
        }

    def _pairs(self) -> Any:
        return self.table.groupby([self.pre, self.post], sort=False)

    def _numbers(self, column: str) -> Series[Any]:
        from pandas.api.types import is_bool_dtype, is_numeric_dtype

        self._require("column", column)
        cells = self.table[column]
        if len(cells) and (not is_numeric_dtype(cells) or is_bool_dtype(cells)):
            import pandas as pd

            # The first cell that is no number, if there is one, is what the error shows.
            lost = cells[cells.notna() & pd.to_numeric(cells, errors="coerce").isna()]
            wrong = cells.iloc[0] if lost.empty else lost.iloc[0]
            raise ValueError(
                f"`column` must hold numbers; got {column!r}, with values such as"
                f" {wrong!r}."
            )
        return cells

    def _require_exact(self, end: str) -> None:
        """Refuse ids that are rounded already.

        pandas rounds a column of ids in which one is missing.
        """
        from pandas.api.types import is_float_dtype

        cells = self.table[end]
        if is_float_dtype(cells) and bool((cells.abs() >= _EXACT).any()):
            raise ValueError(
                f"`{end}` must hold exact ids; got {cells.dtype}, which rounds them: read"
                " them as text or as Int64."
            )

    def _require(self, argument: str, column: str) -> None:
        if column not in self.table.columns:
            columns = ", ".join(map(printable, self.table.columns))
            raise ValueError(
                f"`{argument}` must name a column of {columns}; got {column!r}."
            )


def _listed(cells: Series[Any]) -> str:
    """Name the values of a column, a few of them if there are many."""
    distinct = cells.dropna().unique().tolist()
    shown = ", ".join(map(repr, distinct[:_SHOWN]))
    if len(distinct) > _SHOWN:
        shown += f" and {len(distinct) - _SHOWN:,} more"
    return shown


def _only(column: str, by_column: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of one column, if there is one."""
    return {column: by_column[column]} if column in by_column else {}
