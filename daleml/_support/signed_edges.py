"""The edges of a signed graph in columns: senders, receivers, strengths, and what is said of signs.

Where they come from is the business of others: a networkx graph is read by ``digraph_edges``, a
table by ``reading.edge_tables``, and a connectome gives its own.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from daleml import require
from daleml._support.type_names import alike_but_for_blanks

WEIGHT = "weight"
"""The attribute of an edge that holds its strength, unless another is named."""

SIGNS: Mapping[Any, int] = {1: 1, -1: -1, None: 0}
"""What may stand for a sign, and what stands for it here; 0 where it is unknown."""


@dataclass(frozen=True, eq=False)
class SignedEdges:
    """The edges of a graph in columns, sender by sender.

    Attributes:
        nodes: Of the graph, in its own order.
        pre: Index of each edge's sender; it does not fall from edge to edge.
        post: Index of its receiver.
        weight: Its strength, without sign.
        edge_sign: +1 or -1, as the edge says; 0 where it says nothing.
        node_sign: The same of each node.
        first_negative: The first edge whose strength was given with a sign, and that strength.
        attributes: What was asked for of nodes, a value for each, None where one has none.
        said: What each edge gave as its sign, as it was given; empty where that was not kept.
    """

    nodes: tuple[Any, ...]
    pre: NDArray[np.intp]
    post: NDArray[np.intp]
    weight: NDArray[np.float64]
    edge_sign: NDArray[np.int8]
    node_sign: NDArray[np.int8]
    first_negative: tuple[int, Any] | None = None
    attributes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    said: Sequence[Any] = ()

    @property
    def sign(self) -> NDArray[np.int8]:
        """The sign of each edge: its own, else its sender's; 0 where unknown."""
        own = self.edge_sign
        return np.where(own != 0, own, self.node_sign[self.pre])

    def kept(self, which: NDArray[np.bool_]) -> SignedEdges:
        """Return the graph with the marked edges only."""
        columns: dict[str, Any] = {}
        for name in ("pre", "post", "weight", "edge_sign"):
            columns[name] = getattr(self, name)[which]
        return dataclasses.replace(self, first_negative=None, said=(), **columns)

    def in_order(self, order: NDArray[np.intp]) -> SignedEdges:
        """Return the same graph with its nodes in another order: node ``k`` was ``order[k]``."""
        place = np.empty(len(order), dtype=np.intp)
        place[order] = np.arange(len(order))
        pre, post = place[self.pre], place[self.post]
        # Stable, so that the edges of a sender stay in their order.
        moved = np.argsort(pre, kind="stable")
        return SignedEdges(
            tuple(self.nodes[node] for node in order.tolist()),
            pre[moved],
            post[moved],
            self.weight[moved],
            self.edge_sign[moved],
            self.node_sign[order],
            attributes={
                name: [values[node] for node in order.tolist()]
                for name, values in self.attributes.items()
            },
        )


def one_sign_each(
    edges: SignedEdges, drop_minority: bool
) -> tuple[SignedEdges, NDArray[np.int8]]:
    """Give each node one sign: that of its attribute, or that of the edges it sends.

    A node that says nothing and sends nothing excites, which makes no difference to anything.

    Args:
        edges: The graph.
        drop_minority: Whether, where a node sends edges of both signs, to leave out those of
            the sign with the lesser total strength, instead of refusing the graph.

    Returns:
        The graph, without what was left out, and +1 or -1 for each node.

    Raises:
        ValueError: If a sign is unknown, or a node sends both.
    """
    require.flag("drop_minority", drop_minority)
    _require_signs(edges)
    n = len(edges.nodes)
    excites, inhibits = edges.node_sign == 1, edges.node_sign == -1
    excites |= np.bincount(edges.pre, edges.edge_sign == 1, minlength=n) > 0
    inhibits |= np.bincount(edges.pre, edges.edge_sign == -1, minlength=n) > 0
    # Its edges, or an edge and the node itself, name both signs.
    both = excites & inhibits
    signs = np.where(inhibits, np.int8(-1), np.int8(1))
    if not both.any():
        return edges, signs
    if not drop_minority:
        node = edges.nodes[int(np.flatnonzero(both)[0])]
        raise ValueError(
            "`graph` must keep Dale's law, unless `drop_minority` is True; node"
            f" {node!r} sends both signs."
        )
    total = np.bincount(edges.pre, edges.edge_sign * edges.weight, minlength=n)
    signs[both] = np.where(total[both] >= 0, 1, -1)
    opposed = both[edges.pre] & (edges.edge_sign == -signs[edges.pre])
    return edges.kept(~opposed), signs


def require_names(nodes: Sequence[Any]) -> None:
    """Raise unless there is a node, and each of them has a name."""
    if not len(nodes):
        raise ValueError("`graph` must have a node; got none.")
    # Whole numbers, as most ids are, have neither gaps nor blanks.
    if set(map(type, nodes)) == {int}:
        return
    for node in nodes:
        # What pandas makes of an empty cell would be a neuron of its own.
        if is_missing(node):
            raise ValueError(
                f"`graph` must have a name for every node; got {node!r}, which pandas reads"
                " where a cell is empty: leave such rows out."
            )
    # Blanks are left over in tables, where they would make two neurons of one.
    alike = alike_but_for_blanks(nodes)
    if alike is not None:
        raise ValueError(
            f"`graph` must name nodes by more than blanks; got {alike[0]!r} and"
            f" {alike[1]!r}: strip the names of the table first."
        )


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


def on_edge(edges: SignedEdges, k: int) -> str:
    """Say where a sentence is about one of the edges."""
    pre, post = edges.nodes[edges.pre[k]], edges.nodes[edges.post[k]]
    return f"on the edge from {pre!r} to {post!r}"


def _require_signs(edges: SignedEdges) -> None:
    """Raise unless every node that sends, or each of its edges, says its sign."""
    unknown = np.flatnonzero(edges.sign == 0)
    if not unknown.size:
        return
    if edges.first_negative is not None:
        _refuse_signed_weights(edges, *edges.first_negative)
    k = int(unknown[0])
    given = edges.said[k] if edges.said else None
    read_sign(given, on_edge(edges, k), known=True)


def _refuse_signed_weights(edges: SignedEdges, k: int, given: Any) -> NoReturn:
    """Raise where the signs are those of the weights, of which the sizes count here."""
    raise ValueError(
        f"`graph` must have its signs as `sign`, +1 or -1; got the weight {given}"
        f" {on_edge(edges, k)}, and edges without a sign: signed weights are read by"
        " `EIRNN.from_matrix`, of `networkx.to_pandas_adjacency(graph)` with"
        " `rows='pre'`."
    )
