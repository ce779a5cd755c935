"""The figure of a comparison: four panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.plots.canvas import figure, require_result, style
from daleml.analysis.plots.densities import families
from daleml.analysis.plots.quantiles import qq
from daleml.analysis.plots.ranking import family_bars
from daleml.analysis.plots.tail_plots import ccdf

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def comparison_figure(result: Comparison, *, xlabel: str | None = None) -> Figure:
    """Return a figure of four panels.

    They are density, upper tail, quantiles against the best family, and how families rank.

    Args:
        result: A comparison.
        xlabel: What the magnitudes are, with their unit.

    Returns:
        A new figure.

    Raises:
        TypeError: If ``result`` is no comparison.

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
        drawing, axes = figure(2, 2, height=4.2)
        families(result, axes[0, 0], xlabel=xlabel)
        ccdf(result, axes[0, 1], xlabel=xlabel)
        qq(result.best, axes[1, 0], xlabel=xlabel)
        family_bars(result, axes[1, 1])
    return drawing
