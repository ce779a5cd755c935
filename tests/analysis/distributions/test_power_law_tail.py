"""Power laws: by closed form, by scipy, and beside what only looks like one."""

import json
import math

import numpy as np
import pytest
from scipy import optimize, special, stats
from typer.testing import CliRunner

from daleml.analysis import (
    compare_families,
    confidence_intervals,
    fit_weights,
    goodness_of_fit,
    plots,
    power_law,
)
from daleml.analysis.distributions.families import FAMILIES, find
from daleml.analysis.distributions.families.power_laws import TailOfCounts, log_zeta
from daleml.cli import app

TAIL = np.random.default_rng(0).pareto(1.5, 1500) * 0.3 + 0.3  # alpha = 2.5 from 0.3 on
COUNTS = stats.zipf(2.3).rvs(1500, random_state=1).astype(float)


# -- the family --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e6])
@pytest.mark.parametrize("name", ["powerlaw", "pareto", "Pareto I"])
def test_the_estimate_is_the_closed_form(name, unit):
    fit = fit_weights(TAIL * unit, name, truncation=(0.3 * unit, None))
    alpha = 1 + TAIL.size / np.log(TAIL / 0.3).sum()
    assert fit.params["alpha"] == pytest.approx(alpha, rel=1e-6)
    assert fit.stderr["alpha"] == pytest.approx(
        (alpha - 1) / math.sqrt(TAIL.size), rel=1e-4
    )
    law = stats.pareto(alpha - 1, scale=0.3 * unit)
    assert fit.log_likelihood == pytest.approx(law.logpdf(TAIL * unit).sum(), rel=1e-9)
    assert fit.ks_distance() == pytest.approx(
        stats.kstest(TAIL * unit, law.cdf).statistic, abs=1e-6
    )
    assert fit.distribution().median() == pytest.approx(law.median(), rel=1e-5)
    low, high = confidence_intervals(fit)["alpha"]
    assert low < 2.5 < high


def test_a_power_law_between_two_ends():
    seen = TAIL[TAIL < 3]
    fit = fit_weights(seen, "powerlaw", truncation=(0.3, 3.0))

    def depth(alpha):
        tail = alpha - 1
        return -(
            seen.size * (math.log(tail / 0.3) - math.log1p(-(10.0**-tail)))
            - alpha * np.log(seen / 0.3).sum()
        )

    assert fit.params["alpha"] == pytest.approx(
        optimize.minimize_scalar(
            depth, bounds=(1.1, 6), method="bounded", options={"xatol": 1e-9}
        ).x,
        rel=1e-5,
    )
    assert fit.params["alpha"] == pytest.approx(2.5, abs=0.15)


@pytest.mark.parametrize("least", [1, 5])
@pytest.mark.parametrize("name", ["powerlaw", "zeta", "zipf"])
def test_of_counts_it_is_the_zeta_distribution(name, least):
    counts = COUNTS[least <= COUNTS]
    fit = fit_weights(counts, name, discrete=True, truncation=(least, None))

    def depth(alpha):
        return (
            counts.size * math.log(special.zeta(alpha, least))
            + alpha * np.log(counts).sum()
        )

    found = optimize.minimize_scalar(
        depth, bounds=(1.1, 5), method="bounded", options={"xatol": 1e-9}
    )
    assert fit.params["alpha"] == pytest.approx(found.x, rel=1e-5)
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-9)
    assert fit.params["alpha"] == pytest.approx(2.3, abs=4 * fit.stderr["alpha"])
    if least == 1:
        assert fit.log_likelihood == pytest.approx(
            stats.zipf(fit.params["alpha"]).logpmf(counts).sum(), rel=1e-9
        )
        assert fit.seen_cdf([1, 4]) == pytest.approx(
            stats.zipf(fit.params["alpha"]).cdf([1, 4]), rel=1e-9
        )


