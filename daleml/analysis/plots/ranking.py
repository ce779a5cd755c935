"""How families rank, and which of them a sample cannot tell apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.plots.canvas import axes_or_new, legend, require, tidy
from daleml.analysis.plots.densities import aicc_text
from daleml.analysis.plots.palette import look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINEAR = 10.0  # AICc up to which the axis is linear


def family_bars(result: Comparison, ax: Axes | None = None) -> Axes:
    """Draw how far each family is behind the best, in AICc; the best on top.

    Filled marks are of the best and of those that the sample cannot tell from it; hollow marks
    of the others. The axis is linear up to 10, where the question is whether there is a
    difference, and logarithmic beyond. Where goodness of fit was tested, its p-value stands at
    the right.

    Args:
        result: A comparison.
        ax: Where to draw; default: new axes.
    """
    require(result, Comparison, "compare_families")
    ax = axes_or_new(ax)
    best = result.best
    told = {fit.family for fit in result.fits[1:]} - set(result.cannot_tell)
    behind = [
        fit.aicc - best.aicc if math.isfinite(fit.aicc) else math.nan
        for fit in result.fits
    ]
    most = max([_LINEAR, *(value for value in behind if value == value)])
    for place, (fit, value) in enumerate(zip(result.fits, behind, strict=True)):
        row, style = len(result.fits) - 1 - place, look(fit.family)
        note = f"{'+' * bool(place)}{aicc_text(value)}"
        if value != value:
            value, note = 0.0, "too few weights"
        test = result.goodness.get(fit.family)
        note += f"  (p = {test.p_value:.2g})" if test else ""
        ax.plot(
            [0, value],
            [row, row],
            color=style.color,
            linewidth=2.5,
            zorder=1,
            solid_capstyle="butt",
        )
        face = "white" if fit.family in told else style.color
        ax.plot(
            value,
            row,
            style.marker,
            color=face,
            markeredgecolor=style.color,
            markeredgewidth=1.5,
            markersize=8,
        )
        ax.annotate(
            note,
            (value, row),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    for face, label in (
        ("0.25", "the best, and what the sample cannot tell from it"),
        ("white", "worse"),
    ):
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
    ax.set_xscale("symlog", linthresh=_LINEAR, linscale=1.0)
    # room for the notes: in inches, so that on the logarithmic part it is a factor
    room = 400 if result.goodness else 30
    ax.set_xlim(-0.6, most * (room if most > _LINEAR else room / 10))
    top = math.floor(math.log10(most))
    powers = range(
        1, top + 1, 1 if top <= 3 else math.ceil(top / 3)
    )  # as many as there is room for
    ticks = [0.0, *([5.0] if top <= 3 else []), *(10.0**power for power in powers)]
    ax.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    ax.set_xticks([], minor=True)
    rows = range(len(result.fits))
    ax.set_yticks(
        [len(result.fits) - 1 - row for row in rows],
        [fit.family for fit in result.fits],
    )
    ax.set_ylim(-0.7, len(result.fits) - 0.3)
    tested = " (p: goodness of fit)" if result.goodness else ""
    ax.set(xlabel=f"AICc behind {best.family}{tested}")
    legend(ax, 1)
    return tidy(ax)
