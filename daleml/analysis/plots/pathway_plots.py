"""The plot of weights by pathway: how strong the synapses are from each population onto each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray
from torch import nn

from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    legend,
    log_ticks,
    require_result,
    tidy,
)
from daleml.analysis.plots.common_options import (
    AllWords,
    options,
    quantity,
    relabelled,
)
from daleml.analysis.plots.lettering import row_names
from daleml.analysis.weights.sample import WeightSample
from daleml.analysis.weights.sampling import weight_samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The look of a row by the sign of its weights; hatched, to be told in grey.
_STYLES: dict[int, tuple[str, dict[str, Any]]] = {
    1: ("excitatory", {"facecolor": EXCITATORY}),
    -1: ("inhibitory", {"facecolor": INHIBITORY, "hatch": "////"}),
    0: ("of both signs", {"facecolor": "0.5", "hatch": "...."}),
}

# Of fewer weights than this the values are drawn, as strokes.
_FEW = 20
_BINS = 30

# The highest point of a row, where rows are 1 apart.
_HEIGHT = 0.8


@options(AllWords, own=("xlabel",))
def pathways(
    weights: nn.Module | Mapping[str, WeightSample],
    ax: Axes | None = None,
    **words: Unpack[AllWords],
) -> Axes:
    r"""Draw how strong the weights of each pathway are, one row for each, on a logarithmic axis.

    A row is a histogram of ``ln |w|``, as high as its own highest point; the tick below it is
    the median. Weights that are zero have no place on the axis, and are counted. Excitatory
    pathways are red, inhibitory ones blue and hatched.

    Args:
        weights: A module whose layers name populations; or samples by name, as
            :func:`daleml.analysis.weight_samples` returns.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, unit, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of weights; labels name pathways.

    Returns:
        The axes.

    Raises:
        TypeError: If ``weights`` are neither, or ``ax`` are no axes.
        ValueError: If no layer names its populations, or there is no sample.

    Example:
        >>> from daleml import Populations
        >>> from daleml.analysis import plots
        >>> from daleml.layers import EIRNN
        >>> drawing, axes = plots.figure()
        >>> ax = plots.pathways(EIRNN(3, Populations(8, 2)), axes[0, 0], unit="nS")
        >>> ax.get_yticklabels()[-1].get_text()
        'weight_hh_l0 I → I\nn = 2'
    """
    if isinstance(weights, nn.Module):
        weights = weight_samples(weights, by="pathway")
    if not isinstance(weights, Mapping):
        raise TypeError(
            "`weights` must be a module, or samples by name, as `weight_samples` returns; got"
            f" {type(weights).__name__}."
        )
    for one in weights.values():
        require_result(one, WeightSample, "weight_samples")
    if not weights:
        raise ValueError("`weights` must hold at least one sample; got none.")
    ax = axes_or_new(ax)
    shown = relabelled(list(weights), words.get("labels"))
    values = [sample.values() for sample in weights.values()]
    edges = _edges(values)
    texts, places = [], []
    for rank, (sample, label) in enumerate(zip(weights.values(), shown, strict=True)):
        # The first is on top.
        base = len(weights) - 1 - rank
        _row(ax, base, values[rank], edges, _STYLES[sample.sign][1])
        note = f"n = {sample.n:,}"
        if sample.n_zero:
            note += f", {sample.n_zero:,} zero"
        texts.append(f"{label}\n{note}".replace("->", " → "))
        places.append(base + 0.3)
    for sign in sorted({sample.sign for sample in weights.values()}, reverse=True):
        kind, style = _STYLES[sign]
        ax.bar(edges[0], np.nan, label=kind, edgecolor="white", **style)
    ax.plot([], [], "|", color="0.1", markersize=8, markeredgewidth=2, label="median")
    what = quantity(words.get("xlabel") or "|weight|", words.get("unit"))
    ax.set(
        xscale="log",
        xlabel=what,
        xlim=(edges[0], edges[-1]),
        ylim=(-0.25, len(weights) + 0.05),
    )
    row_names(ax, places, texts)
    ax.tick_params(axis="y", length=0)
    log_ticks(ax.xaxis)
    legend(ax, 3)
    # Rows have names instead of a vertical axis.
    tidy(ax).spines["left"].set_visible(False)
    return ax


def _row(
    ax: Axes,
    base: int,
    values: NDArray[np.float64],
    edges: NDArray[np.float64],
    style: dict[str, Any],
) -> None:
    """Draw one pathway above its base line."""
    ax.axhline(base, color="0.8", linewidth=0.8, zorder=0)
    if not values.size:
        return
    if values.size < _FEW:
        color = style["facecolor"]
        ax.vlines(values, base, base + 0.4, color=color, linewidth=1.2, zorder=1)
    else:
        counts, _ = np.histogram(values, edges)
        ax.stairs(
            base + counts * _HEIGHT / counts.max(),
            edges,
            baseline=base,
            fill=True,
            edgecolor="white",
            linewidth=0,
            zorder=1,
            **style,
        )
    # Where the line's ends are would be the middle of the tick.
    ax.plot(
        np.median(values),
        base - 0.06,
        "|",
        color="0.1",
        markersize=8,
        markeredgewidth=2,
        zorder=3,
    )


def _edges(values: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return edges of bins for all pathways, even on the logarithmic axis."""
    together = np.concatenate([*values, np.zeros(0)])
    low, high = (together.min(), together.max()) if together.size else (0.1, 1.0)
    if low == high:
        low, high = low / 2, high * 2
    return np.geomspace(low, high * (1 + 1e-9), _BINS + 1)
