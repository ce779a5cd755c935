"""Letters in figures: names that are drawn as written, legends that fit, room for both."""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from daleml._support import safe_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A longer name of an axis than this, in characters, leaves no room for the axes.
_LONGEST = 80

# The inches between the name of an axis and the legend below it.
_GAP = 0.06

# What a figure of one plot needs beside its rows, in inches: the horizontal axis and its name.
_AXIS = 0.75

# Names of rows may take this fraction of the width, and a letter is so much of its height wide.
_ROW_NAMES = 0.42
_LETTER = 0.55

# The margin beside an axis without names of rows, in inches.
_MARGIN = 0.6

# Letters below this size, in points, are not printed by journals.
_LEAST = 7.0

# A legend may be as wide as this fraction of its part of the figure.
_WIDEST = 0.94

# A legend lower than this, in inches, has its place in a new figure; for more, the figure grows.
_LEGEND_ROOM = 0.55

# Axes keep about this fraction of their height when what is below them has its room.
_KEPT = 0.7

# Rows with names need this many times the height of their letters.
_LINE = 1.35

_POINTS_PER_INCH = 72


def name(text: object, longest: int = 44) -> str:
    r"""Return a name that matplotlib draws as it is written.

    What stands between ``$`` is no maths then, and nothing moves or hides.

    Args:
        text: The name of a column, a group, a network or a unit.
        longest: How many characters there is room for; the middle of a longer name is left out.

    Example:
        >>> print(name("cost in $ and $^"), name("_private"))
        cost in \$ and \$^  _private
    """
    written = safe_text.shown(str(text))
    if len(written) > longest:
        written = f"{written[: longest - 11]} … {written[-8:]}"
    written = written.replace("$", r"\$")
    # Matplotlib keeps labels that begin so to itself, and leaves them out of legends.
    return f" {written}" if written.startswith("_") else written


def axis_name(text: object) -> str:
    """Return the name of an axis, which has more room than others."""
    return name(text, _LONGEST)


def small(ax: Axes) -> float:
    """Return the size of letters of legends and notes, in points, as suits some axes."""
    return max(_LEAST, round(0.92 * float(ax.xaxis.label.get_fontsize()), 1))


