"""Tails: how many weights are at least so large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.weight_fit import WeightFit
from daleml.analysis.plots.canvas import (
    axes_or_new,
    axis_name,
    legend,
    log_ticks,
    require,
    tidy,
)
from daleml.analysis.plots.densities import BEHIND, named, shade_unseen
from daleml.analysis.plots.palette import line
from daleml.analysis.plots.plotted_sample import at_least, seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 400


def ccdf(
    result: WeightFit | Comparison, ax: Axes | None = None, *, xlabel: str | None = None
) -> Axes:
    r"""Draw :math:`P(W \ge w)` of the magnitudes that were seen, on log-log axes, with that of the fit.

    Here the upper tail has as much room as the rest. Where there are many magnitudes, points
    are drawn at 400 of them, even on the vertical axis, and always at the largest.

    Args:
        result: A fit; or a comparison, of which the five best families are drawn.
        ax: Where to draw; default: new axes.
        xlabel: What the magnitudes are, with their unit.
    """
    if not isinstance(result, Comparison):
        require(result, WeightFit, "fit_weights")
    fits = (
        named(result) if isinstance(result, Comparison) else [(result, result.family)]
    )
    ax = axes_or_new(ax)
    first = fits[0][0]
    data = seen(first)
    values, places = np.unique(data.values, return_index=True)
    shares = 1 - data.below[places] / data.total
    chosen = _even(shares)
    ax.plot(
        values[chosen],
        shares[chosen],
        "o",
        color="0.72",
        markersize=5.5,
        markeredgewidth=0,
        zorder=1,
        label=f"n = {first.n:,}",
    )
    grid = (
        values
        if first.observation.grid is not None
        else np.geomspace(values[0], values[-1], _POINTS)
    )
    for rank, (fitted, label) in enumerate(fits):
        heights = at_least(fitted, grid)
        look = line(fitted.family, 1.5 if rank else 2.4)
        ax.plot(
            grid,
            np.where(heights > 0, heights, np.nan),
            zorder=3 - rank / 10,
            label=label,
            **look,
        )
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=axis_name(xlabel or "|weight|"),
        ylabel="fraction at least as large",
    )
    ax.set_ylim(shares.min() / 3, 1.5)
    shade_unseen(first, ax)
    log_ticks(ax.xaxis)
    legend(ax, title=BEHIND if len(fits) > 1 else None)
    return tidy(ax)


def _even(shares: np.ndarray) -> np.ndarray:
    """Return places of so many shares, falling from 1, that lie about evenly on a logarithmic axis; ends included."""
    if shares.size <= _POINTS:
        return np.arange(shares.size)
    wanted = np.geomspace(shares[0], shares[-1], _POINTS)
    return np.unique(
        np.r_[
            0,
            np.searchsorted(-shares, -wanted).clip(0, shares.size - 1),
            shares.size - 1,
        ]
    )
