import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from torch import nn

from daleml import Populations, signs
from daleml.analysis import (
    compare_families,
    effective_weights,
    fit_weights,
    weight_sample,
    weight_samples,
)
from daleml.analysis.distributions.families import (
    FAMILIES,
    SIMPLE,
    Family,
    LogNormal,
)
from daleml.layers import DANNLinear, EILinear

TRUTH = {
    "lognormal": ({"mu": -2.0, "sigma": 0.9}, stats.lognorm(s=0.9, scale=math.exp(-2))),
    "gamma": ({"shape": 1.7, "scale": 0.3}, stats.gamma(1.7, scale=0.3)),
    "weibull": ({"shape": 0.8, "scale": 2.0}, stats.weibull_min(0.8, scale=2)),
    "exponential": ({"scale": 0.05}, stats.expon(scale=0.05)),
    "halfnormal": ({"scale": 3.0}, stats.halfnorm(scale=3)),
    "truncatednormal": (
        {"location": 1.0, "scale": 2.0},
        stats.truncnorm(-0.5, np.inf, loc=1, scale=2),
    ),
    "inversegaussian": ({"mean": 2.0, "shape": 3.0}, stats.invgauss(2 / 3, scale=3)),
    "lomax": ({"shape": 3.0, "scale": 0.5}, stats.lomax(3, scale=0.5)),
    "stretchedexponential": (
        {"shape": 0.6, "scale": 0.2},
        stats.halfgennorm(0.6, scale=0.2),
    ),
}
CLOSED = (
    "lognormal",
    "gamma",
    "weibull",
    "exponential",
    "halfnormal",
)  # what scipy's own fit is an oracle for


def draw(family, n=4000, seed=0):
    return TRUTH[family][1].rvs(n, random_state=np.random.default_rng(seed))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_lognormal_is_its_closed_form(dtype):
    """What a sample sums chunk by chunk is what the three lines of the family say."""
    x = draw("lognormal", n=200_000).astype(dtype)
    expected = LogNormal.closed_form(x.astype(np.float64))
    rel = 1e-12 if dtype is np.float64 else 1e-6
    assert fit_weights(x).values == pytest.approx(expected, rel=rel)


def by_scipy(family, x):
    """scipy's maximum likelihood, location fixed at 0, its optimiser run to the end."""

    def patient(func, x0, args=(), disp=0):
        return optimize.fmin(
            func,
            x0,
            args=args,
            disp=0,
            xtol=1e-12,
            ftol=1e-12,
            maxiter=10_000,
            maxfun=10_000,
        )

    if family == "lognormal":
        s, _, scale = stats.lognorm.fit(x, floc=0)
        return (math.log(scale), s)
    rule = {
        "gamma": stats.gamma,
        "weibull": stats.weibull_min,
        "exponential": stats.expon,
        "halfnormal": stats.halfnorm,
    }
    fitted = rule[family].fit(x, floc=0, optimizer=patient)
    return (fitted[0], fitted[-1]) if len(fitted) == 3 else (fitted[-1],)


# -- oracles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", CLOSED)
@pytest.mark.parametrize("drawn", CLOSED)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_agrees_with_scipy(family, drawn, scale):
    x = draw(drawn, 500) * scale
    fit = fit_weights(x, family)
    # scipy's optimiser is at home near 1, so it fits the unscaled data
    expected = list(by_scipy(family, x / scale))
    if family == "lognormal":
        expected[0] += math.log(scale)
    else:
        expected[-1] *= scale
    assert list(fit.params.values()) == pytest.approx(expected, rel=1e-6)
    assert fit.log_likelihood == pytest.approx(
        fit.distribution().logpdf(x).sum(), rel=1e-9
    )


@pytest.mark.parametrize("family", TRUTH)
@pytest.mark.parametrize("seed", range(3))
def test_recovers_known_parameters_within_three_standard_errors(family, seed):
    fit = fit_weights(draw(family, 20_000, seed), family)
    for name, truth in TRUTH[family][0].items():
        assert abs(fit.params[name] - truth) < 3 * fit.stderr[name]


