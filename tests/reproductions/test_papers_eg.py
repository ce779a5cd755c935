"""The claims of exponentiated gradient, geometry and regimes, on settings so small that they only show how it is done."""

import copy
import functools
import json

import pytest
import torch

from daleml.reproductions import judge
from daleml.reproductions.claim import BUDGETS
from daleml.reproductions.papers.eg_cornford2024 import claims as eg_claims
from daleml.reproductions.papers.eg_cornford2024 import (
    digit_arms,
    networks,
    pruning_by_size,
    row_arms,
)
from daleml.reproductions.papers.eg_cornford2024 import experiments as eg
from daleml.reproductions.papers.geometry_pogodin2024 import claims as geometry
from daleml.reproductions.papers.regimes_liu2024 import claims as regimes

SMALL = {
    "EG on digits": {
        "width": 16,
        "epochs": 2,
        "batch": 128,
        "warm_up": 1,
        "cool_down": 1,
        "relearning_lrs": {"gd": [0.03, 0.1], "sign_gd": [0.1], "eg": [0.3]},
    },
    "EG's learning rates on digits": {
        "width": 16,
        "epochs": 2,
        "batch": 128,
        "warm_up": 1,
        "cool_down": 1,
        "usable": 10.0,
        "lrs": {"gd": [0.03, 0.1], "sign_gd": [0.1], "eg": [0.1, 0.3]},
    },
    "EG on rows of digits": {
        "units": 40,
        "epochs": 1,
        "batch": 256,
        "nulls": 1,
        "kept": [10, 20],
        "claimed": 10,
    },
    **{
        f"r of k of {n}": {
            "n": size,
            "k": 20,
            "r": 10,
            "train": 400,
            "test": 200,
            "batch": 100,
            "epochs": 4,
        }
        for n, size in {"200": 40, "2,000": 80, "20,000": 120}.items()
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


@functools.cache
def numbers_of(name):
    """What the first seed gives, which several tests compare with."""
    return EXPERIMENTS[name].run(0, small(name))


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
    assert numbers_of(name) == numbers
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
    # 20,000 inputs take minutes a seed: not in the quick budget, and few in the paper's.
    fewest = {"quick": 0, "paper": 4}.get(budget, 5)
    if name != "r of k of 20,000":
        fewest = 3 if budget == "quick" else 5
    assert experiment.seeds[budget] >= fewest
    assert name == "EG identities" or experiment.minutes[budget] > 0


@pytest.mark.parametrize(
    "name", ["EG's learning rates on digits", "EG on rows of digits"]
)
def test_learning_rates_never_see_the_test_set(monkeypatch, name):
    settings, experiment = small(name), EXPERIMENTS[name]
    numbers = numbers_of(name)
    split = digit_arms.digits(0)
    garbage = copy.copy(split)
    object.__setattr__(garbage, "test_x", torch.full_like(split.test_x, 1e3))
    object.__setattr__(garbage, "test_y", torch.full_like(split.test_y, -1))
    for module in (digit_arms, row_arms):
        monkeypatch.setattr(module, "digits", lambda seed: garbage)
    blind = experiment.run(0, settings)
    for key, value in numbers.items():
        if key.startswith("accuracy"):
            assert blind[key] == 0
        else:
            assert blind[key] == value, key


def test_pruned_networks_relearn_without_the_test_set(monkeypatch):
    settings = small("EG on digits")
    numbers = numbers_of("EG on digits")
    split = digit_arms.digits(0)
    garbage = copy.copy(split)
    object.__setattr__(garbage, "test_y", torch.full_like(split.test_y, -1))
    monkeypatch.setattr(digit_arms, "digits", lambda seed: garbage)
    blind = digit_arms.run_digits(0, settings)
    for key, value in numbers.items():
        if key.startswith(("accuracy", "zero_shot", "relearned")):
            assert blind[key] == 0, key
        else:
            assert blind[key] == value, key


def test_learning_rates_of_neurons_never_see_the_test_set(monkeypatch):
    settings, draw = small("r of k of 2,000"), networks.draw_r_of_k
    numbers = numbers_of("r of k of 2,000")

    def garbage(*args, noisy):
        inputs, targets = draw(*args, noisy=noisy)
        return (inputs, targets) if noisy else (inputs, 1 - targets)

    monkeypatch.setattr(eg, "draw_r_of_k", garbage)
    blind = eg.run_r_of_k(0, settings)
    for arm in ("gd", "eg"):
        assert blind[f"lr_{arm}"] == numbers[f"lr_{arm}"]
    assert blind["accuracy_eg"] == pytest.approx(100 - numbers["accuracy_eg"])


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


def test_a_rate_rises_and_stays_or_falls():
    rising = [networks.fraction_of_lr(done, 10, 2, False) for done in range(10)]
    assert rising == pytest.approx([1 / 3, 2 / 3] + [1] * 8)
    falling = [networks.fraction_of_lr(done, 4, 0, True) for done in range(5)]
    assert falling == [1, 0.75, 0.5, 0.25, 0]


LEARNING = {"momentum": 0.9, "batch": 64, "clip": 2.0, "warm_up": 1}


def images(n=128):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, 64, generator=generator), torch.arange(n) % 10


def by_hand(network, arm, lr, examples, seed, epochs, falling):
    """What a learner is: torch's optimiser over the batches, one network by itself."""
    network = copy.deepcopy(network)
    kind = networks.EG if arm == "eg" else torch.optim.SGD
    optimizer = kind(network.parameters(), lr=lr, momentum=0.9)
    before = [weight.detach().clone() for weight in network.parameters()]
    batches, done, area = networks.Shuffled(*examples, 64, seed), 0, 0.0
    total = epochs * len(batches)
    for epoch in range(1, epochs + 1):
        for inputs, targets in batches(epoch):
            for group in optimizer.param_groups:
                rise = min(1.0, (done + 1) / (len(batches) + 1))
                group["lr"] = lr * (1 - done / total if falling else rise)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(inputs), targets)
            loss.backward()
            for weight, first in zip(network.parameters(), before, strict=True):
                weight.grad *= first != 0
            torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
            optimizer.step()
            for weight, first in zip(network.parameters(), before, strict=True):
                flipped = weight * first < 0
                if arm == "sign_gd":
                    weight.data[flipped] = 1e-18 * first[flipped].sign()
            done, area = done + 1, area + loss.item()
    return network, area


