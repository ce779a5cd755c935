"""Quantiles of weights against those of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daleml import require as _checks
from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.weight_fit import WeightFit
from daleml.analysis.plots.canvas import (
    axes_or_new,
    axis_name,
    legend,
    log_ticks,
    require,
    tidy,
)
from daleml.analysis.plots.palette import look
from daleml.analysis.plots.plotted_sample import band as order_statistics
from daleml.analysis.plots.plotted_sample import quantile, seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 500
_EXTREMES = 25  # at each end


def qq(
    result: WeightFit,
    ax: Axes | None = None,
    *,
    band: float | None = 0.95,
    xlabel: str | None = None,
) -> Axes:
    r"""Draw the quantiles of the magnitudes against those of the fitted family, both of what was seen, log-log.

    The band is where 95 of 100 samples drawn from the fit would have the value of the same
    rank, at each point by itself: nothing is refitted. It is the limit of ever more parametric
    bootstrap samples, and known in closed form: the level of the :math:`k`-th of :math:`n`
    values has the distribution :math:`\mathrm{Beta}(k, n + 1 - k)`.

    Args:
        result: A fit.
        ax: Where to draw; default: new axes.
        band: The share of samples that the band holds; None for no band.
        xlabel: What the magnitudes are, with their unit.

    Raises:
        ValueError: If ``band`` is not between 0 and 1.

    Notes:
        The parameters were fitted to these very values, which pulls them towards the line: a
        sample of the fitted family leaves the band less often than the level says. For a test,
        see :func:`~daleml.analysis.goodness_of_fit`.
    """
    require(result, WeightFit, "fit_weights")
    if band is not None and not 0 < _checks.number("band", band) < 1:
        raise ValueError(f"`band` must be between 0 and 1; got {band}.")
    ax = axes_or_new(ax)
    data, ranks = _ranked(result)
    n = seen(result).total
    theory = quantile(result, (ranks - 0.5) / n)
    limits = min(theory[0], data[0]), max(theory[-1], data[-1])
    ax.plot(limits, limits, color="0.45", linewidth=1, zorder=1)
    if band is not None:
        low, high = order_statistics(result, ranks, n, band)
        ax.fill_between(
            theory,
            low,
            high,
            color="0.85",
            linewidth=0,
            zorder=0,
            label=f"{band:.0%} of samples drawn from the fit",
        )
    color = look(result.family).color
    ax.plot(
        theory,
        data,
        ".",
        color=color,
        markersize=5,
        zorder=2,
        label=f"n = {result.n:,}",
    )
    what = axis_name(xlabel or "|weight|")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=f"{what}: quantiles of the {result.family} fit",
        ylabel="quantiles seen",
    )
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis)
    legend(ax)
    return tidy(ax)


def _ranked(result: WeightFit) -> tuple[Array, Array]:
    """Return some of the magnitudes seen, with their ranks, 1 the smallest.

    All at the ends, fewer between.
    """
    found = seen(result)
    after = found.below + found.counts
    first, n = int(np.floor(found.below[0])) + 1, max(int(np.floor(found.total)), 1)
    if n - first < _POINTS:
        ranks = np.arange(first, n + 1)
    else:
        # towards the ends ever denser: there an axis of quantiles has the most room for a rank
        offsets = np.r_[
            np.arange(_EXTREMES),
            np.geomspace(_EXTREMES, (n - first) / 2, _POINTS // 4).round(),
        ]
        ranks = np.unique(
            np.r_[
                first + offsets,
                np.linspace(first, n, _POINTS // 2).round(),
                n - offsets,
            ]
        )
    places = np.minimum(np.searchsorted(after, ranks - 1e-9), found.values.size - 1)
    return found.values[places], ranks.astype(np.float64)