@pytest.mark.parametrize("family", [*CLOSED, "inversegaussian"])
def test_standard_errors_are_the_spread_over_samples(family):
    fits = [fit_weights(draw(family, 300, seed), family) for seed in range(400)]
    for name in TRUTH[family][0]:
        spread = np.std([fit.params[name] for fit in fits])
        assert np.mean([fit.stderr[name] for fit in fits]) == pytest.approx(
            spread, rel=0.15
        )


@pytest.mark.parametrize("family", TRUTH)
def test_maximum_likelihood_is_a_maximum(family):
    x = draw("gamma", 800)
    fit = fit_weights(x, family)
    for factor in (0.99, 1.01):
        for i in range(len(fit.params)):
            moved = list(fit.params.values())
            moved[i] *= factor
            assert (
                FAMILIES[family].distribution(tuple(moved)).logpdf(x).sum()
                < fit.log_likelihood
            )


@pytest.mark.parametrize("family", TRUTH)
def test_the_true_family_ranks_first(family):
    comparison = compare_families(draw(family, 20_000))
    # an exponential is a gamma and a Weibull of shape 1, a half-normal is a normal cut at its mean: they may tie
    if family in ("exponential", "halfnormal"):
        assert comparison[family].aicc - comparison.best.aicc < 6
    else:
        assert comparison.best.family == family


def test_aicc():
    fit = fit_weights(draw("gamma", 20), "gamma")
    assert fit.aicc == pytest.approx(
        4 - 2 * fit.log_likelihood + 2 * 2 * 3 / (20 - 2 - 1)
    )
    assert fit_weights([1.0, 2.0, 3.0], "gamma").aicc == math.inf
    assert fit_weights([1.0, 2.0, 3.0], "gamma").to_dict()["aicc"] is None


@pytest.mark.parametrize("family", TRUTH)
def test_ks_distance_is_scipys(family):
    x = draw("gamma", 300)
    fit = fit_weights(x, family)
    assert fit.ks_distance() == pytest.approx(
        stats.kstest(x, fit.distribution().cdf).statistic, abs=1e-12
    )


def test_ks_of_the_lognormal_is_that_of_z_scored_logs():
    x = draw("halfnormal", 300)
    z = stats.zscore(np.log(x))
    assert fit_weights(x).ks_distance() == pytest.approx(
        stats.kstest(z, "norm").statistic, abs=1e-12
    )


@pytest.mark.skipif(
    not os.environ.get("DALEML_DATA"),
    reason="set DALEML_DATA to the folder of experimental data",
)
def test_experimental_reference_values():
    """Kasthuri's excitatory synapses and MICrONS spine volumes, as fitted by scipy before this code was written."""
    import pandas as pd

    folder = Path(os.environ["DALEML_DATA"])
    synapses = pd.read_csv(folder / "kasthuri2015_synapses.csv")
    excitatory = compare_families(synapses.psd_px[synapses.axon_type == 0])
    assert excitatory.best.family == "lognormal"
    assert excitatory.best.n == 1610
    assert list(excitatory.best.params.values()) == pytest.approx(
        [5.7528, 0.8695], abs=1e-4
    )
    assert excitatory["gamma"].aicc - excitatory.best.aicc == pytest.approx(163, abs=1)
    inhibitory = compare_families(synapses.psd_px[synapses.axon_type == 1])
    assert inhibitory.best.family == "weibull"
    assert inhibitory["lognormal"].aicc - inhibitory.best.aicc == pytest.approx(
        24, abs=1
    )
    spines = fit_weights(pd.read_csv(folder / "microns_l23_synapses.csv").spine_vol_um3)
    assert list(spines.params.values()) == pytest.approx([-2.9134, 0.8359], abs=1e-4)


# -- one pass, no copies -----------------------------------------------------------------------------------------------


