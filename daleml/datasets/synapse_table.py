"""SynapseTable: one row a synapse, what was measured of it, and how.

And any such table of the user's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from daleml import reading, require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame, Series

_SHOWN = 8
_EXACT = 2**53  # whole numbers beyond it are rounded in float64


@dataclass(frozen=True, eq=False)
class SynapseTable:
    r"""Synapses, one a row, with the sizes measured of them, and what the measurement could not see.

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
        row: What a row is: "synapse", or "connection" where those of one pair of cells were summed.

    Raises:
        ValueError: If ``units``, ``pre``, ``post`` or ``thresholds`` name a column that is not
            there; or if ``pre`` or ``post`` hold long ids as floating-point numbers, which have
            rounded them.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"axon": [1, 1, 2], "dendrite": [7, 7, 7], "area": [0.2, 0.3, 0.1]})
        >>> synapses = SynapseTable("three synapses", rows, units={"area": "um2"}, pre="axon", post="dendrite")
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
        ends = [end for end in (self.pre, self.post) if end is not None]
        for argument, end in (("pre", self.pre), ("post", self.post)):
            if end is not None:
                self._require(argument, end)
        for argument, names in (("units", self.units), ("thresholds", self.thresholds)):
            for column in names:
                self._require(argument, column)
        for end in ends:
            self._require_exact(end)

    def __str__(self) -> str:
        counts = [
            f"{len(self.table):,} {self.row}{'' if len(self.table) == 1 else 's'}"
        ]
        if self.row == "synapse" and self.pre is not None and self.post is not None:
            counts.append(f"{self._pairs().ngroups:,} connections")
        measured = []
        for column, unit in self.units.items():
            n = int(self.table[column].notna().sum())
            notes = [unit] + ([f"n = {n:,}"] if n < len(self.table) else [])
            notes += (
                [f"seen above {self.thresholds[column]:g}"]
                if column in self.thresholds
                else []
            )
            measured.append(f"{column} ({', '.join(notes)})")
        text = f"{self.name}: {', '.join(counts)}" + (
            f"; {', '.join(measured)}" if measured else ""
        )
        return "\n".join([text, self.citation] if self.citation else [text])

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
            several = (
                list(wanted)
                if isinstance(wanted, (list, tuple, set, frozenset))
                else [wanted]
            )
            for value in several:
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
            A table with one row a connection, in the order of first appearance: the two columns
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
        if self.pre is None or self.post is None:
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
        ends = [self.table[self.pre], self.table[self.post]]
        grouped = sizes.groupby(ends, sort=False)
        count, measured = grouped.size(), grouped.count()
        table = count.index.to_frame(index=False)
        table["n_synapses"] = count.to_numpy()
        table[column] = (
            grouped.sum().astype("float64").where(measured == count).to_numpy()
        )
        return dataclasses.replace(
            self,
            name=f"{self.name}, {column} summed per connection",
            table=table,
            units={column: self.units[column]} if column in self.units else {},
            thresholds=(
                {column: self.thresholds[column]} if column in self.thresholds else {}
            ),
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
        known = self.pre is not None and self.post is not None
        return {
            "name": self.name,
            "source": self.source,
            "licence": self.licence,
            "citation": self.citation,
            "row": self.row,
            "n_rows": len(self.table),
            "pre": self.pre,
            "post": self.post,
            "n_connections": self._pairs().ngroups if known else None,
            "columns": {
                column: {
                    "unit": self.units.get(column),
                    "threshold": self.thresholds.get(column),
                    "n": int(self.table[column].notna().sum()),
                }
                for column in self.table.columns
            },
        }

    def _pairs(self) -> Any:
        return self.table.groupby([self.pre, self.post], sort=False)

    def _numbers(self, column: str) -> Series[Any]:
        from pandas.api.types import is_bool_dtype, is_numeric_dtype

        self._require("column", column)
        cells = self.table[column]
        if len(cells) and (not is_numeric_dtype(cells) or is_bool_dtype(cells)):
            import pandas as pd

            lost = cells[cells.notna() & pd.to_numeric(cells, errors="coerce").isna()]
            wrong = cells.iloc[0] if lost.empty else lost.iloc[0]
            raise ValueError(
                f"`column` must hold numbers; got {column!r}, with values such as"
                f" {wrong!r}."
            )
        return cells

    def _require_exact(self, end: str) -> None:
        """Refuse ids that are rounded already, as pandas rounds a column of ids in which one is missing."""
        from pandas.api.types import is_float_dtype

        cells = self.table[end]
        if is_float_dtype(cells) and bool((cells.abs() >= _EXACT).any()):
            raise ValueError(
                f"`{end}` must hold exact ids; got {cells.dtype}, which rounds them: read"
                " them as text or as Int64."
            )

    def _require(self, argument: str, column: str) -> None:
        if column not in self.table.columns:
            columns = ", ".join(map(reading.printable, self.table.columns))
            raise ValueError(
                f"`{argument}` must name a column of {columns}; got {column!r}."
            )


def read_synapses(
    path: str | Path,
    *,
    pre: str | None = None,
    post: str | None = None,
    units: Mapping[str, str] | None = None,
    thresholds: Mapping[str, float] | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    labels: bool | None = None,
    missing: Sequence[str | float] | None = None,
    sheet: str | None = None,
    name: str | None = None,
    source: str = "",
    licence: str = "",
    citation: str = "",
    keep_totals: bool = False,
) -> SynapseTable:
    r"""Read a table of synapses of yours, one a row.

    What the file leaves open is found out, and said in a warning: a separator other than its
    ending says, decimal commas, a unit in the cells, a header of numbers, names of rows.

    Args:
        path: A table of text, ``.csv``, ``.tsv`` or ``.txt``, compressed or not (``.csv.gz``);
            a workbook (``.xlsx``), Parquet or Feather file, for which the extra ``files`` is
            needed; or a file of arrays of one length (``.npz``, ``.mat``, ``.h5``).
        pre: Name of the column that says which cell sends.
        post: Name of the column that says which cell receives.
        units: Unit of each column that has one, by name.
        thresholds: By column, the value above which a synapse was seen at all.
        separator: What stands between two cells; default: found out, a comma in ``.csv``, a
            tabulator in ``.tsv``.
        decimal: The decimal mark, ``"."`` or ``","``; default: found out.
        header: Whether the first row names the columns; default: found out.
        labels: Whether the first column names the rows; default: found out.
        missing: Cells that have no value, beside empty ones and NA, NaN and the like, such as
            -9999.
        sheet: Of a workbook, the sheet to read.
        name: What was measured; default: the file's name.
        source: Where it comes from.
        licence: Terms under which it is shared.
        citation: What to cite.
        keep_totals: Whether last rows that sum up those above, called Total or Mean, are data
            all the same; default: they are left out, which is said.

    Returns:
        A :class:`SynapseTable` of all rows. Blanks around the names of columns are taken off; a
        cell that is empty, or says NA or NaN, has no value. Ids are exact: whole numbers are
        int64, or Int64 where one is missing, and what begins with 0 or is longer is text.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If the library that it needs is not installed.
        ValueError: If it is no such table, or has no column of a name given.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "mine.csv"
        ...     _ = path.write_text("axon, area\n1, 0.2\n2, NA\n")
        ...     synapses = read_synapses(path, units={"area": "um2"})
        >>> print(synapses)
        mine.csv: 2 synapses; area (um2, n = 1)
    """
    file = require.path("path", path)
    if not reading.holds_rows(file):
        kinds = reading.plain_endings((*reading.TABLES, *reading.ARRAYS))
        raise ValueError(
            f"`path` must end in one of {kinds}, or .csv.gz and the like; got"
            f" {reading.printable(file.name)}."
        )
    if not file.exists():
        raise FileNotFoundError(
            f"`path` must be a file of synapses; got {reading.printable(file)}."
        )
    given = None if missing is None else tuple(str(cell) for cell in missing)
    options = reading.TableOptions(
        separator, decimal, header, labels, given, sheet, True, keep_totals
    )
    try:
        read = reading.read_table(file, options, reading.warn)
        for end in (pre, post):
            if end in read.columns:
                reading.to_names(read, end, ids=True)
        table = reading.to_frame(read, ids=(pre, post))
    except ValueError as error:
        sentence = reading.in_keywords(str(error))
        ours = f"`{reading.printable(file)}` must be a table; "
        if sentence.startswith(ours):
            sentence = (
                f"`path` must be a table; got {reading.printable(file.name)}:"
                f" {sentence.removeprefix(ours)}"
            )
        raise ValueError(sentence) from None
    for note in read.notes_of_codes():
        reading.warn(note)
    return SynapseTable(
        name=file.name if name is None else name,
        table=table,
        source=source,
        licence=licence,
        citation=citation,
        units=dict(units or {}),
        pre=pre,
        post=post,
        thresholds=dict(thresholds or {}),
    )


def _listed(cells: Series[Any]) -> str:
    """Name the values of a column, a few of them if there are many."""
    distinct = cells.dropna().unique().tolist()
    shown = ", ".join(repr(value) for value in distinct[:_SHOWN])
    return shown + (
        f" and {len(distinct) - _SHOWN:,} more" if len(distinct) > _SHOWN else ""
    )
