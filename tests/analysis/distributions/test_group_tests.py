"""Verdicts on groups: right at any size, of both halves of a hurdle, of rows in clusters; and by how much groups differ."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from daleml.analysis import compare_groups, fit_weights
from daleml.analysis.distributions.clusters import (
    find_clusters,
    median_ratio,
    same_means,
)
from daleml.analysis.distributions.effects import median_ratio as ratio_of_medians
from daleml.analysis.distributions.effects import pair_to_name, scaling
from daleml.analysis.distributions.group_tests import taking_part
from daleml.analysis.distributions.group_verdicts import Verdict, holm
from daleml.analysis.distributions.p_values import at_floor, bare_p, p_text
from daleml.analysis.distributions.permutation import (
    can_reject,
    n_arrangements,
    same_fraction,
    shuffled_labels,
)
from daleml.analysis.distributions.scores import standard_scores
from daleml.analysis.weights.sampling import weight_sample


def conclude(*args, **options):
    return compare_groups(
        *args, families="lognormal", n_shuffles=199, **options
    ).conclusion()


# -- the test of strengths ---------------------------------------------------------------------------------------------


def test_scores_of_a_lognormal_by_hand():
    w = np.random.default_rng(0).lognormal(3, 0.7, 50)
    z = stats.zscore(np.log(w))
    shape = stats.zscore(z**2 - np.mean(z**3) * z)  # what z does not say of z squared
    found = standard_scores(fit_weights(w), w, np.ones(50))
    assert found[:, 0] == pytest.approx(z, abs=1e-6)
    assert found[:, 1] == pytest.approx(shape, abs=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"truncation": (0.5, None)},
        {"truncation": (0.5, 4.0)},
        {"censoring": 0.6},
        {"censoring": (0.5, 2.0)},
        {"resolution": 0.1},
        {"discrete": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("family", ["lognormal", "weibull", "generalizedgamma"])
def test_scores_are_of_what_was_observed(family, options):
    """At the maximum they add up to zero, weighted as they are; and they have the variance 1."""
    w = np.random.default_rng(1).lognormal(0, 0.7, 200)
    w = (
        np.round(w, 1)
        if "resolution" in options
        else np.ceil(3 * w)
        if "discrete" in options
        else w
    )
    low, high = options.get("truncation", (0.0, None))
    w = w[(w > low) & (w < (high or np.inf))]
    found = standard_scores(fit_weights(w, family, **options), w, np.ones(w.size))
    assert found.T @ found / w.size == pytest.approx(np.eye(found.shape[1]), abs=1e-6)
    assert found.shape[1] == len(fit_weights(w, family, **options).params)


def test_the_chance_of_shuffled_labels_is_that_of_all_of_them():
    """Five values in two groups: all ten ways are counted by hand."""
    import itertools

    u = np.array([[-1.0], [0.4], [0.9], [-0.5], [2.0]])
    u = (u - u.mean()) / u.std()
    groups = np.array([0, 0, 1, 1, 1])

    def statistic(first):
        rest = [i for i in range(5) if i not in first]
        return u[list(first)].sum() ** 2 / 2 + u[rest].sum() ** 2 / 3

    ways = [statistic(first) for first in itertools.combinations(range(5), 2)]
    exact = np.mean(np.array(ways) >= statistic((0, 1)) - 1e-12)
    found = shuffled_labels([u], groups, np.ones(5), 9999, np.random.default_rng(0))
    assert found[0] == pytest.approx(exact, abs=0.02)


def test_labels_are_shuffled_inside_strata_only():
    """Groups that are strata too never change: every shuffle is as far."""
    u = np.random.default_rng(0).normal(size=(40, 2))
    groups = np.repeat([0, 1], 20)
    assert (
        shuffled_labels([u], groups, np.ones(40), 99, np.random.default_rng(0), groups)[
            0
        ]
        == 1
    )
    apart = u + 5 * groups[:, None]
    assert (
        shuffled_labels(
            [apart],
            groups,
            np.ones(40),
            99,
            np.random.default_rng(0),
            np.arange(40) % 2,
        )[0]
        == 0.01
    )


def false_alarms(draw, labels, n_samples, **options):
    verdicts = [
        compare_groups(
            draw(np.random.default_rng(seed)),
            labels,
            "lognormal",
            n_shuffles=99,
            **options,
        ).verdict
        for seed in range(n_samples)
    ]
    return sum(verdict is Verdict.DIFFER for verdict in verdicts)


@pytest.mark.parametrize(
    "labels",
    [
        np.repeat(np.arange(25), 4),
        np.repeat(np.arange(11), [60] + [2] * 10),
        np.repeat([0, 1], 5),
    ],
    ids=["25 of 4", "60 and ten of 2", "two of 5"],
)
def test_groups_that_mean_nothing_do_not_differ(labels):
    """Of 40 at 5 %, eight or more come once in a thousand; a chi-squared test of these says so of half and more."""
    assert false_alarms(lambda rng: rng.lognormal(size=labels.size), labels, 40) < 8


def test_a_sample_whose_labels_are_drawn_by_lot():
    x = np.random.default_rng(0).lognormal(size=400)
    assert "cannot be told apart" in conclude(x, np.repeat(np.arange(100), 4))
    doubled = np.where(np.arange(400) < 40, 6 * x, x)
    assert "differ under" in conclude(doubled, np.repeat(np.arange(100), 4))


def test_groups_of_counts_that_are_hardly_ever_two():
    """Groups of ones alone have no fit of their own, and are values like the others."""
    rng = np.random.default_rng(0)
    counts = 1 + (rng.random(100) < 0.2)
    result = compare_groups(
        counts, np.arange(100) % 20, "lognormal", discrete=True, n_shuffles=99
    )
    assert result.failures
    assert len(result.tested) == 20
    assert result.verdict is Verdict.ALIKE
    assert math.isnan(result.same["lognormal"].statistic)
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_group_of_equal_values_can_differ():
    rng = np.random.default_rng(0)
    result = compare_groups(
        np.r_[rng.lognormal(0, 0.5, 30), np.full(10, 9.0)],
        [*"a" * 30, *"b" * 10],
        "lognormal",
    )
    assert "b" in result.failures
    assert result.verdict is Verdict.DIFFER
    assert "b could not be fitted" in result.conclusion()
    assert result.reasons() == {"b": "all 10 values are 9"}


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [
        ({"a": 200, "b": 90, "c": 2}, ["a", "b"]),
        ({"a": 200, "b": 4, "c": 1}, ["a", "b"]),
        ({"a": 4, "b": 4, "c": 4, "d": 1}, ["a", "b", "c"]),
        ({"a": 5, "b": 5, "c": 4, "d": 4, "e": 4}, ["a", "b", "c", "d", "e"]),
        ({"a": 1, "b": 1}, []),
    ],
)
def test_which_groups_take_part(sizes, taken):
    assert taking_part(sizes) == taken


def test_small_groups_are_left_out_by_name():
    rng = np.random.default_rng(0)
    w = rng.lognormal(size=66)
    said = conclude(w, [*"a" * 30, *"b" * 29, *"c" * 2, *"d" * 4, "e"])
    assert said.endswith(
        "; c (n = 2) and d (n = 4) took no part in the test, being too small; e could not be fitted."
    )
    assert said.startswith("The 2 groups ")
    assert "`" not in said


def test_too_few_values_for_any_test():
    result = compare_groups([1.0, 2.0, 3.0, 4.0], ["a", "a", "b", "b"], "lognormal")
    assert (
        result.conclusion()
        == "The 2 groups cannot be compared: of so few values no test at 5 % is possible."
    )
    assert result.verdict is Verdict.UNTESTED
    assert result.to_dict()["same_distribution"]["lognormal"]["p_value"] is None
    assert not can_reject([2, 2])
    assert can_reject([4, 4])
    assert n_arrangements([3, 3]) == pytest.approx(10)
    assert n_arrangements([3, 4]) == pytest.approx(35)


def test_frequencies_are_values_as_often():
    rng = np.random.default_rng(0)
    w, labels, counts = (
        rng.lognormal(size=40),
        np.repeat(["a", "b"], 20),
        rng.integers(1, 4, 40),
    )
    weighted = compare_groups(
        w, labels, "lognormal", sample_weights=counts, n_shuffles=999
    )
    repeated = compare_groups(
        np.repeat(w, counts), np.repeat(labels, counts), "lognormal", n_shuffles=999
    )
    assert weighted.same["lognormal"].p_value == pytest.approx(
        repeated.same["lognormal"].p_value, abs=0.05
    )
    assert weighted.effect.medians == pytest.approx(repeated.effect.medians)
    assert weighted.effect.ratio == pytest.approx(repeated.effect.ratio)


def test_a_seed_gives_one_answer():
    w, labels = (
        np.random.default_rng(0).lognormal(size=60),
        np.repeat(["a", "b", "c"], 20),
    )
    assert conclude(w, labels) == conclude(w, labels)
    other = (
        compare_groups(w, labels, "lognormal", rng=1, n_shuffles=199)
        .same["lognormal"]
        .p_value
    )
    assert (
        other
        != compare_groups(w, labels, "lognormal", n_shuffles=199)
        .same["lognormal"]
        .p_value
    )
    with pytest.raises(ValueError, match="`n_shuffles` must be at least 19; got 5."):
        compare_groups(w, labels, "lognormal", n_shuffles=5)


# -- hurdles -----------------------------------------------------------------------------------------------------------


def pairs(share, factor=1.0, n=400, seed=9):
    rng = np.random.default_rng(seed)
    there = rng.random(2 * n) < np.repeat(share, n)
    return rng.lognormal(0, 0.8, 2 * n) * there * np.repeat(
        [1.0, factor], n
    ), np.repeat(["PV", "SST"], n)


def test_groups_that_differ_in_how_often_they_are_connected():
    result = compare_groups(*pairs([0.1, 0.3]), "lognormal", zeros="hurdle")
    table = [
        [
            (result.connection.n_connected[name]),
            400 - result.connection.n_connected[name],
        ]
        for name in ("PV", "SST")
    ]
    assert result.connection.p_value == pytest.approx(
        stats.chi2_contingency(table, False, "log-likelihood").pvalue
    )
    assert result.verdict is Verdict.DIFFER
    said = result.conclusion()
    assert said.startswith(
        "The 2 groups differ in how often pairs are connected (PV 0.0775, SST 0.312, p = "
    )
    assert "and not measurably in their strengths" in said
    found = result.to_dict()["same_distribution"]["lognormal"]
    assert found["p_value"] < 1e-6 < 0.05 < found["p_strengths"]


def test_groups_that_differ_in_strengths_only():
    said = compare_groups(
        *pairs([0.3, 0.3], 2.0), "lognormal", zeros="hurdle"
    ).conclusion()
    assert said.startswith(
        "The 2 groups differ in their strengths under the log-normal"
    )
    assert "and not measurably in how often" in said


def test_groups_that_differ_in_both_and_in_neither():
    both = compare_groups(
        *pairs([0.2, 0.5], 2.0), "lognormal", zeros="hurdle"
    ).conclusion()
    assert "differ in how often pairs are connected" in both
    assert ", and in their strengths" in both
    neither = compare_groups(*pairs([0.3, 0.3]), "lognormal", zeros="hurdle")
    assert neither.conclusion().startswith(
        "The 2 groups cannot be told apart, neither in how often"
    )
    assert neither.same["lognormal"].p_value >= 0.05


def test_a_group_without_any_connection_takes_part():
    w, labels = pairs([0.3, 0.3], n=40)
    w, labels = np.r_[w, np.zeros(40)], [*labels, *["none"] * 40]
    result = compare_groups(w, labels, "lognormal", zeros="hurdle")
    assert "none" in result.failures
    assert result.connection.n_connected["none"] == 0
    assert result.conclusion().startswith(
        "The 3 groups differ in how often pairs are connected (none 0,"
    )


def test_holm():
    assert holm(0.04, 0.04).verdict is Verdict.ALIKE
    assert holm(0.02, 0.04) == holm(0.02, 0.04)
    assert (holm(0.02, 0.04).strengths, holm(0.02, 0.04).connection) == (True, True)
    assert (holm(0.02, 0.06).strengths, holm(0.02, 0.06).connection) == (True, False)
    assert (holm(0.3, 0.001).strengths, holm(0.3, 0.001).connection) == (False, True)
    assert holm(0.04, math.nan).verdict is Verdict.DIFFER
    assert holm(math.nan, math.nan).verdict is Verdict.UNTESTED
    assert holm(0.02, 0.5).p_value == 0.04


def test_one_share_against_fishers_exact_test():
    p = same_fraction(
        np.array([2.0, 9.0]), np.array([12.0, 12.0]), 9999, np.random.default_rng(0)
    )
    assert p == pytest.approx(stats.fisher_exact([[2, 10], [9, 3]]).pvalue, abs=0.004)
    assert (
        same_fraction(
            np.array([5.0, 5.0]), np.array([5.0, 5.0]), 99, np.random.default_rng(0)
        )
        == 1
    )


# -- rows in clusters --------------------------------------------------------------------------------------------------


def animals(n=4, spines=30, sd=0.5, factor=1.0, seed=0):
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(2 * n), spines)
    group = of >= n
    w = np.exp(rng.normal(0, sd, 2 * n)[of] + rng.normal(0, 0.8, of.size)) * np.where(
        group, factor, 1.0
    )
    return w, np.where(group, "KO", "WT"), pd.Series(of, name="mouse")


def test_spines_of_equal_animals_do_not_differ():
    naive = within = 0
    for seed in range(30):
        w, group, mouse = animals(seed=seed)
        naive += "differ under" in conclude(w, group)
        within += "differ under" in conclude(w, group, within=mouse)
    assert naive > 10
    assert within < 6


def test_animals_that_differ():
    w, group, mouse = animals(n=6, sd=0.2, factor=3.0)
    result = compare_groups(w, group, "lognormal", within=mouse)
    assert result.verdict is Verdict.DIFFER
    assert result.same["lognormal"].method == "F test of clusters"
    assert result.n_clusters == {"KO": 6, "WT": 6}
    assert "F test of the means of 6 and 6 mice" in result.conclusion()
    assert result.caution() == "Each mouse lies in one group, and counts as one value."
    low, high = result.effect.ratio[1:]
    assert low < 1 / 3 < high


def test_the_f_test_is_scipys():
    rng = np.random.default_rng(0)
    u, clusters = rng.normal(size=(60, 1)), np.repeat(np.arange(6), 10)
    groups = (clusters > 2).astype(int)
    values = u[:, 0].reshape(6, 10).mean(axis=1)
    found = same_means([u], groups, clusters, np.ones(60), 99, rng)
    assert found[0][0] == pytest.approx(stats.f_oneway(values[:3], values[3:]).pvalue)


def test_many_animals_are_shuffled():
    w, group, mouse = animals(n=8, spines=10)
    result = compare_groups(w, group, "lognormal", within=mouse, n_shuffles=199)
    assert result.same["lognormal"].method == "shuffled clusters"
    assert "199 shuffles of 8 and 8 mice" in result.conclusion()


def test_of_two_and_two_animals_no_test_is_possible():
    w, group, mouse = animals(n=2)
    assert conclude(w, group, within=mouse) == (
        "The 2 groups cannot be compared: with 2 and 2 mice no test at 5 % is possible; give at least 3 of each group."
    )


def test_a_group_of_one_animal_is_left_out():
    w, group, mouse = animals(n=4)
    w, group, mouse = (
        np.r_[w, w[:30]],
        [*group, *["het"] * 30],
        pd.Series([*mouse, *[99] * 30], name="mouse"),
    )
    result = compare_groups(w, group, "lognormal", within=mouse)
    assert result.left_out == {"het": "1 mouse"}
    assert result.tested == ("KO", "WT")


def test_animals_of_which_both_groups_have_spines():
    w, _, mouse = animals(n=2, spines=60, sd=2.0)
    group = np.tile(["distal", "proximal"], w.size // 2)
    result = compare_groups(w, group, "lognormal", within=mouse)
    assert result.crossed == ("0", "1", "2", "3")
    assert result.same["lognormal"].method == "shuffled within clusters"
    assert "must stand for the same mouse" in result.caution()
    apart = w * np.where(group == "distal", 1.0, 1.6)
    assert (
        compare_groups(apart, group, "lognormal", within=mouse).verdict
        is Verdict.DIFFER
    )


def test_rows_are_said_to_be_taken_for_independent():
    w, group, _ = animals()
    result = compare_groups(w, group, "lognormal")
    assert "rows taken for independent" in result.conclusion()
    assert "`within`" in result.caution()
    assert result.caution() in str(result)


def test_the_interval_of_animals_is_students():
    rng = np.random.default_rng(0)
    logs, clusters = rng.normal(size=60), np.repeat(np.arange(6), 10)
    groups = (clusters > 2).astype(int)
    found = median_ratio(
        logs, groups, find_clusters(clusters.astype(object), groups, "mouse"), 1
    )
    medians = np.median(logs.reshape(6, 10), axis=1)
    low, high = stats.ttest_ind(medians[3:], medians[:3]).confidence_interval()
    assert (np.log(found.low), np.log(found.high)) == (
        pytest.approx(low),
        pytest.approx(high),
    )


@pytest.mark.parametrize(
    ("within", "sentence"),
    [
        (["a"], "`within` must name the cluster of each of the 4 weights; got 1 names."),
        (["a", "b", None, "c"], "`within` must name the cluster of every weight that has a group; got 1 without: leave them out first."),
    ],
)  # fmt: skip
def test_wrong_clusters_are_one_sentence(within, sentence):
    with pytest.raises(ValueError) as raised:
        compare_groups(
            [1.0, 2.0, 3.0, 4.0], ["a", "a", "b", "b"], "lognormal", within=within
        )
    assert str(raised.value) == sentence


# -- how much they differ ----------------------------------------------------------------------------------------------


def test_a_scaling_is_told_from_a_change_of_shape():
    rng = np.random.default_rng(0)
    a, b, wide = (
        rng.lognormal(0, 0.5, 150),
        1.5 * rng.lognormal(0, 0.5, 150),
        rng.lognormal(0.4, 1.0, 150),
    )
    labels = np.repeat(["before", "after"], 150)
    scaled = compare_groups(np.r_[a, b], labels, "lognormal")
    assert scaled.effect.is_scaling
    assert (scaled.effect.reference, scaled.effect.other) == ("after", "before")
    factor = scaled.effect.scaling
    assert factor.low < 1 / 1.5 < factor.high
    assert "; a scaling by 0.7" in scaled.conclusion()
    assert scaled.to_dict()["effect"]["is_scaling"] is True
    other = compare_groups(np.r_[a, wide], labels, "lognormal")
    assert other.effect.is_scaling is False
    assert (
        "no one factor describes it, their shapes differ too (p = "
        in other.conclusion()
    )


def test_the_scaling_of_lognormals_is_the_ratio_of_geometric_means():
    rng = np.random.default_rng(0)
    a, b = rng.lognormal(0, 0.5, 60), rng.lognormal(1, 0.5, 90)
    factor, p = scaling(fit_weights(a), fit_weights(b))
    assert math.log(factor.value) == pytest.approx(
        np.log(b).mean() - np.log(a).mean(), abs=1e-4
    )
    pooled = stats.ttest_ind(np.log(b), np.log(a)).confidence_interval()
    assert (math.log(factor.low), math.log(factor.high)) == pytest.approx(
        (pooled.low, pooled.high), abs=2e-3
    )
    assert 0 < p <= 1


def test_a_scaling_moves_weights_over_the_threshold():
    """What is seen above a threshold is scaled by less than the weights are."""
    rng = np.random.default_rng(3)
    a, b = rng.lognormal(0, 0.8, 3000), 2 * rng.lognormal(0, 0.8, 3000)
    a, b = a[a > 1], b[b > 1]
    labels = np.repeat(["a", "b"], [a.size, b.size])
    result = compare_groups(np.r_[a, b], labels, "lognormal", truncation=(1, None))
    assert result.effect.ratio.high < 1.9
    assert result.effect.scaling.low < 2 < result.effect.scaling.high
    assert result.effect.is_scaling


def test_of_few_weights_no_scaling_is_claimed():
    rng = np.random.default_rng(0)
    w = np.r_[rng.lognormal(0, 0.3, 19), rng.lognormal(2, 0.3, 40)]
    result = compare_groups(w, ["a"] * 19 + ["b"] * 40, "lognormal")
    assert result.effect.scaling is None
    assert "scaling" not in result.conclusion()


def test_of_many_groups_the_pair_is_named_and_its_interval_is_wider():
    rng = np.random.default_rng(0)
    w = np.r_[
        rng.lognormal(0, 0.5, 100),
        rng.lognormal(0.1, 0.5, 100),
        rng.lognormal(1, 0.5, 100),
    ]
    result = compare_groups(w, np.repeat(["a", "b", "c"], 100), "lognormal")
    assert (result.effect.reference, result.effect.other, result.effect.n_pairs) == (
        "a",
        "c",
        3,
    )
    alone = ratio_of_medians([weight_sample(w[:100]), weight_sample(w[200:])])
    assert result.effect.ratio.value == pytest.approx(
        np.median(w[200:]) / np.median(w[:100])
    )
    assert result.effect.ratio.low < alone.low < alone.high < result.effect.ratio.high
    assert "for all 3 pairs together" in result.conclusion()
    equal = {name: weight_sample([1.0, 2.0, 2.0, 2.0, 3.0]) for name in "abc"}
    assert len(set(pair_to_name(equal))) == 2


# -- medians of counts and of rounded values ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.geometric(
            0.3, n
        ),  # half of it is 2 or less: the median is 2 or 3 by chance
        lambda rng, n: 1 + rng.poisson(1.5, n),
        lambda rng, n: rng.choice([1, 2, 3], n, p=[0.55, 0.3, 0.15]),
        lambda rng, n: np.maximum(np.round(rng.lognormal(-0.5, 0.8, n), 1), 0.1),
    ],
)
@pytest.mark.parametrize("n", [15, 60])
def test_the_median_ratio_of_tied_values_holds_one_where_nothing_differs(draw, n):
    rng = np.random.default_rng(n)
    found = [
        ratio_of_medians([weight_sample(1.0 * draw(rng, n)) for _ in "ab"])
        for _ in range(100)
    ]
    assert sum(not one.low <= 1 <= one.high for one in found) <= 10
    assert all(one.low <= one.value <= one.high for one in found)


def test_the_median_ratio_of_rounded_values_is_about_that_before_rounding():
    rng = np.random.default_rng(0)
    first, second = rng.lognormal(0, 0.8, 400), rng.lognormal(0.5, 0.8, 400)
    exact = ratio_of_medians([weight_sample(first), weight_sample(second)])
    coarse = ratio_of_medians(
        [weight_sample(np.round(w / 0.5).clip(1) * 0.5) for w in (first, second)]
    )
    assert coarse.low < exact.value < coarse.high
    assert np.log(coarse.high / coarse.low) == pytest.approx(
        np.log(exact.high / exact.low), rel=0.3
    )


# -- how p-values are written ------------------------------------------------------------------------------------------


def test_a_floor_is_said():
    assert [p_text(1 / (n + 1), n) for n in (99, 100, 200, 999)] == [
        "p < 0.01",
        "p < 0.01",
        "p < 0.005",
        "p < 0.001",
    ]
    assert p_text(2 / 201, 200) == "p < 0.01"
    assert p_text(3 / 201, 200) == "p = 0.015"
    assert bare_p(0.05, 19) == "0.05"  # so few samples can reject nothing
    assert p_text(1.2e-15) == "p = 1.2e-15"
    assert bare_p(math.nan) == "–"
    assert not at_floor(0.05, 19)


def test_the_floor_is_in_the_json():
    rng = np.random.default_rng(0)
    w = np.r_[rng.lognormal(0, 0.5, 20), rng.lognormal(3, 0.5, 20)]
    found = compare_groups(w, ["a"] * 20 + ["b"] * 20, "lognormal", n_shuffles=99)
    assert "p < 0.01, 99 shuffles" in found.conclusion()
    as_json = found.to_dict()["same_distribution"]["lognormal"]
    assert (as_json["p_value"], as_json["at_floor"]) == (0.01, True)
