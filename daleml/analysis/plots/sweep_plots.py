"""The plot of a sweep: a number against the parameter that is swept, for each arm, over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.plots import figure_sizes
from daleml.analysis.plots.canvas import (
    axis_name,
    each_of,
    figure,
    legend,
    name,
    style,
    tidy,
)
from daleml.analysis.plots.curve_styles import MARKERS, colors, shades
from daleml.analysis.plots.curve_styles import curve as line_of
from daleml.analysis.plots.lettering import settle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

# Narrower panels than this, in inches, stand above one another.
_NARROWEST = 2.4

# Labels of ticks need this fraction of the axis between them.
_ROOM = 0.07


def sweep(
    result: Any, *, title: str | None = None, width: float | str | None = None
) -> Figure:
    """Draw a figure of a paper: one pair of axes per panel, one line per arm.

    Panels that would be narrow stand above one another. Lines are means over seeds, bands their
    95 % intervals, and faint dots the seeds.

    Args:
        result: What :func:`daleml.reproductions.sweep.measure` returns.
        title: What stands above the panels.
        width: The width of the whole figure, in inches or as text, as :func:`figure` takes it;
            default: 4.6 inches for each panel.

    Returns:
        A new figure.

    Example:
        >>> from types import SimpleNamespace as Named
        >>> import numpy as np
        >>> from daleml.analysis import plots
        >>> y = np.array([0.1, 0.3])
        >>> arm = Named(x=y, values=[y], mean=y, low=y, high=y, label="EG")
        >>> panel = Named(x_label="lr", y_label="loss", log_x=False, log_y=False,
        ...               reference=None, y_limits=None)
        >>> drawing = plots.sweep(Named(sweep=Named(panels=[panel]), curves=[[arm]]))
        >>> drawing.axes[0].get_xlabel()
        'lr'
    """
    panels = result.sweep.panels
    columns = _columns(len(panels), width)
    rows = len(panels) // columns
    with style():
        drawing, axes = figure(columns, rows, **each_of(width, columns, 4.6, 3.9))
        for ax, panel, curves in zip(axes.flat, panels, result.curves, strict=True):
            _panel(ax, panel, curves)
        if title is not None:
            drawing.suptitle(axis_name(title))
        for ax in axes.flat:
            settle(ax, is_new=rows == 1 and ax is axes[0, 0])
    return drawing


def _columns(n_panels: int, width: float | str | None) -> int:
    """Return how many panels stand beside one another: one, where they would be narrow."""
    if width is not None and figure_sizes.inches(width) / n_panels < _NARROWEST:
        return 1
    return n_panels


def _panel(ax: Axes, panel: Any, curves: Any) -> None:
    """Draw the curves of one panel."""
    n = len(curves)
    colours = shades(n) if n > 4 else colors(n)
    for rank, (curve, colour) in enumerate(zip(curves, colours, strict=True)):
        for seed in curve.values:
            ax.plot(
                curve.x, seed, ".", color=colour, alpha=0.25, markersize=4, zorder=1
            )
        ax.fill_between(
            curve.x,
            curve.low,
            curve.high,
            color=colour,
            alpha=0.18,
            linewidth=0,
            zorder=2,
        )
        ax.plot(
            curve.x,
            curve.mean,
            marker=MARKERS[rank % len(MARKERS)],
            markersize=5,
            label=name(curve.label),
            **(line_of(rank, n, colour) | {"zorder": 3 + rank / n}),
        )
    if panel.log_x:
        ax.set_xscale("log")
    if panel.log_y:
        ax.set_yscale("log")
    if panel.reference is not None:
        ax.axhline(
            panel.reference,
            color="0.35",
            linestyle="--",
            linewidth=1,
            zorder=0,
            label=panel.reference_label,
        )
    if panel.y_limits is not None:
        ax.set_ylim(*panel.y_limits)
    swept = curves[0].x
    places = np.log(swept) if panel.log_x else np.array(swept)
    labels = [f"{round(x, 2):g}" for x in swept]
    # Each value that was swept has a tick, and a label if there is room for it.
    for crowded in set(range(len(labels))) - _apart(places):
        labels[crowded] = ""
    ax.set_xticks(swept, labels)
    # The values that were swept are the only ticks.
    ax.minorticks_off()
    ax.set(xlabel=panel.x_label, ylabel=panel.y_label)
    legend(ax, 2 if len(curves) < 5 else 3)
    tidy(ax)


def _apart(places: NDArray[np.float64]) -> set[int]:
    """Return which of some places to label: the ends, then what is farthest from those labelled."""
    chosen = {int(places.argmin()), int(places.argmax())}
    room = _ROOM * float(np.ptp(places))
    while True:
        others = places[sorted(chosen)]
        distance = np.abs(places[:, None] - others).min(axis=1)
        farthest = int(distance.argmax())
        if distance[farthest] <= room:
            return chosen
        chosen.add(farthest)
