"""Groups of synapses, one above the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daleml.analysis.distributions.group_comparison import GroupComparison
from daleml.analysis.distributions.weight_fit import WeightFit
from daleml.analysis.plots.canvas import (
    axes_or_new,
    axis_name,
    legend,
    log_ticks,
    name,
    require,
    tidy,
)
from daleml.analysis.plots.palette import line
from daleml.analysis.plots.plotted_sample import Seen, density, seen, share_between

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 40
_FEW = 30  # magnitudes, below which a histogram says less than the values themselves
_TOO_FEW = 10  # to rank families, so that no curve is drawn
_HEIGHT = 0.82


def groups(
    result: GroupComparison, ax: Axes | None = None, *, xlabel: str | None = None
) -> Axes:
    """Draw the density of each group on one logarithmic axis, the groups above one another, with its best family.

    Each row is as high as its own highest point, so shapes and places compare, and heights do
    not. The tick below a row is its median. Of a group of fewer than 30 the values themselves
    are drawn, as strokes; where they are fewer than 10, which is too few to rank families,
    nothing else is.

    Args:
        result: A comparison of groups.
        ax: Where to draw; default: new axes.
        xlabel: What the magnitudes are, with their unit.
    """
    require(result, GroupComparison, "compare_groups")
    ax = axes_or_new(ax)
    best = {group: comparison.best for group, comparison in result.groups.items()}
    sizes = {group: seen(fit) for group, fit in best.items()}
    edges = _edges(list(sizes.values()))
    names = [*best, *result.failures]
    labels: list[str] = []
    drawn: set[str] = set()
    for place, group in enumerate(names):
        shown = name(group)
        base = len(names) - 1 - place
        ax.axhline(base, color="0.8", linewidth=0.8, zorder=0)
        if group not in best:
            labels.append(f"{shown}\nnot fitted")
            continue
        fit = best[group]
        labels.append(f"{shown}\nn = {fit.n:,}")
        label = None if fit.family in drawn else fit.family
        drawn |= {fit.family} if fit.n >= _TOO_FEW else set()
        _row(fit, sizes[group], edges, base, ax, label)
    ax.set_yticks([len(names) - 1 - place + 0.3 for place in range(len(names))], labels)
    ax.tick_params(axis="y", length=0)
    ax.plot([], [], "|", color="0.1", markersize=9, markeredgewidth=2, label="median")
    ax.set(
        xscale="log",
        xlabel=axis_name(xlabel or "|weight|"),
        xlim=(edges[0], edges[-1]),
        ylim=(-0.25, len(names) + 0.05),
    )
    log_ticks(ax.xaxis)
    legend(ax, 3)
    tidy(ax).spines["left"].set_visible(False)
    return ax


def _row(
    fit: WeightFit,
    data: Seen,
    edges: np.ndarray,
    base: int,
    ax: Axes,
    label: str | None,
) -> None:
    widths = np.diff(np.log(edges))
    heights = np.histogram(data.values, edges, weights=data.counts)[0] / (
        data.total * widths
    )
    if fit.observation.discrete:
        x, y = (
            np.sqrt((edges[:-1] + 0.5) * (edges[1:] - 0.5)),
            share_between(fit, edges) / widths,
        )
    else:
        x = np.geomspace(edges[0], edges[-1], 300)
        y = density(fit, x)
    few = fit.n < _FEW
    scale = _HEIGHT / max(y.max(), 0.0 if few else heights.max())
    if few:
        ax.vlines(data.values, base, base + 0.16, color="0.35", linewidth=1.1, zorder=1)
    else:
        ax.stairs(
            base + heights * scale,
            edges,
            baseline=base,
            fill=True,
            color="0.82",
            zorder=1,
        )
    if fit.n >= _TOO_FEW:
        ax.plot(x, base + y * scale, zorder=2, label=label, **line(fit.family, 2.0))
    median = float(np.median(fit.sample.values()))
    ax.plot(
        median, base - 0.07, "|", color="0.1", markersize=9, markeredgewidth=2, zorder=3
    )


def _edges(sizes: list[Seen]) -> np.ndarray:
    whole = all(np.all(data.values == np.floor(data.values)) for data in sizes)
    low, high = (
        min(data.values[0] for data in sizes),
        max(data.values[-1] for data in sizes),
    )
    low, high = (low, high) if low < high else (low / 2, high * 2)
    edges = np.geomspace(low, high * (1 + 1e-9), _BINS + 1)
    return (
        np.unique(np.r_[np.floor(edges[:-1] + 0.5) - 0.5, np.floor(high) + 0.5]).clip(
            0.5
        )
        if whole
        else edges
    )
