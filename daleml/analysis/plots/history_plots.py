"""Plots of training: curves of a history, and the units that broke Dale's law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from daleml.law import SignReport

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


# At most this number of units that break the law is drawn.
_MOST_UNITS = 20


def learning_curves(
    history: pd.DataFrame,
    y: str = "accuracy",
    ax: Axes | None = None,
    *,
    hue: str | None = None,
    x: str = "epoch",
) -> Axes:
    """Draw a column of a training history.

    Rows that share ``x`` and ``hue`` (seeds) become a mean and its range.

    Args:
        history: A DataFrame, as :func:`daleml.train` returns; several can be concatenated.
        y: The column to draw.
        ax: Where to draw; default: new axes.
        hue: The column that says which rows are of one curve; default: all are.
        x: The column along which to draw.

    Returns:
        The axes.

    Raises:
        TypeError: If ``history`` is no DataFrame, or ``ax`` are no axes.
        ValueError: If a column is missing.

    Example:
        >>> import pandas as pd
        >>> from daleml.analysis import plots
        >>> history = pd.DataFrame({"epoch": [0, 1], "accuracy": [0.1, 0.8]})
        >>> drawing, axes = plots.figure()
        >>> ax = plots.learning_curves(history, ax=axes[0, 0])
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('epoch', 'accuracy')
    """
    import seaborn as sns

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
    ax = axes_or_new(ax)
    if hue:
        # Names with $ would be drawn as maths, and those that begin with _ be left out.
        history = history.assign(**{hue: history[hue].map(name)})
    sns.lineplot(
        history,
        x=x,
        y=y,
        hue=hue,
        # The whole range: of a few seeds there are no quantiles.
        errorbar=("pi", 100),
        palette="colorblind" if hue else None,
        ax=ax,
    )
    if hue:
        legend(ax)
    ax.set(xlabel=axis_name(x), ylabel=axis_name(y.replace("_", " ")))
    return tidy(ax)


def signs(result: SignReport, ax: Axes | None = None) -> Axes:
    """Draw the units that break the law, and the fraction of each one's synapses at fault.

    If none does, the axes say so.

    Args:
        result: What :func:`daleml.signs.check` returned.
        ax: Where to draw; default: new axes.

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
    ax = axes_or_new(ax)
    if result:
        lines = str(result).replace(": ", ":\n").splitlines()
        said = "\n".join(map(axis_name, lines))
        ax.text(0.5, 0.5, said, ha="center", va="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return ax
    n = len(result.violations)
    worst = sorted(result.violations, key=_fraction, reverse=True)[:_MOST_UNITS]
    labels, colors = [], []
    # The worst is on top: bars are drawn from below.
    for one in reversed(worst):
        labels.append(name(f"{one.parameter} [{one.unit}]"))
        colors.append(EXCITATORY if one.sign > 0 else INHIBITORY)
    ax.barh(labels, list(map(_fraction, reversed(worst))), color=colors)
    shown = f", the worst {len(worst)} of {n} units" if len(worst) < n else ""
    ax.set(
        xlim=(0, 1), xlabel=f"fraction of a unit's synapses with the wrong sign{shown}"
    )
    return tidy(ax)


def _fraction(violation: Any) -> float:
    """Return the fraction of a unit's synapses that have the wrong sign."""
    return float(violation.count / violation.size)
