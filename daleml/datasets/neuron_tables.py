"""Tables of neurons, one or several, as the table of a connectome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, quoted
from daleml.datasets.published_layouts import NEURON, TRANSMITTER, first_of
from daleml.reading.edge_tables import ids_of
from daleml.reading.large_tables import LargeTable, texts

if TYPE_CHECKING:
    from pandas import DataFrame


def read_neurons(
    given: Any, id_column: str | None, names: NDArray[Any], notes: list[str]
) -> DataFrame:
    """Return a row for each neuron, ``neuron`` first.

    Args:
        given: A table, or a file of one, or several, whose columns are put side by side; None
            for the neurons of the connections alone.
        id_column: The column of ids; default: one with a usual name.
        names: Neurons that connections name.
        notes: Takes what was decided.

    Raises:
        ValueError: If a table has no column of ids, or shares no neuron with the connections.
    """
    import pandas as pd

    if given is None:
        return pd.DataFrame({"neuron": names})
    several = isinstance(given, Sequence) and not isinstance(given, str)
    parts = []
    for one in given if several else [given]:
        parts.append(_read_one(LargeTable("neurons", one), id_column, notes))
    table = parts[0]
    for part in parts[1:]:
        # Of columns that two tables have, the first table's is kept.
        fresh = part.columns.difference(table.columns, sort=False)
        table = table.join(part[fresh], how="outer", sort=False)
    known = pd.Index(names).isin(table.index)
    if len(names) and not known.any():
        raise ValueError(
            "`neurons` must hold neurons of the connections, by the same ids; got"
            f" {table.index.tolist()[0]!r} there and {names.tolist()[0]!r} here."
        )
    n_strange = int((~known).sum())
    if n_strange:
        notes.append(
            f"{n_strange:,} of {len(names):,} neurons of the connections have no row in"
            " `neurons`."
        )
    return table.rename_axis("neuron").reset_index()


def _read_one(table: LargeTable, id_column: str | None, notes: list[str]) -> DataFrame:
    columns = table.columns
    named = id_column if id_column in columns else first_of(columns, NEURON)
    if named is None:
        raise ValueError(
            "`neurons` must have a column of ids, such as root_id or bodyId; got"
            f" {listed(list(map(quoted, columns)))}: pass `columns={{'neuron': ...}}`."
        )
    frame = table.read(list(columns))
    # A cell table lists nuclei in no segment with the id 0.
    nobody = frame[named].isna() | frame[named].eq(0)
    if nobody.any() and not nobody.all():
        frame = frame[~nobody]
        notes.append(f"{int(nobody.sum()):,} rows of `neurons` have no id.")
    ids = ids_of(table, frame[named])
    frame = frame.drop(columns=named).set_axis(ids, axis=0)
    # Which of several rows is right is not for a reader to say.
    again = frame.index.duplicated(keep=False)
    if again.any():
        frame = frame[~again]
        notes.append(
            f"{len(set(ids[again].tolist())):,} neurons stand in several rows of `neurons`,"
            " and were left without any."
        )
    return frame


def transmitters(
    neurons: DataFrame, column: str | None
) -> tuple[str | None, DataFrame]:
    """Return which column says what a neuron's sign comes from, and the table with it as text.

    It is called "transmitter" too, where :func:`daleml.analysis.lawful_graph` looks.
    """
    named = (
        column
        if column in neurons
        else first_of(list(map(str, neurons.columns)), TRANSMITTER)
    )
    if named is None or "neuron" not in neurons:
        return None, neurons
    values = texts(neurons[named]).astype(object)
    return named, neurons.assign(transmitter=values.where(values.notna(), None))


def places(neurons: DataFrame, names: NDArray[Any]) -> NDArray[np.intp]:
    """Return the row of each name in the table of neurons, -1 where it has none."""
    import pandas as pd

    found: NDArray[np.intp] = pd.Index(neurons["neuron"]).get_indexer(pd.Index(names))
    return found
