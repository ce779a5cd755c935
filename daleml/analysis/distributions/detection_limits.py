"""Signs of a limit of detection: values that pile up at an end, or that do not thin out there."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.recording_hint import Hint

Array = NDArray[np.float64]

# Of fewer values, an edge cannot be told from chance.
_ENOUGH = 50

# An edge holds at least so many values, and this fraction of the densest place of the same width.
_AT_LEAST = 5
_NOT_THIN = 0.2

# Fewer equal values at an end may be chance. A pile holds this many times the values of the
# fullest of the neighbouring cells, of which so many are looked at.
_PILE = 4
_PILED = 2.5
_NEIGHBOURS = 2

# A value stands apart if its gap is this many times the median gap of so many values that
# follow, and this fraction of the next value.
_GAP = 8.0
_FOLLOWING = 10
_GAP_FRACTION = 0.1


def pile_above(values: Array, observation: Observation, step: float) -> Hint | None:
    """Return a hint if many values equal the largest, as of an instrument that saturates."""
    if observation.censored_above < math.inf or math.isfinite(observation.high):
        return None
    distinct, counts = np.unique(values, return_counts=True)
    if not _piled(counts[::-1], distinct[::-1], step):
        return None
    largest = float(distinct[-1])
    beside = float(distinct[-2])
    said = (
        f"{counts[-1]:,} values equal the largest, {largest:g}, where larger values thin"
        " out: it may be a ceiling at which an instrument saturates; if larger ones were"
        " recorded as it"
    )
    ceiling = largest
    if _apart(-distinct[::-1]):
        ceiling = _beyond(beside, upwards=True)
        said = (
            f"{counts[-1]:,} values equal the largest, {largest:g}, and none lies between"
            f" {beside:g} and it: it may stand for all that are larger than {ceiling:g}, or"
            " for a value that is missing; if for larger ones"
        )
    return Hint(said, {"censoring": (observation.censored_below or None, ceiling)})


def pile_below(
    values: Array, observation: Observation, step: float, *, ceiling: float
) -> Hint | None:
    """Return a hint if many values equal the smallest, as if set to a limit of detection."""
    if observation.censored_below > 0 or observation.truncation is not None:
        return None
    distinct, counts = np.unique(values, return_counts=True)
    # Next to zero, where many families have most of their values, a pile tells nothing.
    if observation.discrete or (step and distinct[0] < 1.5 * step):
        return None
    if not _piled(counts, distinct, step):
        return None
    smallest = float(distinct[0])
    beside = float(distinct[1])
    limit = smallest
    said = (
        f"{counts[0]:,} values equal the smallest, {smallest:g}: it may be a limit of"
        " detection that was written down for all that are smaller; if so"
    )
    # Many write down half a limit of detection for what lies below it.
    if _apart(distinct):
        limit = _beyond(beside, upwards=False)
        said = (
            f"{counts[0]:,} values equal the smallest, {smallest:g}, and none lies between"
            f" it and {beside:g}: it may stand for all that are smaller than {limit:g};"
            " if so"
        )
    above = min(observation.censored_above, ceiling)
    if math.isinf(above):
        return Hint(said, {"censoring": limit})
    return Hint(said, {"censoring": (limit, above)})


def edge_below(
    values: Array, observation: Observation, step: float, *, whole: bool
) -> Hint | None:
    """Return a hint if values do not thin out towards the smallest.

    Values above a threshold of detection do not.
    """
    values = np.sort(values)
    smallest = float(values[0])
    # Of counts, and of rounded values, what lies below half a step is not seen, which a grid
    # knows.
    if values.size < _ENOUGH or (step and smallest < 1.5 * step):
        return None
    logs = np.log(values)
    width = 0.1 * float(logs.std())
    if step:
        width = max(width, math.log1p(step / smallest))
    beyond = np.searchsorted(logs, logs + width * (1 + 1e-9), side="left")
    near = beyond - np.searchsorted(logs, logs, side="left")
    if near[0] < max(_AT_LEAST, _NOT_THIN * near.max()):
        return None
    bound = _rounded_down(smallest)
    if step and not observation.discrete:
        bound = float(f"{smallest - step / 2:.12g}")
    said = (
        f"The smallest value, {smallest:g}, may be a threshold of detection: {near[0]:,}"
        " values lie at it or just above, where a distribution that was seen whole thins"
        " out; if smaller ones could not be seen"
    )
    return Hint(said, {"truncation": (bound, None)})


def _apart(ascending: Array) -> bool:
    """Whether the first value lies much farther from the second than the following do."""
    gaps = np.diff(ascending[: 2 + _FOLLOWING])
    if not gaps.size > 3:
        return False
    wide = gaps[0] > _GAP_FRACTION * abs(ascending[1])
    return bool(wide and gaps[0] > _GAP * np.median(gaps[1:]))


def _beyond(value: float, *, upwards: bool) -> float:
    """Return a number of three figures beside a value, on the side where no other value lies."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    steps = value / step
    if upwards:
        whole = math.ceil(steps - 1e-9)
    else:
        whole = math.floor(steps + 1e-9)
    # The value itself must stay outside.
    if abs(whole - steps) < 1e-6:
        whole += 1 if upwards else -1
    return float(f"{whole * step:.3g}")


def _piled(counts: NDArray[np.intp], distinct: Array, step: float) -> bool:
    """Whether the first count stands out of those beside it.

    Empty cells of a grid are among those.
    """
    if counts.size < 3 or counts[0] < _PILE:
        return False
    near = counts[1 : 1 + _NEIGHBOURS]
    if not step:
        return bool(counts[0] > _PILED * near.max() + 1)
    cells_away = np.abs(distinct[1 : 1 + _NEIGHBOURS] - distinct[0]) / step
    beside = near[cells_away < _NEIGHBOURS + 0.5]
    fullest = float(beside.max(initial=1))
    return bool(counts[0] > _PILED * fullest and counts[0] > _PILE)


def _rounded_down(value: float) -> float:
    """Return a value of at most six digits that is not above it.

    A bound there leaves nothing out.
    """
    rounded = float(f"{value:.6g}")
    if rounded <= value:
        return rounded
    unit = 10.0 ** (math.floor(math.log10(value)) - 5)
    return float(f"{value - unit:.6g}")
