"""What looks wrong in a sample, and which option says so: hints, not verdicts."""

from __future__ import annotations

import math

import numpy as np

from daleml.analysis.families.base import Array
from daleml.analysis.observation import Observation

_ENOUGH = 50  # values, below which an edge cannot be told from chance
_AT_LEAST = 5
_NOT_THIN = 0.2  # of the height of the peak


def hints(values: Array, observation: Observation) -> tuple[str, ...]:
    """Return hints on magnitudes, one sentence each.

    Args:
        values: Magnitudes above zero, of all groups.
        observation: How the caller says they were observed.
    """
    found = []
    whole = bool(np.all(values == np.floor(values)))
    if whole and not observation.discrete:
        found.append(
            "All values are whole numbers and were fitted as continuous ones; if they are counts, pass `--discrete`."
        )
    if observation.truncation is None and observation.censoring is None:
        found += _edge(values, whole=whole, discrete=observation.discrete)
    return tuple(found)


def _edge(values: Array, *, whole: bool, discrete: bool) -> list[str]:
    """Say so if values do not thin out towards the smallest, as those above a threshold of detection do not."""
    values = np.sort(values)
    smallest = float(values[0])
    if values.size < _ENOUGH or (whole and smallest == 1):
        return []  # of counts, zero is not seen, which `--discrete` knows
    logs = np.log(values)
    width = max(0.1 * float(logs.std()), math.log1p(1 / smallest) if whole else 0.0)
    near = np.searchsorted(logs, logs + width * (1 + 1e-9), side="left") - np.searchsorted(logs, logs, side="left")
    if near[0] < max(_AT_LEAST, _NOT_THIN * near.max()):
        return []
    bound = smallest if discrete or not whole else smallest - 0.5
    return [
        f"The smallest value, {smallest:g}, may be a threshold of detection: {near[0]:,} values lie at it or just "
        "above, where a distribution that was seen whole thins out; if smaller ones could not be seen, pass "
        f"`--truncate-below {bound:g}`."
    ]
