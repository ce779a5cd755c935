"""Rules that make a graph of any signs, or none, keep Dale's law, and what each of them costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from daleml import reading
from daleml._support.digraph_edges import GraphLike, read_graph
from daleml._support.signed_edges import WEIGHT, SignedEdges
from daleml.analysis.connectomes.signed_graphs import (
    NewSigns,
    SignedSource,
    signed_source,
)

if TYPE_CHECKING:
    import networkx as nx
    from pandas import DataFrame

SignRule = Literal["transmitter", "majority", "drop"]
"""The name of a rule that makes a graph keep the law."""

_RULES = ("transmitter", "majority", "drop")


@dataclass(frozen=True, eq=False)
class LawfulGraph:
    """A graph that keeps Dale's law, and what was done to another so that it does.

    Attributes:
        rule: How senders got their signs.
        n_edges: Number of edges of the graph as it was.
        n_assigned: Number of edges that had no sign and got their sender's.
        n_flipped: Number of edges that had the other sign and got their sender's.
        n_dropped: Number of edges left out.
        total_weight: Weight of the edges as they were.
        assigned_weight: Weight of those that had no sign.
        flipped_weight: Weight of those that had the other.
        dropped_weight: Weight of those left out.
        excitatory: The senders of positive edges, in the order of the graph.
        inhibitory: The senders of negative ones.
        tied: Senders whose edges of both signs weigh the same, so that the rule gives them none.
        unknown: Senders of which nothing is known to give them a sign.

    Example:
        >>> from daleml.datasets import fly_visual
        >>> lawful = lawful_graph(fly_visual(), "majority")
        >>> lawful.n_flipped, len(lawful.excitatory), lawful.tied
        (17, 38, ())
        >>> lawful.graph().number_of_edges()
        605
        >>> lawful.table().query("n_flipped > 0")["neuron"].tolist()
        ['R8', 'Am', 'C2', 'C3']
    """

    rule: SignRule
    n_edges: int
    n_assigned: int
    n_flipped: int
    n_dropped: int
    total_weight: float
    assigned_weight: float
    flipped_weight: float
    dropped_weight: float
    excitatory: tuple[Any, ...] = field(repr=False)
    inhibitory: tuple[Any, ...] = field(repr=False)
    tied: tuple[Any, ...] = field(repr=False)
    unknown: tuple[Any, ...] = field(repr=False)
    _source: SignedSource = field(repr=False)
    _columns: Mapping[str, Any] = field(repr=False)

    def graph(self) -> nx.DiGraph[Any]:
        """Return the lawful graph, as a copy.

        It has every node of the other graph, with ``sign`` on what the rule has signed.
        """
        return self._source.graph()

    def _in_columns(self, weight: str | None, attributes: Sequence[str]) -> SignedEdges:
        return self._source.in_columns(weight, attributes)

    def table(self) -> DataFrame:
        """What was done to each sender.

        Returns:
            One row per sender, in the order of the graph: ``neuron``, ``sign`` (missing where it
            has none), ``n_edges``, ``n_assigned``, ``n_flipped``, ``n_dropped`` and
            ``dropped_weight``.
        """
        import pandas as pd

        table = pd.DataFrame(dict(self._columns))
        table["sign"] = table["sign"].astype("Int8").mask(table["sign"] == 0)
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return counts, weights and the names of the senders, as JSON can hold them."""
        counts = ("n_edges", "n_assigned", "n_flipped", "n_dropped")
        weights = (
            "total_weight",
            "assigned_weight",
            "flipped_weight",
            "dropped_weight",
        )
        groups = ("excitatory", "inhibitory", "tied", "unknown")
        values: dict[str, Any] = {"rule": self.rule}
        for name in (*counts, *weights):
            values[name] = getattr(self, name)
        for name in groups:
            values[name] = list(map(str, getattr(self, name)))
        return values

    def __str__(self) -> str:
        dropped = self.dropped_weight / (self.total_weight or 1.0)
        senders = {
            "excitatory": self.excitatory,
            "inhibitory": self.inhibitory,
            "tied": self.tied,
            "unknown": self.unknown,
        }
        counts = ", ".join(f"{len(group):,} {name}" for name, group in senders.items())
        return (
            f"Signs by {self.rule}: senders {counts}. Of {self.n_edges:,} edges,"
            f" {self.n_assigned:,} got a sign, {self.n_flipped:,} changed theirs, and"
            f" {self.n_dropped:,} were left out, {dropped:.1%} of the weight."
        )


