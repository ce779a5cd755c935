"""Learning: curves of a history, and the units that broke the law."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    axis_name,
    legend,
    name,
    require,
    tidy,
)
from daleml.law import SignReport

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


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

    Raises:
        ValueError: If a column is missing.
    """
    import seaborn as sns

    if not hasattr(history, "columns"):
        raise TypeError(
            "`history` must be a DataFrame, as `train` returns; got"
            f" {type(history).__name__}."
        )
    for column in (x, y, *([hue] if hue else [])):
        if column not in history.columns:
            raise ValueError(
                f"`history` must have a column {column!r}; got"
                f" {', '.join(map(str, history.columns))}."
            )
    ax = axes_or_new(ax)
    if hue:
        history = history.assign(**{hue: history[hue].map(name)})
    sns.lineplot(
        history,
        x=x,
        y=y,
        hue=hue,
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

    Or say that none does.
    """
    require(result, SignReport, "signs.check")
    ax = axes_or_new(ax)
    if result:
        said = "\n".join(
            axis_name(line) for line in str(result).replace(": ", ":\n").splitlines()
        )
        ax.text(0.5, 0.5, said, ha="center", va="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return ax
    worst = sorted(
        result.violations,
        key=lambda violation: violation.count / violation.size,
        reverse=True,
    )[:20]
    labels = [name(f"{violation.parameter} [{violation.unit}]") for violation in worst]
    colors = [EXCITATORY if violation.sign > 0 else INHIBITORY for violation in worst]
    ax.barh(
        labels[::-1],
        [violation.count / violation.size for violation in worst][::-1],
        color=colors[::-1],
    )
    shown = (
        f", the worst {len(worst)} of {len(result.violations)} units"
        if len(worst) < len(result.violations)
        else ""
    )
    ax.set(
        xlim=(0, 1), xlabel=f"fraction of a unit's synapses with the wrong sign{shown}"
    )
    return tidy(ax)
