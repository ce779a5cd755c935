"""The mean loss and accuracy over the batches of an epoch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daleml._support.diverged import DivergedError

_AT_ONCE = 256
"""So many numbers of a device become one tensor, which takes less memory than they do."""


class EpochMeans:
    """Sums over the examples of an epoch, as the batches are met.

    Numbers on the CPU are added at once. To read those of a device would wait for it at each
    batch, so they stay there until somebody asks for the means, and are then added in the same
    order.

    Args:
        epoch: The epoch's number, for errors.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.n_examples = 0
        self.n_batches = 0
        self.last: Tensor | None = None
        self._loss: Any = 0.0
        self._n_correct: Any = 0
        self._are_classes = True
        self._losses = _Waiting()
        self._right = _Waiting()

    def add(self, loss: Tensor, n_correct: Tensor | None, n_examples: int) -> None:
        """Add a batch, of which the loss is a mean."""
        self.n_examples += n_examples
        self.n_batches += 1
        self.last = loss
        if loss.is_cpu:
            # Weighted by examples, since the last batch may be smaller than the others.
            self._loss = self._loss + _number(loss) * n_examples
        else:
            self._losses.append(loss, n_examples)
        if n_correct is None:
            self._are_classes = False
        elif n_correct.is_cpu:
            self._n_correct = self._n_correct + _number(n_correct)
        else:
            self._right.append(n_correct, 1)

    def results(self) -> dict[str, Any]:
        """Return the mean ``loss`` and, for classes, ``accuracy``: numbers, or one a member.

        Raises:
            DivergedError: If the loss of a batch was not finite, on a device: on the CPU it was
                found before the batch was learnt from.
        """
        for loss, n_examples in self._losses.read():
            require_finite(loss, self.epoch)
            self._loss = self._loss + loss * n_examples
        for n_correct, _ in self._right.read():
            self._n_correct = self._n_correct + n_correct
        results = {"loss": self._loss / self.n_examples}
        if self._are_classes:
            results["accuracy"] = self._n_correct / self.n_examples
        return results


class _Waiting:
    """Numbers on a device that nobody has read."""

    def __init__(self) -> None:
        self._single: list[Tensor] = []
        self._stacked: list[Tensor] = []
        self._weights: list[int] = []

    def append(self, value: Tensor, weight: int) -> None:
        self._single.append(value)
        self._weights.append(weight)
        if len(self._single) == _AT_ONCE:
            self._stack()

    def read(self) -> list[tuple[Any, int]]:
        """Return the numbers with their weights, and forget them."""
        self._stack()
        numbers: list[Any] = []
        if self._stacked:
            # One copy from the device for all of them.
            numbers = list(_array(torch.cat(self._stacked)))
        found = list(zip(numbers, self._weights, strict=True))
        self._stacked, self._weights = [], []
        return found

    def _stack(self) -> None:
        if self._single:
            self._stacked.append(torch.stack(self._single))
            self._single = []


def _number(value: Tensor) -> Any:
    """Return a number, or an array of one for each member."""
    return value.item() if value.ndim == 0 else _array(value)


def _array(value: Tensor) -> Any:
    value = value.detach().cpu()
    # NumPy has no bfloat16, and float64 holds every number of a shorter type.
    return value.double().numpy() if value.is_floating_point() else value.numpy()


def require_finite(loss: Any, epoch: int) -> None:
    """Raise unless a loss, or each of several, is finite: nothing is learned from any other.

    Raises:
        DivergedError: If one is not.
    """
    if isinstance(loss, (float, int)):
        wrong = None if math.isfinite(loss) else loss
    else:
        bad = np.atleast_1d(loss)[~np.isfinite(np.atleast_1d(loss))]
        wrong = float(bad[0]) if len(bad) else None
    if wrong is not None:
        raise DivergedError(
            f"`loss` must stay finite; got {wrong} in epoch {epoch}.", epoch
        )