@given(st.integers(2, 400_000), st.integers(0, 3))
@settings(deadline=None, max_examples=20)
def test_chunks_add_up(n, seed):
    x = np.random.default_rng(seed).lognormal(3, 2, n)
    moments = weight_sample(x).moments
    assert moments.log_mean == pytest.approx(np.log(x).mean(), rel=1e-11)
    assert moments.log_sd == pytest.approx(np.log(x).std(), rel=1e-11)
    assert moments.mean == pytest.approx(x.mean(), rel=1e-11)
    assert (moments.smallest, moments.largest) == (x.min(), x.max())


def test_a_result_does_not_change_with_the_weights():
    x = torch.rand(1000)
    comparison = compare_families(x)
    before = comparison.best.ks_distance()
    x.mul_(100).pow_(3)
    assert comparison.best.ks_distance() == before
    assert (
        len({id(fit.sample) for fit in comparison.fits}) == 1
    )  # one copy, whatever the number of families


def test_a_file_stays_on_its_disk(tmp_path):
    np.save(tmp_path / "w.npy", draw("gamma", 50))
    mapped = np.load(tmp_path / "w.npy", mmap_mode="r")
    assert np.shares_memory(weight_sample(mapped)._source, mapped)


@pytest.mark.parametrize("family", TRUTH)
@pytest.mark.parametrize("exponent", [-320, -300, -160, 160, 300])
def test_any_scale(family, exponent):
    """Subnormal numbers and squares that overflow included."""
    if exponent == -320 and family not in CLOSED:
        pytest.skip("parameters of a subnormal scale have too few digits to climb by")
    x = draw("gamma", 200)
    fit, scaled = fit_weights(x, family), fit_weights(x * 10.0**exponent, family)
    rtol = 1e-3 if exponent == -320 else 1e-9  # a subnormal number has few digits
    if fit.limit:  # how far a parameter has run off says nothing
        assert scaled.limit == fit.limit
        return
    moved = FAMILIES[family].in_unit(fit.values, 10.0**exponent)
    assert scaled.values == pytest.approx(
        moved, rel=1e-5 if fit.n_starts else rtol, abs=0
    )


def test_masked_values_are_missing():
    x = np.ma.masked_array([1.0, 2.0, 4.0, 100.0], mask=[False, False, False, True])
    assert (
        fit_weights(x, drop_missing=True).n,
        fit_weights(x, drop_missing=True).n_dropped,
    ) == (3, 1)


def test_natural_spellings():
    assert fit_weights([1.0, 2.0], "half-normal").family == "halfnormal"
    assert len(compare_families([1.0, 2.0, 3.0], "gamma").fits) == 1


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64]
)
def test_any_number_type(dtype):
    x = torch.tensor([1, 2, 3, 5, 8, 0]).to(dtype)
    fit = fit_weights(x)
    assert fit.params["mu"] == pytest.approx(np.log([1, 2, 3, 5, 8]).mean())
    assert (fit.n, fit.n_zero) == (5, 1)


# -- what is weight-like -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        list,
        tuple,
        np.asarray,
        torch.tensor,
        lambda x: nn.Parameter(torch.tensor(x)),
        lambda x: np.array([x]),
    ],
)
def test_reads_anything_weight_like(wrap):
    assert fit_weights(wrap([1.0, 2.0, 4.0])).params["mu"] == pytest.approx(math.log(2))


def test_inhibitory_weights_are_fitted_by_magnitude():
    assert fit_weights([-1.0, -2.0, -4.0]).params == fit_weights([1.0, 2.0, 4.0]).params


