"""The periods of a trial: bands behind what is drawn over time, and their names above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from daleml.analysis.plots.lettering import name, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS_PER_INCH = 72

# Axes keep about this fraction of their width when everything beside them has its room.
_KEPT = 0.7


def read(periods: Any, index: int) -> list[tuple[str, float, float]]:
    """Return periods as names with beginnings and ends, in ms.

    Args:
        periods: Such, or the trials of a task.
        index: Which of the trials.

    Raises:
        TypeError: If they are something else.
        ValueError: If a period ends before it begins.
    """
    of_trials = getattr(periods, "periods_of", None)
    if of_trials is not None:
        periods = of_trials(index)
    found = []
    for one in periods:
        try:
            text, start, end = one
            start, end = float(start), float(end)
        except (TypeError, ValueError):
            raise TypeError(
                "`periods` must be trials of a task, or names with two times in ms, as"
                f" [('stimulus', 100, 300)]; got {one!r}."
            ) from None
        if end < start:
            raise ValueError(
                f"`periods` must end after they begin; got {text!r} from {start:g} to {end:g}."
            )
        found.append((str(text), start, end))
    return found


def draw(
    top: Axes,
    below: Sequence[Axes],
    periods: Sequence[tuple[str, float, float]],
    *,
    lines: bool = False,
) -> None:
    """Set the periods of a trial apart, every second one in grey, and name them.

    Args:
        top: The axes above which the names stand.
        below: Other axes of the same time.
        periods: Names, beginnings and ends.
        lines: Whether an image on the top axes hides bands, so that borders are drawn instead.
    """
    shown = [each for each in periods if each[2] > each[1]]
    if not shown:
        return
    rank, reached = 0, 0.0
    points = _KEPT * top.get_window_extent().width / top.figure.dpi * _POINTS_PER_INCH
    letter = 0.6 * small(top) / points * max(end for _, _, end in shown)
    for level, (period, start, end) in zip(_levels(shown, letter), shown, strict=True):
        # A period that begins within another one has no band of its own.
        if start >= reached:
            for ax in (*below,) if lines else (top, *below):
                if rank % 2:
                    ax.axvspan(start, end, color="0.93", linewidth=0, zorder=0)
            rank, reached = rank + 1, end
        if lines:
            for border in (start, end):
                top.axvline(border, color="0.1", linewidth=0.8, linestyle=(0, (3, 2)))
        top.annotate(
            name(period.replace("_", " ")),
            xy=((start + end) / 2, 1),
            xycoords=top.get_xaxis_transform(),
            xytext=(0, 3 + 11 * level),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=small(top),
            color="0.35",
        )


def _levels(periods: Sequence[tuple[str, float, float]], letter: float) -> list[int]:
    """Return how high each name stands, so that names do not lie over each other.

    Args:
        periods: Their names, beginnings and ends.
        letter: How much of the axis a letter takes.
    """
    ends: list[float] = []
    levels = []
    for period, start, end in periods:
        half = letter * len(period) / 2
        centre = (start + end) / 2
        level = 0
        while level < len(ends) and ends[level] > centre - half:
            level += 1
        # A level that no name before has reached.
        if level == len(ends):
            ends.append(0.0)
        ends[level] = centre + half
        levels.append(level)
    return levels
