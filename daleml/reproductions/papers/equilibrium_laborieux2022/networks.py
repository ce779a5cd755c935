"""Networks that settle: a toy that must settle under a nudge, and networks that learn digits."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from daleml._support import seeds
from daleml.datasets import ImageSplit
from daleml.learning import (
    EquilibriumPropagation,
    HolomorphicNetwork,
    NotSettledError,
)
from daleml.learning.equilibrium.gradient_rule import GradientRule, Relaxations
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
    rule: GradientRule | SettledShare,
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
        settings: ``lr``, ``epochs`` and ``batch``; and ``annealed``, whether the rate falls to
            zero as a cosine, by the epoch.
        generator: Source of the order of the digits.
    """
    optimizer = torch.optim.SGD(network.parameters(), lr=settings["lr"])
    annealing = CosineAnnealingLR(optimizer, T_max=settings["epochs"])
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
        if settings.get("annealed"):
            annealing.step()
        right = network(test_x).argmax(1) == data.test_y
        by_epoch.append(float(right.double().mean()))
    return by_epoch


class SettledShare:
    """A rule that gives gradients, and how many samples had settled where it did.

    Attributes:
        leave_out: The fraction of a batch that may be left out, the rule's.

    Args:
        rule: The rule.
    """

    def __init__(self, rule: GradientRule) -> None:
        self.rule, self.leave_out = rule, rule.leave_out
        self._shares: list[float] = []

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Relaxations]:
        """Give gradients.

        Args:
            x: Inputs.
            y: Their classes.
        """
        # Of a batch that is refused as a whole, none counts.
        self._shares.append(0.0)
        loss, found = self.rule(x, y)
        self._shares[-1] = 1 - found.share_left_out
        return loss, found

    @property
    def share(self) -> float:
        """The fraction of all samples that had settled."""
        return sum(self._shares) / len(self._shares)
