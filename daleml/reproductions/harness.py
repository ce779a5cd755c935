"""The harness of the papers that train on images: arms, their training, their learning rates.

One rule chooses the learning rate of every arm, here and in the papers that train otherwise: see
:func:`best_by_validation`. Each rate of a grid trains a network, which is shown one part of the
training images and judged by the rest. Only then does a network learn from all training images,
to be judged by the test images. What chooses a rate is never handed a test image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

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
"""How many images a step of training sees."""

LAST = 5
"""How many last epochs an error or a loss is the mean of: at a constant rate, one is noisy."""

# The keys of two streams of random numbers of one seed, beside that of the epochs' order.
_NETWORK, _DIVISION = 1, 2

Candidate = TypeVar("Candidate")


class ValidationScore(NamedTuple):
    """What a candidate scored on examples held out of the training set.

    Attributes:
        error: What has to be low: a fraction missed, or an accuracy with its sign turned.
        loss: What decides between equals. A loss that is not finite is of one that diverged.
    """

    error: float
    loss: float = 0.0


def best_by_validation(scores: Mapping[Candidate, ValidationScore]) -> Candidate:
    """Return the candidate with the lowest error on held-out examples.

    Of equals, the one with the lowest loss is taken; of those, the first. One that diverged is
    never taken.

    Args:
        scores: What each candidate scored, such as each learning rate of a grid.

    Raises:
        ValueError: If all diverged.

    Example:
        >>> scores = {0.1: ValidationScore(0.2, 0.5), 0.3: ValidationScore(0.2, 0.4)}
        >>> best_by_validation(scores)
        0.3
    """
    # NaN would compare as neither lower nor higher, and the order of the grid would decide.
    finite = [one for one, score in scores.items() if math.isfinite(score.loss)]
    if not finite:
        raise ValueError(
            "`scores` must hold a learning rate that did not diverge; got"
            f" {list(scores)}, which all did."
        )
    # Scores are tuples: the error is compared first, then the loss.
    return min(finite, key=lambda one: scores[one])


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


@dataclass(frozen=True)
class Choice:
    """A learning rate, and what it was chosen from.

    Attributes:
        lr: The chosen one.
        errors: The validation error, by rate.
    """

    lr: float
    errors: dict[float, float]

    def largest_usable(self, error: float) -> float:
        """Return the largest rate that ends with at most this validation error.

        Args:
            error: The largest error that counts as usable.

        Returns:
            The rate; NaN if there is none.
        """
        usable = [lr for lr, found in self.errors.items() if found <= error]
        return max(usable, default=math.nan)


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
    scores = {}
    for lr in lrs:
        course = train_arm(arm, lr, seed, shown, held, epochs)
        scores[lr] = ValidationScore(course.error, course.loss)
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
    # A Dale's ANN declares smaller rates for its interneurons; they become groups.
    groups = param_groups(model, lr) if arm.corrected else model.parameters()
    optimizer = SGD(groups, lr)
    # An ordinary network has no signs to keep.
    if next(signs.named(model), None):
        enforce(optimizer, model)
    if arm.each_sign:
        _keep_each_sign(optimizer, model)
    lowest = _watch_signs(optimizer, model)
    watched = {"judged": trackers.held_out(judged.x, judged.y, cross_entropy)}
    try:
        history = train(
            model,
            Shuffled(shown.x, shown.y, BATCH, seed),
            optimizer,
            cross_entropy,
            epochs=epochs,
            trackers=watched,
            clip_norm=arm.clip_norm,
            progress=False,
        )
    except DivergedError:
        # A rate that is too large is a result: it must be able to lose against the others.
        n_classes = int(shown.y.max()) + 1
        guessed_loss = (math.log(n_classes),) * epochs
        guessed_error = (1 - 1 / n_classes,) * epochs
        return Course(model, guessed_error, guessed_loss, guessed_loss, lowest())
    # The first row is of the network before it learns.
    learned = history.iloc[1:]
    columns = ("judged/error", "judged/loss", "loss")
    errors, losses, train_losses = (tuple(map(float, learned[one])) for one in columns)
    return Course(model, errors, losses, train_losses, lowest())


def _keep_each_sign(optimizer: Optimizer, model: nn.Module) -> None:
    """Put a weight whose sign a step has changed to zero, each synapse by itself."""
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


def _watch_signs(optimizer: Optimizer, model: nn.Module) -> Callable[[], float]:
    """Look at every synapse after every step, whatever keeps its sign.

    Returns:
        What tells the smallest value that one had along its sign.
    """
    named = [(weight, sign) for _, weight, sign in signs.named(model)]
    # In a list, so that the hook can put another tensor in its place.
    lowest = [torch.tensor(math.inf)]

    @torch.no_grad()
    def look(*_: object) -> None:
        if named:
            along_sign = [(weight * sign).min() for weight, sign in named]
            lowest[0] = torch.stack([lowest[0], *along_sign]).min()

    optimizer.register_step_post_hook(look)
    return lambda: float(lowest[0])


def _mean_of_last(values: tuple[float, ...]) -> float:
    return math.fsum(values[-LAST:]) / len(values[-LAST:])