def test_excitatory_and_inhibitory_are_never_pooled_unless_asked():
    x = [1.0, 2.0, 4.0, -8.0, -16.0, 0.0]
    with pytest.raises(
        ValueError,
        match="`weights` must be of one sign unless `sign` or `pool` is given; got 3 pos",
    ):
        fit_weights(x)
    exc, inh, both = (
        fit_weights(x, sign=1),
        fit_weights(x, sign=-1),
        fit_weights(x, pool=True),
    )
    assert (exc.n, exc.n_zero, exc.n_dropped) == (3, 1, 2)
    assert (inh.n, inh.n_zero, inh.n_dropped) == (2, 1, 3)
    assert (both.n, both.n_zero, both.n_dropped) == (5, 1, 0)
    assert both.params["mu"] == pytest.approx(math.log(4))


def test_a_models_weights_are_split_by_parameter_and_sign():
    model = nn.Sequential(
        EILinear(Populations(6, 2), 5), DANNLinear(5, 10, 2), nn.Linear(10, 3)
    )
    with torch.no_grad():
        model[0].weight[0, 0] = 0
        model[0].weight[1:3, 7] = 0
    samples = weight_samples(model)
    names = [
        "0.weight E",
        "0.weight I",
        "1.weight_ex",
        "1.weight_ix",
        "1.weight_ei",
        "2.weight E",
        "2.weight I",
    ]
    assert list(samples) == names
    # a zero counts with the unit that makes the synapse
    assert (samples["0.weight E"].n, samples["0.weight E"].n_zero) == (29, 1)
    assert (samples["0.weight I"].n, samples["0.weight I"].n_zero) == (8, 2)
    assert samples.keys() == weight_samples(model.state_dict()).keys()
    with pytest.raises(
        ValueError, match="must hold one sample of weights unless `pool` is given"
    ):
        fit_weights(model)
    assert fit_weights(model, pool=True).n == sum(
        sample.n for sample in samples.values()
    )
    assert fit_weights(model[0], sign=1).n == 29
    assert fit_weights(samples["1.weight_ex"]).n == 50


def test_a_convolutions_weights_are_split_by_input_channel():
    conv = nn.Conv2d(4, 6, 3, groups=2)
    signs.fix(conv, "weight", [1, -1, -1, -1])
    samples = weight_samples(signs.project_(conv))
    assert samples["weight E"].n + samples["weight E"].n_zero == 3 * 9
    assert samples["weight I"].n + samples["weight I"].n_zero == 3 * 3 * 9


def test_missing_values():
    x = [1.0, 2.0, 4.0, math.nan]
    with pytest.raises(
        ValueError,
        match="`weights` must be finite; got 1 NaN or infinite values of 4: `drop_missing=True` leaves NaN out, and counts them.",
    ):
        fit_weights(x)
    fit = fit_weights(x, drop_missing=True)
    assert (fit.n, fit.n_dropped) == (3, 1)
    with pytest.raises(ValueError, match="must be finite"):
        fit_weights([*x, math.inf], drop_missing=True)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: fit_weights([0.0, 0.0, 0.0]), ValueError, "`weights` must hold at least 2 values other than zero; got 0, with 3 zeros and 0 values left out."),
        (lambda: fit_weights([1.5]), ValueError, "`weights` must hold at least 2 values other than zero; got 1, with 0 zeros and 0 values left out."),
        (lambda: fit_weights([]), ValueError, "`weights` must hold at least 2 values other than zero; got 0, with 0 zeros and 0 values left out."),
        (lambda: fit_weights([2.0, 2.0, 2.0]), ValueError, "`weights` must vary to be fitted; got 3 values of 2."),
        (lambda: fit_weights(["a", "b"]), TypeError, "`weights` must be real numbers; got <U1 values."),
        (lambda: fit_weights([1 + 2j, 2]), TypeError, "`weights` must be real numbers; got complex128 values."),
        (lambda: fit_weights([1.0, 2.0], "normal"), ValueError, "`family` must be one of " + ", ".join(FAMILIES) + ", powerlaw; got 'normal'."),
        (lambda: fit_weights([1.0, 2.0], sign=2), ValueError, "`sign` must be +1, -1 or None; got 2."),
        (lambda: fit_weights([1.0, 2.0], sign=1, pool=True), ValueError, "`sign` must be None where `pool` is True; got 1."),
        (lambda: compare_families([1.0, 2.0], ()), ValueError, "`families` must name at least one family; got none."),
        (lambda: fit_weights(nn.ReLU()), ValueError, "`weights` must hold a parameter with at least 2 values other than zero; got none."),
        (lambda: fit_weights({"w": torch.zeros(3, 3)}), ValueError, "`weights` must hold a parameter with at least 2 values other than zero; got none."),
        (lambda: fit_weights([1.0, 2.0], ["gamma"]), ValueError, "`family` must be one of " + ", ".join(FAMILIES) + ", powerlaw; got ['gamma']: `compare_families` takes several."),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(call, error, sentence):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == sentence