def test_a_tail_of_counts_is_scipys():
    tail, law = TailOfCounts(2.3, 1), stats.zipf(2.3)
    places = np.array([1, 2, 7, 300, 5000])
    assert tail.cdf(places) == pytest.approx(law.cdf(places), rel=1e-9)
    assert tail.pmf(places) == pytest.approx(law.pmf(places), rel=1e-9)
    levels = np.array([0.01, 0.5, 0.9, 0.999])
    assert tail.ppf(levels) == pytest.approx(law.ppf(levels))
    assert float(log_zeta(2.3, np.array(999.0))) == pytest.approx(
        float(log_zeta(2.3, np.array(1001.0))), abs=3e-3
    )
    assert float(log_zeta(2.3, np.array(1e6))) == pytest.approx(
        math.log(special.zeta(2.3, 1e6)), rel=1e-12
    )
    drawn = tail.rvs(4000, random_state=0)
    assert np.log(drawn).mean() == pytest.approx(np.log(COUNTS).mean(), abs=0.06)


@pytest.mark.parametrize(
    "options", [{"truncation": (0.3, None)}, {"truncation": (0.3, 9.0)}]
)
def test_samples_of_it_fit_it(options):
    fit = fit_weights(
        TAIL[(options["truncation"][1] or np.inf) > TAIL][:500], "powerlaw", **options
    )
    assert goodness_of_fit(fit, 60, jobs=1).p_value > 0.02
    wrong = fit_weights(
        np.random.default_rng(0).uniform(0.3, 2, 500),
        "powerlaw",
        truncation=(0.3, None),
    )
    assert goodness_of_fit(wrong, 40, jobs=1).p_value < 0.05


def test_samples_of_counts_fit_it():
    assert (
        goodness_of_fit(
            fit_weights(COUNTS[:400], "zeta", discrete=True), 40, jobs=1
        ).p_value
        > 0.02
    )
    wrong = np.random.default_rng(0).poisson(3, 400) + 1.0
    assert (
        goodness_of_fit(fit_weights(wrong, "zeta", discrete=True), 40, jobs=1).p_value
        < 0.05
    )


def test_pareto_is_not_lomax():
    assert find("pareto").name == "powerlaw"
    assert find("Pareto II") is FAMILIES["lomax"]
    with pytest.raises(
        ValueError,
        match="must have a lower end above 0 to fit a power law, .*Lomax, Pareto II, needs",
    ):
        fit_weights(TAIL, "pareto")
    result = compare_families(TAIL, ("pareto", "lognormal"))
    assert "powerlaw" in result.failures


# -- beside others -----------------------------------------------------------------------------------------------------


def test_whether_it_is_a_power_law_or_lognormal():
    """The question, on the same tail: drawn from each, each is found."""
    names = ("powerlaw", "lognormal", "exponential")
    true = compare_families(TAIL, names, truncation=(0.3, None))
    assert true.best.family == "powerlaw"
    assert true["lognormal"].limit == "a power law"  # all that its likelihood can do
    assert "at its limit, a power law" in true.table()["parameters"].tolist()[1]
    assert (
        "log-normal, of which it is a special case, is no better" in true.conclusion()
    )
    w = np.random.default_rng(0).lognormal(0, 1, 3000)
    other = compare_families(w[w > 0.5], names, truncation=(0.5, None))
    assert other.best.family == "lognormal"
    assert other["lognormal"].limit is None
    against = next(test for test in other.tests if test.worse == "powerlaw")
    assert against.test == "vuong"
    assert against.p_value < 1e-6


def test_a_lomax_far_above_its_scale_has_become_a_power_law():
    fit = fit_weights(TAIL, "lomax", truncation=(0.3, None))
    assert fit.limit == "a power law" or fit.params["scale"] > 1e-3
    far = fit_weights(TAIL[TAIL > 0.6], "lognormal", truncation=(0.6, None))
    assert far.limit == "a power law"


# -- where it begins ---------------------------------------------------------------------------------------------------


