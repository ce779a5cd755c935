"""One plot a result. Each takes a result and ``ax=None``, returns the ``Axes``, never refits and never calls ``show``.

This is the only module that imports matplotlib and seaborn, and it does so when called. Colours mean the same
everywhere: excitatory red, inhibitory blue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from daleml.analysis.fit import Comparison, WeightFit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from daleml.analysis.spectrum import Spectrum
    from daleml.analysis.weights import WeightSample
    from daleml.signs import SignReport

EXCITATORY, INHIBITORY = "#c0392b", "#2c6fbb"
_BINS = 60
_TRIM = 0.001
_QUANTILES = 500
_ROUNDING = 1e-6


@contextmanager
def style() -> Iterator[None]:
    """Draw in daleml's style: the look of the demo, the tutorials and the command line."""
    import seaborn as sns

    with sns.axes_style("ticks"), sns.plotting_context("notebook", font_scale=0.85):
        yield


def figure(columns: int = 1, rows: int = 1, *, width: float = 5.2, height: float = 3.8) -> tuple[Figure, Any]:
    """Return a new figure and its array of axes, ``(rows, columns)``, that no interactive backend keeps alive."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return drawing, drawing.subplots(rows, columns, squeeze=False)


def comparison_figure(result: Comparison) -> Figure:
    """Return a figure of two panels: every family over the histogram, and the quantiles against the best of them."""
    with style():
        drawing, axes = figure(2)
        families(result, axes[0, 0])
        qq(result.best, axes[0, 1])
    return drawing


def fit(result: WeightFit, ax: Axes | None = None) -> Axes:
    """Draw the histogram of the magnitudes on a logarithmic axis, with the fitted density."""
    _require(result, WeightFit, "fit_weights")
    ax = _axes(ax)
    edges = _histogram(result.sample, ax)
    _density(result, edges, ax, color=_family_color(result.family), linewidth=2.2)
    return _finish_histogram(result.sample, edges, ax)


def families(result: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the histogram of the magnitudes on a logarithmic axis, with the density of every family.

    The best is the solid line and comes first; a family has the same colour in every plot.
    """
    _require(result, Comparison, "compare_families")
    ax = _axes(ax)
    edges = _histogram(result.best.sample, ax)
    for rank, fitted in enumerate(result.fits):
        color = _family_color(fitted.family)
        _density(fitted, edges, ax, color=color, linewidth=1.3 if rank else 2.4, linestyle="--" if rank else "-")
    return _finish_histogram(result.best.sample, edges, ax)


def qq(result: WeightFit, ax: Axes | None = None) -> Axes:
    """Draw the quantiles of the magnitudes against those of the fitted family, on logarithmic axes."""
    _require(result, WeightFit, "fit_weights")
    ax = _axes(ax)
    n_points = min(result.n, _QUANTILES)
    levels = (np.arange(n_points) + 0.5) / n_points
    theory, data = result.distribution().ppf(levels), np.quantile(result.sample.values(), levels)
    limits = min(theory[0], data[0]), max(theory[-1], data[-1])
    ax.plot(limits, limits, color="0.6", linewidth=1, zorder=1)
    ax.plot(theory, data, ".", color=EXCITATORY, markersize=4)
    ax.set(
        xscale="log", yscale="log", xlabel=f"quantiles of the {result.family} fit", ylabel="quantiles of the weights"
    )
    return _tidy(ax)


def shapes(results: Mapping[str, WeightFit], ax: Axes | None = None) -> Axes:
    """Draw the shapes of several log-normal fits' samples, free of scale: cumulative distributions of z-scored ln |w|.

    The largest vertical gap between a curve and the normal one is its ``ks_distance()``.

    Raises:
        ValueError: If a fit is not log-normal.
    """
    import seaborn as sns
    from scipy.special import ndtr

    ax = _axes(ax)
    for (label, result), color in zip(results.items(), sns.color_palette("colorblind", len(results)), strict=True):
        if result.family != "lognormal":
            raise ValueError(f"`results` must be log-normal fits; got {result.family} for {label!r}.")
        scores = (np.log(result.sample.values()) - result.params["mu"]) / result.params["sigma"]
        ax.ecdf(scores, color=color, linewidth=1.8, label=f"{label} (n = {result.n:,})")
    grid = np.linspace(-4, 4, 200)
    ax.plot(grid, ndtr(grid), "--", color="0.2", linewidth=1.2, label="log-normal")
    ax.set(xlabel="z-scored ln |weight|", ylabel="fraction of weights below", xlim=(-3.5, 3.5), ylim=(0, 1))
    _legend(ax)
    return _tidy(ax)


