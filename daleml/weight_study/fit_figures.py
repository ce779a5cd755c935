"""The figures of a study, by the name of their file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from daleml.analysis import Comparison, GroupComparison, plots
from daleml.analysis.distributions.vuong import FEW
from daleml.analysis.plots.drawing import Drawing
from daleml.weight_study.fit_study import Study

_ROW = 0.95  # inches a group


def overview(study: Study) -> Drawing:
    """Draw the one figure that says most: four panels of a comparison, or all groups."""
    label = study.gathered.label
    if isinstance(study.result, Comparison):
        caption = "Density, upper tail, quantiles against the best family, and how families rank."
        return Drawing(plots.comparison_figure(study.result, xlabel=label), caption)
    rows = len(study.result.groups) + len(study.result.failures)
    caption = (
        "Each group with its best family, on one axis. Rows are as high as their own"
        " highest point; the tick below is the median."
    )
    return _drawn(
        caption,
        plots.groups,
        study.result,
        height=max(3.0, 1.6 + _ROW * rows),
        xlabel=label,
    )


def draw(study: Study) -> Iterator[tuple[str, Drawing]]:
    """Draw every figure of a study, by name.

    ``density``, ``ccdf``, ``qq``, ``ranking``, ``resemblance``.

    Those of a group have its name in front, ``E-density``; and there is one of all of them,
    ``groups``.
    """
    if isinstance(study.result, GroupComparison):
        yield "groups", overview(study)
    for (group, comparison), name in zip(
        study.comparisons.items(), names(study).values(), strict=True
    ):
        prefix = f"{name}-" if name else ""
        of = f"{study.title(group)}: " if group else ""
        label, best = study.gathered.label, comparison.best
        seen = f" ({best.observation})" if str(best.observation) else ""
        # Too few carry no curve, so that there is none to speak of.
        described = (
            "" if best.total < FEW else ", and the families that describe them best"
        )
        yield (
            f"{prefix}density",
            _drawn(
                f"{of}{best.n:,} weights{seen}{described}.",
                plots.families,
                comparison,
                xlabel=label,
            ),
        )
        if (
            best.total < FEW
        ):  # its values, and no curve, band or ranking that they could carry
            continue
        yield (
            f"{prefix}ranking",
            _drawn(
                f"{of}{'how' if of else 'How'} families rank; filled marks cannot be told"
                " apart.",
                plots.family_bars,
                comparison,
            ),
        )
        yield (
            f"{prefix}ccdf",
            _drawn(
                f"{of}{'the' if of else 'The'} upper tail.",
                plots.ccdf,
                comparison,
                xlabel=label,
            ),
        )
        yield (
            f"{prefix}qq",
            _drawn(
                f"{of}{'on' if of else 'On'} the line is {best.family}; the band holds 95 %"
                " of samples drawn from it.",
                plots.qq,
                best,
                xlabel=label,
            ),
        )
        if group in study.resemblances:
            caption = (
                f"{of}{'shapes' if of else 'Shapes'} without scale, beside"
                f" {study.reference}."
            )
            yield (
                f"{prefix}resemblance",
                _drawn(caption, plots.resemblance, study.resemblances[group]),
            )


def names(study: Study) -> dict[str, str]:
    """Return a name for the files of each group, free of what a file's name must not have."""
    found: dict[str, str] = {}
    for group in study.comparisons:
        name = safe(group)[:60]
        while name in found.values():
            name += "_"
        found[group] = name
    return found


def safe(name: str) -> str:
    """Return a name without what a file's must not have."""
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
