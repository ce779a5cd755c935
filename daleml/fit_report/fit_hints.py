"""What looks wrong in a sample, and which option says so: hints, not verdicts."""

from __future__ import annotations

from daleml.analysis.distributions.families.family import Array
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.recording import recording_hints


def hints(
    values: Array,
    observation: Observation,
    *,
    n_zero: int = 0,
    negative: Array | None = None,
) -> tuple[str, ...]:
    """Return hints on magnitudes, one sentence each.

    Args:
        values: Magnitudes above zero, of all groups.
        observation: How the caller says they were observed.
        n_zero: Number of exact zeros that were left out.
        negative: Sizes of the values of the other sign that were left out.
    """
    return tuple(
        hint.in_options
        for hint in recording_hints(
            values, observation, n_zero=n_zero, negative=negative
        )
    )
