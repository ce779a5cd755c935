"""The plot of a sweep's table: a number against a condition, every run and the mean over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml._support.student_intervals import student_interval
from daleml.analysis.plots.canvas import axes_or_new, axis_name, legend, tidy
from daleml.analysis.plots.common_options import (
    AllWords,
    options,
    quantity,
    relabelled,
)
from daleml.analysis.plots.curve_styles import MARKERS, palette

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Values that span more than this, and are all above zero, lie on a logarithmic axis.
_SPAN = 20.0
# Labels of ticks need this fraction of the axis between them.
_ROOM = 0.08
# The width that the curves of one name have together, where one and the next are 1 apart.
_SHARE = 0.5


@options(AllWords)
def runs(
    table: pd.DataFrame,
    x: str,
    y: str,
    ax: Axes | None = None,
    *,
    hue: str | Sequence[str] | None = None,
    log_x: bool | None = None,
    **words: Unpack[AllWords],
) -> Axes:
    """Draw a number of a sweep against one of its conditions.

    Faint dots are runs, lines their means over seeds, and bars the 95 % intervals of the means
    by Student's t. Runs that failed, or whose number is not finite, are left out.

    Args:
        table: What :func:`daleml.experiments.sweep` or ``read`` returned, or rows of it.
        x: The column of the condition: numbers, or names, which stand in the order of the table.
        y: The column of the number.
        ax: Where to draw; default: new axes.
        hue: The columns that say which runs are of one curve. Default: those of the other
            conditions of the sweep.
        log_x: Whether the axis of the condition is logarithmic. Default: if its values are above
            zero and the largest is more than 20 times the smallest.
        xlabel, ylabel, title, unit, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of ``y``; labels name curves.

    Returns:
        The axes.

    Raises:
        TypeError: If ``table`` is no DataFrame, or ``ax`` are no axes.
        ValueError: If a column is missing, ``y`` is none of numbers or has no finite one, or
            ``labels`` name no curves.

    Example:
        >>> import pandas as pd
        >>> from daleml.analysis import plots
        >>> table = pd.DataFrame({"lr": [0.1, 0.1, 0.3, 0.3], "loss": [1.0, 1.2, 0.8, 0.9]})
        >>> drawing, axes = plots.figure()
        >>> ax = plots.runs(table, "lr", "loss", axes[0, 0])
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('lr', 'loss')
    """
    if not hasattr(table, "columns"):
        raise TypeError(
            "`table` must be a DataFrame, as `sweep` returns; got"
            f" {type(table).__name__}."
        )
    columns = _hue_columns(table, x, hue)
    for column in (x, y, *columns):
        if column not in table.columns:
            raise ValueError(
                f"`table` must have a column {column!r}; got"
                f" {', '.join(map(str, table.columns))}."
            )
    finite = table[np.isfinite(_numbers(table, y))]
    if finite.empty:
        raise ValueError(f"`table` must hold finite numbers of {y!r}; it holds none.")
    ax = axes_or_new(ax)
    curves = _curves(finite, columns)
    if words.get("labels") is not None and not columns:
        raise ValueError(
            "`labels` must be left out where there is one curve; got some."
        )
    shown = relabelled(list(curves), words.get("labels"))
    places = _Places(finite[x], log_x, len(curves))
    styles = palette(len(curves))
    for rank, (rows, label) in enumerate(zip(curves.values(), shown, strict=True)):
        _draw(ax, rows, (x, y), places, rank, styles[rank], label)
    places.settle(ax)
    if columns:
        legend(ax)
    unit = words.get("unit")
    ax.set(xlabel=axis_name(x), ylabel=quantity(y.replace("_", " "), unit))
    return tidy(ax)


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    try:
        return table[name].astype(float)
    except (ValueError, TypeError):
        raise ValueError(f"`y` must be a column of numbers; got {name!r}.") from None


def _hue_columns(
    table: pd.DataFrame, x: str, hue: str | Sequence[str] | None
) -> list[str]:
    """Return the columns that tell curves apart."""
    if isinstance(hue, str):
        return [hue]
    if hue is not None:
        return list(hue)
    # The table of a sweep knows which columns are conditions.
    found = []
    for name in table.attrs.get("conditions", ()):
        varies = name in table.columns and table[name].nunique(dropna=False) > 1
        if name != x and varies:
            found.append(name)
    return found


def _curves(table: pd.DataFrame, columns: Sequence[str]) -> dict[Any, pd.DataFrame]:
    """Return the rows of each curve, by its name, in the order of the table."""
    if not columns:
        return {"": table}
    found: dict[Any, pd.DataFrame] = {}
    for key, rows in table.groupby(list(columns), sort=False, dropna=False):
        if len(columns) == 1 and isinstance(key[0], str):
            found[key[0]] = rows
            continue
        # A number alone would not say of what it is.
        parts = [f"{name} {value}" for name, value in zip(columns, key, strict=True)]
        found[", ".join(parts)] = rows
    return found


class _Places:
    """Where the values of a condition lie on the axis.

    Args:
        values: The values.
        log: Whether the axis is logarithmic; None to decide.
        curves: How many curves there are.
    """

    def __init__(self, values: pd.Series[Any], log: bool | None, curves: int) -> None:
        from pandas.api.types import is_bool_dtype, is_numeric_dtype

        self._curves = curves
        self.are_numbers = is_numeric_dtype(values) and not is_bool_dtype(values)
        self._names = {value: i for i, value in enumerate(values.unique())}
        spread = False
        if self.are_numbers and log is None:
            spread = values.min() > 0 and values.max() > _SPAN * values.min()
        self._is_log = bool(log or spread)

    def of(self, value: Any, rank: int) -> float:
        """Return where a value lies, for the curve of a rank."""
        if self.are_numbers:
            return float(value)
        # Side by side, so that none hides another.
        aside = (rank + 0.5) / self._curves - 0.5
        return self._names[value] + _SHARE * aside

    def settle(self, ax: Axes) -> None:
        """Set the scale of the axis and its ticks."""
        if self.are_numbers:
            if self._is_log:
                ax.set_xscale("log")
            at = np.array(sorted(self._names), dtype=float)
            gaps = np.diff(np.log(at) if self._is_log else at)
            # Each value has a tick, if there is room for its label.
            if gaps.size and gaps.min() > _ROOM * gaps.sum():
                ax.set_xticks(at, [f"{value:g}" for value in at])
                ax.minorticks_off()
            return
        shown = [axis_name(str(value)) for value in self._names]
        ax.set_xticks(range(len(shown)), shown)
        ax.set_xlim(-0.6, len(shown) - 0.4)


def _draw(
    ax: Axes,
    rows: pd.DataFrame,
    names: tuple[str, str],
    places: _Places,
    rank: int,
    style: dict[str, Any],
    label: Any,
) -> None:
    """Draw the runs of one curve, their means, and the intervals of these."""
    x, y = names
    at, means, errors = [], [], []
    for value, group in rows.groupby(x, sort=places.are_numbers):
        place = places.of(value, rank)
        measured = group[y].astype(float).tolist()
        found = student_interval(measured)
        ax.plot(
            [place] * len(measured),
            measured,
            ".",
            color=style["color"],
            alpha=0.3,
            markersize=5,
            zorder=1,
        )
        at.append(place)
        means.append(found.mean)
        # One seed has no interval.
        errors.append(0.0 if found.n < 2 else found.high - found.mean)
    line = {**style, "linewidth": min(style["linewidth"], 2.2)}
    if not places.are_numbers:
        # Between names there is nothing to read off.
        line["linestyle"] = "none"
    ax.errorbar(
        np.array(at),
        np.array(means),
        yerr=errors,
        marker=MARKERS[rank % len(MARKERS)],
        markersize=6,
        capsize=3,
        elinewidth=1.4,
        label=label,
        **line,
    )
