"""Whatever holds a graph, as what readers of graphs take: sparse matrices and tables too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from daleml._support.digraph_edges import GraphLike
from daleml._support.safe_text import listed, quoted
from daleml._support.signed_edges import WEIGHT, SignedEdges
from daleml._support.summed_pairs import summed_pairs
from daleml._support.synapse_arrays import ROWS, is_sparse, of_sparse
from daleml.reading.edge_tables import EdgeRows, find_columns, read_rows
from daleml.reading.large_tables import LargeTable, is_table_given
from daleml.reading.notes import warn


@dataclass(frozen=True, eq=False)
class EdgeList:
    """Edges that were read already, with the strengths that were asked for."""

    edges: SignedEdges

    def _in_columns(self, weight: str | None, attributes: Sequence[str]) -> SignedEdges:
        """Return the edges; nodes have no attributes."""
        # What was read is what `weight` named; without it every edge is 1.
        none: list[Any] = [None] * len(self.edges.nodes)
        found = replace(self.edges, attributes=dict.fromkeys(attributes, none))
        if weight is None:
            return replace(found, weight=np.ones(len(found.weight)))
        return found


def opened(
    given: Any,
    weight: str | None = WEIGHT,
    *,
    rows: str | None = None,
    columns: Mapping[str, str] | None = None,
    signs: Mapping[str, int] | None = None,
) -> GraphLike:
    """Return a graph that ``read_graph`` takes, from a sparse matrix or a table of edges.

    Args:
        given: A matrix of scipy.sparse, a table or a file of one, or any other graph, which is
            returned as it is.
        weight: As for ``read_graph``; of a table, its column.
        rows: What a row of a sparse matrix is.
        columns: Columns of a table by their role.
        signs: The sign of each transmitter that a table names.

    Raises:
        TypeError: If an option is given that belongs to another kind of graph.
        ValueError: If ``rows`` is missing, or a table is not one of edges.
    """
    sparse, table = is_sparse(given), is_table_given(given)
    for name, option, belongs, to in (
        ("rows", rows, sparse, "a sparse matrix"),
        ("columns", columns, table, "a table of edges"),
        ("signs", signs, table, "a table of edges"),
    ):
        if option is not None and not belongs:
            raise TypeError(
                f"`{name}` must be left out unless `graph` is {to}; got {option!r}."
            )
    if sparse:
        return cast("GraphLike", EdgeList(_of_matrix(given, rows)))
    if table:
        return cast("GraphLike", EdgeList(_of_table(given, weight, columns, signs)))
    graph: GraphLike = given
    return graph


def _of_matrix(matrix: Any, rows: str | None) -> SignedEdges:
    """Read a sparse matrix, whose entries have the signs of their senders."""
    if rows not in ROWS:
        raise ValueError(
            "`rows` must be 'post' if a row of the sparse matrix holds the synapses onto a"
            " unit, or 'pre' if it holds those that the unit makes, which the matrix does"
            f" not say; got {rows!r}."
        )
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.shape[0]:
        raise ValueError(
            "`graph` must be square, a row and a column for each unit; got shape"
            f" {tuple(matrix.shape)}."
        )
    synapses = of_sparse(matrix, rows)
    # Sorted by receiver in a matrix, and by sender among edges.
    moved = np.argsort(synapses.pre, kind="stable")
    pre, weight = synapses.pre[moved], synapses.weights[moved]
    nodes = tuple(range(matrix.shape[0]))
    return _signed_by_weight(nodes, pre, synapses.post[moved], weight)


def _signed_by_weight(
    nodes: tuple[Any, ...],
    pre: NDArray[np.intp],
    post: NDArray[np.intp],
    weight: NDArray[np.float64],
) -> SignedEdges:
    """Give edges the signs of their weights; a zero has that of its sender's other edges."""
    signs, n = np.sign(weight).astype(np.int8), len(nodes)
    excites = np.bincount(pre, signs > 0, minlength=n) > 0
    inhibits = np.bincount(pre, signs < 0, minlength=n) > 0
    own = excites.astype(np.int8) - inhibits.astype(np.int8)
    # What sends nothing but zeros excites, as does what sends nothing.
    own[~excites & ~inhibits] = 1
    signs = np.where(signs != 0, signs, own[pre])
    none = np.zeros(n, dtype=np.int8)
    return SignedEdges(nodes, pre, post, np.abs(weight), signs, none)


