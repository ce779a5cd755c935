"""Singular values of weight matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import numpy as np

from daleml.analysis.plots.canvas import (
    axes_or_new,
    legend,
    require_result,
    tidy,
    widen_flat_log_axis,
)
from daleml.analysis.plots.common_options import LabelWords, options, relabelled
from daleml.analysis.plots.curve_styles import palette
from daleml.analysis.spectra import Spectrum
from daleml.analysis.top_spectrum import TopSpectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Drawn: TypeAlias = Spectrum | TopSpectrum
"""Singular values that can be drawn: all of a matrix, or the largest."""

# Singular values below this fraction of the largest are zero up to the rounding of float32.
_ROUNDING = 1e-6

# Of more singular values than this, marks run into one another, and lines alone are drawn.
_MOST_MARKS = 60


@options(LabelWords)
def spectrum(
    result: Drawn | Sequence[Drawn] | Mapping[str, Drawn],
    ax: Axes | None = None,
    **words: Unpack[LabelWords],
) -> Axes:
    """Draw singular values by rank, each spectrum scaled to a largest value of 1.

    Of a spectrum of the largest ones alone, the curve ends where they do.

    Singular values below 1e-6 of the largest, zero up to the rounding of single precision, are
    counted instead of drawn.

    Args:
        result: A spectrum; or several, by name or numbered from 1.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, labels, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`. Labels name spectra.

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
    ax = axes_or_new(ax)
    if isinstance(result, Mapping):
        named: dict[Any, Drawn] = dict(result)
    elif isinstance(result, Sequence):
        named = dict(enumerate(result, start=1))
    else:
        named = {1: result}
    for one in named.values():
        if not isinstance(one, TopSpectrum):
            require_result(one, Spectrum, "spectrum")
    shown = relabelled(list(named), words.get("labels"))
    for label, one, line in zip(
        shown, named.values(), palette(len(named)), strict=True
    ):
        values = one.singular_values
        relative = values / (values[0] or 1.0)
        n = min(one.shape)
        if isinstance(one, TopSpectrum):
            text = f"{one.k} largest of {n:,}"
        else:
            text = f"H = {one.svd_entropy:.3f}"
        if len(named) > 1:
            text = f"{label}: {text}"
        n_lost = int(np.sum(values < _ROUNDING * (values[0] or 1.0)))
        if n_lost:
            text += f", {n_lost} at zero"
        ax.plot(
            (np.arange(values.size) + 1) / n,
            relative,
            marker="." if values.size <= _MOST_MARKS else None,
            markersize=5,
            label=text,
            **line,
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