# -- results -----------------------------------------------------------------------------------------------------------


def test_results_are_values():
    comparison = compare_families(draw("gamma", 500))
    again = json.loads(json.dumps(comparison.to_dict()))
    assert again["best"] == comparison.best.family
    assert {fit["family"] for fit in again["fits"]} == set(SIMPLE)
    table = comparison.table()
    assert table["family"].iloc[0] == comparison.best.family
    assert table["weight"].sum() == pytest.approx(1)
    assert (table["delta"].diff().dropna() >= 0).all()
    assert comparison.conclusion() in str(comparison)
    with pytest.raises(AttributeError):
        comparison.best.family = "other"
    with pytest.raises(KeyError):
        comparison["normal"]


def test_conclusions():
    tie = compare_families(draw("exponential", 300), ("exponential", "gamma"))
    assert (
        tie.conclusion()
        == "The exponential describes these weights best; the gamma, of which it is a special case, is no better."
    )
    rivals = compare_families(draw("weibull", 60), ("weibull", "gamma"))
    assert "60 weights are too few to tell it from" in rivals.conclusion()
    assert (
        compare_families([1.0, 2.0, 4.0], ("exponential", "lognormal"))
        .conclusion()
        .startswith("3 weights are too few")
    )
    assert (
        compare_families([1.0, 2.0, 4.0], ("gamma", "lognormal"))
        .conclusion()
        .startswith("3 weights are too few")
    )
    assert (
        compare_families(draw("gamma"), ("gamma",))
        .conclusion()
        .startswith("Only the gamma was fitted")
    )
    assert (
        "describes these weights best"
        in compare_families(draw("gamma", 5000)).conclusion()
    )


def test_a_family_of_ones_own():
    class Mine(type(FAMILIES["exponential"])):
        name = "mine"

    assert isinstance(Mine(), Family)
    fit = fit_weights([1.0, 2.0, 3.0], Mine())
    assert (fit.family, fit.params) == ("mine", {"scale": 2.0})
    assert (
        fit.ks_distance() == fit_weights([1.0, 2.0, 3.0], "exponential").ks_distance()
    )
    assert (
        compare_families([1.0, 2.0, 3.0, 5.0], (Mine(), "gamma")).best.family == "mine"
    )


def test_akaike_weights():
    table = compare_families(draw("exponential", 100), ("exponential", "gamma")).table()
    ratio = math.exp(-(table.aicc[1] - table.aicc[0]) / 2)
    assert table.weight.tolist() == pytest.approx(
        [1 / (1 + ratio), ratio / (1 + ratio)]
    )


@pytest.mark.parametrize("family", [*CLOSED, "inversegaussian"])
def test_standard_errors_are_the_expected_information(family):
    """Fisher's information as the variance of the score, by quadrature over the distribution."""
    truth, rule = TRUTH[family]
    values = np.array(list(truth.values()))
    w = rule.ppf((np.arange(400_000) + 0.5) / 400_000)
    scores = []
    for i, value in enumerate(values):
        ends = []
        for factor in (1 - 1e-4, 1 + 1e-4):
            moved = values.copy()
            moved[i] = value * factor
            ends.append(FAMILIES[family].distribution(tuple(moved)).logpdf(w))
        scores.append((ends[1] - ends[0]) / (2e-4 * value))
    expected = np.sqrt(np.diag(np.linalg.inv(np.atleast_2d(np.cov(scores)))) / 50)
    assert FAMILIES[family].stderr(tuple(values), 50) == pytest.approx(
        expected.tolist(), rel=5e-3
    )


