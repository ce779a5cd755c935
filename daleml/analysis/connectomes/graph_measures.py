"""Measures of a connectome as a signed graph: Dale's law, balance, degrees, reciprocity."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from daleml import reading
from daleml._support.digraph_edges import GraphLike, read_graph
from daleml._support.signed_edges import WEIGHT, SignedEdges
from daleml.analysis.connectomes.graph_arrays import dense
from daleml.analysis.connectomes.sign_rules import majority_signs
from daleml.analysis.spectra import Spectrum, spectrum

if TYPE_CHECKING:
    from pandas import DataFrame

LARGEST_SPECTRUM = 20_000
"""The most nodes whose spectrum is computed, of a matrix that takes 3 GB."""

_MEASURES = (
    "n_nodes",
    "n_edges",
    "n_exc",
    "n_inh",
    "n_unknown",
    "n_senders",
    "n_mixed",
    "n_violating",
    "total_weight",
    "signed_weight",
    "violating_weight",
    "violating_fraction",
    "violating_edge_fraction",
    "reciprocity",
    "weight_reciprocity",
)


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
        reciprocity: Fraction of edges that have one back.
        weight_reciprocity: Fraction of the strength that comes back.

    Example:
        >>> from daleml.datasets import fly_visual
        >>> summary = graph_summary(fly_visual())
        >>> summary.n_mixed, round(summary.violating_fraction, 3)
        (4, 0.021)
        >>> summary.table().query("balance < 0").shape[0]
        15
        >>> round(summary.spectrum.svd_entropy, 2)
        0.78
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
        """Fraction of the signed weight that is of its sender's minority sign: at most a half.

        NaN if there is none.
        """
        return _fraction(self.violating_weight, self.signed_weight)

    @property
    def violating_edge_fraction(self) -> float:
        """Fraction of the edges of known sign that are of their sender's minority sign.

        NaN if there is none.
        """
        return _fraction(self.n_violating, self.n_exc + self.n_inh)

    @functools.cached_property
    def spectrum(self) -> Spectrum:
        """Spectrum of the signed matrix ``(post, pre)``, edges of unknown sign left out.

        Computed when asked for.

        Raises:
            ValueError: If there are more than 20,000 nodes, whose matrix would not fit.
        """
        if self.n_nodes > LARGEST_SPECTRUM:
            raise ValueError(
                f"`graph` must have at most {LARGEST_SPECTRUM:,} nodes for the spectrum of its"
                f" matrix; got {self.n_nodes:,}: give a sparse matrix to"
                " `spectrum(weights, k=6)` for the largest singular values."
            )
        # A dense matrix of all nodes: only whoever asks for it pays for it.
        return spectrum(dense(self._edges, np.arange(self.n_nodes)))

    def table(self) -> DataFrame:
        """The measures of every node.

        Returns:
            One row per node, in the order of the graph: ``neuron``; ``sign``, of most of the
            signed weight it sends (missing if it sends none, or ties); ``in_degree``,
            ``out_degree``, ``in_strength``, ``out_strength``; ``exc_in``, ``inh_in``,
            ``unknown_in``, the strengths it receives by sign; ``balance`` (missing where it
            receives none of known sign); ``exc_out``, ``inh_out``, ``unknown_out``, those it
            sends; and ``minority_fraction``, the fraction of the signed strength it sends that
            is of its lesser sign.
        """
        import pandas as pd

        edges, n = self._edges, self.n_nodes
        columns: dict[str, Any] = {"neuron": list(edges.nodes)}
        # pandas' Int8 knows missing values, and NumPy's int8 does not.
        signs = pd.Series(majority_signs(edges)[0], dtype="Int8")
        columns["sign"] = signs.mask(signs == 0)
        ends = {"in": edges.post, "out": edges.pre}
        # The columns stand in the order in which the docstring names them.
        for side, end in ends.items():
            columns[f"{side}_degree"] = np.bincount(end, minlength=n)
        for side, end in ends.items():
            columns[f"{side}_strength"] = np.bincount(end, edges.weight, minlength=n)
        received, sent = _by_sign(edges, edges.post), _by_sign(edges, edges.pre)
        for kind, strengths in received.items():
            columns[f"{kind}_in"] = strengths
        both = received["exc"] + received["inh"]
        columns["balance"] = _ratio(received["exc"] - received["inh"], both)
        for kind, strengths in sent.items():
            columns[f"{kind}_out"] = strengths
        lesser = np.minimum(sent["exc"], sent["inh"])
        columns["minority_fraction"] = _ratio(lesser, sent["exc"] + sent["inh"])
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return every measure of the whole graph, its spectrum too, as JSON can hold it.

        Undefined ones are None, and so is the spectrum of more than 20,000 nodes.
        """
        values: dict[str, Any] = {}
        # JSON has no NaN.
        for name in _MEASURES:
            value = getattr(self, name)
            values[name] = None if math.isnan(value) else value
        found = None
        if self.n_nodes <= LARGEST_SPECTRUM:
            found = self.spectrum.to_dict()
        return values | {"spectrum": found}

    def __str__(self) -> str:
        text = (
            f"{self.n_nodes:,} nodes, {self.n_edges:,} edges: {self.n_exc:,} excitatory,"
            f" {self.n_inh:,} inhibitory, {self.n_unknown:,} of unknown sign. "
        )
        # Edges of one sign cannot break the law.
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
            # No node has a balance where all edges weigh 0.
            if len(balance):
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
    graph: GraphLike | Any,
    *,
    weight: str | None = WEIGHT,
    rows: Literal["post", "pre"] | None = None,
) -> GraphSummary:
    r"""Describe a signed graph: Dale's law, balance, degrees and strengths, reciprocity, spectrum.

    With the strength :math:`w_{ij} \ge 0` and the sign :math:`s_{ij}` of the edge from node
    :math:`j` to node :math:`i`, and with :math:`E` and :math:`I` the summed strengths of
    excitatory and of inhibitory edges,

    ==================  =====================================================================
    measure             definition
    ==================  =====================================================================
    violating fraction  :math:`\sum_j \min(E_j, I_j) / \sum_j (E_j + I_j)`, sums over what node
                        :math:`j` sends
    balance of a node   :math:`(E_i - I_i) / (E_i + I_i)`, sums over what node :math:`i`
                        receives; in [-1, 1]
    reciprocity         :math:`|\{ij : ji \text{ is an edge too}\}| / |\{ij\}|`, over
                        :math:`i \neq j`
    weight reciprocity  :math:`\sum \min(w_{ij}, w_{ji}) / \sum w_{ij}`, over
                        :math:`i \neq j`
    ==================  =====================================================================

    A violating *edge* is of the sign that weighs less among its sender's; where both weigh the
    same, of that with fewer edges. Edges of unknown sign count in degrees, strengths and
    reciprocity, and in nothing else.

    Args:
        graph: A networkx ``DiGraph``, or what has a method ``graph`` that gives one, such as a
            connectome: edges with ``weight`` (its magnitude counts; 1 where an edge has neither
            that nor another number) and ``sign`` (+1, -1, or None or NaN: then it is the ``sign``
            of the sender, if it has one). Or a matrix of scipy.sparse, or a table of edges or a
            file of one, as ``EIRNN.from_graph`` takes them.
        weight: Name of the attribute of edges that holds their strengths, where it is not
            "weight"; None to take every edge as 1.
        rows: What a row of a sparse matrix is: "post", the synapses onto a unit, or "pre".

    Returns:
        A :class:`GraphSummary`; ``table()`` has the measures of every node.

    Raises:
        TypeError: If ``graph`` is no digraph.
        ValueError: If it has no node, a sign is none, or a strength is missing or not a finite
            number.

    Example:
        >>> from daleml.datasets import fly_visual
        >>> print(graph_summary(fly_visual()))  # doctest: +NORMALIZE_WHITESPACE
        65 nodes, 605 edges: 377 excitatory, 228 inhibitory, 0 of unknown sign. Dale's law: 4 of
        63 senders have edges of both signs; 2.1% of their weight and 2.8% of their edges are of
        the sender's minority sign. More excitation than inhibition reaches 49 of the 65 nodes
        that receive edges of known sign (median balance +0.25). 44.1% of edges have one back,
        and 14.9% of the weight.

    Notes:
        ``networkx.reciprocity`` counts an edge from a node to itself among those that could
        have one back; here it is left out of both sums.

    References:
        Squartini, Picciolo, Ruzzenenti & Garlaschelli 2013 Sci Rep 3:2729, for the reciprocity
        of weights.
    """
    edges = read_graph(reading.opened(graph, weight, rows=rows), weight)
    n = len(edges.nodes)
    exc, inh = edges.sign == 1, edges.sign == -1
    exc_weight = np.bincount(edges.pre, edges.weight * exc, minlength=n)
    inh_weight = np.bincount(edges.pre, edges.weight * inh, minlength=n)
    exc_count = np.bincount(edges.pre[exc], minlength=n)
    inh_count = np.bincount(edges.pre[inh], minlength=n)
    # The minority sign weighs less; where both weigh the same, it has fewer edges.
    is_tie = exc_weight == inh_weight
    exc_is_minor = (exc_weight < inh_weight) | (is_tie & (exc_count < inh_count))
    minor_count = np.where(exc_is_minor, exc_count, inh_count)
    # A sender of one sign has no minority.
    mixed = (exc_count > 0) & (inh_count > 0)
    reciprocity, weight_reciprocity = _reciprocities(edges)
    return GraphSummary(
        n_nodes=n,
        n_edges=edges.pre.size,
        n_exc=int(exc_count.sum()),
        n_inh=int(inh_count.sum()),
        total_weight=float(edges.weight.sum()),
        signed_weight=float(edges.weight[edges.sign != 0].sum()),
        n_senders=int((exc_count + inh_count > 0).sum()),
        n_mixed=int(mixed.sum()),
        n_violating=int(minor_count[mixed].sum()),
        violating_weight=float(np.minimum(exc_weight, inh_weight).sum()),
        reciprocity=reciprocity,
        weight_reciprocity=weight_reciprocity,
        _edges=edges,
    )


