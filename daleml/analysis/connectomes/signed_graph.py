"""Connectomes as signed graphs: Dale's law, balance, degrees, reciprocity.

And what a layer needs of them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from daleml import require
from daleml._support import signed_edges
from daleml._support.signed_edges import GraphLike, SignedEdges
from daleml.analysis.connectomes.sign_rules import majority_signs
from daleml.analysis.spectra import Spectrum, spectrum
from daleml.populations import Populations

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class GraphSummary:
    r"""What a signed graph looks like.

    Make one with :func:`graph_summary`, which defines its measures.

    Attributes:
        n_nodes: Number of nodes, isolated ones too.
        n_edges: Number of edges.
        n_exc: Number of excitatory edges.
        n_inh: Number of inhibitory edges. The others are of unknown sign.
        total_weight: Sum of all strengths.
        signed_weight: Sum of the strengths of the edges of known sign.
        n_senders: Number of nodes that send an edge of known sign.
        n_mixed: Number of those that send both.
        n_violating: Number of edges of their sender's minority sign.
        violating_weight: Sum of the strengths of those.
        reciprocity: Share of edges that have one back.
        weight_reciprocity: Share of the strength that comes back.
    """

    n_nodes: int
    n_edges: int
    n_exc: int
    n_inh: int
    total_weight: float
    signed_weight: float
    n_senders: int
    n_mixed: int
    n_violating: int
    violating_weight: float
    reciprocity: float
    weight_reciprocity: float
    _edges: SignedEdges = field(repr=False)

    @property
    def n_unknown(self) -> int:
        """Number of edges of unknown sign."""
        return self.n_edges - self.n_exc - self.n_inh

    @property
    def violating_fraction(self) -> float:
        """Share of the signed weight that is of its sender's minority sign: at most a half.

        NaN if there is none.
        """
        return (
            self.violating_weight / self.signed_weight
            if self.signed_weight
            else math.nan
        )

    @property
    def violating_edge_fraction(self) -> float:
        """Share of the edges of known sign that are of their sender's minority sign.

        NaN if there is none.
        """
        return (
            self.n_violating / (self.n_exc + self.n_inh)
            if self.n_exc + self.n_inh
            else math.nan
        )

    @functools.cached_property
    def spectrum(self) -> Spectrum:
        """Spectrum of the signed matrix ``(post, pre)``, edges of unknown sign left out.

        Computed when asked for.
        """
        return spectrum(_dense(self._edges, np.arange(self.n_nodes)))

    def table(self) -> DataFrame:
        """The measures of every node.

        Returns:
            One row a node, in the order of the graph: ``neuron``; ``sign``, of most of the
            signed weight it sends (missing if it sends none, or ties); ``in_degree``,
            ``out_degree``, ``in_strength``, ``out_strength``; ``exc_in``, ``inh_in``,
            ``unknown_in``, the strengths it receives by sign; ``balance`` (missing where it
            receives none of known sign); ``exc_out``, ``inh_out``, ``unknown_out``, those it
            sends; and ``minority_fraction``, the share of the signed strength it sends that is
            of its lesser sign.
        """
        import pandas as pd

        edges, n = self._edges, self.n_nodes
        columns: dict[str, Any] = {"neuron": list(edges.nodes)}
        signs = pd.Series(majority_signs(edges)[0], dtype="Int8")
        columns["sign"] = signs.mask(signs == 0)
        ends = {"in": edges.post, "out": edges.pre}
        columns |= {
            f"{side}_degree": np.bincount(end, minlength=n)
            for side, end in ends.items()
        }
        columns |= {
            f"{side}_strength": np.bincount(end, edges.weight, minlength=n)
            for side, end in ends.items()
        }
        kinds = {"exc": 1, "inh": -1, "unknown": 0}
        parts = {
            f"{kind}_{side}": np.bincount(
                end, edges.weight * (edges.sign == sign), minlength=n
            )
            for side, end in ends.items()
            for kind, sign in kinds.items()
        }
        columns |= {
            name: values for name, values in parts.items() if name.endswith("_in")
        }
        columns["balance"] = _ratio(
            parts["exc_in"] - parts["inh_in"], parts["exc_in"] + parts["inh_in"]
        )
        columns |= {
            name: values for name, values in parts.items() if name.endswith("_out")
        }
        lesser = np.minimum(parts["exc_out"], parts["inh_out"])
        columns["minority_fraction"] = _ratio(
            lesser, parts["exc_out"] + parts["inh_out"]
        )
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return every measure of the whole graph, its spectrum too, as JSON can hold it.

        Undefined ones are None.
        """
        counts = (
            "n_nodes",
            "n_edges",
            "n_exc",
            "n_inh",
            "n_unknown",
            "n_senders",
            "n_mixed",
            "n_violating",
        )
        weights = ("total_weight", "signed_weight", "violating_weight")
        shares = (
            "violating_fraction",
            "violating_edge_fraction",
            "reciprocity",
            "weight_reciprocity",
        )
        values: dict[str, Any] = {
            name: getattr(self, name) for name in (*counts, *weights)
        }
        for name in shares:
            share = getattr(self, name)
            values[name] = None if math.isnan(share) else share
        return {**values, "spectrum": self.spectrum.to_dict()}

    def __str__(self) -> str:
        text = (
            f"{self.n_nodes:,} nodes, {self.n_edges:,} edges: {self.n_exc:,} excitatory,"
            f" {self.n_inh:,} inhibitory, {self.n_unknown:,} of unknown sign. "
        )
        if not (self.n_exc and self.n_inh):
            text += "Dale's law cannot be judged without edges of both signs. "
        else:
            balance = self.table()["balance"].dropna()
            text += (
                f"Dale's law: {self.n_mixed:,} of {self.n_senders:,} senders have edges of"
                f" both signs; {_percent(self.violating_fraction)} of their weight and"
                f" {_percent(self.violating_edge_fraction)} of their edges are of the"
                " sender's minority sign. "
            )
            if len(balance):  # unless they all weigh 0
                n_more = int((balance > 0).sum())
                text += (
                    f"More excitation than inhibition reaches {n_more:,} of the"
                    f" {len(balance):,} nodes that receive edges of known sign (median"
                    f" balance {balance.median():+.2f}). "
                )
        if math.isnan(self.reciprocity):
            return text + "No edge leads to another node."
        edges, weight = _percent(self.reciprocity), _percent(self.weight_reciprocity)
        return text + f"{edges} of edges have one back, and {weight} of the weight."


