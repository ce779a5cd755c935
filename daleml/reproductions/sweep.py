"""Figures of a paper: numbers against a swept parameter, for several arms and all seeds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from daleml.experiments.experiment import Experiment, Numbers
from daleml.experiments.seed_intervals import mean_interval

READING = "Lines are means over seeds, bands their 95 % intervals, dots the seeds."
"""How to read such a figure, for its caption."""

SEEN = READING
"""What the first edition called :data:`READING`."""


P = TypeVar("P", bound=type)


def _takes_turned(panel: P) -> P:
    """Let a class take ``swept`` by the keyword ``turned`` too, its name in the first edition."""
    constructor: Any = panel.__init__  # type: ignore[misc]

    @functools.wraps(constructor)
    def take(self: Any, *args: Any, **options: Any) -> None:
        # With both, the constructor refuses `turned` in the words of Python.
        if "turned" in options and "swept" not in options:
            options["swept"] = options.pop("turned")
        constructor(self, *args, **options)

    setattr(panel, "__init__", take)  # noqa: B010
    return panel


@_takes_turned
@dataclass(frozen=True)
class Panel:
    """One pair of axes: some numbers of an experiment against one of its settings.

    Attributes:
        experiment: What measures the numbers.
        swept: Name of the setting that lists the values of the swept parameter:
            ``"horizons_ms"``.
        curves: By label, the name of the number that the experiment returns, with ``{x:g}`` for
            the value of the swept parameter.
        x_label: The swept parameter, with its unit.
        y_label: What is measured, with its unit.
        log_x: Whether the axis of the swept parameter is logarithmic.
        log_y: Whether the axis of the numbers is logarithmic; their logarithms are averaged then.
        y_limits: Limits of the axis of the numbers; default: those of the numbers themselves.
        reference: A value to compare with, drawn dashed.
        reference_label: What the reference is.

    Example:
        >>> from daleml.reproductions import Experiment
        >>> experiment = Experiment("toy", lambda seed, settings: {}, {"quick": {"mm": [1, 4]}}, {})
        >>> panel = Panel(experiment, "mm", {"effect": "effect at {x:g}"}, "size, mm", "mV")
        >>> panel.values("quick"), sorted(panel.numbers("quick"))
        ((1.0, 4.0), ['effect at 1', 'effect at 4'])
    """

    experiment: Experiment
    swept: str
    curves: Mapping[str, str]
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    y_limits: tuple[float, float] | None = None
    reference: float | None = None
    reference_label: str = ""

    @property
    def turned(self) -> str:
        """What the first edition called :attr:`swept`."""
        return self.swept

    def values(self, budget: str) -> tuple[float, ...]:
        """Return the values of the swept parameter.

        Args:
            budget: The budget whose settings are meant.
        """
        return tuple(float(x) for x in self.experiment.settings[budget][self.swept])

    def numbers(self, budget: str) -> set[str]:
        """Return the names of the numbers that the panel shows.

        Args:
            budget: The budget whose settings are meant.
        """
        values = self.values(budget)
        return {name.format(x=x) for name in self.curves.values() for x in values}


@dataclass(frozen=True)
class Sweep:
    """A figure of a paper: one or several panels.

    Attributes:
        name: The name of its file: ``"nudge"``.
        title: What the figure shows.
        caption: How it was made, in a sentence or two.
        panels: The panels, from left to right.
        paper: Short name of the paper: ``"equilibrium"``. Its
            :class:`~daleml.reproductions.Paper` writes it.

    Example:
        >>> from daleml.reproductions import find, sweeps_of
        >>> nudge, = sweeps_of(find(["equilibrium"]))
        >>> nudge.title
        'Error of the gradient against the size of the nudge and the number of points.'
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    paper: str = ""


@dataclass(frozen=True)
class Curve:
    """What the seeds gave for one arm.

    Attributes:
        label: The name of the arm.
        x: The values of the swept parameter.
        values: What was measured, (seeds, x).
        mean: The mean over seeds; on a logarithmic axis the geometric one.
        low: The lower end of its 95 % interval, by Student's t; NaN of a single seed.
        high: The upper end.
    """

    label: str
    x: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what was measured as plain values, ready for JSON."""
        values = [list(seed) for seed in self.values]
        return {"label": self.label, "x": list(self.x), "values": values}


@dataclass(frozen=True)
class Swept:
    """A figure's numbers.

    Attributes:
        sweep: The figure.
        curves: One tuple of curves per panel.

    Example:
        >>> from daleml.reproductions import Experiment, Panel, Sweep
        >>> experiment = Experiment("toy", lambda seed, settings: {}, {"quick": {"mm": [1, 4]}}, {})
        >>> panel = Panel(experiment, "mm", {"effect": "effect at {x:g}"}, "size, mm", "mV")
        >>> seeds = [{"effect at 1": 2.0, "effect at 4": 3.0}]
        >>> swept = measure(Sweep("sizes", "", "", (panel,)), "quick", lambda experiment: seeds)
        >>> swept.curves[0][0].mean
        (2.0, 3.0)
    """

    sweep: Sweep
    curves: tuple[tuple[Curve, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        panels = []
        for panel, curves in zip(self.sweep.panels, self.curves, strict=True):
            plain = [curve.to_dict() for curve in curves]
            panels.append({"x": panel.x_label, "y": panel.y_label, "curves": plain})
        return {
            "name": self.sweep.name,
            "paper": self.sweep.paper,
            "title": self.sweep.title,
            "caption": self.sweep.caption,
            "panels": panels,
        }


def measure(
    sweep: Sweep, budget: str, seeds_of: Callable[[Experiment], Sequence[Numbers]]
) -> Swept | None:
    """Read a figure from the numbers of every seed; None if an experiment has none.

    Args:
        sweep: The figure.
        budget: The budget at which its experiments were run.
        seeds_of: Returns the numbers of an experiment, one mapping per seed.

    Raises:
        KeyError: If a seed lacks a number that the figure shows.
    """
    panels = []
    for panel in sweep.panels:
        seeds = seeds_of(panel.experiment)
        # Before anything was run there is nothing to draw, which is no error.
        if not seeds:
            return None
        curves = [_curve(panel, budget, label, seeds) for label in panel.curves]
        panels.append(tuple(curves))
    return Swept(sweep, tuple(panels))


def _curve(panel: Panel, budget: str, label: str, seeds: Sequence[Numbers]) -> Curve:
    x_values, name = panel.values(budget), panel.curves[label]
    rows = [[numbers[name.format(x=x)] for x in x_values] for numbers in seeds]
    values = np.array(rows)
    if panel.log_y:
        # The mean of logarithms is the logarithm of the geometric mean.
        mean, low, high = np.exp(_means(np.log(values)))
    else:
        mean, low, high = _means(values)
    return Curve(
        label,
        x_values,
        tuple(map(tuple, values.tolist())),
        tuple(mean.tolist()),
        tuple(low.tolist()),
        tuple(high.tolist()),
    )


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each column and the ends of its interval, (3, columns)."""
    columns = [(column.mean(), *mean_interval(column)) for column in values.T]
    return np.array(columns).T
