"""Networks that settle: a toy that must settle under a nudge, and networks that learn digits."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from daleml._support import seeds
from daleml.datasets import ImageSplit
from daleml.learning import (
    EquilibriumPropagation,
    HolomorphicNetwork,
    NotSettledError,
)
from daleml.learning.equilibrium.gradient_rule import GradientRule
from daleml.reproductions.claim import Settings


def toy_network(
    seed: int, beta: float
) -> tuple[HolomorphicNetwork, Tensor, Tensor, int]:
    """Draw 6-4-4-4 networks until one settles, without a nudge and under each of twelve.

    The theory is about networks that do.

    Args:
        seed: Seed of the networks and of the sample.
        beta: The size of the nudge.

    Returns:
        The network, an input and its class, and how many networks were drawn before it.
    """
    for attempt in itertools.count():
        generator = seeds.generator(seed, attempt)
        network = HolomorphicNetwork(
            6, [4, 4], 4, dtype=torch.float64, generator=generator, max_steps=400
        )
        network.reset_parameters(generator, sd=0.5)
        x = torch.randn(1, 6, dtype=torch.float64, generator=generator)
        x /= x.max()
        y = torch.randint(4, (1,), generator=generator)
        try:
            EquilibriumPropagation(network, beta, 12).gradients(x, y)
        except NotSettledError:
            continue
        return network, x, y, attempt
    raise AssertionError("unreachable")


def default_toy(seed: int) -> HolomorphicNetwork:
    """Return a 6-4-4-4 network at the default scale of weights.

    Args:
        seed: Seed of the weights.
    """
    return HolomorphicNetwork(
        6, [4, 4], 4, dtype=torch.float64, generator=seeds.generator(seed)
    )


def train_on_digits(
    network: HolomorphicNetwork,
    rule: GradientRule,
    data: ImageSplit,
    settings: Settings,
    generator: torch.Generator,
) -> list[float]:
    """Train a network by a rule that gives gradients; return the test accuracy after each epoch.

    A batch of which no sample settles teaches nothing.

    Args:
        network: The network.
        rule: What gives the gradients.
        data: The digits.
        settings: ``lr``, ``epochs`` and ``batch``.
        generator: Source of the order of the digits.
    """
    optimizer = torch.optim.SGD(network.parameters(), lr=settings["lr"])
    dtype = next(network.parameters()).dtype
    train_x, test_x = data.train_x.to(dtype), data.test_x.to(dtype)
    by_epoch = []
    for _ in range(settings["epochs"]):
        order = torch.randperm(len(train_x), generator=generator)
        for rows in torch.split(order, settings["batch"]):
            optimizer.zero_grad()
            try:
                rule(train_x[rows], data.train_y[rows])
            except NotSettledError:
                # A rule that leaves samples out has left out the whole batch.
                if not rule.leave_out:
                    raise
            optimizer.step()
        right = network(test_x).argmax(1) == data.test_y
        by_epoch.append(float(right.double().mean()))
    return by_epoch


def flat_parameters(network: HolomorphicNetwork) -> Tensor:
    """Return a copy of all parameters, in one vector.

    Args:
        network: The network.
    """
    copies = [one.detach().flatten().clone() for one in network.parameters()]
    return torch.cat(copies)
