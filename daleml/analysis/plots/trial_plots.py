"""The plot of a trial of a task: what goes in, and what should come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml.analysis.plots import period_bands
from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    legend,
    name,
    remove_scales,
    require_pair,
    tidy,
)
from daleml.analysis.plots.common_options import LabelWords, options, relabelled
from daleml.analysis.plots.curve_styles import colors as colors_of
from daleml.analysis.plots.curve_styles import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# What :class:`daleml.tasks.Trials` has: analysis does not import tasks.
_NEEDED = (
    "inputs",
    "targets",
    "mask",
    "dt_ms",
    "input_names",
    "output_names",
    "periods_of",
    "lengths",
)

# Beyond this number of inputs they are a heat map instead of lines.
_MOST_LINES = 3

# Beyond this number of rows they are numbered instead of named.
_MOST_NAMES = 10


@options(LabelWords, axes="axes")
def trial(
    trials: Any,
    index: int = 0,
    axes: Sequence[Axes] | None = None,
    **words: Unpack[LabelWords],
) -> tuple[Axes, Axes]:
    """Draw one trial of a task, what goes in above and what should come out below.

    Both have one axis of time. Up to three inputs are lines, more are a heat map. Grey bands set
    the periods apart. The target is faint at the steps that the loss does not count.

    Args:
        trials: What a task's ``sample`` returns.
        index: Which of the trials.
        axes: Two axes, for inputs and target; default: two new ones, above each other.
        xlabel, ylabel, title, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name inputs; the vertical axis is the upper one.

    Returns:
        The two axes.

    Raises:
        TypeError: If ``trials`` is something else.
        ValueError: If there is no such trial, or ``axes`` are not two.

    Example:
        >>> from daleml.analysis import plots
        >>> from daleml.tasks import PerceptualDecision
        >>> drawing, axes = plots.figure(rows=2)
        >>> top, bottom = plots.trial(PerceptualDecision().sample(1), axes=axes[:, 0])
        >>> bottom.get_xlabel()
        'time (ms)'
    """
    for needed in _NEEDED:
        if not hasattr(trials, needed):
            raise TypeError(
                "`trials` must be Trials, as a task's `sample` returns; got"
                f" {type(trials).__name__}."
            )
    n_trials = trials.inputs.shape[1]
    if not 0 <= index < n_trials:
        raise ValueError(f"`index` must be between 0 and {n_trials - 1}; got {index}.")
    top, bottom = require_pair(axes, (3, 2))
    # Without the padding of a trial that is shorter than others.
    n_steps = int(trials.lengths[index])
    inputs = trials.inputs[:n_steps, index].detach().cpu().numpy()
    targets = trials.targets[:n_steps, index].detach().cpu().numpy()
    mask = trials.mask[:n_steps, index].detach().cpu().numpy()
    edges = np.arange(len(inputs) + 1) * float(trials.dt_ms)
    input_names = relabelled(trials.input_names, words.get("labels"))
    _draw_inputs(top, edges, inputs, input_names)
    _draw_target(bottom, edges, targets, mask, trials.output_names)
    period_bands.draw(top, [bottom], period_bands.read(trials, index))
    top.tick_params(labelbottom=False)
    bottom.set(xlabel="time (ms)", xlim=(0, edges[-1]))
    top.set_xlim(0, edges[-1])
    legend(bottom, 3, of=[top, bottom])
    return tidy(top), tidy(bottom)


def _draw_inputs(ax: Axes, edges: Any, inputs: Any, names: Sequence[str]) -> None:
    """Draw a few inputs as lines, many as a heat map."""
    if len(names) > _MOST_LINES:
        _draw_heat_map(ax, edges, inputs, names, "input")
        return
    for values, label, line in zip(inputs.T, names, palette(len(names)), strict=True):
        style = {key: line[key] for key in ("color", "linestyle", "linewidth")}
        ax.stairs(values, edges, baseline=None, label=label, **style)
    ax.set_ylabel("input")


def _draw_heat_map(
    ax: Axes, edges: Any, inputs: Any, names: Sequence[str], label: str
) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    limit = float(np.abs(inputs).max()) or 1.0
    least, hues = 0.0, ["white", EXCITATORY]
    # Inputs below 0 are no rates: they are blue, so that they are seen.
    if (inputs < 0).any():
        least, hues = -limit, [INHIBITORY, "white", EXCITATORY]
    colors = LinearSegmentedColormap.from_list("inputs", hues)
    rows = np.arange(len(names) + 1) - 0.5
    mesh = ax.pcolormesh(edges, rows, inputs.T, cmap=colors, vmin=least, vmax=limit)
    ax.set_ylim(rows[-1], rows[0])
    remove_scales(ax)
    ax.figure.colorbar(mesh, ax=ax, label=label, pad=0.02)
    _name_ticks(ax, names, label)


def _draw_target(
    ax: Axes, edges: Any, targets: Any, mask: Any, names: Sequence[str]
) -> None:
    """Draw the target, strongly at the steps that the loss counts."""
    several = targets.ndim == 2
    if several and len(names) > _MOST_NAMES:
        # Steps that do not count are left white, as nothing is asked for.
        counted = np.where(mask[:, None], targets, 0.0)
        _draw_heat_map(ax, edges, counted, names, "target")
        return
    values, colors = targets, ["0.2"]
    if several:
        colors = colors_of(values.shape[1])
    else:
        values = targets[:, None]
    for output, (column, color) in enumerate(zip(values.T, colors, strict=True)):
        ax.stairs(column, edges, baseline=None, color=color, linewidth=1, alpha=0.3)
        # Runs of equal steps are one line each: drawn step by step they would look dashed.
        changes = (np.diff(column) != 0) | (mask[1:] != mask[:-1])
        # A run begins where the target, or whether it counts, changes.
        starts = np.flatnonzero(np.r_[True, changes])
        ends = np.r_[starts[1:], len(column)]
        counted = mask[starts]
        ax.hlines(
            column[starts][counted],
            edges[starts][counted],
            edges[ends][counted],
            color=color,
            linewidth=3,
            zorder=3,
            label=f"target: {name(names[output])}" if several else "",
        )
    if several:
        ax.set_ylabel("target")
        return
    ax.set_ylim(len(names) - 0.5, -0.5)
    _name_ticks(ax, names, "target")


def _name_ticks(ax: Axes, names: Sequence[str], label: str) -> None:
    """Name the rows of an axis if there is room, or groups of them; else number them from 1."""
    groups = _groups(names)
    if len(names) <= _MOST_NAMES:
        ax.set_yticks(range(len(names)), list(map(name, names)))
        ax.tick_params(axis="y", length=0)
    elif groups:
        centres = [(first + last) / 2 for _, first, last in groups]
        ax.set_yticks(centres, [name(group) for group, _, _ in groups])
        ax.tick_params(axis="y", length=0)
    else:
        ax.set_yticks([0, len(names) - 1], ["1", str(len(names))])
        ax.set_ylabel(label)


def _groups(names: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return groups of names such as "ring 1: 7", each with its first and its last row."""
    groups: list[tuple[str, int, int]] = []
    if not any(": " in one for one in names):
        return groups
    for row, full in enumerate(names):
        group = full.split(": ")[0]
        first = row
        if groups and groups[-1][0] == group:
            _, first, _ = groups.pop()
        groups.append((group, first, row))
    return groups if len(groups) <= _MOST_NAMES else []
