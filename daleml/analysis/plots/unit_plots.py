"""Plots of units and what is read from them: selectivity, aligned averages, decoding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.activity.event_alignment import Aligned
from daleml.analysis.activity.time_decoding import Decoding
from daleml.analysis.activity.unit_selectivity import Selectivity
from daleml.analysis.plots.canvas import (
    DASHES,
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    legend,
    name,
    require_result,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Beyond this number of lines in one picture they hide one another.
_MOST_LINES = 8


def selectivity(result: Selectivity, ax: Axes | None = None) -> Axes:
    """Draw how selective each unit is, population by population, the most selective first.

    Of two conditions this is d', else the fraction of variance explained. Filled bars are of
    selective units, pale ones of others.

    Args:
        result: What :func:`daleml.analysis.activity.selectivity` returned.
        ax: Where to draw; default: new axes.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> import torch
        >>> from daleml.analysis import activity, plots
        >>> result = activity.selectivity(torch.rand(20, 5), [0, 1] * 10)
        >>> drawing, axes = plots.figure()
        >>> plots.selectivity(result, axes[0, 0]).get_ylabel()
        "d' (1 less 0)"
    """
    require_result(result, Selectivity, "selectivity")
    ax = axes_or_new(ax)
    values, label = result.eta_squared, "fraction of variance explained"
    if len(result.conditions) == 2:
        first, second = result.conditions
        values, label = result.d_prime, f"d' ({_shown(second)} less {_shown(first)})"
    # A unit that never changes has no d', and one without noise an infinite one.
    finite = np.abs(values[np.isfinite(values)])
    limit = float(finite.max(initial=0.0)) or 1.0
    values = np.clip(np.nan_to_num(values, posinf=limit, neginf=-limit), -limit, limit)
    start = 0
    for population, units, color in _populations(result):
        order = np.argsort(-values[units], kind="stable")
        heights, is_selective = values[units][order], result.selective[units][order]
        places = start + np.arange(len(heights))
        ax.bar(places, heights, width=1, color=color, alpha=0.25, linewidth=0)
        fraction = float(is_selective.mean())
        ax.bar(
            places[is_selective],
            heights[is_selective],
            width=1,
            color=color,
            linewidth=0,
            label=f"{name(population)}: {fraction:.0%} selective",
        )
        start += len(heights) + 2
    ax.axhline(0, color="0.3", linewidth=0.8)
    xlabel = "unit, by its selectivity"
    # What is selective has its names in the legend.
    if not result.selective.all():
        xlabel += " (pale: not selective)"
    ax.set(xlabel=xlabel, ylabel=label, xticks=[])
    legend(ax, 2)
    return tidy(ax)


def _shown(condition: Any) -> str:
    """Return the name of a condition; a number as it was written, before it was rounded."""
    # A coherence of 0.064 is 0.06400000303983688 in single precision.
    if isinstance(condition, float):
        return f"{condition:.6g}"
    return name(condition)


def _populations(result: Selectivity) -> list[tuple[str, slice, Any]]:
    """Return each population's name, units and colour: shades of red excite, of blue inhibit."""
    import seaborn as sns

    populations = result.populations
    if populations is None:
        return [("units", slice(0, result.n_units), "0.3")]
    found = []
    for side, hue in ((populations.exc, EXCITATORY), (populations.inh, INHIBITORY)):
        names = []
        for one in populations.names:
            if side.start <= populations[one].start < side.stop:
                names.append(one)
        # The last shades of a palette are too pale to be seen.
        shades = sns.light_palette(hue, len(names) + 2, reverse=True)
        for one, color in zip(names, shades, strict=False):
            found.append((one, populations[one], color))
    return found


def aligned(result: Aligned, ax: Axes | None = None, *, unit: int = 0) -> Axes:
    """Draw mean rates around an event, a line for each condition, with their standard errors.

    Args:
        result: What :func:`daleml.analysis.activity.aligned` returned.
        ax: Where to draw; default: new axes.
        unit: Which unit, or which population by its number.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.
        ValueError: If there is no such unit.

    Example:
        >>> import torch
        >>> from daleml.analysis import activity, plots
        >>> result = activity.aligned(torch.rand(20, 6, 3), 10.0, 100.0, (-50, 50))
        >>> drawing, axes = plots.figure()
        >>> plots.aligned(result, axes[0, 0]).get_xlabel()
        'time from the event (ms)'
    """
    import seaborn as sns

    require_result(result, Aligned, "aligned")
    if not 0 <= unit < len(result.names):
        raise ValueError(f"`unit` must be 0 to {len(result.names) - 1}; got {unit}.")
    ax = axes_or_new(ax)
    # A rate is drawn in the middle of its step.
    times = result.times_ms + result.dt_ms / 2
    colors = sns.color_palette("viridis", len(result.conditions))
    for rank, condition in enumerate(result.conditions):
        mean = result.means[rank, :, unit]
        error = result.standard_errors[rank, :, unit]
        ax.plot(
            times,
            mean,
            color=colors[rank],
            linestyle=DASHES[rank % len(DASHES)],
            label=f"{_shown(condition)} ({result.n_trials[rank]:,} trials)",
        )
        ax.fill_between(
            times,
            mean - error,
            mean + error,
            color=colors[rank],
            alpha=0.2,
            linewidth=0,
        )
    ax.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    place = result.names[unit]
    what = f"unit {place}" if place.isdigit() else name(place)
    ax.set(xlabel=f"time from {name(result.event)} (ms)", ylabel=f"rate of {what}")
    if len(result.conditions) <= _MOST_LINES:
        legend(ax, 2)
    return tidy(ax)


def decoding(result: Decoding, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of a linear reader over time, with what chance allows.

    The grey band is the interval of shuffled labels at each time by itself. Dots below mark the
    times at which labels can be told, corrected for the number of times.

    Args:
        result: What :func:`daleml.analysis.activity.decode` returned.
        ax: Where to draw; default: new axes.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> import torch
        >>> from daleml.analysis import activity, plots
        >>> result = activity.decode(torch.randn(4, 30, 3), [0, 1] * 15, dt_ms=20)
        >>> drawing, axes = plots.figure()
        >>> plots.decoding(result, axes[0, 0]).get_xlabel()
        'time (ms)'
    """
    require_result(result, Decoding, "decode")
    ax = axes_or_new(ax)
    times = result.times_ms
    low, high = result.chance_interval
    ax.fill_between(
        times, low, high, color="0.88", linewidth=0, label="chance (interval)"
    )
    ax.plot(times, result.chance, color="0.6", linewidth=0.8)
    ax.plot(times, result.accuracy, color="#c0392b", label="held-out trials")
    told = np.where(result.decodable, min(0.0, float(low.min())) + 0.02, math.nan)
    ax.plot(times, told, ".", color="0.15", markersize=5, label="can be told")
    ax.set(xlabel="time (ms)", ylabel="accuracy", ylim=(0, 1.02))
    legend(ax, 3)
    return tidy(ax)
