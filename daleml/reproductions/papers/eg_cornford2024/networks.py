"""A network of two hidden layers for digits, and a linear neuron that counts r of its k inputs."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from daleml._support import seeds
from daleml.experiments import Ensemble
from daleml.layers.init.draws import lognormal_
from daleml.optim import EG
from daleml.reproductions.claim import Settings
from daleml.training import DivergedError, Shuffled, train

MEAN_OVER_SD = 1.5
"""The mean over the standard deviation of the initial magnitudes."""

Set: TypeAlias = tuple[Tensor, Tensor]
"""Examples: inputs, and their classes or targets."""

# -- digits


def build_network(width: int, seed: int) -> nn.Sequential:
    """Build a network 64 - width - width - 10 without biases.

    Magnitudes are log-normal and signs random; the variance is 2 / fan-in.

    Args:
        width: How many units a hidden layer has.
        seed: Seed of the weights.
    """
    generator = seeds.generator(seed, 1)
    layers = []
    sizes = ((64, width), (width, width), (width, 10))
    for (n_in, n_out), gain in zip(
        sizes, (math.sqrt(2), math.sqrt(2), 1.0), strict=True
    ):
        # Made without values, since torch would draw them from its global generator.
        layer = nn.Linear(n_in, n_out, bias=False, device="meta").to_empty(device="cpu")
        weight = layer.weight.data
        mean = MEAN_OVER_SD * gain / math.sqrt(n_in * (1 + MEAN_OVER_SD**2))
        lognormal_(weight, mean, MEAN_OVER_SD, generator=generator)
        weight.mul_(2.0 * torch.randint(0, 2, weight.shape, generator=generator) - 1)
        layers.append(layer)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def train_network(
    initial: nn.Module,
    arm: str,
    lr: float,
    examples: Set,
    seed: int,
    settings: Settings,
) -> nn.Module | None:
    """Return a trained copy of a network; None if its loss became infinite.

    Args:
        initial: The network.
        arm: ``"gd"``, ``"sign_gd"``, whose synapses keep their signs, or ``"eg"``.
        lr: The learning rate.
        examples: What it learns from.
        seed: Seed of the order of the examples.
        settings: ``momentum``, ``batch``, ``epochs``, ``clip``, ``warm_up``, ``cool_down``.
    """
    model = copy.deepcopy(initial)
    kind = EG if arm == "eg" else torch.optim.SGD
    optimizer = kind(model.parameters(), lr=lr, momentum=settings["momentum"])
    if arm == "sign_gd":
        hold_signs(optimizer)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: fraction_of_lr(done, settings)
    )
    try:
        train(
            model,
            Shuffled(*examples, batch_size=settings["batch"], seed=seed),
            optimizer,
            nn.functional.cross_entropy,
            epochs=settings["epochs"],
            trackers={},
            scheduler=schedule,
            clip_norm=settings["clip"],
            progress=False,
        )
    except DivergedError:
        return None
    return model


def fraction_of_lr(done: int, settings: Settings) -> float:
    """Return the fraction of the learning rate that an epoch has.

    It rises, stays, and falls, along straight lines.

    Args:
        done: How many epochs are done.
        settings: ``warm_up`` and ``cool_down``, in epochs, and ``epochs``.
    """
    warm, cool, epochs = settings["warm_up"], settings["cool_down"], settings["epochs"]
    return float(min(1.0, (done + 1) / (warm + 1), (epochs - done) / (cool + 1)))


def hold_signs(optimizer: torch.optim.Optimizer) -> None:
    """Let every synapse keep its own sign.

    A weight that a step carried through zero is put as near to zero as keeps its sign.

    Args:
        optimizer: What steps.
    """
    parameters = []
    for group in optimizer.param_groups:
        parameters += group["params"]
    floors = [1e-18 * parameter.detach().sign() for parameter in parameters]

    @torch.no_grad()
    def project(*_: Any) -> None:
        for parameter, floor in zip(parameters, floors, strict=True):
            parameter.copy_(torch.where(parameter * floor > 0, parameter, floor))

    optimizer.register_step_post_hook(project)


def hidden_weights(network: nn.Module) -> Tensor:
    """Return the weights between the two hidden layers, in double precision.

    Args:
        network: A network of :func:`build_network`.
    """
    weight: Tensor = network[2].weight  # type: ignore[index]
    return weight.detach().double().flatten()


def pruned(model: nn.Module, amount: float) -> nn.Module:
    """Return a copy without the smallest weights of all layers together.

    Args:
        model: The network.
        amount: The fraction of the weights that is removed.
    """
    copied = copy.deepcopy(model)
    weights = []
    for layer in copied.modules():
        if isinstance(layer, nn.Linear):
            weights.append((layer, "weight"))
    prune.global_unstructured(weights, prune.L1Unstructured, amount=amount)
    return copied


# -- r of k


def draw_r_of_k(
    n: int, count: int, generator: torch.Generator, settings: Settings, *, noisy: bool
) -> Set:
    """Draw inputs, each on or off, and whether at least r of the first k are on.

    Args:
        n: How many inputs a neuron has.
        count: How many examples.
        generator: Source of randomness.
        settings: ``r``, ``k`` and the ``noise`` of the counts.
        noisy: Whether a count is one too high or too low now and then.
    """
    inputs = torch.randint(0, 2, (count, n), generator=generator, dtype=torch.uint8)
    active = inputs[:, : settings["k"]].sum(1, dtype=torch.int64)
    if noisy:
        chance = torch.rand(count, generator=generator)
        more = (chance < settings["noise"]).long()
        fewer = (chance > 1 - settings["noise"]).long()
        active = active + more - fewer
    return inputs, (active >= settings["r"]).float()


class CountingNeuron(nn.Module):
    """A linear neuron with a given threshold, whose weights are all equal at first.

    Args:
        n: How many inputs it has.
        threshold: How many of those that count should be on.
    """

    def __init__(self, n: int, threshold: float) -> None:
        super().__init__()
        # Half of the inputs are on: at the start, their sum is the threshold on average.
        self.weight = nn.Parameter(torch.full((n,), threshold / (0.5 * n)))
        self.threshold = threshold

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        return inputs.float() @ self.weight - self.threshold


def train_neurons(
    n: int,
    arm: str,
    lrs: Sequence[float],
    examples: Set,
    seed: int,
    settings: Settings,
) -> list[Tensor]:
    """Train linear neurons, one at each learning rate, on the same examples in one batch.

    Args:
        n: How many inputs each has.
        arm: ``"gd"`` or ``"eg"``.
        lrs: The learning rates.
        examples: What they learn from.
        seed: Seed of the order of the examples.
        settings: ``r``, ``batch`` and ``epochs``.

    Returns:
        The weights of each.
    """
    neurons = Ensemble.of(
        [CountingNeuron(n, settings["r"]) for _ in lrs],
        lr_scales=[lr / lrs[0] for lr in lrs],
    )
    kind = EG if arm == "eg" else torch.optim.SGD
    train(
        neurons,
        Shuffled(*examples, batch_size=settings["batch"], seed=seed),
        kind(neurons.parameters(), lr=lrs[0]),
        nn.functional.binary_cross_entropy_with_logits,
        epochs=settings["epochs"],
        trackers={},
        progress=False,
    )
    return [neuron.get_parameter("weight").detach() for neuron in neurons]
