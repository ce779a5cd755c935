"""Families of distributions: each against scipy where scipy has it, and against itself where it has not."""

import itertools
import math
import pickle

import numpy as np
import pytest
from scipy import integrate, stats

from daleml.analysis import family_label
from daleml.analysis.distributions.families import (
    FAMILIES,
    OF_TAILS,
    SIMPLE,
    Distribution,
    Family,
    Kind,
    find,
    find_all,
)
from daleml.analysis.distributions.likelihood import log_likelihood
from daleml.analysis.distributions.likelihood_data import LikelihoodData

BY_SCIPY = {
    "lognormal": lambda mu, sigma: stats.lognorm(s=sigma, scale=math.exp(mu)),
    "gamma": lambda shape, scale: stats.gamma(shape, scale=scale),
    "weibull": lambda shape, scale: stats.weibull_min(shape, scale=scale),
    "exponential": lambda scale: stats.expon(scale=scale),
    "halfnormal": lambda scale: stats.halfnorm(scale=scale),
    "truncatednormal": lambda location, scale: stats.truncnorm(
        -location / scale, np.inf, loc=location, scale=scale
    ),
    "inversegaussian": lambda mean, shape: stats.invgauss(mean / shape, scale=shape),
    "lomax": lambda shape, scale: stats.lomax(shape, scale=scale),
    "stretchedexponential": lambda shape, scale: stats.halfgennorm(shape, scale=scale),
}
PARAMS = {
    "lognormal": [(-2.0, 0.9), (-7.0, 0.1), (30.0, 3.0)],
    "gamma": [(1.7, 0.3), (0.05, 1.0), (2000.0, 1e-3)],
    "weibull": [(0.8, 2.0), (0.2, 1.0), (40.0, 1e-3)],
    "exponential": [(0.05,), (1e6,)],
    "halfnormal": [(3.0,), (1e-6,)],
    "truncatednormal": [(1.0, 2.0), (10.0, 1.0), (-5.0, 1.0), (100.0, 3.0)],
    "inversegaussian": [(2.0, 3.0), (1.0, 100.0), (1.0, 0.05)],
    "lomax": [(3.0, 0.5), (0.4, 1.0), (1e4, 1e4)],
    "stretchedexponential": [(0.6, 0.2), (0.15, 1.0), (20.0, 1.0)],
    "generalizedgamma": [
        (0.0, 1.0, 0.5),
        (-3.0, 0.7, -0.8),
        (2.0, 0.5, 1e-3),
        (2.0, 2.0, 1.6),
        (1.0, 0.4, -1e-12),
    ],
    "lognormal2": [(0.68, -3.3, -1.9, 0.6, 0.4), (0.01, 0.0, 5.0, 1.0, 0.1)],
    "lognormal3": [(0.3, 0.4, -2.0, 0.0, 2.0, 0.4, 0.5, 0.6)],
}
EACH = [(name, params) for name, sets in PARAMS.items() for params in sets]
LEVELS = np.array([1e-9, 1e-4, 0.01, 0.2, 0.5, 0.8, 0.99, 1 - 1e-4])


def test_every_family_is_tested():
    assert PARAMS.keys() == FAMILIES.keys()
    assert len(FAMILIES) == 12
    assert set(SIMPLE) == set(BY_SCIPY)


# -- against scipy -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params"), [one for one in EACH if one[0] in BY_SCIPY]
)
def test_agrees_with_scipy(name, params):
    family, oracle = FAMILIES[name], BY_SCIPY[name](*params)
    w = oracle.ppf(np.array([0.01, 0.1, 0.5, 0.9, 0.999]))
    assert family.logpdf(w, params) == pytest.approx(
        oracle.logpdf(w), rel=1e-9, abs=1e-9
    )
    assert family.logcdf(w, params) == pytest.approx(oracle.logcdf(w), rel=1e-9)
    assert family.logsf(w, params) == pytest.approx(oracle.logsf(w), rel=1e-9)
    assert family.cdf(w, params) == pytest.approx(oracle.cdf(w), rel=1e-9)
    assert family.ppf(oracle.cdf(w), params) == pytest.approx(w, rel=1e-9)
    assert family.distribution(params).pdf(w) == pytest.approx(oracle.pdf(w), rel=1e-9)


