"""Connectomes of any size from the tables in which they are published."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml import require
from daleml._support.safe_text import listed, quoted
from daleml._support.signed_edges import WEIGHT
from daleml._support.summed_pairs import SummedPairs, summed_pairs
from daleml.datasets import neuron_tables
from daleml.datasets.connectome import Connectome
from daleml.datasets.published_layouts import (
    NEUROPIL,
    Layout,
    first_of,
    layout_of,
)
from daleml.datasets.sign_sources import SignSources
from daleml.datasets.worm_workbooks import read_adjacency
from daleml.reading.edge_tables import EdgeRows, find_columns, read_rows
from daleml.reading.large_tables import LargeTable, plain_name, texts
from daleml.reading.opening import WORKBOOKS, suffix

if TYPE_CHECKING:
    from pandas import DataFrame


def read_connectome(
    connections: Any,
    neurons: Any = None,
    *,
    weight: str | None = WEIGHT,
    columns: Mapping[str, str] | None = None,
    signs: Mapping[str, int] | None = None,
    min_weight: float = 0.0,
    neuropils: Collection[str] | None = None,
    sheet: str | None = None,
    name: str | None = None,
) -> Connectome:
    r"""Read a connectome from its tables, as they are published or as yours are.

    Rows of one ordered pair, of several neuropils or one for each synapse, are summed:

    .. math:: w_{ij} = \sum_{\text{rows of } j \to i} w

    Recognised by their columns are FlyWire (``connections.csv.gz`` of Codex with
    ``neurons.csv.gz``, ``classification.csv.gz`` and others; or
    ``proofread_connections_783.feather``), MICrONS (a table of synapses with
    ``pre_pt_root_id``, ``post_pt_root_id`` and ``size``; of cells with ``pt_root_id``), the
    hemibrain (``traced-total-connections.csv`` and ``traced-neurons.csv``) and the worm (edge
    lists with ``Source``, ``Target``, ``Weight`` and ``Type``, of which chemical synapses
    count; workbooks of adjacency matrices, whose rows send).

    A sign is that of the row, where there is a column of signs; else, by ``signs``, that of the
    sender's transmitter in ``neurons``; of the row's transmitter; or of the transmitter that is
    most probable over all that the sender makes, where rows hold probabilities (``ach_avg``...);
    else that of the weight, where some are negative. What has none is unknown: nothing is
    guessed, and ``lawful_graph`` has rules. The notes of the result, which it prints, say what
    was decided.

    Args:
        connections: A table or a file of one: ``.csv``, ``.csv.gz``, ``.tsv``, ``.parquet``,
            ``.feather``; or a workbook, ``.xlsx``. Only the columns needed are read.
        neurons: A table of neurons, or a file of one, or a list of several.
        weight: The column of weights. Default: one with a usual name, such as syn_count; None
            counts every row as 1.
        columns: Names of columns by their role, where they are not usual ones: ``"pre"``,
            ``"post"``, ``"weight"``, ``"sign"``, ``"transmitter"``, ``"neuropil"``, and
            ``"neuron"`` for the ids in ``neurons``.
        signs: The sign of each transmitter, or class of cells. Default, for the fly:
            acetylcholine excites, GABA and glutamate inhibit, others have none; for MICrONS,
            its classes of excitatory and inhibitory cells.
        min_weight: Pairs of a lesser total weight are left out.
        neuropils: The brain regions whose rows count. Default: all.
        sheet: The sheet of a workbook.
        name: What was measured. Default: the name of the layout.

    Returns:
        A :class:`Connectome`. Ids stay exact: whole numbers are int64, and floats beyond
        2\ :sup:`53` are refused. Its ``neurons`` have ``transmitter``, where it is known.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a column is missing or two could be meant, an id is missing or was
            rounded, a weight is no number, or ``neurons`` shares no id with ``connections``.
        FileNotFoundError: If a file is not there.
        ModuleNotFoundError: If the library that a file needs is not installed.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame(
        ...     {
        ...         "pre_root_id": [720575940600000001, 720575940600000001, 720575940600000002],
        ...         "post_root_id": [720575940600000002, 720575940600000002, 720575940600000001],
        ...         "neuropil": ["AL_L", "AL_R", "AL_R"],
        ...         "syn_count": [7, 4, 5],
        ...         "nt_type": ["ACH", "ACH", "SER"],
        ...     }
        ... )
        >>> print(read_connectome(rows, min_weight=5))  # doctest: +NORMALIZE_WHITESPACE
        FlyWire, Codex: 2 neurons, 2 edges, 1 of known sign
        Read by the columns pre 'pre_root_id', post 'post_root_id', weight 'syn_count',
        transmitter 'nt_type'.
        3 rows were summed to 2 pairs.
        Signs by the transmitter of each row, 'nt_type': ACH +1, GABA -1, GLUT -1; 1 of 2
        pairs have none (SER).
        Dorkenwald et al. 2024 Nature 634:124-138; Schlegel et al. 2024 Nature 634:139

    Notes:
        Weights of MICrONS are the summed sizes of synapses; ``weight=None`` counts them. Data of
        FlyWire and others are free for science under terms of their own: see where you got them.

    References:
        Dorkenwald et al. 2024 (Nature); The MICrONS Consortium 2025 (Nature); Scheffer et al.
        2020 (eLife); Cook et al. 2019 (Nature), for the tables.
    """
    require.non_negative("min_weight", min_weight)
    notes: list[str] = []
    given = dict(columns or {})
    named = {role: given.pop(role, None) for role in ("neuron", "neuropil")}
    table, layout = _opened(connections, sheet)
    where = _rows_wanted(table, layout, named["neuropil"], neuropils, notes)
    found = find_columns(table, given, weight)
    rows = read_rows(table, found, where)
    said = [f"{role} {quoted(column)}" for role, column in found.items() if column]
    notes.insert(0, f"Read by the columns {', '.join(said)}.")
    if rows.n_nobody:
        notes.append(f"{rows.n_nobody:,} rows were left out whose id is 0 or -1.")
    cells = neuron_tables.read_neurons(neurons, named["neuron"], rows.names, notes)
    signed = SignSources(table, rows, dict(layout.signs if signs is None else signs))
    cells, row_signs, decided = signed.decide(cells, given.get("transmitter"))
    # Signs are kept apart from weights, as everywhere in a connectome.
    magnitudes = np.abs(rows.weight)
    pairs = summed_pairs(rows.pre, rows.post, magnitudes, row_signs, len(rows.names))
    if len(pairs.pre) < len(rows.pre):
        notes.append(f"{len(rows.pre):,} rows were summed to {len(pairs.pre):,} pairs.")
    pairs = _above(pairs, min_weight, notes)
    notes.append(decided.said(pairs))
    n_autapses = int((pairs.pre == pairs.post).sum())
    if n_autapses:
        notes.append(f"{n_autapses:,} of {len(pairs.pre):,} pairs are autapses.")
    return Connectome(
        name=layout.name if name is None else name,
        neurons=cells,
        edges=_edges(rows, pairs, layout),
        source=table.called,
        licence="",
        citation=layout.citation,
        weight_unit=layout.weight_unit if found["weight"] else "rows",
        notes=tuple(notes),
    )


def _opened(connections: Any, sheet: str | None) -> tuple[LargeTable, Layout]:
    """Return the table of connections, and its layout."""
    if isinstance(connections, (str, os.PathLike)):
        path = Path(connections)
        if suffix(path) in WORKBOOKS:
            found = LargeTable("connections", read_adjacency(path, sheet))
            return found, Layout(path.stem, frozenset(), "", "")
    if sheet is not None:
        raise TypeError(
            "`sheet` must be left out unless `connections` is a workbook; got"
            f" {sheet!r}."
        )
    table = LargeTable("connections", connections)
    return table, layout_of(table.columns)


def _rows_wanted(
    table: LargeTable,
    layout: Layout,
    column: str | None,
    neuropils: Collection[str] | None,
    notes: list[str],
) -> dict[str, Collection[str]]:
    """Return which texts the rows that count have in which columns."""
    where: dict[str, Collection[str]] = {}
    for name, wanted in layout.where.items():
        actual = first_of(table.columns, (plain_name(name),))
        # A column may bear the name and hold something else.
        there = [] if actual is None else _texts_there(table, actual)
        if actual is not None and set(wanted) & set(there):
            where[actual] = wanted
            others = sorted(set(there) - set(wanted))
            if others:
                notes.append(f"Rows of {listed(others)} were left out.")
    if neuropils is None:
        return where
    # A string would be taken for its letters.
    if isinstance(neuropils, str):
        neuropils = (neuropils,)
    actual = column or first_of(table.columns, NEUROPIL)
    if actual is None or actual not in table.columns:
        raise ValueError(
            "`neuropils` must be left out where no column names one; got"
            f" {listed(list(map(quoted, table.columns)))}: pass"
            " `columns={'neuropil': ...}`."
        )
    strange = sorted(set(neuropils) - set(_texts_there(table, actual)))
    if strange:
        raise ValueError(
            f"`neuropils` must be in {quoted(actual)}; got {strange[0]!r}, which no row has."
        )
    where[actual] = neuropils
    notes.append(f"Rows of the neuropils {listed(sorted(neuropils))} count.")
    return where


def _texts_there(table: LargeTable, column: str) -> list[str]:
    found: list[str] = texts(
        table.read([column], [column])[column]
    ).cat.categories.tolist()
    return found


def _above(pairs: SummedPairs, min_weight: float, notes: list[str]) -> SummedPairs:
    """Return the pairs whose weight is not below a threshold."""
    kept = pairs.weight >= min_weight
    n_below = int((~kept).sum())
    if not n_below:
        return pairs
    notes.append(f"{n_below:,} pairs of a weight below {min_weight:g} were left out.")
    return SummedPairs(
        pairs.pre[kept],
        pairs.post[kept],
        pairs.weight[kept],
        pairs.sign[kept],
        pairs.n_rows[kept],
    )


def _edges(rows: EdgeRows, pairs: SummedPairs, layout: Layout) -> DataFrame:
    """Return the table of edges of a connectome."""
    import pandas as pd

    columns: dict[str, Any] = {
        "source": rows.names[pairs.pre],
        "target": rows.names[pairs.post],
        "weight": pairs.weight,
        "sign": pd.arrays.IntegerArray(pairs.sign, pairs.sign == 0),
    }
    if layout.is_synapses:
        columns["n_synapses"] = pairs.n_rows
    return pd.DataFrame(columns)
