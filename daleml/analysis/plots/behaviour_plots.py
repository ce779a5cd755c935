"""Plots of behaviour: how often and how fast a network chooses, by strength of the evidence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml.analysis.activity.chronometric_curve import Chronometric, TimesVerdict
from daleml.analysis.activity.psychometric_curve import Psychometric
from daleml.analysis.plots.canvas import axes_or_new, legend, require_result, tidy
from daleml.analysis.plots.common_options import UnitWords, options, quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The most and the least trials of a point are drawn with these areas, in square points.
_SMALLEST, _LARGEST = 12.0, 60.0

# A curve is drawn through so many points.
_N_POINTS = 401


@options(UnitWords)
def psychometric(
    result: Psychometric, ax: Axes | None = None, **words: Unpack[UnitWords]
) -> Axes:
    """Draw the fraction of choices at each strength, with the fitted curve.

    The area of a point grows with its number of trials; lines are 95 % intervals by Wilson's
    formula. The grey band is the interval of the bias, dashed lines are the lapse rates.

    Args:
        result: What :func:`daleml.analysis.activity.psychometric` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, unit, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of strengths.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> from daleml.analysis import activity, plots
        >>> curve = activity.psychometric([-2, -1, 0, 1, 2] * 20, [0, 0, 1, 1, 1] * 20)
        >>> drawing, axes = plots.figure()
        >>> plots.psychometric(curve, axes[0, 0]).get_ylabel()
        'fraction of choices'
    """
    require_result(result, Psychometric, "psychometric")
    ax = axes_or_new(ax)
    strengths = np.array(result.strengths)
    ns, fractions = np.array(result.n_trials), result.fractions
    low, high = _wilson(fractions, ns)
    ax.vlines(strengths, low, high, color="0.15", linewidth=1.2, zorder=2)
    # Areas, not radii, are seen as amounts.
    areas = _SMALLEST + (_LARGEST - _SMALLEST) * ns / ns.max()
    ax.scatter(
        strengths,
        fractions,
        s=areas,
        color="0.15",
        zorder=3,
        label="trials, 95 % interval",
    )
    # The points at the ends stay clear of the axes.
    margin = 0.06 * (strengths[-1] - strengths[0]) or 1.0
    limits = (strengths[0] - margin, strengths[-1] + margin)
    # Without a curve there are its points only.
    if math.isfinite(result.bias):
        grid = np.linspace(*limits, _N_POINTS)
        ax.plot(
            grid, result.predict(grid), color="#c0392b", label=result.shape, zorder=1
        )
        _draw_bias(ax, result, limits)
    ax.axhline(0.5, color="0.8", linewidth=0.8, zorder=0)
    ax.set(
        xlabel=quantity("strength of the evidence", words.get("unit")),
        ylabel="fraction of choices",
        xlim=limits,
        ylim=(-0.03, 1.03),
    )
    legend(ax, 3)
    return tidy(ax)


def _draw_bias(ax: Axes, result: Psychometric, limits: tuple[float, float]) -> None:
    """Draw the interval of the bias, and the ends of the curve if lapses were fitted."""
    low, high = np.clip(result.intervals["bias"], *limits)
    ax.axvspan(low, high, color="0.92", linewidth=0, zorder=0, label="bias (interval)")
    if result.n_free > 2:
        for end, label in ((result.lapse_low, "lapses"), (1 - result.lapse_high, None)):
            ax.axhline(
                end,
                color="0.5",
                linewidth=0.8,
                linestyle=(0, (4, 3)),
                zorder=0,
                label=label,
            )


def _wilson(fractions: Any, ns: Any) -> tuple[Any, Any]:
    """Return the ends of 95 % intervals of fractions."""
    z = 1.959964
    centre = (fractions + z**2 / (2 * ns)) / (1 + z**2 / ns)
    half = z * np.sqrt(fractions * (1 - fractions) / ns + z**2 / (4 * ns**2))
    half = half / (1 + z**2 / ns)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


@options(UnitWords)
def chronometric(
    result: Chronometric, ax: Axes | None = None, **words: Unpack[UnitWords]
) -> Axes:
    """Draw the mean reaction time at each strength, with its quantiles and the fitted curve.

    Lines are intervals of the means, grey dots the quantiles, hollow points the means of errors.

    Args:
        result: What :func:`daleml.analysis.activity.chronometric` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, unit, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of strengths.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> from daleml.analysis import activity, plots
        >>> times = [900, 860, 700, 720, 500, 520, 400, 410]
        >>> curve = activity.chronometric([0, 0, 0.1, 0.1, 0.3, 0.3, 0.6, 0.6], times)
        >>> drawing, axes = plots.figure()
        >>> plots.chronometric(curve, axes[0, 0]).get_ylabel()
        'reaction time (ms)'
    """
    require_result(result, Chronometric, "chronometric")
    ax = axes_or_new(ax)
    strengths = np.array(result.strengths)
    for rank, quantiles in enumerate(zip(*result.quantiles_ms, strict=True)):
        label = "quantiles" if rank == 0 else None
        ax.plot(strengths, quantiles, ".", color="0.72", markersize=5, label=label)
    low, high = np.array(result.intervals_ms).T
    ax.vlines(strengths, low, high, color="0.15", linewidth=1.4, zorder=2)
    which = "correct trials" if result.only_correct else "all trials"
    ax.plot(strengths, result.means_ms, "o", color="0.15", zorder=3, label=which)
    # Without a word on what was correct, there are no errors to name.
    if np.isfinite(np.array(result.error_means_ms, dtype=np.float64)).any():
        ax.plot(
            strengths,
            result.error_means_ms,
            "o",
            color="white",
            markeredgecolor="0.15",
            zorder=2,
            label="errors",
        )
    if result.verdict is not TimesVerdict.TOO_FEW_STRENGTHS:
        grid = np.linspace(0, strengths[-1] * 1.03, _N_POINTS)
        ax.plot(
            grid, result.predict(grid), color="#c0392b", zorder=1, label="diffusion"
        )
    xlabel = quantity("absolute strength of the evidence", words.get("unit"))
    ax.set(xlabel=xlabel, ylabel="reaction time (ms)")
    ax.set_ylim(bottom=0)
    legend(ax, 2)
    return tidy(ax)