@pytest.mark.parametrize("z", [5.0, 38.0, 200.0])
def test_normal_tails_far_out(z):
    expected = stats.norm.logsf(z)
    assert FAMILIES["lognormal"].logsf(
        np.exp(np.array([1 + 2 * z])), (1.0, 2.0)
    ) == pytest.approx(expected)
    assert FAMILIES["lognormal"].logcdf(
        np.exp(np.array([1 - 2 * z])), (1.0, 2.0)
    ) == pytest.approx(expected)
    assert FAMILIES["halfnormal"].logsf(np.array([3 * z]), (3.0,)) == pytest.approx(
        math.log(2) + expected
    )
    cut = stats.norm.logsf(z) - stats.norm.logsf(-0.5)
    assert FAMILIES["truncatednormal"].logsf(
        np.array([1 + 2 * z]), (1.0, 2.0)
    ) == pytest.approx(cut, rel=1e-12)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("x", [400.0, 2e3, 1e5])
def test_gamma_tail_far_out(shape, x):
    """Closed forms of the incomplete gamma function at whole and half numbers, where scipy's own underflows."""
    expected = {
        0.5: math.log(2) + stats.norm.logsf(math.sqrt(2 * x)),
        1.0: -x,
        2.0: -x + math.log1p(x),
        3.0: -x + math.log1p(x + x * x / 2),
    }[shape]
    assert FAMILIES["gamma"].logsf(np.array([x * 2]), (shape, 2.0)) == pytest.approx(
        expected, rel=1e-12
    )
    if shape <= 1:  # 2 and 1: half-normal and exponential
        power = 1 / shape
        found = FAMILIES["stretchedexponential"].logsf(
            np.array([x ** (1 / power)]), (power, 1.0)
        )
        assert found == pytest.approx(expected, rel=1e-12)
    assert FAMILIES["generalizedgamma"].logsf(
        np.array([x / shape]), (0.0, shape**-0.5, shape**-0.5)
    ) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [2, 50, 3000])
@pytest.mark.parametrize("share", [1e-3, 0.3])
def test_gamma_near_zero(shape, share):
    """A gamma of a whole shape lies below x where a Poisson count of mean x reaches the shape."""
    x = share * shape
    k = np.arange(shape, shape + 2000)
    logs = stats.poisson.logpmf(k, x)
    expected = logs.max() + math.log(np.exp(logs - logs.max()).sum())
    assert FAMILIES["gamma"].logcdf(
        np.array([x]), (float(shape), 1.0)
    ) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "params", [(1.0, 2.0), (-3.0, 1.0), (-28.0, 1.0), (-300.0, 1.0), (12.0, 1.0)]
)
def test_a_cut_normal_near_zero(params):
    """Near zero the probability is the density's integral: no difference of two tails."""
    family = FAMILIES["truncatednormal"]
    for end in (
        np.array([1e-9, 1e-5, 1e-2, 0.5]) * params[1] / (1 + abs(params[0] / params[1]))
    ):
        area, _ = integrate.quad(
            lambda w: math.exp(family.logpdf(np.array(w), params)), 0, end, epsrel=1e-12
        )
        assert family.cdf(np.array([end]), params) == pytest.approx(area, rel=1e-10)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 30.0])
def test_inverse_gaussian_far_out(scale):
    """The tail is an integral of the density, by a substitution that takes its exponential away."""
    family, params = FAMILIES["inversegaussian"], (2.0, 3.0)
    w = 200 * scale
    at = float(family.logpdf(np.array(w), params))
    area, _ = integrate.quad(
        lambda t: math.exp(float(family.logpdf(np.array(w + t), params)) - at),
        0,
        np.inf,
    )
    assert family.logsf(np.array([w]), params) == pytest.approx(
        at + math.log(area), rel=1e-9
    )