@pytest.mark.parametrize("shape", [0.03, 0.3, 50.0, 2000.0])
@pytest.mark.parametrize("family", ["gamma", "weibull"])
def test_extreme_shapes(family, shape):
    rule = {"gamma": stats.gamma, "weibull": stats.weibull_min}[family](
        shape, scale=1e-3
    )
    x = rule.rvs(2000, random_state=np.random.default_rng(0))
    fit = fit_weights(x[x > 0], family)
    assert fit.params["shape"] == pytest.approx(shape, rel=0.1)


def test_weibull_with_one_outlier_does_not_overflow():
    x = np.random.default_rng(0).normal(1, 0.01, 1_000_000).clip(0.9)
    x[0] = 1e6
    fit = fit_weights(x, "weibull")
    assert fit.log_likelihood == pytest.approx(
        fit.distribution().logpdf(x).sum(), rel=1e-6
    )


def test_chunks_of_different_size_and_mean_add_up():
    x = np.sort(np.random.default_rng(0).lognormal(0, 2, 300_001))
    moments = weight_sample(x).moments
    assert moments.log_mean == pytest.approx(np.log(x).mean(), rel=1e-10)
    assert moments.log_sd == pytest.approx(np.log(x).std(), rel=1e-10)


def test_pruned_weights_come_with_their_zeros():
    from torch.nn.utils import prune

    model = nn.Sequential(
        EILinear(Populations(6, 2), 5), DANNLinear(5, 10, 2), nn.Linear(10, 3)
    )
    for module, name in (
        (model[0], "weight"),
        (model[1], "weight_ex"),
        (model[2], "weight"),
    ):
        prune.random_unstructured(module, name, 0.5)
    for weights in (model, model.state_dict()):
        samples = weight_samples(weights)
        assert samples["0.weight E"].n_zero + samples["0.weight I"].n_zero == 20
        assert (samples["1.weight_ex"].n, samples["1.weight_ex"].n_zero) == (25, 25)
    of_model, of_state = (
        list(effective_weights(weights)) for weights in (model, model.state_dict())
    )
    assert [name for name, _ in of_state] == ["0.weight", "1.effective", "2.weight"]
    for (_, one), (_, other) in zip(of_model, of_state, strict=True):
        torch.testing.assert_close(one, other)
    from daleml import trackers

    n = 40 + 50 + 10 + 20 + 30
    assert trackers.fraction_at_zero(model) == pytest.approx((20 + 25 + 15) / n)
    for report in (
        signs.check(model),
        signs.check(model.state_dict()),
    ):  # the third has no signs, and is named
        assert report.n_parameters == 4
        assert [(one.parameter, one.n_synapses) for one in report.unjudged] == [
            ("2.weight_orig", 30)
        ]


def test_names_follow_the_signs_not_what_is_left():
    layer = EILinear(Populations(6, 2), 5)
    with torch.no_grad():
        layer.weight[:, 6:] = 0
    assert list(weight_samples(layer)) == ["weight E"]


def test_a_sample_taken_is_taken():
    sample = weight_sample([1.0, 2.0, -3.0, -4.0], sign=1)
    assert weight_sample(sample, sign=1) is sample
    with pytest.raises(ValueError, match="must be left out for a sample"):
        fit_weights(sample, sign=-1)


def test_missing_values_of_a_state_dict():
    state = {"w": torch.tensor([[1.0, 2.0, math.nan]])}
    assert fit_weights(state, drop_missing=True).n_dropped == 1
    with pytest.raises(ValueError, match="`w` must be finite"):
        fit_weights(state)
