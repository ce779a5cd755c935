"""Weight matrices, with their units named and the scale of their colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from daleml.analysis.connectomes.graph_arrays import SignedMatrix
from daleml.analysis.plots import axis_names
from daleml.analysis.plots.axis_names import Names
from daleml.analysis.plots.canvas import (
    EXCITATORY,
    INHIBITORY,
    axes_or_new,
    name,
    remove_scales,
)
from daleml.analysis.plots.common_options import AllWords, options, quantity
from daleml.analysis.plots.lettering import small
from daleml.analysis.plots.spectrum_plots import spectrum as spectrum
from daleml.analysis.weights.effective_matrices import matrix as matrix_of
from daleml.analysis.weights.effective_matrices import populations_of
from daleml.analysis.weights.real_numbers import numbers
from daleml.populations import Populations

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# By this the marks of inhibition are found again, to be replaced.
_MARKS = "inhibits"

_SIDES = ("post", "pre")
_WHAT = {"post": "postsynaptic unit", "pre": "presynaptic unit"}

# Cells smaller than this, in points, have no room for a mark.
_LEAST_CELL = 5.0

# Below the first digit of the largest tick of a colour bar, the digit of the next one.
_NEXT = {1: 0.2, 2: 0.5, 5: 1.0}


@options(AllWords)
def matrix(
    weight: ArrayLike | nn.Module | SignedMatrix,
    ax: Axes | None = None,
    *,
    post: Populations | None = None,
    pre: Populations | None = None,
    colorbar: bool = True,
    **words: Unpack[AllWords],
) -> Axes:
    """Draw a signed weight matrix ``(post, pre)``: excitatory red, inhibitory blue, zero white.

    Under Dale's law a column has one colour. Its depth goes with the square root of the
    strength, so that weak weights show beside strong ones; the colour bar has the strengths.
    Where there is room, weights that inhibit have a minus, which shows in grey too.

    Args:
        weight: A matrix; a module, of which the effective weight is drawn; or a connectome's
            :func:`~daleml.analysis.signed_matrix`, whose nodes are named.
        ax: Where to draw; default: new axes.
        post: The populations of the rows, whose borders and names are drawn. Default: those of
            a module that has some.
        pre: The same of the columns.
        colorbar: Whether to draw the scale of the colours beside the axes.
        xlabel, ylabel, title, unit, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. The unit is that of the weights.
        labels: A name for each unit, of a square matrix; or a mapping of "post" and "pre", or
            one of them, to names. Neighbours of one name are one block.

    Returns:
        The axes.

    Raises:
        TypeError: If ``weight`` are no numbers, or ``ax`` are no axes.
        ValueError: If ``weight`` is no matrix, or populations or labels have more or fewer
            units.

    Example:
        >>> from daleml import Populations
        >>> from daleml.analysis import plots
        >>> from daleml.layers import EILinear
        >>> drawing, axes = plots.figure()
        >>> ax = plots.matrix(EILinear(Populations(8, 2), 5), axes[0, 0], unit="nS")
        >>> ax.images[0].get_array().shape
        (5, 10)
        >>> [tick.get_text() for tick in ax.get_xticklabels()]
        ['E', 'I']
    """
    labels: Any = words.get("labels")
    if isinstance(weight, SignedMatrix):
        labels = list(map(str, weight.nodes)) if labels is None else labels
        weight = weight.values
    values = _read(weight)
    found = _named(weight, values.shape)
    names: list[Names | None] = []
    given = (post or found[0]), (pre or found[1])
    for which, populations, size in zip(_SIDES, given, values.shape, strict=True):
        _require_units(which, populations, size)
        own = _labels_of(which, labels, values.shape)
        names.append(own if own is not None else _blocks(populations))
    ax = axes_or_new(ax)
    _draw(ax, values, words.get("unit"), colorbar=colorbar)
    ax.set(xlabel=_WHAT["pre"], ylabel=_WHAT["post"])
    for which, own, size in zip(_SIDES, names, values.shape, strict=True):
        if own is not None:
            vertical = which == "post"
            axis_names.put(ax, own, size, vertical=vertical, what=_WHAT[which])
    return ax


def _draw(
    ax: Axes, values: NDArray[np.float64], unit: str | None, *, colorbar: bool
) -> None:
    """Draw the image, and the scale of its colours."""
    from matplotlib.colors import FuncNorm, LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    remove_scales(ax)
    finite = np.abs(values[np.isfinite(values)])
    limit = float(finite.max(initial=0.0)) or 1.0
    hues = [INHIBITORY, "white", EXCITATORY]
    image = ax.imshow(
        values,
        cmap=LinearSegmentedColormap.from_list("signs", hues),
        # The square root lets weak weights show beside strong ones.
        norm=FuncNorm((_signed_root, _signed_square), vmin=-limit, vmax=limit),
        aspect="auto",
        # Any smoothing would mix the signs of neighbours.
        interpolation="nearest",
    )
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    _mark_inhibition(ax, values, limit)
    if not np.any(values):
        # Where all is white, a scale of colours would be of nothing.
        ax.text(0.5, 0.5, "all weights are zero", ha="center", transform=ax.transAxes)
    elif colorbar:
        _draw_scale(ax, image, values, limit, unit)


def _mark_inhibition(ax: Axes, values: NDArray[np.float64], limit: float) -> None:
    """Mark weights that inhibit by a minus, where there is room, so that they show in grey."""
    for earlier in list(ax.collections):
        if earlier.get_gid() == _MARKS:  # of a matrix that was drawn here before
            earlier.remove()
    box = ax.get_window_extent()
    points = 72 / float(ax.figure.dpi)
    room = min(box.width / values.shape[1], box.height / values.shape[0]) * points
    rows, columns = np.nonzero(values < 0)
    # Of one sign, there is nothing to tell apart.
    if room < _LEAST_CELL or not rows.size or not np.any(values > 0):
        return
    # Dark on pale colours, white on deep ones.
    deep = np.abs(values[rows, columns]) > 0.25 * limit
    colors = np.where(deep, "white", "0.3")
    size = min(0.4 * room, 7.0)
    marks = ax.scatter(columns, rows, s=size**2, marker="_", c=colors, linewidths=0.9)
    marks.set_gid(_MARKS)


def _draw_scale(
    ax: Axes, image: Any, values: NDArray[np.float64], limit: float, unit: str | None
) -> None:
    """Draw the scale of colours, its ticks at true values, with what the signs mean."""
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02, aspect=25)
    has = {1: bool(np.any(values > 0)), -1: bool(np.any(values < 0))}
    ticks = _ticks(limit)
    shown = [0.0, *(ticks if has[1] else ()), *(-one for one in ticks if has[-1])]
    bar.set_ticks(sorted(shown), labels=[f"{one:.3g}" for one in sorted(shown)])
    bar.ax.tick_params(labelsize=small(ax))
    bar.ax.minorticks_off()
    # A side of which there is no weight would be a colour that is nowhere.
    if has[1] != has[-1]:
        bar.ax.set_ylim(0.0 if has[1] else -limit, limit if has[1] else 0.0)
    signs = {
        (True, True): "+ excites, − inhibits",
        (True, False): "all excite",
        (False, True): "all inhibit",
    }[has[1], has[-1]]
    what = quantity("weight", unit)
    label = f"{what}: {signs}\n(colour by its square root)"
    # Where nobody makes room, a long label would lie over the axes beside.
    if ax.figure.get_layout_engine() is None:
        label = f"{what}, √ scale"
    bar.set_label(label, fontsize=small(ax))


def _signed_root(values: Any) -> Any:
    return np.sign(values) * np.sqrt(np.abs(values))


def _signed_square(values: Any) -> Any:
    return np.sign(values) * np.square(values)


def _ticks(limit: float) -> list[float]:
    """Return two round numbers up to a limit, far enough apart on a scale of square roots."""
    unit = 10.0 ** np.floor(np.log10(limit))
    first = max(digit for digit in _NEXT if digit * unit <= limit * (1 + 1e-9))
    return [float(first * unit), float(_NEXT[first] * unit)]


def _labels_of(which: str, labels: Any, shape: tuple[int, ...]) -> Names | None:
    """Return the names of one side's units, if there are any."""
    size = shape[_SIDES.index(which)]
    if isinstance(labels, Mapping):
        wrong = [key for key in labels if key not in _SIDES]
        if wrong:
            raise ValueError(
                f"`labels` must map 'post' and 'pre' to names of units; got {wrong[0]!r}."
            )
        labels = labels.get(which)
    elif labels is not None and shape[0] != shape[1]:
        raise ValueError(
            "`labels` must map 'post' and 'pre' to names, of a matrix that is not square; got"
            f" {len(labels)} names for shape {tuple(shape)}."
        )
    if labels is None:
        return None
    texts: Sequence[Any] = list(labels)
    if len(texts) != size:
        raise ValueError(
            f"`labels` must be {size} names, one for each {_WHAT[which]}; got {len(texts)}."
        )
    return Names.of_units([name(text) for text in texts])


def _blocks(populations: Populations | None) -> Names | None:
    """Return the names of populations, and their borders."""
    if populations is None:
        return None
    bounds = [0, *(populations[one].stop for one in populations)]
    return Names.of_blocks([name(one) for one in populations], bounds)


def _named(
    weight: Any, shape: tuple[int, ...]
) -> tuple[Populations | None, Populations | None]:
    """Return the populations of rows and columns, where a module has some."""
    if not isinstance(weight, nn.Module):
        return None, None
    found: list[Populations | None] = []
    for populations, size in zip(populations_of(weight), shape, strict=True):
        if populations is None or size % populations.size:
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
