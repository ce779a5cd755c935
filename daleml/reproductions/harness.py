"""How networks of the founding claims are trained, and how each arm's learning rate is chosen.

One rule for every arm: each rate of a grid trains a network, shown part of the training images
and judged by the rest; the rate of the lowest error is taken, and of those that tie the one of
the lowest loss. Only then does a network learn from all training images, to be judged by the
test images. What chooses a rate is never handed a test image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer

from daleml import signs, trackers
from daleml._support import seeds
from daleml.datasets import ImageSplit
from daleml.optim import enforce, param_groups
from daleml.training import DivergedError, Shuffled, train

BATCH = 32
_NETWORK, _DIVISION = (
    1,
    2,
)  # streams of chance of one seed, beside that of the epochs' order
LAST = 5
"""An error or a loss is the mean of this many last epochs.

One epoch's is noisy at a constant rate.
"""


class Images(NamedTuple):
    """Images and their classes."""

    x: Tensor
    y: Tensor

    @property
    def mean(self) -> float:
        """Mean pixel, by which a first layer of positive weights centres."""
        return float(self.x.double().mean())


@dataclass(frozen=True)
class Arm:
    """One kind of network, and how it learns.

    Attributes:
        name: Short, for the names of numbers.
        build: Makes the network from the mean pixel and a source of randomness. Signs that it
            fixes are kept.
        corrected: Whether interneurons learn at the smaller rates that their layers declare.
        each_sign: Whether every single synapse keeps its sign, which is more than Dale's law
            asks for.
        clip_norm: Largest norm of the whole gradient.
    """

    name: str
    build: Callable[[float, torch.Generator], nn.Module]
    corrected: bool = True
    each_sign: bool = False
    clip_norm: float | None = None


@dataclass(frozen=True)
class Course:
    """What an arm learned, epoch by epoch, from the first.

    A network whose loss did not stay finite knows nothing: it is judged as one that guesses,
    all along.

    Attributes:
        model: The network as it is in the end.
        errors: Fraction of the judged images missed.
        losses: Cross-entropy on the judged images.
        train_losses: The same on those it learns from, as they were met.
        lowest: The least that a synapse was, after any step, along its sign; infinite where no
            signs are fixed.
    """

    model: nn.Module
    errors: tuple[float, ...]
    losses: tuple[float, ...]
    train_losses: tuple[float, ...]
    lowest: float

    @property
    def error(self) -> float:
        """In the end."""
        return _end(self.errors)

    @property
    def loss(self) -> float:
        """In the end."""
        return _end(self.losses)

    @property
    def train_loss(self) -> float:
        """In the end."""
        return _end(self.train_losses)


@dataclass(frozen=True)
class Choice:
    """A learning rate, and what it was chosen from.

    Attributes:
        lr: The chosen one.
        errors: Validation error, by rate.
    """

    lr: float
    errors: dict[float, float]

    def largest_usable(self, error: float) -> float:
        """Return the largest rate that ends with at most this validation error.

        NaN if none does.
        """
        return max(
            (lr for lr, found in self.errors.items() if found <= error),
            default=math.nan,
        )


def train_images(data: ImageSplit) -> Images:
    """Return what may be learned from, and chosen by."""
    return Images(data.train_x, data.train_y)


def test_images(data: ImageSplit) -> Images:
    """Return what judges in the end."""
    return Images(data.test_x, data.test_y)


def hold_out(images: Images, fraction: float, seed: int) -> tuple[Images, Images]:
    """Divide training images at random into those to learn from and those to validate by."""
    order = torch.randperm(len(images.y), generator=seeds.generator(seed, 0, _DIVISION))
    n_held = round(fraction * len(order))
    kept, held = order[n_held:], order[:n_held]
    return Images(images.x[kept], images.y[kept]), Images(
        images.x[held], images.y[held]
    )


def choose_lr(
    arm: Arm,
    images: Images,
    seed: int,
    *,
    lrs: Sequence[float],
    epochs: int,
    fraction: float,
) -> Choice:
    """Choose an arm's learning rate by the rule of this module.

    Args:
        arm: Whose.
        images: Those of the training set.
        seed: Of the division, the networks and the order of the images.
        lrs: The grid.
        epochs: How long each rate trains.
        fraction: Of the training images that validate.
    """
    shown, held = hold_out(images, fraction, seed)
    courses = {lr: learn(arm, lr, seed, shown, held, epochs) for lr in lrs}
    best = min(courses, key=lambda lr: (courses[lr].error, courses[lr].loss))
    return Choice(best, {lr: course.error for lr, course in courses.items()})


def learn(
    arm: Arm, lr: float, seed: int, shown: Images, judged: Images, epochs: int
) -> Course:
    """Train one network on ``shown``, and judge it by ``judged`` after every epoch."""
    model = arm.build(shown.mean, seeds.generator(seed, 0, _NETWORK))
    optimizer = SGD(
        param_groups(model, lr) if arm.corrected else model.parameters(), lr
    )
    if next(signs.named(model), None):
        enforce(optimizer, model)
    if arm.each_sign:
        _keep_each_sign(optimizer, model)
    lowest = _watch(optimizer, model)
    watched = {"judged": trackers.held_out(judged.x, judged.y, cross_entropy)}
    try:
        history = train(
            model, Shuffled(shown.x, shown.y, BATCH, seed), optimizer, cross_entropy,
            epochs=epochs, trackers=watched, clip_norm=arm.clip_norm, progress=False,
        )  # fmt: skip
    except DivergedError:
        n_classes = int(shown.y.max()) + 1
        guess, error = (math.log(n_classes),) * epochs, (1 - 1 / n_classes,) * epochs
        return Course(model, error, guess, guess, lowest())
    errors, losses, train_losses = (
        tuple(float(value) for value in history[name].iloc[1:])
        for name in ("judged/error", "judged/loss", "loss")
    )
    return Course(model, errors, losses, train_losses, lowest())


def _keep_each_sign(optimizer: Optimizer, model: nn.Module) -> None:
    kept = [
        (weight, weight.detach().sign())
        for weight in model.parameters()
        if weight.ndim == 2
    ]

    @torch.no_grad()
    def project(*_: object) -> None:
        for weight, sign in kept:
            weight.copy_((weight * sign).clamp(min=0) * sign)

    optimizer.register_step_post_hook(project)


def _watch(optimizer: Optimizer, model: nn.Module) -> Callable[[], float]:
    """Look at every synapse after every step, whatever keeps its sign.

    Tell the least that one was along it.
    """
    named = [(weight, sign) for _, weight, sign in signs.named(model)]
    least = [torch.tensor(math.inf)]

    @torch.no_grad()
    def look(*_: object) -> None:
        if named:
            least[0] = torch.stack(
                [least[0], *((weight * sign).min() for weight, sign in named)]
            ).min()

    optimizer.register_step_post_hook(look)
    return lambda: float(least[0])


def _end(values: tuple[float, ...]) -> float:
    return math.fsum(values[-LAST:]) / len(values[-LAST:])
