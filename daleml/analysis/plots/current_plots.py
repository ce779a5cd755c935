"""Plots of the currents of units: excitation against inhibition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daleml.analysis.activity.synaptic_currents import Currents
from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    legend,
    name,
    require_result,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A marker for each population, over again where there are more.
_MARKERS = "osD^v<>P"


def currents(result: Currents, ax: Axes | None = None) -> Axes:
    """Draw the mean excitation of each unit against its mean inhibition.

    On the diagonal both cancel: above it a unit is inhibited more, below it excited more. Units
    of populations that mostly send excitation are red, of the others blue.

    Args:
        result: What :func:`daleml.analysis.activity.currents` returned.
        ax: Where to draw; default: new axes.

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
    ax.plot([0, largest], [0, largest], color="0.7", linewidth=1, zorder=0)
    means = result.by_population()
    for number, (group, units) in enumerate(result.groups.items()):
        sends = result.source(group).sum()
        balance = means[group]["balance"]
        ax.scatter(
            e[units],
            i[units],
            s=16,
            marker=_MARKERS[number % len(_MARKERS)],
            color=INHIBITORY if sends < 0 else EXCITATORY,
            label=f"{name(group)}, |E + I| / (E + |I|) = {balance:.2f}",
            zorder=3,
        )
    ax.set(xlabel="mean excitatory current", ylabel="mean inhibitory current, size")
    legend(ax, 1)
    return tidy(ax)
