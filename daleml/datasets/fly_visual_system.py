"""The fly's visual system: connections between its cell types, all of them signed."""

from __future__ import annotations

from daleml.datasets.connectome import Connectome
from daleml.datasets.shipped_tables import read_table


def fly_visual() -> Connectome:
    r"""The fly's visual system: 65 cell types and 605 connections, each with a sign.

    A node is a cell type, not a cell. The weight of the edge from type :math:`j` to type :math:`i`
    adds the mean synapse counts :math:`n_{ij}(\delta)` of the columns :math:`\delta` from which a
    cell of type :math:`i` receives:

    .. math:: w_{ij} = \sum_\delta n_{ij}(\delta)

    Returns:
        A :class:`Connectome`. ``neurons`` has the names of the types only; ``edges`` has
        ``n_offsets`` too, the number of columns :math:`\delta` in the sum.

    Example:
        >>> from daleml.datasets import fly_visual
        >>> fly = fly_visual()
        >>> fly.weights(+1).size, fly.weights(-1).size
        (377, 228)
        >>> list(fly.dale_violations()["neuron"])
        ['Am', 'C2', 'C3', 'R8']

    Notes:
        The signs are those of the model: its connectome cites a reference for 338 of the 605, and
        none for the other 267. CT1 is two types here, one for each of its compartments.

    References:
        Lappalainen et al. 2024 Nature 634:1132.
    """
    import pandas as pd

    edges = read_table("fly_visual_signed_type_edges.csv")
    edges = edges.rename(columns={"synapses": "weight"})
    edges["sign"] = edges["sign"].astype("Int8")
    # A type that only receives is a node too.
    types = pd.concat([edges["source"], edges["target"]]).drop_duplicates()
    return Connectome(
        name="Fly visual system, cell types",
        neurons=pd.DataFrame({"neuron": types.reset_index(drop=True)}),
        edges=edges[["source", "target", "weight", "sign", "n_offsets"]].copy(),
        source="tidied from the connectome JSON of the PyPI wheel flyvis 1.2.0",
        licence="MIT",
        citation="Lappalainen et al. 2024 Nature 634:1132",
        weight_unit="mean synapse count",
    )
