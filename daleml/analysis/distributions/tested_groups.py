"""The groups that take part in a test, with their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daleml.analysis.distributions import clusters as nested
from daleml.analysis.distributions.clusters import Clusters
from daleml.analysis.distributions.group_rows import Rows
from daleml.analysis.distributions.permutation import Codes


@dataclass(frozen=True)
class TestedGroups:
    """The groups that take part in a test.

    Attributes:
        names: Their names.
        left_out: Groups that take no part, each with its size in words.
        rows: Numbers of their rows, one group after the other.
        codes: The number of the group of each of these rows.
        clusters: The clusters in which these rows lie; None if rows are independent.
    """

    names: list[str]
    left_out: dict[str, str]
    rows: Codes
    codes: Codes
    clusters: Clusters | None = None

    # pytest takes a class of such a name for a collection of tests.
    __test__ = False

    @classmethod
    def none(cls, left_out: dict[str, str]) -> TestedGroups:
        """Return that no group takes part."""
        empty = np.empty(0, dtype=np.intp)
        return cls([], left_out, empty, empty)

    @property
    def n_pairs(self) -> int:
        """Number of pairs of groups."""
        return len(self.names) * (len(self.names) - 1) // 2

    def n_clusters(self) -> dict[str, int]:
        """Return how many clusters each group has; nothing without clusters."""
        if self.clusters is None:
            return {}
        found = {}
        for i, name in enumerate(self.names):
            found[name] = np.unique(self.clusters.of_value[self.codes == i]).size
        return found


def take_groups(
    rows: Rows,
    rows_of: Mapping[str, Codes],
    names: Sequence[str],
    left_out: Mapping[str, str],
) -> TestedGroups:
    """Take groups; those of one cluster are left out where two others have several.

    Args:
        rows: All rows.
        rows_of: By group, the numbers of its rows.
        names: The groups that have values enough.
        left_out: Those that have not, each with its size in words.
    """
    taken = _with_rows(rows, rows_of, names, left_out)
    if taken.clusters is None or taken.clusters.crossed:
        return taken
    sizes = taken.n_clusters()
    kept = [name for name in names if sizes[name] >= nested.LEAST]
    if len(kept) == len(names) or len(kept) < nested.LEAST:
        return taken
    lonely = [name for name in names if name not in kept]
    why = dict.fromkeys(lonely, f"1 {rows.cluster_kind}")
    return _with_rows(rows, rows_of, kept, {**left_out, **why})


def _with_rows(
    rows: Rows,
    rows_of: Mapping[str, Codes],
    names: Sequence[str],
    left_out: Mapping[str, str],
) -> TestedGroups:
    numbers = np.concatenate([rows_of[name] for name in names])
    sizes = [rows_of[name].size for name in names]
    codes = np.repeat(np.arange(len(names)), sizes)
    clusters = None
    if rows.clusters is not None:
        labels = rows.clusters[numbers]
        clusters = nested.find_clusters(labels, codes, rows.cluster_kind)
    return TestedGroups(list(names), dict(left_out), numbers, codes, clusters)
