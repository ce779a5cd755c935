"""The edges of a signed graph: their signs and strengths, and which nodes excite.

An edge goes from the sender to the receiver; its ``weight`` is a strength, its ``sign`` +1, -1
or None where unknown. Functions that read strengths take ``weight``, the name of the attribute
that holds them; None takes every edge as 1.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daleml import require
from daleml._support.type_names import alike_but_for_blanks

if TYPE_CHECKING:
    import networkx as nx


class GivesGraph(Protocol):
    """An object that has a graph to give, as a connectome has."""

    def graph(self) -> nx.DiGraph[Any]:
        """Return a graph that is the caller's own."""


WEIGHT = "weight"
"""The attribute of an edge that holds its strength, unless another is named."""

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


def signed_nodes(
    given: GraphLike, *, drop_minority: bool = False, weight: str | None = WEIGHT
) -> tuple[nx.DiGraph[Any], list[Any], int]:
    """Sort the nodes of a signed graph into excitatory ones, then inhibitory ones.

    A node's sign is its attribute ``sign``, or that of the edges it sends; they must agree. A
    node that says nothing and sends nothing excites, which makes no difference to anything.

    Args:
        given: A digraph, or what has a method ``graph`` that gives one, such as a connectome;
            its edges, or nodes, have an attribute ``sign`` of +1 or -1.
        drop_minority: Whether, where a node sends edges of both signs, to leave out those of
            the sign with the lesser total strength, instead of refusing the graph.
        weight: As for :func:`strength`.

    Returns:
        The graph, without what was left out; its nodes, excitatory ones first; how many of them
        are excitatory.

    Raises:
        TypeError: If there is no digraph.
        ValueError: If a sign is unknown, or a node sends both.
    """
    graph = digraph("graph", given)
    require.flag("drop_minority", drop_minority)
    require_node(graph)
    signs: dict[Any, int] = {}
    left_out: list[tuple[Any, Any]] = []
    for node in graph:
        said = signs_said(graph, node)
        # Its edges, or an edge and the node itself, name both signs.
        if len(said) == 2:
            if not drop_minority:
                raise ValueError(
                    "`graph` must keep Dale's law, unless `drop_minority` is True; node"
                    f" {node!r} sends both signs."
                )
            sent = edges_sent(graph, node, known=False)
            total = 0.0
            for pre, post, data, sign in sent:
                total += (sign or 0) * abs(strength(pre, post, data, weight))
            stronger = 1 if total >= 0 else -1
            said = {stronger}
            for pre, post, _, sign in sent:
                if sign == -stronger:
                    left_out.append((pre, post))
        signs[node] = said.pop() if said else 1
    kept = graph
    if left_out:
        kept = graph.copy()
        kept.remove_edges_from(left_out)
    nodes = [node for sign in (1, -1) for node in kept if signs[node] == sign]
    return kept, nodes, sum(sign > 0 for sign in signs.values())


class SignedEdges(NamedTuple):
    """The edges of a graph in columns, in its own order.

    Attributes:
        nodes: Of the graph, in its own order.
        pre: Index of each edge's sender.
        post: Index of its receiver.
        weight: Its strength, without sign.
        sign: +1, -1, or 0 where unknown: the edge's own, else its sender's.
    """

    nodes: tuple[Any, ...]
    pre: NDArray[np.intp]
    post: NDArray[np.intp]
    weight: NDArray[np.float64]
    sign: NDArray[np.int8]


def signed_edges(graph: nx.DiGraph[Any], weight: str | None = WEIGHT) -> SignedEdges:
    """Read the edges of a graph.

    Raises:
        ValueError: If there is no node, a sign is neither +1, -1 nor None, or a strength is
            missing or not finite.
    """
    require_node(graph)
    nodes = tuple(graph)
    index = {node: i for i, node in enumerate(nodes)}
    ends, weights, signs = [], [], []
    for node in nodes:
        own = read_sign(graph.nodes[node].get("sign"), f"on node {node!r}", known=False)
        for pre, post, data, sign in edges_sent(graph, node, known=False):
            said = own if sign is None else sign
            ends.append((index[pre], index[post]))
            weights.append(abs(strength(pre, post, data, weight)))
            signs.append(said or 0)
    # In two columns even where there is no edge.
    pre_post = np.array(ends, dtype=np.intp).reshape(-1, 2)
    return SignedEdges(
        nodes,
        pre_post[:, 0],
        pre_post[:, 1],
        np.array(weights, dtype=np.float64),
        np.array(signs, dtype=np.int8),
    )


