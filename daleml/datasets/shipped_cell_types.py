"""The tables of cell types that ship with the package, in ``daleml/datasets/data/cell_types``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daleml.datasets.shipped_tables import read_table

if TYPE_CHECKING:
    from pandas import DataFrame

FACTS = "numbers of a publication, for which no licence is claimed"
"""The licence of numbers that were printed, not copied as a file."""

# What is text in the tables; every other column holds numbers.
_TEXT = ("type", "pre", "post")
_WHOLE = ("sign", "count", "external_inputs")


def tables_of(name: str) -> tuple[DataFrame, DataFrame]:
    """Read the two tables of a source afresh.

    Args:
        name: How the names of their files begin.

    Returns:
        Types and pathways, as :class:`CellTypeTable` takes them; empty cells are NaN.
    """
    return _table_of(f"{name}_types"), _table_of(f"{name}_pathways")


def _table_of(name: str) -> DataFrame:
    # Imported here, so that `import daleml` does not wait for pandas.
    import pandas as pd

    table = read_table(f"cell_types/{name}.csv")
    for column in table.columns:
        if column in _WHOLE:
            table[column] = table[column].astype("int64")
        elif column not in _TEXT:
            table[column] = pd.to_numeric(table[column]).astype("float64")
    return table
