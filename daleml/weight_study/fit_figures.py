"""The figures of a study, by the name of their file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from daleml.analysis import Comparison, GroupComparison, plots
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.weight_fit import FEW
from daleml.analysis.plots.drawing import Drawing
from daleml.weight_study.fit_study import Study

_INCHES_PER_GROUP = 0.95


def overview(study: Study) -> Drawing:
    """Draw the one figure that says most: four panels of a comparison, or all groups."""
    label = study.gathered.axis
    if isinstance(study.result, Comparison):
        caption = "Density, upper tail, quantiles against the best family, and how families rank."
        return Drawing(plots.comparison_figure(study.result, xlabel=label), caption)
    rows = len(study.result.groups) + len(study.result.failures)
    caption = (
        "Each group with its best family, on one axis. Rows are as high as their own"
        " highest point; the tick below is the median."
    )
    # What is left is for the axis and its label.
    height = max(3.0, 1.6 + _INCHES_PER_GROUP * rows)
    return _drawn(caption, plots.groups, study.result, height=height, xlabel=label)


def draw(study: Study) -> Iterator[tuple[str, Drawing]]:
    """Draw every figure of a study, by name.

    ``density``, ``ccdf``, ``qq``, ``ranking``, ``resemblance``.

    Those of a group have its name in front, ``E-density``; and there is one of all of them,
    ``groups``.
    """
    if isinstance(study.result, GroupComparison):
        yield "groups", overview(study)
    for group, name in file_names(study).items():
        prefix = f"{name}-" if name else ""
        for kind, drawing in _of_group(study, group):
            yield f"{prefix}{kind}", drawing


def _of_group(study: Study, group: str) -> Iterator[tuple[str, Drawing]]:
    """Draw the figures of one comparison."""
    comparison = study.comparisons[group]
    best, label = comparison.best, study.gathered.axis
    few = best.total < FEW
    caption = f"{best.n:,} weights"
    if str(best.observation):
        caption += f" ({best.observation})"
    if not few:
        caption += ", and the families that describe them best"
    caption = study.headed(group, f"{caption}.")
    yield "density", _drawn(caption, plots.families, comparison, xlabel=label)
    # Few weights carry no curve, no band and no ranking.
    if few:
        return
    caption = study.headed(
        group, "How families rank; filled marks cannot be told apart."
    )
    yield "ranking", _drawn(caption, plots.family_bars, comparison)
    caption = study.headed(group, "The upper tail.")
    yield "ccdf", _drawn(caption, plots.ccdf, comparison, xlabel=label)
    caption = study.headed(
        group,
        f"On the line is the {family_label(best.family)}; the band holds 95 % of samples"
        " drawn from it.",
    )
    yield "qq", _drawn(caption, plots.qq, best, xlabel=label)
    if group in study.resemblances:
        caption = study.headed(
            group, f"Shapes without scale, beside {study.reference}."
        )
        beside = study.resemblances[group]
        yield "resemblance", _drawn(caption, plots.resemblance, beside)


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
    height: float = 4.2,
    **kwargs: Any,
) -> Drawing:
    with plots.style():
        figure, axes = plots.figure(height=height)
        plot(*args, ax=axes[0, 0], **kwargs)
    return Drawing(figure, caption)
