"""The options that say how a table is written.

Its reader finds most of it out and says so, or is told here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from daleml.reading import TableOptions

_option = partial(typer.Option, rich_help_panel="How the table is written")


@dataclass(frozen=True)
class TableFlags:
    """How a table is written."""

    separator: Annotated[
        str | None,
        _option(
            metavar="MARK",
            help="Between two cells: a character, or tab, semicolon, ...",
        ),
    ] = None
    decimal: Annotated[
        str | None,
        _option(metavar="MARK", help="The decimal mark, . or a comma."),
    ] = None
    header: Annotated[
        bool | None,
        _option("--header/--no-header", help="The first row names the columns."),
    ] = None
    labels: Annotated[
        bool | None,
        _option("--labels/--no-labels", help="The first column names the rows."),
    ] = None
    missing: Annotated[
        list[str] | None,
        _option(
            metavar="CELL", help="A cell without a value, such as -9999; repeat it."
        ),
    ] = None
    sheet: Annotated[
        str | None,
        _option(metavar="NAME", help="Of a workbook, the sheet to read."),
    ] = None
    trailing: Annotated[
        bool,
        _option(
            "--trailing", help="Rows end in one separator more than the first row does."
        ),
    ] = False
    keep_totals: Annotated[
        bool,
        _option("--keep-totals", help="Last rows called Total, Mean or so are data."),
    ] = False

    def options(self) -> TableOptions:
        """Return the options as the readers take them."""
        from daleml.reading import TableOptions

        return TableOptions(
            self.separator,
            self.decimal,
            self.header,
            self.labels,
            # Without any `--missing` the parser gives an empty list, or None, as its version
            # has it.
            tuple(self.missing) if self.missing else None,
            self.sheet,
            self.trailing,
            self.keep_totals,
        )
