"""``daleml spectrum``: measures of the singular values of every matrix in a file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from daleml._support import safe_text
from daleml.cli.option_objects import with_objects
from daleml.cli.table_flags import TableFlags
from daleml.cli.terminal import Weights, console, plainly, print_table, say

_BYTES_PER_ENTRY = 24
"""An entry in double precision, the copy that is decomposed, and its workspace."""

_MOST_BYTES = 2 << 30


@plainly
@with_objects
def spectrum(
    file: Weights,
    table: TableFlags,
    column: Annotated[
        str | None, typer.Option(help="Name of a matrix in a file of several.")
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", help="Find so many singular values, the largest ones."),
    ] = None,
) -> None:
    """Print SVD entropy, effective rank and the like of every matrix in a file."""
    import pandas as pd

    from daleml.analysis import spectrum as spectrum_of
    from daleml.weight_files import read_matrices

    notes: list[str] = []
    matrices = read_matrices(file, column, options=table.options(), say=notes.append)
    rows = []
    for name, matrix in matrices.items():
        if k is None:
            _require_room(name, matrix.shape)
            measures = spectrum_of(matrix).to_dict()
        else:
            measures = _with_bounds(spectrum_of(matrix, k=k).to_dict())
        shape = " x ".join(str(size) for size in measures.pop("shape"))
        # A list, of another length for every matrix, is no cell of a table.
        measures.pop("singular_values")
        rows.append({"matrix": safe_text.shown(name), "shape": shape, **measures})
    found = pd.DataFrame(rows).rename(columns=lambda name: name.replace("_", " "))
    screen = console()
    print_table(screen, found, str(file.name))
    for note in notes:
        say(screen, f"note: {note}")


def _with_bounds(measures: dict[str, Any]) -> dict[str, Any]:
    """Return measures for a table, bounds in words."""
    found = {}
    for name, value in measures.items():
        if name.endswith("_bounds"):
            low, high = value
            found[name.removesuffix("_bounds")] = f"{low:.4g} to {high:.4g}"
        else:
            found[name] = value
    return found


def _require_room(name: str, shape: tuple[int, ...]) -> None:
    """Refuse a matrix whose singular values would take the memory of the machine."""
    rows, columns = shape
    needed = _BYTES_PER_ENTRY * rows * columns
    if needed > _MOST_BYTES:
        raise ValueError(
            f"`{name or 'the matrix'}` must be small enough for its singular values to be"
            f" found in {_MOST_BYTES >> 30} GiB of memory; got {rows:,} x {columns:,},"
            f" which take {needed / (1 << 30):,.0f} GiB. Pass `--k 6` to find the largest"
            " alone, or take a part of it."
        )
