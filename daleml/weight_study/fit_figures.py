"""The figures of a study, by the name of their file."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from daleml.analysis import Comparison, GroupComparison, plots
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.weight_fit import FEW
from daleml.analysis.plots import figure_sizes
from daleml.analysis.plots.drawing import Drawing
from daleml.weight_study.fit_study import Study

_INCHES_PER_GROUP = 0.95

_WIDTH, _HEIGHT = 5.2, 4.2
"""Of a figure of a page, in inches."""


def overview(study: Study, width: str | None = None) -> Drawing:
    """Draw the one figure that says most: four panels of a comparison, or all groups.

    Args:
        study: What was found.
        width: Of the figure, as :func:`daleml.analysis.plots.figure` takes it; None for the
            width of a page.
    """
    label = study.gathered.axis
    if isinstance(study.result, Comparison):
        caption = "Density, upper tail, quantiles against the best family, and how families rank."
        wide = {} if width is None else {"width": width}
        panels = plots.comparison_figure(study.result, xlabel=label, **wide)
        return Drawing(panels, caption)
    rows = len(study.result.groups) + len(study.result.failures)
    caption = (
        "Each group with its best family, on one axis. Rows are as high as their own"
        " highest point; the tick below is the median."
    )
    # What is left is for the axis and its label.
    height = max(3.0, 1.6 + _INCHES_PER_GROUP * rows)
    return _drawn(
        caption, plots.groups, study.result, width=width, height=height, xlabel=label
    )


def draw(study: Study, width: str | None = None) -> Iterator[tuple[str, Drawing]]:
    """Draw every figure of a study, by name.

    ``density``, ``ccdf``, ``qq``, ``ranking``, ``resemblance``.

    Those of a group have its name in front, ``E-density``; and there is one of all of them,
    ``groups``.

    Args:
        study: What was found.
        width: Of each figure, as :func:`daleml.analysis.plots.figure` takes it; None for the
            width of a page.
    """
    if isinstance(study.result, GroupComparison):
        yield "groups", overview(study, width)
    for group, name in file_names(study).items():
        prefix = f"{name}-" if name else ""
        for kind, drawing in _of_group(study, group, width):
            yield f"{prefix}{kind}", drawing


def _of_group(
    study: Study, group: str, width: str | None
) -> Iterator[tuple[str, Drawing]]:
    """Draw the figures of one comparison."""
    drawn = functools.partial(_drawn, width=width)
    comparison = study.comparisons[group]
    best, label = comparison.best, study.gathered.axis
    few = best.total < FEW
    caption = f"{best.n:,} weights"
    if str(best.observation):
        caption += f" ({best.observation})"
    if not few:
        caption += ", and the families that describe them best"
    caption = study.headed(group, f"{caption}.")
    yield "density", drawn(caption, plots.families, comparison, xlabel=label)
    # Few weights carry no curve, no band and no ranking.
    if few:
        return
    caption = study.headed(
        group, "How families rank; filled marks cannot be told apart."
    )
    yield "ranking", drawn(caption, plots.family_bars, comparison)
    caption = study.headed(group, "The upper tail.")
    yield "ccdf", drawn(caption, plots.ccdf, comparison, xlabel=label)
    caption = study.headed(
        group,
        f"On the line is the {family_label(best.family)}; the band holds 95 % of samples"
        " drawn from it.",
    )
    yield "qq", drawn(caption, plots.qq, best, xlabel=label)
    if group in study.resemblances:
        caption = study.headed(
            group, f"Shapes without scale, beside {study.reference}."
        )
        beside = study.resemblances[group]
        yield "resemblance", drawn(caption, plots.resemblance, beside)


def file_names(study: Study) -> dict[str, str]:
    """Return a name for the files of each group, free of what a file's name must not have."""
    found: dict[str, str] = {}
    for group in study.comparisons:
        name = safe(group)[:60]
        # Two groups may differ only in what a file's name must not have.
        while name in found.values():
            name += "_"
        found[group] = name
    return found


def safe(name: str) -> str:
    """Return a name without what a file's must not have."""
    # Most file systems allow 255 bytes, and a letter may take several.
    return re.sub(r"[^\w.+-]+", "_", name)[:120]


def _drawn(
    caption: str,
    plot: Callable[..., Any],
    *args: Any,
    width: str | None,
    height: float | None = None,
    **kwargs: Any,
) -> Drawing:
    wide = None if width is None else figure_sizes.inches(width)
    if wide is not None and height is None:
        # A figure of the plot's own grows with its key, which nine families make long.
        with plots.style():
            return Drawing(plot(*args, width=width, **kwargs).figure, caption)
    if height is None:
        height = _HEIGHT
    with plots.style(), figure_sizes.letters(wide):
        figure, axes = plots.figure(width=width or _WIDTH, height=height)
        plot(*args, ax=axes[0, 0], **kwargs)
    return Drawing(figure, caption)
