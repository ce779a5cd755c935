"""Shapes of distributions, free of scale: networks beside brains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from daleml.analysis.distributions.resemblance import Resemblance
from daleml.analysis.distributions.weight_fit import WeightFit
from daleml.analysis.plots.canvas import (
    EXCITATORY,
    axes_or_new,
    legend,
    name,
    require,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MEASURES = {"log_sd": "σ of ln w", "gini": "Gini", "log_skewness": "skewness of ln w"}


def resemblance(
    result: Resemblance,
    ax: Axes | None = None,
    *,
    weights: str = "weights",
    reference: str = "reference",
) -> Axes:
    """Draw the quantiles of centred ln w against those of the reference, with the measures of both.

    On the line the two have one shape. A steeper line is a broader distribution, a bent one
    another skewness.

    Args:
        result: What :func:`~daleml.analysis.compare_to` returned.
        ax: Where to draw; default: new axes.
        weights: What the weights are.
        reference: What they were compared to.
    """
    require(result, Resemblance, "compare_to")
    ax = axes_or_new(ax)
    weights, reference = name(weights), name(reference)
    ours, theirs = result.quantiles
    low, high = min(ours[0], theirs[0]), max(ours[-1], theirs[-1])
    margin = 0.05 * (high - low)
    ax.plot(
        [low, high], [low, high], color="0.45", linewidth=1, zorder=1, label="one shape"
    )
    ax.plot(
        theirs,
        ours,
        ".",
        color=EXCITATORY,
        markersize=5,
        zorder=2,
        label="500 quantiles",
    )
    lines, any_differs = [], False
    for key, measure in result.measures.items():
        differs = measure.difference.low > 0 or measure.difference.high < 0
        any_differs |= differs
        values = (
            f"{measure.weights.value:.2f}, of {reference} {measure.reference.value:.2f}"
        )
        lines.append(f"{_MEASURES.get(key, key)}: {values}{' *' * differs}")
    lines.append(f"mean distance: {result.qq_distance.value:.2f}")
    lines += ["* differ by more than chance"] * any_differs
    ax.text(
        0.03,
        0.97,
        "\n".join(lines),
        transform=ax.transAxes,
        va="top",
        fontsize="small",
        linespacing=1.4,
    )
    limits = low - margin, high + margin
    ax.set(
        xlabel=f"centred ln w of {reference}",
        ylabel=f"centred ln w of {weights}",
        xlim=limits,
        ylim=limits,
    )
    legend(ax)
    return tidy(ax)


def shapes(results: Mapping[str, WeightFit], ax: Axes | None = None) -> Axes:
    """Draw the shapes of several log-normal fits' samples, free of scale.

    Cumulative distributions of z-scored ``ln |w|``.

    The largest vertical gap between a curve and the normal one is its ``ks_distance()``.

    Raises:
        ValueError: If a fit is not log-normal.
    """
    import seaborn as sns
    from scipy.special import ndtr

    if not isinstance(results, Mapping):
        raise TypeError(
            "`results` must map names to fits, as in {'EG': fit}; got"
            f" {type(results).__name__}."
        )
    for one in results.values():
        require(one, WeightFit, "fit_weights")
    ax = axes_or_new(ax)
    for (label, result), color in zip(
        results.items(), sns.color_palette("colorblind", len(results)), strict=True
    ):
        if result.family != "lognormal":
            raise ValueError(
                f"`results` must be log-normal fits; got {result.family} for {label!r}."
            )
        scores = (np.log(result.sample.values()) - result.params["mu"]) / result.params[
            "sigma"
        ]
        ax.ecdf(
            scores,
            color=color,
            linewidth=1.8,
            label=f"{name(label)} (n = {result.n:,})",
        )
    grid = np.linspace(-4, 4, 200)
    ax.plot(grid, ndtr(grid), "--", color="0.2", linewidth=1.2, label="log-normal")
    ax.set(
        xlabel="z-scored ln |weight|",
        ylabel="fraction of weights below",
        xlim=(-3.5, 3.5),
        ylim=(0, 1),
    )
    legend(ax)
    return tidy(ax)
