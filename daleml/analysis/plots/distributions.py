"""Distributions of weights and what was fitted to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.comparison import Comparison
from daleml.analysis.fit import WeightFit
from daleml.analysis.plots.canvas import EXCITATORY, axes_or_new, figure, legend, require, style, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from daleml.analysis.weights import WeightSample

_BINS = 60
_TRIM = 0.001
_QUANTILES = 500
_SHOWN = 5


def comparison_figure(result: Comparison) -> Figure:
    """Return a figure of two panels: every family over the histogram, and the quantiles against the best of them."""
    with style():
        drawing, axes = figure(2)
        families(result, axes[0, 0])
        qq(result.best, axes[0, 1])
    return drawing


def fit(result: WeightFit, ax: Axes | None = None) -> Axes:
    """Draw the histogram of the magnitudes on a logarithmic axis, with the fitted density."""
    require(result, WeightFit, "fit_weights")
    ax = axes_or_new(ax)
    edges = _histogram(result.sample, ax)
    label = f"{result.family} ({', '.join(f'{name} {value:.3g}' for name, value in result.params.items())})"
    _density(result, edges, ax, label, color=_family_color(result.family), linewidth=2.2)
    return _finish_histogram(result.sample, edges, ax)


def families(result: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the histogram of the magnitudes on a logarithmic axis, with the densities of the five best families.

    The best is the solid line and comes first; a family has the same colour in every plot.
    """
    require(result, Comparison, "compare_families")
    ax = axes_or_new(ax)
    edges = _histogram(result.best.sample, ax)
    for rank, fitted in enumerate(result.fits[:_SHOWN]):
        color = _family_color(fitted.family)
        label = f"{fitted.family} (+{fitted.aicc - result.best.aicc:,.1f} AICc)" if rank else fitted.family
        _density(fitted, edges, ax, label, color=color, linewidth=1.3 if rank else 2.4, linestyle="--" if rank else "-")
    return _finish_histogram(result.best.sample, edges, ax)


def qq(result: WeightFit, ax: Axes | None = None) -> Axes:
    """Draw the quantiles of the magnitudes against those of the fitted family, on logarithmic axes."""
    require(result, WeightFit, "fit_weights")
    ax = axes_or_new(ax)
    n_points = min(result.n, _QUANTILES)
    levels = (np.arange(n_points) + 0.5) / n_points
    theory, data = result.distribution().ppf(levels), np.quantile(result.sample.values(), levels)
    limits = min(theory[0], data[0]), max(theory[-1], data[-1])
    ax.plot(limits, limits, color="0.6", linewidth=1, zorder=1)
    ax.plot(theory, data, ".", color=EXCITATORY, markersize=4)
    ax.set(
        xscale="log", yscale="log", xlabel=f"quantiles of the {result.family} fit", ylabel="quantiles of the weights"
    )
    return tidy(ax)


def shapes(results: Mapping[str, WeightFit], ax: Axes | None = None) -> Axes:
    """Draw the shapes of several log-normal fits' samples, free of scale: cumulative distributions of z-scored ln |w|.

    The largest vertical gap between a curve and the normal one is its ``ks_distance()``.

    Raises:
        ValueError: If a fit is not log-normal.
    """
    import seaborn as sns
    from scipy.special import ndtr

    ax = axes_or_new(ax)
    for (label, result), color in zip(results.items(), sns.color_palette("colorblind", len(results)), strict=True):
        if result.family != "lognormal":
            raise ValueError(f"`results` must be log-normal fits; got {result.family} for {label!r}.")
        scores = (np.log(result.sample.values()) - result.params["mu"]) / result.params["sigma"]
        ax.ecdf(scores, color=color, linewidth=1.8, label=f"{label} (n = {result.n:,})")
    grid = np.linspace(-4, 4, 200)
    ax.plot(grid, ndtr(grid), "--", color="0.2", linewidth=1.2, label="log-normal")
    ax.set(xlabel="z-scored ln |weight|", ylabel="fraction of weights below", xlim=(-3.5, 3.5), ylim=(0, 1))
    legend(ax)
    return tidy(ax)


def _log_edges(sample: WeightSample) -> Any:
    """Bin edges, even on the logarithmic axis; between integers if all magnitudes are integers, as counts are.

    A sample whose smallest magnitudes trail far off, as those parked near zero do, is cut at its 0.1 % quantile.
    """
    moments = sample.moments
    values = sample.values()
    trimmed = float(np.quantile(values, _TRIM))
    low = trimmed if moments.smallest < trimmed / 10 else moments.smallest
    edges = np.geomspace(low, moments.largest * (1 + 1e-9), _BINS + 1)
    return np.unique(np.floor(edges + 0.5) - 0.5).clip(0.5) if np.all(values == np.floor(values)) else edges


def _histogram(sample: WeightSample, ax: Axes) -> Any:
    edges = _log_edges(sample)
    if edges[-1] < sample.moments.largest:
        edges = np.append(edges, np.floor(sample.moments.largest) + 0.5)
    counts = sum(np.histogram(chunk, edges)[0] for chunk in sample.chunks())
    ax.stairs(counts / (sample.n * np.diff(np.log(edges))), edges, fill=True, color="0.85", label=f"n = {sample.n:,}")
    return edges


def _family_color(name: str) -> Any:
    import seaborn as sns

    from daleml.analysis.families import FAMILIES

    names = list(FAMILIES)
    palette = sns.color_palette("colorblind", len(names) + 1)
    return palette[names.index(name)] if name in names else palette[-1]


def _density(result: WeightFit, edges: Any, ax: Axes, label: str, **line: Any) -> None:
    grid = np.geomspace(edges[0], edges[-1], 400)
    # the density of ln w, so that it has unit area on the logarithmic axis
    ax.plot(grid, grid * result.distribution().pdf(grid), label=label, **line)


def _finish_histogram(sample: WeightSample, edges: Any, ax: Axes) -> Axes:
    hidden = []
    if sample.n_zero:
        hidden.append(f"{sample.n_zero:,} exact zeros")
    if sample.moments.smallest < edges[0]:
        hidden.append(f"the smallest {_TRIM:.1%}")
    note = f" ({' and '.join(hidden)} not shown)" if hidden else ""
    ax.set(xscale="log", xlabel=f"|weight|{note}", ylabel="density of ln |weight|")
    ax.set_ylim(bottom=0)
    legend(ax)
    return tidy(ax)
