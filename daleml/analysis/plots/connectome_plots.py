"""Plots of connectomes: degrees, strengths, and the balance of excitation and inhibition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml.analysis.connectomes.graph_measures import GraphSummary
from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    legend,
    log_ticks,
    require_result,
    tidy,
)
from daleml.analysis.plots.common_options import UnitWords, Words, options, quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_DARK = "0.15"

# The name, the colour and the marker of a sender, by its sign.
_SENDERS = {
    1: ("excitatory", EXCITATORY, "o"),
    -1: ("inhibitory", INHIBITORY, "^"),
    0: ("without a sign", "0.45", "s"),
}


@options(Words)
def degrees(
    result: GraphSummary, ax: Axes | None = None, **words: Unpack[Words]
) -> Axes:
    """Draw the fraction of nodes that have at least each number of edges, in and out.

    They are complementary cumulative distributions, log-log.

    Args:
        result: What :func:`daleml.analysis.graph_summary` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> from daleml.analysis import graph_summary, plots
        >>> from daleml.datasets import fly_visual
        >>> drawing, axes = plots.figure()
        >>> ax = plots.degrees(graph_summary(fly_visual()), axes[0, 0])
        >>> ax.get_xlabel()
        'edges of a node, at least'
    """
    require_result(result, GraphSummary, "graph_summary")
    ax = axes_or_new(ax)
    table = result.table()
    _at_least(table["in_degree"].to_numpy(), ax, label="in", color=_DARK, linestyle="-")
    _at_least(
        table["out_degree"].to_numpy(), ax, label="out", color="0.5", linestyle="--"
    )
    return _finish(ax, "edges of a node, at least")


@options(UnitWords)
def strengths(
    result: GraphSummary, ax: Axes | None = None, **words: Unpack[UnitWords]
) -> Axes:
    """Draw the fraction of nodes that have at least each summed weight, in and out, log-log.

    The weight that comes in is drawn by sign too, where that is known.

    Args:
        result: What :func:`daleml.analysis.graph_summary` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, unit, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of the
            weights.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> from daleml.analysis import graph_summary, plots
        >>> from daleml.datasets import fly_visual
        >>> drawing, axes = plots.figure()
        >>> ax = plots.strengths(graph_summary(fly_visual()), axes[0, 0])
        >>> ax.get_xlabel()
        'summed weight of a node, at least'
    """
    require_result(result, GraphSummary, "graph_summary")
    ax = axes_or_new(ax)
    table = result.table()
    _at_least(
        table["in_strength"].to_numpy(), ax, label="in", color=_DARK, linestyle="-"
    )
    _at_least(
        table["out_strength"].to_numpy(), ax, label="out", color="0.5", linestyle="--"
    )
    if result.n_exc:
        _at_least(
            table["exc_in"].to_numpy(),
            ax,
            label="in, excitatory",
            color=EXCITATORY,
            linestyle="-.",
        )
    if result.n_inh:
        _at_least(
            table["inh_in"].to_numpy(),
            ax,
            label="in, inhibitory",
            color=INHIBITORY,
            linestyle=":",
        )
    xlabel = quantity("summed weight of a node, at least", words.get("unit"))
    return _finish(ax, xlabel)


@options(UnitWords)
def balance(
    result: GraphSummary, ax: Axes | None = None, **words: Unpack[UnitWords]
) -> Axes:
    """Draw the excitation that each node receives against the inhibition.

    A node's own sign is its colour and marker. On the line both are equal. Axes are logarithmic
    above the smallest weight received and linear below, so that nodes that receive none of a
    sign are seen, on the axis; markers are open, so that nodes on top of one another are seen.
    Nodes that receive nothing of known sign are counted.

    Args:
        result: What :func:`daleml.analysis.graph_summary` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, unit, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of the
            weights.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> from daleml.analysis import graph_summary, plots
        >>> from daleml.datasets import fly_visual
        >>> drawing, axes = plots.figure()
        >>> ax = plots.balance(graph_summary(fly_visual()), axes[0, 0])
        >>> ax.get_xlabel()
        'inhibition received'
    """
    from matplotlib.ticker import FuncFormatter

    require_result(result, GraphSummary, "graph_summary")
    ax = axes_or_new(ax)
    table = result.table()
    received = table[(table["exc_in"] > 0) | (table["inh_in"] > 0)]
    senders = received["sign"].fillna(0).astype(int)
    both = received[["exc_in", "inh_in"]].to_numpy()
    positive = both[both > 0]
    least = most = 1.0
    if positive.size:
        least, most = float(positive.min()), float(positive.max())
    if len(received):
        ends = [0, 2 * most]
        ax.plot(ends, ends, color="0.6", linewidth=1, zorder=1, label="equal")
    for sign, (name, color, marker) in _SENDERS.items():
        chosen = received[senders == sign]
        if len(chosen):
            ax.scatter(
                chosen["inh_in"],
                chosen["exc_in"],
                s=22,
                marker=marker,
                facecolors="none",
                edgecolors=color,
                linewidths=1,
                clip_on=False,
                zorder=2,
                label=f"{name} ({len(chosen):,})",
            )
    # A logarithm has no place for nodes that receive none of a sign.
    ax.set_xscale("symlog", linthresh=least, linscale=0.4)
    ax.set_xlim(0, 2 * most)
    ax.set_yscale("symlog", linthresh=least, linscale=0.4)
    ax.set_ylim(0, 2 * most)
    n_none = result.n_nodes - len(received)
    note = f"\n(not shown: {n_none:,} that receive neither)" if n_none else ""
    unit = words.get("unit")
    ax.set(
        xlabel=f"{quantity('inhibition received', unit)}{note}",
        ylabel=quantity("excitation received", unit),
    )
    plain = FuncFormatter(lambda value, _: f"{value:,.10g}")
    ax.xaxis.set_major_formatter(plain)
    ax.yaxis.set_major_formatter(plain)
    if len(received):
        legend(ax, columns=2)
    else:
        _say_nothing_is_there(ax)
    return tidy(ax)


def _say_nothing_is_there(ax: Axes) -> None:
    ax.text(0.5, 0.5, "no edges", ha="center", va="center", transform=ax.transAxes)


def _at_least(values: NDArray[Any], ax: Axes, *, label: str, **line: Any) -> None:
    """Draw the fraction of values at or above each; zeros are counted instead of drawn."""
    distinct, counts = np.unique(values[values > 0], return_counts=True)
    fraction = counts[::-1].cumsum()[::-1] / values.size
    n_none = int(np.sum(values == 0))
    if n_none:
        label += f" ({n_none:,} with none)"
    # At a value the curve includes it, so it holds its height to the left.
    ax.plot(
        distinct, fraction, drawstyle="steps-pre", linewidth=1.8, label=label, **line
    )


def _finish(ax: Axes, xlabel: str) -> Axes:
    """Name the axes, and make them logarithmic if there is something on them."""
    if any(len(line.get_xdata()) for line in ax.lines):  # type: ignore[arg-type]
        ax.set(xscale="log", yscale="log")
        log_ticks(ax.xaxis)
        log_ticks(ax.yaxis)
    else:
        _say_nothing_is_there(ax)
    ax.set(xlabel=xlabel, ylabel="fraction of nodes")
    legend(ax)
    return tidy(ax)
