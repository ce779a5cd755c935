"""Whether groups are of one distribution.

Which groups take part, by which test, and what it found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from daleml.analysis.distributions import clusters as nested
from daleml.analysis.distributions import permutation
from daleml.analysis.distributions.clusters import Clusters
from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.families.family import Array
from daleml.analysis.distributions.fit import WeightFit
from daleml.analysis.distributions.p_values import LEVEL, at_floor, p_text
from daleml.analysis.distributions.permutation import Codes
from daleml.analysis.distributions.scores import standard_scores

LEAST = 5
"""Values of a group, below which it is left out of the test where the others hold most of the values."""
# values of every group, from which on the chi-squared distribution holds to within 1 % of its
# level
_LARGE = 100
# values, from which on labels of large groups are not shuffled: chance is known well enough
_ROWS = 50_000
_WORK = 1e9  # numbers to shuffle at most, all shuffles together
_FEWEST = 199  # shuffles, whatever the work


class Verdict(StrEnum):
    """What a test of groups found."""

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
        p_shape: Likewise, the least of the differences in shape.
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

        Both, or of more the least and the most connected.
        """
        shares = [
            (name, self.n_connected[name] / self.n_pairs[name]) for name in self.n_pairs
        ]
        if len(shares) == 2:
            return shares[0], shares[1]
        return min(shares, key=lambda one: one[1]), max(shares, key=lambda one: one[1])

    def p_text(self) -> str:
        """Return the p-value in words."""
        return p_text(self.p_value, self.n_shuffles or None)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        shares = {
            name: self.n_connected[name] / self.n_pairs[name] for name in self.n_pairs
        }
        floor = bool(self.n_shuffles) and at_floor(self.p_value, self.n_shuffles)
        return {
            "probability": shares,
            "p_value": _plain(self.p_value),
            "n_shuffles": self.n_shuffles,
            "at_floor": floor,
        }


def taking_part(sizes: Mapping[str, int]) -> list[str]:
    """Return the groups that are tested, by their numbers of values alone.

    Groups of fewer than five values say little of themselves, and are left out where at least
    two others hold most of the values. Else they are what there is, as many axons with four
    synapses each are, and those of two values or more take part.
    """
    large = [name for name, size in sizes.items() if size >= LEAST]
    held = sum(sizes[name] for name in large)
    if len(large) > 1 and 2 * held >= sum(sizes.values()):
        return large
    return [name for name, size in sizes.items() if size > 1]


def judge_strengths(
    fits: Sequence[WeightFit],
    values: Array,
    counts: Array,
    groups: Codes,
    apart: Sequence[Comparison | None],
    clusters: Clusters | None,
    n_shuffles: int,
    rng: np.random.Generator,
) -> dict[str, SameDistribution]:
    """Test under each family that groups have the same parameters.

    Args:
        fits: Of all values together, one a family.
        values: The magnitudes.
        counts: How often each counts.
        groups: The group of each of the values.
        apart: The comparison of each group; None of one that cannot be fitted.
        clusters: The cluster of each value, if values lie in clusters.
        n_shuffles: Number of shuffles.
        rng: Where they are drawn from.
    """
    rows = _as_rows(counts)
    counted = counts if rows.size == groups.size else np.ones(rows.size)
    tests = [standard_scores(fit, values, counts)[rows] for fit in fits]
    codes = groups[rows]
    if clusters is None or clusters.crossed:
        strata = None if clusters is None else clusters.of_value[rows]
        found = _by_rows(tests, codes, counted, strata, n_shuffles, rng)
    else:
        found = _by_clusters(
            tests, codes, clusters.of_value[rows], counted, n_shuffles, rng
        )
    results = {}
    for fit, (p, method, n, by_column) in zip(fits, found, strict=True):
        statistic, freedom = _likelihood_ratio(fit, apart)
        if method == "shuffled labels" and at_floor(p, n) and _is_large(codes, counted):
            p, method, n = _in_the_tail(p, statistic, freedom, n)
        by_scale = by_column[0] if by_column else math.nan
        by_shape = (
            min(1.0, (len(by_column) - 1) * min(by_column[1:]))
            if len(by_column) > 1
            else math.nan
        )
        results[fit.family] = SameDistribution(
            fit.family, statistic, freedom, p, method, n, p, by_scale, by_shape
        )
    return results


Found = tuple[float, str, int, tuple[float, ...]]


def _by_rows(
    tests: Sequence[Array],
    groups: Codes,
    counts: Array,
    strata: Codes | None,
    n_shuffles: int,
    rng: np.random.Generator,
) -> list[Found]:
    sizes = np.bincount(groups).tolist()
    method = "shuffled labels" if strata is None else "shuffled within clusters"
    if strata is None and not permutation.can_reject(sizes):
        return [(math.nan, method, 0, ())] * len(tests)
    if strata is None and groups.size > _ROWS and _is_large(groups, counts):
        return [
            (_score_p(columns, groups, counts), "score", 0, ()) for columns in tests
        ]
    work = groups.size * (1 + sum(columns.shape[1] for columns in tests))
    n = max(min(n_shuffles, int(_WORK / work)), min(n_shuffles, _FEWEST))
    p_values = permutation.shuffled_labels(tests, groups, counts, n, rng, strata)
    return [(float(p), method, n, ()) for p in p_values]