def test_the_bound_is_found():
    rng = np.random.default_rng(3)
    w = np.r_[rng.uniform(0.1, 1, 1000), rng.pareto(1.5, 1000) + 1]
    found = power_law(w, n_boot=20)
    assert found.xmin == pytest.approx(1, abs=0.3)
    assert found.alpha == pytest.approx(2.5, abs=3 * found.stderr)
    assert found.p_value > 0.05
    assert "could be a power law" in str(found)
    assert found.tail().min() >= found.xmin
    assert found.tail().size == found.n_tail
    assert json.loads(json.dumps(found.to_dict()))["n_tail"] == found.n_tail
    assert found.compare(("powerlaw", "exponential")).best.family == "powerlaw"
    fit = fit_weights(found.tail(), "powerlaw", observation=found.observation)
    assert fit.params["alpha"] == pytest.approx(found.alpha, rel=1e-6)
    assert fit.ks_distance() == pytest.approx(found.distance, abs=1e-6)


def test_the_bound_of_counts_is_found():
    rng = np.random.default_rng(0)
    tail = TailOfCounts(2.5, 10).rvs(1500, random_state=1)
    found = power_law(np.r_[rng.integers(1, 10, 1500), tail], discrete=True, n_boot=8)
    assert 8 <= found.xmin <= 13
    assert found.alpha == pytest.approx(2.5, abs=4 * found.stderr)
    fit = fit_weights(found.tail(), "powerlaw", observation=found.observation)
    assert (fit.params["alpha"], fit.stderr["alpha"]) == pytest.approx(
        (found.alpha, found.stderr), rel=1e-4
    )
    assert found.p_value > 0.1


def test_what_is_no_power_law_is_said_to_be_none():
    found = power_law(np.random.default_rng(0).exponential(1, 3000), 0.5, n_boot=30)
    assert found.p_value < 0.05
    assert "is no power law" in str(found)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: power_law([1.0, 2.0]), "`weights` must hold at least 50 in the tail, not all equal, to look for a power law; got 2."),
        (lambda: power_law(TAIL, 1e9), "`weights` must hold at least 50 in the tail, not all equal, to look for a power law; got 0."),
        (lambda: power_law(TAIL, -1), "`xmin` must be above 0; got -1."),
        (lambda: power_law(TAIL, n_boot=-1), "`n_boot` must be at least 0; got -1."),
        (lambda: power_law([1.5, 2.0] * 40, discrete=True), "`weights` must be whole numbers where `discrete` is True; got 1.5."),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError, match="`") as raised:
        call()
    assert str(raised.value) == sentence


def test_it_is_drawn(tmp_path):
    from matplotlib.figure import Figure

    for fit in (
        fit_weights(TAIL, "powerlaw", truncation=(0.3, None)),
        fit_weights(COUNTS, "powerlaw", discrete=True),
        fit_weights(np.round(TAIL, 1), "lognormal", resolution=0.1),
    ):
        for plot in (plots.fit, plots.ccdf, plots.qq):
            ax = Figure().subplots()
            plot(fit, ax=ax)
            for one in ax.get_lines():
                heights = np.asarray(one.get_ydata(), dtype=float)
                assert np.isfinite(heights).any()


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_finds_the_tail(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    w = np.r_[rng.uniform(0.1, 1, 600), rng.pareto(1.5, 600) + 1]
    (tmp_path / "w.csv").write_text(
        "size\n" + "\n".join(repr(float(x)) for x in w) + "\n"
    )
    options = [
        "fit",
        "w.csv",
        "--families",
        "powerlaw,exponential",
        "--intervals",
        "none",
    ]
    result = CliRunner().invoke(app, [*options, "--tail"])
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "is the tail that is closest to a power law" in text
    found = json.loads((tmp_path / "w-size-fit.json").read_text())
    assert found["best"] == "powerlaw"
    assert found["fits"][0]["observation"]["truncation"][0] == pytest.approx(
        power_law(w).xmin
    )
    result = CliRunner().invoke(app, [*options, "--tail", "--truncate-below", "1"])
    assert (
        "`--tail` must be left out where `--truncate-below` is given; got both."
        in " ".join(result.output.split())
    )
    result = CliRunner().invoke(app, [*options[:2], "--families", "powerlaw"])
    said = " ".join(result.output.split())
    assert "must have a lower end above 0 to fit a power law" in said
    assert "give it by `--truncate-below`, or let `--tail` look for it" in said
