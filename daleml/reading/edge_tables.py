"""Tables of connections, a row for each pair or each synapse, in columns of indices and numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, quoted
from daleml._support.signed_edges import WEIGHT
from daleml.reading.large_tables import LargeTable, column_named, texts

if TYPE_CHECKING:
    from pandas import DataFrame, Series

ROLES: Mapping[str, tuple[str, ...]] = {
    "pre": (
        *("pre", "preid", "prerootid", "preptrootid", "presynaptic", "presynapticid"),
        *("bodyidpre", "source", "sender", "from"),
    ),
    "post": (
        *("post", "postid", "postrootid", "postptrootid", "postsynaptic"),
        *("postsynapticid", "bodyidpost", "target", "receiver", "to"),
    ),
    "weight": (
        *("weight", "syncount", "synapsecount", "nsyn", "nsynapses", "numsynapses"),
        *("count", "connectivity", "strength"),
    ),
    "sign": ("sign", "excitatory"),
    "transmitter": ("transmitter", "neurotransmitter", "nttype", "nt", "topnt"),
}
"""What columns are called that play each role, in small letters and digits."""

_SIZES = ("size",)
"""A column that holds the strength where none counts synapses."""

_SHORTEST_ID = 10**6
"""From here on ids are long: 0 and -1 beside them stand for no cell."""

LARGEST_EXACT = 2**53
"""Whole numbers beyond it are rounded where they are stored as floats."""


@dataclass(frozen=True, eq=False)
class EdgeRows:
    """Rows of connections.

    Attributes:
        names: Of all cells, in the order in which rows meet them, the sender first.
        pre: Index of each row's sender.
        post: Index of its receiver.
        weight: Its weight, with its sign if it has one.
        sign: +1 or -1 as the row says, 0 where it says nothing; None without such a column.
        transmitter: Its transmitter; None without such a column.
        found: The column of each role.
        n_nobody: Rows that were left out since an end of theirs is no cell.
        there: Which rows of the table these are; None if all.
    """

    names: NDArray[Any]
    pre: NDArray[np.intp]
    post: NDArray[np.intp]
    weight: NDArray[np.float64]
    sign: NDArray[np.int8] | None
    transmitter: Series[Any] | None
    found: Mapping[str, str | None]
    n_nobody: int
    there: NDArray[np.bool_] | None = None


def find_columns(
    table: LargeTable, columns: Mapping[str, str] | None, weight: str | None
) -> dict[str, str | None]:
    """Return which column plays each role.

    Args:
        table: The table.
        columns: Those that the user named.
        weight: The column of weights; "weight" to look for one, None for a weight of 1 each.

    Raises:
        ValueError: If a column is not there, two could be meant, or there is none for an end
            or a weight.
    """
    given = dict(columns or {})
    unknown = [role for role in given if role not in ROLES]
    if unknown:
        raise ValueError(
            f"`columns` must have roles among {listed(list(map(repr, ROLES)))}; got"
            f" {unknown[0]!r}."
        )
    if weight not in (None, WEIGHT):
        given.setdefault("weight", str(weight))
    found: dict[str, str | None] = {}
    for role, names in ROLES.items():
        found[role] = column_named(table, role, names, given.get(role))
    if found["weight"] is None:
        found["weight"] = column_named(table, "weight", _SIZES, None)
    if weight is None:
        found["weight"] = None
    for role in ("pre", "post"):
        if found[role] is None:
            raise ValueError(
                f"`{table.argument}` must have a column for {role!r}, such as"
                f" {ROLES[role][0]} or {ROLES[role][2]}; got"
                f" {listed(list(map(quoted, table.columns)))}: pass"
                f" `columns={{{role!r}: ...}}`, or give a matrix to `EIRNN.from_matrix`."
            )
    if found["weight"] is None and weight is not None:
        raise ValueError(
            f"`{table.argument}` must have a column of weights, such as weight or syn_count;"
            f" got {listed(list(map(quoted, table.columns)))}: pass"
            " `columns={'weight': ...}`, or `weight=None` to count every row as 1."
        )
    return found


def read_rows(
    table: LargeTable,
    found: Mapping[str, str | None],
    where: Mapping[str, Collection[str]] | None = None,
) -> EdgeRows:
    """Read the columns found.

    Args:
        table: The table.
        found: The column of each role; see :func:`find_columns`.
        where: Columns of texts, and which texts a row must have in them.

    Raises:
        ValueError: If an id is missing or was rounded, a weight is no finite number, or a sign
            is none.
    """
    import pandas as pd

    where = where or {}
    named = found["transmitter"]
    categories = [*where] if named is None else [*where, named]
    plain = [name for role, name in found.items() if name and role != "transmitter"]
    frame = table.read([*dict.fromkeys([*plain, *categories])], categories)
    ends = [ids_of(table, frame[found[role]]) for role in ("pre", "post")]
    weight = np.ones(len(frame))
    if found["weight"] is not None:
        weight = _finite(table, frame[found["weight"]])
    sign = None if found["sign"] is None else _signs(table, frame[found["sign"]])
    transmitter = None if named is None else texts(frame[named])
    chosen = _chosen(frame, where)
    # The largest part of the memory, of which the columns above are copies.
    del frame
    nobody = _nobody(ends)
    n_nobody = 0 if nobody is None else int(nobody.sum())
    there = _both(chosen, None if nobody is None else ~nobody)
    if there is not None:
        ends, weight = [end[there] for end in ends], weight[there]
        sign = None if sign is None else sign[there]
        transmitter = None if transmitter is None else transmitter[there]
    # Sender and receiver in turn, so that names stand in the order of a graph built row by row.
    met = np.stack(ends, axis=1).ravel() if len(weight) else np.concatenate(ends)
    del ends
    places, names = pd.factorize(met)
    del met
    pre, post = places[::2], places[1::2]
    columns = (np.asarray(names), pre, post, weight, sign, transmitter)
    return EdgeRows(*columns, found, n_nobody, there)


def _chosen(
    frame: DataFrame, where: Mapping[str, Collection[str]]
) -> NDArray[np.bool_] | None:
    """Return which rows have one of the texts asked for, None if nothing was."""
    chosen = None
    for column, wanted in where.items():
        has: NDArray[np.bool_] = texts(frame[column]).isin(list(wanted)).to_numpy()
        chosen = _both(chosen, has)
    return chosen


def _both(
    one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def ids_of(table: LargeTable, column: Series[Any]) -> NDArray[Any]:
    """Return ids exactly: int64, or text.

    Raises:
        ValueError: If one is missing, or all are floats that may have been rounded.
    """
    import pandas as pd

    where = f"`{table.argument}` must name a cell in every row of {quoted(column.name)}"
    missing = int(column.isna().sum())
    if missing:
        raise ValueError(
            f"{where}; got none in {missing:,} of {len(column):,}: leave such rows out."
        )
    if pd.api.types.is_bool_dtype(column.dtype):
        raise ValueError(f"{where}; got True or False.")
    if pd.api.types.is_integer_dtype(column.dtype):
        return column.to_numpy(dtype=np.int64)
    if pd.api.types.is_float_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64)
        largest = np.abs(values).max(initial=0.0)
        if largest >= LARGEST_EXACT or not np.array_equal(values, np.round(values)):
            raise ValueError(
                f"{where}, exactly; got floats, such as {largest:g},"
                " which round ids beyond 2**53: read the column as int64 or as text."
            )
        return values.astype(np.int64)
    # Each text is stripped once, however often it comes.
    different, inverse = pd.factorize(column)
    stripped = [one.strip() if isinstance(one, str) else one for one in inverse]
    names = np.empty(len(stripped), dtype=object)
    names[:] = stripped
    found: NDArray[Any] = names[different]
    return found


def _nobody(ends: Sequence[NDArray[Any]]) -> NDArray[np.bool_] | None:
    """Return which rows have an end that is 0 or -1 where all other ids are long; else None."""
    if any(end.dtype != np.int64 or not len(end) for end in ends):
        return None
    none: NDArray[np.bool_] = np.isin(ends[0], (0, -1)) | np.isin(ends[1], (0, -1))
    if not none.any() or none.all():
        return None
    shortest = min(int(end[~none].min()) for end in ends)
    return none if shortest >= _SHORTEST_ID else None


def _finite(table: LargeTable, column: Series[Any]) -> NDArray[np.float64]:
    values = _numbers(column)
    n_wrong = int(np.count_nonzero(~np.isfinite(values)))
    if n_wrong:
        raise ValueError(
            f"`{table.argument}` must have finite numbers in {quoted(column.name)}; got"
            f" others in {n_wrong:,} of {len(values):,} rows."
        )
    return values


def _signs(table: LargeTable, column: Series[Any]) -> NDArray[np.int8]:
    values = _numbers(column)
    missing = column.isna().to_numpy(dtype=bool)
    wrong = np.flatnonzero(~missing & (np.abs(values) != 1))
    if wrong.size:
        raise ValueError(
            f"`{table.argument}` must have +1, -1 or nothing in {quoted(column.name)}; got"
            f" {column.iloc[[wrong[0]]].tolist()[0]!r} in {wrong.size:,} of"
            f" {len(values):,} rows."
        )
    return np.where(missing, 0, values).astype(np.int8)


def _numbers(column: Series[Any]) -> NDArray[np.float64]:
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column.dtype):
        column = pd.to_numeric(column, errors="coerce")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
