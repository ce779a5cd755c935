"""Samples too large for memory: fits, distances and tests by chunks, beside the same in memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daleml.analysis import (
    Chunks,
    compare_families,
    compare_to,
    fit_weights,
    goodness_of_fit,
    plots,
)
from daleml.analysis.distributions import (
    binned_goodness,
    streamed_data,
    streamed_distance,
    value_histogram,
)
from daleml.analysis.distributions.families import find
from daleml.analysis.distributions.value_histogram import Bins, Counting
from daleml.analysis.weights.sample import WeightSample

RNG = np.random.default_rng(0)
W = RNG.lognormal(-2, 1, 8_000).astype(np.float32)
OBSERVED = {
    "whole": (W, {}),
    "truncated": (W[W > 0.1], {"truncation": (0.1, None)}),
    "between": (W[(W > 0.1) & (W < 0.5)], {"truncation": (0.1, 0.5)}),
    "left": (W, {"censoring": 0.05}),
    "left and right": (W, {"censoring": (0.05, 0.5)}),
    "interval": (W[W > 0.02], {"truncation": (0.02, None), "censoring": (None, 0.5)}),
    "rounded": (np.round(W, 2), {"resolution": 0.01}),
    "rounded, zeros small": (
        np.round(W, 2),
        {"resolution": 0.01, "zeros": "censored"},
    ),
    "finely rounded": (np.round(W.astype(float), 6), {"resolution": 1e-6}),
    "figures": (np.array([float(f"{w:.2g}") for w in W]), {"significant": 2}),
    "counted": (np.ceil(10 * W), {"discrete": True}),
    "hurdle": (np.r_[W, np.zeros(500)], {"zeros": "hurdle"}),
    "weighted": (W, {"sample_weights": RNG.integers(1, 4, W.size), "censoring": 0.05}),
}


@pytest.fixture
def small_memory(monkeypatch):
    """Call a function as if memory held no more than a hundred weights."""

    def call(function, *arguments, **options):
        with monkeypatch.context() as patch:
            patch.setattr(streamed_data, "IN_MEMORY", 100)
            patch.setattr(streamed_data, "PIECE", 3000)
            # Fewer bins, which take less time; some are joined, and values are collected in
            # several passes.
            patch.setattr(value_histogram, "_FINE", 1 << 16)
            patch.setattr(value_histogram, "_MANY", 1000)
            patch.setattr(value_histogram, "_MERGED", 2)
            patch.setattr(streamed_distance, "_COLLECTED", 2000)
            return function(*arguments, **options)

    return call


def described(weights, family, **options):
    fit = fit_weights(weights, family, **options)
    return fit, fit.ks_distance()


@pytest.mark.parametrize("family", ["lognormal", "weibull"])
@pytest.mark.parametrize("observed", OBSERVED)
def test_a_fit_by_chunks_is_the_fit_in_memory(observed, family, small_memory):
    weights, options = OBSERVED[observed]
    expected, distance = described(weights, family, **options)
    errors = [expected.stderr[name] / expected.params[name] for name in expected.params]
    if expected.limit or not 0 < max(map(abs, errors)) < 1:
        pytest.skip("the likelihood has no maximum to compare")
    fit, streamed = small_memory(described, weights, family, **options)
    assert fit.params == pytest.approx(expected.params, rel=1e-7)
    assert fit.stderr == pytest.approx(expected.stderr, rel=1e-3)
    assert fit.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-8)
    # Of values rounded more finely than bins, density and probability differ by little more.
    close = 1e-6 if observed == "finely rounded" else 1e-9
    assert streamed == pytest.approx(distance, abs=close)
    assert (fit.n, fit.n_zero, fit.total) == (
        expected.n,
        expected.n_zero,
        expected.total,
    )
    assert fit.n_censored == expected.n_censored
    assert fit.n_censored_above == expected.n_censored_above
    if expected.connection:
        assert fit.connection == pytest.approx(expected.connection)


@given(
    st.lists(st.integers(0, int((W > 0.3).sum())), max_size=6), st.integers(100, 5000)
)
@settings(deadline=None, max_examples=6)
def test_any_chunking_gives_the_same_fit(places, piece):
    weights = W[W > 0.3]
    options = {"truncation": (0.3, None)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed_data, "IN_MEMORY", 100)
        patch.setattr(value_histogram, "_FINE", 1 << 14)
        expected, distance = described(weights, "lognormal", **options)
        patch.setattr(streamed_data, "PIECE", piece)
        chunks = Chunks(np.split(weights, sorted(places)))
        fit, same = described(chunks, "lognormal", **options)
    assert fit.params == pytest.approx(expected.params, rel=1e-9)
    assert same == pytest.approx(distance, abs=1e-12)


def test_a_comparison_by_chunks_is_that_in_memory(small_memory):
    families = ["lognormal", "gamma", "weibull"]

    def compare():
        result = compare_families(W[W > 0.1], families, truncation=(0.1, None))
        return result, result.tests, result.conclusion()

    expected, tests, said = compare()
    result, streamed, same = small_memory(compare)
    assert [fit.family for fit in result.fits] == [fit.family for fit in expected.fits]
    assert same == said
    for one, other in zip(streamed, tests, strict=True):
        assert one.test == other.test
        assert one.p_value == pytest.approx(other.p_value, abs=1e-4, nan_ok=True)
        assert one.p_variance == pytest.approx(other.p_variance, abs=1e-3, nan_ok=True)


def test_memory_does_not_grow_with_the_weights(monkeypatch):
    """Twenty times the weights, computed chunk by chunk, take no more memory."""
    # Else most of what is measured would be the bins, which are as many for any sample.
    monkeypatch.setattr(value_histogram, "_FINE", 1 << 14)
    monkeypatch.setattr(streamed_data, "IN_MEMORY", 1000)
    monkeypatch.setattr(streamed_data, "PIECE", 1 << 12)
    monkeypatch.setattr(streamed_distance, "_COLLECTED", 1 << 12)
    sizes = []

    def peak(n_chunks):
        def read():
            for seed in range(n_chunks):
                chunk = np.random.default_rng(seed).lognormal(-2, 1, 4000)
                yield chunk[chunk > 0.1]

        tracemalloc.start()
        fit, _ = described(Chunks(read), "lognormal", truncation=(0.1, None))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        sizes.append(fit.n)
        return most

    peak(5)
    few, many = peak(5), peak(100)
    assert sizes[2] > 15 * sizes[1]
    assert many < 1.3 * few


def test_whole_values_are_never_asked_for(monkeypatch):
    def refuse(sample):
        raise AssertionError("all magnitudes were asked for at once")

    monkeypatch.setattr(streamed_data, "IN_MEMORY", 100)
    monkeypatch.setattr(WeightSample, "values", refuse)
    monkeypatch.setattr("daleml.analysis.distributions.recording.LOOKED_AT", 1000)
    monkeypatch.setattr(
        "daleml.analysis.distributions.weight_fit.LOOKED_AT", 1000, raising=False
    )
    result = compare_families(W, ["lognormal", "gamma"], censoring=0.05)
    assert result.best.ks_distance() < 0.01
    assert "log-normal describes" in result.conclusion()
    assert str(result.best)


def test_what_cannot_have_been_observed_is_refused_in_the_same_words(small_memory):
    wrong = {
        "outside": (W, {"truncation": (0.1, None)}),
        "off the grid": (W, {"resolution": 0.01}),
        "no counts": (W, {"discrete": True}),
        "zeros": (np.r_[W, 0.0], {"zeros": "error"}),
        "all below": (W, {"censoring": float(W.max())}),
        "all between": (W, {"censoring": (float(W.max()), float(2 * W.max()))}),
    }
    for weights, options in wrong.values():
        said = []
        for call in (fit_weights, lambda *a, **o: small_memory(fit_weights, *a, **o)):
            with pytest.raises(ValueError) as error:
                call(weights, "gamma", **options)
            said.append(str(error.value))
        assert said[0] == said[1]


def test_ties_and_outliers_have_their_own_bins(small_memory):
    values = np.r_[W, np.full(3000, 0.2), 1e-30, 1e30, np.full(5, 5e-324)]
    for weights in (
        values,
        W.astype(float) * 1e-300,
        1 + W * 1e-2,
        np.r_[W, np.full(9000, 0.3)],
    ):
        expected, distance = described(weights, "weibull", censoring=1e-320)
        fit, same = small_memory(described, weights, "weibull", censoring=1e-320)
        assert fit.params == pytest.approx(expected.params, rel=1e-6)
        assert same == pytest.approx(distance, abs=1e-6)


@given(
    st.floats(-300, 300),
    st.floats(1e-5, 100),
    st.lists(st.floats(0, 1e308, exclude_min=True), min_size=1, max_size=30),
)
@settings(deadline=None, max_examples=60)
def test_every_number_has_one_bin_and_its_ends_are_exact(center, spread, values):
    w = np.sort(np.array(values))
    bins = Bins.for_sample(center, spread, w[0], w[-1])
    number = bins.find(w)
    assert (np.diff(number) >= 0).all()
    assert (number >= 0).all()
    assert (number < bins.size).all()
    normal = w >= np.finfo(float).tiny
    assert (bins.lower(number)[normal] <= w[normal]).all()
    assert (w < bins.lower(number + 1)).all()


def test_the_moments_of_a_histogram_are_those_of_its_values():
    counting = Counting(Bins.for_sample(-2.0, 1.0, float(W.min()), float(W.max())))
    values = W.astype(float)
    counting.add(values[:7], None)
    counting.add(values[7:], np.ones(values.size - 7))
    nodes, counts = counting.histogram().nodes()
    logs = np.log(values)
    for power in (1, 2):
        found = np.average(np.log(nodes) ** power, weights=counts)
        assert found == pytest.approx(np.mean(logs**power), rel=1e-10)
    assert counts.sum() == values.size
    total = find("gamma").logpdf(nodes, (1.3, 0.2)) @ counts
    assert total == pytest.approx(
        find("gamma").logpdf(values, (1.3, 0.2)).sum(), rel=1e-9
    )


@pytest.mark.parametrize(
    "observed", ["truncated", "left and right", "counted", "whole"]
)
def test_goodness_of_fit_draws_bins(observed, small_memory, monkeypatch):
    weights, options = OBSERVED[observed]
    rejected = {}
    for family in ("lognormal", "halfnormal"):
        fit = small_memory(described, weights[:3000], family, **options)[0]
        with monkeypatch.context() as patch:
            # No sample is as large as the weights.
            patch.setattr(
                "daleml.analysis.distributions.bootstrap.draw", None, raising=True
            )
            found = small_memory(goodness_of_fit, fit, 19)
            assert small_memory(goodness_of_fit, fit, 19).p_value == found.p_value
        rejected[family] = found.p_value
        assert found.distance == fit.ks_distance()
    assert rejected["halfnormal"] == 0.05
    # Counts of rounded-up values are no log-normal.
    if observed != "counted":
        assert rejected["lognormal"] > 0.05


def test_binned_distances_are_those_of_samples(small_memory):
    """How far samples lie from their fits is the same, drawn by bins or value by value."""
    rng = np.random.default_rng(0)
    fit = small_memory(described, W[W > 0.1], "lognormal", truncation=(0.1, None))[0]
    seeds = np.random.SeedSequence(1).spawn(60)
    _, *drawn = binned_goodness.distances(fit, seeds, lambda done: None)
    by_value = []
    for _ in range(60):
        values = rng.lognormal(*fit.values, 3 * fit.n)
        values = values[values > 0.1][: fit.n]
        by_value.append(fit_weights(values, truncation=(0.1, None)).ks_distance())
    assert np.median(drawn) == pytest.approx(np.median(by_value), rel=0.12)


def test_figures_of_a_streamed_fit_are_those_in_memory(small_memory):
    def lines(weights):
        fit = fit_weights(weights, truncation=(0.1, None))
        found = []
        for draw in (plots.fit, plots.qq, plots.ccdf):
            axes = draw(fit)
            found += [line.get_xydata() for line in axes.lines[-1:]]
        return found, axes

    expected, _ = lines(W[W > 0.1])
    drawn, _ = small_memory(lines, W[W > 0.1])
    for one, other in zip(drawn, expected, strict=True):
        np.testing.assert_allclose(one[-1], other[-1], rtol=0.02)


def test_shapes_are_compared_by_bins(small_memory):
    other = RNG.gamma(2.0, size=500)
    expected = compare_to(W, other, n_boot=2, n_shuffles=19)
    found = small_memory(compare_to, W, other, n_boot=2, n_shuffles=19)
    for name, measure in expected.measures.items():
        value = found.measures[name].weights.value
        assert value == pytest.approx(measure.weights.value, rel=1e-3)
