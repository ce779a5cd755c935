"""Hints on how weights were recorded, and on the observation that would be right for them.

They are hints, not verdicts.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.distributions.detection_limits import (
    edge_below,
    pile_above,
    pile_below,
)
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.recording_hint import Hint
from daleml.analysis.distributions.rounding import Steps
from daleml.analysis.distributions.rounding_detection import Rounding, detect_rounding

if TYPE_CHECKING:
    from daleml.analysis.weights.sample import WeightSample

Array = NDArray[np.float64]

# Whole numbers as large are not said to be counts: half of one is nothing beside them.
_LARGE = 1e4

# More negative values than this fraction of the positive ones are of another kind, not noise.
_FEW_BELOW = 0.5

LOOKED_AT = 1 << 20
"""Of more values than this, so many are looked at, which is said."""

# Of fewer values, nothing is said of noise.
_ENOUGH_FOR_NOISE = 20


def recording_hints(
    values: Array,
    observation: Observation,
    *,
    n_zero: int = 0,
    negative: Array | None = None,
) -> tuple[Hint, ...]:
    """Return what looks wrong in magnitudes.

    Args:
        values: Magnitudes above zero, of all groups.
        observation: How the caller says they were observed.
        n_zero: Number of exact zeros that were left out.
        negative: Sizes of the values of the other sign that were left out.
    """
    if not values.size:
        return ()
    rounding = detect_rounding(values) if observation.grid is None else None
    whole = bool(np.all(values == np.floor(values)))
    step = _step(observation, rounding, whole=whole)
    found = [
        _rounding_hint(values, observation, rounding, whole=whole),
        _zeros_hint(n_zero, observation),
    ]
    ceiling = math.inf
    above = pile_above(values, observation, step)
    if above is not None:
        ceiling = above.changes["censoring"][1]
    below = pile_below(values, observation, step, ceiling=ceiling)
    found += [above, below]
    unbounded = observation.truncation is None and observation.censored_below == 0
    if below is None and unbounded:
        found.append(edge_below(values, observation, step, whole=whole))
    if negative is not None:
        found.append(noise_hint(values, negative))
    return tuple(hint for hint in found if hint is not None)


def hints_on_sample(
    sample: WeightSample, observation: Observation, *, n_zero: int = 0
) -> tuple[Hint, ...]:
    """Return what looks wrong in a sample; of very many values, in some of them."""
    found = recording_hints(
        sample.some_values(LOOKED_AT),
        observation,
        n_zero=n_zero,
        # The values of the other sign are few, or of another kind.
        negative=sample.others() if sample.n_dropped <= LOOKED_AT else None,
    )
    if sample.n <= LOOKED_AT:
        return found
    looked_at = f"Of 1 value in {math.ceil(sample.n / LOOKED_AT):,}"
    return tuple(
        replace(hint, said=f"{looked_at}: {hint.said[0].lower()}{hint.said[1:]}")
        for hint in found
    )


def noise_hint(values: Array, negative: Array) -> Hint | None:
    r"""Return a hint if values of the other sign look like noise on small weights.

    Noise of standard deviation :math:`s` on a weight :math:`w` adds about :math:`(s/w)^2` to
    the variance of :math:`\ln w`, most where weights are small, and turns some of them
    negative.
    """
    n = values.size + negative.size
    few = 0 < negative.size <= _FEW_BELOW * values.size
    if not few or n < _ENOUGH_FOR_NOISE or negative.max() > float(np.median(values)):
        return None
    # One number again and again is no noise, but a code.
    if negative.size > 2 and np.ptp(negative) == 0:
        return None
    noise = float(np.sqrt(np.mean(negative**2)))
    said = (
        f"{negative.size:,} values of the other sign are all smaller than the median of the"
        f" {values.size:,} others: they look like small weights with measurement noise, of"
        f" about {noise:.2g}, as after a baseline is subtracted; noise of standard"
        " deviation s adds about (s / w)^2 to the variance of ln w, so that sigma comes"
        " out too large, and no fit here takes it out again"
    )
    return Hint(said)


def _rounding_hint(
    values: Array, observation: Observation, rounding: Rounding | None, *, whole: bool
) -> Hint | None:
    """Return a hint if values look like counts, or were rounded."""
    grid = None if rounding is None else rounding.grid
    coarse = isinstance(grid, Steps) and grid.size > 1
    if whole and observation.grid is None and not coarse:
        if values.min() >= _LARGE:
            return None
        said = (
            "All values are whole numbers and were fitted as continuous ones; if they are"
            " counts"
        )
        return Hint(said, {"discrete": True})
    if rounding is None or not rounding.matters:
        return None
    changes: dict[str, Any] = {"significant": getattr(grid, "number", None)}
    if isinstance(grid, Steps):
        changes = {"resolution": grid.size}
    said = (
        f"The values are {rounding.said} and were fitted as if they were not; if that is"
        " how they were recorded"
    )
    return Hint(said, changes)


def _zeros_hint(n_zero: int, observation: Observation) -> Hint | None:
    """Return a hint if zeros of rounded weights were left out."""
    if not n_zero or observation.resolution is None or observation.zeros != "exclude":
        return None
    said = (
        f"{n_zero:,} zeros were left out, and the fits are of what is rounded to more than"
        f" zero; if they are weights below {observation.low:g} and no absent ones"
    )
    return Hint(said, {"zeros": "censored"})


def _step(observation: Observation, rounding: Rounding | None, *, whole: bool) -> float:
    """Return the step between values that are recorded; 0 if it is too fine to show."""
    if isinstance(observation.grid, Steps):
        return observation.grid.size
    if rounding is not None and rounding.matters and isinstance(rounding.grid, Steps):
        return rounding.grid.size
    return 1.0 if whole else 0.0
