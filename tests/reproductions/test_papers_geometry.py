"""The regressions of Pogodin et al. 2024: features, what they learn, and claims that a fault turns."""

import copy

import pytest
import torch

from daleml._support import seeds
from daleml.analysis import infer_geometry
from daleml.potentials import Euclidean, NegativeEntropy, PNorm
from daleml.reproductions import judge
from daleml.reproductions.papers.geometry_pogodin2024 import claims, experiments
from daleml.reproductions.papers.geometry_pogodin2024.networks import (
    interpolating_weights,
    regression_features,
)
from daleml.reproductions.verdict import FAILS, HOLDS

CLAIMS = {claim.id: claim for claim in claims.PAPER.claims}
SETTINGS = {"rates": [1.0, 0.4], "momentum": 0.9, "epochs": 2_000, "loss": 1e-3}


@pytest.mark.parametrize("power", [1, 2])
def test_features_have_the_published_covariance(power):
    n = 5
    x = regression_features(20_001, n, power, torch.Generator().manual_seed(0))
    lags = (torch.arange(n)[:, None] - torch.arange(n)).abs().double()
    expected = (-1) ** lags / (1 + lags**power) + torch.eye(n) / 12
    assert x.shape == (20_001, n)
    # Five standard errors of a covariance of 20,000 pairs.
    torch.testing.assert_close(torch.cov(x.T), expected.double(), atol=0.05, rtol=0)
    # Rows are independent: also the two that come of one complex draw, 50 apart.
    for apart in (1, 50):
        assert (x[:-apart] * x[apart:]).mean(0).abs().max() < 0.05


def test_white_features_are_white():
    x = regression_features(20_000, 4, 0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.cov(x.T), torch.eye(4).double(), atol=0.05, rtol=0)


def test_what_descent_finds_is_the_interpolation_nearest_in_the_euclidean_sense():
    x = regression_features(20, 400, 1, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    before, after = interpolating_weights(
        Euclidean(), x, generator, SETTINGS | {"loss": 1e-16}
    )
    y = (x @ after).sign()
    nearest = before + x.T @ torch.linalg.solve(x @ x.T, y - x @ before)
    torch.testing.assert_close(after, nearest, atol=1e-6, rtol=0)
    assert (x @ after - y).abs().max() < 1e-6


def test_changes_are_those_of_infer_geometry():
    x = regression_features(20, 400, 2, torch.Generator().manual_seed(1))
    weights = interpolating_weights(
        PNorm(3), x, torch.Generator().manual_seed(2), SETTINGS
    )
    found = experiments._changes(*weights)
    for one in infer_geometry(*weights, tuple(found), n_boot=20).changes:
        assert found[one.potential].distance == one.distance
        assert found[one.potential].relative_change == one.relative_change


def test_the_potentials_learn_from_the_same_features(monkeypatch):
    seen = []

    def interpolate(potential, x, generator, settings):
        seen.append((type(potential), x.clone(), generator.get_state()))

    monkeypatch.setattr(experiments, "interpolating_weights", interpolate)
    how = {"powers": [1], "exponent": 0.5, "sizes": [100]}
    experiments._at_size(0, 0, how, {"repeats": [1]})
    assert [one for one, _, _ in seen] == [NegativeEntropy, Euclidean, PNorm]
    for _, x, state in seen[1:]:
        assert torch.equal(x, seen[0][1])
        assert torch.equal(state, seen[0][2])
    assert not torch.equal(seen[0][2], seeds.generator(0).get_state())


# -- broken science is found out; see also test_sabotage_eg.py for 4a, 4b and 4e

FEWER = copy.deepcopy(experiments.REGRESSION.settings["quick"]) | {"repeats": [2, 1, 1]}
FEWER["features"]["white"]["sizes"] = [100, 200, 1_000]
FEWER["features"]["few"] = FEWER["features"]["few"] | {"sizes": [100, 400, 3_000]}
FEWER["features"]["many"] = FEWER["features"]["many"] | {"sizes": [100, 400, 1_000]}

TINY = copy.deepcopy(FEWER)
for how in TINY["features"].values():
    how["sizes"] = [30, 40, 50]


def test_a_regression_that_never_learns_supports_nothing(monkeypatch):
    monkeypatch.setattr(experiments, "interpolating_weights", lambda *_: None)
    run = [experiments.run_regression(seed, TINY) for seed in range(3)]
    for name in ("4b", "4c", "4d", "4e", "4f"):
        assert judge(CLAIMS[name], run).verdict == FAILS


def verdicts(settings):
    run = [experiments.run_regression(seed, settings) for seed in range(4)]
    return {name: judge(CLAIMS[name], run).verdict for name in ("4c", "4d", "4f")}


@pytest.mark.slow
def test_the_claims_hold():
    assert verdicts(FEWER) == dict.fromkeys(("4c", "4d", "4f"), HOLDS)


@pytest.mark.slow
def test_large_regressions_in_place_of_small_ones_turn_claims():
    swapped = copy.deepcopy(FEWER)
    for how in swapped["features"].values():
        how["sizes"] = how["sizes"][::-1]
    found = verdicts(swapped)
    assert [found["4c"], found["4d"]] == [FAILS, FAILS]


@pytest.mark.slow
def test_no_more_examples_turn_a_claim():
    same = copy.deepcopy(FEWER)
    same["features"]["many"] = same["features"]["few"]
    assert verdicts(same)["4f"] == FAILS
