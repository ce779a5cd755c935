"""Weight matrices: their singular values, and the matrices themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    legend,
    name,
    require,
    tidy,
    widen_flat_log_axis,
)
from daleml.analysis.spectra import Spectrum
from daleml.analysis.weights.effective_matrices import matrix as matrix_of
from daleml.analysis.weights.real_numbers import numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROUNDING = 1e-6


def spectrum(
    result: Spectrum | Sequence[Spectrum] | Mapping[str, Spectrum],
    ax: Axes | None = None,
) -> Axes:
    """Draw singular values by rank, each spectrum scaled to a largest value of 1.

    Several are labelled by key.

    Those below 1e-6 of the largest, zero up to the rounding of single precision, are counted
    instead of drawn.
    """
    import seaborn as sns

    ax = axes_or_new(ax)
    several = result if isinstance(result, (Mapping, Sequence)) else [result]
    labelled = (
        several.items() if isinstance(several, Mapping) else enumerate(several, start=1)
    )
    colors = sns.color_palette("colorblind", len(several))
    for one in several.values() if isinstance(several, Mapping) else several:
        require(one, Spectrum, "spectrum")
    for (label, one), color in zip(labelled, colors, strict=True):
        largest = one.singular_values[0] or 1.0
        ranks = (np.arange(one.singular_values.size) + 1) / one.singular_values.size
        text = (
            f"{name(label)}: H = {one.svd_entropy:.3f}"
            if len(several) > 1
            else f"H = {one.svd_entropy:.3f}"
        )
        n_lost = int(np.sum(one.singular_values < _ROUNDING * largest))
        text += f", {n_lost} at zero" if n_lost else ""
        ax.plot(
            ranks,
            one.singular_values / largest,
            marker=".",
            markersize=4,
            linewidth=1,
            color=color,
            label=text,
        )
    ax.set(xlabel="rank / number of singular values", ylabel="singular value / largest")
    if any(
        np.any(line.get_ydata()) for line in ax.lines
    ):  # zeros alone have no logarithm
        ax.set_yscale("log")
        widen_flat_log_axis(ax)
        if ax.get_ylim()[0] < _ROUNDING:
            ax.set_ylim(_ROUNDING, 2)
    legend(ax)
    return tidy(ax)


def matrix(weight: ArrayLike | nn.Module, ax: Axes | None = None) -> Axes:
    """Draw a signed weight matrix ``(post, pre)``.

    Excitatory entries red, inhibitory ones blue, zero white.

    Under Dale's law a column has one colour. Its depth goes with the square root of the
    strength, so that weak weights show beside strong ones.
    """
    import seaborn as sns

    values = _read(weight)
    ax = axes_or_new(ax)
    depth = np.sign(values) * np.sqrt(np.abs(values))
    limit = np.abs(depth).max() or 1.0
    colors = sns.blend_palette([INHIBITORY, "white", EXCITATORY], as_cmap=True)
    ax.imshow(
        depth,
        cmap=colors,
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
    )
    ax.set(xlabel="presynaptic unit", ylabel="postsynaptic unit")
    return ax


def _read(weight: Any) -> NDArray[np.float64]:
    """Read a matrix, of a module its effective weight; NaN is let through, and drawn as nothing."""
    if isinstance(weight, nn.Module):
        return matrix_of(weight)
    values = np.asarray(numbers(weight, "weight"), dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f"`weight` must be a matrix, (post, pre); got shape {values.shape}."
        )
    return values