def lawful_graph(
    graph: GraphLike | Any,
    rule: SignRule,
    *,
    attribute: str | None = None,
    signs: Mapping[str, int] | None = None,
    otherwise: int | None = None,
    weight: str | None = WEIGHT,
    rows: Literal["post", "pre"] | None = None,
) -> LawfulGraph:
    r"""Make a graph keep Dale's law, by one of three rules, and say what that changed.

    With the strengths :math:`w_{ij} > 0` and, where they are known, the signs :math:`s_{ij}` of
    the edges from node :math:`j` to node :math:`i`, each sender gets one sign :math:`s_j`:

    - ``"transmitter"``: :math:`s_j = s(t_j)`, of its transmitter. All its edges get it,
      whatever theirs was.
    - ``"majority"``: :math:`s_j = \operatorname{sign} \sum_i s_{ij} w_{ij}`, over its edges of
      known sign. All its edges get it.
    - ``"drop"``: the same :math:`s_j`, but no edge is given a sign: those with :math:`s_{ij}
      \neq s_j`, and those of unknown sign, are left out.

    A sender that a rule gives no sign loses its edges, unless ``otherwise`` gives it one. Nodes
    are never left out.

    Args:
        graph: A networkx ``DiGraph``, or what has a method ``graph`` that gives one, such as a
            connectome: edges with ``weight`` (its magnitude counts; 1 where an edge has neither
            that nor another number) and ``sign`` (+1, -1, or None or NaN: then it is the ``sign``
            of the sender, if it has one). Or a matrix of scipy.sparse, or a table of edges or a
            file of one, as ``EIRNN.from_graph`` takes them.
        rule: Name of the rule.
        attribute: For ``"transmitter"``: the attribute of nodes that names it; default:
            "transmitter".
        signs: For ``"transmitter"``, where it has to be given: the sign of each transmitter, by
            name. A transmitter is not a sign; glutamate, for one, excites in the mammalian
            cortex and mostly inhibits in the fly. Names that are not in it have none.
        otherwise: Sign, +1 or -1, of the senders that the rule gives none.
        weight: Name of the attribute of edges that holds their strengths, where it is not
            "weight"; None to take every edge as 1.
        rows: What a row of a sparse matrix is: "post", the synapses onto a unit, or "pre".

    Returns:
        A :class:`LawfulGraph`. ``EIRNN.from_graph`` takes it as it is.

    Raises:
        TypeError: If ``graph`` is no digraph.
        ValueError: If there is no such rule, an argument is missing or belongs to another, a
            sign is none, or a strength is missing or not a finite number.

    Example:
        >>> from daleml.datasets import fly_visual
        >>> print(lawful_graph(fly_visual(), "drop"))  # doctest: +NORMALIZE_WHITESPACE
        Signs by drop: senders 38 excitatory, 25 inhibitory, 0 tied, 0 unknown. Of 605 edges, 0
        got a sign, 0 changed theirs, and 17 were left out, 2.1% of the weight.
        >>> lawful = lawful_graph(fly_visual(), "majority")
        >>> lawful.n_flipped, lawful.n_dropped
        (17, 0)

    Notes:
        ``EIRNN.from_graph(..., drop_minority=True)`` is the rule ``"drop"`` for a graph all of
        whose signs are known, except that a sender that ties excites there.
    """
    if rule not in _RULES:
        raise ValueError(
            f"`rule` must be one of {', '.join(map(repr, _RULES))}; got {rule!r}."
        )
    if rule != "transmitter":
        for name, value in (("attribute", attribute), ("signs", signs)):
            if value is not None:
                raise ValueError(
                    f"`{name}` must be left out unless `rule` is 'transmitter'; got"
                    f" {value!r}."
                )
    # True is an int, and would pass for +1.
    if isinstance(otherwise, bool) or otherwise not in (1, -1, None):
        raise ValueError(f"`otherwise` must be +1, -1 or None; got {otherwise!r}.")
    name = attribute or "transmitter"
    asked = (name,) if rule == "transmitter" else ()
    given = reading.opened(graph, weight, rows=rows)
    edges = read_graph(given, weight, asked)
    majority, tied = majority_signs(edges)
    of_node = majority
    if rule == "transmitter":
        of_node = _transmitter_signs(edges.attributes[name], name, signs)
        # A transmitter is known or not: no sender ties.
        tied = np.zeros_like(tied)
    sends = np.bincount(edges.pre, minlength=len(edges.nodes)) > 0
    # A node that sends nothing needs no sign.
    undecided = sends & (of_node == 0)
    if otherwise is not None:
        of_node = np.where(undecided, np.int8(otherwise), of_node)
    return _apply(given, edges, of_node, rule, undecided & tied, undecided & ~tied)


