"""The edges of tables: rows that name sender and receiver, as indices of the nodes they name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.signed_edges import (
    SignedEdges,
    on_edge,
    read_sign,
    require_names,
)

if TYPE_CHECKING:
    from pandas import DataFrame, Series


def in_columns(
    neurons: DataFrame, edges: DataFrame, weight: str | None, attributes: Sequence[str]
) -> SignedEdges:
    """Read the tables of a connectome.

    Nodes are the neurons of their table, then those that only an edge names, as in a graph that
    is built row by row.

    Args:
        neurons: A row for each neuron, called in ``neuron``.
        edges: A row for each ordered pair: ``source``, ``target``, a strength, and ``sign``.
        weight: The column of strengths; None takes every edge as 1.
        attributes: Columns of ``neurons`` to read too.

    Raises:
        ValueError: If there is no node, a name or a strength is missing, or a sign is none.
    """
    names, ends = _indices(neurons["neuron"], edges["source"], edges["target"])
    nodes = tuple(names.tolist())
    require_names(nodes)
    # Sender by sender, each with its edges in their order.
    moved = np.argsort(ends[0], kind="stable")
    pre, post = ends[0][moved], ends[1][moved]
    known: dict[str, list[Any]] = {}
    for name in attributes:
        known[name] = _of_nodes(neurons, name, nodes)
    plain = SignedEdges(
        nodes,
        pre,
        post,
        np.ones(len(pre)),
        np.zeros(len(pre), dtype=np.int8),
        _signs(_of_nodes(neurons, "sign", nodes), nodes),
        attributes=known,
    )
    strengths = plain.weight
    if weight is not None:
        strengths = np.abs(_strengths(edges, weight, plain, moved))
    signs = _edge_signs(edges["sign"], plain, moved)
    return SignedEdges(
        nodes, pre, post, strengths, signs, plain.node_sign, attributes=known
    )


def _indices(
    listed: Series[Any], source: Series[Any], target: Series[Any]
) -> tuple[NDArray[Any], tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the names of all nodes, and the places of senders and receivers among them."""
    import pandas as pd

    names = pd.Index(pd.unique(listed))
    ends = pd.Index(source), pd.Index(target)
    pre, post = map(names.get_indexer_for, ends)
    strange = (pre < 0) | (post < 0)
    if strange.any():
        # In the order in which a graph would meet them: row by row, the sender first.
        met = np.column_stack([source[strange], target[strange]]).ravel()
        names = names.append(pd.Index(pd.unique(met))).unique()
        pre, post = map(names.get_indexer_for, ends)
    return names.to_numpy(), (pre, post)


def _of_nodes(neurons: DataFrame, name: str, nodes: Sequence[Any]) -> list[Any]:
    """Return a column of the table of neurons, None where a node has no value."""
    # networkx wants text as names of attributes.
    columns = {str(column): column for column in neurons.columns}
    if name not in columns:
        return [None] * len(nodes)
    values = neurons[columns[name]].astype(object)
    plain = values.where(values.notna(), None)
    of_neuron = dict(zip(neurons["neuron"].tolist(), plain.tolist(), strict=True))
    return [of_neuron.get(node) for node in nodes]


def _signs(values: list[Any], nodes: Sequence[Any]) -> NDArray[np.int8]:
    found = []
    for node, value in zip(nodes, values, strict=True):
        found.append(read_sign(value, f"on node {node!r}", known=False) or 0)
    return np.array(found, dtype=np.int8)


def _edge_signs(
    column: Series[Any], edges: SignedEdges, moved: NDArray[np.intp]
) -> NDArray[np.int8]:
    """Return the signs of edges, 0 where one is missing, or raise at the first that is none."""
    values = _numbers(column)[moved]
    missing = np.isnan(values)
    wrong = np.flatnonzero(~missing & (np.abs(values) != 1))
    if missing.any():
        # What is no number at all is not missing.
        wrong = np.union1d(wrong, np.flatnonzero(missing & ~_gaps(column)[moved]))
    if wrong.size:
        k = int(wrong[0])
        read_sign(_cell(column, moved[k]), on_edge(edges, k), known=True)
    return np.where(missing, 0, values).astype(np.int8)


def _strengths(
    table: DataFrame, weight: str, edges: SignedEdges, moved: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the strengths of edges, or raise where there are none, or one is not finite."""
    if weight not in table.columns:
        have = ", ".join(map(str, table.columns))
        raise ValueError(
            f"`graph` must have the strength of an edge as `{weight}`; got {have}: pass"
            " the column that holds it, or `weight=None` to take every edge as 1."
        )
    values = _numbers(table[weight])[moved]
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        k = int(wrong[0])
        raise ValueError(
            "`graph` must have finite numbers as weights; got"
            f" {_cell(table[weight], moved[k])!r} {on_edge(edges, k)}."
        )
    return values


def _numbers(column: Series[Any]) -> NDArray[np.float64]:
    """Return a column as numbers, NaN where there is none."""
    import pandas as pd

    if column.dtype == object or not pd.api.types.is_numeric_dtype(column):
        column = pd.to_numeric(column, errors="coerce")
    return column.to_numpy(dtype="float64", na_value=np.nan)


def _cell(column: Series[Any], row: int) -> Any:
    """Return a value of a column as Python has it, and not as NumPy shows it."""
    return column.iloc[[row]].tolist()[0]


def _gaps(column: Series[Any]) -> NDArray[np.bool_]:
    gaps: NDArray[np.bool_] = column.isna().to_numpy(dtype=bool)
    return gaps