# -- against themselves ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "params"), EACH)
def test_the_density_integrates_to_one(name, params):
    family = FAMILIES[name]
    edges = np.log(
        family.ppf(
            np.array(
                [1e-13, 1e-6, 1e-3, 0.02, 0.1, 0.5, 0.9, 0.98, 1 - 1e-3, 1 - 1e-6]
            ),
            params,
        )
    )
    nodes, weights = np.polynomial.legendre.leggauss(60)
    total = 0.0
    for low, high in itertools.pairwise(edges):  # in ln w, where no density has a pole
        logs = (low + high) / 2 + (high - low) / 2 * nodes
        total += (
            (high - low)
            / 2
            * float(weights @ np.exp(family.logpdf(np.exp(logs), params) + logs))
        )
    assert total == pytest.approx(1 - 1e-6, abs=1e-8)


@pytest.mark.parametrize(("name", "params"), EACH)
def test_the_density_is_the_slope_of_both_tails(name, params):
    family = FAMILIES[name]
    w = family.ppf(np.array([0.02, 0.2, 0.5, 0.8, 0.98]), params)
    step = 1e-5
    pdf = np.exp(family.logpdf(w, params))
    ends = w * (1 - step), w * (1 + step)
    sharp = (
        2e-4 if name in ("gamma", "weibull") else 1e-5
    )  # a power of 2,000 bends within a step
    slope = (family.cdf(ends[1], params) - family.cdf(ends[0], params)) / (2 * step * w)
    assert slope == pytest.approx(pdf, rel=sharp)
    falling = (
        np.exp(family.logsf(ends[0], params)) - np.exp(family.logsf(ends[1], params))
    ) / (2 * step * w)
    assert falling == pytest.approx(pdf, rel=sharp)


@pytest.mark.parametrize(("name", "params"), EACH)
def test_quantiles_invert_the_probability(name, params):
    family = FAMILIES[name]
    assert family.cdf(family.ppf(LEVELS, params), params) == pytest.approx(
        LEVELS, rel=1e-8
    )
    assert family.ppf(np.array([0.0, 1.0]), params).tolist() == [0.0, math.inf]


@pytest.mark.parametrize(("name", "params"), EACH)
def test_both_tails_add_up(name, params):
    family = FAMILIES[name]
    w = family.ppf(LEVELS, params)
    assert np.exp(family.logcdf(w, params)) + np.exp(
        family.logsf(w, params)
    ) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(("name", "params"), EACH)
def test_samples_follow_the_family(name, params):
    family = FAMILIES[name]
    drawn = family.sample(params, 3000, np.random.default_rng(0))
    assert drawn.shape == (3000,)
    assert stats.kstest(drawn, lambda w: family.cdf(w, params)).pvalue > 1e-3


@pytest.mark.parametrize(("name", "params"), EACH)
@pytest.mark.parametrize("unit", [1e-3, 7.0])
def test_a_change_of_unit_moves_parameters_only(name, params, unit):
    family = FAMILIES[name]
    w = family.ppf(np.array([0.1, 0.5, 0.9]), params)
    moved = family.in_unit(params, unit)
    assert family.logpdf(w * unit, moved) + math.log(unit) == pytest.approx(
        family.logpdf(w, params), rel=1e-7
    )
    assert family.logcdf(w * unit, moved) == pytest.approx(
        family.logcdf(w, params), rel=1e-7
    )


@pytest.mark.parametrize(("name", "params"), EACH)
def test_free_coordinates_round_trip(name, params):
    family = FAMILIES[name]
    free = family.to_free(params)
    assert np.isfinite(free).all()
    assert family.from_free(free) == pytest.approx(params, rel=1e-9)


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_maps_to_the_whole_line_and_back(kind):
    for value in (0.01, 0.5, 0.9):
        assert kind.bound(kind.free(value)) == pytest.approx(value, rel=1e-14)
        step = 1e-6
        slope = (
            kind.bound(kind.free(value) + step) - kind.bound(kind.free(value) - step)
        ) / (2 * step)
        assert kind.slope(value) == pytest.approx(slope, rel=1e-6)
    ends = {
        Kind.SCALE: (0, math.inf),
        Kind.SHAPE: (0, math.inf),
        Kind.SHARE: (0, 1),
        Kind.LOCATION: (-math.inf, math.inf),
    }
    assert (kind.bound(-1e4), kind.bound(1e4)) == ends.get(kind, (-1e4, 1e4))


