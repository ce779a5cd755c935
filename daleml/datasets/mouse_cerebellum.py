"""Mouse cerebellum: synapses onto Purkinje cells, and connections of mossy fibres."""

from __future__ import annotations

from pathlib import Path

from daleml import require
from daleml.datasets.connectome import Connectome
from daleml.datasets.local_files import LocalFile
from daleml.datasets.synapse_table import SynapseTable

# Said where a file is not there: whoever reads it has to know where to get it.
_ORIGIN = "tidied from https://github.com/htem/cb2_project_analysis"
_SYNAPSES = LocalFile(
    "cerebellum_grc_pc_synapses.csv",
    "07a8357b2fe79c36bcd5fefffe16caf7620de69b4dbe94d527c57b7dd2464fca",
    _ORIGIN,
)
_MOSSY = LocalFile(
    "cerebellum_mf_grc_edges.csv",
    "70663856a4fa991444cf42723329e839def4a8e97df33355f6d4f82a2cfdadb8",
    _ORIGIN,
)
_CITATION = "Nguyen, Thomas et al. 2023 Nature 613:543"


def cerebellum(
    path: str | Path | None = None,
    *,
    min_area_um2: float | None = 0.01125,
    check: bool = True,
) -> SynapseTable:
    """Mouse cerebellum: 8,722 synapses of granule cells onto Purkinje cells, all excitatory.

    The file is not shipped, and nothing is downloaded: ``path`` says where it is.

    Args:
        path: The file ``cerebellum_grc_pc_synapses.csv``, or its folder; default: the folder
            that the environment variable ``DALEML_DATA`` names.
        min_area_um2: Smallest area of a cleft that is taken for a synapse, in square
            micrometres; the default is the authors'. None for all 8,876 that were proposed,
            four of them without an area.
        check: Whether to refuse a file whose SHA-256 is another. A table of your own with the
            same columns needs False.

    Returns:
        A :class:`SynapseTable`, one row per synapse, from ``granule_cell`` to ``purkinje_cell``.
        ``cleft_area_um2`` is the area of the cleft; ``score`` says how sure its detector was.
        ``thresholds`` has ``min_area_um2``: what is smaller was left out, and a fit should
        know.

    Raises:
        FileNotFoundError: If the file is missing; the sentence says where it is from.
        ValueError: If ``path`` is left out where ``DALEML_DATA`` is not set, the file is
            another, or ``min_area_um2`` is negative.

    Example:
        >>> try:
        ...     cerebellum("no/such/folder")
        ... except FileNotFoundError as error:
        ...     print(error)  # doctest: +ELLIPSIS
        `path` must be cerebellum_grc_pc_synapses.csv or its folder; it is ...

    Notes:
        The areas are not log-normal: a Weibull distribution is far ahead.

    References:
        Nguyen, Thomas et al. 2023 Nature 613:543.
    """
    least = 0.0
    if min_area_um2 is not None:
        least = require.non_negative("min_area_um2", min_area_um2)
    area = "cleft_area_um2"
    columns = ("granule_cell", "purkinje_cell", area)
    table = _SYNAPSES.table(path, columns, check=check, numbers=(area,))
    # A comparison leaves those without an area out too.
    if min_area_um2 is not None:
        table = table[table[area] >= least].reset_index(drop=True)
    return SynapseTable(
        name="Mouse cerebellum, granule to Purkinje cells (Nguyen 2023)",
        table=table,
        source="htem/cb2_project_analysis",
        licence="MIT",
        citation=_CITATION,
        units={area: "um2"},
        pre="granule_cell",
        post="purkinje_cell",
        thresholds={area: least} if least else {},
    )


def mossy_fibres(path: str | Path | None = None, *, check: bool = True) -> Connectome:
    """Mouse cerebellum: 12,387 connections of mossy boutons to granule cells, all excitatory.

    The file is not shipped, and nothing is downloaded: ``path`` says where it is.

    Args:
        path: The file ``cerebellum_mf_grc_edges.csv``, or its folder; default: the folder that
            the environment variable ``DALEML_DATA`` names.
        check: Whether to refuse a file whose SHA-256 is another.

    Returns:
        A :class:`Connectome` without sizes: every weight is 1, every sign +1. ``neurons`` has
        1,070 boutons and 3,925 granule cells, told apart by ``kind``; ``fibre`` names the mossy
        fibre of a bouton, of which there are 729, and is missing for a granule cell.

    Raises:
        FileNotFoundError: If the file is missing; the sentence says where it is from.
        ValueError: If ``path`` is left out where ``DALEML_DATA`` is not set, or the file is
            another.

    Example:
        >>> try:
        ...     mossy_fibres("no/such/folder")
        ... except FileNotFoundError as error:
        ...     print(error)  # doctest: +ELLIPSIS
        `path` must be cerebellum_mf_grc_edges.csv or its folder; it is ...

    Notes:
        Signs are those of the classes: no transmitter was determined cell by cell.

    References:
        Nguyen, Thomas et al. 2023 Nature 613:543.
    """
    import pandas as pd

    edges = _MOSSY.table(path, ("mossy_bouton", "granule_cell"), check=check)
    edges = edges.rename(columns={"mossy_bouton": "source", "granule_cell": "target"})
    edges[["source", "target"]] = edges[["source", "target"]].astype("str")
    edges["weight"] = 1.0
    edges["sign"] = pd.Series(1, index=edges.index, dtype="Int8")
    boutons = edges["source"].drop_duplicates()
    granule_cells = edges["target"].drop_duplicates()
    # A bouton is called by its fibre, two underscores, and more.
    fibres = boutons.str.split("__").str[0]
    kinds = [
        pd.DataFrame({"neuron": boutons, "kind": "mossy bouton", "fibre": fibres}),
        pd.DataFrame({"neuron": granule_cells, "kind": "granule cell", "fibre": None}),
    ]
    return Connectome(
        name="Mouse cerebellum, mossy fibres to granule cells",
        neurons=pd.concat(kinds, ignore_index=True),
        edges=edges[["source", "target", "weight", "sign"]].copy(),
        source="htem/cb2_project_analysis",
        licence="MIT",
        citation=_CITATION,
        weight_unit="connections",
    )
