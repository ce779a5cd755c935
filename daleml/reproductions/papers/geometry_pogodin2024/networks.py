"""Weights that move in the dual of a known potential: by normal numbers, or by a regression."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from daleml.layers.init.draws import lognormal_
from daleml.optim import MirrorDescent
from daleml.potentials import Potential
from daleml.reproductions.claim import Settings


def moved_weights(
    potential: Potential, kind: str, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return weights before and after a normal change in the dual of a potential.

    Args:
        potential: The potential whose dual it is.
        kind: ``"lognormal"``, with random signs, or ``"normal"``.
        n: How many weights.
        generator: Source of randomness.
    """
    weight = torch.empty(n, dtype=torch.float64)
    if kind == "lognormal":
        # Mean and standard deviation of the magnitudes are both 1 / sqrt(n).
        lognormal_(weight, 1 / math.sqrt(n), 1.0, generator=generator)
        weight.mul_(2.0 * torch.randint(0, 2, (n,), generator=generator) - 1)
    else:
        weight.normal_(0, 0.1, generator=generator)
    sd = 0.1 * abs(float(potential.gradient(torch.tensor(0.1, dtype=torch.float64))))
    noise = torch.randn(n, generator=generator, dtype=torch.float64)
    dual = potential.gradient(weight) + sd * noise
    return weight, potential.inverse_gradient(dual, weight.sign())


def interpolating_weights(
    potential: Potential, n: int, generator: torch.Generator, settings: Settings
) -> tuple[Tensor, Tensor] | None:
    """Return the weights of a regression before and after it has learned its examples.

    It tells labels of either sign from white noise: n weights, and the root of n examples. It
    learns by mirror descent under the potential.

    Args:
        potential: The potential.
        n: How many weights.
        generator: Source of randomness.
        settings: ``momentum``, the most ``epochs``, and the ``loss`` at which it has learned.

    Returns:
        Both weights; None if the loss stays too large.
    """
    n_examples = round(math.sqrt(n))
    x = torch.randn(n_examples, n, generator=generator, dtype=torch.float64)
    y = 2.0 * torch.randint(0, 2, (n_examples,), generator=generator) - 1
    before = torch.randn(n, generator=generator, dtype=torch.float64) / math.sqrt(n)
    # A step in the dual moves a weight by one over the second derivative of the potential. A
    # hundredth of the weights, which would move furthest, does not count for the learning rate.
    speed = before / potential.decay(before)
    fastest = torch.linalg.eigvalsh(x * speed.clamp(max=speed.quantile(0.99)) @ x.T)[-1]
    weight = nn.Parameter(before.clone())
    optimizer = MirrorDescent(
        [weight], float(1 / fastest), potential, momentum=settings["momentum"]
    )
    for _ in range(settings["epochs"]):
        error = x @ weight.detach() - y
        if float(error.square().mean()) < settings["loss"]:
            return before, weight.detach()
        weight.grad = x.T @ error
        optimizer.step()
    return None
