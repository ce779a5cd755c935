"""The harness of the papers that train on images: arms, their training, their learning rates.

One rule chooses the learning rate of every arm, here and in the papers that train otherwise: see
:func:`best_by_validation`. Each rate of a grid trains a network, which is shown one part of the
training images and judged by the rest. Only then does a network learn from all training images,
to be judged by the test images. What chooses a rate is never handed a test image.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer

from daleml import signs, trackers
from daleml._support import seeds
from daleml.datasets import ImageSplit
from daleml.experiments import Ensemble
from daleml.optim import enforce, param_groups
from daleml.reproductions.validation_choice import Choice as Choice
from daleml.reproductions.validation_choice import ValidationScore as ValidationScore
from daleml.reproductions.validation_choice import (
    best_by_validation as best_by_validation,
)
from daleml.training import DivergedError, Shuffled, train

if TYPE_CHECKING:
    from pandas import DataFrame

BATCH = 32
"""How many images a step of training sees."""

LAST = 5
"""How many last epochs an error or a loss is the mean of: at a constant rate, one is noisy."""

# The keys of two streams of random numbers of one seed, beside that of the epochs' order.
_NETWORK, _DIVISION = 1, 2


class Images(NamedTuple):
    """Images and their classes."""

    x: Tensor
    y: Tensor

    @property
    def mean(self) -> float:
        """The mean pixel, by which a first layer of positive weights centres its inputs."""
        return float(self.x.double().mean())


@dataclass(frozen=True)
class ImageArm:
    """One kind of network that learns from images, and how it learns.

    Attributes:
        name: Short, for the names of numbers.
        build: Makes the network from the mean pixel and a source of randomness. Signs that it
            fixes are kept.
        corrected: Whether interneurons learn at the smaller rates that their layers declare.
        each_sign: Whether every single synapse keeps its sign, which is more than Dale's law
            asks for.
        clip_norm: The largest norm of the whole gradient; None for no limit.
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
    in every epoch.

    Attributes:
        model: The network as it is in the end.
        errors: The fraction of the judged images missed, by epoch.
        losses: The cross-entropy on the judged images, by epoch.
        train_losses: The cross-entropy on the images it learns from, as they were met, by epoch.
        lowest: The smallest value that a synapse had, after any step, along its sign; infinite
            where no signs are fixed.
    """

    model: nn.Module
    errors: tuple[float, ...]
    losses: tuple[float, ...]
    train_losses: tuple[float, ...]
    lowest: float

    @property
    def error(self) -> float:
        """The mean error of the last epochs."""
        return _mean_of_last(self.errors)

    @property
    def loss(self) -> float:
        """The mean loss of the last epochs."""
        return _mean_of_last(self.losses)

    @property
    def train_loss(self) -> float:
        """The mean training loss of the last epochs."""
        return _mean_of_last(self.train_losses)


def train_images(data: ImageSplit) -> Images:
    """Return the images to learn from, and to choose by.

    Args:
        data: All images.
    """
    return Images(data.train_x, data.train_y)


def test_images(data: ImageSplit) -> Images:
    """Return the images that judge in the end.

    Args:
        data: All images.
    """
    return Images(data.test_x, data.test_y)


def hold_out(images: Images, fraction: float, seed: int) -> tuple[Images, Images]:
    """Divide training images at random into those to learn from and those to validate by.

    Args:
        images: The training images.
        fraction: The fraction of them that validates.
        seed: Seed of the division.
    """
    order = torch.randperm(len(images.y), generator=seeds.generator(seed, 0, _DIVISION))
    n_held = round(fraction * len(order))
    kept, held = order[n_held:], order[:n_held]
    shown = Images(images.x[kept], images.y[kept])
    return shown, Images(images.x[held], images.y[held])


def choose_lr(
    arm: ImageArm,
    images: Images,
    seed: int,
    *,
    lrs: Sequence[float],
    epochs: int,
    fraction: float,
) -> Choice:
    """Choose an arm's learning rate by the rule of :func:`best_by_validation`.

    Args:
        arm: The arm.
        images: The images of the training set.
        seed: Seed of the division, the networks and the order of the images.
        lrs: The grid of learning rates.
        epochs: How long each rate trains.
        fraction: The fraction of the training images that validates.
    """
    shown, held = hold_out(images, fraction, seed)
    courses = train_rates(arm, lrs, seed, shown, held, epochs)
    scores = {
        lr: ValidationScore(course.error, course.loss)
        for lr, course in zip(lrs, courses, strict=True)
    }
    errors = {lr: score.error for lr, score in scores.items()}
    return Choice(best_by_validation(scores), errors)


def train_arm(
    arm: ImageArm, lr: float, seed: int, shown: Images, judged: Images, epochs: int
) -> Course:
    """Train one network on some images, and judge it by others after every epoch.

    Args:
        arm: What is built, and how it learns.
        lr: The learning rate.
        seed: Seed of the network and of the order of the images.
        shown: The images that it learns from.
        judged: The images that it is judged by.
        epochs: How long it learns.
    """
    model = arm.build(shown.mean, seeds.generator(seed, 0, _NETWORK))
    optimizer = _optimizer(arm, model, lr)
    lowest = _watch_signs(optimizer, model)
    try:
        history = _history(model, arm, optimizer, seed, shown, judged, epochs)
    except DivergedError:
        return _guessed(model, shown, epochs, *lowest())
    return _course(model, history, *lowest())


def train_rates(
    arm: ImageArm,
    lrs: Sequence[float],
    seed: int,
    shown: Images,
    judged: Images,
    epochs: int,
) -> list[Course]:
    """Train a network at each of several rates, from one start, as one batch.

    Each course is that of :func:`train_arm` at its rate, to rounding. On one thread, six rates
    of a network that learns digits take 0.6 of the time of one after the other.

    Args:
        arm: What is built, and how it learns.
        lrs: The learning rates.
        seed: Seed of the network and of the order of the images.
        shown: The images that they learn from.
        judged: The images that they are judged by.
        epochs: How long they learn.
    """
    model = arm.build(shown.mean, seeds.generator(seed, 0, _NETWORK))
    if any(isinstance(module, nn.RNNBase) for module in model.modules()):
        # Torch runs its own recurrent layers one by one in a batch too, and then slower.
        return [train_arm(arm, lr, seed, shown, judged, epochs) for lr in lrs]
    top = max(lrs)
    # A batch has one rate for all: each gradient is scaled to what its own would do.
    models = Ensemble.of(
        [model] * len(lrs),
        [f"at_{i}" for i in range(len(lrs))],
        lr_scales=[lr / top for lr in lrs],
    )
    optimizer = _optimizer(arm, models, top)
    lowest = _watch_signs(optimizer, models)
    try:
        with warnings.catch_warnings():
            # That some rates are too large is expected, and seen in their courses.
            warnings.filterwarnings("ignore", "`model` lost ", UserWarning)
            history = _history(models, arm, optimizer, seed, shown, judged, epochs)
    except DivergedError:
        history = None
    courses = []
    for i, name in enumerate(models.names):
        if history is None or bool(models.diverged[i]):
            course = _guessed(models[i], shown, epochs, lowest()[i])
        else:
            course = _course(models[i], history[history.model == name], lowest()[i])
        courses.append(course)
    return courses


def _optimizer(arm: ImageArm, model: nn.Module, lr: float) -> Optimizer:
    """Return what trains a network, or several, and keeps their signs."""
    # A Dale's ANN declares smaller rates for its interneurons; they become groups.
    groups = param_groups(model, lr) if arm.corrected else model.parameters()
    optimizer = SGD(groups, lr)
    # An ordinary network has no signs to keep.
    if next(signs.named(model), None):
        enforce(optimizer, model)
    if arm.each_sign:
        _keep_each_sign(optimizer, model)
    return optimizer


def _history(
    model: nn.Module,
    arm: ImageArm,
    optimizer: Optimizer,
    seed: int,
    shown: Images,
    judged: Images,
    epochs: int,
) -> DataFrame:
    watched = {"judged": trackers.held_out(judged.x, judged.y, cross_entropy)}
    return train(
        model,
        Shuffled(shown.x, shown.y, BATCH, seed),
        optimizer,
        cross_entropy,
        epochs=epochs,
        trackers=watched,
        clip_norm=arm.clip_norm,
        progress=False,
    )


def _course(model: nn.Module, history: DataFrame, lowest: float) -> Course:
    # The first row is of the network before it learns.
    learned = history.iloc[1:]
    columns = ("judged/error", "judged/loss", "loss")
    errors, losses, train_losses = (tuple(map(float, learned[one])) for one in columns)
    return Course(model, errors, losses, train_losses, lowest)


def _guessed(model: nn.Module, shown: Images, epochs: int, lowest: float) -> Course:
    """Return the course of a network that diverged.

    A rate that is too large is a result: it must be able to lose against the others.
    """
    n_classes = int(shown.y.max()) + 1
    loss = (math.log(n_classes),) * epochs
    error = (1 - 1 / n_classes,) * epochs
    return Course(model, error, loss, loss, lowest)


def _keep_each_sign(optimizer: Optimizer, model: nn.Module) -> None:
    """Put a weight whose sign a step has changed to zero, each synapse by itself."""
    # Those of several models are stacked.
    ndim = 3 if isinstance(model, Ensemble) else 2
    kept = [
        (weight, weight.detach().sign())
        for weight in model.parameters()
        if weight.ndim == ndim
    ]

    @torch.no_grad()
    def project(*_: object) -> None:
        for weight, sign in kept:
            weight.copy_((weight * sign).clamp(min=0) * sign)

    optimizer.register_step_post_hook(project)


def _watch_signs(
    optimizer: Optimizer, model: nn.Module
) -> Callable[[], tuple[float, ...]]:
    """Look at every synapse after every step, whatever keeps its sign.

    Returns:
        What tells the smallest value that one had along its sign, by model.
    """
    named: list[tuple[Tensor, Tensor]]
    if isinstance(model, Ensemble):
        # The signs are those of the first, and the weights are the stacks of all.
        stacks = dict(model.named_parameters())
        named = [
            (stacks[name], sign) for name, _, sign in signs.named(model.members[0])
        ]
        n_models = len(model)
    else:
        named = [(weight[None], sign) for _, weight, sign in signs.named(model)]
        n_models = 1
    # In a list, so that the hook can put another tensor in its place.
    lowest = [torch.full((n_models,), math.inf)]

    @torch.no_grad()
    def look(*_: object) -> None:
        if named:
            along_sign = [(weight * sign).flatten(1).amin(1) for weight, sign in named]
            # A network that diverged has no numbers left; those that it had count.
            lowest[0] = torch.fmin(lowest[0], torch.stack(along_sign).amin(0))

    optimizer.register_step_post_hook(look)
    return lambda: tuple(map(float, lowest[0]))


def _mean_of_last(values: tuple[float, ...]) -> float:
    return math.fsum(values[-LAST:]) / len(values[-LAST:])
