"""Plots of activity: trajectories, and the dimension of the space that they fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from daleml.analysis.activity.dimensionality import Dimension
from daleml.analysis.activity.trajectories import Trajectory
from daleml.analysis.plots.canvas import axes_or_new, legend, require_result, tidy
from daleml.analysis.plots.common_options import Words, options
from daleml.analysis.plots.curve_styles import shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# More trials than this in one picture hide one another.
_MOST_TRIALS = 30


@options(Words)
def trajectory(
    result: Trajectory, ax: Axes | None = None, **words: Unpack[Words]
) -> Axes:
    """Draw rates in the plane of their first two principal components, a line for each trial.

    Each line begins at a dot. The axes name the fraction of the variance that they hold. Of
    more than 30 trials, the first 30 are drawn.

    Args:
        result: What :func:`daleml.analysis.activity.trajectory` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> import torch
        >>> from daleml.analysis import activity, plots
        >>> result = activity.trajectory(torch.nn.RNN(3, 5), torch.rand(20, 4, 3))
        >>> drawing, axes = plots.figure()
        >>> ax = plots.trajectory(result, axes[0, 0])
        >>> len(ax.lines)
        4
    """
    require_result(result, Trajectory, "trajectory")
    ax = axes_or_new(ax)
    rates = result.rates.detach().cpu().double().numpy()
    if rates.ndim == 2:
        rates = rates[:, None]
    plane, held = principal_plane(rates.reshape(-1, rates.shape[-1]))
    projected = plane.reshape(*rates.shape[:2], 2)
    n_trials = min(rates.shape[1], _MOST_TRIALS)
    for trial, color in enumerate(shades(n_trials)):
        path = projected[:, trial]
        ax.plot(path[:, 0], path[:, 1], color=color, linewidth=1)
        label = None if trial else "start of a trial"
        ax.scatter(path[:1, 0], path[:1, 1], color=[color], s=18, zorder=3, label=label)
    ax.set(
        xlabel=f"principal component 1 ({held[0]:.0%} of variance)",
        ylabel=f"principal component 2 ({held[1]:.0%})",
    )
    legend(ax)
    return tidy(ax)


def principal_plane(
    samples: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return samples in the plane in which they vary most, and the fraction of each axis."""
    centred = samples - samples.mean(0)
    left, singular_values, _ = np.linalg.svd(centred, full_matrices=False)
    # One unit has one direction, and the second is empty.
    projected, variances = np.zeros((len(samples), 2)), np.zeros(2)
    n = min(2, singular_values.size)
    projected[:, :n] = left[:, :n] * singular_values[:n]
    variances[:n] = singular_values[:n] ** 2
    total = float(np.sum(singular_values**2))
    return projected, variances / (total or 1.0)


@options(Words)
def dimension(
    result: Dimension, ax: Axes | None = None, **words: Unpack[Words]
) -> Axes:
    """Draw the fraction of the variance that the first principal components hold together.

    A dashed line is where the asked fraction is reached, a dotted one the participation ratio.

    Args:
        result: What :func:`daleml.analysis.activity.dimension` returned.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import activity, plots
        >>> rates = np.random.default_rng(0).normal(size=(500, 10))
        >>> drawing, axes = plots.figure()
        >>> ax = plots.dimension(activity.dimension(rates), axes[0, 0])
        >>> ax.get_xlabel()
        'number of principal components'
    """
    require_result(result, Dimension, "dimension")
    ax = axes_or_new(ax)
    total = float(result.variances.sum()) or 1.0
    held = np.cumsum(result.variances) / total
    counts = np.arange(1, held.size + 1)
    ax.plot(counts, held, marker=".", color="0.15", linewidth=1)
    ax.axvline(
        result.n_components,
        color="0.5",
        linestyle="--",
        linewidth=1,
        label=f"{result.n_components} hold {result.variance_fraction:.0%}",
    )
    ax.axvline(
        result.participation_ratio,
        color="0.5",
        linestyle=":",
        linewidth=1,
        label=f"participation ratio {result.participation_ratio:.1f}",
    )
    ax.set(
        xlabel="number of principal components",
        ylabel="fraction of variance",
        ylim=(0, 1.03),
    )
    legend(ax)
    return tidy(ax)
