"""The plot of a claim of a paper: what was expected, and what the seeds gave."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.plots.canvas import (
    EXCITATORY,
    axis_name,
    each_of,
    figure,
    legend,
    style,
    tidy,
)
from daleml.analysis.plots.lettering import small

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The green of what was expected.
_EXPECTED = "#cfe8d5"

# The line at what there would be without an effect.
_NO_EFFECT: dict[str, Any] = {
    "color": "0.35",
    "linestyle": "--",
    "linewidth": 1,
    "zorder": 1,
}


def claim(
    outcome: Any, *, title: str | None = None, width: float | str | None = None
) -> Figure:
    """Draw a claim's outcome: one row of axes per expectation.

    Dots are seeds, the bar is the interval of their mean, the green band is what was expected,
    and the dashed line is where there would be no effect.

    Args:
        outcome: What :func:`daleml.reproductions.verdict.judge` returns, with something measured.
        title: What stands above the rows.
        width: The width of the figure, in inches or as text, as :func:`figure` takes it;
            default: 6.4 inches.

    Returns:
        A new figure.

    Raises:
        ValueError: If nothing was measured.

    Example:
        >>> from types import SimpleNamespace as Named
        >>> from daleml.analysis import plots
        >>> check = Named(label="accuracy", at_least=0.9, at_most=None, no_effect=None)
        >>> one = Named(check=check, values=[0.93, 0.95], mean=0.94, low=0.92, high=0.96,
        ...             verdict="as expected")
        >>> drawing = plots.claim(Named(measured=[one], claim=Named(id="example")))
        >>> drawing.axes[0].get_xlabel(), drawing.axes[0].get_title("right")
        ('accuracy', 'as expected')
    """
    if not outcome.measured:
        raise ValueError(
            f"`outcome` must have something measured; got claim {outcome.claim.id}, not"
            " tested."
        )
    with style():
        n = len(outcome.measured)
        # The key takes about an inch, of a single row too.
        drawing, axes = figure(1, n, **each_of(width, 1, 6.4, 1.25 + 0.9 / n))
        for ax, one in zip(axes[:, 0], outcome.measured, strict=True):
            _expectation(ax, one)
        last = axes[-1, 0]
        if any(one.check.no_effect is not None for one in outcome.measured):
            last.plot([], [], label="no effect", **_NO_EFFECT)
        # One key for all rows, below the last of them.
        legend(last, 3)
        if title is not None:
            drawing.suptitle(axis_name(title))
    return drawing


def _expectation(ax: Axes, one: Any) -> None:
    """Draw what the seeds gave, beside what was expected."""
    check = one.check
    # None, where there is no such bound, becomes NaN.
    shown = (check.at_least, check.at_most, check.no_effect, one.low, one.high)
    numbers = np.array([*one.values, *shown], dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    # Where all are 0, any scale will do, but one of tiny numbers would seem to say something.
    span = np.ptp(finite) or abs(finite[0]) or 1.0
    low, high = finite.min() - 0.15 * span, finite.max() + 0.15 * span
    least = low if check.at_least is None else check.at_least
    most = high if check.at_most is None else check.at_most
    ax.axvspan(
        least,
        most,
        color=_EXPECTED,
        linewidth=0,
        zorder=0,
        label="expected of the mean",
    )
    if check.no_effect is not None:
        ax.axvline(check.no_effect, **_NO_EFFECT)
    # Seeds that gave the same number are told apart by their heights.
    heights = np.zeros(1)
    if len(one.values) > 1:
        heights = np.linspace(-0.25, 0.25, len(one.values))
    ax.plot(
        [one.low, one.high],
        [0, 0],
        color=EXCITATORY,
        linewidth=5,
        solid_capstyle="butt",
        alpha=0.45,
        zorder=2,
        label="interval of the mean",
    )
    ax.plot(
        one.values, heights, "o", color="0.15", markersize=4, label="seeds", zorder=3
    )
    ax.plot(
        [one.mean], [0], "D", color=EXCITATORY, markersize=6, label="mean", zorder=4
    )
    ax.set(
        xlim=(low, high),
        ylim=(-0.6, 0.6),
        yticks=[],
        xlabel=_filled(ax, check.label),
    )
    verdict = _filled(ax, str(one.verdict))
    ax.set_title(verdict, loc="right", fontsize=small(ax), fontweight="bold", pad=2)
    tidy(ax)
    ax.spines["left"].set_visible(False)


def _filled(ax: Axes, text: str) -> str:
    """Return text in lines as long as there is room for below axes."""
    width = ax.get_window_extent().width / ax.figure.dpi * 72
    # A letter is about half as wide as it is high.
    return textwrap.fill(text, int(width / (0.5 * small(ax))))
