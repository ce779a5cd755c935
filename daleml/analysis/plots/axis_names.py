"""Names of units and of populations along an axis, however many there are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daleml.analysis.plots.lettering import axis_name, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS_PER_INCH = 72

# A name takes this many times the height of its letters.
_LINE = 1.2

# Before names are there, axes are larger than with them.
_SHRINKS = 0.75

# Names that were moved apart stand so far from the axis, in points, behind a line.
_LEADER = 12.0

_LINE_TO_NAME: dict[str, Any] = {
    "arrowstyle": "-",
    "color": "0.25",
    "linewidth": 0.7,
    "shrinkA": 0,
    "shrinkB": 0,
}

# A letter is about as wide as this fraction of its height.
_LETTER = 0.6


@dataclass(frozen=True)
class Names:
    """The names along one axis: of units, or of blocks of units one after the other.

    Attributes:
        texts: The names.
        middles: Where each has its place, in units of the axis.
        edges: The borders between blocks; none where each unit has a name.
    """

    texts: tuple[str, ...]
    middles: tuple[float, ...]
    edges: tuple[float, ...] = ()

    @classmethod
    def of_units(cls, texts: Sequence[str]) -> Names:
        """Return names of units; runs of one name are a block."""
        starts = [0]
        for place in range(1, len(texts)):
            if texts[place] != texts[place - 1]:
                starts.append(place)
        if len(starts) == len(texts):
            return cls(tuple(texts), tuple(map(float, range(len(texts)))))
        return cls.of_blocks([texts[start] for start in starts], [*starts, len(texts)])

    @classmethod
    def of_blocks(cls, texts: Sequence[str], bounds: Sequence[int]) -> Names:
        """Return names of blocks, which begin and end at some bounds."""
        middles = [(start + stop - 1) / 2 for start, stop in itertools.pairwise(bounds)]
        edges = [stop - 0.5 for stop in bounds[1:-1]]
        return cls(tuple(texts), tuple(middles), tuple(edges))


def put(ax: Axes, names: Names, size: int, *, vertical: bool, what: str) -> None:
    """Write names along an axis of ``size`` units, and draw the borders of blocks.

    Names of blocks are moved apart where blocks are small. Of units too many for the room, every
    second, third and so on is named, and the name of the axis says so.

    Args:
        ax: The axes, whose limits are set.
        names: The names.
        size: How many units the axis has.
        vertical: Whether it is the vertical axis.
        what: The name of the axis.
    """
    letters = small(ax)
    length = _length(ax, vertical) * _SHRINKS
    gap = _LINE * letters / length * size
    side_by_side = not vertical and _fit_side_by_side(names, letters, length)
    axis = ax.yaxis if vertical else ax.xaxis
    axis.set_tick_params(labelsize=letters)
    rotation = 0 if vertical or side_by_side else 90
    if len(names.texts) < size:
        places = names.middles if side_by_side else apart(names.middles, gap, size)
        _set_ticks(ax, places, names.texts, rotation, vertical)
        _lead(ax, names.middles, places, size, vertical)
        draw = ax.hlines if vertical else ax.vlines
        ends = ax.get_xlim() if vertical else ax.get_ylim()
        draw(names.edges, *ends, color="0.25", linewidth=0.8)
        axis.set_label_text(what)
        return
    step = 1 if side_by_side else max(1, -int(-gap // 1))
    _set_ticks(ax, names.middles[::step], names.texts[::step], rotation, vertical)
    axis.set_label_text(axis_name(what + _every(step)))


def _every(step: int) -> str:
    if step == 1:
        return ""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(step % 10 * (step // 10 % 10 != 1), "th")
    return f" (every {step}{ending} is named)"


def _length(ax: Axes, vertical: bool) -> float:
    """Return the length of an axis in points, as it is before names take their room."""
    box = ax.get_window_extent()
    pixels = box.height if vertical else box.width
    return float(pixels) / float(ax.figure.dpi) * _POINTS_PER_INCH


def _fit_side_by_side(names: Names, letters: float, length: float) -> bool:
    """Whether names fit below an axis as they are, not turned."""
    longest = max(map(len, names.texts))
    wide = (longest + 1) * _LETTER * letters
    if len(names.texts) == 1:
        return wide < 2 * length
    gaps = [b - a for a, b in itertools.pairwise(names.middles)]
    total = names.middles[-1] + names.middles[0] + 1
    return wide <= min(gaps) / total * length


def apart(places: Sequence[float], gap: float, size: int) -> tuple[float, ...]:
    """Return places at least ``gap`` apart, in their order, as near to where they were as can be.

    They stay on an axis from -0.5 to ``size`` - 0.5; if that is too short, they are closer.

    Example:
        >>> apart([1.0, 1.5, 8.0], 2.0, 10)
        (0.5, 2.5, 8.0)
    """
    n = len(places)
    gap = min(gap, size / n)
    # Without the least gaps they may touch, and must not fall: neighbours that do are pooled.
    pools: list[tuple[float, int]] = []
    for rank, place in enumerate(places):
        pools.append((place - rank * gap, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (before, n_before), (after, n_after) = pools[-2:]
            total = n_before + n_after
            mean = (before * n_before + after * n_after) / total
            pools[-2:] = [(mean, total)]
    low = -0.5 + gap / 2
    high = size - 0.5 - gap / 2 - (n - 1) * gap
    flat = [
        min(max(mean, low), high) for mean, members in pools for _ in range(members)
    ]
    return tuple(one + rank * gap for rank, one in enumerate(flat))


def _set_ticks(
    ax: Axes,
    places: Sequence[float],
    texts: Sequence[str],
    rotation: int,
    vertical: bool,
) -> None:
    if vertical:
        ax.set_yticks(list(places), list(texts), rotation=rotation)
    else:
        ax.set_xticks(list(places), list(texts), rotation=rotation)


def _lead(
    ax: Axes,
    middles: Sequence[float],
    places: Sequence[float],
    size: int,
    vertical: bool,
) -> None:
    """Draw a line from each block to its name where names were moved apart."""
    if max(abs(a - b) for a, b in zip(middles, places, strict=True)) < 0.01 * size:
        return
    from matplotlib.transforms import ScaledTranslation

    ax.tick_params(axis="y" if vertical else "x", length=0, pad=_LEADER + 2)
    away = -_LEADER / _POINTS_PER_INCH
    shift = (away, 0.0) if vertical else (0.0, away)
    outside = ax.transAxes + ScaledTranslation(*shift, ax.figure.dpi_scale_trans)
    for middle, place in zip(middles, places, strict=True):
        true, moved = (middle + 0.5) / size, (place + 0.5) / size
        start, end = (true, 0.0), (moved, 0.0)
        if vertical:
            start, end = (0.0, 1 - true), (0.0, 1 - moved)
        ax.annotate(
            "",
            start,
            end,
            xycoords=ax.transAxes,
            textcoords=outside,
            arrowprops=dict(_LINE_TO_NAME),
            annotation_clip=False,
        )