@pytest.mark.parametrize(
    ("name", "params"), [one for one in EACH if not one[0].startswith("lognormal")]
)
def test_the_start_is_near(name, params):
    """Whatever the tail: of a Lomax of shape below 1 not even the mean exists."""
    family = FAMILIES[name]
    w = family.sample(params, 2000, np.random.default_rng(1))
    w = w[w > 1e-290]
    data = LikelihoodData(w, np.ones(w.size))
    gap = log_likelihood(family, params, data) - log_likelihood(
        family, family.start(w, data.counts), data
    )
    assert gap / w.size < 1.0


# -- what is a special case of what ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mu_sigma_q", "name", "params"),
    [
        ((0.3, 0.8, 0.0), "lognormal", (0.3, 0.8)),
        ((0.3, 0.8, 1e-13), "lognormal", (0.3, 0.8)),
        ((0.3, 0.8, 1.0), "weibull", (1 / 0.8, math.exp(0.3))),
        ((0.3, 0.5, 0.5), "gamma", (4.0, math.exp(0.3) / 4)),
        ((0.3, 1.0, 1.0), "exponential", (math.exp(0.3),)),
        ((0.3, math.sqrt(0.5), math.sqrt(2)), "halfnormal", (math.exp(0.3),)),
        (
            (0.3, 1 / 1.3, 1.3),
            "stretchedexponential",
            (1.3**2, math.exp(0.3) * 1.3 ** (2 / 1.3**2)),
        ),
    ],
)
def test_the_generalised_gamma_holds_the_others(mu_sigma_q, name, params):
    general, special = FAMILIES["generalizedgamma"], FAMILIES[name]
    w = special.ppf(np.array([1e-4, 0.05, 0.5, 0.9, 0.9999]), params)
    assert general.logpdf(w, mu_sigma_q) == pytest.approx(
        special.logpdf(w, params), rel=1e-9, abs=1e-9
    )
    assert general.logcdf(w, mu_sigma_q) == pytest.approx(
        special.logcdf(w, params), rel=1e-9
    )
    assert general.logsf(w, mu_sigma_q) == pytest.approx(
        special.logsf(w, params), rel=1e-9
    )
    assert general.ppf(np.array([0.1, 0.7]), mu_sigma_q) == pytest.approx(
        special.ppf(np.array([0.1, 0.7]), params)
    )
    assert name in general.special_cases


@pytest.mark.parametrize("edge", [1e-9, 1e-3, 1e-2, 0.1, -1e-9, -1e-3, -1e-2, -0.1])
def test_the_generalised_gamma_is_smooth_in_q(edge):
    """Its formulas change over at some q; a climb by second differences would trip over a step of 1e-8."""
    family = FAMILIES["generalizedgamma"]
    w = np.exp(np.linspace(-6, 6, 49))
    for rule in (family.logpdf, family.logcdf, family.logsf):
        before, after = (
            rule(w, (0.0, 1.0, edge * (1 + side * 1e-12))) for side in (-1, 1)
        )
        assert after == pytest.approx(before, rel=3e-10, abs=1e-10)


def test_the_generalised_gamma_mirrors_in_q():
    """ln w turned round is the same family with q turned round."""
    family = FAMILIES["generalizedgamma"]
    w = np.exp(np.linspace(-3, 3, 13))
    for q in (0.003, 0.05, 0.7, 1.5):
        assert family.logcdf(w, (0.0, 0.8, q)) == pytest.approx(
            family.logsf(1 / w, (0.0, 0.8, -q)), rel=1e-10
        )


@pytest.mark.parametrize("name", ["lognormal2", "lognormal3"])
def test_a_mixture_is_the_weighted_sum(name):
    family = FAMILIES[name]
    for params in PARAMS[name]:
        shares, mus, sigmas = family.split(params)
        assert family.join(shares, mus, sigmas) == pytest.approx(params)
        parts = [
            stats.lognorm(s=sigma, scale=math.exp(mu))
            for mu, sigma in zip(mus, sigmas, strict=True)
        ]
        w = family.ppf(LEVELS, params)
        for rule, method in (
            (family.logpdf, "pdf"),
            (family.logcdf, "cdf"),
            (family.logsf, "sf"),
        ):
            expected = sum(
                share * getattr(part, method)(w)
                for share, part in zip(shares, parts, strict=True)
            )
            assert np.exp(rule(w, params)) == pytest.approx(expected, rel=1e-9)


