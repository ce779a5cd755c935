"""Sentences about a comparison of groups: the conclusion, a caution, and why a fit failed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from daleml.analysis.distributions.clusters import can_compare
from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.effects import GroupEffect
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.group_verdicts import (
    LEAST,
    SameConnection,
    SameDistribution,
    Verdict,
    holm,
)

# A sentence names so many groups; of more it says how many there are.
_NAMED = 8

# Plurals of what clusters often are.
_IRREGULAR = {"mouse": "mice", "fish": "fish", "larva": "larvae"}
_TWO = r"`weights` must hold at least 2 values other than zero; got (\d+), with (\d+) zeros .*"
_VARY = r"`weights` must vary to be fitted; got (\d+) values of (.+)\."
_FINITE = r"`weights` must be finite; got (\d+) NaN or infinite values of (\d+)\."
_ONE_SIGN = (
    r"`weights` must be of one sign unless .*; got (\d+) positive and (\d+) negative"
    r" values\."
)

# From the sentence of an error to a plain reason.
_PLAIN = {
    _TWO: r"at least 2 values other than zero are needed, and it has \1 beside \2 zeros",
    _VARY: r"all \1 values are \2",
    _FINITE: r"\1 of its \2 values are missing or infinite",
    _ONE_SIGN: r"\1 of its values are positive and \2 negative",
}


class GroupFindings(Protocol):
    """The fields of a comparison of groups from which sentences are made."""

    @property
    def groups(self) -> Mapping[str, Comparison]:
        """By group, its comparison."""

    @property
    def failures(self) -> Mapping[str, str]:
        """By group that could not be fitted, why."""

    @property
    def tested(self) -> tuple[str, ...]:
        """Names of the groups that were tested."""

    @property
    def left_out(self) -> Mapping[str, str]:
        """By group that took no part, its size in words."""

    @property
    def effect(self) -> GroupEffect | None:
        """How much two of them differ."""

    @property
    def connection(self) -> SameConnection | None:
        """The test of connections."""

    @property
    def n_clusters(self) -> Mapping[str, int]:
        """By group, the number of its clusters."""

    @property
    def within(self) -> str:
        """What a cluster is, or empty."""

    @property
    def crossed(self) -> tuple[str, ...]:
        """Names of the clusters that lie in several groups."""

    @property
    def test(self) -> SameDistribution | None:
        """The test that the conclusion rests on."""

    @property
    def verdict(self) -> Verdict:
        """Whether the groups differ."""


def conclusion(result: GroupFindings) -> str:
    """Say whether the groups differ, and by how much; then which took no part."""
    return f"{_verdict(result)}{_absent(result)}."


def caution(result: GroupFindings) -> str:
    """Say what the test takes for granted of the rows."""
    if not result.within:
        return (
            "The test takes rows for independent. Those of one animal or cell are alike:"
            " name the column that says which they lie in (`within`, `--within`), or groups"
            " of equal animals will be found to differ."
        )
    if result.crossed:
        names = f"{_few(result.crossed)} {_have(result.crossed)}"
        return (
            f"Labels were compared within each {result.within}, since {names} values in"
            f" several groups; a name must stand for the same {result.within} in all of"
            " them."
        )
    return f"Each {result.within} lies in one group, and counts as one value."


def reason(problem: str) -> str:
    """Return in plain words why a group could not be fitted, from the sentence of the error."""
    for pattern, plain in _PLAIN.items():
        if re.fullmatch(pattern, problem):
            return re.sub(pattern, plain, problem)
    return problem.rstrip(".").replace("`weights` must", "its values must")


def _verdict(result: GroupFindings) -> str:
    test, connection = result.test, result.connection
    if connection is not None and not math.isnan(connection.p_value):
        return _both_halves(result, test, connection)
    if test is None:
        return _not_compared(result)
    n = len(result.tested)
    if result.verdict is Verdict.UNTESTED:
        return f"The {n} groups cannot be compared: {_why_untested(result)}"
    family = family_label(test.family)
    said = f"The {n} groups {result.verdict} under the {family} ({_how(result, test)})"
    return said + _effect(result)


def _effect(result: GroupFindings) -> str:
    many = len(result.tested) > _NAMED and result.verdict is not Verdict.DIFFER
    # Of many groups the widest pair is far apart by chance.
    if result.effect is None or many:
        return ""
    return f": {result.effect.sentence(differ=result.verdict is Verdict.DIFFER)}"


def _how(result: GroupFindings, test: SameDistribution) -> str:
    independent = ", rows taken for independent"
    if result.within:
        independent = ""
    p = test.p_text()
    if test.method == "chi-squared":
        ratio = f"likelihood ratio {test.statistic:.1f}, {test.freedom} degrees of freedom, {p}"
        return ratio + independent
    if test.method == "score":
        return f"score test, {p}{independent}"
    if test.method == "F test of clusters":
        return f"{p}, F test of the means of {_sizes(result)}"
    if test.method == "shuffled clusters":
        return f"{p}, {test.n_shuffles:,} shuffles of {_sizes(result)}"
    if test.method == "shuffled within clusters":
        return f"{p}, {test.n_shuffles:,} shuffles of the labels within each {result.within}"
    return f"{p}, {test.n_shuffles:,} shuffles of the labels{independent}"


def _both_halves(
    result: GroupFindings, test: SameDistribution | None, connection: SameConnection
) -> str:
    """Say in which half of a hurdle the groups differ.

    The halves are how often pairs are connected, and how strong they then are.
    """
    p_strengths = math.nan if test is None else test.p_strengths
    found = holm(p_strengths, connection.p_value)
    (first, of_first), (second, of_second) = connection.extremes()
    often = (
        f"how often pairs are connected ({first} {of_first:.3g}, {second} {of_second:.3g},"
        f" {connection.p_text()})"
    )
    head = f"The {len(connection.n_pairs)} groups"
    if test is None or math.isnan(test.p_strengths):
        return (
            f"{head} {found.verdict} in {often}; their strengths could not be compared"
        )
    family = family_label(test.family)
    strengths = f"their strengths under the {family} ({_how(result, test)})"
    effect = ""
    if result.effect is not None:
        effect = f": {result.effect.sentence(differ=found.strengths)}"
    if found.strengths and found.connection:
        return f"{head} differ in {often}, and in {strengths}{effect}"
    if found.connection:
        return f"{head} differ in {often}, and not measurably in {strengths}{effect}"
    if found.strengths:
        return f"{head} differ in {strengths}, and not measurably in {often}{effect}"
    return f"{head} cannot be told apart, neither in {often} nor in {strengths}{effect}"


def _not_compared(result: GroupFindings) -> str:
    able = [name for name in result.groups if name not in result.left_out]
    if len(result.groups) == 1 and not result.left_out:
        return (
            f"Only the group {next(iter(result.groups))} could be fitted, so nothing was"
            " compared"
        )
    if len(able) < 2:
        return (
            f"No two groups have the values that a comparison needs, {LEAST} or more, so"
            " nothing was compared"
        )
    return "No family could be compared over all groups"


def _why_untested(result: GroupFindings) -> str:
    nested = bool(result.within) and not result.crossed
    if nested and not can_compare(list(result.n_clusters.values())):
        return (
            f"with {_sizes(result)} no test at 5 % is possible; give at least 3 of each"
            " group"
        )
    return "of so few values no test at 5 % is possible"


def _sizes(result: GroupFindings) -> str:
    """Return how many clusters each group has: ``3 and 4 animals``."""
    counts = [str(n) for n in result.n_clusters.values()]
    if len(counts) > _NAMED:
        return f"{sum(result.n_clusters.values())} {_several(result.within)}"
    return f"{_listed(counts)} {_several(result.within)}"


def _absent(result: GroupFindings) -> str:
    """Name the groups that took no part: those left out, then those that could not be fitted."""
    said = ""
    if result.left_out:
        named = [f"{name} ({size})" for name, size in result.left_out.items()]
        said += f"; {_few(named)} took no part in the test, being too small"
    if result.failures:
        said += f"; {_few(list(result.failures))} could not be fitted"
    return said


def _several(what: str) -> str:
    if what in _IRREGULAR:
        return _IRREGULAR[what]
    return what if what.endswith("s") else f"{what}s"


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _few(names: Sequence[str]) -> str:
    if len(names) <= _NAMED + 1:
        return _listed(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED:,} others"


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
