"""Digits under gradient descent, with signs held or not, and under exponentiated gradient.

A network of two hidden layers learns 8 x 8 digits. Before its learning rate falls its weights
are pruned, and the pruned networks learn again, as in the paper. Each arm has one learning rate
for all seeds, as in the paper. :data:`RATES` is what the rates were chosen by: accuracy on
images held out of the training set, which never were test images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from daleml.datasets import digits
from daleml.reproductions.claim import BUDGETS, Experiment, Numbers, Settings
from daleml.reproductions.papers.eg_cornford2024.networks import (
    Learned,
    Learner,
    Set,
    build_network,
    divided,
    hidden_weights,
    train_together,
)
from daleml.reproductions.papers.eg_cornford2024.pruning_by_size import cosine, pruned

ARMS = ("gd", "sign_gd", "eg")
"""Gradient descent; the same where a weight stops at zero; exponentiated gradient."""

Key: TypeAlias = tuple[str, ...]
"""What tells a network from the others: its start and arm, or its arm and rates."""

Final: TypeAlias = Mapping[Key, nn.Module | None]
"""Networks at the end; None for one that diverged."""

Networks: TypeAlias = dict[str, nn.Module | None]
"""A network for every arm; None for one that diverged."""


# -- the arms


def run_digits(seed: int, settings: Settings) -> Numbers:
    """Train every arm on one split of the digits, in the same order, prune, and train again."""
    split = digits(seed)
    shown, test = (split.train_x, split.train_y), (split.test_x, split.test_y)
    starts = {
        start: build_network(settings["width"], seed, start)
        for start in ("log-normal", "normal", "uniform")
    }
    learners: dict[Key, Learner] = {
        (start, arm): Learner(network, arm, settings["lrs"][arm])
        for start, network in starts.items()
        # The third arm is for pruning, which begins from log-normal weights alone.
        for arm in (ARMS if start == "log-normal" else ("gd", "eg"))
    }
    learned = _learn(learners, shown, seed, settings, epochs=settings["epochs"])
    # As in the paper, networks are pruned before the learning rate falls.
    steady = {arm: learned["log-normal", arm].network for arm in ARMS}
    last = _those_that_learned(learned, learners)
    relearning = _pruned_learners(steady, settings)
    falling = _learn(
        last | relearning,
        shown,
        seed,
        settings,
        epochs=settings["cool_down"],
        falling=True,
    )
    final: Final = {
        key: falling[key].network if key in falling else None for key in learners
    }
    numbers = _of_arms(starts, final, test) | _of_starts(starts, final)
    for arm, network in steady.items():
        numbers |= _of_pruning(arm, network, test, settings)
    numbers |= _of_relearning(falling, test, settings)
    return numbers | _comparisons(numbers, settings)


def _learn(
    learners: Mapping[Key, Learner],
    shown: Set,
    seed: int,
    settings: Settings,
    *,
    epochs: int,
    falling: bool = False,
) -> dict[Key, Learned]:
    learned = train_together(
        list(learners.values()), shown, seed, settings, epochs=epochs, falling=falling
    )
    return dict(zip(learners, learned, strict=True))


def _those_that_learned(
    learned: Mapping[Key, Learned], learners: Mapping[Key, Learner]
) -> dict[Key, Learner]:
    """Return learners that go on from where they are, without those that diverged."""
    going_on = {}
    for key, one in learned.items():
        if one.network is not None:
            going_on[key] = Learner(one.network, learners[key].arm, learners[key].lr)
    return going_on


def _pruned_learners(steady: Networks, settings: Settings) -> dict[Key, Learner]:
    """Return the pruned networks of every arm, one for each rate that they may relearn at."""
    learners: dict[Key, Learner] = {}
    for arm, network in steady.items():
        if network is None:
            continue
        for percent in settings["pruned"]:
            without = pruned(network, percent / 100)
            for lr in settings["relearning_lrs"][arm]:
                learners[arm, f"{percent:g}", f"{lr:g}"] = Learner(without, arm, lr)
    return learners


def _of_arms(starts: Mapping[str, nn.Module], final: Final, test: Set) -> Numbers:
    """Return what became of the weights that began log-normal, and how well they answer."""
    numbers: Numbers = {}
    before = hidden_weights(starts["log-normal"])
    for arm in ARMS:
        network = final["log-normal", arm]
        names = [f"{name}_{arm}" for name in ("flipped", "ks_dual", "ks_primal")]
        numbers |= dict.fromkeys(names, math.nan)
        numbers[f"accuracy_{arm}"] = accuracy(network, test)
        if network is None:
            continue
        after = hidden_weights(network)
        # ln|w| of a weight that changed its sign says nothing of how far it went.
        kept = before * after > 0
        dual_change = after[kept].abs().log() - before[kept].abs().log()
        values = (
            100 * float((before * after < 0).double().mean()),
            distance_from_normal(dual_change),
            distance_from_normal(after - before),
        )
        numbers |= dict(zip(names, values, strict=True))
    return numbers


def _of_starts(starts: Mapping[str, nn.Module], final: Final) -> Numbers:
    """Return how far from log-normal weights are that began so, normal, or uniform."""
    numbers: Numbers = {}
    for start, initial in starts.items():
        before = _distance_from_lognormal(initial)
        numbers[f"ks_{start}"] = before
        for (one, arm), network in final.items():
            if one == start:
                after = _distance_from_lognormal(network)
                numbers[f"ks_{start}_{arm}"] = after
                numbers[f"closed_{start}_{arm}"] = 100 * (1 - after / before)
    return numbers


def _of_pruning(
    arm: str, network: nn.Module | None, test: Set, settings: Settings
) -> Numbers:
    """Return how much pruning alone changes weights and answers."""
    numbers: Numbers = {}
    for percent in settings["pruned"]:
        amount, name = percent / 100, f"{percent:g}_{arm}"
        numbers[f"cosine_{name}"] = cosine(network, amount)
        without = None if network is None else pruned(network, amount)
        numbers[f"zero_shot_{name}"] = accuracy(without, test)
    for percent in settings["largest_first"]:
        amount, name = percent / 100, f"largest_{percent:g}_{arm}"
        numbers[name] = cosine(network, amount, largest=True)
    return numbers


def _of_relearning(
    falling: Mapping[Key, Learned], test: Set, settings: Settings
) -> Numbers:
    """Return what pruned networks relearn, each arm at the rate of the smallest loss area.

    The area is that under the training loss, by which the paper chooses too.
    """
    numbers: Numbers = {}
    for arm in ARMS:
        for percent in settings["pruned"]:
            areas = {}
            for lr in settings["relearning_lrs"][arm]:
                key = arm, f"{percent:g}", f"{lr:g}"
                areas[key] = falling[key].loss_area if key in falling else math.inf
            best = min(areas, key=areas.__getitem__)
            network = falling[best].network if best in falling else None
            name = f"{percent:g}_{arm}"
            numbers[f"area_{name}"] = areas[best] if network else math.nan
            numbers[f"relearned_{name}"] = accuracy(network, test)
            numbers[f"relearning_lr_{name}"] = float(best[2])
    return numbers


def _comparisons(numbers: Numbers, settings: Settings) -> Numbers:
    """Return what claims read: one arm against another."""
    found = {
        "ks_ratio": numbers["ks_log-normal_gd"] / numbers["ks_log-normal_eg"],
        "change_ratio": numbers["ks_dual_eg"] / numbers["ks_primal_gd"],
        "accuracy_gap": numbers["accuracy_eg"] - numbers["accuracy_gd"],
    }
    # EG against plain gradient descent has no word at the end of its names.
    for other in ("gd", "sign_gd"):
        against = "" if other == "gd" else "_sign"
        for percent in settings["pruned"]:
            ours, theirs = f"{percent:g}_eg", f"{percent:g}_{other}"
            end = f"gap_{percent:g}{against}"
            for name in ("cosine", "zero_shot", "relearned"):
                gap = numbers[f"{name}_{ours}"] - numbers[f"{name}_{theirs}"]
                found[f"{name}_{end}"] = gap
            ratio = numbers[f"area_{ours}"] / numbers[f"area_{theirs}"]
            found[f"area_ratio_{percent:g}{against}"] = ratio
        for percent in settings["largest_first"]:
            name = f"largest_{percent:g}"
            gap = numbers[f"{name}_eg"] - numbers[f"{name}_{other}"]
            found[f"largest_gap_{percent:g}{against}"] = gap
    for percent in settings["pruned"]:
        both = [numbers[f"relearned_{percent:g}_{arm}"] for arm in ("sign_gd", "gd")]
        found[f"relearned_sign_gap_{percent:g}"] = both[0] - both[1]
    return found


@torch.no_grad()
def accuracy(network: nn.Module | None, examples: Set) -> float:
    """Return the percentage of right answers; 0 for a network that diverged.

    Args:
        network: The network.
        examples: What it answers.
    """
    if network is None:
        return 0.0
    right = network(examples[0]).argmax(1) == examples[1]
    return 100 * float(right.double().mean())


def distance_from_normal(sample: Tensor) -> float:
    """Return Kolmogorov and Smirnov's distance of a z-scored sample from the normal law.

    Args:
        sample: The sample.
    """
    from scipy import stats

    z_scores = (sample - sample.mean()) / sample.std()
    return float(stats.kstest(z_scores.numpy(), "norm").statistic)


def _distance_from_lognormal(network: nn.Module | None) -> float:
    """Return how far ln|w| of the hidden weights is from normal."""
    if network is None:
        return math.nan
    return distance_from_normal(hidden_weights(network).abs().log())


_LEARNING: dict[str, Any] = {
    "width": 256,
    "epochs": 25,
    "cool_down": 5,
    "warm_up": 2,
    "batch": 32,
    "momentum": 0.925,
    "clip": 2.0,
}
_DIGITS: dict[str, Any] = {
    **_LEARNING,
    "lrs": {"gd": 0.1, "sign_gd": 0.1, "eg": 0.3},
    "pruned": [95, 97.5],
    "largest_first": [0.1, 1, 10],
    # A third of the rate that each learned at, that rate, and three times it.
    "relearning_lrs": {
        "gd": [0.03, 0.1, 0.3],
        "sign_gd": [0.03, 0.1, 0.3],
        "eg": [0.1, 0.3, 1.0],
    },
}
DIGITS = Experiment(
    "EG on digits",
    run_digits,
    settings=dict.fromkeys(BUDGETS, _DIGITS),
    seeds={"quick": 6, "paper": 20, "long": 100},
    minutes=dict.fromkeys(BUDGETS, 0.3),
)


# -- their learning rates


def run_rates(seed: int, settings: Settings) -> Numbers:
    """Train every arm at every learning rate, and look at it with held-out images."""
    split = digits(seed)
    shown, held_out = divided((split.train_x, split.train_y), settings["held_out"])
    initial = build_network(settings["width"], seed)
    learners: dict[Key, Learner] = {}
    for arm in ARMS:
        for lr in settings["lrs"][arm]:
            learners[arm, f"{lr:g}"] = Learner(initial, arm, lr)
    learned = _learn(learners, shown, seed, settings, epochs=settings["epochs"])
    last = _those_that_learned(learned, learners)
    final = _learn(
        last, shown, seed, settings, epochs=settings["cool_down"], falling=True
    )
    scores: dict[Key, float] = {}
    cosines: dict[Key, float] = {}
    numbers: Numbers = {}
    for (arm, lr), one in learned.items():
        key = arm, lr
        scores[key] = accuracy(final[key].network if key in final else None, held_out)
        cosines[key] = cosine(one.network, settings["pruned"])
        numbers |= {
            f"held_out_{arm}_{lr}": scores[key],
            f"cosine_{arm}_{lr}": cosines[key],
        }
    others = []
    for tried, score in scores.items():
        if tried[0] != "eg" and score >= settings["usable"]:
            others.append(cosines[tried])
    # Without another arm that learned there is nothing to compare with.
    largest = max(others, default=math.nan)
    ours = cosines["eg", f"{settings['eg_lr']:g}"]
    return numbers | {"least_gap": ours - largest}


_RATES: dict[str, Any] = {
    **_LEARNING,
    "held_out": 0.2,
    "pruned": 0.95,
    "usable": 95.0,
    "eg_lr": _DIGITS["lrs"]["eg"],
    "lrs": {
        "gd": [0.03, 0.1, 0.3],
        "sign_gd": [0.03, 0.1, 0.3],
        "eg": [0.1, 0.3, 1.0],
    },
}
RATES = Experiment(
    "EG's learning rates on digits",
    run_rates,
    settings=dict.fromkeys(BUDGETS, _RATES),
    seeds={"quick": 3, "paper": 5, "long": 20},
    minutes=dict.fromkeys(BUDGETS, 0.3),
)
