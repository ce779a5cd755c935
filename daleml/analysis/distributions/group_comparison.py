"""Groups of synapses fitted apart.

By cell class, layer or area, and whether they are of one distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from daleml import require
from daleml.analysis.distributions import clusters as nested
from daleml.analysis.distributions import effects, group_sentences
from daleml.analysis.distributions.clusters import Clusters
from daleml.analysis.distributions.comparison import Comparison, compare_material
from daleml.analysis.distributions.effects import GroupEffect, Interval
from daleml.analysis.distributions.families import SIMPLE, Family, find_all
from daleml.analysis.distributions.fit import Material, has_spread, require_spread
from daleml.analysis.distributions.group_rows import Rows, read_rows, together
from daleml.analysis.distributions.group_tests import (
    SameConnection,
    SameDistribution,
    Verdict,
    holm,
    judge_connections,
    judge_strengths,
    taking_part,
)
from daleml.analysis.distributions.observation import Ends, Observation, one_observation
from daleml.analysis.distributions.permutation import Codes, generator_for
from daleml.analysis.distributions.vuong import FEW

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class GroupComparison:
    """Families compared group by group.

    Attributes:
        groups: A comparison a group, in the order of their names.
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

        Under the family that describes all groups together best.
        """
        return next(
            (
                self.same[fit.family]
                for fit in self.pooled.fits
                if fit.family in self.same
            ),
            None,
        )

    @property
    def verdict(self) -> Verdict:
        """Whether the groups differ, in strengths or in connections, both together at 5 %."""
        p_strengths = self.test.p_strengths if self.test else math.nan
        p_connection = self.connection.p_value if self.connection else math.nan
        return holm(p_strengths, p_connection).verdict

    def table(self) -> pd.DataFrame:
        """Return one row a group.

        How many, the best family and its parameters, and what cannot be told from it.
        """
        import pandas as pd

        rows = [
            {
                "group": name,
                "n": comparison.best.n,
                "zeros": comparison.best.n_zero,
                "best": (
                    comparison.best.family
                    if comparison.best.total >= FEW
                    else "too few"
                ),
                "cannot_tell": (
                    ", ".join(comparison.cannot_tell)
                    if comparison.best.total >= FEW
                    else ""
                ),
                "connection": (
                    str(comparison.best.connection or "").removeprefix(
                        "connection probability "
                    )
                ),
                "p_fits": comparison.p_fits,
                "parameters": (
                    comparison.best.parameters_text()
                    if comparison.best.total >= FEW
                    else ""
                ),
                "problem": "",
            }
            for name, comparison in self.groups.items()
        ]
        rows += [
            {"group": name, "problem": problem}
            for name, problem in self.failures.items()
        ]
        columns = [
            "group",
            "n",
            "zeros",
            "connection",
            "best",
            "cannot_tell",
            "p_fits",
            "parameters",
            "problem",
        ]
        table = pd.DataFrame(rows, columns=columns)
        table[["n", "zeros"]] = table[["n", "zeros"]].astype("Int64")
        fits = [comparison.best for comparison in self.groups.values()]
        unused = {
            "problem": not self.failures,
            "connection": not any(fit.connection for fit in fits),
            "p_fits": not any(
                comparison.goodness for comparison in self.groups.values()
            ),
        }
        return table.drop(columns=[name for name, empty in unused.items() if empty])

    def text_table(self) -> pd.DataFrame:
        """Return the table as it is printed.

        A p-value that was counted reads ``< 0.01`` where it may be less.
        """
        table = self.table()
        if "p_fits" in table:
            fits = {
                name: one.p_fits_text(one.best.family)
                for name, one in self.groups.items()
            }
            table["p_fits"] = [fits.get(name, "–") for name in table["group"]]
        return table

    def conclusion(self) -> str:
        """Say whether the groups differ, under the family that describes them best together, and by how much."""
        return group_sentences.conclusion(self)

    def caution(self) -> str:
        """Say what the test takes for granted of the rows, in one sentence."""
        return group_sentences.caution(self)

    def reasons(self) -> dict[str, str]:
        """Return in plain words why each of the failures could not be fitted."""
        return {
            name: group_sentences.reason(problem)
            for name, problem in self.failures.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON."""
        return {
            "groups": {
                name: comparison.to_dict() for name, comparison in self.groups.items()
            },
            "failures": dict(self.failures),
            "pooled": self.pooled.to_dict(),
            "same_distribution": {
                name: test.to_dict() for name, test in self.same.items()
            },
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
        return f"{self.table().to_string(index=False)}\n{self.caution()}\n{self.conclusion()}"


def compare_groups(
    weights: ArrayLike,
    by: ArrayLike,
    families: str | Family | Sequence[str | Family] = SIMPLE,
    *,
    within: ArrayLike | None = None,
    sign: int | None = None,
    pool: bool = False,
    drop_missing: bool = False,
    truncation: Ends | None = None,
    censoring: float | Ends | None = None,
    discrete: bool = False,
    zeros: str = "exclude",
    sample_weights: ArrayLike | None = None,
    resolution: float | None = None,
    observation: Observation | None = None,
    gof: int = 0,
    n_shuffles: int = 999,
    rng: int | np.random.Generator = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | bool = False,
) -> GroupComparison:
    r"""Compare families group by group, and test whether the groups are of one distribution.

    A group that cannot be fitted is reported, and does not stop the others.

    The test is Rao's: with :math:`u_i` the scores of a value under the family fitted to all
    groups together, made uncorrelated and of variance 1, :math:`T = \sum_g |\sum_{i \in g}
    u_i|^2 / n_g` is large where groups differ. How large it is by chance is counted over
    shuffled labels, so that its level holds for groups of any size, under a wrong family too.
    If no shuffle gives as large a :math:`T` and groups have 100 values or more, the p-value is
    that of the likelihood ratio, which can be smaller.

    Args:
        weights: A tensor or an array of magnitudes.
        by: The group of each: a column of cell classes, layers or areas. None, NaN and empty
            text are no group.
        families: As for :func:`compare_families`.
        within: The animal or cell that each lies in. Values of one animal are alike, and do not
            count as independent: whole animals are compared, by their mean scores, where each
            is in one group; labels are shuffled within each where animals are in several
            groups. Default: every row is taken for independent.
        sign: As for :func:`fit_weights`, within each group.
        pool: As for :func:`fit_weights`, within each group.
        drop_missing: As for :func:`fit_weights`.
        truncation: As for :func:`fit_weights`.
        censoring: As for :func:`fit_weights`.
        discrete: As for :func:`fit_weights`.
        zeros: As for :func:`fit_weights`. With ``"hurdle"``, two things are tested: how often
            pairs are connected, and how strong the connections are. Groups differ if they
            differ in either; the level of both tests together is 5 % (Holm's rule).
        sample_weights: As for :func:`fit_weights`.
        resolution: As for :func:`fit_weights`.
        observation: As for :func:`fit_weights`.
        gof: As for :func:`compare_families`, of each group.
        n_shuffles: Number of shuffles of the labels, 19 or more.
        rng: As for :func:`compare_families`.
        jobs: As for :func:`compare_families`.
        progress: As for :func:`compare_families`; called anew for each group.

    Raises:
        ValueError: If ``by`` does not fit the weights, or no group can be fitted.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> sizes = np.r_[rng.lognormal(0, 1, 500), rng.lognormal(0.5, 1, 500), 1.0]
        >>> layer = ["L2"] * 500 + ["L5"] * 500 + ["L6"]
        >>> result = compare_groups(sizes, layer, "lognormal")
        >>> result.failures
        {'L6': '`weights` must hold at least 2 values other than zero; got 1, with 0 zeros and 0 values left out.'}
        >>> result.same["lognormal"].p_value < 0.001
        True
        >>> result.effect.is_scaling
        True

    Notes:
        Magnitudes are pooled over groups, whatever their sign, for the test that they are of
        one distribution, and only for it. Groups of fewer than five values take no part in it
        where two others or more hold most of the values. How often the test is wrong where
        nothing is there, and how often right where something is, stands in
        ``docs/calibration.md``.

    References:
        Rao 1948, Mathematical Proceedings of the Cambridge Philosophical Society 44:50; Pitman
        1937, Supplement to the Journal of the Royal Statistical Society 4:119.
    """
    n_shuffles = require.integer("n_shuffles", n_shuffles, 19)
    chosen = find_all(families)
    observation = one_observation(
        observation,
        truncation=truncation,
        censoring=censoring,
        discrete=discrete,
        zeros=zeros,
        resolution=resolution,
    )
    rows = read_rows(
        weights,
        by,
        within,
        sample_weights,
        sign=sign,
        pool=pool,
        drop_missing=drop_missing,
    )
    groups: dict[str, Comparison] = {}
    failures = dict(rows.failures)
    sizes: dict[str, int] = {}
    for name, sample in rows.samples.items():
        material = Material(sample, observation)
        try:
            _ = material.data  # refused here, if it cannot have been observed so
            if not has_spread(sample):
                sizes[name] = (
                    sample.n
                )  # equal values are no less values, though no family can be fitted to them
            require_spread(sample)
            groups[name] = compare_material(
                material, chosen, gof=gof, rng=rng, jobs=jobs, progress=progress
            )
            sizes[name] = sample.n
        except ValueError as problem:
            failures[name] = str(problem)
    failures = {name: failures[name] for name in rows.names if name in failures}
    if not groups:
        first = next(iter(failures.items()), None)
        why = (
            f", {first[0]}: {first[1]}"
            if first
            else ": every value is without a group."
        )
        raise ValueError(f"`by` must name a group that can be fitted; got none{why}")
    return _tested(
        rows,
        groups,
        failures,
        sizes,
        chosen,
        observation,
        n_shuffles,
        generator_for(rng, rows.sizes),
    )


@dataclass(frozen=True)
class _Taken:
    """The groups that take part in the test, with their rows, one group after the other."""

    names: list[str]
    left_out: dict[str, str]
    places: Codes
    codes: Codes
    clusters: Clusters | None

    def n_clusters(self) -> dict[str, int]:
        if self.clusters is None:
            return {}
        return {
            name: np.unique(self.clusters.of_value[self.codes == i]).size
            for i, name in enumerate(self.names)
        }


def _take(
    rows: Rows, seen: Mapping[str, Codes], names: list[str], left_out: dict[str, str]
) -> _Taken:
    """Take groups; those of one cluster are left out where two others are of several."""
    places, codes = _places(seen, names)
    if rows.clusters is None:
        return _Taken(names, left_out, places, codes, None)
    clusters = nested.find_clusters(rows.clusters[places], codes, rows.what)
    taken = _Taken(names, left_out, places, codes, clusters)
    lonely = [name for name, n in taken.n_clusters().items() if n < nested.LEAST]
    if not lonely or clusters.crossed or len(names) - len(lonely) < nested.LEAST:
        return taken
    kept = [name for name in names if name not in lonely]
    return _take(rows, seen, kept, left_out | dict.fromkeys(lonely, f"1 {rows.what}"))


def _tested(
    rows: Rows,
    groups: dict[str, Comparison],
    failures: dict[str, str],
    sizes: dict[str, int],
    chosen: Sequence[Family],
    observation: Observation,
    n_shuffles: int,
    chance: np.random.Generator,
) -> GroupComparison:
    names = taking_part(sizes)
    left_out = {name: f"n = {sizes[name]}" for name in groups if name not in names}
    # zeros that stand for what is too small to be written down are magnitudes like the others
    seen = rows.pairs if observation.zeros == "censored" else rows.connected
    taken = _take(rows, seen, names, left_out) if len(names) > 1 else None
    if taken and np.ptp(rows.sizes[taken.places]) == 0:
        taken = None
    samples = [rows.samples[name] for name in (taken.names if taken else groups)]
    pooled = compare_material(Material(together(samples), observation), chosen)
    connection = (
        _connection(rows, n_shuffles, chance) if observation.zeros == "hurdle" else None
    )
    fits = [
        fit
        for fit in pooled.fits
        if not any(fit.family in one.failures for one in groups.values())
    ]
    same: dict[str, SameDistribution] = {}
    effect = None
    if taken and fits:
        values, counts = rows.sizes[taken.places], rows.counts[taken.places]
        apart = [groups.get(name) for name in taken.names]
        same = judge_strengths(
            fits, values, counts, taken.codes, apart, taken.clusters, n_shuffles, chance
        )
        effect = _effect(rows, groups, taken, fits[0].family)
    if connection:
        same = {
            name: test.with_connection(connection.p_value)
            for name, test in same.items()
        }
    return GroupComparison(
        groups=groups,
        failures=failures,
        pooled=pooled,
        same=same,
        n_unlabelled=rows.n_unlabelled,
        tested=tuple(taken.names) if taken and same else (),
        left_out=taken.left_out if taken else left_out,
        effect=effect,
        connection=connection,
        n_clusters=taken.n_clusters() if taken else {},
        within=rows.what if rows.clusters is not None else "",
        crossed=taken.clusters.crossed if taken and taken.clusters else (),
    )


def _places(rows_of: Mapping[str, Codes], names: Sequence[str]) -> tuple[Codes, Codes]:
    """Return the rows of some groups, one group after the other, and the number of the group of each."""
    sizes = [rows_of[name].size for name in names]
    return np.concatenate([rows_of[name] for name in names]), np.repeat(
        np.arange(len(names)), sizes
    )


def _connection(
    rows: Rows, n_shuffles: int, chance: np.random.Generator
) -> SameConnection | None:
    """Test that pairs of all groups are connected with one probability, of groups without any connection too."""
    names = taking_part(
        {
            name: round(float(rows.counts[places].sum()))
            for name, places in rows.pairs.items()
        }
    )
    if len(names) < 2:
        return None
    taken = _take(rows, rows.pairs, names, {})
    connected = (rows.sizes[taken.places] > 0).astype(np.float64)
    counts = rows.counts[taken.places]
    return judge_connections(
        connected, taken.codes, taken.names, counts, taken.clusters, n_shuffles, chance
    )


def _effect(
    rows: Rows, groups: Mapping[str, Comparison], taken: _Taken, family: str
) -> GroupEffect:
    """Measure how much two groups differ, under the family that describes all together best."""
    n_pairs = len(taken.names) * (len(taken.names) - 1) // 2
    if taken.clusters is not None:
        logs = np.log(np.maximum(rows.sizes[taken.places], np.finfo(np.float64).tiny))
        found = nested.median_ratio(logs, taken.codes, taken.clusters, n_pairs)
        reference, other = (taken.names[i] for i in found.pair)
        medians = found.medians[found.pair[0]], found.medians[found.pair[1]]
        interval = Interval(found.value, found.low, found.high)
        return GroupEffect(reference, other, medians, interval, n_pairs=n_pairs)
    samples = {name: rows.samples[name] for name in taken.names}
    reference, other = effects.pair_to_name(samples)
    pair = samples[reference], samples[other]
    medians = effects.median(pair[0]), effects.median(pair[1])
    ratio = effects.median_ratio(pair, n_pairs)
    factor, p_shape = None, math.nan
    if (
        n_pairs == 1
        and effects.can_tell_scaling(*pair)
        and reference in groups
        and other in groups
    ):
        factor, p_shape = effects.scaling(
            groups[reference][family], groups[other][family]
        )
    return GroupEffect(reference, other, medians, ratio, factor, p_shape, n_pairs)
