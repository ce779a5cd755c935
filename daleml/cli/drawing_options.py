"""The options of ``daleml fit`` that say how figures look, and what they call the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from daleml.weight_study import Gathered

_draw = partial(typer.Option, rich_help_panel="How to draw it")


@dataclass(frozen=True)
class HowToDraw:
    """What figures and tables call the weights."""

    xlabel: Annotated[
        str | None,
        _draw(
            metavar="TEXT",
            help="What the weights are, for axes and headings. Default: the column.",
        ),
    ] = None
    unit: Annotated[
        str | None,
        _draw(metavar="TEXT", help="Their unit, such as px, µm² or pA."),
    ] = None
    width: Annotated[
        str | None,
        _draw(
            metavar="WIDTH",
            help='Of each figure: single or double (columns of a journal), or "120 mm".',
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.width is not None:
            from daleml.analysis.plots import figure_sizes

            # Refused here, and not after long work.
            figure_sizes.inches(self.width)

    def named(self, gathered: Gathered) -> Gathered:
        """Return the weights under the name and the unit that were asked for."""
        return replace(
            gathered, label=self.xlabel or gathered.label, unit=self.unit or ""
        )
