"""Densities: histograms of weights on a logarithmic axis, with what was fitted to them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.weight_fit import FEW, WeightFit
from daleml.analysis.plots.canvas import (
    axes_or_new,
    legend,
    log_ticks,
    require_result,
    tidy,
)
from daleml.analysis.plots.common_options import UnitWords, options, quantity
from daleml.analysis.plots.family_styles import line_of
from daleml.analysis.plots.plotted_sample import density, fraction_between, sample_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 5
"""How many families are drawn of a comparison, if no more are as good: others hide them."""

BEHIND = "+ how far behind the best, in AICc"
"""The title of a legend in which families are named with their distance from the best."""

# A histogram has as many bins as twice the root of the number of weights, within these bounds.
_MOST_BINS = 60
_FEWEST_BINS = 8

# Below this quantile weights are not drawn if they trail far off.
_TRIM = 0.001

# Censored magnitudes are drawn down to this quantile of theirs.
_FAR_BELOW = 0.02

# The line at a bound of what was seen.
_BOUND: dict[str, Any] = {
    "color": "0.35",
    "linewidth": 1,
    "linestyle": (0, (1, 1.5)),
    "zorder": 1,
}


@options(UnitWords, own=("xlabel",))
def fit(result: WeightFit, ax: Axes | None = None, **words: Unpack[UnitWords]) -> Axes:
    """Draw the histogram of the magnitudes on a logarithmic axis, with the fitted density.

    Both have unit area over what was seen: beyond a truncation, shaded, there is nothing to
    compare. Counts are binned between whole numbers, and the fit is drawn as its fraction of
    each bin, at the bin's middle. Censored magnitudes are the hatched area below their
    threshold.

    Args:
        result: A fit.
        ax: Where to draw; default: new axes.
        xlabel: What the magnitudes are.
        ylabel, title, unit, width: As every plot takes them; see :mod:`daleml.analysis.plots`.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is no fit, or ``ax`` are no axes.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights, plots
        >>> weights = np.random.default_rng(0).lognormal(size=200)
        >>> drawing, axes = plots.figure()
        >>> fitted = fit_weights(weights, "lognormal")
        >>> ax = plots.fit(fitted, axes[0, 0], xlabel="size", unit="um^2")
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('size (µm²)', 'density of ln |weight|')
    """
    require_result(result, WeightFit, "fit_weights")
    ax = axes_or_new(ax)
    edges = _histogram(result, ax)
    shown = [f"{name} {value:.3g}" for name, value in list(result.params.items())[:3]]
    if len(result.params) > 3:
        shown.append("...")
    label = f"{family_label(result.family)} ({', '.join(shown)})"
    _density(result, edges, ax, label=label, **line_of(result.family, 2.2))
    return _finish(result, edges, ax, words)


@options(UnitWords, own=("xlabel",))
def families(
    result: Comparison, ax: Axes | None = None, **words: Unpack[UnitWords]
) -> Axes:
    """Draw the histogram of the magnitudes, with the densities of the best families.

    They are the five best, and all that cannot be told from the best; how many are left out is
    said. The best comes first, as the thickest line; a family has the same colour and line
    style in every plot. See :func:`fit` for what is drawn.

    Args:
        result: A comparison.
        ax: Where to draw; default: new axes.
        xlabel: What the magnitudes are.
        ylabel, title, unit, width: As every plot takes them; see :mod:`daleml.analysis.plots`.

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
        >>> ax = plots.families(result, axes[0, 0])
        >>> [line.get_label() for line in ax.lines]
        ['log-normal', 'gamma +8.5']
    """
    require_result(result, Comparison, "compare_families")
    ax = axes_or_new(ax)
    edges = _histogram(result.best, ax)
    # Of a few values any curve says what is not known.
    if result.best.total < FEW:
        return _finish(result.best, edges, ax, words)
    for rank, (fitted, label) in enumerate(labelled_fits(result)):
        style = line_of(fitted.family, 1.5 if rank else 2.6)
        _density(fitted, edges, ax, label=label, zorder=3 - rank / 10, **style)
    return _finish(result.best, edges, ax, words, title=behind_title(result))


def _drawn_fits(result: Comparison) -> list[WeightFit]:
    """Return the five best fits, and those that cannot be told from the best."""
    as_good = result.cannot_tell
    return [
        one
        for rank, one in enumerate(result.fits)
        if rank < SHOWN or one.family in as_good
    ]


def behind_title(result: Comparison) -> str:
    """Return the title of a legend of families: what the numbers are, and what is not drawn."""
    n, drawn = len(result.fits), len(_drawn_fits(result))
    if drawn == n:
        return BEHIND
    return f"{BEHIND};\n{n - drawn} of {n} families, further behind, not drawn"


def labelled_fits(result: Comparison) -> list[tuple[WeightFit, str]]:
    """Return the fits to draw, the best first, each with its name and how far it is behind."""
    found = []
    for rank, fitted in enumerate(_drawn_fits(result)):
        behind = fitted.aicc - result.best.aicc
        label = family_label(fitted.family)
        if rank and math.isfinite(behind):
            label += f" +{aicc_text(behind)}"
        found.append((fitted, label))
    return found


def aicc_text(difference: float) -> str:
    """Return a difference in AICc in words as short as it deserves."""
    return f"{difference:,.1f}" if difference < 1000 else f"{difference:,.0f}"


def shade_unseen(result: WeightFit, ax: Axes) -> None:
    """Shade what lies beyond a truncation; call it when the limits of x are set."""
    low, high = result.observation.low, result.observation.high
    left, right = ax.get_xlim()
    # A bound of counts below 1 leaves none of them out.
    least = 0.5 if result.observation.discrete else 0.0
    said = "not seen"
    for start, end, bound in ((left, low, low), (high, right, high)):
        if start >= end or bound <= least or math.isinf(bound):
            continue
        ax.axvspan(
            start,
            end,
            facecolor="0.93",
            edgecolor="0.7",
            hatch="\\\\\\",
            linewidth=0,
            zorder=0,
            label=said,
        )
        ax.axvline(bound, **_BOUND)
        # matplotlib leaves labels that begin so out of the legend: once is enough.
        said = "_"


def _log_edges(result: WeightFit) -> Array:
    """Return edges of bins, evenly spaced on the logarithmic axis.

    They lie between whole numbers if all magnitudes are whole, as counts are, and between
    rounded values if they were rounded. Few magnitudes have few bins. A sample whose smallest
    magnitudes trail far off, as those parked near zero do, is cut at its 0.1 % quantile.
    """
    seen = sample_of(result)
    values = seen.values
    observation = result.observation
    low, high = values[0], values[-1]
    if result.observed.streamed is None:
        trimmed = float(np.quantile(values, _TRIM))
    else:
        # Of very many magnitudes, values stand for as many as they count.
        place = int(np.searchsorted(seen.below, _TRIM * seen.total))
        trimmed = float(values[min(place, values.size - 1)])
    if observation.censored_below:
        low = observation.censored_below
    elif low < trimmed / 10:
        low = trimmed
    bins = min(_MOST_BINS, max(_FEWEST_BINS, round(2 * math.sqrt(values.size))))
    # Rounding must not leave the largest value outside of the last bin.
    edges = np.geomspace(low, high * (1 + 1e-9), bins + 1)
    # Edges lie between the values that can be written down: bins without any would be gaps,
    # and others spikes.
    step = observation.resolution
    if step:
        return between_whole(edges / step, np.round(high / step)) * step
    if not np.all(values == np.floor(values)) or observation.censored_below:
        return edges
    return between_whole(edges, np.floor(high))


def between_whole(edges: Array, largest: float) -> Array:
    """Return edges moved to halfway between whole numbers, and the last one behind the largest.

    The last is not rounded like the others: a bin of one whole number among wide ones would be
    a spike.
    """
    moved = np.r_[np.floor(edges[:-1] + 0.5) - 0.5, largest + 0.5]
    return np.unique(moved.clip(0.5))


def _histogram(result: WeightFit, ax: Axes) -> Array:
    """Draw the histogram of ln w, with unit area, and return the edges of its bins."""
    edges, data = _log_edges(result), sample_of(result)
    counts, _ = np.histogram(data.values, edges, weights=data.counts)
    densities = counts / (data.total * np.diff(np.log(edges)))
    label = f"n = {result.n:,}"
    if result.sample.counts() is not None:
        label += f", weighted as {result.total:,.4g}"
    ax.stairs(densities, edges, fill=True, color="0.82", label=label, zorder=1)
    return edges


def _density(result: WeightFit, edges: Array, ax: Axes, **style: Any) -> None:
    """Draw the fitted density of ln w."""
    if result.observation.discrete:
        middles = np.sqrt(np.maximum(edges[:-1] + 0.5, 1) * (edges[1:] - 0.5))
        densities = fraction_between(result, edges) / np.diff(np.log(edges))
        ax.plot(middles, densities, marker=".", markersize=4, **style)
        return
    start = max(_start(result, edges), result.observation.low)
    end = min(edges[-1], result.observation.high)
    # The density of ln w has unit area on the logarithmic axis.
    grid = np.geomspace(start, end, 400)
    ax.plot(grid, density(result, grid), **style)


def _start(result: WeightFit, edges: Array) -> float:
    """Return from where to draw.

    Below a threshold of censoring, that is from where next to nothing is left.
    """
    if not result.observation.censored_below:
        return float(edges[0])
    lowest = 0.0
    if result.n_censored:
        level = _FAR_BELOW * result.n_censored / result.n
        lowest = float(result.distribution().ppf(level))
    return float(max(min(lowest, edges[0] / 2), edges[0] / 1e3, result.observation.low))


def _finish(
    result: WeightFit,
    edges: Array,
    ax: Axes,
    words: UnitWords,
    title: str | None = None,
) -> Axes:
    """Name the axes, draw what was censored, shade what was not seen, and add the legend."""
    hidden = []
    if result.sample.n_zero:
        hidden.append(f"{result.sample.n_zero:,} exact zeros")
    if sample_of(result).values[0] < edges[0]:
        hidden.append(f"the smallest {_TRIM:.1%}")
    note = f"\n({' and '.join(hidden)} not shown)" if hidden else ""
    kind = "count" if result.observation.discrete else "|weight|"
    what = quantity(words.get("xlabel") or "|weight|", words.get("unit"))
    ax.set(
        xscale="log",
        xlabel=f"{what}{note}",
        ylabel=f"density of ln {kind}",
    )
    if result.n_censored:
        _draw_censored(result, edges, ax)
    _leave_room(result, ax)
    ax.set_ylim(bottom=0)
    log_ticks(ax.xaxis)
    legend(ax, title=title)
    return tidy(ax)


def _draw_censored(result: WeightFit, edges: Array, ax: Axes) -> None:
    """Draw the censored magnitudes as an area below their threshold."""
    data = sample_of(result)
    start, threshold = _start(result, edges), result.observation.censored_below
    fraction = data.n_censored / data.total
    ax.stairs(
        [fraction / math.log(threshold / start)],
        [start, threshold],
        fill=True,
        facecolor="0.9",
        edgecolor="0.55",
        hatch="///",
        linewidth=0,
        zorder=1,
        label=f"{result.n_censored:,} censored at {threshold:g}",
    )
    ax.axvline(threshold, **_BOUND)


def _leave_room(result: WeightFit, ax: Axes) -> None:
    """Let a truncation be seen: leave some room beyond its bounds."""
    left, right = ax.get_xlim()
    observation = result.observation
    if observation.low > (0.5 if observation.discrete else 0.0):
        left = min(left, observation.low / (right / observation.low) ** 0.06)
    if math.isfinite(observation.high):
        right = max(right, observation.high * (observation.high / left) ** 0.06)
    ax.set_xlim(left, right)
    shade_unseen(result, ax)
