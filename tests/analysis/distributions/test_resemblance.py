"""Networks beside brains: measures free of scale."""

import json
import math
import pickle
import re

import numpy as np
import pytest
import torch
from scipy import special, stats

from daleml import Populations
from daleml.analysis import compare_to, weight_sample
from daleml.layers import EILinear


def closed(result, name):
    return result.measures[name].weights.value


@pytest.mark.parametrize("sigma", [0.3, 0.9, 1.5])
def test_of_a_lognormal(sigma):
    """At quantiles, so that nothing is left to chance: Gini is erf(sigma / 2)."""
    w = stats.lognorm(sigma).ppf((np.arange(20_000) + 0.5) / 20_000)
    result = compare_to(w, w, n_boot=2)
    assert closed(result, "log_sd") == pytest.approx(sigma, rel=2e-3)
    assert closed(result, "gini") == pytest.approx(math.erf(sigma / 2), rel=5e-3)
    assert closed(result, "log_skewness") == pytest.approx(0, abs=1e-9)
    assert result.qq_distance.value == 0


@pytest.mark.parametrize("shape", [0.7, 1.0, 4.0])
def test_of_a_gamma(shape):
    w = stats.gamma(shape).ppf((np.arange(20_000) + 0.5) / 20_000)
    result = compare_to(w, w, n_boot=2)
    assert closed(result, "log_sd") == pytest.approx(
        math.sqrt(special.polygamma(1, shape)), rel=5e-3
    )
    skewness = special.polygamma(2, shape) / special.polygamma(1, shape) ** 1.5
    assert closed(result, "log_skewness") == pytest.approx(skewness, rel=2e-2)
    if shape == 1:
        assert closed(result, "gini") == pytest.approx(0.5, rel=1e-3)


def test_gini_of_counts_by_hand():
    """Mean difference over twice the mean."""
    w = np.array([1.0, 2.0, 2.0, 7.0])
    expected = np.abs(w[:, None] - w).mean() / (2 * w.mean())
    assert closed(compare_to(w, w, n_boot=2), "gini") == pytest.approx(expected)
    weighted = weight_sample([1.0, 2.0, 7.0], sample_weights=[1, 2, 1])
    assert closed(compare_to(weighted, w, n_boot=2), "gini") == pytest.approx(expected)


def test_the_distance_of_two_lognormals():
    """Centred quantiles differ by the difference of sigmas times a normal's: its mean is sqrt(2 / pi) times that."""
    levels = (np.arange(20_000) + 0.5) / 20_000
    narrow, wide = (
        stats.lognorm(sigma, scale=scale).ppf(levels)
        for sigma, scale in ((0.5, 1), (0.9, 1e6))
    )
    result = compare_to(narrow, wide, n_boot=2)
    assert result.qq_distance.value == pytest.approx(
        0.4 * math.sqrt(2 / math.pi), rel=5e-3
    )
    assert result.measures["log_sd"].difference.value == pytest.approx(-0.4, abs=5e-3)


def test_free_of_scale():
    rng = np.random.default_rng(0)
    network, brain = rng.lognormal(-3, 0.5, 300), rng.gamma(2, 100, 200)
    result, moved = (
        compare_to(network, brain, n_boot=40),
        compare_to(network * 1e-6, brain * 1e9, n_boot=40),
    )
    assert moved.qq_distance == pytest.approx(result.qq_distance)
    for name, measure in result.measures.items():
        for part, other in zip(measure, moved.measures[name], strict=True):
            assert other == pytest.approx(part)


def test_intervals_cover():
    truth = {
        "log_sd": 0.8 - 0.5,
        "gini": math.erf(0.4) - math.erf(0.25),
        "log_skewness": 0.0,
    }
    inside = dict.fromkeys(truth, 0)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        # The intervals do not hang on the shuffles of the test.
        result = compare_to(
            rng.lognormal(0, 0.8, 200),
            rng.lognormal(3, 0.5, 200),
            n_boot=80,
            n_shuffles=19,
            rng=seed,
        )
        for name, value in truth.items():
            _, low, high = result.measures[name].difference
            inside[name] += low <= value <= high
    for name, count in inside.items():
        assert 0.87 <= count / 150 <= 0.99, name


def test_the_interval_of_the_distance_holds_the_truth_and_the_value():
    truth, inside = 0.4 * math.sqrt(2 / math.pi), 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        value, low, high = compare_to(
            rng.lognormal(0, 0.5, 200),
            rng.lognormal(3, 0.9, 200),
            n_boot=60,
            n_shuffles=19,
            rng=seed,
        ).qq_distance
        assert 0 <= low <= value <= high
        inside += low <= truth <= high
    assert inside >= 51
    for seed in range(
        10
    ):  # of one distribution the interval reaches down to nearly nothing
        rng = np.random.default_rng(seed)
        value, low, high = compare_to(
            rng.lognormal(0, 0.5, 200), rng.lognormal(3, 0.5, 200), n_boot=60, rng=seed
        ).qq_distance
        assert 0 <= low <= value <= high
        assert low < 0.05


def test_models_and_zeros():
    layer = EILinear(Populations(30, 10), 20)
    with torch.no_grad():
        layer.weight[0, :5] = 0
    brain = np.random.default_rng(0).lognormal(size=300)
    result = compare_to(layer, brain, sign=1, n_boot=10)
    assert result.n == (20 * 30 - 5, 300)
    positive = layer.weight.detach()[layer.weight > 0]
    assert closed(result, "log_sd") == pytest.approx(
        float(positive.double().log().std(correction=0)), rel=1e-6
    )
    assert compare_to(layer, brain, pool=True, n_boot=10).n[0] == 20 * 40 - 5
    with pytest.raises(
        ValueError, match="must hold one sample of weights unless `pool` is given"
    ):
        compare_to(layer, brain)


