"""Choices counted by the strength of the stimulus, as the likelihood of a curve needs them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from daleml import require
from daleml.analysis.activity import psychometric_likelihood as likelihood
from daleml.analysis.activity.plain_values import real_numbers, same_length
from daleml.analysis.activity.psychometric_likelihood import Array, Counts

PARAMETERS = ("bias", "slope", "lapse_low", "lapse_high")
"""The parameters of a curve, in the order of the likelihood's."""


class Scale(NamedTuple):
    """How strengths were scaled to [-1, 1]."""

    centre: float
    half: float

    def back(self, params: Array) -> dict[str, Any]:
        """Return parameters in the unit of the strengths, by name."""
        bias, slope, low, high = params
        values = (bias * self.half + self.centre, slope / self.half, low, high)
        return dict(zip(PARAMETERS, map(float, values), strict=True))


def require_options(shape: object, n_lapses: object, max_lapse: object) -> None:
    """Raise unless the options of a curve are in range."""
    if shape not in likelihood.SHAPES:
        names = " or ".join(repr(one) for one in likelihood.SHAPES)
        raise ValueError(f"`shape` must be {names}; got {shape!r}.")
    if require.integer("n_lapses", n_lapses) > 2:
        raise ValueError(f"`n_lapses` must be 0, 1 or 2; got {n_lapses}.")
    if not 0 < require.number("max_lapse", max_lapse) <= 0.5:
        raise ValueError(
            f"`max_lapse` must be above 0 and at most 0.5; got {max_lapse}."
        )


def counts_by_strength(strengths: object, choices: object) -> tuple[Counts, Scale, int]:
    """Return choices by scaled strength, the scale, and the number of trials left out."""
    at = real_numbers("strengths", strengths)
    made = real_numbers("choices", choices)
    n = same_length(strengths=at, choices=made)
    if np.isinf(at).any():
        raise ValueError("`strengths` must be finite, or NaN; got an infinite one.")
    # A network may not answer, and an animal need not.
    kept = ~(np.isnan(at) | np.isnan(made))
    at, made = at[kept], made[kept]
    wrong = made[(made != 0) & (made != 1)]
    if wrong.size:
        raise ValueError(
            "`choices` must be 0 or 1, or NaN where none was made; got"
            f" {wrong[0]:g}: compare them with the choice that counts."
        )
    if not at.size:
        raise ValueError(
            f"`choices` must have been made in some trial; got none in {n}."
        )
    levels, which = np.unique(at, return_inverse=True)
    centre = float(levels[0] + levels[-1]) / 2
    # A single strength has no width to scale by.
    half = float(levels[-1] - levels[0]) / 2 or 1.0
    total = np.bincount(which).astype(np.float64)
    chosen = np.bincount(which, weights=made).astype(np.float64)
    counts = Counts((levels - centre) / half, chosen, total)
    return counts, Scale(centre, half), n - int(kept.sum())
