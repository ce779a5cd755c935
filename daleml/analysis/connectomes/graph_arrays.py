"""Arrays of a connectome that a layer needs: signed matrix, populations and mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daleml import require
from daleml._support import digraph_edges, node_types
from daleml._support.digraph_edges import GraphLike, read_graph
from daleml._support.node_types import CellTypes
from daleml._support.signed_edges import (
    WEIGHT,
    SignedEdges,
    one_sign_each,
    require_names,
)
from daleml.populations import Populations

if TYPE_CHECKING:
    from torch import Tensor


class SignedMatrix(NamedTuple):
    """The signed weights of a graph.

    Attributes:
        nodes: What the rows and the columns stand for.
        values: ``(post, pre)``, float64; 0 where there is no edge.

    Example:
        >>> from daleml.datasets import fly_visual
        >>> nodes, values = signed_matrix(fly_visual())
        >>> len(nodes), values.shape, int((values < 0).sum())
        (65, (65, 65), 228)
    """

    nodes: tuple[Any, ...]
    values: NDArray[np.float64]


def signed_matrix(
    graph: GraphLike,
    *,
    nodes: Sequence[Any] | None = None,
    drop_unknown: bool = False,
    weight: str | None = WEIGHT,
) -> SignedMatrix:
    r"""Write a signed graph as a matrix, a row per receiver and a column per sender.

    .. math:: W_{ij} = s_{ij} w_{ij}, \qquad \text{from node } j \text{ to node } i

    Args:
        graph: As for :func:`graph_summary`.
        nodes: All nodes of the graph in the order wanted; default: its own order.
            :func:`graph_populations` gives the order of a layer.
        drop_unknown: Whether to leave edges of unknown sign out, instead of refusing the graph.
        weight: As for :func:`graph_summary`.

    Shape:
        - ``values``: (nodes, nodes), a row per receiver, a column per sender.

    Returns:
        A named tuple ``(nodes, values)``.

    Raises:
        TypeError: If ``graph`` is no digraph.
        ValueError: If a sign is unknown, a strength is missing, or ``nodes`` are not its nodes,
            each once.

    Example:
        >>> import networkx as nx
        >>> graph = nx.DiGraph()
        >>> graph.add_edge("a", "b", weight=2.0, sign=-1)
        >>> signed_matrix(graph).values.tolist()
        [[0.0, 0.0], [-2.0, 0.0]]
    """
    require.flag("drop_unknown", drop_unknown)
    edges = read_graph(graph, weight)
    n_unknown = int((edges.sign == 0).sum())
    # Left out in silence, such edges would look like pairs of cells that do not connect.
    if n_unknown and not drop_unknown:
        raise ValueError(
            "`graph` must have a sign on every edge, unless `drop_unknown` is True; "
            f"got {n_unknown} of {edges.sign.size} without."
        )
    order = _in_order(edges.nodes, nodes)
    # Edges name nodes by their place in the graph's own order.
    place = dict(zip(order, range(len(order)), strict=True))
    rank = np.array([place[node] for node in edges.nodes])
    return SignedMatrix(order, dense(edges, rank))


def graph_populations(
    graph: GraphLike,
    *,
    drop_minority: bool = False,
    weight: str | None = WEIGHT,
    population: CellTypes = None,
) -> tuple[Populations, tuple[Any, ...]]:
    """Return the partition of a signed graph's nodes, and the nodes in its order.

    The excitatory nodes come first.

    Args:
        graph: As for :func:`graph_summary`. A node's sign is its attribute ``sign``, or that of
            the edges it sends; a node that says nothing and sends nothing excites.
        drop_minority: Whether a node that sends both signs gets that of the greater weight,
            instead of being refused.
        weight: As for :func:`graph_summary`.
        population: The cell types that name the populations: the attribute of nodes that holds
            them, or a mapping by node. Default: "E" and "I".

    Returns:
        The populations, and a tuple of all nodes.

    Raises:
        TypeError: If ``graph`` is no digraph.
        ValueError: If a sign is unknown, or a node sends both; :func:`lawful_graph` has rules
            for both cases. If a cell type has both signs.

    Example:
        >>> from daleml.analysis import lawful_graph
        >>> from daleml.datasets import fly_visual
        >>> populations, nodes = graph_populations(lawful_graph(fly_visual(), "majority"))
        >>> populations, nodes[0], nodes[-1]
        (Populations(n_exc=40, n_inh=25), 'L2', 'TmY15')
    """
    # Strengths decide nothing but which sign of two is the lesser.
    strengths = weight if drop_minority else None
    edges = read_graph(graph, strengths, node_types.asked(population))
    edges, unit_signs = one_sign_each(edges, drop_minority)
    listed = unit_signs.tolist()
    types = node_types.cell_types(edges.attributes, edges.nodes, listed, population)
    populations, order = Populations.from_signs(listed, types)
    return populations, tuple(edges.nodes[i] for i in order.tolist())


def graph_mask(graph: GraphLike, *, nodes: Sequence[Any] | None = None) -> Tensor:
    """Return which synapses exist, boolean, ``(post, pre)``: the ``mask`` of a recurrent layer.

    Args:
        graph: As for :func:`graph_summary`; signs do not matter.
        nodes: All nodes of the graph in the order of the layer's units, as
            :func:`graph_populations` gives them; default: the order of the graph.

    Raises:
        TypeError: If ``graph`` is no digraph.
        ValueError: If ``nodes`` are not its nodes, each once.

    Example:
        >>> from daleml.analysis import lawful_graph
        >>> from daleml.datasets import fly_visual
        >>> from daleml.layers import EIRNN
        >>> lawful = lawful_graph(fly_visual(), "drop")
        >>> populations, nodes = graph_populations(lawful)
        >>> rnn = EIRNN(8, populations, mask=graph_mask(lawful, nodes=nodes))
        >>> int(rnn.weight_hh_l0_present.sum())
        588

    Notes:
        ``EIRNN.from_graph`` does all of this, and takes the strengths too.
    """
    # Signs are not read: a graph without any has a mask too.
    given = digraph_edges.digraph("graph", graph)
    require_names(tuple(given))
    import torch

    exists = digraph_edges.present(given, list(_in_order(tuple(given), nodes)))
    return torch.from_numpy(exists)


def _in_order(have: tuple[Any, ...], wanted: Sequence[Any] | None) -> tuple[Any, ...]:
    """Return the nodes in the order wanted, checked."""
    if wanted is None:
        return have
    order = tuple(wanted)
    if len(order) != len(have) or set(order) != set(have):
        raise ValueError(
            f"`nodes` must be the {len(have)} nodes of the graph, each once; got"
            f" {len(order)} others."
        )
    return order


def dense(edges: SignedEdges, rank: NDArray[Any]) -> NDArray[np.float64]:
    """Write edges as a matrix, node ``i`` of the graph at ``rank[i]``: signs times strengths."""
    values = np.zeros((len(edges.nodes), len(edges.nodes)))
    # A row per receiver and a column per sender, as the weights of a layer are stored.
    values[rank[edges.post], rank[edges.pre]] = edges.sign * edges.weight
    return values
