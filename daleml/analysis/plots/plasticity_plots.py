"""Plots of plasticity: the geometry that learning kept to, and how far it went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml.analysis.plasticity.dual_geometry import (
    LEVELS,
    DualChange,
    GeometryInference,
)
from daleml.analysis.plasticity.normality import Floor
from daleml.analysis.plasticity.rich_lazy import Regime
from daleml.analysis.plots.canvas import axes_or_new, legend, require_result, tidy
from daleml.analysis.plots.common_options import LabelWords, options, relabelled
from daleml.analysis.plots.curve_styles import colors, palette
from daleml.analysis.plots.lettering import row_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAKER = "infer_geometry"

# The standardised change is drawn from minus to plus this.
_LIMIT = 3.5


@options(LabelWords)
def geometry(
    result: GeometryInference, ax: Axes | None = None, **words: Unpack[LabelWords]
) -> Axes:
    """Draw how far from normal the change is in the dual of each potential, the nearest on top.

    Lines are 95 % intervals. The grey bars are what chance allows as many normal numbers in 95
    of 100 cases, with a tick at their mean. Filled points cannot be told from the best; hollow
    ones can.

    Args:
        result: What :func:`daleml.analysis.infer_geometry` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name rows or curves.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import infer_geometry, plots
        >>> rng = np.random.default_rng(0)
        >>> before = rng.lognormal(size=200)
        >>> result = infer_geometry(before, before * rng.lognormal(0, 0.1, 200), n_boot=20)
        >>> drawing, axes = plots.figure()
        >>> ax = plots.geometry(result, axes[0, 0])
        >>> ax.get_yticklabels()[-1].get_text()
        'NegativeEntropy'
    """
    require_result(result, GeometryInference, _MAKER)
    ax = axes_or_new(ax)
    changes = result.changes[::-1]
    # In the order of the result: the nearest first.
    labels = _labels(result, words)[::-1]
    # The bars begin here: a logarithmic axis has no zero.
    low = min(min(one.floor.mean, one.distance) for one in changes) / 3
    for place, one in enumerate(changes):
        _draw_chance(ax, place, one.floor, low)
        start, end = one.interval
        ax.plot(
            [max(start, low), end], [place] * 2, color="0.15", linewidth=1.4, zorder=2
        )
    places = np.arange(len(changes))
    distances = np.array([one.distance for one in changes])
    tied = np.array([one in result.tied for one in changes])
    for chosen, color, label in (
        (tied, "0.15", "best, and what cannot be told from it"),
        (~tied, "white", "further from normal"),
    ):
        if chosen.any():
            ax.plot(
                distances[chosen],
                places[chosen],
                "o",
                color=color,
                markeredgecolor="0.15",
                markersize=7.5,
                zorder=3,
                label=label,
            )
    ax.set(
        xscale="log",
        xlabel="distance of the dual change\nfrom normal, ∫ |F − Φ| dz",
        xlim=(low, None),
        ylim=(-0.6, len(changes) - 0.4),
    )
    row_names(ax, places, labels)
    _plain_log_axis(ax)
    legend(ax, 1)
    return tidy(ax)


def _labels(result: GeometryInference, words: LabelWords) -> list[str]:
    """Return the names of potentials, the nearest first."""
    return relabelled([one.label for one in result.changes], words.get("labels"))


def _draw_chance(ax: Axes, place: int, floor: Floor, low: float) -> None:
    """Draw what chance allows in one row, with a tick at its mean."""
    ax.barh(
        place,
        floor.upper - low,
        left=low,
        height=0.55,
        color="0.86",
        zorder=0,
        label=None if place else "what chance allows (95 %)",
    )
    ax.plot(
        [floor.mean] * 2,
        [place - 0.275, place + 0.275],
        color="0.45",
        linewidth=1.2,
        zorder=1,
    )


@options(LabelWords)
def normality(
    result: GeometryInference, ax: Axes | None = None, **words: Unpack[LabelWords]
) -> Axes:
    r"""Draw the distribution function of each dual change less the normal one.

    .. math:: \hat F(z) - \Phi(z), \qquad z = \delta / \text{sd}(\delta)

    The area between a curve and zero is its distance. The grey band holds 95 of 100 values that
    as many normal numbers would have, at each point by itself.

    Args:
        result: What :func:`daleml.analysis.infer_geometry` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name rows or curves.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import infer_geometry, plots
        >>> rng = np.random.default_rng(0)
        >>> before = rng.lognormal(size=200)
        >>> result = infer_geometry(before, before * rng.lognormal(0, 0.1, 200), n_boot=20)
        >>> drawing, axes = plots.figure()
        >>> plots.normality(result, axes[0, 0]).get_ylabel()
        'F(z) − Φ(z)'
    """
    from scipy.special import ndtr

    require_result(result, GeometryInference, _MAKER)
    ax = axes_or_new(ax)
    grid = np.linspace(-_LIMIT, _LIMIT, 300)
    density, below = np.exp(-grid * grid / 2) / np.sqrt(2 * np.pi), ndtr(grid)
    # The variance of the empirical process with its scale estimated: see `sampling_floor`.
    variance = below * (1 - below) - (grid * density) ** 2 / 2
    spread = np.sqrt(np.maximum(variance, 0) / result.best.n)
    ax.fill_between(
        grid,
        -1.96 * spread,
        1.96 * spread,
        color="0.86",
        linewidth=0,
        label="what chance allows (95 %)",
    )
    ax.axhline(0, color="0.6", linewidth=0.8)
    labels, lines = _labels(result, words), palette(len(result.changes))
    for rank, one in enumerate(result.changes):
        z = _standardised(one)
        ax.plot(
            z,
            LEVELS - ndtr(z),
            label=f"{labels[rank]}: {one.distance:.3g}",
            **lines[rank],
        )
    ax.set(
        xlabel="dual change / its standard deviation, z",
        ylabel="F(z) − Φ(z)",
        xlim=(-_LIMIT, _LIMIT),
    )
    legend(ax)
    return tidy(ax)


@options(LabelWords)
def regime(
    result: Regime | Mapping[str, Regime],
    ax: Axes | None = None,
    **words: Unpack[LabelWords],
) -> Axes:
    """Draw the alignments of representations and tangent kernels, one row per network.

    Towards 1 learning was lazy.

    Args:
        result: What :func:`daleml.analysis.regime` returned; or several, by name.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name rows or curves.

    Returns:
        The axes.

    Raises:
        TypeError: If one of them is something else, or ``ax`` are no axes.

    Example:
        >>> from daleml.analysis import Regime, plots
        >>> result = Regime(0.9, 0.3, 0.8, 0.4, 20, 20, ("0.weight",), "input of 2")
        >>> drawing, axes = plots.figure()
        >>> ax = plots.regime({"EG": result}, axes[0, 0])
        >>> ax.get_yticklabels()[0].get_text().splitlines()
        ['EG', '|ΔW| / |W| = 30%']
    """
    ax = axes_or_new(ax)
    named = result if isinstance(result, Mapping) else {"": result}
    for one in named.values():
        require_result(one, Regime, "regime")
    labels, activities, kernels = [], [], []
    # The first network is on top.
    shown = relabelled(list(named), words.get("labels"))
    for key, one in reversed(list(zip(shown, named.values(), strict=True))):
        change = f"|ΔW| / |W| = {one.relative_weight_change:.0%}"
        labels.append(f"{key}\n{change}" if key else change)
        activities.append(one.representation_alignment)
        kernels.append(one.kernel_alignment)
    places = range(len(labels))
    for place, ends in enumerate(zip(activities, kernels, strict=True)):
        ax.plot(ends, [place] * 2, color="0.75", linewidth=1.4, zorder=1)
    orange = colors(2)[1]
    for x, label, marker, color in (
        (activities, "representations", "o", "0.25"),
        (kernels, "tangent kernels", "D", orange),
    ):
        ax.plot(x, places, marker, color=color, markersize=7.5, zorder=2, label=label)
    ax.set(
        xlabel="alignment of before with after\n(0 rich, 1 lazy)",
        xlim=(-0.02, 1.02),
        ylim=(-0.6, len(labels) - 0.4),
    )
    row_names(ax, places, labels)
    legend(ax)
    return tidy(ax)


def _plain_log_axis(ax: Axes) -> None:
    """Label a logarithmic axis of x at 1, 2 and 5, in plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _standardised(change: DualChange) -> Any:
    """Return the quantiles to draw; a change that is the same for all weights has none."""
    quantiles = change.quantiles()
    if quantiles.size:
        return quantiles
    return np.full(LEVELS.size, np.nan)