def graph_summary(
    graph: GraphLike, *, weight: str | None = signed_edges.WEIGHT
) -> GraphSummary:
    r"""Describe a signed graph: Dale's law, balance, degrees and strengths, reciprocity, spectrum.

    With the strength :math:`w_{ij} \ge 0` and the sign :math:`s_{ij}` of the edge from node
    :math:`j` to node :math:`i`, and with :math:`E` and :math:`I` the summed strengths of
    excitatory and of inhibitory edges,

    ========================  =========================================================================================
    violating fraction        :math:`\sum_j \min(E_j, I_j) / \sum_j (E_j + I_j)`, sums over what node :math:`j` sends
    balance of a node         :math:`(E_i - I_i) / (E_i + I_i)`, sums over what node :math:`i` receives; in [-1, 1]
    reciprocity               :math:`|\{ij : ji \text{ is an edge too}\}| / |\{ij\}|`, over :math:`i \neq j`
    weight reciprocity        :math:`\sum \min(w_{ij}, w_{ji}) / \sum w_{ij}`, over :math:`i \neq j`
    ========================  =========================================================================================

    A violating *edge* is of the sign that weighs less among its sender's; where both weigh the
    same, of that with fewer edges. Edges of unknown sign count in degrees, strengths and
    reciprocity, and in nothing else.

    Args:
        graph: A networkx ``DiGraph``, or what has a method ``graph`` that gives one, such as a
            connectome: edges with ``weight`` (its magnitude counts; 1 where an edge has neither
            that nor another number) and ``sign`` (+1, -1 or None; None is read as the ``sign``
            of the sender, if it has one).
        weight: Name of the attribute of edges that holds their strengths, where it is not
            "weight"; None to take every edge as 1.

    Returns:
        A :class:`GraphSummary`; ``table()`` has the measures of every node.

    Raises:
        TypeError: If ``graph`` is no digraph.
        ValueError: If it has no node, a sign is none, or a strength is missing or not a finite
            number.

    Example:
        >>> from daleml.datasets import fly_visual
        >>> print(graph_summary(fly_visual()))
        65 nodes, 605 edges: 377 excitatory, 228 inhibitory, 0 of unknown sign. Dale's law: 4 of 63 senders have edges
        of both signs; 2.1% of their weight and 2.8% of their edges are of the sender's minority sign. More excitation
        than inhibition reaches 49 of the 65 nodes that receive edges of known sign (median balance +0.25). 44.1% of
        edges have one back, and 14.9% of the weight.

    Notes:
        ``networkx.reciprocity`` counts an edge from a node to itself among those that could
        have one back; here it is left out of both sums.

    References:
        Squartini, Picciolo, Ruzzenenti & Garlaschelli 2013 Sci Rep 3:2729, for the reciprocity
        of weights.
    """
    edges = signed_edges.signed_edges(signed_edges.digraph("graph", graph), weight)
    n = len(edges.nodes)
    sums = [
        np.bincount(edges.pre, edges.weight * (edges.sign == sign), minlength=n)
        for sign in (1, -1)
    ]
    counts = [
        np.bincount(edges.pre[edges.sign == sign], minlength=n) for sign in (1, -1)
    ]
    exc_is_minor = (sums[0] < sums[1]) | (
        (sums[0] == sums[1]) & (counts[0] < counts[1])
    )
    mixed = (counts[0] > 0) & (counts[1] > 0)
    reciprocity, weight_reciprocity = _reciprocities(edges)
    return GraphSummary(
        n_nodes=n,
        n_edges=edges.pre.size,
        n_exc=int(counts[0].sum()),
        n_inh=int(counts[1].sum()),
        total_weight=float(edges.weight.sum()),
        signed_weight=float(edges.weight[edges.sign != 0].sum()),
        n_senders=int(((counts[0] > 0) | (counts[1] > 0)).sum()),
        n_mixed=int(mixed.sum()),
        n_violating=int(np.where(exc_is_minor, counts[0], counts[1])[mixed].sum()),
        violating_weight=float(np.minimum(*sums).sum()),
        reciprocity=reciprocity,
        weight_reciprocity=weight_reciprocity,
        _edges=edges,
    )


