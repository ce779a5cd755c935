"""Groups of weights fitted apart."""

import json
import math
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from daleml.analysis import compare_families, compare_groups, family_label, fit_weights


def two(n=300, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return np.r_[rng.lognormal(0, 0.8, n), rng.lognormal(shift, 0.8, n)], np.repeat(
        ["L2", "L5"], n
    )


def test_each_group_is_what_it_would_be_alone():
    w, layer = two(shift=0.5)
    result = compare_groups(w, layer, ("lognormal", "gamma"))
    assert list(result.groups) == ["L2", "L5"]
    for name in ("L2", "L5"):
        assert result[name] == compare_families(
            w[layer == name], ("lognormal", "gamma")
        )
    assert result.pooled == compare_families(w, ("lognormal", "gamma"))
    ratio = 2 * (
        sum(result[name]["gamma"].log_likelihood for name in result.groups)
        - fit_weights(w, "gamma").log_likelihood
    )
    same = result.same["gamma"]
    assert same.statistic == pytest.approx(ratio)
    assert same.freedom == 2
    assert same.p_value == pytest.approx(stats.chi2.sf(ratio, 2))
    best = result.same[result.pooled.best.family]
    assert result.conclusion().startswith(
        f"The 2 groups differ under the {family_label(best.family)} (likelihood ratio {best.statistic:.1f}, 2 degrees of freedom, "
        f"p = {best.p_value:.2g}, rows taken for independent): the median of L5 is "
    )


@pytest.mark.parametrize(
    "options", [{}, {"truncation": (0.4, None)}, {"discrete": True}]
)
def test_the_test_of_same_distribution_is_calibrated(options):
    p = []
    for seed in range(150):
        w, layer = two(120, seed=seed)
        w = np.ceil(4 * w) if "discrete" in options else w
        keep = w > 0.4 if "truncation" in options else w > 0
        p.append(
            compare_groups(w[keep], layer[keep], "lognormal", **options)
            .same["lognormal"]
            .p_value
        )
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.1


def test_groups_that_do_not_differ():
    w, layer = two()
    assert (
        "The 2 groups cannot be told apart under the"
        in compare_groups(w, layer, "lognormal").conclusion()
    )


LEFT = "with 0 zeros and 0 values left out."


def test_what_cannot_be_fitted_is_reported_and_stops_nobody():
    w, layer = two(50)
    w = np.r_[w, 1.0, 2.0, 2.0, 2.0, -1.0, 2.0, math.nan, 1.0]
    layer = [*layer, "one", *["flat"] * 3, *["mixed"] * 2, *["missing"] * 2]
    result = compare_groups(w, layer, "lognormal")
    assert list(result.groups) == ["L2", "L5"]
    assert result.failures == {
        "flat": "`weights` must vary to be fitted; got 3 values of 2.",
        "missing": "`weights` must be finite; got 1 NaN or infinite values of 2: `drop_missing=True` leaves NaN out, and counts them.",
        "mixed": "`weights` must be of one sign unless `sign` or `pool` is given; got 1 positive and 1 negative values.",
        "one": f"`weights` must hold at least 2 values other than zero; got 1, {LEFT}",
    }
    assert result.conclusion().endswith(
        "; flat, missing, mixed and one could not be fitted."
    )
    table = result.table()
    assert table.group.tolist() == ["L2", "L5", "flat", "missing", "mixed", "one"]
    assert table.problem.tolist()[2] == result.failures["flat"]
    assert "problem" not in compare_groups(*two(50), "lognormal").table()


def test_a_mixture_that_one_group_is_too_small_for():
    w, layer = two(40)
    w, layer = np.r_[w, 1.0, 2.0, 3.5, 4.5], [*layer, *["few"] * 4]
    result = compare_groups(w, layer, ("lognormal", "lognormal2"))
    assert result["few"].failures == {
        "lognormal2": "`weights` must hold more than 5 different values to fit lognormal2; got 4."
    }
    assert result.same.keys() == {"lognormal"}
    assert result.conclusion()
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_family_that_none_can_be_compared_under():
    w, layer = np.r_[two(40)[0], 1.0, 2.0, 3.5], [*["big"] * 80, *["few"] * 3]
    result = compare_groups(w, layer, "lognormal2")
    assert list(result.groups) == ["big"]
    assert (
        result.conclusion()
        == "Only the group big could be fitted, so nothing was compared; few could not be fitted."
    )


@pytest.mark.parametrize(
    ("labels", "names", "n_unlabelled"),
    [
        (["b"] * 4 + ["a"] * 4, ["a", "b"], 0),
        ([10] * 4 + [9] * 4, ["9", "10"], 0),
        ([1.0] * 3 + [math.nan] + [2.0] * 4, ["1", "2"], 1),
        ([1.5] * 4 + [2.0] * 4, ["1.5", "2"], 0),
        (["a"] * 3 + [None, ""] + ["b"] * 3, ["a", "b"], 2),
        (pd.Categorical(["a"] * 3 + [None] + ["b"] * 4, categories=["b", "a"]), ["a", "b"], 1),
        (pd.Series([1] * 4 + [None] + [2] * 3, dtype="Int64"), ["1", "2"], 1),
        (pd.Series(["a"] * 4 + [pd.NA] + ["b"] * 3, dtype="string"), ["a", "b"], 1),
        ([True] * 4 + [False] * 4, ["False", "True"], 0),
        (np.array([["a"] * 4, ["b"] * 4]), ["a", "b"], 0),
    ],
)  # fmt: skip
def test_labels_of_all_kinds(labels, names, n_unlabelled):
    w = [1.0, 2.0, 4.0, 3.0, 1.5, 2.5, 3.5, 7.0]
    result = compare_groups(w, labels, "lognormal")
    assert list(result.groups) == names
    assert result.n_unlabelled == n_unlabelled
    assert sum(one.best.n for one in result.groups.values()) == 8 - n_unlabelled


def test_excitatory_and_inhibitory_are_groups_of_their_own():
    w, _ = two(60)
    signed = np.where(np.arange(120) < 60, w, -w)
    kinds = np.where(signed > 0, "E", "I")
    result = compare_groups(signed, kinds, "lognormal")
    assert result["E"].best.sample.sign == 1
    assert result["I"].best.sample.sign == -1
    assert result["I"].best.params == fit_weights(w[60:]).params
    mixed = compare_groups(signed, ["a", "b"] * 60, "lognormal", sign=-1)
    assert sum(one.best.n for one in mixed.groups.values()) == 60


def test_zeros_count_for_the_pooled_connection_too():
    w, layer = two(40)
    w[:10] = 0
    result = compare_groups(w, layer, "lognormal", zeros="hurdle")
    assert result["L2"].best.connection.probability == pytest.approx(30 / 40)
    assert result["L5"].best.connection.probability == 1
    assert result.pooled.best.connection.probability == pytest.approx(70 / 80)
    weights = np.where(w == 0, 3, 1)
    weighted = compare_groups(
        w, layer, "lognormal", zeros="hurdle", sample_weights=weights
    )
    assert weighted.pooled.best.connection.probability == pytest.approx(70 / 100)
    refused = compare_groups(w, layer, "lognormal", zeros="error")
    assert refused.failures == {
        "L2": '`weights` must hold no zero where `zeros` is "error"; got 10.'
    }


def test_sample_weights_go_with_their_values():
    w, layer = two(40)
    counts = np.random.default_rng(0).integers(1, 4, 80)
    result = compare_groups(w, layer, "gamma", sample_weights=counts)
    repeated = compare_groups(np.repeat(w, counts), np.repeat(layer, counts), "gamma")
    assert result.same["gamma"].statistic == pytest.approx(
        repeated.same["gamma"].statistic, abs=1e-5
    )


def test_results_are_values():
    w, layer = two(60)
    result = compare_groups(w, layer, ("lognormal", "gamma"), gof=5, jobs=1)
    assert (
        json.loads(json.dumps(result.to_dict(), allow_nan=False))["conclusion"]
        == result.conclusion()
    )
    assert pickle.loads(pickle.dumps(result)).conclusion() == result.conclusion()
    assert result.conclusion() in str(result)
    assert result["L2"].goodness.keys() == {"lognormal", "gamma"}


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: compare_groups([1.0, 2.0], ["a"]), ValueError, "`by` must name the group of each of the 2 weights; got 1 names."),
        (lambda: compare_groups([1.0, 2.0], ["a", "b"]), ValueError, f"`by` must name a group that can be fitted; got none, a: `weights` must hold at least 2 values other than zero; got 1, {LEFT}"),
        (lambda: compare_groups([1.0, 2.0], [None, ""]), ValueError, "`by` must name a group that can be fitted; got none: every value is without a group."),
        (lambda: compare_groups(["x", "y"], ["a", "b"]), TypeError, "`weights` must be real numbers; got <U1 values."),
        (lambda: compare_groups([1.0, 2.0], ["a", "a"], sample_weights=[1]), ValueError, "`sample_weights` must be as many as the weights, 2; got 1."),
        (lambda: compare_groups([1.0, 2.0], ["a", "a"], sample_weights=["x", "y"]), TypeError, "`sample_weights` must be real numbers; got <U1 values."),
        (lambda: compare_groups([1.0, 2.0], ["a", "a"], ()), ValueError, "`families` must name at least one family; got none."),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(call, error, sentence):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == sentence


def test_what_is_printed_has_labels_and_no_least_p_value_as_if_measured():
    w = np.r_[np.random.default_rng(0).exponential(size=300), np.ones(20) * 9]
    result = compare_groups(w, ["a"] * 160 + ["b"] * 160, "halfnormal", gof=99)
    said = str(result)
    assert "half-normal" in said
    assert "halfnormal" not in said
    assert "< 0.01" in said
    assert result.table()["best"].tolist() == ["halfnormal"] * 2
