"""Results of tests that groups are alike, and the verdict on several of them together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from daleml.analysis.distributions.p_values import LEVEL, at_floor, p_text

LEAST = 5
"""A group of fewer values is left out of a test in which others hold most of the values."""


class Verdict(StrEnum):
    """The outcome of a test of groups."""

    DIFFER = "differ"
    ALIKE = "cannot be told apart"
    UNTESTED = "not tested"


@dataclass(frozen=True)
class SameDistribution:
    r"""The test that all groups have the same parameters of one family.

    Attributes:
        family: The family.
        statistic: The likelihood ratio :math:`2 (\sum_g \ln L_g - \ln L)`, of the groups fitted
            apart and together; NaN where a group of equal values has no likelihood of its own.
        freedom: Its degrees of freedom: parameters times one less than the number of groups.
        p_value: Of the whole comparison: with ``zeros="hurdle"``, of strengths and connections
            together (Holm). NaN if no test at 5 % is possible.
        method: How the p-value of the strengths was found: ``"shuffled labels"``, ``"shuffled
            within clusters"``, ``"shuffled clusters"``, ``"F test of clusters"``,
            ``"chi-squared"`` (of the likelihood ratio), ``"score"``.
        n_shuffles: Number of shuffles it was counted from; 0 if it was not counted.
        p_strengths: Of the strengths alone.
        p_scale: Where groups are of clusters, of the difference in scale alone; else NaN.
        p_shape: Where groups are of clusters, the least of the differences in shape; else NaN.
    """

    family: str
    statistic: float
    freedom: int
    p_value: float
    method: str = "chi-squared"
    n_shuffles: int = 0
    p_strengths: float = math.nan
    p_scale: float = math.nan
    p_shape: float = math.nan

    @property
    def at_floor(self) -> bool:
        """Whether the p-value is as low as so many shuffles can show."""
        return bool(self.n_shuffles) and at_floor(self.p_strengths, self.n_shuffles)

    def p_text(self) -> str:
        """Return the p-value of the strengths in words: ``p = 0.031``, ``p < 0.001``."""
        return p_text(self.p_strengths, self.n_shuffles or None)

    def with_connection(self, p_connection: float) -> SameDistribution:
        """Return it with the p-value of strengths and of connections together."""
        return replace(self, p_value=holm(self.p_strengths, p_connection).p_value)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        numbers = ("statistic", "p_value", "p_strengths", "p_scale", "p_shape")
        plain = {name: _plain(getattr(self, name)) for name in numbers}
        return plain | {
            "freedom": self.freedom,
            "method": self.method,
            "n_shuffles": self.n_shuffles,
            "at_floor": self.at_floor,
        }


@dataclass(frozen=True)
class SameConnection:
    """The test that pairs of all groups are connected with one probability.

    Attributes:
        n_connected: By group, how many pairs are connected.
        n_pairs: By group, how many pairs there are.
        p_value: By shuffling, or by an F test of clusters; NaN if no test at 5 % is possible.
        n_shuffles: Number of shuffles; 0 if it was not counted.
    """

    n_connected: Mapping[str, float]
    n_pairs: Mapping[str, float]
    p_value: float
    n_shuffles: int

    def extremes(self) -> tuple[tuple[str, float], tuple[str, float]]:
        """Return two groups with their probabilities.

        Of two groups these are both, of more the least and the most connected.
        """
        found = list(self.probabilities().items())
        if len(found) == 2:
            return found[0], found[1]

        def probability(one: tuple[str, float]) -> float:
            return one[1]

        return min(found, key=probability), max(found, key=probability)

    def probabilities(self) -> dict[str, float]:
        """Return by group the fraction of its pairs that are connected."""
        return {name: self.n_connected[name] / n for name, n in self.n_pairs.items()}

    def p_text(self) -> str:
        """Return the p-value in words."""
        return p_text(self.p_value, self.n_shuffles or None)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        floor = bool(self.n_shuffles) and at_floor(self.p_value, self.n_shuffles)
        return {
            "probability": self.probabilities(),
            "p_value": _plain(self.p_value),
            "n_shuffles": self.n_shuffles,
            "at_floor": floor,
        }


@dataclass(frozen=True)
class Holm:
    """In which halves of a hurdle groups differ, both together at the level.

    Attributes:
        p_value: Of both together; of the one that was tested, where the other was not; NaN if
            neither was.
        strengths: Whether groups differ in their strengths.
        connection: Whether they differ in how often pairs are connected.
    """

    p_value: float
    strengths: bool
    connection: bool

    @property
    def verdict(self) -> Verdict:
        """Whether groups differ in anything."""
        if math.isnan(self.p_value):
            return Verdict.UNTESTED
        if self.strengths or self.connection:
            return Verdict.DIFFER
        return Verdict.ALIKE


def holm(p_strengths: float, p_connection: float) -> Holm:
    """Judge both halves of a hurdle by Holm's rule.

    The lower p-value is held against half the level, then the other against the whole.

    References:
        Holm 1979, Scandinavian Journal of Statistics 6:65.
    """
    known = [p for p in (p_strengths, p_connection) if not math.isnan(p)]
    if not known:
        return Holm(math.nan, False, False)
    together = min(1.0, len(known) * min(known))
    if together >= LEVEL:
        return Holm(together, False, False)
    limit = min(known)
    if max(known) < LEVEL:
        limit = LEVEL
    return Holm(together, p_strengths <= limit, p_connection <= limit)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
