"""What every command prints by: a console on which only daleml moves the cursor, and tables."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daleml._support import safe_text
from daleml.cli.error_messages import plainly

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

__all__ = ["Weights", "console", "plainly", "print_table"]

_WIDTH = 160  # of what is no terminal: tables keep their columns
_LONGEST_NAME = (
    1_000  # in a table or above it: a damaged file may have a name of a million letters
)
_LONGEST_WORD = 5_000  # anywhere: longer than the longest path

Weights = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help=(
            "csv, tsv, txt (or gz), xlsx, parquet, feather, npy, npz, mat, h5, safetensors,"
            " or of torch (pt, ckpt)."
        ),
    ),
]


def console(*, stderr: bool = False) -> Console:
    """Return a console that shows text as it is.

    No markup, no emoji codes, and no control character of a name.
    """
    made = _console_class()
    options: dict[str, Any] = {
        "stderr": stderr,
        "markup": False,
        "emoji": False,
        "highlight": False,
    }
    found = made(**options)
    return found if found.is_terminal else made(width=_WIDTH, **options)


@functools.cache
def _console_class() -> type[Console]:
    """Make the class here: rich is imported when something is printed."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class SafeConsole(Console):
        """The one door to the terminal.

        Every piece of text passes here, in a table and in a bar of progress too.
        """

        def on_broken_pipe(self) -> None:
            """Leave it to the command: rich would end it here, its files unwritten."""
            raise

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(
                _shown(text), **options
            )  # before widths are measured

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if segment.control:  # daleml's own, of a bar of progress
                    yield segment
                else:
                    yield Segment(
                        safe_text.shown(segment.text, lines=True), segment.style
                    )

    return SafeConsole


def print_table(console: Console, table: pd.DataFrame, title: str) -> None:
    """Print a table, its first column to the left and the others to the right."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        title=Text(_name(title), style="italic"),
        title_justify="left",
        header_style="bold",
    )
    for i, name in enumerate(table.columns):
        drawn.add_column(Text(_name(str(name))), justify="left" if i == 0 else "right")
    for row in table.itertuples(index=False):
        drawn.add_row(*(Text(_name(_cell(value))) for value in row))
    console.print(drawn)


def _name(text: str) -> str:
    return safe_text.shortened(safe_text.shown(text), _LONGEST_NAME)


def _shown(text: str) -> str:
    """Return text of several lines that is safe to show, and without words that no one could read to their end."""
    cut = re.sub(
        rf"\S{{{_LONGEST_WORD + 1},}}",
        lambda found: safe_text.shortened(found[0], _LONGEST_NAME),
        text,
    )
    return safe_text.shown(cut, lines=True)


def _cell(value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.1f}"
    return str(value)
