"""The result of a comparison of groups: fits group by group, and whether the groups differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from daleml.analysis.distributions import group_sentences
from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.effects import GroupEffect
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.group_verdicts import (
    SameConnection,
    SameDistribution,
    Verdict,
    holm,
)
from daleml.analysis.distributions.weight_fit import FEW

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    "group", "n", "zeros", "connection", "best", "cannot_tell", "p_fits", "parameters",
    "problem",
)  # fmt: skip


@dataclass(frozen=True)
class GroupComparison:
    """Families compared group by group.

    Attributes:
        groups: A comparison per group, in the order of their names.
        failures: Groups that could not be fitted, each with the sentence that says why.
        pooled: The comparison of the magnitudes of all groups that are tested together; without
            a test, of all fitted.
        same: By family, the test that the groups do not differ.
        n_unlabelled: Number of values that belong to no group; left out.
        tested: Names of the groups that take part in the test.
        left_out: Groups that could be fitted and take no part in it, each with its size in words.
        effect: How much two of them differ: both, or of more the two whose medians lie farthest
            apart.
        connection: With ``zeros="hurdle"``, the test that pairs of all groups are connected
            with one probability.
        n_clusters: With ``within``, the number of clusters of each group that is tested.
        within: What a cluster is; "" if values were taken for independent.
        crossed: Names of the clusters that have values in several groups: taken for the same
            cluster in each.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import compare_groups
        >>> weights = np.random.default_rng(0).lognormal(size=60)
        >>> result = compare_groups(weights, ["L2", "L5"] * 30, "lognormal")
        >>> result.verdict.value, list(result.groups)
        ('cannot be told apart', ['L2', 'L5'])
        >>> print(result["L2"].best.parameters_text())
        mu -0.1163 ± 0.17, sigma 0.9434 ± 0.12
    """

    groups: Mapping[str, Comparison]
    failures: Mapping[str, str]
    pooled: Comparison
    same: Mapping[str, SameDistribution]
    n_unlabelled: int
    tested: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    effect: GroupEffect | None = None
    connection: SameConnection | None = None
    n_clusters: Mapping[str, int] = field(default_factory=dict)
    within: str = ""
    crossed: tuple[str, ...] = ()

    def __getitem__(self, group: str) -> Comparison:
        return self.groups[group]

    @property
    def test(self) -> SameDistribution | None:
        """The test that the conclusion rests on.

        It is that under the family that describes all groups together best.
        """
        for fit in self.pooled.fits:
            if fit.family in self.same:
                return self.same[fit.family]
        return None

    @property
    def verdict(self) -> Verdict:
        """Whether the groups differ, in strengths or in connections, both together at 5 %."""
        p_strengths = self.test.p_strengths if self.test else math.nan
        p_connection = self.connection.p_value if self.connection else math.nan
        return holm(p_strengths, p_connection).verdict

    def table(self) -> pd.DataFrame:
        """Return one row per group.

        It says how many values there are, the best family with its parameters, and what cannot
        be told from it.
        """
        import pandas as pd

        rows = [_row(name, comparison) for name, comparison in self.groups.items()]
        for name, problem in self.failures.items():
            rows.append({"group": name, "problem": problem})
        table = pd.DataFrame(rows, columns=list(_COLUMNS))
        table[["n", "zeros"]] = table[["n", "zeros"]].astype("Int64")
        # A column in which nothing stands is left out.
        unused = []
        if not self.failures:
            unused.append("problem")
        if not any(one.best.connection for one in self.groups.values()):
            unused.append("connection")
        if not any(one.goodness for one in self.groups.values()):
            unused.append("p_fits")
        return table.drop(columns=unused)

    def text_table(self) -> pd.DataFrame:
        """Return the table as it is printed.

        Families have their readable names; a p-value that was counted reads ``< 0.01`` where it
        may be less.
        """
        table = self.table()
        if "p_fits" in table:
            texts = {}
            for name, one in self.groups.items():
                texts[name] = one.p_fits_text(one.best.family)
            table["p_fits"] = [texts.get(name, "–") for name in table["group"]]
        for column in ("best", "cannot_tell"):
            table[column] = table[column].map(_labelled, na_action="ignore")
        return table

    def conclusion(self) -> str:
        """Say whether the groups differ, and by how much.

        That is under the family that describes them best together.
        """
        return group_sentences.conclusion(self)

    def caution(self) -> str:
        """Say what the test takes for granted of the rows, in one sentence."""
        return group_sentences.caution(self)

    def reasons(self) -> dict[str, str]:
        """Return in plain words why each of the failures could not be fitted."""
        found = {}
        for name, problem in self.failures.items():
            found[name] = group_sentences.reason(problem)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON."""
        groups = {name: one.to_dict() for name, one in self.groups.items()}
        same = {family: test.to_dict() for family, test in self.same.items()}
        return {
            "groups": groups,
            "failures": dict(self.failures),
            "pooled": self.pooled.to_dict(),
            "same_distribution": same,
            "n_unlabelled": self.n_unlabelled,
            "tested": list(self.tested),
            "left_out": dict(self.left_out),
            "verdict": self.verdict.value,
            "effect": self.effect.to_dict() if self.effect else None,
            "same_connection": self.connection.to_dict() if self.connection else None,
            "within": self.within or None,
            "n_clusters": dict(self.n_clusters),
            "crossed": list(self.crossed),
            "conclusion": self.conclusion(),
            "caution": self.caution(),
        }

    def __str__(self) -> str:
        table = self.text_table().to_string(index=False)
        return f"{table}\n{self.caution()}\n{self.conclusion()}"


def _labelled(names: str) -> str:
    """Return the names of families in a cell of a table as people write them."""
    return ", ".join(map(family_label, names.split(", ")))


def _row(name: str, comparison: Comparison) -> dict[str, Any]:
    """Return the row of a group in the table."""
    best = comparison.best
    connection = str(best.connection or "")
    row = {
        "group": name,
        "n": best.n,
        "zeros": best.n_zero,
        "connection": connection.removeprefix("connection probability "),
        "p_fits": comparison.p_fits,
        "best": "too few",
        "cannot_tell": "",
        "parameters": "",
        "problem": "",
    }
    if best.total >= FEW:
        row["best"] = best.family
        row["cannot_tell"] = ", ".join(comparison.cannot_tell)
        row["parameters"] = best.parameters_text()
    return row
