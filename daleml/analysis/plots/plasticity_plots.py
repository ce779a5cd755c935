"""What learning changed: the geometry it kept to, and how far it went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.plasticity.dual_geometry import (
    LEVELS,
    DualChange,
    GeometryInference,
)
from daleml.analysis.plasticity.rich_lazy import Regime
from daleml.analysis.plots.canvas import axes_or_new, legend, name, require, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAKER = "infer_geometry"
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (4, 1, 1, 1, 1, 1)), (0, (1, 3)))
_LIMIT = 3.5


def geometry(result: GeometryInference, ax: Axes | None = None) -> Axes:
    """Draw how far from normal the change is in the dual of each potential, with 95 % intervals, the nearest on top.

    The grey bars are what chance allows as many normal numbers in 95 of 100 cases, with a tick
    at their mean. Filled points cannot be told from the best; hollow ones can.
    """
    require(result, GeometryInference, _MAKER)
    ax = axes_or_new(ax)
    rows = list(enumerate(reversed(result.changes)))
    low = min(min(one.floor.mean, one.distance) for one in result.changes) / 3
    for place, one in rows:
        first = place == 0
        ax.barh(
            place, one.floor.upper - low, left=low, height=0.55, color="0.86", zorder=0,
            label="what chance allows (95 %)" if first else None,
        )  # fmt: skip
        ax.plot(
            [one.floor.mean] * 2,
            [place - 0.275, place + 0.275],
            color="0.45",
            linewidth=1.2,
            zorder=1,
        )
        start, end = one.interval
        ax.plot(
            [max(start, low), end], [place] * 2, color="0.15", linewidth=1.4, zorder=2
        )
    for filled, label in (
        (True, "best, and what cannot be told from it"),
        (False, "further from normal"),
    ):
        chosen = [
            (one.distance, place)
            for place, one in rows
            if (one in result.tied) == filled
        ]
        if chosen:
            x, y = zip(*chosen, strict=True)
            color = "0.15" if filled else "white"
            ax.plot(
                x,
                y,
                "o",
                color=color,
                markeredgecolor="0.15",
                markersize=7.5,
                zorder=3,
                label=label,
            )
    ax.set(
        xscale="log",
        yticks=[place for place, _ in rows],
        yticklabels=[name(one.label) for _, one in rows],
        xlabel="distance of the dual change from normal, ∫ |F − Φ| dz",
        xlim=(low, None),
        ylim=(-0.6, len(rows) - 0.4),
    )
    _plain_log_axis(ax)
    legend(ax, 1)
    return tidy(ax)


def normality(result: GeometryInference, ax: Axes | None = None) -> Axes:
    r"""Draw, for each potential, the distribution function of the standardised dual change less the normal one.

    The area between a curve and zero is its distance. The grey band holds 95 of 100 values that
    as many normal numbers would have, at each point by itself.
    """
    import seaborn as sns
    from scipy.special import ndtr

    require(result, GeometryInference, _MAKER)
    ax = axes_or_new(ax)
    grid = np.linspace(-_LIMIT, _LIMIT, 300)
    density, below = np.exp(-grid * grid / 2) / np.sqrt(2 * np.pi), ndtr(grid)
    # of the empirical process, its scale estimated: see normality.sampling_floor
    spread = np.sqrt(
        np.maximum(below * (1 - below) - (grid * density) ** 2 / 2, 0) / result.best.n
    )
    ax.fill_between(
        grid,
        -1.96 * spread,
        1.96 * spread,
        color="0.86",
        linewidth=0,
        label="what chance allows (95 %)",
    )
    ax.axhline(0, color="0.6", linewidth=0.8)
    colors = sns.color_palette("colorblind", len(result.changes))
    for rank, one in enumerate(result.changes):
        z = _standardised(one)
        ax.plot(
            z, LEVELS - ndtr(z), color=colors[rank], linestyle=_DASHES[rank % len(_DASHES)],
            linewidth=1.5 if rank else 2.4, label=f"{name(one.label)}: {one.distance:.3g}",
        )  # fmt: skip
    ax.set(
        xlabel="dual change / its standard deviation, z",
        ylabel="F(z) − Φ(z)",
        xlim=(-_LIMIT, _LIMIT),
    )
    legend(ax)
    return tidy(ax)


def regime(result: Regime | Mapping[str, Regime], ax: Axes | None = None) -> Axes:
    """Draw the alignments of representations and tangent kernels, one row a network.

    Towards 1 learning was lazy.
    """
    import seaborn as sns

    ax = axes_or_new(ax)
    named = result if isinstance(result, Mapping) else {"": result}
    for one in named.values():
        require(one, Regime, "regime")
    rows = list(enumerate(reversed(list(named.items()))))
    orange = sns.color_palette("colorblind")[1]
    kinds = (
        ("representation_alignment", "representations", "o", "0.25"),
        ("kernel_alignment", "tangent kernels", "D", orange),
    )
    for place, (_, one) in rows:
        ends = [getattr(one, kind) for kind, *_ in kinds]
        ax.plot(ends, [place] * 2, color="0.75", linewidth=1.4, zorder=1)
    for kind, label, marker, color in kinds:
        x = [getattr(one, kind) for _, (_, one) in rows]
        ax.plot(
            x,
            [place for place, _ in rows],
            marker,
            color=color,
            markersize=7.5,
            zorder=2,
            label=label,
        )
    changes = [
        f"{name(key)}\n" * bool(key) + f"|ΔW| / |W| = {one.relative_weight_change:.0%}"
        for _, (key, one) in rows
    ]
    ax.set(
        yticks=[place for place, _ in rows],
        yticklabels=changes,
        xlabel="alignment of before with after: rich towards 0, lazy towards 1",
        xlim=(-0.02, 1.02),
        ylim=(-0.6, len(rows) - 0.4),
    )
    legend(ax)
    return tidy(ax)


def _plain_log_axis(ax: Axes) -> None:
    """Label a logarithmic axis of x at 1, 2 and 5, in plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _standardised(change: DualChange) -> Any:
    """Return the quantiles to draw: of a change that is the same for all weights there are none."""
    quantiles = change.quantiles()
    return quantiles if quantiles.size else np.full(LEVELS.size, np.nan)
