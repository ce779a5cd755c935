"""What can have been recorded, by an observation: rounding, and what is refused."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.observation import Observation

# A recorded number may lie off its grid by this fraction of a step, and this fraction of its
# own size: the digits of its format, and those of single precision.
_OFF_GRID = 1e-3
_SINGLE = 3e-7

# Up to this fraction of the values may have been recorded more precisely than the others.
_MOST_OFF = 0.05


class Recorded(NamedTuple):
    """Values as they can have been recorded.

    Attributes:
        values: The recordable numbers.
        off: Which of them were none.
    """

    values: Array
    off: NDArray[np.bool_]


def on_grid(values: Array, observation: Observation) -> Array:
    """Return the recordable numbers that values are, but for their last digits.

    Raises:
        ValueError: If too many are none.
    """
    found = recorded(values, observation)
    n_off = int(np.count_nonzero(found.off))
    if n_off:
        refuse_off(n_off, values.size, float(values[found.off][0]), observation)
    return found.values


def recorded(values: Array, observation: Observation) -> Recorded:
    """Return the recordable numbers that values are, and which were none."""
    grid = observation.grid
    assert grid is not None
    if observation.discrete:
        return Recorded(values, values != np.round(values))
    rounded = grid.rounded(values)
    off = np.abs(values - rounded) > _OFF_GRID * grid.widths(values) + _SINGLE * values
    if observation.resolution:
        # The few that were recorded more precisely are rounded like the others, and not to zero.
        rounded = np.asarray(np.where(rounded <= 0, grid.ceil(0.0), rounded))
    return Recorded(rounded, off)


def refuse_off(n_off: int, n: int, first: float, observation: Observation) -> None:
    """Raise if too many of ``n`` values cannot have been recorded.

    Raises:
        ValueError: If so, with the first of them.
    """
    if observation.discrete:
        raise ValueError(
            f"`weights` must be whole numbers where `discrete` is True; got {first:g}."
        )
    if n_off <= _MOST_OFF * n:
        return
    if observation.resolution:
        what = f"multiples of `resolution`, {observation.resolution:g}"
    else:
        figures = observation.significant
        what = f"numbers of {figures} significant figures, as `significant` says"
    raise ValueError(
        f"`weights` must be {what}; got {n_off:,} of {n:,} that are"
        f" not, {first:g} for one. Of values that each have ends of their own"
        " take an `interval_sample`."
    )


def refuse_zeros(n_zero: int, observation: Observation) -> None:
    """Raise if there are zeros where there must be none.

    Raises:
        ValueError: If so.
    """
    if observation.zeros == "error" and n_zero:
        raise ValueError(
            f'`weights` must hold no zero where `zeros` is "error"; got {n_zero}.'
        )


def refuse_outside(
    n_outside: int, n: int, first: float, observation: Observation
) -> None:
    """Raise if values lie where none can have been seen.

    Raises:
        ValueError: If so, with the first of them.
    """
    if n_outside:
        raise ValueError(
            f"`weights` must lie within `truncation`, {observation.low:g} to"
            f" {observation.high:g}, or be left out first; got {n_outside} of"
            f" {n} outside it, {first:g} for one."
        )


def refuse_too_few(n_different: int, observation: Observation) -> None:
    """Raise if fewer than two different values are no censored ones.

    Raises:
        ValueError: If so.
    """
    threshold = observation.censored_below
    ceiling = observation.censored_above
    if n_different >= 2:
        return
    if math.isfinite(ceiling):
        given = f"{threshold:g} to {ceiling:g}" if threshold else f"{ceiling:g}"
        raise ValueError(
            "`censoring` must leave at least 2 different weights between its ends; got"
            f" {given}."
        )
    if threshold:
        raise ValueError(
            f"`censoring` must be below at least 2 different weights; got {threshold:g}."
        )
