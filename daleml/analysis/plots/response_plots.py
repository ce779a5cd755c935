"""Plots of how populations respond to a drive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daleml.analysis.activity.paradoxical_responses import ParadoxicalEffect
from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    name,
    require_result,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def paradoxical_effect(result: ParadoxicalEffect, ax: Axes | None = None) -> Axes:
    """Draw by how much the mean rate of each population changes with the drive.

    Excitatory populations are red, inhibitory ones blue. An inhibitory population that is driven
    and whose bar points down responds paradoxically.

    Args:
        result: What :func:`daleml.analysis.activity.paradoxical_effect` returned.
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
        >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=10, tau_ms=50, nonlinearity="softplus")
        >>> drawing, axes = plots.figure()
        >>> ax = plots.paradoxical_effect(activity.paradoxical_effect(rnn), axes[0, 0])
        >>> [label.get_text() for label in ax.get_xticklabels()]
        ['E', 'I (driven)']
    """
    require_result(result, ParadoxicalEffect, "paradoxical_effect")
    ax = axes_or_new(ax)
    labels, colors = [], []
    for group, units in result.groups.items():
        is_driven = np.isin(units, result.driven).any()
        labels.append(f"{name(group)} (driven)" if is_driven else name(group))
        excites = np.isin(units, result.exciting).all()
        colors.append(EXCITATORY if excites else INHIBITORY)
    places = np.arange(len(labels))
    ax.bar(places, list(result.slopes.values()), width=0.6, color=colors)
    ax.axhline(0, color="0.15", linewidth=0.8)
    ax.set(
        xticks=places,
        xticklabels=labels,
        ylabel="change of mean rate per unit of drive",
    )
    verdict = "not inhibition-stabilised"
    if result.inhibition_stabilised:
        verdict = "inhibition-stabilised"
    eigenvalue = f"{result.excitatory_eigenvalue:.2f}"
    ax.set_title(f"{verdict}, excitatory eigenvalue {eigenvalue}", fontsize="small")
    return tidy(ax)
