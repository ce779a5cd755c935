"""Tails of distributions: the fraction of weights that are at least as large as each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.weight_fit import WeightFit
from daleml.analysis.plots.canvas import (
    axes_or_new,
    legend,
    log_ticks,
    require_result,
    tidy,
)
from daleml.analysis.plots.common_options import UnitWords, options, quantity
from daleml.analysis.plots.densities import behind_title, labelled_fits, shade_unseen
from daleml.analysis.plots.family_styles import line_of
from daleml.analysis.plots.plotted_sample import at_least, sample_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of more magnitudes than this, some are drawn; a curve has as many points.
_POINTS = 400


@options(UnitWords, own=("xlabel",))
def ccdf(
    result: WeightFit | Comparison,
    ax: Axes | None = None,
    **words: Unpack[UnitWords],
) -> Axes:
    r"""Draw :math:`P(W \ge w)` of the magnitudes that were seen, log-log, with that of the fit.

    Here the upper tail has as much room as the rest. Where there are many magnitudes, points
    are drawn at 400 of them, even on the vertical axis, and always at the largest.

    Args:
        result: A fit; or a comparison, of which the five best families are drawn, and all
            that cannot be told from the best.
        ax: Where to draw; default: new axes.
        xlabel: What the magnitudes are.
        ylabel, title, unit, width: As every plot takes them; see :mod:`daleml.analysis.plots`.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is neither a fit nor a comparison, or ``ax`` are no axes.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights, plots
        >>> weights = np.random.default_rng(0).lognormal(size=200)
        >>> drawing, axes = plots.figure()
        >>> ax = plots.ccdf(fit_weights(weights, "lognormal"), axes[0, 0])
        >>> [line.get_label() for line in ax.lines]
        ['n = 200', 'log-normal']
    """
    if isinstance(result, Comparison):
        fits, title = labelled_fits(result), behind_title(result)
    else:
        require_result(result, WeightFit, "fit_weights")
        fits, title = [(result, family_label(result.family))], ""
    ax = axes_or_new(ax)
    first = fits[0][0]
    data = sample_of(first)
    values, places = np.unique(data.values, return_index=True)
    fractions = 1 - data.below[places] / data.total
    chosen = _even(fractions)
    ax.plot(
        values[chosen],
        fractions[chosen],
        "o",
        color="0.72",
        markersize=5.5,
        markeredgewidth=0,
        zorder=1,
        label=f"n = {first.n:,}",
    )
    # Of rounded values there is nothing between them.
    grid = values
    if first.observation.grid is None:
        grid = np.geomspace(values[0], values[-1], _POINTS)
    for rank, (fitted, label) in enumerate(fits):
        tail = at_least(fitted, grid)
        # Where rounding leaves nothing of a tail, a logarithmic axis has no place for it.
        tail = np.where(tail > 0, tail, np.nan)
        style = line_of(fitted.family, 1.5 if rank else 2.4)
        ax.plot(grid, tail, zorder=3 - rank / 10, label=label, **style)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=quantity(words.get("xlabel") or "|weight|", words.get("unit")),
        ylabel="fraction at least as large",
    )
    ax.set_ylim(fractions.min() / 3, 1.5)
    shade_unseen(first, ax)
    log_ticks(ax.xaxis)
    legend(ax, title=title or None)
    return tidy(ax)


def _even(fractions: np.ndarray) -> np.ndarray:
    """Return places of fractions that lie about evenly on a logarithmic axis, ends included.

    Args:
        fractions: Falling from 1.
    """
    n = fractions.size
    if n <= _POINTS:
        return np.arange(n)
    wanted = np.geomspace(fractions[0], fractions[-1], _POINTS)
    found = np.searchsorted(-fractions, -wanted).clip(0, n - 1)
    return np.unique(np.r_[0, found, n - 1])