class SignedMatrix(NamedTuple):
    """The signed weights of a graph.

    Attributes:
        nodes: What the rows and the columns stand for.
        values: ``(post, pre)``, float64; 0 where there is no edge.
    """

    nodes: tuple[Any, ...]
    values: NDArray[np.float64]


def signed_matrix(
    graph: GraphLike,
    *,
    nodes: Sequence[Any] | None = None,
    drop_unknown: bool = False,
    weight: str | None = signed_edges.WEIGHT,
) -> SignedMatrix:
    r"""Write a signed graph as a matrix :math:`W_{ij} = s_{ij} w_{ij}`, from node :math:`j` to node :math:`i`.

    Args:
        graph: As for :func:`graph_summary`.
        nodes: All nodes of the graph in the order wanted; default: its own order.
            :func:`graph_populations` gives the order of a layer.
        drop_unknown: Whether to leave edges of unknown sign out, instead of refusing the graph.
        weight: As for :func:`graph_summary`.

    Shape:
        - ``values``: (nodes, nodes), a row a receiver, a column a sender.

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
    edges = signed_edges.signed_edges(signed_edges.digraph("graph", graph), weight)
    n_unknown = int((edges.sign == 0).sum())
    if n_unknown and not drop_unknown:
        raise ValueError(
            "`graph` must have a sign on every edge, unless `drop_unknown` is True; "
            f"got {n_unknown} of {edges.sign.size} without."
        )
    order = _in_order(edges.nodes, nodes)
    rank = {node: i for i, node in enumerate(order)}
    return SignedMatrix(
        order, _dense(edges, np.array([rank[node] for node in edges.nodes]))
    )


def graph_populations(
    graph: GraphLike,
    *,
    drop_minority: bool = False,
    weight: str | None = signed_edges.WEIGHT,
) -> tuple[Populations, tuple[Any, ...]]:
    """Return the partition of a signed graph's nodes, and the nodes in its order.

    Excitatory ones first.

    Args:
        graph: As for :func:`graph_summary`. A node's sign is its attribute ``sign``, or that of
            the edges it sends; a node that says nothing and sends nothing excites.
        drop_minority: Whether a node that sends both signs gets that of the greater weight,
            instead of being refused.
        weight: As for :func:`graph_summary`.

    Raises:
        TypeError: If ``graph`` is no digraph.
        ValueError: If a sign is unknown, or a node sends both; :func:`lawful_graph` has rules
            for both cases.

    Example:
        >>> from daleml.analysis import lawful_graph
        >>> from daleml.datasets import fly_visual
        >>> populations, nodes = graph_populations(lawful_graph(fly_visual(), "majority"))
        >>> populations, nodes[0], nodes[-1]
        (Populations(n_exc=40, n_inh=25), 'L2', 'TmY15')
    """
    _, nodes, n_exc = signed_edges.signed_nodes(
        graph, drop_minority=drop_minority, weight=weight
    )
    return Populations(n_exc, len(nodes) - n_exc), tuple(nodes)


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
    given = signed_edges.digraph("graph", graph)
    signed_edges.require_node(given)
    return signed_edges.present(given, list(_in_order(tuple(given), nodes)))


def _in_order(have: tuple[Any, ...], wanted: Sequence[Any] | None) -> tuple[Any, ...]:
    if wanted is None:
        return have
    order = tuple(wanted)
    if len(order) != len(have) or set(order) != set(have):
        raise ValueError(
            f"`nodes` must be the {len(have)} nodes of the graph, each once; got"
            f" {len(order)} others."
        )
    return order


def _dense(edges: SignedEdges, rank: NDArray[Any]) -> NDArray[np.float64]:
    """Write edges as a matrix, node ``i`` of the graph at ``rank[i]``."""
    values = np.zeros((len(edges.nodes), len(edges.nodes)))
    values[rank[edges.post], rank[edges.pre]] = edges.sign * edges.weight
    return values


def _reciprocities(edges: SignedEdges) -> tuple[float, float]:
    between = edges.pre != edges.post
    weights = dict(
        zip(
            zip(edges.pre[between], edges.post[between], strict=True),
            edges.weight[between].tolist(),
            strict=True,
        )
    )
    both = [
        min(weight, weights[post, pre])
        for (pre, post), weight in weights.items()
        if (post, pre) in weights
    ]
    total = math.fsum(weights.values())
    return (
        len(both) / len(weights) if weights else math.nan,
        math.fsum(both) / total if total else math.nan,
    )


def _percent(share: float) -> str:
    return "none" if math.isnan(share) else f"{share:.1%}"


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Divide, NaN where there is nothing to divide by."""
    ratio: NDArray[np.float64] = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
