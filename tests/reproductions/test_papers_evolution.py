"""The claims of evolution, on settings so small that they only show how it is done."""

import pytest

from daleml.reproductions.papers.evolution_hazelden2023 import claims as evolution

# The smallest settings have the longest steps.
pytestmark = pytest.mark.filterwarnings("ignore:`dt_ms` should be at most:UserWarning")

LEARNING = {"cells": 4, "batch": 2, "dt_ms": 2.0, "phrases": 20, "test": 20}
TINY = {
    "evolution, f-I curve": {"spacing": 2.0, "settle_ms": 200.0, "duration_ms": 300.0},
    "evolution, one neuron": {
        "n_weights": 3,
        "horizons_ms": [20, 40],
        "population": 4,
        "width_mv": 0.01,
    },
    "evolution, horizons": {
        "cells": 4,
        "batch": 2,
        "dt_ms": 2.0,
        "horizons_ms": [200, 800, 1200],
    },
    "evolution, spiral": {"hidden": 5, "population": 4, "iterations": 2, "lr": 1e-3},
    "evolution, integration": LEARNING
    | {"population": 4, "readout_iterations": 2, "es_iterations": 2},
    "evolution, published step": LEARNING | {"bp_iterations": 2},
    "evolution, comparison": LEARNING
    | {"population": 4, "es_iterations": 2, "bp_iterations": 2},
}
# What only some budgets have.
OPTIONS = {"compiled", "first_order", "one_sided"}


@pytest.mark.parametrize("name", TINY)
def test_every_experiment_returns_what_its_claims_read(name):
    """And the same again for the same seed, so that an interrupted reproduction goes on."""
    claims = [
        c for c in evolution.PAPER.claims if c.experiment and c.experiment.name == name
    ]
    experiment = claims[0].experiment
    known = {key for budget in experiment.settings.values() for key in budget}
    assert known - OPTIONS == TINY[name].keys()
    first = experiment.run(3, TINY[name])
    assert {check.number for claim in claims for check in claim.checks} <= first.keys()
    assert first == experiment.run(3, TINY[name])


def test_claims_that_cannot_be_measured_say_why():
    assert [claim.id for claim in evolution.PAPER.claims] == [
        f"e{i}" for i in range(1, 10)
    ]
    assert all(
        claim.note for claim in evolution.PAPER.claims if claim.experiment is None
    )
