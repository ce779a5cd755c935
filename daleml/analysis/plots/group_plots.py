"""Groups of synapses, one above the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.group_comparison import GroupComparison
from daleml.analysis.distributions.weight_fit import WeightFit
from daleml.analysis.plots.canvas import (
    axes_or_new,
    legend,
    log_ticks,
    require_result,
    tidy,
)
from daleml.analysis.plots.common_options import (
    AllWords,
    options,
    quantity,
    relabelled,
)
from daleml.analysis.plots.densities import between_whole
from daleml.analysis.plots.family_styles import line_of
from daleml.analysis.plots.lettering import row_names
from daleml.analysis.plots.plotted_sample import (
    PlottedSample,
    density,
    fraction_between,
    sample_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 40

# Of fewer magnitudes than this a histogram says less than the values themselves.
_FEW = 30

# Fewer magnitudes than this do not rank families, so that no curve is drawn.
_TOO_FEW = 10

# The highest point of a row, where rows are 1 apart.
_HEIGHT = 0.82


@options(AllWords, own=("xlabel",))
def groups(
    result: GroupComparison, ax: Axes | None = None, **words: Unpack[AllWords]
) -> Axes:
    r"""Draw the density of each group with its best family, the groups above one another.

    They share one logarithmic axis. Each row is as high as its own highest point, so shapes and
    places compare, and heights do not. The tick below a row is its median. Of a group of fewer
    than 30 the values themselves are drawn, as strokes; where they are fewer than 10, which is
    too few to rank families, nothing else is.

    Args:
        result: A comparison of groups.
        ax: Where to draw; default: new axes.
        xlabel: What the magnitudes are.
        ylabel, title, unit, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name groups.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is no comparison of groups, or ``ax`` are no axes.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import compare_groups, plots
        >>> weights = np.random.default_rng(0).lognormal(size=200)
        >>> layer = np.repeat(["L4", "L5"], 100)
        >>> drawing, axes = plots.figure()
        >>> result = compare_groups(weights, layer, ["lognormal", "gamma"])
        >>> ax = plots.groups(result, axes[0, 0])
        >>> [tick.get_text() for tick in ax.get_yticklabels()]
        ['L4\nn = 100', 'L5\nn = 100']
    """
    require_result(result, GroupComparison, "compare_groups")
    ax = axes_or_new(ax)
    best = {group: comparison.best for group, comparison in result.groups.items()}
    samples = {group: sample_of(fit) for group, fit in best.items()}
    edges = _edges(list(samples.values()))
    n_rows = len(best) + len(result.failures)
    labels: list[str] = []
    drawn: set[str] = set()
    names = list(best) + list(result.failures)
    shown = relabelled(names, words.get("labels"))
    for group, label_of_group in zip(names, shown, strict=True):
        base = n_rows - 1 - len(labels)
        ax.axhline(base, color="0.8", linewidth=0.8, zorder=0)
        if group not in best:
            labels.append(f"{label_of_group}\nnot fitted")
            continue
        fit = best[group]
        labels.append(f"{label_of_group}\nn = {fit.n:,}")
        # A family stands in the legend once.
        label = None if fit.family in drawn else family_label(fit.family)
        if fit.n >= _TOO_FEW:
            drawn.add(fit.family)
        _row(fit, samples[group], edges, base, ax, label)
    row_names(ax, np.arange(n_rows - 1, -1, -1) + 0.3, labels)
    ax.tick_params(axis="y", length=0)
    ax.plot([], [], "|", color="0.1", markersize=9, markeredgewidth=2, label="median")
    ax.set(
        xscale="log",
        xlabel=quantity(words.get("xlabel") or "|weight|", words.get("unit")),
        xlim=(edges[0], edges[-1]),
        ylim=(-0.25, n_rows + 0.05),
    )
    log_ticks(ax.xaxis)
    legend(ax, 3)
    # Rows have names instead of a vertical axis.
    tidy(ax).spines["left"].set_visible(False)
    return ax


def _row(
    fit: WeightFit,
    data: PlottedSample,
    edges: np.ndarray,
    base: int,
    ax: Axes,
    label: str | None,
) -> None:
    """Draw one group above its base line: a histogram or strokes, a curve, and the median."""
    widths = np.diff(np.log(edges))
    counts, _ = np.histogram(data.values, edges, weights=data.counts)
    densities = counts / (data.total * widths)
    if fit.observation.discrete:
        x = np.sqrt((edges[:-1] + 0.5) * (edges[1:] - 0.5))
        y = fraction_between(fit, edges) / widths
    else:
        x = np.geomspace(edges[0], edges[-1], 300)
        y = density(fit, x)
    if fit.n < _FEW:
        scale = _HEIGHT / max(y.max(), 0.0)
        ax.vlines(data.values, base, base + 0.16, color="0.35", linewidth=1.1, zorder=1)
    else:
        scale = _HEIGHT / max(y.max(), densities.max())
        ax.stairs(
            base + densities * scale,
            edges,
            baseline=base,
            fill=True,
            color="0.82",
            zorder=1,
        )
    if fit.n >= _TOO_FEW:
        ax.plot(x, base + y * scale, zorder=2, label=label, **line_of(fit.family, 2.0))
    median = float(np.median(fit.sample.values()))
    ax.plot(
        median, base - 0.07, "|", color="0.1", markersize=9, markeredgewidth=2, zorder=3
    )


def _edges(samples: list[PlottedSample]) -> np.ndarray:
    """Return edges of bins for all groups, between whole numbers if all values are whole."""
    values = np.concatenate([data.values for data in samples])
    low, high = values.min(), values.max()
    if low == high:
        low, high = low / 2, high * 2
    edges = np.geomspace(low, high * (1 + 1e-9), _BINS + 1)
    if np.all(values == np.floor(values)):
        return between_whole(edges, np.floor(high))
    return edges