def _by_clusters(
    tests: Sequence[Array],
    groups: Codes,
    clusters: Codes,
    counts: Array,
    n_shuffles: int,
    rng: np.random.Generator,
) -> list[Found]:
    sizes = np.bincount(nested.groups_of(groups, clusters)).tolist()
    if not nested.can_compare(sizes):
        return [(math.nan, "F test of clusters", 0, ())] * len(tests)
    method, n = (
        ("shuffled clusters", n_shuffles)
        if nested.by_shuffles(sizes)
        else ("F test of clusters", 0)
    )
    found = nested.same_means(tests, groups, clusters, counts, n_shuffles, rng)
    return [(p, method, n, by_column) for p, by_column in found]


def judge_connections(
    connected: Array, groups: Codes, names: Sequence[str], counts: Array, clusters: Clusters | None,
    n_shuffles: int, rng: np.random.Generator,
) -> SameConnection:  # fmt: skip
    """Test that pairs of all groups are connected with one probability.

    Args:
        connected: One or zero, a value a pair.
        groups: The group of each pair.
        names: Of the groups.
        counts: How many pairs each stands for.
        clusters: The cluster of each pair, if they lie in clusters.
        n_shuffles: Number of shuffles.
        rng: Where they are drawn from.
    """
    n_connected, n_pairs = (
        np.bincount(groups, counts * connected),
        np.bincount(groups, counts),
    )
    p, n = math.nan, 0
    if clusters is not None and not clusters.crossed:
        p, _, n, _ = _by_clusters(
            [connected[:, None]], groups, clusters.of_value, counts, n_shuffles, rng
        )[0]
    elif clusters is not None:
        p, _, n, _ = _by_rows(
            [connected[:, None]], groups, counts, clusters.of_value, n_shuffles, rng
        )[0]
    elif permutation.can_reject(np.round(n_pairs).astype(int).tolist()):
        n = n_shuffles
        p = permutation.same_share(np.round(n_connected), np.round(n_pairs), n, rng)
        if at_floor(p, n):
            statistic, freedom = _connection_ratio(n_connected, n_pairs), len(names) - 1
            p, _, n = _in_the_tail(p, statistic, freedom, n)
    by_name = (
        dict(zip(names, n_connected.tolist(), strict=True)),
        dict(zip(names, n_pairs.tolist(), strict=True)),
    )
    return SameConnection(*by_name, p, n)


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
        return Verdict.DIFFER if self.strengths or self.connection else Verdict.ALIKE


def holm(p_strengths: float, p_connection: float) -> Holm:
    """Judge both halves of a hurdle by Holm's rule.

    The lower p-value at half the level, then the other.
    """
    known = [p for p in (p_strengths, p_connection) if not math.isnan(p)]
    if not known:
        return Holm(math.nan, False, False)
    together = min(1.0, len(known) * min(known))
    if together >= LEVEL:
        return Holm(together, False, False)
    limit = LEVEL if max(known) < LEVEL else min(known)
    return Holm(together, p_strengths <= limit, p_connection <= limit)


# # -- parts
# -------------------------------------------------------------------------------------------------------------


def _as_rows(counts: Array) -> Codes:
    """Return the rows to take.

    Each as often as it counts where those are whole numbers, since frequencies are.
    """
    every = np.arange(counts.size)
    if not np.all(counts == np.round(counts)) or counts.sum() > 4 * _ROWS:
        return every
    return np.repeat(every, counts.astype(np.int64))


def _is_large(groups: Codes, counts: Array) -> bool:
    return float(np.bincount(groups, counts).min()) >= _LARGE


def _score_p(columns: Array, groups: Codes, counts: Array) -> float:
    """Return the p-value of the score statistic by its distribution in large samples, whatever the truth is."""
    from scipy.stats import chi2

    if not columns.shape[1]:
        return 1.0
    totals = np.bincount(groups, counts)
    sums = np.stack([np.bincount(groups, counts * column) for column in columns.T])
    return float(
        chi2.sf((sums**2 / totals).sum(), columns.shape[1] * (totals.size - 1))
    )


def _likelihood_ratio(
    fit: WeightFit, apart: Sequence[Comparison | None]
) -> tuple[float, int]:
    freedom = len(fit.params) * (len(apart) - 1)
    alone = [
        math.nan if one is None else one[fit.family].log_likelihood for one in apart
    ]
    ratio = 2 * (sum(alone) - fit.log_likelihood)
    return (max(ratio, 0.0) if math.isfinite(ratio) else math.nan), freedom


def _in_the_tail(
    p: float, statistic: float, freedom: int, n_shuffles: int
) -> tuple[float, str, int]:
    """Return a p-value too low to be counted by the chi-squared distribution, if that says so too."""
    from scipy.stats import chi2

    tail = float(chi2.sf(statistic, freedom)) if math.isfinite(statistic) else math.nan
    return (tail, "chi-squared", 0) if tail < p else (p, "shuffled labels", n_shuffles)


def _connection_ratio(n_connected: Any, n_pairs: Any) -> float:
    """Return the likelihood ratio of one probability against one a group."""
    from scipy.special import xlogy

    def log_likelihood(successes: Array, trials: Array) -> float:
        share = successes / trials
        return float(
            np.sum(xlogy(successes, share) + xlogy(trials - successes, 1 - share))
        )

    whole = np.array([n_connected.sum()]), np.array([n_pairs.sum()])
    return 2 * (log_likelihood(n_connected, n_pairs) - log_likelihood(*whole))


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
