"""The parts that all plots share: style, colours, axes to draw on."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from daleml.analysis.plots import figure_sizes
from daleml.analysis.plots.common_options import width_asked
from daleml.analysis.plots.curve_styles import DASHES as DASHES
from daleml.analysis.plots.lettering import axis_name as axis_name
from daleml.analysis.plots.lettering import legend as legend
from daleml.analysis.plots.lettering import name as name
from daleml.analysis.plots.lettering import without_a_word_on_glyphs
from daleml.analysis.plots.style_parameters import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

EXCITATORY = "#c0392b"
"""The colour of excitation: red."""

INHIBITORY = "#2c6fbb"
"""The colour of inhibition: blue."""

# The height of new axes, in inches; of those whose width is asked for, as a fraction of it, and
# at least so many inches.
_HEIGHT = 3.8
_RATIO = 0.75
_RATIO_OF_TWO = 1.0
_LOWEST = 2.2

# Fonts that hold other scripts, of Linux, macOS and Windows.
_OTHER_LETTERS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Arial Unicode MS",
)


@contextmanager
def style() -> Iterator[None]:
    """Draw in daleml's style: that of the demo, the tutorials and the command line.

    Returns:
        A context: matplotlib's parameters are what they were when it ends.

    Example:
        >>> from daleml.analysis import plots
        >>> with plots.style():
        ...     drawing, axes = plots.figure()
    """
    fonts = [*STYLE["font.family"], *_other_fonts()]
    with figure_sizes.parameters(STYLE | {"font.family": fonts}):
        yield


@functools.cache
def _other_fonts() -> tuple[str, ...]:
    """Return the installed fonts from which letters are taken that the usual one lacks."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return tuple(name for name in _OTHER_LETTERS if name in installed)


def remove_scales(ax: Axes) -> None:
    """Remove the scales of colours of what was drawn on axes before.

    Who draws again, as in a notebook, would have one more at each time.
    """
    for earlier in (*ax.images, *ax.collections):
        if earlier.colorbar is not None:
            earlier.colorbar.remove()


def png(drawing: Figure, dpi: int) -> bytes:
    """Render a figure as PNG; the same figure gives the same bytes.

    Args:
        drawing: The figure.
        dpi: Dots per inch.

    Returns:
        The content of a file.

    Example:
        >>> from daleml.analysis import plots
        >>> drawing, axes = plots.figure()
        >>> plots.png(drawing, dpi=40)[1:4]
        b'PNG'
    """
    import io

    buffer = io.BytesIO()
    # No creation date or version inside, so that the same results give the same bytes.
    with without_a_word_on_glyphs():
        drawing.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def figure(
    columns: int = 1,
    rows: int = 1,
    *,
    width: float | str = 5.2,
    height: float | None = None,
) -> tuple[Figure, Any]:
    """Return a new figure and its array of axes, which no interactive backend keeps alive.

    Args:
        columns: Number of axes beside one another.
        rows: Number of axes above one another.
        width: Width of each, in inches; or of the whole figure, as text: "single" and "double"
            are a column of a journal (89 mm) and both (183 mm), others have their unit, as
            "120 mm". A figure whose axes are narrower than 4.5 inches and that is asked for by
            text has the letters of print, 7 to 8 points.
        height: Height of each, in inches; default: 3.8, or what suits a width by text.

    Returns:
        The figure, and its axes, shape ``(rows, columns)``.

    Raises:
        TypeError: If ``width`` is neither a number nor text.
        ValueError: If it is not above 0, or no such text.

    Example:
        >>> from daleml.analysis import plots
        >>> drawing, axes = plots.figure(2)
        >>> axes.shape
        (1, 2)
        >>> drawing, axes = plots.figure(2, width="double")
        >>> round(drawing.get_figwidth() * 25.4)
        183
    """
    from matplotlib.figure import Figure

    each = figure_sizes.inches(width)
    is_print = isinstance(width, str)
    if is_print:
        each /= columns
    if height is None:
        height = max(_RATIO * each, _LOWEST) if is_print else _HEIGHT
    with figure_sizes.letters(each if is_print else None):
        # Not a figure of pyplot's: nobody has to close it.
        size = (each * columns, height * rows)
        drawing = Figure(figsize=size, layout="constrained")
        return drawing, drawing.subplots(rows, columns, squeeze=False)