def test_components_come_by_rising_mu():
    family = FAMILIES["lognormal2"]
    params = family.join(
        np.array([0.2, 0.8]), np.array([1.0, -1.0]), np.array([0.3, 0.5])
    )
    assert params == pytest.approx((0.8, -1.0, 1.0, 0.5, 0.3))


@pytest.mark.parametrize(
    ("name", "params", "limit"),
    [
        ("lomax", (1e5, 1e5), "the exponential"),
        ("lomax", (50.0, 1.0), None),
        ("truncatednormal", (-90.0, 3.0), "the exponential"),
        ("truncatednormal", (-3.0, 3.0), None),
        ("lognormal2", (1e-6, 0.0, 1.0, 1.0, 1.0), "a mixture of fewer components"),
        ("lognormal2", (0.1, 0.0, 1.0, 1.0, 1.0), None),
        ("gamma", (1.0, 1.0), None),
    ],
)
def test_a_family_says_when_it_has_run_off_to_its_limit(name, params, limit):
    assert FAMILIES[name].limit(params) == limit


@pytest.mark.parametrize(
    ("name", "params"), [("lomax", (1e6, 1e6)), ("truncatednormal", (-1e3, 1.0))]
)
def test_the_limit_is_an_exponential(name, params):
    scale = params[1] / params[0] if name == "lomax" else params[1] ** 2 / -params[0]
    w = np.array([0.1, 1.0, 3.0]) * scale
    assert FAMILIES[name].logpdf(w, params) == pytest.approx(
        FAMILIES["exponential"].logpdf(w, (scale,)), abs=1e-4
    )


# -- a distribution ----------------------------------------------------------------------------------------------------


def test_a_distribution_has_scipys_methods():
    ours = Distribution(FAMILIES["gamma"], (1.7, 0.3))
    theirs = stats.gamma(1.7, scale=0.3)
    for w in (
        0.4,
        np.array([0.1, 2.0]),
        np.array([[0.1, 2.0], [-1.0, 0.0]]),
        -1,
        0,
        math.inf,
    ):
        for method in ("pdf", "cdf", "sf"):
            found = getattr(ours, method)(w)
            if np.isfinite(w).all() and not (np.asarray(w) == 0).any():
                assert found == pytest.approx(getattr(theirs, method)(w), rel=1e-12)
            assert np.shape(found) == np.shape(w)
    assert (ours.pdf(-1), ours.cdf(-1), ours.sf(-1), ours.cdf(0), ours.sf(0.0)) == (
        0,
        0,
        1,
        0,
        1,
    )
    assert (ours.cdf(math.inf), ours.sf(math.inf), ours.pdf(math.inf)) == (1, 0, 0)
    assert ours.logpdf(-1) == -math.inf
    levels = np.array([1e-300, 1e-12, 0.3, 0.5, 0.999999])
    assert ours.ppf(levels) == pytest.approx(theirs.ppf(levels), rel=1e-10)
    assert (ours.ppf(0), ours.ppf(1)) == (0, math.inf)
    assert np.isnan(ours.ppf(np.array([-0.1, 1.1, math.nan]))).all()
    assert ours.median() == pytest.approx(theirs.median())
    assert ours.rvs((2, 3), random_state=0).shape == (2, 3)
    assert ours.rvs(4, random_state=0).tolist() == ours.rvs(4, random_state=0).tolist()
    assert isinstance(ours.median(), float)
    assert np.ndim(ours.ppf(0.3)) == 0


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fixed_distribution_reads_scalars_and_arrays(name):
    params = PARAMS[name][0]
    distribution = FAMILIES[name].distribution(params)
    assert distribution.cdf(-1.0) == 0
    assert distribution.sf(-1.0) == 1
    assert distribution.pdf(-1.0) == 0
    assert distribution.ppf(0) == 0
    assert distribution.ppf(1) == math.inf
    assert distribution.cdf(distribution.ppf(0.3)) == pytest.approx(0.3)
    assert distribution.rvs(size=5, random_state=np.random.default_rng(0)).shape == (5,)


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Log-normal", "lognormal"), ("lognorm", "lognormal"), ("half_normal", "halfnormal"), ("expon", "exponential"),
        ("Inverse Gaussian", "inversegaussian"), ("Wald", "inversegaussian"), ("pareto II", "lomax"),
        ("generalised gamma", "generalizedgamma"), ("gengamma", "generalizedgamma"), ("weibull_min", "weibull"),
        ("truncnorm", "truncatednormal"), ("halfgennorm", "stretchedexponential"), ("lognormal-mixture-3", "lognormal3"),
    ],
)  # fmt: skip
def test_names_are_read_kindly(given, name):
    assert find(given) is FAMILIES[name]


