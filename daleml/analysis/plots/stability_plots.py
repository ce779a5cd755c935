"""Plots of fixed points, and of the eigenvalues of a linearisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from daleml.analysis.activity.fixed_point_results import FixedPoint, FixedPoints
from daleml.analysis.activity.linearised_maps import Linearisation, Stability
from daleml.analysis.activity.trajectories import Trajectory
from daleml.analysis.plots.activity_plots import principal_plane
from daleml.analysis.plots.canvas import axes_or_new, legend, require_result, tidy
from daleml.analysis.plots.common_options import Words, options
from daleml.analysis.plots.lettering import small
from daleml.analysis.spectra import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_DARK, _LIGHT = "0.15", "0.6"
# Marker, colour of its face, and of its edge. What is stable is filled.
_MARKS = {
    "stable": ("o", _DARK, _DARK),
    "unstable": ("o", "white", _DARK),
    "marginal": ("D", "white", _DARK),
    "undetermined": ("s", "white", _LIGHT),
    "slow": ("x", _DARK, _DARK),
}


@options(Words)
def fixed_points(
    result: FixedPoints,
    ax: Axes | None = None,
    *,
    path: Trajectory | None = None,
    **words: Unpack[Words],
) -> Axes:
    """Draw points by their rates, in the plane in which these vary most.

    Stable points are filled, unstable ones hollow, slow ones crosses; the size grows with the
    number of starts that led there.

    Args:
        result: What :func:`daleml.analysis.activity.fixed_points` returned.
        ax: Where to draw; default: new axes.
        path: A trajectory of the same circuit, drawn below them in the plane in which both vary
            most; small squares mark where it begins.
        xlabel, ylabel, title, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` or ``path`` is something else, or ``ax`` are no axes.
        ValueError: If ``path`` is of another number of units.

    Example:
        >>> import torch
        >>> from daleml.analysis import activity, plots
        >>> found = activity.fixed_points(torch.nn.RNN(3, 5), n_starts=4)
        >>> drawing, axes = plots.figure()
        >>> ax = plots.fixed_points(found, axes[0, 0])
        >>> ax.get_legend().get_texts()[0].get_text()
        'stable'
    """
    require_result(result, FixedPoints, "fixed_points")
    ax = axes_or_new(ax)
    paths = _paths(path)
    groups = list(paths)
    if result.points:
        groups.append(np.stack([point.rates for point in result.points]))
    if not groups:
        ax.text(0.5, 0.5, "no point was found", ha="center", transform=ax.transAxes)
        return tidy(ax)
    n_units = groups[-1].shape[1]
    if groups[0].shape[1] != n_units:
        raise ValueError(
            f"`path` must be of {n_units} units; got {groups[0].shape[1]}."
        )
    plane, held = principal_plane(np.concatenate(groups))
    starts = []
    label: str | None = "trajectories"
    for one in paths:
        line, plane = plane[: len(one)], plane[len(one) :]
        ax.plot(
            line[:, 0], line[:, 1], color="0.7", linewidth=0.8, zorder=0, label=label
        )
        starts.append(line[0])
        label = None
    if starts:
        # Without a mark nobody can tell which of its two ends a path comes from.
        x, y = np.array(starts).T
        ax.scatter(x, y, s=12, marker="s", color="0.45", zorder=1, label="their start")
    _draw_points(ax, result.points, plane)
    _keep_wide(ax)
    ax.set(
        xlabel=f"principal component 1 ({held[0]:.0%} of variance)",
        ylabel=f"principal component 2 ({held[1]:.0%})",
    )
    return tidy(ax)


def _keep_wide(ax: Axes) -> None:
    """Draw what differs by rounding alone, or not at all, in the middle of an axis."""
    # A millionth of the other axis is what a search's tolerance leaves.
    box = ax.dataLim
    widest = float(max(box.width, box.height)) or 1.0
    if box.width < 1e-6 * widest:
        middle = (box.x0 + box.x1) / 2
        ax.set_xlim(middle - widest / 2, middle + widest / 2)
    if box.height < 1e-6 * widest:
        middle = (box.y0 + box.y1) / 2
        ax.set_ylim(middle - widest / 2, middle + widest / 2)


def _paths(path: Trajectory | None) -> list[NDArray[np.float64]]:
    """Return the rates of a trajectory, one array for each trial."""
    if path is None:
        return []
    if not isinstance(path, Trajectory):
        raise TypeError(f"`path` must be a Trajectory; got {type(path).__name__}.")
    rates = path.rates.detach().cpu().double().numpy()
    if rates.ndim == 2:
        return [rates]
    return list(rates.swapaxes(0, 1))


def _draw_points(
    ax: Axes, points: tuple[FixedPoint, ...], plane: NDArray[np.float64]
) -> None:
    """Draw points where they lie in a plane, with a legend of their kinds."""
    most = max((point.n_starts for point in points), default=1)
    named: set[str] = set()
    for point, (x, y) in zip(points, plane, strict=True):
        kind = point.stability.value if point.is_fixed else "slow"
        marker, face, edge = _MARKS[kind]
        # A cross has no face, and takes its colour from the first of the two.
        colors: dict[str, Any] = {"facecolors": face, "edgecolors": edge}
        if marker == "x":
            colors = {"color": edge}
        ax.scatter(
            [x],
            [y],
            s=30 + 90 * point.n_starts / most,
            marker=marker,
            label=None if kind in named else kind,
            zorder=3,
            **colors,
        )
        named.add(kind)
    legend(ax, 3)


@options(Words)
def eigenvalues(
    result: Linearisation | Spectrum, ax: Axes | None = None, **words: Unpack[Words]
) -> Axes:
    """Draw eigenvalues in the complex plane, and the unit circle.

    Of a linearisation, filled ones, inside the circle, die out; hollow ones, outside, grow. Of a
    weight matrix alone, what it does with activity depends on the circuit, so that eigenvalues
    are only said to be inside or outside.

    Args:
        result: What :func:`daleml.analysis.activity.linearisation` returned, or the
            ``linearisation`` of a fixed point; or the :func:`~daleml.analysis.spectrum` of a
            square weight matrix.
        ax: Where to draw; default: new axes.
        xlabel, ylabel, title, width: As every plot takes them; see
            :mod:`daleml.analysis.plots`.

    Returns:
        The axes.

    Raises:
        TypeError: If ``result`` is something else, or ``ax`` are no axes.
        ValueError: If a spectrum is of a matrix that is not square.

    Example:
        >>> import torch
        >>> from daleml.analysis import activity, plots, spectrum
        >>> result = activity.linearisation(torch.nn.RNN(3, 5), torch.zeros(1, 5))
        >>> drawing, axes = plots.figure(2)
        >>> ax = plots.eigenvalues(result, axes[0, 0])
        >>> ax.get_xlabel()
        'real part of eigenvalue'
        >>> plots.eigenvalues(spectrum(2 * torch.eye(3)), axes[0, 1]).get_title()
        'spectral radius 2.000'
    """
    inside, outside = "inside the circle", "outside"
    if isinstance(result, Spectrum):
        title = f"spectral radius {result.spectral_radius:.3f}"
    else:
        require_result(result, Linearisation, "linearisation")
        title = f"{result.kind},\nspectral radius {result.spectral_radius:.3f}"
        if result.stability is Stability.UNDETERMINED:
            title = f"not smooth here;\nspectral radius {result.spectral_radius:.3f}"
        inside, outside = "die out", "grow"
    values = result.eigenvalues
    ax = axes_or_new(ax)
    angles = np.linspace(0, 2 * np.pi, 200)
    ax.plot(
        np.cos(angles), np.sin(angles), color="0.7", linewidth=1, label="unit circle"
    )
    grows = np.abs(values) > 1
    for chosen, face, label in ((~grows, _DARK, inside), (grows, "white", outside)):
        if chosen.any():
            ax.scatter(
                values[chosen].real,
                values[chosen].imag,
                s=18,
                facecolors=face,
                edgecolors=_DARK,
                label=f"{int(chosen.sum())} {label}",
                zorder=3,
            )
    ax.set(xlabel="real part of eigenvalue", ylabel="imaginary part", aspect="equal")
    # Axes of equal scale are narrow, and more ticks than these run into one another.
    ax.locator_params(nbins=5)
    ax.set_title(title, fontsize=small(ax))
    legend(ax)
    return tidy(ax)
