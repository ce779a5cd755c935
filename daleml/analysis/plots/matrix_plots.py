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
    require_result,
    tidy,
    widen_flat_log_axis,
)
from daleml.analysis.spectra import Spectrum
from daleml.analysis.weights.effective_matrices import matrix as matrix_of
from daleml.analysis.weights.effective_matrices import populations_of
from daleml.analysis.weights.real_numbers import numbers
from daleml.populations import Populations

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Singular values below this fraction of the largest are zero up to the rounding of float32.
_ROUNDING = 1e-6
# More names than this do not fit side by side below a matrix, and are turned.
_SIDE_BY_SIDE = 6
_ROTATION = 90


def spectrum(
    result: Spectrum | Sequence[Spectrum] | Mapping[str, Spectrum],
    ax: Axes | None = None,
) -> Axes:
    """Draw singular values by rank, each spectrum scaled to a largest value of 1.

    Singular values below 1e-6 of the largest, zero up to the rounding of single precision, are
    counted instead of drawn.

    Args:
        result: A spectrum; or several, by name or numbered from 1.
        ax: Where to draw; default: new axes.

    Returns:
        The axes.

    Raises:
        TypeError: If one of them is no spectrum, or ``ax`` are no axes.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import plots, spectrum
        >>> drawing, axes = plots.figure()
        >>> ax = plots.spectrum({"identity": spectrum(np.eye(4))}, axes[0, 0])
        >>> ax.lines[0].get_label()
        'H = 1.000'
    """
    import seaborn as sns

    ax = axes_or_new(ax)
    if isinstance(result, Mapping):
        named: dict[Any, Spectrum] = dict(result)
    elif isinstance(result, Sequence):
        named = dict(enumerate(result, start=1))
    else:
        named = {1: result}
    for one in named.values():
        require_result(one, Spectrum, "spectrum")
    colors = sns.color_palette("colorblind", len(named))
    for (label, one), color in zip(named.items(), colors, strict=True):
        values = one.singular_values
        relative = values / (values[0] or 1.0)
        text = f"H = {one.svd_entropy:.3f}"
        if len(named) > 1:
            text = f"{name(label)}: {text}"
        n_lost = int(np.sum(values < _ROUNDING * (values[0] or 1.0)))
        if n_lost:
            text += f", {n_lost} at zero"
        ax.plot(
            (np.arange(values.size) + 1) / values.size,
            relative,
            marker=".",
            markersize=4,
            linewidth=1,
            color=color,
            label=text,
        )
    ax.set(xlabel="rank / number of singular values", ylabel="singular value / largest")
    # Zeros alone have no logarithm.
    if any(np.any(line.get_ydata()) for line in ax.lines):
        ax.set_yscale("log")
        widen_flat_log_axis(ax)
        if ax.get_ylim()[0] < _ROUNDING:
            ax.set_ylim(_ROUNDING, 2)
    legend(ax)
    return tidy(ax)


def matrix(
    weight: ArrayLike | nn.Module,
    ax: Axes | None = None,
    *,
    post: Populations | None = None,
    pre: Populations | None = None,
) -> Axes:
    """Draw a signed weight matrix ``(post, pre)``: excitatory red, inhibitory blue, zero white.

    Under Dale's law a column has one colour. Its depth goes with the square root of the
    strength, so that weak weights show beside strong ones.

    Args:
        weight: A matrix; or a module, of which the effective weight is drawn.
        ax: Where to draw; default: new axes.
        post: The populations of the rows, whose borders and names are drawn. Default: those of
            a module that names cell types.
        pre: The same of the columns.

    Returns:
        The axes.

    Raises:
        TypeError: If ``weight`` are no numbers, or ``ax`` are no axes.
        ValueError: If ``weight`` is no matrix, or populations have more or fewer units.

    Example:
        >>> from daleml import Populations
        >>> from daleml.analysis import plots
        >>> from daleml.layers import EILinear
        >>> drawing, axes = plots.figure()
        >>> ax = plots.matrix(EILinear(Populations(8, 2), 5), axes[0, 0])
        >>> ax.images[0].get_array().shape
        (5, 10)
    """
    import seaborn as sns

    values = _read(weight)
    found = _named(weight, values.shape)
    post, pre = (post or found[0]), (pre or found[1])
    for which, populations, size in zip(
        ("post", "pre"), (post, pre), values.shape, strict=True
    ):
        _require_units(which, populations, size)
    ax = axes_or_new(ax)
    # The square root lets weak weights show beside strong ones.
    depth = np.sign(values) * np.sqrt(np.abs(values))
    limit = np.abs(depth).max() or 1.0
    colors = sns.blend_palette([INHIBITORY, "white", EXCITATORY], as_cmap=True)
    ax.imshow(
        depth,
        cmap=colors,
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        # Any smoothing would mix the signs of neighbours.
        interpolation="nearest",
    )
    ax.set(xlabel="presynaptic unit", ylabel="postsynaptic unit")
    if pre is not None:
        edges, middles = _places(pre)
        ax.set_xticks(
            middles, pre.names, rotation=_ROTATION * (len(middles) > _SIDE_BY_SIDE)
        )
        ax.vlines(edges, *ax.get_ylim(), color="0.3", linewidth=0.8)
    if post is not None:
        edges, middles = _places(post)
        ax.set_yticks(middles, post.names)
        ax.hlines(edges, *ax.get_xlim(), color="0.3", linewidth=0.8)
    return ax


def _named(
    weight: Any, shape: tuple[int, ...]
) -> tuple[Populations | None, Populations | None]:
    """Return the populations of rows and columns, where a module has given them names."""
    if not isinstance(weight, nn.Module):
        return None, None
    found: list[Populations | None] = []
    for populations, size in zip(populations_of(weight), shape, strict=True):
        # The two signs need no borders: colours tell them apart.
        if populations is None or populations.types is None or size % populations.size:
            found.append(None)
        else:
            # A kernel's taps lie side by side, channel by channel.
            found.append(populations.repeat(size // populations.size))
    return found[0], found[1]


def _require_units(which: str, populations: Populations | None, size: int) -> None:
    if populations is None:
        return
    if not isinstance(populations, Populations):
        raise TypeError(
            f"`{which}` must be a Populations; got {type(populations).__name__}."
        )
    if populations.size != size:
        raise ValueError(
            f"`{which}` must have {size} units, as `weight`; got {populations.size}."
        )


def _places(populations: Populations) -> tuple[list[float], list[float]]:
    """Return the borders between populations, and the middle of each, in pixels of an image."""
    edges, middles = [], []
    for cell_type in populations:
        units = populations[cell_type]
        middles.append((units.start + units.stop - 1) / 2)
        edges.append(units.stop - 0.5)
    # Behind the last one there is the frame.
    return edges[:-1], middles


def _read(weight: Any) -> NDArray[np.float64]:
    """Return a matrix, or the effective weight of a module. NaN stays, and is drawn as nothing."""
    if isinstance(weight, nn.Module):
        return matrix_of(weight)
    values = np.asarray(numbers(weight, "weight"), dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f"`weight` must be a matrix, (post, pre); got shape {values.shape}."
        )
    return values
