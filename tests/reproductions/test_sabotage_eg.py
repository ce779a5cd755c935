"""Break the science, and see a claim fall: a claim that no fault can turn measures nothing."""

import copy
import dataclasses
import functools
import sys

import numpy as np
import pytest
import torch

from daleml import potentials
from daleml.analysis import regime
from daleml.analysis.plasticity.dual_geometry import DualChange
from daleml.optim import EG
from daleml.optim._fast import forms
from daleml.reproductions import judge
from daleml.reproductions.papers.eg_cornford2024 import claims as eg_claims
from daleml.reproductions.papers.eg_cornford2024 import (
    digit_arms,
    pruning_by_size,
    row_arms,
)
from daleml.reproductions.papers.eg_cornford2024 import experiments as eg
from daleml.reproductions.papers.eg_cornford2024 import networks as eg_networks
from daleml.reproductions.papers.geometry_pogodin2024 import claims as geometry_claims
from daleml.reproductions.papers.geometry_pogodin2024 import experiments as geometry
from daleml.reproductions.papers.regimes_liu2024 import claims as regimes_claims
from daleml.reproductions.papers.regimes_liu2024 import experiments as regimes
from daleml.reproductions.papers.regimes_liu2024 import networks as regimes_networks
from daleml.reproductions.verdict import FAILS, HOLDS

pytestmark = pytest.mark.slow

CLAIMS = {
    claim.id: claim
    for paper in (eg_claims.PAPER, geometry_claims.PAPER, regimes_claims.PAPER)
    for claim in paper.claims
}
FEWER = {
    "EG on digits": {
        "width": 128,
        "epochs": 12,
        "cool_down": 3,
        "relearning_lrs": {"gd": [0.1], "sign_gd": [0.1], "eg": [0.3]},
    },
    "EG's learning rates on digits": {
        "width": 128,
        "epochs": 12,
        "cool_down": 3,
        "lrs": {"gd": [0.1], "sign_gd": [0.1], "eg": [0.3]},
    },
    "EG on rows of digits": {"units": 128, "epochs": 4, "kept": [5], "claimed": 5},
    "r of k of 2,000": {"lrs": {"gd": [0.01, 0.5], "eg": [0.01, 0.75]}},
    "r of k of 200": {"lrs": {"gd": [0.5], "eg": [0.75]}},
    # 150 epochs, where an intact one takes about 70: some of the faults never learn
    "regression under a potential": {
        "repeats": [1, 1, 1],
        "epochs": 150,
        "rates": [1.0],
        "features": {
            "white": {"powers": [0], "exponent": 0.5, "sizes": [50, 100, 3_000]},
            "few": {"powers": [1, 2], "exponent": 0.5, "sizes": [50, 100, 3_000]},
            "many": {"powers": [1], "exponent": 0.75, "sizes": [50, 100, 200]},
        },
    },
    "two linear layers": {"scales": [0.01], "ranks": [1, 5, 20]},
}


def verdicts(experiment, n_seeds=3):
    settings = {**experiment.settings["quick"], **FEWER.get(experiment.name, {})}
    seeds = [experiment.run(seed, settings) for seed in range(n_seeds)]
    return {
        name: judge(claim, seeds).verdict
        for name, claim in CLAIMS.items()
        if claim.experiment is experiment
    }


def by_the_rules(monkeypatch):
    """No fast form: each rule runs as it is written, and calls the potential's own step."""
    monkeypatch.setattr(forms, "is_gathered", lambda *_: False)
    monkeypatch.setattr(forms, "FAST", dict.fromkeys(forms.FAST, forms.Forms()))


def forget_sign(monkeypatch):
    """w exp(-lr u), as the authors' ablation has it."""
    by_the_rules(monkeypatch)
    monkeypatch.setattr(
        potentials.NegativeEntropy,
        "step",
        lambda self, weight, step: weight * torch.exp(-step),
    )


def plain_descent(monkeypatch):
    for module in (eg, eg_networks):
        monkeypatch.setattr(module, "EG", torch.optim.SGD)


