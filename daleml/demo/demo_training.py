"""The training of one network of the demo, and what it leaves."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Optimizer

from daleml import signs, trackers
from daleml.datasets import ImageSplit
from daleml.optim import EG, enforce, param_groups
from daleml.training import Shuffled, train

if TYPE_CHECKING:
    import pandas as pd

BATCH = 32


@dataclass(frozen=True)
class Arm:
    """One way to build and train a network.

    Attributes:
        key: Short name, for files and ``results.json``.
        label: Name a reader sees.
        build: Makes the network from its input statistics and a generator.
        optimizer: Makes the optimiser.
        lr: Its learning rate.
        guarded: Whether ``enforce`` keeps the signs.
        clip_norm: Largest norm of the whole gradient; None for no limit.
        times: How many times the demo's epochs it learns for.
    """

    key: str
    label: str
    build: Callable[[ImageSplit, torch.Generator], nn.Module]
    optimizer: Callable[[nn.Module, float], Optimizer]
    lr: float
    guarded: bool = False
    clip_norm: float | None = None
    times: int = 1


@dataclass(frozen=True, eq=False)
class Trained:
    """One network before and after learning, with its history."""

    arm: Arm
    seed: int
    before: nn.Module
    after: nn.Module
    history: pd.DataFrame

    @property
    def test_error(self) -> float:
        """Mean fraction of test digits missed, over the last five epochs."""
        # Without the row before learning, which a demo of few epochs would average in.
        return float(self.history["test/error"].iloc[1:].tail(5).mean())


def learn(
    arm: Arm, seed: int, data: ImageSplit, epochs: int, folder: Path | None = None
) -> Trained:
    """Train one network in double precision, its signs judged after every step.

    Go on from ``folder`` if it was interrupted there.
    """
    with double_precision():
        return _learn(arm, seed, in_double(data), epochs, folder)


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Make new tensors double for a while.

    Processors add in different orders. In single precision the difference grows over a
    thousand steps to half a point of test error; in double precision it stays below 1e-11, so
    that the demo prints the same on all of them.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def in_double(data: ImageSplit) -> ImageSplit:
    """Return the same images in double precision."""
    return replace(data, train_x=data.train_x.double(), test_x=data.test_x.double())


def _learn(
    arm: Arm, seed: int, data: ImageSplit, epochs: int, folder: Path | None
) -> Trained:
    epochs *= arm.times
    model = arm.build(data, torch.Generator().manual_seed(seed))
    # What learning leaves is told by comparing.
    before = copy.deepcopy(model)
    optimizer = arm.optimizer(model, arm.lr)
    if arm.guarded:
        enforce(optimizer, model)
    watched = {
        "test": trackers.held_out(data.test_x, data.test_y, cross_entropy),
        "sign_flips": trackers.sign_flips(model),
        "signs": _counted_after_every_step(optimizer, model),
        **trackers.DEFAULT,
    }
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    batches = Shuffled(data.train_x, data.train_y, BATCH, seed)
    history = train(
        model,
        batches,
        optimizer,
        cross_entropy,
        epochs=epochs,
        trackers=watched,
        scheduler=schedule,
        clip_norm=arm.clip_norm,
        checkpoint=folder,
        # Networks learn in several processes, whose bars would write over each other.
        progress=False,
    )
    return Trained(arm, seed, before, model, history)


def _counted_after_every_step(
    optimizer: Optimizer, model: nn.Module
) -> trackers.Tracker:
    """Judge the signs after every step.

    As a tracker, tell how many steps an epoch had and how many broke the law.
    """
    count = {"steps": 0, "lawless_steps": 0}

    def judge(*_: object) -> None:
        count["steps"] += 1
        count["lawless_steps"] += not signs.check(model)

    # After `enforce`, whose hook came first: judged is what the next forward pass meets.
    optimizer.register_step_post_hook(judge)

    def told(_: nn.Module) -> Mapping[str, float]:
        result = {name: float(value) for name, value in count.items()}
        count.update(steps=0, lawless_steps=0)
        return result

    return told


# -- how to step


def sgd(model: nn.Module, lr: float) -> Optimizer:
    """Make plain gradient descent, one learning rate for all."""
    return SGD(model.parameters(), lr)


def corrected_sgd(model: nn.Module, lr: float) -> Optimizer:
    """Make gradient descent with a DANN's corrections as learning rates."""
    return SGD(param_groups(model, lr), lr)


def corrected_eg(model: nn.Module, lr: float) -> Optimizer:
    """Make exponentiated gradient with the same corrections."""
    return EG(param_groups(model, lr), lr)