@pytest.mark.parametrize("falling", [False, True])
def test_learners_in_a_batch_are_what_each_is_alone(falling):
    first = networks.build_network(12, 0)
    sparse = pruning_by_size.pruned(networks.build_network(12, 1, "normal"), 0.6)
    learners = [
        networks.Learner(first, "eg", 0.3),
        networks.Learner(sparse, "gd", 0.1),
        networks.Learner(first, "sign_gd", 0.3),
        networks.Learner(sparse, "eg", 1.0),
        networks.Learner(sparse, "sign_gd", 0.05),
    ]
    found = networks.train_together(
        learners, images(), 3, LEARNING, epochs=3, falling=falling
    )
    for learner, one in zip(learners, found, strict=True):
        alone, area = by_hand(
            learner.network, learner.arm, learner.lr, images(), 3, 3, falling
        )
        assert one.loss_area == pytest.approx(area, rel=1e-4)
        for ours, theirs, before in zip(
            one.network.parameters(),
            alone.parameters(),
            learner.network.parameters(),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
            assert (ours[before == 0] == 0).all()
            if learner.arm != "gd":
                assert (ours * before >= 0).all()


def test_a_network_that_diverges_is_none_and_leaves_the_others():
    network = networks.build_network(12, 0)
    learners = [networks.Learner(network, "gd", lr) for lr in (0.1, 1e30)]
    settings = LEARNING | {"clip": 1e30}
    good, bad = networks.train_together(learners, images(), 0, settings, epochs=1)
    assert good.network is not None
    assert bad == networks.Learned(None, float("inf"))
    (bad,) = networks.train_together(learners[1:], images(), 0, settings, epochs=1)
    assert bad == networks.Learned(None, float("inf"))


def test_numbers_of_an_arm_that_diverges_support_nothing():
    settings = small("EG on digits")
    settings["lrs"] = settings["lrs"] | {"gd": 1e30}
    settings["clip"] = 1e30
    numbers = digit_arms.run_digits(0, settings)
    for name in ("ks_ratio", "cosine_gap_95", "area_ratio_95", "change_ratio"):
        assert numbers[name] != numbers[name], name
    assert numbers["accuracy_gd"] == 0
    assert numbers["ks_log-normal_eg"] < 0.2


@pytest.mark.parametrize("start", ["log-normal", "normal", "uniform"])
def test_starts_have_one_size_and_laws_of_their_own(start):
    weight = networks.build_network(256, 0, start)[2].weight.detach().double()
    assert float(weight.square().mean() * 256 / 2) == pytest.approx(1, abs=0.02)
    assert abs(float(weight.mean())) < 3e-3
    logs = weight.abs().log().flatten()
    # ln|w| is skewed where the weight is normal (-1.54) or uniform (-2).
    skew = float(((logs - logs.mean()) / logs.std()).pow(3).mean())
    expected = {"log-normal": 0.0, "normal": -1.54, "uniform": -2.0}[start]
    assert skew == pytest.approx(expected, abs=0.1)


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