def climb(monkeypatch):
    """EG follows the gradient upwards."""
    monkeypatch.setattr(eg_networks, "EG", functools.partial(EG, maximize=True))


def swap_arms(monkeypatch):
    """What is called gradient descent is EG, at its rate, and the other way round."""
    train, rates = eg_networks.train_together, {"eg": 0.1, "gd": 0.3, "sign_gd": 0.3}
    arms = {"eg": "gd", "gd": "eg", "sign_gd": "eg"}

    def swapped(learners, *args, **options):
        learners = [
            dataclasses.replace(one, arm=arms[one.arm], lr=rates[one.arm])
            for one in learners
        ]
        return train(learners, *args, **options)

    monkeypatch.setattr(digit_arms, "train_together", swapped)


def with_hidden_weights(monkeypatch, module, change):
    """Change a weight matrix of every network after it has learned by EG."""
    train = eg_networks.train_together

    def changed(learners, *args, **options):
        learned = train(learners, *args, **options)
        for learner, one in zip(learners, learned, strict=True):
            if learner.arm == "eg":
                change(one.network)
        return learned

    monkeypatch.setattr(module, "train_together", changed)


def make_lognormal(monkeypatch):
    """EG would leave a log-normal sample, whatever it was given, in the old order of sizes."""

    @torch.no_grad()
    def change(network):
        weight = network[2].weight
        ranks = weight.abs().flatten().argsort().argsort()
        normal = torch.special.ndtri((ranks + 0.5) / len(ranks))
        weight.copy_((0.6 * normal - 3).exp().view_as(weight) * weight.sign())

    with_hidden_weights(monkeypatch, digit_arms, change)


def plant_a_ring(monkeypatch):
    """EG would leave large weights between neighbours, and a few far away."""

    @torch.no_grad()
    def change(network):
        n = len(network.weight_rec)
        for step in (1, 2, 3):
            network.weight_rec += 10 * torch.eye(n).roll(step, dims=0)

    with_hidden_weights(monkeypatch, row_arms, change)


def prune_at_random(monkeypatch):
    def pruned(network, amount, *, largest=False):
        found = copy.deepcopy(network)
        generator = torch.Generator().manual_seed(0)
        for weight in found.parameters():
            kept = torch.rand(weight.shape, generator=generator) >= amount
            weight.data *= kept
        return found

    def cosine(network, amount, *, largest=False):
        before, after = pruning_by_size.weights_of(network), pruned(network, amount)
        after = pruning_by_size.weights_of(after)
        return float(torch.nn.functional.cosine_similarity(before, after, dim=0))

    monkeypatch.setattr(digit_arms, "pruned", pruned)
    monkeypatch.setattr(digit_arms, "cosine", cosine)


def hold_signs_far_from_zero(monkeypatch):
    """A weight that would change its sign is put at one, not near zero."""

    def hold(optimizer, members):
        parameters = [
            part.detach()
            for parameter in optimizer.param_groups[0]["params"]
            for part, is_held in zip(parameter, members, strict=True)
            if is_held
        ]
        signs = [parameter.sign() for parameter in parameters]

        def project(*_):
            for parameter, sign in zip(parameters, signs, strict=True):
                flipped = parameter * sign < 0
                parameter[flipped] = sign[flipped]

        optimizer.register_step_post_hook(project)

    monkeypatch.setattr(eg_networks, "hold_signs", hold)


def wrong_inverse(monkeypatch):
    def inverse(self, dual, signs=1.0):
        return torch.copysign(dual.abs().pow(1 / self.p), dual)

    monkeypatch.setattr(potentials.PNorm, "inverse_gradient", inverse)


def wrong_step(monkeypatch):
    """Every potential takes the step of gradient descent, in its own unit."""
    by_the_rules(monkeypatch)
    monkeypatch.setattr(
        potentials.NegativeEntropy,
        "step",
        lambda self, weight, step: weight - step * weight.abs().mean(),
    )


