"""Plots of how populations respond to a drive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml.analysis.activity.paradoxical_responses import ParadoxicalEffect
from daleml.analysis.plots import axis_names
from daleml.analysis.plots.axis_names import Names
from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    legend,
    require_result,
    tidy,
)
from daleml.analysis.plots.common_options import LabelWords, options, relabelled
from daleml.analysis.plots.lettering import small

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The kind of a population by whether it excites, and its look; hatched, to be told in grey.
_STYLES: dict[bool, tuple[str, dict[str, Any]]] = {
    True: ("excitatory", {"color": EXCITATORY}),
    False: ("inhibitory", {"color": INHIBITORY, "hatch": "///", "edgecolor": "white"}),
}


@options(LabelWords)
def paradoxical_effect(
    result: ParadoxicalEffect, ax: Axes | None = None, **words: Unpack[LabelWords]
) -> Axes:
    """Draw by how much the mean rate of each population changes with the drive.

    Excitatory populations are red, inhibitory ones blue and hatched. An inhibitory population
    that is driven and whose bar points down responds paradoxically.

    Args:
        result: What :func:`daleml.analysis.activity.paradoxical_effect` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name populations.

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
    labels, kinds = [], []
    shown = relabelled(list(result.groups), words.get("labels"))
    for label, units in zip(shown, result.groups.values(), strict=True):
        is_driven = np.isin(units, result.driven).any()
        labels.append(f"{label} (driven)" if is_driven else label)
        kinds.append(bool(np.isin(units, result.exciting).all()))
    slopes = np.array(list(result.slopes.values()))
    names = Names(tuple(labels), tuple(map(float, range(len(labels)))))
    for excites, (kind, style) in _STYLES.items():
        chosen = np.flatnonzero(np.array(kinds) == excites)
        if chosen.size:
            ax.bar(chosen, slopes[chosen], width=0.6, label=kind, **style)
    ax.axhline(0, color="0.15", linewidth=0.8)
    ax.set(
        xlim=(-0.5, len(labels) - 0.5),
        ylabel="change of mean rate\nper unit of drive",
    )
    axis_names.put(ax, names, len(labels), vertical=False, what="population")
    legend(ax)
    verdict = "not inhibition-stabilised"
    if result.inhibition_stabilised:
        verdict = "inhibition-stabilised"
    eigenvalue = f"{result.excitatory_eigenvalue:.2f}"
    ax.set_title(f"{verdict},\nexcitatory eigenvalue {eigenvalue}", fontsize=small(ax))
    return tidy(ax)
