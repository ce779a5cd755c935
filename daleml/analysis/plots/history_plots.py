"""Plots of training: curves of a history, and the units that broke Dale's law."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    axis_name,
    legend,
    name,
    require_result,
    tidy,
)
from daleml.analysis.plots.common_options import (
    AllWords,
    LabelWords,
    options,
    quantity,
    relabelled,
)
from daleml.analysis.plots.curve_styles import palette
from daleml.analysis.plots.lettering import row_names, rows_that_fit, small
from daleml.law import SignReport

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


# At most this number of units that break the law is drawn.
_MOST_UNITS = 20

# The name of units by their sign.
_KINDS = {1: "excitatory units", -1: "inhibitory units", 0: "units without a sign"}
_STYLES: dict[int, dict[str, Any]] = {
    1: {"color": EXCITATORY, "edgecolor": "white"},
    # Hatched, so that the two signs are told apart in grey.
    -1: {"color": INHIBITORY, "edgecolor": "white", "hatch": "////"},
    0: {"color": "0.6", "edgecolor": "white", "hatch": "...."},
}


@options(AllWords)
def learning_curves(
    history: pd.DataFrame,
    y: str = "accuracy",
    ax: Axes | None = None,
    *,
    hue: str | None = None,
    x: str = "epoch",
    **words: Unpack[AllWords],
) -> Axes:
    """Draw a column of a training history.

    Rows that share ``x`` and ``hue`` (seeds) become a mean and its range. The first curve is the
    widest and lies lowest, so that it shows under others that coincide with it.

    Args:
        history: A DataFrame, as :func:`daleml.train` returns; several can be concatenated.
        y: The column to draw.
        ax: Where to draw; default: new axes.
        hue: The column that says which rows are of one curve; default: all are.
        x: The column along which to draw.
        xlabel, ylabel, title, unit, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of ``y``; labels name curves.

    Returns:
        The axes.

    Raises:
        TypeError: If ``history`` is no DataFrame, or ``ax`` are no axes.
        ValueError: If a column is missing, or ``labels`` name no curves.

    Example:
        >>> import pandas as pd
        >>> from daleml.analysis import plots
        >>> history = pd.DataFrame({"epoch": [0, 1], "accuracy": [0.1, 0.8]})
        >>> drawing, axes = plots.figure()
        >>> ax = plots.learning_curves(history, ax=axes[0, 0])
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('epoch', 'accuracy')
    """
    if not hasattr(history, "columns"):
        raise TypeError(
            "`history` must be a DataFrame, as `train` returns; got"
            f" {type(history).__name__}."
        )
    for column in (x, y, hue):
        if column and column not in history.columns:
            raise ValueError(
                f"`history` must have a column {column!r}; got"
                f" {', '.join(map(str, history.columns))}."
            )
    if words.get("labels") is not None and not hue:
        raise ValueError(
            "`labels` must be left out without `hue`, whose curves they name; got some."
        )
    ax = axes_or_new(ax)
    curves = _curves(history, x, y, hue)
    shown = relabelled(list(curves), words.get("labels"))
    for (table, style), label in zip(
        zip(curves.values(), palette(len(curves)), strict=True), shown, strict=True
    ):
        ax.fill_between(
            table.index,
            table["min"],
            table["max"],
            color=style["color"],
            alpha=0.16,
            linewidth=0,
        )
        # A curve of one epoch is a point.
        marker = "o" if len(table) == 1 else None
        ax.plot(
            table.index,
            table["mean"],
            label=label,
            marker=marker,
            markersize=5,
            **style,
        )
    if hue:
        legend(ax)
    unit = words.get("unit")
    ax.set(xlabel=axis_name(x), ylabel=quantity(y.replace("_", " "), unit))
    _keep_flat_lines_off_the_edge(ax)
    return tidy(ax)


def _curves(
    history: pd.DataFrame, x: str, y: str, hue: str | None
) -> dict[Any, pd.DataFrame]:
    """Return the mean and the range of a column along another, for each curve by its name."""
    # A column of objects, as one with None is, has no mean.
    numeric = history.assign(**{y: history[y].astype(float)}).dropna(subset=[y])
    found = {}
    parts = {"": numeric}
    if hue:
        # In the order of the table, as the reader wrote it.
        names = numeric[hue].unique()
        parts = {key: numeric[numeric[hue] == key] for key in names}
    for key, rows in parts.items():
        found[key] = rows.groupby(x)[y].agg(["mean", "min", "max"])
    return found


def _keep_flat_lines_off_the_edge(ax: Axes) -> None:
    """Leave room below curves that lie at zero, which the axis would hide."""
    low, high = ax.get_ylim()
    least = min((np.min(line.get_ydata()) for line in ax.lines), default=-1.0)
    if low < 0 <= least:
        ax.set_ylim(max(low, -0.04 * high), high)


@options(LabelWords)
def signs(
    result: SignReport, ax: Axes | None = None, **words: Unpack[LabelWords]
) -> Axes:
    """Draw the units that break the law, and the fraction of each one's synapses at fault.

    The worst of each sign are drawn, excitatory units red, inhibitory ones blue and hatched;
    the key says how many of each break the law, also where none does. If no unit breaks it, the
    axes say so.

    Args:
        result: What :func:`daleml.signs.check` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name parameters.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is no such report, or ``ax`` are no axes.

    Example:
        >>> from daleml import Populations, signs
        >>> from daleml.analysis import plots
        >>> from daleml.layers import EILinear
        >>> drawing, axes = plots.figure()
        >>> ax = plots.signs(signs.check(EILinear(Populations(8, 2), 5)), axes[0, 0])
        >>> len(ax.texts)
        1
    """
    require_result(result, SignReport, "signs.check")
    is_new = ax is None
    ax = axes_or_new(ax)
    if result:
        said = str(result).replace(": ", ":\n")
        _write(ax, said)
        return ax
    # New axes grow with their rows; given ones have room for some.
    n_rows = _MOST_UNITS if is_new else min(_MOST_UNITS, rows_that_fit(ax))
    worst = _worst(result, n_rows)
    parameters = list(dict.fromkeys(one.parameter for one in worst))
    names = dict(
        zip(parameters, relabelled(parameters, words.get("labels")), strict=True)
    )
    for place, one in enumerate(worst):
        style = _STYLES[one.sign]
        ax.barh(place, _fraction(one), height=0.75, linewidth=0.6, **style)
    # The worst is on top: bars are drawn from below.
    texts = [_unit_name(one, names, alone=len(parameters) == 1) for one in worst]
    row_names(ax, range(len(worst)), texts)
    if len(parameters) == 1:
        ax.set_ylabel(f"presynaptic unit of {names[parameters[0]]}")
    for sign, kind in _KINDS.items():
        n = sum(one.sign == sign for one in result.violations)
        said = f"{n:,} break{'s' * (n == 1)} the law" if n else "none breaks the law"
        # Units without a sign break the law only in a mask or in what is fixed.
        if n or sign:
            ax.bar(0, np.nan, label=f"{kind}: {said}", **_STYLES[sign])
    n = len(result.violations)
    shown = f"\n(the worst {len(worst)} of {n:,} units)" if len(worst) < n else ""
    ax.set(
        xlim=(0, 1),
        ylim=(-0.6, len(worst) - 0.4),
        xlabel=f"fraction of synapses of wrong sign{shown}",
    )
    legend(ax, 1)
    return tidy(ax)


def _worst(result: SignReport, n_rows: int) -> list[Any]:
    """Return the units to draw, the worst last; of each sign some, if it breaks the law."""
    by_sign = []
    for sign in _KINDS:
        of_sign = [one for one in result.violations if one.sign == sign]
        by_sign.append(sorted(of_sign, key=_fraction, reverse=True))
    chosen: list[Any] = []
    # One of each in turn, so that many of one sign leave room for the other.
    for of_rank in itertools.zip_longest(*by_sign):
        chosen += [one for one in of_rank if one is not None]
    return sorted(chosen[:n_rows], key=lambda one: (one.sign > 0, _fraction(one)))


def _unit_name(one: Any, names: dict[str, str], *, alone: bool) -> str:
    unit = f"{one.population} {one.unit}" if one.population else f"unit {one.unit}"
    return name(unit) if alone else f"{names[one.parameter]}, {name(unit)}"


def _write(ax: Axes, text: str) -> None:
    """Write text in the middle of axes on which there is nothing to draw."""
    size = small(ax)
    # About as many letters as fit beside one another.
    longest = int(ax.get_window_extent().width / ax.figure.dpi * 72 / (0.58 * size))
    lines = []
    for line in text.splitlines():
        lines += textwrap.wrap(line, max(longest, 12))
    said = "\n".join(axis_name(line) for line in lines)
    ax.text(
        0.5, 0.5, said, ha="center", va="center", transform=ax.transAxes, fontsize=size
    )
    ax.set(xticks=[], yticks=[])


def _fraction(violation: Any) -> float:
    """Return the fraction of a unit's synapses that have the wrong sign."""
    return float(violation.count / violation.size)