def no_normalisation(monkeypatch):
    measure = sys.modules[regime.__module__]
    monkeypatch.setattr(measure, "_alignment", lambda inner, before, after: inner)


def truncated(monkeypatch):
    """The leading singular values as they are: the Frobenius norm falls."""

    def low_rank_(weight, rank):
        left, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
        return weight.copy_((left[:, :rank] * values[:rank]) @ right[:rank])

    monkeypatch.setattr(regimes_networks, "low_rank_", low_rank_)


def no_standard_deviation(monkeypatch):
    measure = sys.modules[DualChange.__module__]
    monkeypatch.setattr(
        measure, "normal_distance", lambda z: float(np.abs(np.sort(z)).mean() / 100)
    )


SABOTAGE = [
    (forget_sign, eg.IDENTITIES, ["3f"]),
    (plain_descent, eg.IDENTITIES, ["3f"]),
    (forget_sign, digit_arms.DIGITS, ["3c"]),
    (plain_descent, digit_arms.DIGITS, ["3a", "3b"]),
    (swap_arms, digit_arms.DIGITS, ["3a", "3b", "3d", "3g", "3n"]),
    (swap_arms, digit_arms.RATES, ["3p"]),
    (climb, digit_arms.DIGITS, ["3c", "3m"]),
    (make_lognormal, digit_arms.DIGITS, ["3k"]),
    (hold_signs_far_from_zero, digit_arms.DIGITS, ["3o"]),
    (plant_a_ring, row_arms.ROWS, ["3r"]),
    (plain_descent, eg.MANY_INPUTS, ["3e"]),
    (climb, eg.FEW_INPUTS, ["3s"]),
    (wrong_inverse, geometry.ROBUSTNESS, ["4a"]),
    (wrong_inverse, geometry.REGRESSION, ["4b", "4e"]),
    (wrong_step, geometry.REGRESSION, ["4b", "4e"]),
    (no_standard_deviation, geometry.ROBUSTNESS, ["4a"]),
    (no_normalisation, regimes.LINEAR, ["5a", "5b"]),
    (truncated, regimes.RECURRENT, ["5c"]),
]


@pytest.mark.parametrize(
    ("sabotage", "experiment", "fall"),
    SABOTAGE,
    ids=[f"{one.__name__}-{name}" for one, _, (name, *_) in SABOTAGE],
)
def test_a_fault_turns_a_claim(sabotage, experiment, fall, monkeypatch):
    sabotage(monkeypatch)
    found = verdicts(experiment)
    assert {name: found[name] for name in fall} == dict.fromkeys(fall, FAILS)


def test_pruning_at_random_takes_the_claims_on_sizes_away(monkeypatch):
    prune_at_random(monkeypatch)
    found = verdicts(digit_arms.DIGITS)
    assert HOLDS not in {found["3d"], found["3n"]}


def test_a_planted_ring_is_a_small_world_beside_a_random_graph(monkeypatch):
    plant_a_ring(monkeypatch)
    assert verdicts(row_arms.ROWS)["3q"] == HOLDS


UNTOUCHED = {
    "EG identities": ["3f"],
    "EG on digits": ["3a", "3b", "3d", "3k", "3n"],
    "EG's learning rates on digits": ["3p"],
    "EG on rows of digits": ["3r"],
    "r of k of 2,000": ["3e"],
    "robustness of the geometry": ["4a"],
    # 4b takes more seeds: its bounds lie within half a floor of what is measured
    "regression under a potential": ["4e"],
    "two linear layers": ["5a", "5b"],
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_without_a_fault_they_hold(name):
    experiments = {
        one.experiment.name: one.experiment for one in CLAIMS.values() if one.experiment
    }
    found = verdicts(
        experiments[name], n_seeds=12 if name == "robustness of the geometry" else 4
    )
    assert {claim: found[claim] for claim in UNTOUCHED[name]} == dict.fromkeys(
        UNTOUCHED[name], HOLDS
    )
