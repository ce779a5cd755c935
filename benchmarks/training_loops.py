"""The loop of ``train`` beside one written by hand: on a small network, the loop counts."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.timing import Case
from daleml import train
from daleml.callbacks import TrainingState
from daleml.layers import DANNLinear
from daleml.optim import EG, param_groups
from daleml.training import Shuffled

X, Y = torch.rand(3200, 64), torch.randint(10, (3200,))
BATCHES = Shuffled(X, Y, 32)
cross_entropy = nn.functional.cross_entropy


class Counter:
    """A callback that is called after every step, and reads nothing."""

    n_steps = 0

    def on_step(self, state: TrainingState) -> None:
        """Count the step."""
        self.n_steps += 1


def network() -> tuple[nn.Module, EG]:
    """Return a DANN of 64-50-10 units, and EG for it."""
    model = nn.Sequential(DANNLinear(64, 50), nn.ReLU(), DANNLinear(50, 10))
    return model, EG(param_groups(model, lr=0.1), lr=0.1)


def by_train(*callbacks: object) -> Callable[[], object]:
    """Return an epoch of ``train`` on 100 batches, without trackers."""
    model, optimizer = network()
    options = {"trackers": {}, "callbacks": callbacks, "progress": False}
    return lambda: train(model, BATCHES, optimizer, cross_entropy, **options)


def by_hand() -> Callable[[], object]:
    """Return the same epoch as one writes it, with its loss and accuracy."""
    model, optimizer = network()

    def epoch() -> tuple[float, int]:
        total, n_correct = 0.0, 0
        for x, y in BATCHES(1):
            optimizer.zero_grad()
            outputs = model(x)
            loss = cross_entropy(outputs, y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
            n_correct += int((outputs.argmax(1) == y).sum())
        return total / len(X), n_correct

    return epoch


CASES = [
    Case(
        "train, DANN 64-50-10, batch 32",
        "a loop by hand",
        lambda: (by_train(), by_hand()),
        rounds=31,
        clock=time.process_time,
    ),
    Case(
        "train with a callback at every step",
        "train",
        lambda: (by_train(Counter()), by_train()),
        rounds=31,
        clock=time.process_time,
    ),
]
