"""Plots of the currents of units: excitation against inhibition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from daleml.analysis.activity.synaptic_currents import Currents
from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    legend,
    require_result,
    tidy,
)
from daleml.analysis.plots.common_options import (
    AllWords,
    options,
    quantity,
    relabelled,
)
from daleml.analysis.plots.curve_styles import MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@options(AllWords)
def currents(
    result: Currents, ax: Axes | None = None, **words: Unpack[AllWords]
) -> Axes:
    """Draw the mean excitation of each unit against its mean inhibition.

    On the diagonal both cancel: above it a unit is inhibited more, below it excited more. Units
    of populations that mostly send excitation are red and filled, of the others blue and hollow.

    Args:
        result: What :func:`daleml.analysis.activity.currents` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, unit, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of the
            currents; labels name populations.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.analysis import activity, plots
        >>> from daleml.layers import EIRNN
        >>> result = activity.currents(EIRNN(3, Populations(8, 2)), torch.rand(9, 4, 3))
        >>> drawing, axes = plots.figure()
        >>> ax = plots.currents(result, axes[0, 0])
        >>> ax.get_xlabel()
        'mean excitatory current'
    """
    require_result(result, Currents, "currents")
    ax = axes_or_new(ax)
    flat = [result.excitatory.flatten(0, -2), result.inhibitory.flatten(0, -2)]
    e, i = (one.double().mean(0).cpu().numpy() for one in flat)
    # Inhibition as a size, so that the diagonal is balance.
    i = np.abs(i)
    largest = float(max(e.max(), i.max())) or 1.0
    ax.plot(
        [0, largest], [0, largest], color="0.7", linewidth=1, zorder=0, label="balance"
    )
    means = result.by_population()
    shown = relabelled(list(result.groups), words.get("labels"))
    for number, (group, units) in enumerate(result.groups.items()):
        sends = result.source(group).sum()
        balance = means[group]["balance"]
        # An inhibitory population is hollow, so that it is told apart in grey.
        kind, color = "inhibitory", INHIBITORY
        if sends >= 0:
            kind, color = "excitatory", EXCITATORY
        ax.scatter(
            e[units],
            i[units],
            s=16,
            marker=MARKERS[number % len(MARKERS)],
            facecolors="none" if sends < 0 else color,
            edgecolors=color,
            label=f"{shown[number]} ({kind}): |E + I| / (E + |I|) = {balance:.2f}",
            zorder=3,
        )
    unit = words.get("unit")
    ax.set(
        xlabel=quantity("mean excitatory current", unit),
        ylabel=quantity("size of mean inhibitory current", unit),
    )
    legend(ax, 1)
    return tidy(ax)