def spectrum(result: Spectrum | Sequence[Spectrum] | Mapping[str, Spectrum], ax: Axes | None = None) -> Axes:
    """Draw singular values by rank, each spectrum scaled to a largest value of 1; several are labelled by key.

    Those below 1e-6 of the largest, zero up to the rounding of single precision, are counted instead of drawn.
    """
    import seaborn as sns

    ax = _axes(ax)
    several = result if isinstance(result, (Mapping, Sequence)) else [result]
    labelled = several.items() if isinstance(several, Mapping) else enumerate(several, start=1)
    colors = sns.color_palette("colorblind", len(several))
    for (label, one), color in zip(labelled, colors, strict=True):
        largest = one.singular_values[0] or 1.0
        ranks = (np.arange(one.singular_values.size) + 1) / one.singular_values.size
        text = f"{label}: H = {one.svd_entropy:.3f}" if len(several) > 1 else f"H = {one.svd_entropy:.3f}"
        n_lost = int(np.sum(one.singular_values < _ROUNDING * largest))
        text += f", {n_lost} at zero" if n_lost else ""
        ax.plot(ranks, one.singular_values / largest, marker=".", markersize=4, linewidth=1, color=color, label=text)
    ax.set(xlabel="rank / number of singular values", ylabel="singular value / largest")
    if any(np.any(line.get_ydata()) for line in ax.lines):  # zeros alone have no logarithm
        ax.set_yscale("log")
        _mend_flat_log_axis(ax)
        if ax.get_ylim()[0] < _ROUNDING:
            ax.set_ylim(_ROUNDING, 2)
    _legend(ax)
    return _tidy(ax)


