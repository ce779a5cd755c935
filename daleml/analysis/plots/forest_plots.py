"""Forest plots of claims: each interval beside its bound, on an axis that all checks share."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daleml.analysis.plots import figure_sizes
from daleml.analysis.plots.canvas import figure, style, tidy
from daleml.analysis.plots.forest_marks import draw_owner, draw_row, explain
from daleml.analysis.plots.forest_rows import (
    FARTHEST,
    NEAREST,
    ClaimRows,
    claims_of,
)
from daleml.analysis.plots.lettering import name, small

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_X_LABEL = "distance from bound to mean in half-widths of the interval; right of 0: as expected"

# The width of a figure, in inches: a telephone shows it as it is.
_WIDTH = 3.65

# A letter and a digit are about so much of their height wide, and a line so much of it high.
_LETTER = 0.53
_DIGIT = 0.51
_LINE = 1.32
_LINE_OF_OVERVIEW = 1.15

# In inches: the space at the edges, for the mark of an owner, above a claim, above a paper; what
# ticks need.
_EDGE = 0.08
_INDENT = 0.17
_ABOVE_CLAIM = 0.1
_ABOVE_PAPER = 0.14
_TICKS = 0.24

_POINTS_PER_INCH = 72

# Where the axes begin beside numbers and beside codes, as a fraction of the width.
_AXES = 0.5
_AXES_OF_OVERVIEW = 0.15

_TICK_PLACES = (-10, -1, 0, 1, 10, 100)
_EXPECTED = "#e3f1e7"


@dataclass(frozen=True)
class _Text:
    """A text beside the axes.

    Attributes:
        text: What is written, its lines broken.
        indent: How far in it begins, in inches.
        bold: Whether it is a heading.
    """

    text: str
    indent: float = 0.0
    bold: bool = False

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return self.text.count("\n") + 1


@dataclass(frozen=True)
class _Line:
    """One line of the figure: a text, a bar, or both.

    Attributes:
        text: What is written.
        row: The check that is drawn beside the text; None for none.
        owner: Whose mark is drawn.
        above: The space above it, in inches.
    """

    text: _Text
    row: Any = None
    owner: str = ""
    above: float = 0.0


@dataclass(frozen=True)
class _Layout:
    """Where the axes begin, as a fraction of the width, and how high a line is, in letters."""

    axes: float
    line: float


def forest(
    results: Any, *, title: str | None = None, width: float | str | None = None
) -> Figure:
    """Draw claims as a forest plot: one row for each check, under the name of its claim.

    All checks share one axis: how far the mean is from the nearest bound, towards what is
    expected, divided by half the width of its interval,

        d = min(mean - at_least, at_most - mean) / ((high - low) / 2).

    Each bar is the interval. A check holds where the whole bar lies at 0 or to the right of it,
    and does not hold where all of it lies to the left; of a claim of several checks a wider
    interval has to, which is not drawn, so that the mark tells the verdict. Beyond 1 the axis is
    logarithmic. An arrow at an edge stands for what lies farther out. A check of which all seeds
    gave the same number has no bar.

    Args:
        results: Outcomes of claims, as :func:`daleml.reproductions.judge` returns them, or what
            ``claims.json`` holds. Claims that were not tested are left out.
        title: What stands above the rows.
        width: The width of the figure, in inches or as text, as :func:`figure` takes it;
            default: 3.65 inches, which a telephone shows as they are.

    Returns:
        A new figure.

    Raises:
        TypeError: If ``results`` is nothing of that.
        ValueError: If no claim was tested.

    Example:
        >>> from daleml.analysis import plots
        >>> check = {"label": "gap", "expected": "at least 0", "at_least": 0.0, "at_most": None,
        ...          "no_effect": 0.0, "owner": "the paper's direction", "verdict": "holds",
        ...          "mean": 2.0, "low": 1.0, "high": 3.0}
        >>> claim = {"id": "9a", "paper": "toy", "owner": "the paper's", "verdict": "holds",
        ...          "measured": [check]}
        >>> drawing = plots.forest({"claims": [claim]})
        >>> [text.get_text() for text in drawing.axes[0].texts]
        ['9a: holds', 'gap; expected at least 0', '2 (1 to 3)']
    """
    claims = _tested(results)

    def lines(wide: float, letter: float) -> list[_Line]:
        found = []
        for claim in claims:
            heading = _Text(f"{claim.id}: {claim.verdict}", bold=True)
            found.append(_Line(heading, above=_ABOVE_CLAIM))
            for row in claim.rows:
                said = f"{row.label}; expected {row.expected}"
                found.append(_Line(_Text(_filled(said, wide, letter))))
                measured = _Text(row.numbers, _INDENT)
                room = _AXES * wide - _INDENT
                # Numbers that are too long to stand beside their bar stand above it.
                if len(row.numbers) * _DIGIT * letter > room:
                    found.append(_Line(measured, None, row.owner))
                    found.append(_Line(_Text(""), row))
                else:
                    found.append(_Line(measured, row, row.owner))
        return found

    return _drawn(lines, _Layout(_AXES, _LINE), title, width)


def forest_overview(
    results: Any, *, title: str | None = None, width: float | str | None = None
) -> Figure:
    """Draw claims as a forest plot of papers: one row for each claim, that of its deciding check.

    The axis is that of :func:`forest`. The check that decides is, among those whose verdict is
    that of the claim, the one whose mean is least far on the side of what is expected.

    Args:
        results: Outcomes of claims, as :func:`daleml.reproductions.judge` returns them, or what
            ``claims.json`` holds. Claims that were not tested are listed below their paper.
        title: What stands above the rows.
        width: The width of the figure, in inches or as text, as :func:`figure` takes it;
            default: 3.65 inches, which a telephone shows as they are.

    Returns:
        A new figure.

    Raises:
        TypeError: If ``results`` is nothing of that.
        ValueError: If no claim was tested.

    Example:
        >>> from daleml.analysis import plots
        >>> check = {"label": "gap", "expected": "at least 0", "at_least": 0.0, "at_most": None,
        ...          "no_effect": 0.0, "owner": "the paper's direction", "verdict": "holds",
        ...          "mean": 2.0, "low": 1.0, "high": 3.0}
        >>> claim = {"id": "9a", "paper": "toy", "owner": "the paper's", "verdict": "holds",
        ...          "measured": [check]}
        >>> drawing = plots.forest_overview({"claims": [claim]})
        >>> [text.get_text() for text in drawing.axes[0].texts]
        ['toy: 1 of 1 holds', '9a']
    """
    _tested(results)
    claims = claims_of(results)

    def lines(wide: float, letter: float) -> list[_Line]:
        found = []
        for paper in dict.fromkeys(claim.paper for claim in claims):
            found += _block([one for one in claims if one.paper == paper], wide, letter)
        return found

    return _drawn(lines, _Layout(_AXES_OF_OVERVIEW, _LINE_OF_OVERVIEW), title, width)


def _block(claims: Sequence[ClaimRows], wide: float, letter: float) -> list[_Line]:
    """Return the lines of one paper."""
    tested = [claim for claim in claims if claim.rows]
    n_holding = sum(claim.verdict == "holds" for claim in tested)
    heading = f"{claims[0].paper}: {n_holding} of {len(tested)} holds"
    if len(tested) != 1:
        heading = heading.removesuffix("s")
    found = [_Line(_Text(name(heading), bold=True), above=_ABOVE_PAPER)]
    for claim in tested:
        code = _Text(name(claim.id), _INDENT)
        found.append(_Line(code, claim.deciding, claim.owner))
    others = ", ".join(claim.id for claim in claims if not claim.rows)
    if others:
        found.append(_Line(_Text(_filled(f"not tested: {others}", wide, letter))))
    return found


def _tested(results: Any) -> list[ClaimRows]:
    """Return the claims that have rows; raise if there are none."""
    tested = [claim for claim in claims_of(results) if claim.rows]
    if not tested:
        raise ValueError("`results` must have a claim that was tested; got none.")
    return tested


def _drawn(
    lines_of: Any, layout: _Layout, title: str | None, width: float | str | None
) -> Figure:
    """Draw lines from the top down, in a figure as high as they need.

    Args:
        lines_of: Returns the lines for a width of text and a size of letters, in inches.
        layout: Where things are.
        title: What stands above them.
        width: Of the figure.
    """
    asked = _WIDTH if width is None else width
    wide = figure_sizes.inches(asked)
    begin = layout.axes * wide
    with style():
        drawing, axes = figure(width=asked, height=1.0)
        ax = axes[0, 0]
        # Every line has its place in inches, which an engine of layout would move.
        drawing.set_layout_engine("none")
        letter = small(ax) / _POINTS_PER_INCH
        lines = lines_of(wide - 2 * _EDGE, letter)
        _write(ax, lines, (begin, wide - begin - _EDGE), layout.line * letter)
        _finish(ax, (begin, wide), title)
    return drawing


def _write(
    ax: Axes, lines: Sequence[_Line], across: tuple[float, float], tall: float
) -> None:
    """Write the lines and draw their bars; the axes are then as high as those, in inches.

    Args:
        ax: The axes.
        lines: What is written.
        across: Where the axes begin, and how wide they are, in inches.
        tall: The height of a line of text, in inches.
    """
    begin, inner = across
    down = 0.0
    for line in lines:
        down += line.above
        high = line.text.lines * tall
        middle = down + high / 2
        ax.text(
            (_EDGE + line.text.indent - begin) / inner,
            middle,
            line.text.text,
            transform=ax.get_yaxis_transform(),
            ha="left",
            va="center",
            fontsize=small(ax),
            fontweight="bold" if line.text.bold else "normal",
            linespacing=_LINE - 0.1,
        )
        if line.row is not None:
            draw_row(ax, line.row, middle)
        draw_owner(ax, line.owner, ((_EDGE + 0.06 - begin) / inner, middle))
        down += high
    # The first line is at the top: the axis counts downwards.
    ax.set_ylim(down + 0.05, 0)


def _finish(ax: Axes, across: tuple[float, float], title: str | None) -> None:
    """Give the figure its axis, its key and its height."""
    begin, wide = across
    ax.set_xscale("symlog", linthresh=1.0, linscale=0.6)
    ax.set_xlim(1.25 * NEAREST, 1.3 * FARTHEST)
    ax.set_xticks(_TICK_PLACES, ["−10", "−1", "0", "1", "10", "100"])
    ax.minorticks_off()
    ax.set_yticks([])
    ax.axvspan(0, 1.3 * FARTHEST, color=_EXPECTED, linewidth=0, zorder=0)
    ax.axvline(0, color="0.35", linewidth=1, zorder=1)
    tidy(ax)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="x", labelsize=small(ax))
    drawing: Any = ax.figure
    rows = ax.get_ylim()[0]
    letter = small(ax) / _POINTS_PER_INCH
    fits = int((wide - 2 * _EDGE) / (_LETTER * letter))
    # The name of the axis is about all of the figure, and as wide.
    label = textwrap.wrap(_X_LABEL, fits)
    marks, n_lines = explain(ax, wide)
    named = _LINE * letter * len(label)
    key = n_lines * _LINE * letter + 0.1
    top = _EDGE
    heading = ""
    if title is not None:
        heading = _filled(title, wide - 2 * _EDGE, 1.1 * letter)
        top += _LINE * letter * (heading.count("\n") + 1) + 0.05
    high = top + rows + _TICKS + named + key + _EDGE
    drawing.set_size_inches(wide, high)
    inner = (wide - begin - _EDGE) / wide
    ax.set_position((begin / wide, 1 - (top + rows) / high, inner, rows / high))
    below = top + rows + _TICKS
    drawing.text(
        0.5,
        1 - below / high,
        "\n".join(label),
        ha="center",
        va="top",
        fontsize=small(ax),
    )
    under = 1 - (below + named + 0.05) / high
    marks.set_bbox_to_anchor((0.5, under), drawing.transFigure)
    if heading:
        place = 1 - _EDGE / high
        drawing.suptitle(heading, y=place, va="top", fontsize=1.1 * small(ax))


def _filled(text: str, wide: float, letter: float) -> str:
    """Return text in lines that fit a width, both in inches."""
    return "\n".join(textwrap.wrap(name(text, 400), int(wide / (_LETTER * letter))))
