"""The figure of a comparison: four panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.plots import figure_sizes
from daleml.analysis.plots.canvas import axis_name, figure, require_result, style
from daleml.analysis.plots.densities import families
from daleml.analysis.plots.lettering import settle
from daleml.analysis.plots.quantiles import qq
from daleml.analysis.plots.ranking import family_bars
from daleml.analysis.plots.tail_plots import ccdf

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# The least height of a panel, in inches: its legend has up to seven rows.
_LOWEST = 3.4

# Two panels beside one another need a figure wider than this, in inches.
_NARROW = 5.5


def comparison_figure(
    result: Comparison,
    *,
    xlabel: str | None = None,
    unit: str | None = None,
    title: str | None = None,
    width: float | str = 10.4,
) -> Figure:
    """Return a figure of four panels.

    They are density, upper tail, quantiles against the best family, and how families rank.

    Args:
        result: A comparison.
        xlabel: What the magnitudes are.
        unit: Their unit, as "nm^2".
        title: What stands above the panels.
        width: The width of the whole figure, in inches, or as text, as :func:`figure` takes it.

    Returns:
        A new figure.

    Raises:
        TypeError: If ``result`` is no comparison.
        ValueError: If ``width`` is no width.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import compare_families, plots
        >>> weights = np.random.default_rng(0).lognormal(size=200)
        >>> result = compare_families(weights, ["lognormal", "gamma"])
        >>> drawing = plots.comparison_figure(result, xlabel="size (um2)")
        >>> len(drawing.axes)
        4
    """
    require_result(result, Comparison, "compare_families")
    with style():
        whole = figure_sizes.inches(width)
        # Panels of a figure as narrow as a column stand above one another.
        columns = 2 if whole > _NARROW else 1
        height = max(0.8 * whole / columns, _LOWEST)
        each = width if isinstance(width, str) else whole / columns
        drawing, axes = figure(columns, 4 // columns, width=each, height=height)
        first, second, third, fourth = axes.flat
        families(result, first, xlabel=xlabel, unit=unit)
        ccdf(result, second, xlabel=xlabel, unit=unit)
        qq(result.best, third, xlabel=xlabel, unit=unit)
        family_bars(result, fourth)
        for ax in axes.flat:
            settle(ax, is_new=False)
        if title is not None:
            drawing.suptitle(axis_name(title))
    return drawing
