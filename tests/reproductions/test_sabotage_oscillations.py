"""Break what oscillations and Oja's rule rest on, and see the verdicts turn."""

import pytest
import torch

from daleml.learning import EquilibriumPropagation
from daleml.reproductions import judge
from daleml.reproductions.papers.equilibrium_laborieux2022 import claims as h_claims
from daleml.reproductions.papers.oja_shervanitabar2024 import claims as o_claims
from daleml.reproductions.papers.oja_shervanitabar2024 import online_batch
from daleml.reproductions.verdict import FAILS, HOLDS

CLAIMS = {
    claim.id: claim
    for paper in (h_claims.PAPER, o_claims.PAPER)
    for claim in paper.claims
}


def outcome(name, n_seeds, **other):
    """Judge a claim by its first seeds, with some settings of its own."""
    claim = CLAIMS[name]
    settings = {**claim.experiment.settings["quick"], **other}
    return judge(
        claim, [claim.experiment.run(seed, settings) for seed in range(n_seeds)]
    )


def turned_backwards(monkeypatch):
    """Each point counts as if the teaching signal turned the other way."""
    points = EquilibriumPropagation._points

    def backwards(self, x):
        betas, counts = points(self, x)
        return betas, counts.conj() if counts.is_complex() else counts

    monkeypatch.setattr(EquilibriumPropagation, "_points", backwards)


def both_on_one_side(monkeypatch):
    """Two points pull towards the target, and none away from it."""

    def one_sided(self, x):
        betas = x.new_tensor([self.beta, self.beta])
        return betas, -0.5 / betas

    monkeypatch.setattr(EquilibriumPropagation, "_points", one_sided)


def without_the_rule(monkeypatch):
    monkeypatch.setattr(
        online_batch.Networks,
        "_where_it_converges",
        lambda self, rates: torch.zeros_like(self._coefficients),
    )


def against_the_rule(monkeypatch):
    """Weights are driven away from where Oja's rule brings them."""
    monkeypatch.setattr(
        online_batch.Networks,
        "_where_it_converges",
        lambda self, rates: -10 * self._coefficients,
    )


@pytest.mark.slow
def test_a_gradient_is_not_exact_where_the_signal_turns_backwards(monkeypatch):
    few = {"betas": [], "points": []}
    assert outcome("h2", 4, **few).verdict == HOLDS
    turned_backwards(monkeypatch)
    assert outcome("h2", 4, **few).verdict == FAILS


def test_an_equivalence_has_two_sides():
    claim = CLAIMS["o3"]
    verdicts = [
        judge(claim, [{"gain": centre + apart} for apart in (-0.01, 0.0, 0.01)]).verdict
        for centre in (-0.2, 0.0, 0.2)
    ]
    assert verdicts == [FAILS, HOLDS, FAILS]
    claim = CLAIMS["h6"]
    rest = {"accuracy_nudged": 95.0, "settled_nudged": 100.0}
    verdicts = [
        judge(claim, [{"accuracy_apart": apart, **rest}] * 3).verdict
        for apart in (-3.0, 0.3, 3.0)
    ]
    assert verdicts == [FAILS, HOLDS, FAILS]


@pytest.mark.slow
def test_without_noise_and_with_a_signal_that_turns_backwards_the_arms_change_places(
    monkeypatch,
):
    """Noise is what the small nudge fails of, and the turn what many points live on."""
    turned_backwards(monkeypatch)
    found = outcome("h5", 3, noise=0.002, epochs=2, published={"epochs": 1})
    by_number = {one.check.number: one.verdict for one in found.measured}
    assert by_number["accuracy_small"] == FAILS
    assert by_number["accuracy_holomorphic"] == by_number["rescue"] == FAILS


@pytest.mark.slow
def test_two_points_do_not_follow_where_both_are_on_one_side(monkeypatch):
    both_on_one_side(monkeypatch)
    found = outcome("h6", 3, epochs=3)
    assert found.measured[0].verdict == FAILS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["o1", "o2"])
def test_without_the_rule_nothing_is_gained(name, monkeypatch):
    without_the_rule(monkeypatch)
    assert outcome(name, 3).verdict == FAILS


@pytest.mark.slow
def test_from_the_right_gain_a_rule_turned_round_does_change_accuracy(monkeypatch):
    against_the_rule(monkeypatch)
    assert outcome("o3", 3).verdict == FAILS
