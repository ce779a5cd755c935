"""Quantiles of weights against those of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from daleml import require as _checks
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.weight_fit import WeightFit
from daleml.analysis.plots.canvas import (
    axes_or_new,
    legend,
    log_ticks,
    require_result,
    tidy,
)
from daleml.analysis.plots.common_options import UnitWords, options, quantity
from daleml.analysis.plots.family_styles import style_of
from daleml.analysis.plots.plotted_sample import band as band_of_ranks
from daleml.analysis.plots.plotted_sample import quantile, sample_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of more magnitudes than this, some are drawn.
_POINTS = 500

# Of this number of magnitudes at each end all are drawn.
_EXTREMES = 25


@options(UnitWords, own=("xlabel",))
def qq(
    result: WeightFit,
    ax: Axes | None = None,
    *,
    band: float | None = 0.95,
    **words: Unpack[UnitWords],
) -> Axes:
    r"""Draw the quantiles of the magnitudes against those of the fitted family, log-log.

    Both are of what was seen. The band is where 95 of 100 samples drawn from the fit would have
    the value of the same rank, at each point by itself: nothing is refitted. It is the limit of
    ever more parametric bootstrap samples, and known in closed form: the level of the
    :math:`k`-th of :math:`n` values has the distribution :math:`\mathrm{Beta}(k, n + 1 - k)`.

    Args:
        result: A fit.
        ax: Where to draw; default: new axes.
        band: The fraction of samples that the band holds; None for no band.
        xlabel: What the magnitudes are.
        ylabel, title, unit, width: As every plot takes them; see :mod:`daleml.analysis.plots`.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is no fit, or ``ax`` are no axes.
        ValueError: If ``band`` is not between 0 and 1.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights, plots
        >>> weights = np.random.default_rng(0).lognormal(size=200)
        >>> drawing, axes = plots.figure()
        >>> ax = plots.qq(fit_weights(weights, "lognormal"), axes[0, 0])
        >>> ax.get_xlabel()
        '|weight|:\nquantiles of the log-normal fit'

    Notes:
        The parameters were fitted to these very values, which pulls them towards the line: a
        sample of the fitted family leaves the band less often than the level says. For a test,
        see :func:`~daleml.analysis.goodness_of_fit`.
    """
    require_result(result, WeightFit, "fit_weights")
    if band is not None and not 0 < _checks.number("band", band) < 1:
        raise ValueError(f"`band` must be between 0 and 1; got {band}.")
    ax = axes_or_new(ax)
    data, ranks = _ranked(result)
    n = sample_of(result).total
    # Hazen's plotting positions: the middle of each value's step.
    theory = quantile(result, (ranks - 0.5) / n)
    limits = min(theory[0], data[0]), max(theory[-1], data[-1])
    ax.plot(limits, limits, color="0.45", linewidth=1, zorder=1, label="equal")
    if band is not None:
        low, high = band_of_ranks(result, ranks, n, band)
        ax.fill_between(
            theory,
            low,
            high,
            color="0.85",
            linewidth=0,
            zorder=0,
            label=f"{band:.0%} of samples drawn from the fit",
        )
    ax.plot(
        theory,
        data,
        ".",
        color=style_of(result.family).color,
        markersize=5,
        zorder=2,
        label=f"n = {result.n:,}",
    )
    what = quantity(words.get("xlabel") or "|weight|", words.get("unit"))
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=f"{what}:\nquantiles of the {family_label(result.family)} fit",
        ylabel="quantiles seen",
    )
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis)
    legend(ax)
    return tidy(ax)


def _ranked(result: WeightFit) -> tuple[Array, Array]:
    """Return some of the magnitudes seen, with their ranks, 1 the smallest.

    They are all of them at the ends, and fewer between.
    """
    found = sample_of(result)
    after = found.below + found.counts
    first = int(np.floor(found.below[0])) + 1
    n = max(int(np.floor(found.total)), 1)
    if n - first < _POINTS:
        ranks = np.arange(first, n + 1)
    else:
        # They are ever denser towards the ends: there an axis of quantiles has the most room.
        beyond = np.geomspace(_EXTREMES, (n - first) / 2, _POINTS // 4).round()
        offsets = np.r_[np.arange(_EXTREMES), beyond]
        between = np.linspace(first, n, _POINTS // 2).round()
        ranks = np.unique(np.r_[first + offsets, between, n - offsets])
    places = np.minimum(np.searchsorted(after, ranks - 1e-9), found.values.size - 1)
    return found.values[places], ranks.astype(np.float64)
