"""Networks that settle, trained on digits.

By noisy gradients, and beside backpropagation at the fixed point.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from daleml._support import seeds
from daleml.datasets import ImageSplit, digits
from daleml.learning import (
    EquilibriumPropagation,
    HolomorphicNetwork,
    NotSettledError,
    RecurrentBackpropagation,
)
from daleml.learning.equilibrium.gradient_rule import GradientRule
from daleml.reproductions.claim import Experiment, Numbers, Settings

# -- under noise
# -------------------------------------------------------------------------------------------------------


def run_noisy_training(seed: int, settings: Settings) -> Numbers:
    """Test accuracy of networks trained on digits by noisy estimates."""
    data, numbers = digits(), {}
    for name, beta, n_points in (
        ("small", 0.1, 1),
        ("classic", 0.4, 1),
        ("holomorphic", 0.4, 10),
    ):
        generator = seeds.generator(seed)
        network = HolomorphicNetwork(
            64,
            [64, 64],
            10,
            generator=generator,
            max_steps=settings["n_free_steps"],
            tolerance=1e-2,
        )
        rule = EquilibriumPropagation(
            network,
            beta,
            n_points,
            noise=settings["noise"],
            n_steps=settings["n_steps"],
            n_samples=5 if n_points == 1 else 1,
            leave_out=1.0,
            generator=generator,
        )
        by_epoch = _train(network, rule, data, settings, generator)
        numbers[f"accuracy_{name}"] = by_epoch[-1]
        numbers[f"deepest_dip_{name}"] = max(
            0.0, *(a - b for a, b in itertools.pairwise(by_epoch))
        )
    numbers["rescue"] = numbers["accuracy_holomorphic"] - numbers["accuracy_small"]
    numbers["over_classic"] = (
        numbers["accuracy_holomorphic"] - numbers["accuracy_classic"]
    )
    return numbers


NOISY_TRAINING = Experiment(
    name="noisy training",
    run=run_noisy_training,
    settings={
        "quick": {
            "noise": 0.1,
            "n_free_steps": 40,
            "n_steps": 15,
            "lr": 0.2,
            "epochs": 5,
            "batch": 10,
        },
        "paper": {
            "noise": 0.1,
            "n_free_steps": 100,
            "n_steps": 30,
            "lr": 0.2,
            "epochs": 8,
            "batch": 10,
        },
        "long": {
            "noise": 0.1,
            "n_free_steps": 100,
            "n_steps": 60,
            "lr": 0.2,
            "epochs": 20,
            "batch": 10,
        },
    },
    seeds={"quick": 7, "paper": 7, "long": 7},
    minutes={"quick": 0.5, "paper": 2.0, "long": 8.0},
)


# -- beside backpropagation at the fixed point
# -------------------------------------------------------------------------


def run_trajectory(seed: int, settings: Settings) -> Numbers:
    """Weights and accuracy of networks that begin the same and see the same, trained by either gradient.

    A third, trained by the exact gradient in double precision, shows what rounding alone does.
    """
    data, early = digits(), settings["early_epochs"]
    changes, accuracies = {}, {}
    for arm, dtype in (
        ("nudged", torch.float32),
        ("exact", torch.float32),
        ("double", torch.float64),
    ):
        generator = seeds.generator(seed)
        network = HolomorphicNetwork(
            64,
            [64, 64],
            10,
            generator=generator,
            step_size=settings["step_size"],
            tolerance=1e-5,
        ).to(dtype)
        start = _flat(network)
        rule: GradientRule = RecurrentBackpropagation(network, leave_out=0.5)
        if arm == "nudged":
            rule = EquilibriumPropagation(network, settings["beta"], 2, leave_out=0.5)
        _train(network, rule, data, {**settings, "epochs": early}, generator)
        changes[arm, "early"] = _flat(network) - start
        later = {**settings, "epochs": settings["epochs"] - early}
        accuracies[arm] = _train(network, rule, data, later, generator)[-1]
        changes[arm, "all"] = _flat(network) - start

    def apart(arm: str, when: str) -> float:
        change, exact = changes[arm, when].double(), changes["exact", when].double()
        return float((change - exact).norm() / exact.norm())

    return {
        "early_apart": apart("nudged", "early"),
        "apart": apart("nudged", "all"),
        "early_apart_by_rounding": apart("double", "early"),
        "apart_by_rounding": apart("double", "all"),
        "accuracy": accuracies["nudged"],
        "accuracy_exact": accuracies["exact"],
        "accuracy_apart": abs(accuracies["nudged"] - accuracies["exact"]),
    }


TRAJECTORY = Experiment(
    name="beside the exact gradient",
    run=run_trajectory,
    settings={
        "quick": {
            "lr": 0.05,
            "epochs": 5,
            "early_epochs": 2,
            "batch": 20,
            "beta": 0.1,
            "step_size": 0.5,
        },
        "paper": {
            "lr": 0.05,
            "epochs": 5,
            "early_epochs": 2,
            "batch": 20,
            "beta": 0.1,
            "step_size": 0.5,
        },
        "long": {
            "lr": 0.05,
            "epochs": 8,
            "early_epochs": 2,
            "batch": 20,
            "beta": 0.1,
            "step_size": 0.5,
        },
    },
    seeds={"quick": 3, "paper": 5, "long": 5},
    minutes={"quick": 0.4, "paper": 1.5, "long": 1.5},
)


def _train(
    network: HolomorphicNetwork,
    rule: GradientRule,
    data: ImageSplit,
    settings: Settings,
    generator: torch.Generator,
) -> list[float]:
    """Return the test accuracy after each epoch.

    A batch none of whose samples settles teaches nothing.
    """
    optimizer = torch.optim.SGD(network.parameters(), lr=settings["lr"])
    train_x, test_x = (
        images.to(next(network.parameters()).dtype)
        for images in (data.train_x, data.test_x)
    )
    by_epoch = []
    for _ in range(settings["epochs"]):
        for rows in torch.split(
            torch.randperm(len(data.train_x), generator=generator), settings["batch"]
        ):
            optimizer.zero_grad()
            try:
                rule(train_x[rows], data.train_y[rows])
            except NotSettledError:
                if not rule.leave_out:
                    raise
            optimizer.step()
        by_epoch.append(
            float((network(test_x).argmax(1) == data.test_y).double().mean())
        )
    return by_epoch


def _flat(network: HolomorphicNetwork) -> Tensor:
    return torch.cat(
        [parameter.detach().flatten().clone() for parameter in network.parameters()]
    )
