"""How numbers seem to have been recorded, and that following a hint never harms."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from daleml.analysis import (
    Observation,
    compare_families,
    fit_weights,
    goodness_of_fit,
    weight_sample,
)
from daleml.analysis.distributions.recording import recording_hints
from daleml.analysis.distributions.rounding import Figures, Steps
from daleml.analysis.distributions.rounding_detection import detect_rounding
from daleml.cli import app


def draws(n=1000, mu=-2.9, sigma=0.85, seed=0):
    return np.random.default_rng(seed).lognormal(mu, sigma, n)


def rounded(w, step):
    w = np.round(w / step) * step
    return w[w > 0]


# -- what numbers were rounded to --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [12, 60, 300, 3000])
@pytest.mark.parametrize("step", [0.01, 0.05, 0.1, 0.02, 0.0137, 0.025, 1.0, 640.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_step_is_found(n, step, dtype):
    w = rounded(draws(n) * step / 0.015, step).astype(dtype)
    found = detect_rounding(w)
    assert isinstance(found.grid, Steps)
    assert found.grid.size == pytest.approx(step, rel=1e-6)
    assert found.matters


@pytest.mark.parametrize("number", [1, 2, 3])
def test_significant_figures_are_found(number):
    w = np.array([float(f"{x:.{number - 1}e}") for x in draws(3000, sigma=1.5)])
    found = detect_rounding(w)
    assert found.grid == Figures(number)
    assert found.matters
    fit, plain = (
        fit_weights(w, observation=Observation(significant=number)),
        fit_weights(draws(3000, sigma=1.5)),
    )
    assert fit.values == pytest.approx(plain.values, abs=0.01 if number > 1 else 0.03)
    assert (
        goodness_of_fit(
            fit_weights(w[:800], observation=Observation(significant=number)),
            40,
            jobs=1,
        ).p_value
        > 0.05
    )


@pytest.mark.parametrize(
    "w",
    [
        draws(3000),
        draws(3000).astype(np.float32),
        np.round(draws(1000), 5),
        np.round(draws(300) * 1e9),
        np.repeat(draws(100), 3),
        1 + 1e-4 * np.random.default_rng(0).normal(size=1000),
        np.minimum(draws(1000), 0.1),
        draws(7),
    ],
)
def test_numbers_that_were_not_rounded_are_not_said_to_be(w):
    found = detect_rounding(w)
    assert found is None or not found.matters


def test_one_more_digit_here_and_there_hides_no_step():
    w = rounded(draws(400), 0.01)
    w[:10] += 0.005
    assert detect_rounding(w).grid == Steps(0.01)
    assert fit_weights(w, resolution=0.01).n == w.size  # and the step is taken


# -- hints -------------------------------------------------------------------------------------------------------------


def errors(w, observation, hint, truth):
    """Return how far the parameters lie from the truth, without the hint and following it, in standard errors."""
    w = w[w > 0]
    before = fit_weights(w, observation=observation)
    after = fit_weights(w, observation=hint.followed(observation))
    return [
        np.array(
            [abs(value - true) for value, true in zip(fit.values, truth, strict=True)]
        )
        for fit in (before, after)
    ]


CASES = {
    "rounded": (lambda w: rounded(w, 0.05), Observation(), {"resolution": 0.05}),
    "threshold": (lambda w: w[w > 0.05], Observation(), None),
    "threshold and rounded": (
        lambda w: rounded(w[w > 0.055], 0.01), Observation(resolution=0.01), {"truncation": (0.055, None)}
    ),
    "saturated": (lambda w: np.minimum(w, 0.09), Observation(), {"censoring": (None, 0.09)}),
    "saturated and rounded": (
        lambda w: rounded(np.minimum(w, 0.09), 0.01), Observation(resolution=0.01), {"censoring": (None, 0.09)}
    ),
    "limit of detection": (lambda w: np.maximum(w, 0.04), Observation(), {"censoring": 0.04}),
    "half the limit": (lambda w: np.where(w < 0.04, 0.02, w), Observation(), None),
    "twice the ceiling": (lambda w: np.where(w > 0.09, 0.2, w), Observation(), None),
    "saturated counts": (
        lambda w: np.minimum(np.round(w * 400)[w * 400 >= 0.5], 40), Observation(discrete=True), {"censoring": (None, 40)}
    ),
    "counts": (lambda w: np.round(w * 40)[w * 40 >= 0.5], Observation(), {"discrete": True}),
}  # fmt: skip


ONE_ERROR_ONLY = ("rounded", "half the limit")
"""Where one of the two parameters is hardly wrong to begin with; both together are nearer to the truth."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_following_a_hint_brings_the_parameters_nearer_to_the_truth(case, dtype):
    recorded, observation, changes = CASES[case]
    before, after = [], []
    for seed in range(4):
        w = recorded(draws(1500, seed=seed)).astype(dtype)
        hints = recording_hints(w.astype(float), observation)
        assert len(hints) == (
            2 if case == "threshold and rounded" and not observation.grid else 1
        )
        if changes is not None:
            assert {
                name: pytest.approx(value) for name, value in hints[0].changes.items()
            } == changes or dtype == np.float32
        truth = (
            -2.9 + math.log({"counts": 40, "saturated counts": 400}.get(case, 1)),
            0.85,
        )
        one, other = errors(w, observation, hints[0], truth)
        before.append(one)
        after.append(other)
    assert (
        np.mean(after, axis=0) < np.mean(before, axis=0)
    ).all() or case in ONE_ERROR_ONLY
    assert np.mean(after) < np.mean(before)
    assert (np.mean(after, axis=0) < 0.2).all()


