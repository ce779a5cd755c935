"""Shapes of distributions, free of scale: networks beside brains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

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
from daleml.analysis.plots.common_options import LabelWords, Words, options, relabelled
from daleml.analysis.plots.curve_styles import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The names of the measures of shape in the figure.
_MEASURES = {"log_sd": "σ of ln w", "gini": "Gini", "log_skewness": "skewness of ln w"}


@options(Words)
def resemblance(
    result: Resemblance,
    ax: Axes | None = None,
    *,
    weights: str = "weights",
    reference: str = "reference",
    **words: Unpack[Words],
) -> Axes:
    """Draw the quantiles of centred ln w against those of a reference, with the measures of both.

    On the line the two have one shape. A steeper line is a broader distribution, a bent one
    another skewness.

    Args:
        result: What :func:`~daleml.analysis.compare_to` returned.
        ax: Where to draw; default: new axes.
        weights: What the weights are.
        reference: What they were compared to.
        xlabel, ylabel, title, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`.

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
    # Both axes have the same limits, so that the line of one shape is the diagonal.
    limits = low - margin, high + margin
    ax.set(
        xlabel=f"centred ln w of {reference}",
        ylabel=f"centred ln w of {weights}",
        xlim=limits,
        ylim=limits,
    )
    # Below the axes, where they cover no quantile.
    legend(ax, title="\n".join(lines))
    return tidy(ax)


@options(LabelWords)
def shapes(
    results: Mapping[str, WeightFit],
    ax: Axes | None = None,
    **words: Unpack[LabelWords],
) -> Axes:
    """Draw the shapes of several log-normal fits' samples, free of scale.

    They are cumulative distributions of z-scored ``ln |w|``. The largest vertical gap between a
    curve and the normal one is its ``ks_distance()``.

    Args:
        results: Fits by name.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name fits.

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
    from scipy.special import ndtr

    if not isinstance(results, Mapping):
        raise TypeError(
            "`results` must map names to fits, as in {'EG': fit}; got"
            f" {type(results).__name__}."
        )
    for one in results.values():
        require_result(one, WeightFit, "fit_weights")
    ax = axes_or_new(ax)
    shown = relabelled(list(results), words.get("labels"))
    lines = palette(len(results))
    for (key, result), label, line in zip(results.items(), shown, lines, strict=True):
        if result.family != "lognormal":
            raise ValueError(
                f"`results` must be log-normal fits; got {result.family} for {key!r}."
            )
        mu, sigma = result.params["mu"], result.params["sigma"]
        ax.ecdf(
            (np.log(result.sample.values()) - mu) / sigma,
            label=f"{label} (n = {result.n:,})",
            **line,
        )
    # The fit itself: of z-scores, a standard normal distribution.
    grid = np.linspace(-4, 4, 200)
    dots: dict[str, Any] = {"color": "0.2", "linestyle": (0, (1, 1)), "linewidth": 1.5}
    ax.plot(grid, ndtr(grid), label="log-normal", zorder=3, **dots)
    ax.set(
        xlabel="z-scored ln |weight|",
        ylabel="fraction of weights below",
        xlim=(-3.5, 3.5),
        ylim=(0, 1),
    )
    legend(ax)
    return tidy(ax)
