"""The marks of a forest plot: verdicts by colour and shape, owners by shape, and their key."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from daleml.analysis.plots.forest_rows import FARTHEST, NEAREST, Row
from daleml.analysis.plots.lettering import small

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

VERDICTS: dict[str, dict[str, Any]] = {
    "holds": {"color": "#1b7837", "marker": "o", "markersize": 6},
    "does not hold": {"color": "#762a83", "marker": "X", "markersize": 7},
    "cannot tell": {"color": "#b35806", "marker": "D", "markersize": 6, "mfc": "white"},
}
"""How the mean is drawn, by verdict: green, purple and brown differ for every kind of eye."""

OWNERS: dict[str, dict[str, Any]] = {
    "the paper's": {"marker": "s"},
    "the paper's number": {"marker": "s"},
    "the paper's direction": {"marker": ">"},
    "released code": {"marker": "p"},
    "ours": {"marker": "o", "mfc": "white"},
    "against the paper": {"marker": "v"},
    "by construction": {"marker": "s", "mfc": "white"},
}
"""How an owner is drawn, to the left of the axes."""

NO_EFFECT: dict[str, Any] = {
    "color": "0.35",
    "marker": "|",
    "markersize": 9,
    "linestyle": "none",
    "markeredgewidth": 1.2,
}
"""How the place of no effect is drawn."""

_SMALL_MARK = 4.5

# Where there is a column for each mark that a legend explains, its names are short.
_LETTERS_OF_A_NAME = 24


def draw_row(ax: Axes, row: Row, y: float) -> None:
    """Draw the interval, the mean and the place of no effect of a check.

    Args:
        ax: The axes.
        row: The check.
        y: The height of its row.
    """
    look = VERDICTS.get(row.verdict, {"color": "0.3", "marker": "o", "markersize": 6})
    low, high = _shown(row.low), _shown(row.high)
    # No bar where every seed gave the same number, or nothing could be had.
    if high > low:
        ax.plot(
            [low, high],
            [y, y],
            color=look["color"],
            linewidth=3,
            alpha=0.55,
            solid_capstyle="butt",
            zorder=2,
        )
    no_effect = row.no_effect
    if no_effect is not None and NEAREST <= no_effect <= FARTHEST:
        ax.plot([no_effect], [y], zorder=3, label="_no effect", **NO_EFFECT)
    # An arrow keeps the colour of the verdict: it is told by the side that it lies on.
    drawn = dict(look)
    if row.mean < NEAREST or row.mean > FARTHEST:
        drawn["marker"] = "<" if row.mean < NEAREST else ">"
    ax.plot([_shown(row.mean)], [y], linestyle="none", zorder=4, **drawn)


def draw_owner(ax: Axes, owner: str, place: tuple[float, float]) -> None:
    """Draw the mark of an owner to the left of the axes.

    Args:
        ax: The axes.
        owner: Whose the bound or the claim is; nothing is drawn for an unknown one.
        place: Where: the first as a fraction of the width of the axes, the second on their scale.
    """
    if owner not in OWNERS:
        return
    x, y = place
    ax.plot(
        [x],
        [y],
        transform=ax.get_yaxis_transform(),
        clip_on=False,
        label=f"_owner {owner}",
        **_of_owner(owner),
    )


def explain(ax: Axes, wide: float) -> tuple[Legend, int]:
    """Explain the marks that were drawn on the axes; return the key, and how many lines it has.

    Args:
        ax: The axes.
        wide: The width of the figure, in inches.
    """
    from matplotlib.lines import Line2D

    drawn = {line.get_label() for line in ax.lines}
    used = {line.get_color() for line in ax.lines}
    handles = []
    for verdict, look in VERDICTS.items():
        if look["color"] in used:
            handles.append(Line2D([], [], linestyle="none", label=verdict, **look))
    for owner in OWNERS:
        if f"_owner {owner}" in drawn:
            handles.append(Line2D([], [], label=owner, **_of_owner(owner)))
    if "_no effect" in drawn:
        handles.append(Line2D([], [], label="no effect", **NO_EFFECT))
    letter = small(ax) / 72
    columns = max(1, int(wide / (_LETTERS_OF_A_NAME * 0.53 * letter)))
    columns = min(columns, len(handles))
    marks = ax.legend(
        handles=handles,
        ncols=columns,
        loc="upper center",
        frameon=False,
        fontsize=small(ax),
        borderaxespad=0,
        borderpad=0.1,
        handlelength=1.2,
        handletextpad=0.4,
        columnspacing=1.0,
        labelspacing=0.25,
    )
    return marks, math.ceil(len(handles) / columns)


def _of_owner(owner: str) -> dict[str, Any]:
    look: dict[str, Any] = {"color": "0.2", "linestyle": "none"}
    return look | {"markersize": _SMALL_MARK} | OWNERS[owner]


def _shown(place: float) -> float:
    return min(max(place, NEAREST), FARTHEST)
