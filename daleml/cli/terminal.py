"""The console that every command prints on, and its tables.

On it only daleml moves the cursor, whatever a name in a file holds.
"""

from __future__ import annotations

import functools
import os
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

__all__ = ["Weights", "console", "plainly", "print_table", "say"]

_WIDTH = 160
"""Columns of what is no terminal, so that tables keep theirs."""

_LINE = 88
"""Letters in a line of a sentence there: a cell of a notebook is no wider."""

_LONGEST_NAME = 1_000
"""Characters of a name in a table or above it: a damaged file may have one of a million."""

_LONGEST_WORD = 5_000
"""Characters of a word anywhere: more than the longest path has."""

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
    # Names of columns hold brackets and colons, which rich would take for its own.
    options: dict[str, Any] = {
        "stderr": stderr,
        "markup": False,
        "emoji": False,
        "highlight": False,
    }
    # A terminal tells its width; a file or a pipe has none, unless somebody gives it one.
    found = made(**options)
    if found.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return found
    return made(width=_WIDTH, **options)


@functools.cache
def _console_class() -> type[Console]:
    """Return the class of the console; rich is imported when something is printed."""
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
            # Here, before rich measures how wide the text is.
            return super().render_str(_shown(text), **options)

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if not segment.control:
                    text = safe_text.shown(segment.text, lines=True)
                    segment = Segment(text, segment.style)
                # What controls the terminal is rich's own, of a bar of progress.
                yield segment

    return SafeConsole


def say(console: Console, text: str) -> None:
    """Print sentences, in lines that fit a notebook where there is no terminal."""
    console.print(text, width=None if console.is_terminal else _LINE)


def print_table(console: Console, table: pd.DataFrame, title: str) -> None:
    """Print a table, its first column to the left and the others to the right."""
    from rich.table import Table
    from rich.text import Text

    heading = Text(_name(title), style="italic")
    drawn = Table(title=heading, title_justify="left", header_style="bold")
    first, *others = (Text(_name(str(column))) for column in table.columns)
    drawn.add_column(first, justify="left")
    for column in others:
        drawn.add_column(column, justify="right")
    for row in table.itertuples(index=False):
        drawn.add_row(*(Text(_name(_cell(value))) for value in row))
    console.print(drawn)


def _name(text: str) -> str:
    return safe_text.shortened(safe_text.shown(text), _LONGEST_NAME)


def _shown(text: str) -> str:
    """Return text of several lines that is safe to show, its endless words shortened."""

    def shortened(word: re.Match[str]) -> str:
        return safe_text.shortened(word[0], _LONGEST_NAME)

    # A damaged file may hold one word of megabytes, which no terminal can wrap.
    cut = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", shortened, text)
    return safe_text.shown(cut, lines=True)


def _cell(value: Any) -> str:
    import pandas as pd

    # A number that does not exist, such as the p-value of the best family.
    if pd.isna(value):
        return "–"
    if not isinstance(value, float):
        return str(value)
    if abs(value) < 1e4:
        return f"{value:,.4g}"
    return f"{value:,.1f}"
