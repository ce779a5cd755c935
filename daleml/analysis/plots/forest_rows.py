"""The rows of a forest plot: where each check stands beside its bound, in units of its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FARTHEST = 100.0
"""What lies farther to the right of the bound than this is drawn there, as an arrow."""

NEAREST = -10.0
"""What lies farther to the left than this is drawn there, as an arrow."""


@dataclass(frozen=True)
class Row:
    """A check on the axis that all checks share.

    The axis is the distance of a value from the nearest bound, inside what is expected positive
    and outside it negative, divided by half the width of the interval of the mean. So a check
    holds where its whole bar lies at 0 or above, and does not where all of it lies below.

    Attributes:
        label: What was measured.
        expected: The bound in words.
        numbers: The mean and its interval, in words.
        verdict: What the bar says, in words.
        owner: Whose the bound is.
        mean: Where the mean stands.
        low: Where the bar begins.
        high: Where it ends.
        no_effect: Where a number without any effect stands; None where that has no meaning.
    """

    label: str
    expected: str
    numbers: str
    verdict: str
    owner: str
    mean: float
    low: float
    high: float
    no_effect: float | None


@dataclass(frozen=True)
class ClaimRows:
    """A claim with the rows of its checks.

    Attributes:
        id: Its code.
        paper: The short name of its paper.
        verdict: The verdict on all of it.
        owner: Whose claim it is.
        rows: One for each check; none if it was not tested.
    """

    id: str
    paper: str
    verdict: str
    owner: str
    rows: tuple[Row, ...]

    @property
    def deciding(self) -> Row:
        """The check that decides: of those that say what the claim does, the least far out."""
        alike = [row for row in self.rows if row.verdict == self.verdict]
        return min(alike or self.rows, key=lambda row: row.mean)


def claims_of(results: Any) -> list[ClaimRows]:
    """Return the rows of claims.

    Args:
        results: Outcomes, or what ``claims.json`` holds of them, or all that it holds.

    Raises:
        TypeError: If it is none of those.
    """
    found = results
    if isinstance(results, Mapping):
        found = results.get("claims")
    if isinstance(found, (str, bytes)) or not isinstance(found, Iterable):
        raise TypeError(
            "`results` must be outcomes of claims, or what claims.json holds; got"
            f" {type(results).__name__}."
        )
    return [_claim(one) for one in found]


def _claim(one: Any) -> ClaimRows:
    plain = one
    # An outcome says what claims.json says of it.
    if hasattr(one, "to_dict"):
        plain = one.to_dict()
    if not isinstance(plain, Mapping) or "measured" not in plain:
        raise TypeError(
            "`results` must be outcomes of claims, or what claims.json holds; one is a"
            f" {type(one).__name__}."
        )
    rows = tuple(map(_row, plain["measured"]))
    owner = plain.get("owner", "")
    return ClaimRows(plain["id"], plain["paper"], plain["verdict"], owner, rows)


def _row(one: Mapping[str, Any]) -> Row:
    low, mean, high = _finite(one["low"]), _finite(one["mean"]), _finite(one["high"])
    least, most = _bound(one["at_least"], -math.inf), _bound(one["at_most"], math.inf)
    half = (high - low) / 2

    def inside(value: float) -> float:
        return min(value - least, most - value)

    def places(value: float) -> float:
        # What could not be had lies on no side of a bound.
        if not math.isfinite(value):
            return -math.inf
        return _over(inside(value), half)

    # The middle of a range is the best place that an interval can reach.
    best = mean
    if math.isfinite(least) and math.isfinite(most):
        best = min(max((least + most) / 2, low), high)
    ends = (places(low), places(high))
    no_effect = one.get("no_effect")
    return Row(
        label=str(one["label"]),
        expected=str(one["expected"]),
        numbers=numbers(one),
        verdict=str(one["verdict"]),
        owner=_owner(one),
        mean=places(mean),
        low=min(ends),
        high=max(*ends, places(best)),
        no_effect=None if no_effect is None else places(float(no_effect)),
    )


def numbers(one: Mapping[str, Any]) -> str:
    """Return a mean and its interval in words; a dash for what could not be had."""
    if one["mean"] is None:
        return "–"
    mean, low, high = (_digits(one[name]) for name in ("mean", "low", "high"))
    if low == high:
        return mean
    return f"{mean} ({low} to {high})"


def _digits(value: float) -> str:
    # A hyphen is too short for a minus.
    return f"{value:.3g}".replace("-", "−")


def _owner(one: Mapping[str, Any]) -> str:
    if one.get("by_construction"):
        return "by construction"
    return str(one.get("owner", ""))


def _finite(value: float | None) -> float:
    # What could not be had is no number in the file, and supports nothing.
    if value is None:
        return -math.inf
    return float(value)


def _bound(value: float | None, without: float) -> float:
    return without if value is None else float(value)


def _over(distance: float, half: float) -> float:
    """Return a distance in units of half an interval; an end of the axis for one of no width."""
    if distance == 0:
        return 0.0
    if half == 0:
        return math.copysign(math.inf, distance)
    return distance / half
