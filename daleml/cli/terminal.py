"""What every command shares: errors in one sentence, tables, a console."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

_P = ParamSpec("_P")

Weights = Annotated[
    Path, typer.Argument(metavar="FILE", help="csv, tsv, npy, npz, safetensors, or a torch state dict (pt, pth).")
]


def plainly(command: Callable[_P, None]) -> Callable[_P, None]:
    """Say what is wrong in one sentence and exit with 1, instead of showing a traceback."""

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except typer.Exit:
            raise
        except Exception as error:
            sentence = " ".join(str(error).split())
            expected = isinstance(error, (ValueError, TypeError, OSError))
            typer.echo(f"error: {sentence if expected else f'{type(error).__name__}: {sentence}'}", err=True)
            raise typer.Exit(1) from None

    return wrapped


def console(*, stderr: bool = False) -> Console:
    """Return a console without markup: names of files and columns may hold brackets."""
    from rich.console import Console

    found = Console(stderr=stderr)
    # Tables keep their columns where there is no terminal to fit them to.
    return (
        Console(markup=False, stderr=stderr) if found.is_terminal else Console(width=160, markup=False, stderr=stderr)
    )


def print_table(console: Console, table: pd.DataFrame, title: str) -> None:
    """Print a table, its first column to the left and the others to the right."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(title, style="italic"), title_justify="left", header_style="bold")
    for i, name in enumerate(table.columns):
        drawn.add_column(Text(str(name)), justify="left" if i == 0 else "right")
    for row in table.itertuples(index=False):
        drawn.add_row(*(Text(_cell(value)) for value in row))
    console.print(drawn)


def _cell(value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return "–"
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 1e4
        else f"{value:,.1f}"
        if isinstance(value, float)
        else str(value)
    )
