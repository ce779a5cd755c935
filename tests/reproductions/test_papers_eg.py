"""The claims of exponentiated gradient, geometry and regimes, on settings so small that they only show how it is done."""

import copy
import json

import pytest
import torch

from daleml.reproductions import judge
from daleml.reproductions.claim import BUDGETS
from daleml.reproductions.papers.eg_cornford2024 import claims as eg_claims
from daleml.reproductions.papers.eg_cornford2024 import experiments as eg
from daleml.reproductions.papers.eg_cornford2024 import networks
from daleml.reproductions.papers.geometry_pogodin2024 import claims as geometry
from daleml.reproductions.papers.regimes_liu2024 import claims as regimes

SMALL = {
    "EG on digits": {
        "width": 16,
        "epochs": 3,
        "batch": 128,
        "warm_up": 1,
        "cool_down": 1,
        "lrs": {"gd": [0.03, 0.1], "sign_gd": [0.03, 0.1], "eg": [0.1, 0.3]},
    },
    "r of k": {
        "sizes": [40, 80],
        "k": 20,
        "r": 10,
        "train": 400,
        "test": 200,
        "batch": 100,
        "epochs": 4,
    },
    "EG identities": {"n": 500},
    "robustness of the geometry": {"n": 200, "draws": 2},
    "regression under a potential": {"repeats": [1, 1, 1], "loss": 0.3},
    "two linear layers": {"d": 6, "examples": 12, "ranks": [1, 6], "scales": [0.1]},
    "rank of a recurrent network": {
        "units": 20,
        "iterations": 30,
        "probes": 40,
        "kernel_probes": 4,
        "last": 10,
    },
}
PAPERS = (eg_claims.PAPER, geometry.PAPER, regimes.PAPER)
EXPERIMENTS = {
    claim.experiment.name: claim.experiment
    for paper in PAPERS
    for claim in paper.claims
    if claim.experiment
}


def small(name):
    return {**EXPERIMENTS[name].settings["quick"], **SMALL[name]}


def test_every_experiment_is_here():
    assert set(SMALL) == set(EXPERIMENTS)


@pytest.mark.parametrize("name", SMALL)
def test_gives_what_its_claims_read_by_the_seed_alone(name):
    experiment, settings = EXPERIMENTS[name], small(name)
    given = copy.deepcopy(settings)
    state = torch.get_rng_state()
    numbers = experiment.run(0, settings)
    assert torch.equal(torch.get_rng_state(), state)
    assert settings == given
    torch.manual_seed(7)  # of no consequence
    assert experiment.run(0, settings) == numbers
    assert all(type(value) is float for value in numbers.values())
    for paper in PAPERS:
        for claim in paper.claims:
            if claim.experiment is experiment:
                assert judge(claim, [numbers]).measured, claim.id


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("budget", BUDGETS)
def test_settings_are_plain_and_say_how_long(name, budget):
    experiment = EXPERIMENTS[name]
    assert (
        json.loads(json.dumps(experiment.settings[budget]))
        == experiment.settings[budget]
    )
    assert experiment.seeds[budget] >= (3 if budget == "quick" else 5)
    assert name == "EG identities" or experiment.minutes[budget] > 0


def test_learning_rates_never_see_the_test_set(monkeypatch):
    settings = small("EG on digits")
    numbers = eg.run_digits(0, settings)
    split = eg.digits(0)
    garbage = copy.copy(split)
    object.__setattr__(garbage, "test_x", torch.full_like(split.test_x, 1e3))
    object.__setattr__(garbage, "test_y", torch.zeros_like(split.test_y))
    monkeypatch.setattr(eg, "digits", lambda seed: garbage)
    blind = eg.run_digits(0, settings)
    assert blind["accuracy_eg"] != numbers["accuracy_eg"]
    for name, value in numbers.items():
        if name.startswith(("lr_", "held_out_", "ks_", "flipped_")):
            assert blind[name] == value, name


def test_learning_rates_of_neurons_never_see_the_test_set(monkeypatch):
    settings, draw = small("r of k"), networks.draw_r_of_k
    numbers = eg.run_r_of_k(0, settings)

    def garbage(*args, noisy):
        inputs, targets = draw(*args, noisy=noisy)
        return (inputs, targets) if noisy else (inputs, 1 - targets)

    monkeypatch.setattr(eg, "draw_r_of_k", garbage)
    blind = eg.run_r_of_k(0, settings)
    assert {name: value for name, value in blind.items() if name.startswith("lr_")} == {
        name: value for name, value in numbers.items() if name.startswith("lr_")
    }
    assert blind["accuracy_eg_80"] == pytest.approx(100 - numbers["accuracy_eg_80"])


def test_the_rule_of_learning_rates():
    assert eg.chosen_lr({0.1: (90.0, 0.3), 0.2: (91.0, 0.5), 0.3: (91.0, 0.4)}) == 0.3
    assert (
        eg.chosen_lr(
            {0.1: (90.0, 0.3), 0.2: (99.0, float("nan")), 0.3: (99.0, float("inf"))}
        )
        == 0.1
    )
    with pytest.raises(
        ValueError, match="`scores` must hold a learning rate that did not diverge; got"
    ):
        eg.chosen_lr({0.1: (10.0, float("inf"))})


def test_a_rate_rises_stays_and_falls():
    settings = {"warm_up": 2, "cool_down": 3, "epochs": 10}
    fractions = [
        round(networks.fraction_of_lr(done, settings), 3) for done in range(10)
    ]
    assert fractions == [0.333, 0.667, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_a_network_that_diverges_fails_its_claims_and_no_other():
    settings = small("EG on digits") | {"clip": 1e30}
    assert (
        networks.train_network(
            networks.build_network(16, 0),
            "gd",
            1e20,
            (torch.rand(64, 64), torch.arange(64) % 10),
            0,
            settings,
        )
        is None
    )
    numbers = eg._measures(
        networks.build_network(16, 0), None, (torch.rand(4, 64), torch.arange(4))
    )
    assert all(value != value for value in numbers.values())


def test_signs_are_held_synapse_by_synapse():
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0, -1.0, -1.0]))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    networks.hold_signs(optimizer)
    weight.grad = torch.tensor([0.5, 3.0, -0.5, -3.0])
    optimizer.step()
    assert weight.tolist() == pytest.approx([0.5, 1e-18, -0.5, -1e-18], rel=1e-6, abs=0)


def test_the_noise_of_counts_moves_labels_near_the_threshold_only():
    settings = {"k": 20, "r": 10, "noise": 0.05}
    rows, clean = networks.draw_r_of_k(
        40, 2000, torch.Generator().manual_seed(0), settings, noisy=False
    )
    _, noisy = networks.draw_r_of_k(
        40, 2000, torch.Generator().manual_seed(0), settings, noisy=True
    )
    count = rows[:, :20].sum(1)
    assert torch.equal(clean, (count >= 10).float())
    moved = clean != noisy
    assert moved.any()
    assert set(count[moved].tolist()) == {9, 10}
