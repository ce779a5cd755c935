"""Plots of units and what is read from them: selectivity, aligned averages, decoding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml.analysis.activity.event_alignment import Aligned
from daleml.analysis.activity.time_decoding import Decoding
from daleml.analysis.activity.unit_selectivity import Selectivity
from daleml.analysis.plots import axis_names
from daleml.analysis.plots.axis_names import Names
from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    legend,
    name,
    require_result,
    tidy,
)
from daleml.analysis.plots.common_options import LabelWords, Words, options, relabelled
from daleml.analysis.plots.curve_styles import curve, shades, tints

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@options(LabelWords)
def selectivity(
    result: Selectivity, ax: Axes | None = None, **words: Unpack[LabelWords]
) -> Axes:
    """Draw how selective each unit is, population by population, the most selective first.

    Of two conditions this is d', else the fraction of variance explained. Filled bars are of
    selective units, pale ones of others.

    Args:
        result: What :func:`daleml.analysis.activity.selectivity` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name populations.

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
    found = _populations(result)
    names = [population for population, _, _ in found]
    shown, middles = relabelled(names, words.get("labels")), []
    for label_of, (_, units, color) in zip(shown, found, strict=True):
        order = np.argsort(-values[units], kind="stable")
        heights, is_selective = values[units][order], result.selective[units][order]
        places = start + np.arange(len(heights))
        style = {"width": 1, "color": color, "linewidth": 0}
        ax.bar(places, heights, alpha=0.25, **style)
        ax.bar(places[is_selective], heights[is_selective], **style)
        said = f"{label_of}: {float(is_selective.mean()):.0%} selective"
        # Nothing is drawn: a population without a selective unit has its colour in the key too.
        ax.bar(0, math.nan, label=said, **style)
        middles.append(start + (len(heights) - 1) / 2)
        start += len(heights) + 2
    ax.axhline(0, color="0.3", linewidth=0.8)
    xlabel = "unit, by its selectivity"
    # What is selective has its names in the legend.
    if not result.selective.all():
        xlabel += " (pale: not selective)"
    ax.set(ylabel=label, xlim=(-1, start - 2))
    # Names below say the same in grey as colours do.
    blocks = Names(tuple(shown), tuple(middles))
    axis_names.put(ax, blocks, start - 1, vertical=False, what=xlabel)
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
    populations = result.populations
    if populations is None:
        return [("units", slice(0, result.n_units), "0.3")]
    found = []
    for side, hue in ((populations.exc, EXCITATORY), (populations.inh, INHIBITORY)):
        names = []
        for one in populations.names:
            if side.start <= populations[one].start < side.stop:
                names.append(one)
        for one, color in zip(names, tints(hue, len(names)), strict=True):
            found.append((one, populations[one], color))
    return found


@options(LabelWords)
def aligned(
    result: Aligned,
    ax: Axes | None = None,
    *,
    unit: int = 0,
    **words: Unpack[LabelWords],
) -> Axes:
    """Draw mean rates around an event, a line for each condition, with their standard errors.

    Args:
        result: What :func:`daleml.analysis.activity.aligned` returned.
        ax: Where to draw; default: new axes.
        unit: Which unit, or which population by its number: here this is no unit of measurement.
        xlabel, ylabel, title, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name conditions.

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
    require_result(result, Aligned, "aligned")
    if not 0 <= unit < len(result.names):
        raise ValueError(f"`unit` must be 0 to {len(result.names) - 1}; got {unit}.")
    ax = axes_or_new(ax)
    # A rate is drawn in the middle of its step.
    times = result.times_ms + result.dt_ms / 2
    n, lines = len(result.conditions), shades(len(result.conditions))
    texts = [_shown(one) for one in result.conditions]
    shown = relabelled(texts, words.get("labels"))
    for rank in range(n):
        mean = result.means[rank, :, unit]
        error = result.standard_errors[rank, :, unit]
        ax.plot(
            times,
            mean,
            label=f"{shown[rank]} ({result.n_trials[rank]:,} trials)",
            **curve(rank, n, lines[rank]),
        )
        ax.fill_between(
            times,
            mean - error,
            mean + error,
            color=lines[rank],
            alpha=0.2,
            linewidth=0,
        )
    ax.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    place = result.names[unit]
    what = f"unit {place}" if place.isdigit() else name(place)
    ax.set(xlabel=f"time from {name(result.event)} (ms)", ylabel=f"rate of {what}")
    legend(ax, 2)
    return tidy(ax)


@options(Words)
def decoding(result: Decoding, ax: Axes | None = None, **words: Unpack[Words]) -> Axes:
    """Draw the accuracy of a linear reader over time, with what chance allows.

    The grey band is the interval of shuffled labels at each time by itself. Dots below mark the
    times at which labels can be told, corrected for the number of times.

    Args:
        result: What :func:`daleml.analysis.activity.decode` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`.

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
