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
    require_result,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The names of the measures of shape in the figure.
_MEASURES = {"log_sd": "σ of ln w", "gini": "Gini", "log_skewness": "skewness of ln w"}


def resemblance(
    result: Resemblance,
    ax: Axes | None = None,
    *,
    weights: str = "weights",
    reference: str = "reference",
) -> Axes:
    """Draw the quantiles of centred ln w against those of a reference, with the measures of both.

    On the line the two have one shape. A steeper line is a broader distribution, a bent one
    another skewness.

    Args:
        result: What :func:`~daleml.analysis.compare_to` returned.
        ax: Where to draw; default: new axes.
        weights: What the weights are.
        reference: What they were compared to.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import compare_to, plots
        >>> rng = np.random.default_rng(0)
        >>> result = compare_to(rng.lognormal(size=100), rng.lognormal(size=100), n_boot=20)
        >>> drawing, axes = plots.figure()
        >>> ax = plots.resemblance(result, axes[0, 0], weights="network", reference="cortex")
        >>> ax.get_ylabel()
        'centred ln w of network'
    """
    require_result(result, Resemblance, "compare_to")
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
        text = (
            f"{_MEASURES.get(key, key)}: {measure.weights.value:.2f}, of {reference}"
            f" {measure.reference.value:.2f}"
        )
        if measure.difference.low > 0 or measure.difference.high < 0:
            text += " *"
            any_differs = True
        lines.append(text)
    lines.append(f"mean distance: {result.qq_distance.value:.2f}")
    if any_differs:
        lines.append("* differ by more than chance")
    ax.text(
        0.03,
        0.97,
        "\n".join(lines),
        transform=ax.transAxes,
        va="top",
        fontsize="small",
        linespacing=1.4,
    )
    # Both axes have the same limits, so that the line of one shape is the diagonal.
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

    They are cumulative distributions of z-scored ``ln |w|``. The largest vertical gap between a
    curve and the normal one is its ``ks_distance()``.

    Args:
        results: Fits by name.
        ax: Where to draw; default: new axes.

    Returns:
        The axes.

    Raises:
        TypeError: If ``results`` are no mapping of fits, or ``ax`` are no axes.
        ValueError: If a fit is not log-normal.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights, plots
        >>> fitted = fit_weights(np.random.default_rng(0).lognormal(size=200), "lognormal")
        >>> drawing, axes = plots.figure()
        >>> ax = plots.shapes({"EG": fitted}, axes[0, 0])
        >>> [line.get_label() for line in ax.lines]
        ['EG (n = 200)', 'log-normal']
    """
    import seaborn as sns
    from scipy.special import ndtr

    if not isinstance(results, Mapping):
        raise TypeError(
            "`results` must map names to fits, as in {'EG': fit}; got"
            f" {type(results).__name__}."
        )
    for one in results.values():
        require_result(one, WeightFit, "fit_weights")
    ax = axes_or_new(ax)
    colors = sns.color_palette("colorblind", len(results))
    for (label, result), color in zip(results.items(), colors, strict=True):
        if result.family != "lognormal":
            raise ValueError(
                f"`results` must be log-normal fits; got {result.family} for {label!r}."
            )
        mu, sigma = result.params["mu"], result.params["sigma"]
        ax.ecdf(
            (np.log(result.sample.values()) - mu) / sigma,
            color=color,
            linewidth=1.8,
            label=f"{name(label)} (n = {result.n:,})",
        )
    # The fit itself: of z-scores, a standard normal distribution.
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
