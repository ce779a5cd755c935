"""A whole table in another form: as a DataFrame, as a matrix, or a column of it as names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import printable, quoted
from daleml.reading.cell_values import MISSING_LABELS, is_named
from daleml.reading.ids import are_padded, names_of, whole_numbers
from daleml.reading.table import Table
from daleml.reading.totals import is_total, sums_up

if TYPE_CHECKING:
    import pandas as pd

_TRUTH = {
    "True": True,
    "TRUE": True,
    "true": True,
    "False": False,
    "FALSE": False,
    "false": False,
}


def to_names(table: Table, name: str, *, ids: bool = False) -> NDArray[Any]:
    """Return a column as names, an empty one where a cell has none.

    Args:
        table: The table.
        name: The column's.
        ids: Whether they are cells of a connection: 0 or -1 among long ids is nobody's.

    Raises:
        ValueError: If the file holds rounded ids.
    """
    return names_of(table.text(name), table.place(name), table.options.missing, ids=ids)


def to_matrix(table: Table) -> NDArray[np.float64]:
    """Return all columns of numbers as a matrix; a first column of names is left out.

    Raises:
        ValueError: If a cell is no number.
    """
    names = table.names()
    if len(names) > 1 and table.labels is None and _names_rows(table, names[0]):
        table.on_note(
            f"The first column, {quoted(names[0])}, was taken as names of the rows."
        )
        names = names[1:]
    values = np.column_stack([table.numbers(name, codes=False) for name in names])
    may_sum_up = is_total(names[-1]) and not table.options.keep_totals
    if may_sum_up and sums_up(values[:, -1], values[:, :-1]):
        table.on_note(
            f"The last column, {quoted(names[-1])}, sums up the others, and was left out;"
            " pass `--keep-totals` if it is data."
        )
        values = values[:, :-1]
    table.refuse_codes(f"the matrix of `{printable(table.path)}`", values, signed=True)
    return values


def _names_rows(table: Table, name: str) -> bool:
    """Return whether the first column of a table names its rows."""
    cells = table.text(name)
    others = table.names()[1:]
    if not table.are_numbers(name) or cells.tolist() == others:
        return True
    if whole_numbers(cells) is None or len(set(cells.tolist())) < len(cells):
        return False
    return all(map(str.isdigit, others)) and not name.isdigit()


def to_frame(table: Table, ids: Iterable[str | None] = ()) -> pd.DataFrame:
    """Return a DataFrame: whole numbers and ids exact, other numbers float64, the rest text.

    Gaps are missing.

    Args:
        table: The table.
        ids: Columns that hold names: no float64 whatever they look like.
    """
    import pandas as pd

    named = set(ids)
    series = {name: _series(table, name, name in named) for name in table.columns}
    return pd.DataFrame(series)


def _series(table: Table, name: str, is_id: bool) -> Any:
    import pandas as pd

    cells = table.columns[name]
    if cells.dtype == np.float64:
        return pd.Series(table.numbers(name, codes=False))
    texts = cells.copy()
    for cell in set(cells.tolist()):
        if is_named(cell, table.options.missing or ()):
            texts[cells == cell] = ""
    whole = whole_numbers(texts)
    if whole is not None:
        return pd.Series(whole, dtype="Int64" if None in whole else "int64")
    different = set(texts.tolist())
    kept = different - MISSING_LABELS
    if kept and different <= set(_TRUTH):
        return pd.Series(list(map(_TRUTH.get, texts)))
    if kept and not is_id and not are_padded(kept):
        try:
            return pd.Series(table.numbers(name, codes=False))
        except ValueError:
            # Then the column holds names.
            pass
    for gap in different - kept:
        texts[texts == gap] = None
    return pd.Series(texts.tolist(), dtype="str" if kept else "float64")
