"""The plot of how families rank, and of those that a sample cannot tell apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Unpack

from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.plots.canvas import axes_or_new, legend, require_result, tidy
from daleml.analysis.plots.common_options import Words, options
from daleml.analysis.plots.densities import aicc_text
from daleml.analysis.plots.family_styles import style_of
from daleml.analysis.plots.lettering import row_names, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The axis is linear up to this difference in AICc, and logarithmic beyond.
_LINEAR = 10.0

# The axis goes on to this multiple of the largest difference, for the notes beside the marks:
# on the logarithmic part of an axis a length in inches is a factor.
_ROOM = 30
_ROOM_WITH_P_VALUES = 400


@options(Words)
def family_bars(
    result: Comparison, ax: Axes | None = None, **words: Unpack[Words]
) -> Axes:
    """Draw how far each family is behind the best, in AICc; the best on top.

    Filled marks are of the best and of those that the sample cannot tell from it; hollow marks
    of the others. The axis is linear up to 10, where the question is whether there is a
    difference, and logarithmic beyond. Where goodness of fit was tested, its p-value stands at
    the right.

    Args:
        result: A comparison.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, width: As every plot takes them; see :mod:`daleml.analysis.plots`.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is no comparison, or ``ax`` are no axes.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import compare_families, plots
        >>> weights = np.random.default_rng(0).lognormal(size=200)
        >>> drawing, axes = plots.figure()
        >>> result = compare_families(weights, ["lognormal", "gamma"])
        >>> ax = plots.family_bars(result, axes[0, 0])
        >>> [tick.get_text() for tick in ax.get_yticklabels()]
        ['log-normal', 'gamma']
    """
    require_result(result, Comparison, "compare_families")
    ax = axes_or_new(ax)
    n, most = len(result.fits), _LINEAR
    told_apart = {fit.family for fit in result.fits[1:]} - set(result.cannot_tell)
    for place, fit in enumerate(result.fits):
        behind = fit.aicc - result.best.aicc
        if math.isfinite(fit.aicc):
            most = max(most, behind)
            note = f"{'+' * bool(place)}{aicc_text(behind)}"
        else:
            behind, note = 0.0, "too few weights"
        test = result.goodness.get(fit.family)
        if test:
            note += f"  ({test.p_text(2)})"
        _bar(ax, n - 1 - place, behind, note, fit.family, fit.family in told_apart)
    _add_to_legend(ax, "0.25", "the best, and what the sample cannot tell from it")
    _add_to_legend(ax, "white", "worse")
    ax.set_xscale("symlog", linthresh=_LINEAR, linscale=1.0)
    room = _ROOM_WITH_P_VALUES if result.goodness else _ROOM
    ax.set_xlim(-0.6, most * (room if most > _LINEAR else room / 10))
    ticks = _ticks(most)
    ax.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    # The ticks above are all that there is room for.
    ax.set_xticks([], minor=True)
    labels = [family_label(fit.family) for fit in result.fits]
    row_names(ax, range(n - 1, -1, -1), labels)
    ax.set_ylim(-0.7, n - 0.3)
    tested = "\n(p: goodness of fit)" if result.goodness else ""
    ax.set(xlabel=f"AICc behind the {family_label(result.best.family)}{tested}")
    legend(ax, 1)
    return tidy(ax)


def _bar(
    ax: Axes, row: int, behind: float, note: str, family: str, is_worse: bool
) -> None:
    """Draw one family: a bar from the best to it, its mark, and a note."""
    style = style_of(family)
    ax.plot(
        [0, behind],
        [row, row],
        color=style.color,
        linewidth=2.5,
        zorder=1,
        solid_capstyle="butt",
    )
    ax.plot(
        behind,
        row,
        style.marker,
        color="white" if is_worse else style.color,
        markeredgecolor=style.color,
        markeredgewidth=1.5,
        markersize=8,
    )
    ax.annotate(
        note,
        (behind, row),
        xytext=(9, 0),
        textcoords="offset points",
        va="center",
        fontsize=small(ax),
    )


def _add_to_legend(ax: Axes, face: str, label: str) -> None:
    """Explain a kind of mark in the legend: a mark of no family, drawn nowhere."""
    ax.plot(
        [],
        [],
        "o",
        color=face,
        markeredgecolor="0.25",
        markeredgewidth=1.5,
        markersize=8,
        label=label,
    )


def _ticks(most: float) -> list[float]:
    """Return the ticks of an axis up to a number: as many as there is room for."""
    top = math.floor(math.log10(most))
    ticks, step = [0.0], 1
    if top <= 3:
        ticks.append(5.0)
    else:
        step = math.ceil(top / 3)
    for power in range(1, top + 1, step):
        ticks.append(10.0**power)
    return ticks
