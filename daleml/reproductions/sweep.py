"""Figures of a paper: how a number changes with what is turned, for several arms, over all seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daleml.reproductions.claim import Experiment, Numbers
from daleml.reproductions.verdict import mean_interval

SEEN = "Lines are means over seeds, bands their 95 % intervals, dots the seeds."


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        experiment: What measures it.
        turned: The setting that lists what is turned: ``"horizons_ms"``.
        curves: By label, what the experiment calls its number, with ``{x:g}`` for what is turned.
        x_label: What is turned, with its unit.
        y_label: What is measured, with its unit.
        log_x: Whether what is turned is drawn on a logarithmic axis.
        log_y: Whether what is measured is, and averaged in its logarithm.
        y_limits: Of the axis; default: of what was measured.
        reference: A value to compare with, drawn dashed.
        reference_label: What that is.
    """

    experiment: Experiment
    turned: str
    curves: Mapping[str, str]
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    y_limits: tuple[float, float] | None = None
    reference: float | None = None
    reference_label: str = ""


@dataclass(frozen=True)
class Sweep:
    """A figure.

    Attributes:
        name: Of its file: ``"nudge"``.
        title: What is turned, and what is seen.
        caption: How it was made, in a sentence or two.
        panels: From left to right.
        paper: Short name of the paper: ``"equilibrium"``. Its
            :class:`~daleml.reproductions.Paper` writes it.
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
        label: Of the arm.
        x: What was turned.
        values: (seeds, x).
        mean: Over seeds; on a logarithmic axis the geometric one.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
    """

    label: str
    x: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Swept:
    """A figure's numbers.

    Attributes:
        sweep: The figure.
        curves: One tuple a panel.
    """

    sweep: Sweep
    curves: tuple[tuple[Curve, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        panels = [
            {
                "x": panel.x_label,
                "y": panel.y_label,
                "curves": [_plain(curve) for curve in curves],
            }
            for panel, curves in zip(self.sweep.panels, self.curves, strict=True)
        ]
        sweep = self.sweep
        said = {
            "name": sweep.name,
            "paper": sweep.paper,
            "title": sweep.title,
            "caption": sweep.caption,
        }
        return {**said, "panels": panels}


def measure(
    sweep: Sweep, budget: str, seeds_of: Callable[[Experiment], Sequence[Numbers]]
) -> Swept | None:
    """Read a figure from the numbers of every seed; None if an experiment has none.

    Raises:
        KeyError: If a seed lacks a number that the figure shows.
    """
    panels = []
    for panel in sweep.panels:
        seeds = seeds_of(panel.experiment)
        if not seeds:
            return None
        turned = tuple(
            float(x) for x in panel.experiment.settings[budget][panel.turned]
        )
        panels.append(
            tuple(
                _curve(panel, label, name, turned, seeds)
                for label, name in panel.curves.items()
            )
        )
    return Swept(sweep, tuple(panels))


def names(panel: Panel, budget: str) -> set[str]:
    """Return the names of the numbers that a panel shows."""
    turned = [float(x) for x in panel.experiment.settings[budget][panel.turned]]
    return {name.format(x=x) for name in panel.curves.values() for x in turned}


def _curve(
    panel: Panel,
    label: str,
    name: str,
    turned: tuple[float, ...],
    seeds: Sequence[Numbers],
) -> Curve:
    values = np.array(
        [[numbers[name.format(x=x)] for x in turned] for numbers in seeds]
    )
    shown = np.log(values) if panel.log_y else values
    ends = np.array([(column.mean(), *mean_interval(column)) for column in shown.T])
    mean, low, high = (np.exp(ends) if panel.log_y else ends).T.tolist()
    return Curve(
        label,
        turned,
        tuple(map(tuple, values.tolist())),
        tuple(mean),
        tuple(low),
        tuple(high),
    )


def _plain(curve: Curve) -> dict[str, Any]:
    return {
        "label": curve.label,
        "x": list(curve.x),
        "values": [list(seed) for seed in curve.values],
    }
