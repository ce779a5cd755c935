"""Exponentiated gradient against gradient descent among irrelevant inputs, and its identities.

A linear neuron learns to tell whether at least r of its k relevant inputs are on, among many that
do not matter.

Learning rates are chosen by one rule for every arm: of its grid, the one with the highest
accuracy on examples held out of the training set; of equals, the one with the lower loss there.
The arm is then trained anew on the whole training set, and only then meets the test set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from daleml._support import seeds
from daleml.layers.init.draws import lognormal_
from daleml.optim import EG
from daleml.potentials import NegativeEntropy
from daleml.reproductions.claim import BUDGETS, Experiment, Numbers, Settings
from daleml.reproductions.harness import ValidationScore, best_by_validation
from daleml.reproductions.papers.eg_cornford2024.networks import (
    MEAN_OVER_SD,
    Set,
    divided,
    draw_r_of_k,
    train_neurons,
)

Score: TypeAlias = tuple[float, float]
"""Accuracy in per cent, and loss."""


def chosen_lr(scores: Mapping[float, Score]) -> float:
    """Return the learning rate that did best on held-out examples.

    See :func:`~daleml.reproductions.harness.best_by_validation`.

    Args:
        scores: What each learning rate scored.

    Raises:
        ValueError: If all diverged.
    """
    as_errors = {
        lr: ValidationScore(-accuracy, loss) for lr, (accuracy, loss) in scores.items()
    }
    return best_by_validation(as_errors)


# -- r of k


def run_r_of_k(seed: int, settings: Settings) -> Numbers:
    """Train both arms on the same inputs, each at the rate that did best on held-out ones."""
    numbers: Numbers = {}
    n = settings["n"]
    generator = seeds.generator(seed, n)
    examples = draw_r_of_k(n, settings["train"], generator, settings, noisy=True)
    test = draw_r_of_k(n, settings["test"], generator, settings, noisy=False)
    fit, held_out = divided(examples, settings["held_out"])
    for arm in ("gd", "eg"):
        scores = {}
        lrs = settings["lrs"][arm]
        weights = train_neurons(n, arm, lrs, fit, seed, settings)
        for lr, weight in zip(lrs, weights, strict=True):
            scores[lr] = _neuron_score(weight, held_out, settings)
        lr = chosen_lr(scores)
        (weight,) = train_neurons(n, arm, [lr], examples, seed, settings)
        accuracy, _ = _neuron_score(weight, test, settings)
        numbers |= {f"lr_{arm}": lr, f"accuracy_{arm}": accuracy}
    return numbers | {"gap": numbers["accuracy_eg"] - numbers["accuracy_gd"]}


def _neuron_score(weight: Tensor, examples: Set, settings: Settings) -> Score:
    inputs, targets = examples
    sums = []
    # In batches: as floats, all inputs would be four times as large.
    for rows in torch.split(inputs, settings["batch"]):
        sums.append(rows.float() @ weight)
    logits = torch.cat(sums) - settings["r"]
    loss = float(nn.functional.binary_cross_entropy_with_logits(logits, targets))
    return 100 * float(((logits >= 0).float() == targets).double().mean()), loss


def _r_of_k(name: str, n: int, seeds: dict[str, int], minutes: float) -> Experiment:
    """Return the experiment with so many inputs."""
    settings = {
        "n": n,
        "k": 100,
        "r": 50,
        "noise": 0.05,
        "train": 10_000,
        "test": 1_000,
        "batch": 500,
        # The authors evaluate before each of 30 epochs: their last point has seen 29.
        "epochs": 29,
        "held_out": 0.2,
        "lrs": {
            "gd": [0.001, 0.003, 0.01, 0.03, 0.1, 0.5],
            "eg": [0.1, 0.25, 0.5, 0.75, 1.0],
        },
    }
    return Experiment(
        name,
        run_r_of_k,
        settings=dict.fromkeys(BUDGETS, settings),
        seeds=seeds,
        minutes=dict.fromkeys(BUDGETS, minutes),
    )


FEW_INPUTS = _r_of_k("r of k of 200", 200, {"quick": 12, "paper": 20, "long": 60}, 0.06)
MANY_INPUTS = _r_of_k(
    "r of k of 2,000", 2_000, {"quick": 5, "paper": 10, "long": 30}, 0.3
)
# What the first edition called it.
R_OF_K = MANY_INPUTS
# Minutes a seed: not for the quick budget, which has other sizes.
MOST_INPUTS = _r_of_k(
    "r of k of 20,000", 20_000, {"quick": 0, "paper": 5, "long": 10}, 1.8
)

# -- identities


def run_identities(seed: int, settings: Settings) -> Numbers:
    """Compare steps of the optimiser with what they should be, written out."""
    numbers: Numbers = {}
    n = settings["n"]
    for name, dtype in {"single": torch.float32, "double": torch.float64}.items():
        generator = seeds.generator(seed, 2)
        weight = torch.empty(n, dtype=torch.float64)
        lognormal_(weight, 0.1, MEAN_OVER_SD, generator=generator)
        weight.mul_(2.0 * torch.randint(0, 2, weight.shape, generator=generator) - 1)
        weight = weight.to(dtype)
        shape = settings["steps"], n
        grads = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        numbers[f"dual_{name}"] = _dual_error(weight, grads, settings)
        numbers[f"decay_{name}"] = _decay_error(weight, settings)
    return numbers


def _dual_error(weight: Tensor, grads: Tensor, settings: Settings) -> float:
    """Return the largest error of steps with momentum.

    They should be additions to the dual coordinate of the negative entropy.
    """
    parameter = nn.Parameter(weight.clone())
    optimizer = EG([parameter], lr=settings["lr"], momentum=settings["momentum"])
    # The optimiser alone is checked: everything else is in double precision.
    dual = NegativeEntropy().gradient(weight.double())
    buffer = torch.zeros_like(weight, dtype=torch.float64)
    for grad in grads:
        parameter.grad = grad.clone()
        optimizer.step()
        buffer = settings["momentum"] * buffer + grad.double()
        dual = dual - settings["lr"] * buffer
    found = NegativeEntropy().gradient(parameter.detach().double())
    return float((found - dual).abs().max())


def _decay_error(weight: Tensor, settings: Settings) -> float:
    """Return the largest relative error of steps of decay alone."""
    parameter = nn.Parameter(weight.clone())
    optimizer = EG([parameter], lr=settings["lr"], weight_decay=settings["decay"])
    for _ in range(settings["steps"]):
        parameter.grad = torch.zeros_like(weight)
        optimizer.step()
    exponent = -settings["steps"] * settings["lr"] * settings["decay"]
    expected = weight.double() * math.exp(exponent)
    return float((parameter.detach().double() / expected - 1).abs().max())


_IDENTITIES: dict[str, Any] = {
    "n": 10_000,
    "steps": 5,
    "lr": 0.5,
    "momentum": 0.9,
    "decay": 0.1,
}
IDENTITIES = Experiment(
    "EG identities",
    run_identities,
    settings=dict.fromkeys(BUDGETS, _IDENTITIES),
    seeds={"quick": 3, "paper": 5, "long": 5},
)