@pytest.mark.parametrize("step", [0.01, 0.05])
def test_rounding_alone_is_no_threshold(step):
    for seed in range(5):
        w = rounded(draws(800, seed=seed), step)
        said = " ".join(hint.said for hint in recording_hints(w, Observation()))
        assert "rounded to" in said
        assert "threshold" not in said
        assert recording_hints(w, Observation(resolution=step)) == ()


@pytest.mark.parametrize(
    "w",
    [
        draws(3000),
        np.random.default_rng(0).gamma(2, 1, 3000),
        np.random.default_rng(0).poisson(3, 800) + 1.0,
        np.random.default_rng(0).weibull(0.6, 3000),
        np.random.default_rng(0).pareto(2, 3000),
        draws(5),
    ],
)
def test_nothing_is_said_of_what_is_whole(w):
    assert (
        recording_hints(w, Observation(discrete=bool(np.all(w == np.round(w))))) == ()
    )


def test_zeros_that_may_be_small_weights():
    hints = recording_hints(
        rounded(draws(), 0.05), Observation(resolution=0.05), n_zero=30
    )
    assert hints[0].in_options.startswith("30 zeros were left out")
    assert hints[0].in_options.endswith("pass `--zeros censored`.")
    assert hints[0].in_python.endswith("pass `zeros='censored'`.")
    w = np.round(draws(1500) / 0.05) * 0.05
    before, after = (
        fit_weights(w, resolution=0.05, zeros=zeros)
        for zeros in ("exclude", "censored")
    )
    assert after.stderr["sigma"] < before.stderr["sigma"]


def test_noise_on_small_weights_is_told_from_inhibition():
    noisy = draws(500) + np.random.default_rng(1).normal(0, 0.02, 500)
    with pytest.raises(
        ValueError,
        match="unless `sign` or `pool` is given; got .* so that sigma comes out too large",
    ):
        fit_weights(noisy)
    sample = weight_sample(noisy, sign=1)
    assert sample.others().size == (noisy < 0).sum()
    (hint,) = recording_hints(sample.values(), Observation(), negative=sample.others())
    assert "adds about (s / w)^2 to the variance of ln w" in hint.in_options
    assert hint.changes == {}
    inhibitory = np.r_[draws(300), -3 * draws(200, seed=1)]
    with pytest.raises(ValueError, match="300 positive and 200 negative values.$"):
        fit_weights(inhibitory)


