"""The plot of activity: the rate of each unit over time, and averages of populations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from daleml import require
from daleml.analysis.activity.trial_rates import as_rates
from daleml.analysis.plots import axis_names, period_bands
from daleml.analysis.plots.axis_names import Names
from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    legend,
    name,
    remove_scales,
    require_pair,
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
from daleml.populations import Populations

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What units without populations are called together.
_TOGETHER = "all units"


@options(AllWords, axes="axes")
def activity(
    rates: Any,
    axes: Sequence[Axes] | None = None,
    *,
    populations: Populations | None = None,
    dt_ms: float | None = None,
    trial: int | None = None,
    periods: Any = (),
    sort: bool = False,
    **words: Unpack[AllWords],
) -> tuple[Axes, Axes]:
    """Draw the rate of each unit over time as an image, and below it averages of populations.

    The units of one population are together, those that excite above those that inhibit. Lines
    of the averages have the colour of their sign and a dash of their own.

    Args:
        rates: Rates of a circuit; or what has some, as
            :func:`daleml.analysis.activity.trajectory` returns.
        axes: Two axes, for image and averages; default: two new ones, one above the other.
        populations: Which units excite and which inhibit, as ``rnn.populations``; default:
            nothing is known of them.
        dt_ms: The length of a step; default: that of ``rates`` or of ``periods``, if they know
            it; else time is in steps.
        trial: Which trial to draw; default: the average over trials.
        periods: The parts of a trial: names with the times in ms at which each begins and ends;
            or the trials of a task, of which those of ``trial``, or of the first, are drawn.
        sort: Whether to order the units of a population by the time of their largest rate.
        xlabel, ylabel, title, unit, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of rates. Labels are a name for each
            unit, or a mapping that names populations; the vertical axis is the upper one.

    Shape:
        - ``rates``: (time, trials, units), or (time, units) of one trial.

    Returns:
        The two axes.

    Raises:
        TypeError: If ``rates`` are no numbers, or ``populations`` no populations.
        ValueError: If ``rates`` have another shape, ``populations`` other units, or there is no
            such trial.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.analysis import plots
        >>> rates = torch.rand(30, 4, 10)
        >>> drawing, axes = plots.figure(rows=2)
        >>> image, averages = plots.activity(
        ...     rates, axes[:, 0], populations=Populations(8, 2), dt_ms=20, unit="Hz",
        ...     periods=[("stimulus", 100, 300)],
        ... )
        >>> averages.get_xlabel(), averages.get_ylabel()
        ('time (ms)', 'mean rate (Hz)')
        >>> [label.get_text() for label in image.get_yticklabels()]
        ['E', 'I']
    """
    values = _one_trial(rates, trial)
    n_steps, n_units = values.shape
    groups = _groups(populations, n_units)
    if dt_ms is None:
        dt_ms = getattr(rates, "dt_ms", None) or getattr(periods, "dt_ms", None)
    else:
        require.positive("dt_ms", dt_ms)
    labels = words.get("labels")
    of_units = labels if not isinstance(labels, Mapping) else None
    names = relabelled(list(groups), None if of_units is not None else labels)
    order = np.arange(n_units)
    if sort:
        order = np.concatenate([_by_peak(values, units) for units in groups.values()])
    image, averages = require_pair(axes, (3, 2))
    step = float(dt_ms or 1.0)
    edges = np.arange(n_steps + 1) * step
    unit = words.get("unit")
    _draw_image(image, edges, values[:, order], quantity("rate", unit))
    if of_units is None:
        bounds = [0, *np.cumsum([len(units) for units in groups.values()])]
        rows = Names.of_blocks(names, [int(one) for one in bounds])
    else:
        texts = relabelled(list(range(n_units)), of_units)
        rows = Names.of_units([texts[place] for place in order])
    axis_names.put(image, rows, n_units, vertical=True, what="unit")
    _draw_averages(averages, edges, values, groups, names, populations)
    shown = period_bands.read(periods, trial or 0)
    # The image hides bands, so that only their borders are drawn on it.
    period_bands.draw(image, [averages], shown, lines=True)
    image.tick_params(labelbottom=False)
    averages.set(
        xlabel="time (ms)" if dt_ms else "step",
        ylabel=quantity("mean rate", unit),
        xlim=(0, edges[-1]),
    )
    legend(averages)
    return image, tidy(averages)


def _one_trial(rates: Any, trial: int | None) -> NDArray[np.float64]:
    """Return rates (time, units): of a trial, or the average over trials."""
    values = as_rates("rates", rates, flat="time, units")
    n_wrong = int((~np.isfinite(values)).sum())
    if n_wrong:
        # They would be drawn as nothing, which looks like silence.
        raise ValueError(
            f"`rates` must be finite; got {n_wrong} that are not, of {values.size}:"
            " `analysis.activity.at_initialisation` says whether a circuit explodes."
        )
    if values.ndim == 2:
        values = values[:, None]
    if trial is None:
        return np.asarray(values.mean(axis=1))
    n_trials = values.shape[1]
    if not 0 <= require.integer("trial", trial) < n_trials:
        raise ValueError(f"`trial` must be 0 to {n_trials - 1}; got {trial}.")
    return values[:, trial]


def _groups(
    populations: Populations | None, n_units: int
) -> dict[str, NDArray[np.int64]]:
    """Return the units of each population that has any, by its name."""
    if populations is None:
        return {_TOGETHER: np.arange(n_units)}
    if not isinstance(populations, Populations):
        raise TypeError(
            f"`populations` must be a Populations; got {type(populations).__name__}."
        )
    if populations.size != n_units:
        raise ValueError(
            f"`populations` must have {n_units} units, as `rates`; got {populations.size}."
        )
    units = np.arange(n_units)
    found = {one: units[populations[one]] for one in populations}
    return {one: chosen for one, chosen in found.items() if chosen.size}


def _by_peak(
    values: NDArray[np.float64], units: NDArray[np.int64]
) -> NDArray[np.int64]:
    peaks = np.argmax(values[:, units], axis=0)
    return units[np.argsort(peaks, kind="stable")]


def _draw_image(
    ax: Axes, edges: NDArray[np.float64], values: NDArray[np.float64], what: str
) -> None:
    """Draw the rate of each unit in grey, or, where some are negative, on both sides of white."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    colors, least = "Greys", 0.0
    if low < 0:
        # Neither red nor blue, which say what excites.
        high = max(high, -low)
        colors, least = "PuOr_r", -high
    rows = np.arange(values.shape[1] + 1) - 0.5
    mesh = ax.pcolormesh(
        edges, rows, values.T, cmap=colors, vmin=least, vmax=high or 1.0
    )
    # An image of many units is one picture, not as many shapes, in a vector file.
    mesh.set_rasterized(True)
    ax.set(xlim=(0, edges[-1]), ylim=(rows[-1], rows[0]))
    remove_scales(ax)
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, aspect=15)
    bar.set_label(what, fontsize=small(ax))
    bar.ax.tick_params(labelsize=small(ax))


def _draw_averages(
    ax: Axes,
    edges: NDArray[np.float64],
    values: NDArray[np.float64],
    groups: Mapping[str, NDArray[np.int64]],
    names: Sequence[str],
    populations: Populations | None,
) -> None:
    """Draw the average of each population, at the middle of each step."""
    middles = (edges[:-1] + edges[1:]) / 2
    signs = [0] * len(groups)
    if populations is not None:
        of_units = populations.signs().numpy()
        signs = [int(of_units[units[0]]) for units in groups.values()]
    shades = {}
    for sign, hue in ((1, EXCITATORY), (-1, INHIBITORY), (0, "0.2")):
        shades[sign] = iter(tints(hue, signs.count(sign)))
    kinds = {1: " (excitatory)", -1: " (inhibitory)", 0: ""}
    for rank, (units, label) in enumerate(zip(groups.values(), names, strict=True)):
        line = curve(rank, len(groups), next(shades[signs[rank]]))
        ax.plot(
            middles,
            values[:, units].mean(axis=1),
            label=name(f"{label}{kinds[signs[rank]]}"),
            **line,
        )
