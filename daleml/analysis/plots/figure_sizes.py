"""Widths of figures, by number or by the column of a journal, and the letters that suit them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

COLUMNS = {"single": 89.0, "double": 183.0}
"""Widths of a journal's columns, in mm: those of Nature, which most others come close to."""

_MM_PER_INCH = 25.4
_UNITS = {"mm": _MM_PER_INCH, "cm": _MM_PER_INCH / 10, "in": 1.0}

# A figure as narrow as this, in inches, has the letters of print; 7 points is the least that
# journals ask for.
_NARROW = 4.5
_PRINT: dict[str, Any] = {
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "axes.linewidth": 0.8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.size": 3.5,
    "ytick.major.size": 3.5,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.minor.size": 2.0,
    "ytick.minor.size": 2.0,
    "xtick.minor.width": 0.6,
    "ytick.minor.width": 0.6,
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 7.5,
}


def inches(width: object) -> float:
    """Return a width in inches.

    Args:
        width: A number of inches; "single" or "double", a column of a journal or both; or a
            number with its unit, as "120 mm".

    Raises:
        TypeError: If it is neither a number nor text.
        ValueError: If it is not above 0, or no such text.

    Example:
        >>> inches(5), round(inches("single"), 2), round(inches("120 mm"), 2)
        (5.0, 3.5, 4.72)
    """
    rule = (
        '`width` must be a number of inches above 0, "single", "double", or a number with mm,'
        ' cm or in, as "120 mm"'
    )
    if isinstance(width, bool) or not isinstance(width, (int, float, str)):
        raise TypeError(f"{rule}; got {type(width).__name__}.")
    if isinstance(width, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(mm|cm|in)\s*", width)
        if width in COLUMNS:
            wide = COLUMNS[width] / _MM_PER_INCH
        elif found:
            wide = float(found[1]) / _UNITS[found[2]]
        else:
            raise ValueError(f"{rule}; got {width!r}.")
    else:
        wide = float(width)
    if not 0 < wide < math.inf:
        raise ValueError(f"{rule}; got {width!r}.")
    return wide


@contextmanager
def letters(width: float | None) -> Iterator[None]:
    """Draw with the letters of print where a figure, or one of its columns, is narrow.

    Args:
        width: In inches; None leaves the letters as they are.
    """
    if width is None or width > _NARROW:
        yield
        return
    with parameters(_PRINT):
        yield


@contextmanager
def parameters(chosen: Mapping[str, Any]) -> Iterator[None]:
    """Draw with some of matplotlib's parameters, which are what they were when it ends."""
    import matplotlib as mpl

    # These parameters are put back, not all of them as `rc_context` does: a notebook that
    # imports pyplot in here becomes interactive, and would show no figure after it ceased to be.
    rc_params: Any = mpl.rcParams
    before = {parameter: rc_params[parameter] for parameter in chosen}
    rc_params.update(chosen)
    try:
        yield
    finally:
        rc_params.update(before)