def _of_table(
    given: Any,
    weight: str | None,
    columns: Mapping[str, str] | None,
    signs: Mapping[str, int] | None,
) -> SignedEdges:
    table = LargeTable("graph", given)
    rows = read_rows(table, find_columns(table, columns, weight))
    row_signs = _row_signs(table, rows, signs)
    pairs = summed_pairs(
        rows.pre, rows.post, np.abs(rows.weight), row_signs, len(rows.names)
    )
    notes = []
    n_again = len(rows.pre) - len(pairs.pre)
    if n_again:
        notes.append(f"{n_again:,} rows of pairs that came before were added to theirs")
    if rows.n_nobody:
        notes.append(f"{rows.n_nobody:,} rows were left out whose id is 0 or -1")
    if notes:
        used = [f"{role} {quoted(name)}" for role, name in rows.found.items() if name]
        warn(f"{table.called}, read by {', '.join(used)}: {' and '.join(notes)}.")
    nodes = tuple(rows.names.tolist())
    none = np.zeros(len(nodes), dtype=np.int8)
    return SignedEdges(nodes, pairs.pre, pairs.post, pairs.weight, pairs.sign, none)


def _row_signs(
    table: LargeTable, rows: EdgeRows, signs: Mapping[str, int] | None
) -> NDArray[np.int8] | None:
    """Return the sign of each row by its column, its transmitter or its weight; None if unknown."""
    if signs is not None:
        return signs_by_name(table, rows, signs)
    if rows.sign is not None:
        return rows.sign
    if bool((rows.weight < 0).any()):
        return np.sign(rows.weight).astype(np.int8)
    if rows.transmitter is not None:
        there = listed(list(map(str, rows.transmitter.cat.categories)))
        warn(
            f"{table.called}: signs are unknown, since `signs` does not give the sign of"
            f" each transmitter in {quoted(rows.found['transmitter'])}: {there}."
        )
    return None


def signs_by_name(
    table: LargeTable, rows: EdgeRows, signs: Mapping[str, int]
) -> NDArray[np.int8]:
    """Return the sign of each row by its transmitter, 0 where that has none.

    Raises:
        ValueError: If a sign is none, or no transmitter is of the table.
    """
    if rows.transmitter is None:
        raise ValueError(
            "`signs` must be left out where no column names a transmitter; got"
            f" {listed(list(map(quoted, table.columns)))}: pass"
            " `columns={'transmitter': ...}`."
        )
    return signs_of_names(rows.transmitter, signs)


def signs_of_names(names: Any, signs: Mapping[str, int]) -> NDArray[np.int8]:
    """Return the sign of each name of a column of categories, 0 where it has none.

    Raises:
        ValueError: If a sign is neither +1 nor -1, or no name has one.
    """
    for name, sign in signs.items():
        # True is an int, and would pass for +1.
        if isinstance(sign, bool) or sign not in (1, -1):
            raise ValueError(f"`signs` must be +1 or -1; got {sign!r} for {name!r}.")
    there = names.cat.categories.tolist()
    if there and not set(signs) & set(there):
        raise ValueError(
            f"`signs` must name transmitters that are there, {listed(there)}; got"
            f" {listed(list(map(str, signs)))}."
        )
    # The last is that of a missing name, whose code is -1.
    of_code = np.array([*(signs.get(name, 0) for name in there), 0], dtype=np.int8)
    found: NDArray[np.int8] = of_code[names.cat.codes.to_numpy()]
    return found
