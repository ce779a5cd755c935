"""A figure with the sentence that stands under it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daleml.analysis.plots import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Dots per inch: on a page a figure is about half as wide as its pixels are, and sharp.
_DPI = 160


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption, which also serves those who cannot see the figure.

    Attributes:
        figure: The figure.
        caption: What it shows, in one sentence or two.
    """

    figure: Figure
    caption: str

    def png(self) -> bytes:
        """Render the figure; once, however often it is asked for."""
        return self._png

    def svg(self) -> bytes:
        """Render the figure as vectors, its text as text."""
        return canvas.svg(self.figure)

    @functools.cached_property
    def _png(self) -> bytes:
        return canvas.png(self.figure, _DPI)