def test_families_are_chosen_once_and_in_order():
    assert [family.name for family in find_all(("gamma", "Gamma", "weibull"))] == [
        "gamma",
        "weibull",
    ]
    assert [family.name for family in find_all("all")] == list(FAMILIES)
    assert find_all(FAMILIES["lomax"]) == [FAMILIES["lomax"]]
    assert [
        family.name for family in find_all(name for name in ("gamma", "lomax"))
    ] == ["gamma", "lomax"]
    known = ", ".join(FAMILIES | OF_TAILS)
    for wrong in ("normal", 5, None, ""):
        with pytest.raises(
            ValueError, match=f"`family` must be one of {known}; got {wrong!r}."
        ):
            find_all(wrong)


@pytest.mark.parametrize("name", FAMILIES)
def test_families_travel_between_processes(name):
    copy = pickle.loads(pickle.dumps(FAMILIES[name]))
    assert (copy.name, copy.parameters, copy.kinds) == (
        name,
        FAMILIES[name].parameters,
        FAMILIES[name].kinds,
    )
    assert len(copy.parameters) == len(copy.kinds) == len(PARAMS[name][0])


def test_a_family_of_ones_own_needs_no_more_than_it_says():
    class Rayleigh(Family):
        name = "rayleigh"
        parameters = ("scale",)
        kinds = (Kind.SCALE,)

        def logpdf(self, w, params):
            return np.log(w) - 2 * math.log(params[0]) - (w / params[0]) ** 2 / 2

        def logcdf(self, w, params):
            return np.log(-np.expm1(self.logsf(w, params)))

        def logsf(self, w, params):
            return -((w / params[0]) ** 2) / 2

        def start(self, w, counts):
            return (float(np.average(w, weights=counts)),)

    from daleml.analysis import confidence_intervals, fit_weights, goodness_of_fit

    w = stats.rayleigh(scale=2).rvs(800, random_state=np.random.default_rng(0))
    fit = fit_weights(w, Rayleigh())
    assert fit.params["scale"] == pytest.approx(math.sqrt((w**2).mean() / 2), rel=1e-6)
    assert fit.stderr["scale"] == pytest.approx(
        fit.params["scale"] / math.sqrt(4 * 800), rel=1e-3
    )
    assert fit_weights(w[w > 1], Rayleigh(), truncation=(1, None)).params[
        "scale"
    ] == pytest.approx(2, rel=0.06)
    drawn = fit.distribution().rvs(2000, random_state=1)
    assert (
        stats.kstest(drawn, stats.rayleigh(scale=fit.params["scale"]).cdf).pvalue > 1e-3
    )
    assert goodness_of_fit(fit, 40).p_value > 0.01
    low, high = confidence_intervals(fit)["scale"]
    assert low < 2 < high


@pytest.mark.parametrize("name", [*FAMILIES, *OF_TAILS])
def test_a_family_is_found_by_the_label_that_people_read(name):
    label = family_label(name)
    assert label == family_label(find(name))
    assert find(label).name == name
    # A key that runs two words together is no label.
    assert (label == name) == (name in {"gamma", "exponential"})


def test_the_labels_of_families_are_different():
    names = [*FAMILIES, *OF_TAILS]
    assert len(set(map(family_label, names))) == len(names)


def test_only_a_family_has_a_label():
    with pytest.raises(TypeError) as raised:
        family_label(3)
    assert str(raised.value) == "`family` must be a family or its name; got int."
