"""The tables that ship with the package, in ``daleml/datasets/data``."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame


def read_table(filename: str) -> DataFrame:
    """Read one of the package's tables afresh, empty cells as empty strings.

    Only an empty cell means missing in these files, so pandas must not guess that "NA" does too.
    """
    # Imported here, so that `import daleml` does not wait for pandas.
    import pandas as pd

    path = resources.files("daleml.datasets") / "data" / filename
    with path.open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False)