def _by_sign(edges: SignedEdges, end: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the strengths of each node's edges by their sign, at one end of the edges."""
    strengths = {}
    for kind, sign in (("exc", 1), ("inh", -1), ("unknown", 0)):
        weight = edges.weight * (edges.sign == sign)
        strengths[kind] = np.bincount(end, weight, minlength=len(edges.nodes))
    return strengths


def _reciprocities(edges: SignedEdges) -> tuple[float, float]:
    """Return the fractions of edges, and of strength, that come back."""
    between = edges.pre != edges.post
    pre, post = edges.pre[between].astype(np.int64), edges.post[between]
    weights, n = edges.weight[between], len(edges.nodes)
    # A pair is one number, and its reverse another.
    forth, back = pre * n + post, post * n + pre
    order = np.argsort(forth)
    place = np.searchsorted(forth, back, sorter=order)
    found = order[np.minimum(place, len(order) - 1)] if len(order) else order
    returns = forth[found] == back
    both = np.minimum(weights, weights[found])[returns]
    # `fsum` rounds once, so that the order of the edges does not matter.
    total = math.fsum(weights)
    return _fraction(len(both), len(weights)), _fraction(math.fsum(both), total)


def _fraction(part: float, whole: float) -> float:
    """Divide, NaN if there is nothing to divide by."""
    return part / whole if whole else math.nan


def _percent(fraction: float) -> str:
    return "none" if math.isnan(fraction) else f"{fraction:.1%}"


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """Divide, NaN where there is nothing to divide by."""
    ratio: NDArray[np.float64] = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
