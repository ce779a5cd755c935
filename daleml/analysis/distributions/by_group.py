"""The comparison of groups of synapses, such as cell classes, layers or areas."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike

from daleml import require
from daleml._support.torch_values import is_module
from daleml.analysis.distributions import clusters as nested
from daleml.analysis.distributions import effects
from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.effects import GroupEffect, Interval
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.family_names import SIMPLE, find_all
from daleml.analysis.distributions.family_ranking import compare_sample, part_of
from daleml.analysis.distributions.group_comparison import GroupComparison
from daleml.analysis.distributions.group_rows import Rows, read_rows, together
from daleml.analysis.distributions.group_tests import (
    judge_connections,
    judge_strengths,
    taking_part,
)
from daleml.analysis.distributions.group_verdicts import (
    SameConnection,
    SameDistribution,
)
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.observed_sample import (
    FitOptions,
    ObservedSample,
    has_spread,
    lists_fit_options,
    require_spread,
    split_options,
)
from daleml.analysis.distributions.permutation import generator_for
from daleml.analysis.distributions.tested_groups import TestedGroups, take_groups

if TYPE_CHECKING:
    from torch import nn

# The keywords of `compare_groups` beside the shared options, for whoever misspells one.
_OWN = ("families", "within", "gof", "n_shuffles", "rng", "jobs", "progress")


@lists_fit_options
def compare_groups(
    weights: ArrayLike | nn.Module,
    by: ArrayLike,
    families: str | Family | Sequence[str | Family] = SIMPLE,
    *,
    within: ArrayLike | None = None,
    observation: Observation | None = None,
    gof: int = 0,
    n_shuffles: int = 999,
    rng: int | np.random.Generator = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | bool = False,
    **options: Unpack[FitOptions],
) -> GroupComparison:
    r"""Compare families group by group, and test whether the groups are of one distribution.

    A group that cannot be fitted is reported, and does not stop the others.

    The test is Rao's: with :math:`u_i` the scores of a value under the family fitted to all
    groups together, made uncorrelated and of variance 1,

    .. math:: T = \sum_g \frac1{n_g} \Big|\sum_{i \in g} u_i\Big|^2

    is large where groups differ. How large it is by chance is counted over
    shuffled labels, so that its level holds for groups of any size, under a wrong family too.
    If no shuffle gives as large a :math:`T` and groups have 100 values or more, the p-value is
    that of the likelihood ratio, which can be smaller.

    Args:
        weights: A tensor or an array of magnitudes. How a sample is taken from them holds
            within each group. Or a module whose layers name their populations.
        by: The group of each: a column of cell classes, layers or areas. None, NaN and empty
            text are no group. Of a module, ``"population"``, the presynaptic one, or
            ``"pathway"``, as for :func:`weight_samples`.
        families: Names of families, or ``Family`` objects; default: every family of one or two
            parameters. ``"all"`` adds the others.
        within: The animal or cell that each lies in. Values of one animal are alike, and do not
            count as independent: whole animals are compared, by their mean scores, where each
            is in one group; labels are shuffled within each where animals are in several
            groups. Default: every row is taken for independent.
        observation: How the weights were observed, in one object; default: as the options from
            ``truncation`` to ``significant`` say.
        gof: Number of bootstrap samples of a goodness-of-fit test of each group, see
            :func:`goodness_of_fit`; 0 for none.
        n_shuffles: Number of shuffles of the labels, 19 or more.
        rng: A seed of shuffles and bootstraps, or a generator.
        jobs: Processes to use where bootstraps are long. Default: one per core.
        progress: Of the bootstraps: True for a bar on standard error; or a callback, which is
            called with the number done and the number of all, anew for each group.
        **options: How the sample is taken and how it was observed: :class:`FitOptions`.

    Returns:
        The comparison of each group, and the test that all are of one distribution.

    Raises:
        TypeError: If the weights are not numbers.
        ValueError: If ``by`` does not fit the weights, or no group can be fitted.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> sizes = np.r_[rng.lognormal(0, 1, 500), rng.lognormal(0.5, 1, 500), 1.0]
        >>> layer = ["L2"] * 500 + ["L5"] * 500 + ["L6"]
        >>> result = compare_groups(sizes, layer, "lognormal")
        >>> result.reasons()
        {'L6': 'at least 2 values other than zero are needed, and it has 1 beside 0 zeros'}
        >>> result.same["lognormal"].p_value < 0.001
        True
        >>> result.effect.is_scaling
        True

    Notes:
        With ``zeros="hurdle"``, two things are tested: how often pairs are connected, and how
        strong the connections are. Groups differ if they differ in either; the level of both
        tests together is 5 % (Holm's rule).

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
    taken, observation = split_options(observation, options, _OWN)
    rows = read_rows(*_synapses(weights, by), within, taken)

    how = {"gof": gof, "rng": rng, "jobs": jobs}
    compare = _comparing(chosen, how, progress, len(rows.names))

    groups, sizes, problems = _compare_each(rows, observation, compare)
    failures = {name: problems[name] for name in rows.names if name in problems}
    if not groups:
        why = ": every value is without a group."
        if failures:
            name, problem = next(iter(failures.items()))
            why = f", {name}: {problem}"
        raise ValueError(f"`by` must name a group that can be fitted; got none{why}")
    # Zeros that stand for what is too small to be written down are magnitudes like the others.
    rows_of = rows.pairs if observation.zeros == "censored" else rows.connected
    tested = _tested_groups(rows, rows_of, sizes, groups)
    compared = tested.names or list(groups)
    sample = together([rows.samples[name] for name in compared])
    pooled = compare_sample(ObservedSample(sample, observation), chosen)
    chance = generator_for(rng, rows.sizes)
    connection = None
    if observation.zeros == "hurdle":
        connection = _same_connection(rows, n_shuffles, chance)
    same, effect = _same_distribution(rows, groups, pooled, tested, n_shuffles, chance)
    if connection:
        for family, test in same.items():
            same[family] = test.with_connection(connection.p_value)
    return GroupComparison(
        groups=groups,
        failures=failures,
        pooled=pooled,
        same=same,
        n_unlabelled=rows.n_unlabelled,
        tested=tuple(tested.names) if same else (),
        left_out=tested.left_out,
        effect=effect,
        connection=connection,
        n_clusters=tested.n_clusters(),
        within=rows.cluster_kind if rows.clusters is not None else "",
        crossed=tested.clusters.crossed if tested.clusters else (),
    )


def _synapses(
    weights: ArrayLike | nn.Module, by: ArrayLike
) -> tuple[ArrayLike, ArrayLike]:
    """Return values and their groups: as they were given, or those of a module's synapses."""
    if not is_module(weights) or not isinstance(by, str):
        return cast("ArrayLike", weights), by
    # Here, so that whoever compares a table waits for nothing of torch.
    from daleml.analysis.weights.synapse_lists import labelled

    return labelled(weights, by)


def _comparing(
    families: Sequence[Family],
    how: Mapping[str, Any],
    progress: Callable[[int, int], object] | bool,
    n_groups: int,
) -> Callable[[ObservedSample], Comparison]:
    """Return what compares the families in one group after the other."""
    places = itertools.count()

    def compare(observed: ObservedSample) -> Comparison:
        # One bar for all groups together, which does not begin again with each.
        part = part_of(progress, next(places), n_groups)
        return compare_sample(observed, families, progress=part, **how)

    return compare


def _compare_each(
    rows: Rows,
    observation: Observation,
    compare: Callable[[ObservedSample], Comparison],
) -> tuple[dict[str, Comparison], dict[str, int], dict[str, str]]:
    """Return by group its comparison, its size, and why it could not be fitted."""
    groups: dict[str, Comparison] = {}
    sizes: dict[str, int] = {}
    problems = dict(rows.failures)
    for name, sample in rows.samples.items():
        observed = ObservedSample(sample, observation)
        try:
            # A sample that cannot have been observed so is refused here.
            _ = observed.data
            # Equal values are no less values, though no family can be fitted to them.
            if not has_spread(sample):
                sizes[name] = sample.n
            require_spread(sample)
            groups[name] = compare(observed)
            sizes[name] = sample.n
        except ValueError as problem:
            problems[name] = str(problem)
    return groups, sizes, problems


def _tested_groups(
    rows: Rows,
    rows_of: Mapping[str, nested.Codes],
    sizes: Mapping[str, int],
    groups: Mapping[str, Comparison],
) -> TestedGroups:
    """Return the groups that take part in the test of strengths; none if fewer than two."""
    names = taking_part(sizes)
    left_out = {name: f"n = {sizes[name]}" for name in groups if name not in names}
    if len(names) > 1:
        tested = take_groups(rows, rows_of, names, left_out)
        if np.ptp(rows.sizes[tested.rows]) > 0:
            return tested
    return TestedGroups.none(left_out)


def _same_distribution(
    rows: Rows,
    groups: Mapping[str, Comparison],
    pooled: Comparison,
    tested: TestedGroups,
    n_shuffles: int,
    chance: np.random.Generator,
) -> tuple[dict[str, SameDistribution], GroupEffect | None]:
    """Test under each family that groups are alike, and measure how much they differ."""
    fits = []
    for fit in pooled.fits:
        if not any(fit.family in one.failures for one in groups.values()):
            fits.append(fit)
    if not tested.names or not fits:
        return {}, None
    same = judge_strengths(
        fits,
        rows.sizes[tested.rows],
        rows.counts[tested.rows],
        tested.codes,
        [groups.get(name) for name in tested.names],
        tested.clusters,
        n_shuffles,
        chance,
    )
    if tested.clusters is not None:
        return same, _effect_of_clusters(rows, tested, tested.clusters)
    return same, _effect(rows, groups, tested, fits[0].family)


def _same_connection(
    rows: Rows, n_shuffles: int, chance: np.random.Generator
) -> SameConnection | None:
    """Test that pairs of all groups are connected with one probability.

    Groups without any connection take part too.
    """
    sizes = {}
    for name, pairs in rows.pairs.items():
        sizes[name] = round(float(rows.counts[pairs].sum()))
    names = taking_part(sizes)
    if len(names) < 2:
        return None
    tested = take_groups(rows, rows.pairs, names, {})
    return judge_connections(
        (rows.sizes[tested.rows] > 0).astype(np.float64),
        tested.codes,
        tested.names,
        rows.counts[tested.rows],
        tested.clusters,
        n_shuffles,
        chance,
    )


def _effect_of_clusters(
    rows: Rows, tested: TestedGroups, clusters: nested.Clusters
) -> GroupEffect:
    """Measure how much two groups differ, each cluster as one value."""
    # A censored zero has no logarithm: it is smaller than every other value.
    sizes = np.maximum(rows.sizes[tested.rows], np.finfo(np.float64).tiny)
    ratio = nested.median_ratio(np.log(sizes), tested.codes, clusters, tested.n_pairs)
    first, second = ratio.pair
    return GroupEffect(
        reference=tested.names[first],
        other=tested.names[second],
        medians=(ratio.medians[first], ratio.medians[second]),
        ratio=Interval(ratio.value, ratio.low, ratio.high),
        n_pairs=tested.n_pairs,
    )


def _effect(
    rows: Rows, groups: Mapping[str, Comparison], tested: TestedGroups, family: str
) -> GroupEffect:
    """Measure how much two groups differ, under the family that describes all best."""
    samples = {name: rows.samples[name] for name in tested.names}
    reference, other = effects.pair_to_name(samples)
    first, second = samples[reference], samples[other]
    factor = None
    p_shape = math.nan
    fitted = reference in groups and other in groups
    if tested.n_pairs == 1 and fitted and effects.can_tell_scaling(first, second):
        fits = groups[reference][family], groups[other][family]
        factor, p_shape = effects.scaling(*fits)
    return GroupEffect(
        reference=reference,
        other=other,
        medians=(effects.median(first), effects.median(second)),
        ratio=effects.median_ratio((first, second), tested.n_pairs),
        scaling=factor,
        p_shape=p_shape,
        n_pairs=tested.n_pairs,
    )
