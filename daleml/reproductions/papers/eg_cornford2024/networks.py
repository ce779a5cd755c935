"""A network of two hidden layers for digits, and a linear neuron that counts r of its k inputs."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

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


def divided(examples: Set, held_out: float) -> tuple[Set, Set]:
    """Return the examples to fit and those, the last fraction, to validate by.

    Args:
        examples: All of them.
        held_out: The fraction that validates.
    """
    inputs, targets = examples
    n_fit = round(len(targets) * (1 - held_out))
    return (inputs[:n_fit], targets[:n_fit]), (inputs[n_fit:], targets[n_fit:])


# -- digits


def build_network(width: int, seed: int, start: str = "log-normal") -> nn.Sequential:
    """Build a network 64 - width - width - 10 without biases.

    Signs are random; the variance is that of He, 2 / fan-in, and 1 / fan-in before the outputs.

    Args:
        width: How many units a hidden layer has.
        seed: Seed of the weights.
        start: The law of the weights: ``"log-normal"`` magnitudes, ``"normal"`` or ``"uniform"``
            weights.
    """
    generator = seeds.generator(seed, 1)
    layers = []
    sizes = ((64, width), (width, width), (width, 10))
    for (n_in, n_out), gain in zip(
        sizes, (math.sqrt(2), math.sqrt(2), 1.0), strict=True
    ):
        # Made without values, since torch would draw them from its global generator.
        layer = nn.Linear(n_in, n_out, bias=False, device="meta").to_empty(device="cpu")
        draw_(layer.weight.data, gain / math.sqrt(n_in), start, generator)
        layers.append(layer)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def draw_(weight: Tensor, size: float, start: str, generator: torch.Generator) -> None:
    """Draw weights of random sign.

    Args:
        weight: Where to put them.
        size: Their root mean square.
        start: As in :func:`build_network`.
        generator: Source of randomness.
    """
    if start == "log-normal":
        mean = MEAN_OVER_SD * size / math.sqrt(1 + MEAN_OVER_SD**2)
        lognormal_(weight, mean, MEAN_OVER_SD, generator=generator)
        weight.mul_(2.0 * torch.randint(0, 2, weight.shape, generator=generator) - 1)
    elif start == "normal":
        nn.init.normal_(weight, std=size, generator=generator)
    else:
        bound = math.sqrt(3) * size
        nn.init.uniform_(weight, -bound, bound, generator=generator)


@dataclass(frozen=True)
class Learner:
    """A network that is to learn, and how. Its weights that are zero stay so.

    Attributes:
        network: The network, which is copied.
        arm: ``"gd"``, ``"sign_gd"``, whose synapses keep their signs, or ``"eg"``.
        lr: The largest learning rate.
    """

    network: nn.Module
    arm: str
    lr: float


@dataclass(frozen=True)
class Learned:
    """What a learner became.

    Attributes:
        network: The network; None if its loss became infinite.
        loss_area: The sum of its training loss over all updates; infinite then.
    """

    network: nn.Module | None
    loss_area: float


def train_together(
    learners: Sequence[Learner],
    examples: Set,
    seed: int,
    settings: Settings,
    *,
    epochs: int,
    falling: bool = False,
) -> list[Learned]:
    """Train networks of one form in two batches, those of gradient descent and those of EG.

    Args:
        learners: The networks.
        examples: What they learn from.
        seed: Seed of the order of the examples.
        settings: ``momentum``, ``batch``, ``clip`` and ``warm_up``, in epochs.
        epochs: How long they learn.
        falling: Whether the learning rate falls to zero along a straight line; else it rises
            along one through the warm-up, and stays.
    """
    found: dict[int, Learned] = {}
    for is_eg in (False, True):
        # Those that keep their signs last, so that they lie side by side.
        chosen = [k for k, one in enumerate(learners) if (one.arm == "eg") == is_eg]
        batch = [learners[k] for k in chosen]
        if batch:
            learned = _train_batch(batch, examples, seed, settings, epochs, falling)
            found |= dict(zip(chosen, learned, strict=True))
    return [found[k] for k in range(len(learners))]


def _train_batch(
    learners: Sequence[Learner],
    examples: Set,
    seed: int,
    settings: Settings,
    epochs: int,
    falling: bool,
) -> list[Learned]:
    first = learners[0]
    ensemble = Ensemble.of(
        [one.network for one in learners],
        lr_scales=[one.lr / first.lr for one in learners],
    )
    parameters = list(ensemble.parameters())
    keep_absent(parameters)
    kind = EG if first.arm == "eg" else torch.optim.SGD
    optimizer = kind(parameters, lr=first.lr, momentum=settings["momentum"])
    hold_signs(optimizer, [one.arm == "sign_gd" for one in learners])
    batches = Shuffled(*examples, batch_size=settings["batch"], seed=seed)
    n_updates, n_warm = epochs * len(batches), settings["warm_up"] * len(batches)

    def fraction(done: int) -> float:
        return fraction_of_lr(done, n_updates, 0 if falling else n_warm, falling)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, fraction)
    try:
        with warnings.catch_warnings():
            # A rate that is too large is a result: its network is None.
            warnings.filterwarnings("ignore", "`model` lost")
            history = train(
                ensemble,
                batches,
                optimizer,
                nn.functional.cross_entropy,
                epochs=epochs,
                trackers={},
                scheduler=schedule,
                scheduler_step="batch",
                clip_norm=settings["clip"],
                progress=False,
            )
    except DivergedError:
        return [Learned(None, math.inf)] * len(learners)
    # The first row is of the network before it learns.
    losses = history[history["epoch"] > 0].groupby("model")["loss"].sum()
    learned = []
    for k, name in enumerate(ensemble.names):
        if ensemble.diverged[k]:
            learned.append(Learned(None, math.inf))
        else:
            learned.append(Learned(ensemble[k], float(losses[name]) * len(batches)))
    return learned


def fraction_of_lr(done: int, n_updates: int, n_warm: int, falling: bool) -> float:
    """Return the fraction of the learning rate that an update has.

    Args:
        done: How many updates are done.
        n_updates: How many there will be.
        n_warm: Through how many of them the rate rises.
        falling: Whether it falls to zero through all of them.
    """
    if falling:
        # A scheduler asks once more, after the last update.
        return max(0.0, 1 - done / n_updates)
    return min(1.0, (done + 1) / (n_warm + 1))


def keep_absent(parameters: Sequence[nn.Parameter]) -> None:
    """Let weights that are zero stay zero, as those of a mask do: they have no gradient.

    Args:
        parameters: The weights.
    """
    for parameter in parameters:
        present = parameter.detach() != 0
        if not bool(present.all()):
            hook = functools.partial(torch.mul, present)
            parameter.register_hook(hook)  # type: ignore[no-untyped-call]


def hold_signs(
    optimizer: torch.optim.Optimizer, members: Sequence[bool] | None = None
) -> None:
    """Let every synapse keep its own sign.

    A weight that a step carried through zero is put as near to zero as keeps its sign.

    Args:
        optimizer: What steps.
        members: Where parameters are those of an ensemble: in which of its models. Default: the
            parameters are those of one model.
    """
    parameters: list[Tensor] = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if members is None:
                parameters.append(parameter)
            else:
                held = [
                    part
                    for part, is_held in zip(parameter, members, strict=True)
                    if is_held
                ]
                parameters += held
    parameters = [parameter.detach() for parameter in parameters]
    floors = [1e-18 * parameter.sign() for parameter in parameters]

    @torch.no_grad()
    def project(*_: Any) -> None:
        for parameter, floor in zip(parameters, floors, strict=True):
            parameter.copy_(torch.where(parameter * floor > 0, parameter, floor))

    if parameters:
        optimizer.register_step_post_hook(project)


def hidden_weights(network: nn.Module) -> Tensor:
    """Return the weights between the two hidden layers, in double precision.

    Args:
        network: A network of :func:`build_network`.
    """
    weight: Tensor = network[2].weight  # type: ignore[index]
    return weight.detach().double().flatten()


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
