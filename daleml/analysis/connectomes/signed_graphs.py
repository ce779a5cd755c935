"""Graphs that a rule gave signs: in columns, and as networkx graphs for whoever wants one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.digraph_edges import GraphLike, digraph, read_graph
from daleml._support.signed_edges import SignedEdges

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False)
class NewSigns:
    """What a rule decided of a graph.

    Attributes:
        of_node: The sign of each node, 0 where the rule gives none.
        kept: Which edges are left.
        undecided: Nodes that lose what sign they had, since it was not enough to go by.
    """

    of_node: NDArray[np.int8]
    kept: NDArray[np.bool_]
    undecided: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SignedSource:
    """A graph and the signs that a rule gave it.

    A networkx graph, which its owner may change, was copied and has the signs already.
    """

    given: Any
    signs: NewSigns | None

    def in_columns(self, weight: str | None, attributes: Sequence[str]) -> SignedEdges:
        """Return the edges that are left, with their signs."""
        edges = read_graph(self.given, weight, attributes)
        if self.signs is None:
            return edges
        new = self.signs
        if len(new.kept) != len(edges.pre) or len(new.of_node) != len(edges.nodes):
            raise ValueError(
                "`graph` must have the neurons and edges that it had when its signs were"
                f" decided, {len(new.of_node):,} and {len(new.kept):,}; got"
                f" {len(edges.nodes):,} and {len(edges.pre):,}: decide them again."
            )
        own = np.where(new.undecided, np.int8(0), edges.node_sign)
        node_sign = np.where(new.of_node != 0, new.of_node, own)
        left = edges.kept(new.kept)
        edge_sign = new.of_node[left.pre]
        return dataclasses.replace(left, edge_sign=edge_sign, node_sign=node_sign)

    def graph(self) -> nx.DiGraph[Any]:
        """Return the graph with its signs, as a copy."""
        if self.signs is None:
            copied: nx.DiGraph[Any] = self.given.copy()
            return copied
        edges = read_graph(self.given, None)
        return _with_signs(digraph("graph", self.given), edges, self.signs)


def signed_source(
    given: GraphLike, edges: SignedEdges, signs: NewSigns
) -> SignedSource:
    """Keep a graph with the signs of a rule, without building what nobody asked for."""
    if callable(getattr(given, "_in_columns", None)):
        return SignedSource(given, signs)
    return SignedSource(_with_signs(digraph("graph", given).copy(), edges, signs), None)


def _with_signs(
    graph: nx.DiGraph[Any], edges: SignedEdges, signs: NewSigns
) -> nx.DiGraph[Any]:
    """Put the signs of nodes on them and on the edges that are left, in place."""
    nodes = edges.nodes
    for node, sign, is_undecided in zip(
        nodes, signs.of_node, signs.undecided, strict=True
    ):
        if sign:
            graph.nodes[node]["sign"] = int(sign)
        elif is_undecided:
            # What the node said before was not enough to go by.
            graph.nodes[node].pop("sign", None)
    for pre, post, keep in zip(edges.pre, edges.post, signs.kept, strict=True):
        if keep:
            graph[nodes[pre]][nodes[post]]["sign"] = int(signs.of_node[pre])
        else:
            graph.remove_edge(nodes[pre], nodes[post])
    return graph
