"""Connectome: neurons, and the signed, weighted connections between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from daleml._support import edge_columns
from daleml._support.signed_edges import SignedEdges

if TYPE_CHECKING:
    import networkx as nx
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame, Series

# The columns of every table of edges; a data set may have more.
_EDGE_COLUMNS = ("source", "target", "weight", "sign")


@dataclass(frozen=True, eq=False)
class Connectome:
    r"""A directed graph whose edges have a strength and, where it is known, a sign.

    The strength :math:`w_{ij} > 0` and the sign :math:`s_{ij} \in \{+1, -1\}` of the edge from
    neuron :math:`j` to neuron :math:`i` are kept apart. Dale's law says
    :math:`s_{ij} = s_j`: all edges of one sender have one sign.

    Args:
        name: What was measured.
        neurons: One row per neuron: ``neuron``, its name, then whatever is known of it.
        edges: One row per ordered pair: ``source``, ``target``, ``weight`` (a magnitude), ``sign``
            (+1, -1, or missing where unknown), then any further columns.
        source: Where the tables come from.
        licence: Terms under which they are shared.
        citation: What to cite.
        weight_unit: Unit of ``weight``.
        notes: What a reader decided while it read the tables, a sentence each.

    Raises:
        ValueError: If a column is missing, or a pair of neurons is listed twice.

    Example:
        >>> from daleml.datasets import celegans
        >>> worm = celegans()
        >>> print(worm)
        C. elegans, signs by receptor: 302 neurons, 3638 edges, 1752 of known sign
        Fenyves et al. 2020 PLoS Comput Biol 16:e1007974; Wang et al. 2024 eLife 13:RP95402
        >>> worm.graph()["ADAL"]["AVAR"]
        {'weight': 7.0, 'sign': 1}

    References:
        Eccles, Fatt & Koketsu 1954, for the law.
    """

    name: str
    neurons: DataFrame = field(repr=False)
    edges: DataFrame = field(repr=False)
    source: str
    licence: str
    citation: str
    weight_unit: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_columns("neurons", self.neurons, ("neuron",))
        _require_columns("edges", self.edges, _EDGE_COLUMNS)
        repeats = int(self.edges.duplicated(["source", "target"]).sum())
        # A DiGraph would keep only the last of them, without a word.
        if repeats:
            raise ValueError(
                f"`edges` must list each source and target once; got {repeats} again."
            )

    def __str__(self) -> str:
        n = self.to_dict()
        known = n["n_edges_exc"] + n["n_edges_inh"]
        counts = (
            f"{n['n_neurons']} neurons, {n['n_edges']} edges, {known} of known sign"
        )
        return "\n".join([f"{self.name}: {counts}", *self.notes, self.citation])

    def graph(self) -> nx.DiGraph:
        """The connectome as a networkx graph.

        Returns:
            A ``DiGraph``. Nodes are the neurons of the table, isolated ones too, with its columns
            as attributes, and any neuron only an edge names, with none. Edges have ``weight``
            (float) and ``sign`` (+1, -1, or None where unknown). Missing values become None.

        Example:
            >>> from daleml.datasets import celegans
            >>> graph = celegans().graph()
            >>> graph.number_of_nodes(), graph.number_of_edges(), graph.degree("CANL")
            (302, 3638, 0)
        """
        import networkx as nx
        import pandas as pd

        graph = nx.DiGraph(name=self.name)
        for row in self.neurons.to_dict("records"):
            name = row.pop("neuron")
            # networkx wants text as names of attributes, and knows None, not pandas' NA.
            known = {str(key): _known(value) for key, value in row.items()}
            graph.add_node(name, **known)
        columns = (self.edges[column] for column in _EDGE_COLUMNS)
        for source, target, weight, sign in zip(*columns, strict=True):
            edge_sign = None if pd.isna(sign) else int(sign)
            graph.add_edge(source, target, weight=float(weight), sign=edge_sign)
        return graph

    def _in_columns(
        self, weight: str | None, attributes: Sequence[str]
    ) -> SignedEdges | None:
        """Return the edges without a graph, unless a subclass says what the graph is."""
        if type(self).graph is not Connectome.graph:
            return None
        return edge_columns.in_columns(self.neurons, self.edges, weight, attributes)

    def weights(self, sign: int | None = None) -> NDArray[np.float64]:
        """Magnitudes of the edges, of one sign or of all.

        Args:
            sign: +1 or -1 for the edges of that sign; None for every edge, unknown signs included.

        Returns:
            A new one-dimensional float64 array, in the order of ``edges``. Inhibitory edges are
            positive here too: the sign is a fact of its own.

        Raises:
            ValueError: If ``sign`` is none of these.

        Example:
            >>> from daleml.datasets import fly_visual
            >>> [fly_visual().weights(sign).size for sign in (None, +1, -1)]
            [605, 377, 228]
        """
        if sign not in (None, 1, -1):
            raise ValueError(f"`sign` must be None, +1 or -1; got {sign!r}.")
        edges = self.edges
        if sign is not None:
            edges = edges[_has_sign(edges, sign)]
        return edges["weight"].to_numpy(dtype="float64", copy=True)

    def dale_violations(self) -> DataFrame:
        """The senders that break Dale's law: those with edges of both signs.

        Returns:
            One row per sender, by name: ``neuron``, ``n_exc`` and ``n_inh`` (its edges of each
            sign) and ``minority_fraction``, the fraction of its signed weight that is of its
            lesser sign, at most 0.5. Edges of unknown sign count for nothing.

        Example:
            >>> from daleml.datasets import fly_visual
            >>> print(fly_visual().dale_violations().round(3).to_string(index=False))
            neuron  n_exc  n_inh  minority_fraction
                Am      2      9              0.326
                C2      2     12              0.154
                C3      2     20              0.145
                R8      4      5              0.483
        """
        import pandas as pd

        sides = []
        for name, sign in (("exc", 1), ("inh", -1)):
            sent = self.edges[_has_sign(self.edges, sign)].groupby("source")["weight"]
            side = sent.agg(["size", "sum"])
            sides.append(side.set_axis([f"n_{name}", name], axis=1))
        # Only a sender that is in both tables has edges of both signs.
        both = pd.concat(sides, axis=1, join="inner").sort_index()
        weights = both[["exc", "inh"]]
        both["minority_fraction"] = weights.min(axis=1) / weights.sum(axis=1)
        table = both.rename_axis("neuron").reset_index()
        return table[["neuron", "n_exc", "n_inh", "minority_fraction"]]

    def to_dict(self) -> dict[str, Any]:
        """Where the connectome comes from and how large it is, as JSON can hold it.

        Returns:
            ``name``, ``source``, ``licence``, ``citation``, ``weight_unit``; then ``n_neurons``,
            ``n_connected`` (those with an edge), ``n_edges``, ``n_edges_exc``, ``n_edges_inh``,
            ``n_edges_unknown`` and ``total_weight``.

        Example:
            >>> from daleml.datasets import fly_visual
            >>> fly_visual().to_dict()["n_edges"]
            605
        """
        # An edge may name a neuron that the table of neurons lacks.
        connected = set(self.edges["source"].unique())
        connected.update(self.edges["target"].unique())
        n_exc = int(_has_sign(self.edges, 1).sum())
        n_inh = int(_has_sign(self.edges, -1).sum())
        return {
            "name": self.name,
            "source": self.source,
            "licence": self.licence,
            "citation": self.citation,
            "weight_unit": self.weight_unit,
            "n_neurons": len(connected | set(self.neurons["neuron"])),
            "n_connected": len(connected),
            "n_edges": len(self.edges),
            "n_edges_exc": n_exc,
            "n_edges_inh": n_inh,
            "n_edges_unknown": len(self.edges) - n_exc - n_inh,
            "total_weight": float(self.edges["weight"].sum()),
        }


def _has_sign(edges: DataFrame, sign: int) -> Series[bool]:
    """Return which edges are known to have a sign."""
    # An unknown sign compared to a number is unknown.
    return edges["sign"].eq(sign).fillna(False).astype(bool)


def _known(value: Any) -> Any:
    """Return a value of a table, None where it is missing."""
    import pandas as pd

    return None if pd.isna(value) else value


def _require_columns(
    argument: str, frame: DataFrame, required: tuple[str, ...]
) -> None:
    missing = [column for column in required if column not in frame.columns]
    if missing:
        rule = f"`{argument}` must have the columns {', '.join(required)}"
        others = list(map(str, frame.columns.difference(list(required), sort=False)))
        beside = f", but {', '.join(others)}" if others else ""
        raise ValueError(f"{rule}; got none called {', '.join(missing)}{beside}.")
