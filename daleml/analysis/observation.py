"""How weights were observed: data are not the distribution that made them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from daleml import _checks

_ZEROS = ("exclude", "hurdle", "error")


@dataclass(frozen=True)
class Observation:
    r"""What an instrument let through.

    Args:
        truncation: ``(low, high)``: magnitudes outside were not seen, and nobody knows how many there were. Either end
            may be None. Of counts, both ends were seen.
        censoring: Magnitudes up to this are known only to be no larger than it: below a threshold of detection, say.
        discrete: Whether magnitudes are whole numbers, 1 or more: a count :math:`k` stands for what lies between
            :math:`k - \tfrac12` and :math:`k + \tfrac12`, and counts of zero were not seen.
        zeros: ``"exclude"`` counts exact zeros and leaves them out; ``"hurdle"`` takes them for pairs without a
            connection, so that a fit has a connection probability beside the strengths of those there are;
            ``"error"`` refuses them.

    Raises:
        TypeError: If a bound is not a number.
        ValueError: If the bounds leave no room, or ``zeros`` is none of the three.
    """

    truncation: tuple[float | None, float | None] | None = None
    censoring: float | None = None
    discrete: bool = False
    zeros: str = "exclude"

    def __post_init__(self) -> None:
        if self.zeros not in _ZEROS:
            raise ValueError(f"`zeros` must be one of {', '.join(_ZEROS)}; got {self.zeros!r}.")
        _checks.flag("discrete", self.discrete)
        if self.truncation is not None:
            try:
                low, high = self.truncation
            except (TypeError, ValueError):
                raise ValueError(f"`truncation` must be a pair, (low, high); got {self.truncation!r}.") from None
            ends = (
                0.0 if low is None else _checks.non_negative("truncation[0]", low),
                math.inf if high is None or high == math.inf else _checks.positive("truncation[1]", high),
            )
            if ends[0] >= ends[1]:
                raise ValueError(f"`truncation` must be (low, high) with low below high; got {self.truncation!r}.")
            object.__setattr__(self, "truncation", ends)
            if self.low >= self.high:  # between two whole numbers
                raise ValueError(
                    "`truncation` must hold a whole number above 0 where `discrete` is True; "
                    f"got {ends[0]:g} to {ends[1]:g}."
                )
        if self.censoring is not None:
            threshold = _checks.positive("censoring", self.censoring)
            if self.discrete:
                raise ValueError("`censoring` must be None where `discrete` is True; got both.")
            if not self.low < threshold < self.high:
                raise ValueError(f"`censoring` must lie inside `truncation`; got {threshold} and {self.truncation}.")
            object.__setattr__(self, "censoring", threshold)

    @property
    def low(self) -> float:
        """The lower end of what was seen; of counts, half below the least."""
        low = 0.0 if self.truncation is None else float(self.truncation[0] or 0.0)
        return max(math.ceil(low), 1) - 0.5 if self.discrete else low

    @property
    def high(self) -> float:
        """The upper end of what was seen; of counts, half above the most."""
        high = math.inf if self.truncation is None or self.truncation[1] is None else self.truncation[1]
        return math.floor(high) + 0.5 if self.discrete and math.isfinite(high) else high

    @property
    def whole(self) -> bool:
        """Whether every magnitude was seen, as it is."""
        return not self.discrete and self.censoring is None and self.low == 0 and self.high == math.inf

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        truncation = (
            None if self.truncation is None else [end if math.isfinite(end or 0) else None for end in self.truncation]
        )
        return {"truncation": truncation, "censoring": self.censoring, "discrete": self.discrete, "zeros": self.zeros}

    def __str__(self) -> str:
        parts = ["counts, zero not seen"] if self.discrete else []
        if self.truncation is not None:
            parts.append(
                f"seen from {self.low:g} to {self.high:g}" if self.high < math.inf else f"seen above {self.low:g}"
            )
        if self.censoring is not None:
            parts.append(f"censored at {self.censoring:g}")
        return ", ".join(parts)