def test_conclusions():
    rng = np.random.default_rng(0)
    same = compare_to(
        rng.lognormal(0, 0.5, 300), rng.lognormal(2, 0.5, 300), n_boot=100
    )
    assert same.conclusion().startswith(
        "The weights do not differ measurably from the reference in σ of ln w, Gini's coefficient, skewness of ln w; a"
    )
    other = compare_to(
        rng.lognormal(0, 0.5, 300), rng.lognormal(2, 1.5, 300), n_boot=100
    )
    assert other.conclusion().startswith(
        "The weights differ from the reference in σ of ln w (smaller), Gini's coefficient (smaller)"
    )
    factor = math.exp(other.qq_distance.value)
    assert (
        f"a typical weight lies a factor of {factor:.2f} from the reference's shape."
        in other.conclusion()
    )
    assert other.table().measure.tolist() == [
        "log_sd",
        "gini",
        "log_skewness",
        "qq_distance",
    ]
    assert other.conclusion() in str(other)


def test_results_are_values_and_repeat():
    rng = np.random.default_rng(0)
    w, reference = rng.lognormal(size=50), rng.gamma(2, size=60)
    result = compare_to(w, reference, n_boot=20, rng=3)
    assert compare_to(w, reference, n_boot=20, rng=3) == result
    assert compare_to(w, reference, n_boot=20, rng=4) != result
    assert pickle.loads(pickle.dumps(result)) == result
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["n"] == [50, 60]
    wide = compare_to(w, reference, n_boot=200, level=0.99).measures["gini"].difference
    narrow = compare_to(w, reference, n_boot=200, level=0.5).measures["gini"].difference
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"level": 1}, "`level` must be between 0 and 1; got 1.0."),
        ({"n_boot": 1}, "`n_boot` must be at least 2; got 1."),
    ],
)
def test_wrong_input_is_one_sentence(options, sentence):
    with pytest.raises(ValueError) as raised:
        compare_to([1.0, 2.0], [1.0, 3.0], **options)
    assert str(raised.value) == sentence


# -- the one test ------------------------------------------------------------------------------------------------------


def alike(draw, n, n_samples=40):
    rngs = (np.random.default_rng(seed) for seed in range(n_samples))
    return sum(
        bool(compare_to(draw(rng, n), 5 * draw(rng, n), n_boot=2, n_shuffles=99).differ)
        for rng in rngs
    )


@pytest.mark.parametrize(
    ("draw", "n"),
    [
        (lambda rng, n: rng.weibull(0.6, n), 100),
        (lambda rng, n: rng.lognormal(0, 0.8, n), 12),
        (lambda rng, n: np.ceil(rng.lognormal(1, 0.8, n)), 200),
        (lambda rng, n: np.round(rng.lognormal(2, 0.3, n), 0) / 100, 100),
    ],
    ids=["weibull", "few", "counts", "rounded"],
)
def test_two_samples_of_one_shape_do_not_differ(draw, n):
    """Of 40 at 5 %, seven or more come once in two hundred; three intervals of 95 % say so of ten and more."""
    assert alike(draw, n) < 7


def test_the_test_knows_no_scale_and_no_order():
    rng = np.random.default_rng(0)
    one, other = rng.lognormal(0, 0.5, 60), rng.lognormal(0, 0.9, 80)
    found = compare_to(one, other, n_boot=2)
    assert compare_to(1e9 * one[::-1], 1e-6 * other, n_boot=2).p_value == pytest.approx(
        found.p_value, abs=0.01
    )
    assert found.differ[:2] == ("log_sd", "gini")
    assert re.search(r"; σ of ln w 0\.[45]", found.conclusion())
    assert "all together, p < 0.002; " in found.conclusion()
    as_json = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert as_json["test"]["at_floor"] is True
    assert as_json["differ"] == list(found.differ)


def test_shapes_that_differ_in_their_skewness_alone():
    rng = np.random.default_rng(0)
    one = np.exp(rng.normal(0, 1, 400))
    other = np.exp(-stats.zscore(rng.exponential(1, 400)))
    assert "log_skewness" in compare_to(one, other, n_boot=2).differ


def test_many_values_are_dealt_in_bins():
    rng = np.random.default_rng(1)
    one, other, wide = (
        rng.lognormal(0, 0.8, 6000),
        rng.lognormal(0, 0.8, 3000),
        rng.lognormal(0, 0.9, 6000),
    )
    assert not compare_to(one, other, n_boot=2, n_shuffles=99).differ
    assert "log_sd" in compare_to(one, wide, n_boot=2, n_shuffles=99).differ
    halves = weight_sample(one, sample_weights=np.full(6000, 0.5))
    assert not compare_to(halves, other, n_boot=2, n_shuffles=99).differ


def test_of_few_weights_nothing_is_tested():
    result = compare_to([1.0, 2.0, 4.0], np.arange(1.0, 30.0), n_boot=2)
    assert result.test is None
    assert math.isnan(result.p_value)
    assert result.to_dict()["test"] is None
    assert (
        result.conclusion()
        == "3 weights are too few to compare; give at least 10, better hundreds."
    )