# -- goodness of fit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["lognormal", "gamma"])
def test_rounding_is_not_counted_against_a_family(family):
    w = rounded(draws(1000), 0.01)
    test = goodness_of_fit(fit_weights(w, family), 99)
    assert math.isnan(test.p_value)
    assert not test.can_reject
    assert str(test).endswith(
        "which counts against every family; pass resolution=0.01."
    )
    assert json.loads(json.dumps(test.to_dict()))["p_value"] is None
    said = compare_families(w, family, gof=99).conclusion()
    assert "was not judged: the values are rounded to 0.01" in said
    assert "does not describe" not in said


# -- the command -------------------------------------------------------------------------------------------------------


def command(folder, *options):
    result = CliRunner().invoke(
        app,
        ["fit", "w.csv", "--families", "lognormal", "--intervals", "none", *options],
    )
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split()), json.loads(
        (folder / "w-size-fit.json").read_text()
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_option_reaches_the_fit(folder):
    w = rounded(draws(600), 0.01)
    (folder / "w.csv").write_text(
        "size\n" + "\n".join(f"{x:.2f}" for x in w) + "\n0\n0\n"
    )
    text, _ = command(folder)
    assert "pass `--resolution 0.01`" in text
    text, found = command(folder, "--resolution", "0.01", "--gof", "30", "--out", ".")
    assert found["fits"][0]["params"] == pytest.approx(
        dict(fit_weights(w, resolution=0.01).params)
    )
    assert found["goodness_of_fit"]["lognormal"]["p_value"] > 0.05
    assert "pass `--zeros censored`" in text
    assert (
        "Each stands for what lies within half a step of it, 0.005."
        in (folder / "w-size-fit.html").read_text()
    )
    _, found = command(folder, "--resolution", "0.01", "--zeros", "censored")
    assert (found["fits"][0]["n"], found["fits"][0]["n_zero"]) == (w.size + 2, 0)
    _, found = command(
        folder,
        "--resolution",
        "0.01",
        "--truncate-below",
        "0.05",
        "--censor-above",
        "0.2",
    )
    expected = fit_weights(
        w[w > 0.045], resolution=0.01, truncation=(0.05, None), censoring=(None, 0.2)
    )
    assert found["fits"][0]["params"] == pytest.approx(dict(expected.params))
    assert found["fits"][0]["observation"]["censoring"] == [None, 0.2]
    assert found["fits"][0]["n_censored_above"] == expected.n_censored_above > 0
    _, found = command(folder, "--significant", "2")
    assert found["fits"][0]["observation"]["significant"] == 2


def test_half_a_limit_of_detection_is_no_limit():
    w = draws(800)
    (hint,) = recording_hints(np.where(w < 0.04, 0.02, w), Observation())
    assert hint.changes["censoring"] == pytest.approx(0.04, abs=0.0011)
    assert hint.changes["censoring"] < w[w >= 0.04].min()
    assert "none lies between it and" in hint.said


def test_a_ceiling_is_said_and_followed(folder):
    w = np.minimum(draws(600), 0.09)
    (folder / "w.csv").write_text("size\n" + "\n".join(f"{x:.5f}" for x in w) + "\n")
    text, _ = command(folder)
    assert "values equal the largest, 0.09" in text
    assert "pass `--censor-above 0.09`" in text
    _, found = command(folder, "--censor-above", "0.09", "--out", ".")
    assert found["fits"][0]["params"]["sigma"] == pytest.approx(0.85, abs=0.06)
    assert (
        "are known only to be no smaller than 0.09."
        in (folder / "w-size-fit.html").read_text()
    )
