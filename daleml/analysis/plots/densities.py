"""Densities: histograms of weights on a logarithmic axis, with what was fitted to them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.weight_fit import FEW, WeightFit
from daleml.analysis.plots.canvas import (
    axes_or_new,
    axis_name,
    legend,
    log_ticks,
    require,
    tidy,
)
from daleml.analysis.plots.palette import line
from daleml.analysis.plots.plotted_sample import density, seen, share_between

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 5
"""How many families are drawn of a comparison: more cannot be told apart by eye."""

BEHIND = "+ how far behind the best, in AICc"

_BINS, _FEWEST_BINS = 60, 8
_TRIM = 0.001
_FAR_BELOW = 0.02  # quantile down to which censored magnitudes are drawn


def fit(
    result: WeightFit, ax: Axes | None = None, *, xlabel: str | None = None
) -> Axes:
    """Draw the histogram of the magnitudes on a logarithmic axis, with the fitted density of what was seen.

    Both have unit area over what was seen: beyond a truncation, shaded, there is nothing to
    compare. Counts are binned between whole numbers, and the fit is drawn as its share of each
    bin, at the bin's middle. Censored magnitudes are the hatched area below their threshold.

    Args:
        result: A fit.
        ax: Where to draw; default: new axes.
        xlabel: What the magnitudes are, with their unit.
    """
    require(result, WeightFit, "fit_weights")
    ax = axes_or_new(ax)
    edges = _histogram(result, ax)
    label = (
        f"{result.family}"
        f" ({', '.join(f'{name} {value:.3g}' for name, value in list(result.params.items())[:3])}"
    )
    _density(
        result,
        edges,
        ax,
        label=label + (", ...)" if len(result.params) > 3 else ")"),
        **line(result.family, 2.2),
    )
    return _finish(result, edges, ax, xlabel)


def families(
    result: Comparison, ax: Axes | None = None, *, xlabel: str | None = None
) -> Axes:
    """Draw the histogram of the magnitudes on a logarithmic axis, with the densities of the five best families.

    The best comes first, as the thickest line; a family has the same colour and line style in
    every plot. See :func:`fit` for what is drawn.

    Args:
        result: A comparison.
        ax: Where to draw; default: new axes.
        xlabel: What the magnitudes are, with their unit.
    """
    require(result, Comparison, "compare_families")
    ax = axes_or_new(ax)
    edges = _histogram(result.best, ax)
    curves = (
        named(result) if result.best.total >= FEW else []
    )  # of a few values any curve says what is not known
    for rank, (fitted, label) in enumerate(curves):
        _density(
            fitted,
            edges,
            ax,
            label=label,
            zorder=3 - rank / 10,
            **line(fitted.family, 1.5 if rank else 2.6),
        )
    return _finish(result.best, edges, ax, xlabel, title=BEHIND if curves else None)


def named(result: Comparison) -> list[tuple[WeightFit, str]]:
    """Return the fits to draw, the best first, each with its name and how far it is behind."""
    found = []
    for rank, fitted in enumerate(result.fits[:SHOWN]):
        behind = fitted.aicc - result.best.aicc
        label = (
            f"{fitted.family} +{aicc_text(behind)}"
            if rank and math.isfinite(behind)
            else fitted.family
        )
        found.append((fitted, label))
    return found


def aicc_text(difference: float) -> str:
    """Return a difference in AICc in words as short as it deserves."""
    return f"{difference:,.1f}" if difference < 1000 else f"{difference:,.0f}"


def shade_unseen(result: WeightFit, ax: Axes) -> None:
    """Shade what lies beyond a truncation; call it when the limits of x are set."""
    low, high = result.observation.low, result.observation.high
    left, right = ax.get_xlim()
    said = "not seen"
    for start, end, bound in ((left, low, low), (high, right, high)):
        if (
            start < end
            and math.isfinite(bound)
            and bound > (0.5 if result.observation.discrete else 0)
        ):
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
            ax.axvline(
                bound, color="0.35", linewidth=1, linestyle=(0, (1, 1.5)), zorder=1
            )
            said = "_"


def _log_edges(result: WeightFit) -> Any:
    """Bin edges, even on the logarithmic axis.

    Between integers if all magnitudes are integers, as counts are.

    Few magnitudes have few bins. A sample whose smallest magnitudes trail far off, as those
    parked near zero do, is cut at its 0.1 % quantile.
    """
    values = seen(result).values
    trimmed = float(np.quantile(values, _TRIM))
    low, largest = trimmed if values[0] < trimmed / 10 else values[0], values[-1]
    if result.observation.censored_below:
        low = result.observation.censored_below
    bins = min(_BINS, max(_FEWEST_BINS, round(2 * math.sqrt(values.size))))
    edges = np.geomspace(low, largest * (1 + 1e-9), bins + 1)
    step = result.observation.resolution
    # edges between the values that can be written down: bins without any would be gaps, and
    # others spikes
    if step:
        return (
            np.unique(
                np.r_[
                    np.floor(edges[:-1] / step + 0.5) - 0.5,
                    np.round(largest / step) + 0.5,
                ].clip(0.5)
            )
            * step
        )
    if not np.all(values == np.floor(values)) or result.observation.censored_below:
        return edges
    # the last edge is not rounded like the others: a bin of one whole number among wide ones
    # would be a spike
    return np.unique(
        np.r_[np.floor(edges[:-1] + 0.5) - 0.5, np.floor(largest) + 0.5]
    ).clip(0.5)


def _histogram(result: WeightFit, ax: Axes) -> Any:
    edges, data = _log_edges(result), seen(result)
    heights = np.histogram(data.values, edges, weights=data.counts)[0] / (
        data.total * np.diff(np.log(edges))
    )
    n = f"n = {result.n:,}"
    if result.sample.counts() is not None:
        n += f", weighted as {result.total:,.4g}"
    ax.stairs(heights, edges, fill=True, color="0.82", label=n, zorder=1)
    return edges


def _density(result: WeightFit, edges: Any, ax: Axes, **look: Any) -> None:
    if result.observation.discrete:
        middles = np.sqrt(np.maximum(edges[:-1] + 0.5, 1) * (edges[1:] - 0.5))
        ax.plot(
            middles,
            share_between(result, edges) / np.diff(np.log(edges)),
            marker=".",
            markersize=4,
            **look,
        )
        return
    start = _start(result, edges)
    end = min(edges[-1], result.observation.high)
    grid = np.geomspace(max(start, result.observation.low), end, 400)
    # the density of ln w, so that it has unit area on the logarithmic axis
    ax.plot(grid, density(result, grid), **look)


def _start(result: WeightFit, edges: Any) -> float:
    """Return from where to draw.

    Below a threshold of censoring, from where next to nothing is left.
    """
    if not result.observation.censored_below:
        return float(edges[0])
    lowest = (
        float(result.distribution().ppf(_FAR_BELOW * result.n_censored / result.n))
        if result.n_censored
        else 0.0
    )
    return float(max(min(lowest, edges[0] / 2), edges[0] / 1e3, result.observation.low))


def _finish(
    result: WeightFit,
    edges: Any,
    ax: Axes,
    xlabel: str | None,
    title: str | None = None,
) -> Axes:
    sample, smallest = result.sample, seen(result).values[0]
    hidden = []
    if sample.n_zero:
        hidden.append(f"{sample.n_zero:,} exact zeros")
    if smallest < edges[0]:
        hidden.append(f"the smallest {_TRIM:.1%}")
    note = f" ({' and '.join(hidden)} not shown)" if hidden else ""
    ax.set(
        xscale="log",
        xlabel=f"{axis_name(xlabel or '|weight|')}{note}",
        ylabel=f"density of ln {'count' if result.observation.discrete else '|weight|'}",
    )
    if result.n_censored:
        start, threshold = _start(result, edges), result.observation.censored_below
        share = seen(result).n_censored / seen(result).total
        ax.stairs(
            [share / math.log(threshold / start)], [start, threshold], fill=True, facecolor="0.9", edgecolor="0.55",
            hatch="///", linewidth=0, zorder=1, label=f"{result.n_censored:,} censored at {threshold:g}",
        )  # fmt: skip
        ax.axvline(
            threshold, color="0.35", linewidth=1, linestyle=(0, (1, 1.5)), zorder=1
        )
    _leave_room(result, ax)
    ax.set_ylim(bottom=0)
    log_ticks(ax.xaxis)
    legend(ax, title=title)
    return tidy(ax)


def _leave_room(result: WeightFit, ax: Axes) -> None:
    """Let a truncation be seen: leave some room beyond its bounds."""
    left, right = ax.get_xlim()
    observation = result.observation
    floor = 0.5 if observation.discrete else 0.0
    if observation.low > floor:
        left = min(left, observation.low / (right / observation.low) ** 0.06)
    if math.isfinite(observation.high):
        right = max(right, observation.high * (observation.high / left) ** 0.06)
    ax.set_xlim(left, right)
    shade_unseen(result, ax)