@contextmanager
def without_a_word_on_glyphs() -> Iterator[None]:
    """Draw letters that no installed font has as boxes, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        # Of scripts whose letters change with their neighbours, which matplotlib draws one by one.
        warnings.filterwarnings(
            "ignore", message="Matplotlib currently does not support .* natively"
        )
        yield


def legend(
    ax: Axes, columns: int = 2, *, title: str | None = None, of: Sequence[Axes] = ()
) -> None:
    """Put the legend below the axes, where it covers nothing, as wide as there is room for.

    It has fewer columns where names are long, and breaks names that are too long for one.

    Args:
        ax: The axes, on which everything is drawn.
        columns: The most columns of names.
        title: What stands above the names.
        of: The axes whose marks are explained; default: these.
    """
    handles: list[Any] = []
    labels: list[str] = []
    for one in of or (ax,):
        found = one.get_legend_handles_labels()
        handles += found[0]
        labels += found[1]
    if not labels:
        return
    drawn = _fitted(ax, handles, labels, columns, title)
    _put_below(ax, drawn, ax.xaxis.get_tightbbox())


def _fitted(
    ax: Axes, handles: list[Any], labels: list[str], columns: int, title: str | None
) -> Any:
    """Return a legend as wide as there is room for."""
    room = _WIDEST * _share_of_figure(ax)
    for n_columns in range(min(columns, len(labels)), 0, -1):
        drawn = _legend(ax, handles, labels, n_columns, title)
        if drawn.get_window_extent().width <= room:
            return drawn
    longest = max(map(len, labels))
    # What is no letter, the line beside a name, does not shrink; two passes are enough.
    for _ in range(2):
        wide = float(drawn.get_window_extent().width)
        if wide <= room:
            break
        longest = max(int(longest * (room / wide) ** 1.3) - 1, 12)
        broken = ["\n".join(textwrap.wrap(label, longest)) for label in labels]
        shown = title and "\n".join(textwrap.wrap(title, longest))
        drawn = _legend(ax, handles, broken, 1, shown)
    return drawn


def _legend(
    ax: Axes, handles: list[Any], labels: list[str], columns: int, title: str | None
) -> Any:
    return ax.legend(
        handles,
        labels,
        frameon=False,
        fontsize=small(ax),
        loc="upper center",
        ncols=columns,
        handlelength=2.8,
        columnspacing=1.2,
        title=title,
        title_fontsize=small(ax),
        borderaxespad=0,
    )


def _put_below(ax: Axes, drawn: Any, box: Any) -> None:
    """Put a legend below the name of the horizontal axis, in the middle of the figure's part.

    Args:
        ax: The axes.
        drawn: Their legend.
        box: What the horizontal axis takes with its name, in pixels; None if nothing.
    """
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    below = _GAP
    if box is not None:
        below += max(ax.bbox.y0 - box.y0, 0.0) / ax.figure.dpi
    # In inches, so that it is as far down in a tall figure as in a low one.
    down = ax.transAxes + ScaledTranslation(0, -below, ax.figure.dpi_scale_trans)
    middle, across = 0.5, ax.transAxes
    spec = ax.get_subplotspec()
    if spec is not None:
        # Beside long names of rows, axes are far from the middle.
        columns = spec.get_topmost_subplotspec().colspan
        n_columns = spec.get_topmost_subplotspec().get_gridspec().ncols
        middle = (columns.start + columns.stop) / 2 / n_columns
        across = ax.figure.transSubfigure
    drawn.set_bbox_to_anchor((middle, 0), blended_transform_factory(across, down))


def _share_of_figure(ax: Axes) -> float:
    """Return the width of the figure that some axes have to themselves, in pixels."""
    whole = float(ax.figure.bbox.width)
    spec = ax.get_subplotspec()
    if spec is None:
        return whole
    top = spec.get_topmost_subplotspec()
    return whole * len(top.colspan) / top.get_gridspec().ncols


def row_names(ax: Axes, places: Iterable[float], texts: Sequence[str]) -> None:
    """Name the rows of a plot, in several lines where names are long.

    Args:
        ax: The axes.
        places: Where the rows are.
        texts: Their names; a line of its own in a name stays one.
    """
    size = small(ax)
    room = _ROW_NAMES * _share_of_figure(ax) / ax.figure.dpi * _POINTS_PER_INCH
    longest = int(room / (_LETTER * size))
    broken = []
    for text in texts:
        lines: list[str] = []
        for line in text.split("\n"):
            lines += textwrap.wrap(line, longest) or [""]
        broken.append("\n".join(lines))
    ax.set_yticks(list(places), broken)
    ax.tick_params(axis="y", labelsize=size)


def rows_that_fit(ax: Axes) -> int:
    """Return how many rows with names have room on axes, before anything else takes some."""
    points = float(ax.bbox.height) / float(ax.figure.dpi) * _POINTS_PER_INCH
    return max(2, int(_KEPT * points / (_LINE * small(ax))))


def settle(ax: Axes, *, is_new: bool) -> None:
    """Break names of axes that are too long, and put the legend below what is there by now.

    Args:
        ax: The axes, on which everything is drawn and named.
        is_new: Whether the figure is theirs, and may grow.
    """
    inch = float(ax.figure.dpi)
    rows = []
    # Axes above one another begin at one place, that of those with the longest names.
    for one in _in_one_column(ax):
        rows += [label.get_window_extent().width for label in _row_labels(one)]
    beside = max(rows, default=0.0) + _MARGIN * inch
    _break(ax.xaxis.label, _share_of_figure(ax) - beside, 0)
    _break(ax.yaxis.label, 0.75 * float(ax.bbox.height), 1)
    _break(ax.title, _share_of_figure(ax) - beside, 0)
    box = ax.xaxis.get_tightbbox()
    drawn = ax.get_legend()
    # A legend of somebody's own stays where it is.
    if drawn is not None and not drawn.get_frame_on():
        _put_below(ax, drawn, box)
    if is_new:
        _make_room(ax, box)


def _in_one_column(ax: Axes) -> list[Axes]:
    """Return the axes of a figure that stand above one another, these among them."""
    spec = ax.get_subplotspec()
    if spec is None:
        return [ax]
    found = []
    for one in ax.figure.axes:
        other = one.get_subplotspec()
        if other is not None and other.colspan == spec.colspan:
            found.append(one)
    return found or [ax]


def _break(label: Any, room: float, side: int) -> None:
    """Break a name into lines that fit, where it is too long."""
    text = label.get_text()
    if not text:
        return
    extent = label.get_window_extent()
    long = float((extent.width, extent.height)[side])
    if long <= room:
        return
    longest = max(map(len, text.split("\n")))
    fits = max(int(longest * room / long), 10)
    lines: list[str] = []
    for line in text.split("\n"):
        lines += textwrap.wrap(line, fits, break_long_words=False)
    label.set_text("\n".join(lines))


def _row_labels(ax: Axes) -> list[Any]:
    """Return the names of rows on the vertical axis; none where it has numbers."""
    from matplotlib.ticker import FixedLocator

    if not isinstance(ax.yaxis.get_major_locator(), FixedLocator):
        return []
    labels = ax.get_yticklabels()
    # A mark of mathematics is no name.
    if not any(re.search(r"[^\W\d_]", label.get_text()) for label in labels):
        return []
    return list(labels)


def _make_room(ax: Axes, below: Any) -> None:
    """Let a new figure of one plot grow by what its legend and its rows need.

    The axes then keep their shape, however many entries a legend has.
    """
    figure: Any = ax.figure
    width, height = figure.get_size_inches()
    counts = [label.get_text().count("\n") + 1 for label in _row_labels(ax)]
    # Rows are as high as the highest.
    lines = len(counts) * max(counts, default=0)
    letters = small(ax) * _LINE / _POINTS_PER_INCH
    needed = lines * letters + _AXIS
    # Names that are turned take the height that axes had.
    if below is not None:
        height += max(below.height / figure.dpi - _AXIS, 0.0)
    drawn = ax.get_legend()
    if drawn is not None:
        tall = drawn.get_window_extent().height / figure.dpi
        needed += tall
        height += max(tall - _LEGEND_ROOM, 0.0)
    if max(needed, height) > figure.get_size_inches()[1]:
        figure.set_size_inches(width, max(needed, height))
