"""Plots of a circuit before it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml.analysis.activity.initial_report import InitialReport
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
from daleml.analysis.plots.curve_styles import curve, tints
from daleml.analysis.plots.lettering import small

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A rate beyond this has exploded, and would squeeze all that came before it.
_HIGHEST = 1e6


@options(AllWords)
def at_initialisation(
    result: InitialReport, ax: Axes | None = None, **words: Unpack[AllWords]
) -> Axes:
    """Draw the mean rate of each population, while the input lasts and after it.

    The time of the input is shaded. Excitatory populations are red, inhibitory ones blue. Rates
    beyond a million are left out.

    Args:
        result: What :func:`daleml.analysis.activity.at_initialisation` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, unit, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of rates;
            labels name populations.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> import torch
        >>> from daleml.analysis import activity, plots
        >>> report = activity.at_initialisation(torch.nn.RNN(3, 20))
        >>> drawing, axes = plots.figure()
        >>> ax = plots.at_initialisation(report, axes[0, 0])
        >>> ax.get_title()[:5]
        'alive'
    """
    require_result(result, InitialReport, "at_initialisation")
    ax = axes_or_new(ax)
    ax.axvspan(0, result.n_steps, color="0.93", zorder=0, label="input")
    colors = _colors(result)
    layer = result.layers[-1]
    balance = layer.balance_by_population()
    largest = 0.0
    n = len(result.mean_rates)
    shown = relabelled(list(result.mean_rates), words.get("labels"))
    for number, (group, rates) in enumerate(result.mean_rates.items()):
        # A comparison with NaN is false.
        finite = np.where(rates < _HIGHEST, rates, np.nan)
        label = shown[number]
        if result.signs.get(group):
            label += " (excitatory)" if result.signs[group] > 0 else " (inhibitory)"
        if not np.isnan(balance[group]):
            # A balance of -0.001 is none, and has no sign.
            label += f", E/I balance {balance[group]:+z.2f}"
        ax.plot(
            finite,
            label=label,
            **curve(number, n, colors[number]),
        )
        largest = max(largest, float(np.nanmax(finite, initial=0.0)))
    # Rates that explode pass all scales; others are compared best on a plain one.
    if largest > 100:
        ax.set_yscale("symlog", linthresh=1.0)
    ylabel = quantity("mean rate", words.get("unit"))
    ax.set(xlabel="step", ylabel=ylabel, xlim=(0, 2 * result.n_steps))
    title = f"{result.verdict},\nspectral radius of a step {result.update_radius:.3g}"
    ax.set_title(title, fontsize=small(ax))
    legend(ax)
    return tidy(ax)


def _colors(result: InitialReport) -> list[Any]:
    """Return a colour for each population: shades of red excite, of blue inhibit, else greys."""
    signs = [result.signs.get(group, 0) for group in result.mean_rates]
    shades = {}
    for sign, hue in ((1, EXCITATORY), (-1, INHIBITORY), (0, "0.2")):
        shades[sign] = iter(tints(hue, signs.count(sign)))
    return [next(shades[sign]) for sign in signs]