def require_node(graph: nx.DiGraph[Any]) -> None:
    """Raise unless the graph has a node, and each of them a name."""
    if not len(graph):
        raise ValueError("`graph` must have a node; got none.")
    for node in graph:
        # What pandas makes of an empty cell would be a neuron of its own.
        if is_missing(node):
            raise ValueError(
                f"`graph` must have a name for every node; got {node!r}, which pandas reads"
                " where a cell is empty: leave such rows out."
            )
    # Blanks are left over in tables, where they would make two neurons of one.
    alike = alike_but_for_blanks(graph)
    if alike is not None:
        raise ValueError(
            f"`graph` must name nodes by more than blanks; got {alike[0]!r} and"
            f" {alike[1]!r}: strip the names of the table first."
        )


def present(graph: nx.DiGraph[Any], nodes: list[Any]) -> Tensor:
    """Return which edges there are, boolean, ``(post, pre)``."""
    index = {node: i for i, node in enumerate(nodes)}
    exists = torch.zeros(len(nodes), len(nodes), dtype=torch.bool, device="cpu")
    for pre, post in graph.edges:
        exists[index[post], index[pre]] = True
    return exists


def strengths(
    graph: nx.DiGraph[Any], nodes: list[Any], weight: str | None = WEIGHT
) -> Tensor:
    """Return the edges' strengths, without sign, as ``(post, pre)``; see :func:`strength`.

    Raises:
        ValueError: If a strength is missing, or not a finite number.
    """
    index = {node: i for i, node in enumerate(nodes)}
    weights = torch.zeros(len(nodes), len(nodes), dtype=torch.float64, device="cpu")
    for pre, post, data in graph.edges(data=True):
        weights[index[post], index[pre]] = abs(strength(pre, post, data, weight))
    return weights


def signs_said(
    graph: nx.DiGraph[Any], node: Hashable, *, known: bool = True
) -> set[int]:
    """Return the signs that a node and the edges it sends name.

    With ``known``, the node must name its sign, or every edge.
    """
    own = read_sign(graph.nodes[node].get("sign"), f"on node {node!r}", known=False)
    sent = edges_sent(graph, node, known=known and own is None)
    named = {own, *(sign for *_, sign in sent)}
    return {sign for sign in named if sign is not None}


def edges_sent(
    graph: nx.DiGraph[Any], node: Hashable, *, known: bool = True
) -> list[tuple[Any, Any, dict[str, Any], int | None]]:
    """List the edges that a node sends, with the sign of each."""
    found = []
    for pre, post, data in graph.out_edges(node, data=True):
        where = f"on the edge from {pre!r} to {post!r}"
        if known and is_missing(data.get("sign")):
            _refuse_signed_weights(graph)
        sign = read_sign(data.get("sign"), where, known=known)
        found.append((pre, post, data, sign))
    return found


def is_missing(given: Any) -> bool:
    """Whether a value is None, or NaN or NA, by which pandas marks what is missing."""
    if given is None or type(given).__name__ == "NAType":
        return True
    return isinstance(given, (float, np.floating)) and math.isnan(given)


def read_sign(given: Any, where: str, *, known: bool) -> int | None:
    """Read +1 or -1, or, unless it must be known, None."""
    if is_missing(given) and not known:
        return None
    try:
        value = float(given)
    except (TypeError, ValueError, RuntimeError):
        value = 0.0
    if value not in (1, -1):
        raise ValueError(
            "`graph` must have a sign, +1 or -1, on every node or edge, see"
            f" `lawful_graph`; got {given!r} {where}."
        )
    return int(value)


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


def _refuse_signed_weights(graph: nx.DiGraph[Any]) -> None:
    """Raise if the signs of a graph are those of its weights, of which the sizes count here."""
    for pre, post, given in graph.edges(data=WEIGHT):
        if isinstance(given, (int, float, np.number)) and given < 0:
            raise ValueError(
                f"`graph` must have its signs as `sign`, +1 or -1; got the weight {given} on"
                f" the edge from {pre!r} to {post!r}, and edges without a sign: signed"
                " weights are read by `EIRNN.from_matrix`, of"
                " `networkx.to_pandas_adjacency(graph)` with `rows='pre'`."
            )


def _could_be_a_strength(value: Any) -> bool:
    """Whether an attribute holds a number, or its text, as ``read_edgelist`` and GraphML give."""
    if value is None or isinstance(value, (bool, np.bool_)):
        return False
    try:
        float(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True