def each_of(
    width: float | str | None, columns: int, usual: float, height: float
) -> dict[str, Any]:
    """Return the options of :func:`figure` for some axes in a figure of a width.

    Args:
        width: Of the whole figure; None for the usual one.
        columns: How many axes are beside one another.
        usual: The usual width of each, in inches.
        height: The height of each, in inches.
    """
    if width is None:
        return {"width": usual, "height": height}
    whole = figure_sizes.inches(width)
    # Text stays text: it asks for the letters of print.
    each = width if isinstance(width, str) else whole / columns
    return {"width": each, "height": height}


def svg(drawing: Figure) -> bytes:
    """Render a figure as SVG, its text as text; the same figure gives the same bytes.

    Args:
        drawing: The figure.

    Returns:
        The content of a file.

    Example:
        >>> from daleml.analysis import plots
        >>> drawing, axes = plots.figure()
        >>> plots.svg(drawing)[:5]
        b'<?xml'
    """
    import io

    from matplotlib import rc_context

    buffer = io.BytesIO()
    with (
        # Without a salt the ids in the file would differ from one run to the next.
        rc_context({"svg.fonttype": "none", "svg.hashsalt": "daleml"}),
        without_a_word_on_glyphs(),
    ):
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def require_result(result: object, kind: type, maker: str) -> None:
    """Raise unless ``result`` is of its kind, naming what makes one."""
    if not isinstance(result, kind):
        raise TypeError(
            f"`result` must be a {kind.__name__}, as `{maker}` returns; got"
            f" {type(result).__name__}."
        )


require = require_result
"""The name of :func:`require_result` in the first edition."""


def axes_or_new(ax: Axes | None) -> Axes:
    """Return the axes given, or new ones."""
    if ax is not None:
        _require_axes(ax)
        return ax
    # Imported here: pyplot chooses a backend when it is imported.
    import matplotlib.pyplot as plt

    drawing = plt.figure(figsize=size_asked(), layout="constrained")
    return drawing.subplots()


def require_pair(
    axes: Sequence[Axes] | None, ratios: tuple[float, float]
) -> tuple[Axes, Axes]:
    """Return the two axes given, or new ones, one above the other.

    Args:
        axes: The axes, or None.
        ratios: How high new ones are, one to the other.

    Raises:
        ValueError: If they are not two.
    """
    if axes is not None:
        if len(axes) != 2:
            raise ValueError(f"`axes` must be two; got {len(axes)}.")
        top, bottom = axes
        return top, bottom
    # Imported here: pyplot chooses a backend when it is imported.
    import matplotlib.pyplot as plt

    # Two axes above one another need more height than one.
    drawing = plt.figure(figsize=size_asked(_RATIO_OF_TWO), layout="constrained")
    top, bottom = drawing.subplots(2, sharex=True, height_ratios=ratios)
    return top, bottom


def size_asked(ratio: float = _RATIO) -> tuple[float, float] | None:
    """Return the size of a new figure, in inches; None for matplotlib's own.

    Args:
        ratio: Its height as a fraction of the width that was asked for.
    """
    width = width_asked()
    if width is None:
        return None
    return width, max(ratio * width, _LOWEST)


def _require_axes(ax: object) -> None:
    """Raise unless something is matplotlib's axes: a figure or an array of axes is not."""
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        has_axes = hasattr(ax, "axes") or hasattr(ax, "flat")
        hint = ": give one of its axes" if has_axes else ""
        raise TypeError(f"`ax` must be matplotlib axes; got {type(ax).__name__}{hint}.")


def log_ticks(axis: Axis) -> None:
    """Label a logarithmic axis in plain numbers where they are short.

    Labels are at 1, 2 and 5 if it spans little, else at 1.
    """
    import math

    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    decades = math.inf
    if 0 < low < high:
        decades = math.log10(high / low)
    if decades < 0.7:
        axis.set_major_locator(LogLocator(subs=range(1, 10), numticks=12))
        axis.set_minor_formatter(NullFormatter())
    elif decades < 2:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))
        axis.set_minor_formatter(NullFormatter())
    if low >= 1e-3 and high < 1e6:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def widen_flat_log_axis(ax: Axes) -> None:
    """Widen a logarithmic axis to show a decade, where all values are equal, or nearly so."""
    low, high = ax.get_ylim()
    if high / low < 10:
        ax.set_ylim(high / 20, high * 2)


def tidy(ax: Axes) -> Axes:
    """Take away the lines above and to the right of the axes."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax
