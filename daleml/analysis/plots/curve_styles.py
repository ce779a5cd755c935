"""How several curves are drawn in one figure, so that each is seen, in grey and under others.

The first is the widest and lies lowest, later ones are narrower, dashed, and on top: where two
coincide, the lower one shows beside the upper one and between its dashes.
"""

from __future__ import annotations

from typing import Any

DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (4, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""A line style for each line, so that a figure reads in grey."""

MARKERS = "os^Dv<>pP"
"""A marker for each group or curve, over again where there are more."""

# Seaborn's colour-blind palette without its palest colours, dark and light in turn.
_COLORS = (
    "#0173b2",
    "#de8f05",
    "#222222",
    "#cc78bc",
    "#029e73",
    "#d55e00",
    "#56b4e9",
    "#7f7f7f",
)

# The widths of the first line and of the last, in points.
_WIDEST, _NARROWEST = 3.4, 1.3


def colors(n: int) -> list[Any]:
    """Return a colour for each of several curves: by hue, or from dark to light where many."""
    if n <= len(_COLORS):
        return list(_COLORS[:n])
    return shades(n)


def shades(n: int) -> list[Any]:
    """Return colours from dark to light for what has an order; none is too pale to be seen."""
    from matplotlib import colormaps

    viridis = colormaps["viridis"]
    return [viridis(0.88 * rank / max(n - 1, 1)) for rank in range(n)]


def tints(color: str, n: int) -> list[Any]:
    """Return shades of one colour, the colour itself first; none is too pale to be seen."""
    from matplotlib.colors import to_rgb

    base = to_rgb(color)
    found = []
    for rank in range(n):
        paleness = 0.6 * rank / max(n, 2)
        found.append(tuple(one + (1 - one) * paleness for one in base))
    return found


def curve(rank: int, n: int, color: Any) -> dict[str, Any]:
    """Return the keywords of one of ``n`` lines.

    Args:
        rank: Which it is, from 0.
        n: How many there are.
        color: Its colour.
    """
    width = _NARROWEST + 0.4
    if n > 1:
        width = _WIDEST - (_WIDEST - _NARROWEST) * min(rank / (n - 1), 1.0)
    return {
        "color": color,
        "linestyle": DASHES[rank % len(DASHES)],
        "linewidth": width,
        "zorder": 2 + 0.5 * rank / n,
        # Round ends would close the gaps between dashes.
        "dash_capstyle": "butt",
    }


def palette(n: int) -> list[dict[str, Any]]:
    """Return the keywords of each of ``n`` lines."""
    return [curve(rank, n, color) for rank, color in enumerate(colors(n))]