def matrix(weight: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw a signed weight matrix ``(post, pre)``: excitatory entries red, inhibitory ones blue, zero white.

    Under Dale's law a column has one colour. Its depth goes with the square root of the strength, so that weak weights
    show beside strong ones.
    """
    import seaborn as sns

    ax = _axes(ax)
    values = np.asarray(weight, dtype=np.float64)
    depth = np.sign(values) * np.sqrt(np.abs(values))
    limit = np.abs(depth).max() or 1.0
    colors = sns.blend_palette([INHIBITORY, "white", EXCITATORY], as_cmap=True)
    ax.imshow(depth, cmap=colors, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    ax.set(xlabel="presynaptic unit", ylabel="postsynaptic unit")
    return ax


def learning_curves(
    history: pd.DataFrame, y: str = "accuracy", ax: Axes | None = None, *, hue: str | None = None, x: str = "epoch"
) -> Axes:
    """Draw a column of a training history; rows that share ``x`` and ``hue`` (seeds) become a mean and its range.

    Raises:
        ValueError: If a column is missing.
    """
    import seaborn as sns

    for column in (x, y, *([hue] if hue else [])):
        if column not in history.columns:
            raise ValueError(f"`history` must have a column {column!r}; got {', '.join(map(str, history.columns))}.")
    ax = _axes(ax)
    sns.lineplot(history, x=x, y=y, hue=hue, errorbar=("pi", 100), palette="colorblind" if hue else None, ax=ax)
    if hue:
        _legend(ax)
    ax.set(xlabel=x, ylabel=y.replace("_", " "))
    return _tidy(ax)


def signs(result: SignReport, ax: Axes | None = None) -> Axes:
    """Draw the units that break the law, and the fraction of each one's synapses at fault; or say that none does."""
    ax = _axes(ax)
    if result:
        ax.text(0.5, 0.5, str(result).replace(": ", ":\n"), ha="center", va="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return ax
    worst = sorted(result.violations, key=lambda violation: violation.count / violation.size, reverse=True)[:20]
    labels = [f"{violation.parameter} [{violation.unit}]" for violation in worst]
    colors = [EXCITATORY if violation.sign > 0 else INHIBITORY for violation in worst]
    ax.barh(labels[::-1], [violation.count / violation.size for violation in worst][::-1], color=colors[::-1])
    shown = f", the worst {len(worst)} of {len(result.violations)} units" if len(worst) < len(result.violations) else ""
    ax.set(xlim=(0, 1), xlabel=f"fraction of a unit's synapses with the wrong sign{shown}")
    return _tidy(ax)


def trial(trials: Any, index: int = 0, axes: Sequence[Axes] | None = None) -> tuple[Axes, Axes]:
    """Draw one trial of a task: what goes in above, what should come out below, on one axis of time.

    Up to three inputs are lines, more are a heat map. Grey bands set the periods apart. The target is faint at the
    steps that the loss does not count.

    Args:
        trials: What a task's ``sample`` returns.
        index: Which of the trials.
        axes: Two axes, for inputs and target; default: two new ones, above each other.

    Raises:
        TypeError: If ``trials`` is something else.
        ValueError: If there is no such trial, or ``axes`` are not two.
    """
    needed = ("inputs", "targets", "mask", "dt_ms", "input_names", "output_names", "periods")
    if not all(hasattr(trials, name) for name in needed):
        raise TypeError(f"`trials` must be Trials, as a task's `sample` returns; got {type(trials).__name__}.")
    n_trials = trials.inputs.shape[1]
    if not 0 <= index < n_trials:
        raise ValueError(f"`index` must be between 0 and {n_trials - 1}; got {index}.")
    if axes is not None and len(axes) != 2:
        raise ValueError(f"`axes` must be two; got {len(axes)}.")
    top, bottom = axes if axes is not None else _pair()
    inputs, targets, mask = (
        tensor[:, index].detach().cpu().numpy() for tensor in (trials.inputs, trials.targets, trials.mask)
    )
    edges = np.arange(len(inputs) + 1) * float(trials.dt_ms)
    _draw_inputs(top, edges, inputs, trials.input_names)
    _draw_target(bottom, edges, targets, mask, trials.output_names)
    _draw_periods(top, bottom, trials.periods)
    top.tick_params(labelbottom=False)
    bottom.set(xlabel="time (ms)", xlim=(0, edges[-1]))
    top.set_xlim(0, edges[-1])
    return _tidy(top), _tidy(bottom)


def _pair() -> tuple[Axes, Axes]:
    import matplotlib.pyplot as plt

    top, bottom = plt.figure(layout="constrained").subplots(2, sharex=True, height_ratios=(3, 2))
    return top, bottom


def _draw_inputs(ax: Axes, edges: Any, inputs: Any, names: Sequence[str]) -> None:
    import seaborn as sns

    if len(names) <= 3:
        for values, name, color in zip(inputs.T, names, sns.color_palette("colorblind", len(names)), strict=True):
            ax.stairs(values, edges, baseline=None, color=color, linewidth=1.6, label=name)
        ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
        ax.set_ylabel("input")
        return
    # inputs below 0 are no rates: they are blue, so that they are seen
    limit = float(np.abs(inputs).max()) or 1.0
    signed = bool((inputs < 0).any())
    colors = sns.blend_palette([INHIBITORY, "white", EXCITATORY] if signed else ["white", EXCITATORY], as_cmap=True)
    rows = np.arange(len(names) + 1) - 0.5
    mesh = ax.pcolormesh(edges, rows, inputs.T, cmap=colors, vmin=-limit if signed else 0, vmax=limit)
    ax.set_ylim(rows[-1], rows[0])
    ax.figure.colorbar(mesh, ax=ax, label="input", pad=0.02)
    _name_ticks(ax, names, "input")


def _draw_target(ax: Axes, edges: Any, targets: Any, mask: Any, names: Sequence[str]) -> None:
    import seaborn as sns

    values = targets if targets.ndim == 2 else targets[:, None]
    colors = sns.color_palette("colorblind", values.shape[1]) if targets.ndim == 2 else ["0.2"]
    for column, color in zip(values.T, colors, strict=True):
        ax.stairs(column, edges, baseline=None, color=color, linewidth=1, alpha=0.3)
        starts = np.flatnonzero(np.r_[True, (np.diff(column) != 0) | (mask[1:] != mask[:-1])])
        ends = np.r_[starts[1:], len(column)]
        counted = mask[starts]  # runs of equal steps, as one line each: drawn step by step they would look dashed
        ax.hlines(
            column[starts][counted], edges[starts][counted], edges[ends][counted], color=color, linewidth=3, zorder=3
        )
    if targets.ndim == 2:
        ax.set_ylabel("target: " + ", ".join(names))
        return
    ax.set_ylim(len(names) - 0.5, -0.5)
    _name_ticks(ax, names, "target")


def _name_ticks(ax: Axes, names: Sequence[str], label: str) -> None:
    """Name the rows of an axis if there is room, number them from 1 otherwise."""
    if len(names) <= 10:
        ax.set_yticks(range(len(names)), names)
        ax.tick_params(axis="y", length=0)
    else:
        ax.set_yticks([0, len(names) - 1], ["1", str(len(names))])
        ax.set_ylabel(label)


def _draw_periods(top: Axes, bottom: Axes, periods: Sequence[tuple[str, float, float]]) -> None:
    shown = [period for period in periods if period[2] > period[1]]
    for rank, (name, start, end) in enumerate(shown):
        for ax in (top, bottom):
            if rank % 2:
                ax.axvspan(start, end, color="0.93", linewidth=0, zorder=0)
        top.annotate(
            name.replace("_", " "),
            xy=((start + end) / 2, 1),
            xycoords=top.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize="small",
            color="0.35",
        )


def _require(result: object, kind: type, maker: str) -> None:
    if not isinstance(result, kind):
        raise TypeError(f"`result` must be a {kind.__name__}, as `{maker}` returns; got {type(result).__name__}.")


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.figure(layout="constrained").subplots()


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


def _density(result: WeightFit, edges: Any, ax: Axes, **line: Any) -> None:
    grid = np.geomspace(edges[0], edges[-1], 400)
    # the density of ln w, so that it has unit area on the logarithmic axis
    label = f"{result.family} ({', '.join(f'{name} {value:.3g}' for name, value in result.params.items())})"
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
    _legend(ax)
    return _tidy(ax)


def _legend(ax: Axes, columns: int = 2) -> None:
    """Put the legend below the axes, where it covers nothing."""
    ax.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=columns)


def _mend_flat_log_axis(ax: Axes) -> None:
    """Widen a logarithmic axis on which all values are equal, or nearly none is positive, to show a decade."""
    low, high = ax.get_ylim()
    if high / low < 10:
        ax.set_ylim(high / 20, high * 2)


def _tidy(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    return ax
