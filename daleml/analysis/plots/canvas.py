"""The parts that all plots share: style, colours, axes to draw on, a legend below them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from daleml._support import safe_text
from daleml.analysis.plots.style_parameters import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

EXCITATORY = "#c0392b"
"""The colour of excitation: red."""

INHIBITORY = "#2c6fbb"
"""The colour of inhibition: blue."""

DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (4, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""A line style for each line, so that a figure reads in grey."""

# A longer name of an axis than this, in characters, leaves no room for the axes.
_LONGEST = 80

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

# The inches from the axes to their legend: what ticks and a label take.
_BELOW = 0.5


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
    import matplotlib as mpl

    # These parameters are put back, not all of them as `rc_context` does: a notebook that
    # imports pyplot in here becomes interactive, and would show no figure after it ceased to be.
    rc_params: Any = mpl.rcParams
    before = {parameter: rc_params[parameter] for parameter in STYLE}
    rc_params.update(STYLE)
    rc_params["font.family"] = [*rc_params["font.family"], *_other_fonts()]
    try:
        yield
    finally:
        rc_params.update(before)


@functools.cache
def _other_fonts() -> tuple[str, ...]:
    """Return the installed fonts from which letters are taken that the usual one lacks."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return tuple(name for name in _OTHER_LETTERS if name in installed)


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


@contextmanager
def _without_a_word_on_glyphs() -> Iterator[None]:
    """Draw letters that no installed font has as boxes, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        # Of scripts whose letters change with their neighbours, which matplotlib draws one by one.
        warnings.filterwarnings(
            "ignore", message="Matplotlib currently does not support .* natively"
        )
        yield


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
    with _without_a_word_on_glyphs():
        drawing.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def figure(
    columns: int = 1, rows: int = 1, *, width: float = 5.2, height: float = 3.8
) -> tuple[Figure, Any]:
    """Return a new figure and its array of axes, which no interactive backend keeps alive.

    Args:
        columns: Number of axes beside one another.
        rows: Number of axes above one another.
        width: Width of each, in inches.
        height: Height of each, in inches.

    Returns:
        The figure, and its axes, shape ``(rows, columns)``.

    Example:
        >>> from daleml.analysis import plots
        >>> drawing, axes = plots.figure(2)
        >>> axes.shape
        (1, 2)
    """
    from matplotlib.figure import Figure

    # Not a figure of pyplot's: nobody has to close it.
    drawing = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return drawing, drawing.subplots(rows, columns, squeeze=False)


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
        _without_a_word_on_glyphs(),
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

    return plt.figure(layout="constrained").subplots()


def _require_axes(ax: object) -> None:
    """Raise unless something is matplotlib's axes: a figure or an array of axes is not."""
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        has_axes = hasattr(ax, "axes") or hasattr(ax, "flat")
        hint = ": give one of its axes" if has_axes else ""
        raise TypeError(f"`ax` must be matplotlib axes; got {type(ax).__name__}{hint}.")


def legend(ax: Axes, columns: int = 2, *, title: str | None = None) -> None:
    """Put the legend below the axes, where it covers nothing."""
    from matplotlib.transforms import ScaledTranslation

    # In inches, so that it is as far down in a tall figure as in a low one.
    down = ScaledTranslation(0, -_BELOW, ax.figure.dpi_scale_trans)
    ax.legend(
        frameon=False,
        fontsize="small",
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=ax.transAxes + down,
        ncols=columns,
        handlelength=2.8,
        columnspacing=1.2,
        title=title,
        title_fontsize="small",
    )


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
