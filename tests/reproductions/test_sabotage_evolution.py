"""Broken science is found out: verdicts on evolution turn, on phrases of fifteen words."""

import functools

import pytest
import torch

from daleml.learning import EvidenceIntegration, EvolutionStrategy
from daleml.reproductions import judge
from daleml.reproductions.papers.evolution_hazelden2023 import claims as evolution
from daleml.reproductions.papers.evolution_hazelden2023 import experiments, networks
from daleml.reproductions.verdict import FAILS, HOLDS

CLAIMS = {claim.id: claim for claim in evolution.PAPER.claims}
LEARNING = {"cells": 16, "batch": 32, "dt_ms": 1.0, "phrases": 500, "test": 500}
SETTINGS = {
    "evolution, one neuron": {
        "n_weights": 40,
        "horizons_ms": [200],
        "population": 60,
        "width_mv": 0.01,
    },
    "evolution, integration": LEARNING
    | {"cells": 32, "population": 32, "readout_iterations": 150, "es_iterations": 200},
    "evolution, published step": LEARNING | {"bp_iterations": 40},
    "evolution, comparison": LEARNING
    | {"population": 4, "es_iterations": 30, "bp_iterations": 30},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`dt_ms` should be at most:UserWarning"),
]


@pytest.fixture(autouse=True)
def short_phrases(monkeypatch):
    short = functools.partial(EvidenceIntegration, n_words=15)
    monkeypatch.setattr(experiments, "EvidenceIntegration", short)


def outcome(claim):
    experiment = CLAIMS[claim].experiment
    settings = SETTINGS[experiment.name]
    numbers = [experiment.run(seed, settings) for seed in range(3)]
    return judge(CLAIMS[claim], numbers)


# -- the sabotage


def evolution_uphill(patch):
    """The sign of what evolution finds is lost."""
    whole = EvolutionStrategy._gradient

    def broken(self, losses, noise):
        return whole(self, -losses, noise)

    patch.setattr(EvolutionStrategy, "_gradient", broken)


def losses_shuffled(patch):
    """Members get each other's losses, which carry what evolution learns."""
    whole = EvolutionStrategy._gradient

    def broken(self, losses, noise):
        return whole(self, losses.flip(0).roll(3), noise)

    patch.setattr(EvolutionStrategy, "_gradient", broken)


def gradients_that_are_no_numbers(patch):
    """What may have stopped the published runs: such gradients count as zero."""
    whole, calls = EvidenceIntegration.loss, [0]

    def broken(self, outputs, trials):
        calls[0] += 1
        value = whole(self, outputs, trials)
        return value * torch.nan if calls[0] % 40 > 5 else value

    patch.setattr(EvidenceIntegration, "loss", broken)


def arms_swapped(patch):
    ways = networks.train_backpropagated, networks.train_evolved

    def backwards(task, net, settings, seed):
        ways[1](task, net, settings, seed)
        return {}

    patch.setattr(experiments, "train_backpropagated", backwards)
    patch.setattr(
        experiments,
        "train_evolved",
        lambda t, n, s, seed, names=(): ways[0](t, n, s, seed),
    )


SABOTAGE = [
    ("e2", evolution_uphill, HOLDS, FAILS),
    ("e5", losses_shuffled, HOLDS, FAILS),
    ("e6", gradients_that_are_no_numbers, HOLDS, FAILS),
    # On short phrases and long steps backpropagation is ahead.
    ("e8", arms_swapped, FAILS, HOLDS),
]


@pytest.mark.parametrize(("claim", "sabotage", "intact", "broken"), SABOTAGE)
def test_sabotage_turns_a_verdict(claim, sabotage, intact, broken, monkeypatch):
    assert outcome(claim).verdict == intact
    sabotage(monkeypatch)
    assert outcome(claim).verdict == broken