def majority_signs(edges: SignedEdges) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return the sign of most of the signed weight that each node sends, and which nodes tie.

    The sign of a node that ties, or sends nothing of known sign, is 0.
    """
    n = len(edges.nodes)
    exc, inh = edges.sign == 1, edges.sign == -1
    exc_weight = np.bincount(edges.pre, edges.weight * exc, minlength=n)
    inh_weight = np.bincount(edges.pre, edges.weight * inh, minlength=n)
    sends_exc = np.bincount(edges.pre[exc], minlength=n) > 0
    sends_inh = np.bincount(edges.pre[inh], minlength=n) > 0
    excess = np.sign(exc_weight - inh_weight)
    # Edges of one sign decide even if they all weigh 0.
    only = sends_exc.astype(np.int8) - sends_inh.astype(np.int8)
    signs = np.where(only != 0, only, excess).astype(np.int8)
    return signs, sends_exc & sends_inh & (excess == 0)


def _transmitter_signs(
    of_nodes: Sequence[Any], attribute: str, signs: Mapping[str, int] | None
) -> NDArray[np.int8]:
    """Return the sign of each node by its transmitter, 0 where that has none."""
    if signs is None:
        raise ValueError(
            "`signs` must give the sign of each transmitter where `rule` is 'transmitter';"
            " got None."
        )
    for name, sign in signs.items():
        # As above, True is no sign.
        if isinstance(sign, bool) or sign not in (1, -1):
            raise ValueError(f"`signs` must be +1 or -1; got {sign!r} for {name!r}.")
    # The transmitter of each node; empty where it has none, or something else by that name.
    names = [name if isinstance(name, str) else "" for name in of_nodes]
    there = sorted(set(names) - {""})
    if not there:
        raise ValueError(
            "`attribute` must name a transmitter in `signs` on some node; got"
            f" {attribute!r}."
        )
    if not set(signs) & set(there):
        raise ValueError(
            f"`signs` must name transmitters of the graph, {', '.join(there)}; got"
            f" {', '.join(signs)}."
        )
    return np.array([signs.get(name, 0) for name in names], dtype=np.int8)


def _apply(
    given: GraphLike,
    edges: SignedEdges,
    of_node: NDArray[np.int8],
    rule: SignRule,
    tied: NDArray[np.bool_],
    unknown: NDArray[np.bool_],
) -> LawfulGraph:
    """Return the graph whose senders have the signs of ``of_node``, and what that changed."""
    nodes, n = edges.nodes, len(edges.nodes)
    target = of_node[edges.pre]
    kept = target != 0
    if rule == "drop":
        kept &= target == edges.sign
    # An edge of unknown sign is assigned one; one of the other sign is flipped.
    assigned, flipped = kept & (edges.sign == 0), kept & (edges.sign == -target)
    source = signed_source(given, edges, NewSigns(of_node, kept, tied | unknown))

    def per_sender(
        which: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> NDArray[Any]:
        chosen = None if weights is None else weights[which]
        return np.bincount(edges.pre[which], chosen, minlength=n)[sends]

    sends = np.bincount(edges.pre, minlength=n) > 0
    everything = np.ones_like(kept)
    sent = np.bincount(edges.pre[kept], minlength=n) > 0
    return LawfulGraph(
        rule=rule,
        n_edges=kept.size,
        n_assigned=int(assigned.sum()),
        n_flipped=int(flipped.sum()),
        n_dropped=int((~kept).sum()),
        total_weight=float(edges.weight.sum()),
        assigned_weight=float(edges.weight[assigned].sum()),
        flipped_weight=float(edges.weight[flipped].sum()),
        dropped_weight=float(edges.weight[~kept].sum()),
        excitatory=_chosen(nodes, sent & (of_node == 1)),
        inhibitory=_chosen(nodes, sent & (of_node == -1)),
        tied=_chosen(nodes, tied),
        unknown=_chosen(nodes, unknown),
        _source=source,
        _columns={
            "neuron": list(_chosen(nodes, sends)),
            "sign": of_node[sends],
            "n_edges": per_sender(everything),
            "n_assigned": per_sender(assigned),
            "n_flipped": per_sender(flipped),
            "n_dropped": per_sender(~kept),
            "dropped_weight": per_sender(~kept, edges.weight),
        },
    )


def _chosen(nodes: tuple[Any, ...], which: NDArray[np.bool_]) -> tuple[Any, ...]:
    """Return the nodes that are marked."""
    return tuple(nodes[i] for i in np.flatnonzero(which))
