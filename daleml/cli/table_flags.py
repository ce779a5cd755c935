"""Options that say how a table is written: what its reader finds out and says, or is told here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from daleml.reading import TableOptions

_PANEL = "How the table is written"

Separator = Annotated[
    str | None,
    typer.Option(
        metavar="MARK",
        help="Between two cells: a character, or tab, semicolon, ...",
        rich_help_panel=_PANEL,
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(
        metavar="MARK", help="The decimal mark, . or a comma.", rich_help_panel=_PANEL
    ),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="The first row names the columns.",
        rich_help_panel=_PANEL,
    ),
]
Labels = Annotated[
    bool | None,
    typer.Option(
        "--labels/--no-labels",
        help="The first column names the rows.",
        rich_help_panel=_PANEL,
    ),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CELL",
        help="A cell without a value, such as -9999; repeat it.",
        rich_help_panel=_PANEL,
    ),
]
Sheet = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Of a workbook, the sheet to read.", rich_help_panel=_PANEL
    ),
]
Trailing = Annotated[
    bool,
    typer.Option(
        "--trailing",
        help="Rows end in one separator more than the first row does.",
        rich_help_panel=_PANEL,
    ),
]
KeepTotals = Annotated[
    bool,
    typer.Option(
        "--keep-totals",
        help="Last rows called Total, Mean or so are data.",
        rich_help_panel=_PANEL,
    ),
]


def gathered(
    separator: str | None,
    decimal: str | None,
    header: bool | None,
    labels: bool | None,
    missing: list[str] | None,
    sheet: str | None,
    trailing: bool,
    keep_totals: bool,
) -> TableOptions:
    """Return the options as the readers take them."""
    from daleml.reading import TableOptions

    # Without any `--missing` the parser gives an empty list, or None, as its version has it.
    gone = tuple(missing) if missing else None
    return TableOptions(
        separator, decimal, header, labels, gone, sheet, trailing, keep_totals
    )
