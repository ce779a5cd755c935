"""The edges of a networkx graph, read once, into columns.

An edge goes from the sender to the receiver; its ``weight`` is a strength, its ``sign`` +1, -1
or None where unknown. Functions that read strengths take ``weight``, the name of the attribute
that holds them; None takes every edge as 1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from daleml._support.signed_edges import (
    SIGNS,
    WEIGHT,
    SignedEdges,
    read_sign,
    require_names,
)

if TYPE_CHECKING:
    import networkx as nx


class GivesGraph(Protocol):
    """An object that has a graph to give, as a connectome has."""

    def graph(self) -> nx.DiGraph[Any]:
        """Return a graph that is the caller's own."""


GraphLike: TypeAlias = "nx.DiGraph[Any] | GivesGraph"
"""A networkx ``DiGraph``, or what gives one by its method ``graph``."""


def is_graph(given: object) -> bool:
    """Whether ``given`` is a networkx graph of any kind."""
    return hasattr(given, "adjacency") and hasattr(given, "number_of_nodes")


def digraph(name: str, given: GraphLike) -> nx.DiGraph[Any]:
    """Return a networkx ``DiGraph`` without parallel edges: the one given, or of what gives one.

    A graph of networkx has an attribute ``graph`` too, a dict, so it is asked for first.

    Raises:
        TypeError: If there is none.
    """
    # networkx is not imported: a graph is known by what it can do.
    graph: Any = given
    if not is_graph(given) and callable(getattr(given, "graph", None)):
        graph = given.graph()
    if not is_graph(graph):
        raise TypeError(
            f"`{name}` must be a networkx digraph; got {type(graph).__name__}."
        )
    if not graph.is_directed() or graph.is_multigraph():
        raise TypeError(
            f"`{name}` must be a DiGraph, one edge from node to node; got"
            f" {type(graph).__name__}."
        )
    return graph


def read_graph(
    given: GraphLike, weight: str | None = WEIGHT, attributes: Sequence[str] = ()
) -> SignedEdges:
    """Read a graph of any kind: its own columns, where it has them, else a networkx digraph.

    Args:
        given: A digraph, or what gives one; see :func:`digraph`.
        weight: As in the module.
        attributes: Those of nodes to read too.

    Raises:
        TypeError: If there is no digraph.
        ValueError: As :func:`edges_of` does.
    """
    in_columns = getattr(given, "_in_columns", None)
    if callable(in_columns):
        found: SignedEdges | None = in_columns(weight, attributes)
        if found is not None:
            return found
    return edges_of(digraph("graph", given), weight, attributes)


def edges_of(
    graph: nx.DiGraph[Any],
    weight: str | None = WEIGHT,
    attributes: Sequence[str] = (),
) -> SignedEdges:
    """Read a graph: its nodes in its own order, and the edges that each of them sends.

    Args:
        graph: The graph.
        weight: As in the module.
        attributes: Those of nodes to read too.

    Raises:
        ValueError: If there is no node, a sign is neither +1, -1 nor None, or a strength is
            missing or not finite.
    """
    # In the order in which the caller added them.
    nodes = tuple(graph)
    require_names(nodes)
    ends, edges = _ends(graph, nodes)
    # networkx is walked once; what is not plain in it is then told edge by edge.
    given = None if weight is None else _plain([one.get(weight) for one in edges])
    if given is None:
        given = _strengths(nodes, ends, edges, weight)
    first_negative = None
    negative = np.flatnonzero(given < 0)
    if negative.size and weight == WEIGHT:
        first_negative = int(negative[0]), edges[negative[0]][WEIGHT]
    own = [graph.nodes[node].get("sign") for node in nodes]
    said = [one.get("sign") for one in edges]
    return SignedEdges(
        nodes,
        *ends,
        np.abs(given),
        _signs(said, nodes, ends),
        _signs(own, nodes, None),
        first_negative,
        {name: [graph.nodes[node].get(name) for node in nodes] for name in attributes},
        said,
    )


def _ends(
    graph: nx.DiGraph[Any], nodes: tuple[Any, ...]
) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], list[dict[str, Any]]]:
    """Return the senders and the receivers of all edges, and the attributes of each."""
    index = dict(zip(nodes, range(len(nodes)), strict=True))
    sent = [receivers for _, receivers in graph.adjacency()]
    counts = np.fromiter(map(len, sent), dtype=np.intp, count=len(nodes))
    n = int(counts.sum())
    pre = np.repeat(np.arange(len(nodes)), counts)
    receivers = itertools.chain.from_iterable(sent)
    post = np.fromiter(map(index.__getitem__, receivers), dtype=np.intp, count=n)
    edges = list(itertools.chain.from_iterable(one.values() for one in sent))
    return (pre, post), edges


def _plain(values: list[Any]) -> NDArray[np.float64] | None:
    """Return values as numbers if all of them are finite ones; else None."""
    try:
        found = np.array(values)
    except ValueError:
        return None
    if found.dtype.kind not in "biuf" or found.ndim != 1:
        return None
    numbers = found.astype(np.float64)
    return numbers if bool(np.isfinite(numbers).all()) else None


def _strengths(
    nodes: tuple[Any, ...],
    ends: tuple[NDArray[np.intp], NDArray[np.intp]],
    edges: list[dict[str, Any]],
    weight: str | None,
) -> NDArray[np.float64]:
    """Return the strength of each edge, or raise at the first that has none."""
    if weight is None:
        return np.ones(len(edges))
    found = []
    for pre, post, data in zip(*ends, edges, strict=True):
        found.append(strength(nodes[pre], nodes[post], data, weight))
    return np.array(found, dtype=np.float64)


def _signs(
    values: list[Any],
    nodes: tuple[Any, ...],
    ends: tuple[NDArray[np.intp], NDArray[np.intp]] | None,
) -> NDArray[np.int8]:
    """Return the signs of edges, or of nodes, 0 where one is unknown."""
    try:
        return np.fromiter(map(SIGNS.__getitem__, values), np.int8, len(values))
    except (KeyError, TypeError):
        pass
    found = []
    for k, value in enumerate(values):
        if ends is None:
            where = f"on node {nodes[k]!r}"
        else:
            where = f"on the edge from {nodes[ends[0][k]]!r} to {nodes[ends[1][k]]!r}"
        found.append(read_sign(value, where, known=False) or 0)
    return np.array(found, dtype=np.int8)


def present(graph: nx.DiGraph[Any], nodes: list[Any]) -> NDArray[np.bool_]:
    """Return which edges there are, boolean, ``(post, pre)``."""
    index = {node: i for i, node in enumerate(nodes)}
    exists = np.zeros((len(nodes), len(nodes)), dtype=np.bool_)
    for pre, post in graph.edges:
        exists[index[post], index[pre]] = True
    return exists


def signs_said(graph: nx.DiGraph[Any], node: Hashable) -> set[int]:
    """Return the signs that a node and the edges it sends name."""
    named = {read_sign(graph.nodes[node].get("sign"), f"on node {node!r}", known=False)}
    for pre, post, sign in graph.out_edges(node, data="sign"):
        where = f"on the edge from {pre!r} to {post!r}"
        named.add(read_sign(sign, where, known=False))
    return {sign for sign in named if sign is not None}


def strength(
    pre: Any, post: Any, data: dict[str, Any], weight: str | None = WEIGHT
) -> float:
    """Read the strength of an edge, a finite number.

    An edge without ``weight`` counts as 1 only where nothing else on it could be its strength:
    of a graph whose counts are called ``n_syn``, every strength would be 1 without a word.

    Raises:
        ValueError: If the edge has no such attribute but others that hold numbers, or it holds
            no finite number.
    """
    if weight is None:
        return 1.0
    where = f"on the edge from {pre!r} to {post!r}"
    if weight not in data:
        others = []
        for name, value in data.items():
            if name != "sign" and _could_be_a_strength(value):
                others.append(str(name))
        if weight != WEIGHT or others:
            have = ", ".join(map(str, data)) or "no attribute"
            name = repr(others[0]) if others else "the attribute that holds it"
            raise ValueError(
                f"`graph` must have the strength of an edge as `{weight}`; got {have}"
                f" {where}: pass `weight={name}`, or `weight=None` to take every edge as 1."
            )
        return 1.0
    given = data[weight]
    try:
        value = float(given)
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if not math.isfinite(value) or isinstance(given, str):
        raise ValueError(
            f"`graph` must have finite numbers as weights; got {given!r} {where}."
        )
    return value


def _could_be_a_strength(value: Any) -> bool:
    """Whether an attribute holds a number, or its text, as ``read_edgelist`` and GraphML give."""
    if value is None or isinstance(value, (bool, np.bool_)):
        return False
    try:
        float(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True
