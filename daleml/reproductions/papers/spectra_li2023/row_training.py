"""Training of a batch of recurrent networks on images that they read row by row."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from daleml.datasets import ImageSplit
from daleml.reproductions.claim import Numbers, Settings
from daleml.reproductions.harness import BATCH, LAST
from daleml.reproductions.papers.spectra_li2023.recurrent_batches import RecurrentBatch
from daleml.training import Shuffled

_JUDGED_AT_ONCE = 250
"""How many images are judged at once: the rates of all networks and rows are in memory."""


class RowTraining:
    """A batch of networks that learn from the same images in the same order.

    Args:
        batch: The networks.
        data: The images.
        seed: Seed of their order.
        settings: The learning rate, ``lr``, and after how many updates, ``judged_every``,
            networks are judged before each end.

    Attributes:
        batch: The networks as they are.
    """

    def __init__(
        self, batch: RecurrentBatch, data: ImageSplit, seed: int, settings: Settings
    ) -> None:
        self.batch = batch
        self._data = data
        self._lr, self._every = float(settings["lr"]), int(settings["judged_every"])
        shuffled = Shuffled(data.train_x, data.train_y, BATCH, seed)
        self._batches = _endless(shuffled)
        self._errors: list[dict[str, float]] = []
        self._losses: list[Tensor] = []

    def run(self, updates: int) -> None:
        """Train, and judge at the last few occasions.

        Args:
            updates: How many updates.
        """
        for left in reversed(range(updates)):
            images, classes = next(self._batches)
            losses = self._lose(images, classes)
            self.batch.step(losses, self._lr)
            if left < LAST * self._every:
                self._losses.append(losses.detach())
                if left % self._every == 0:
                    self._errors.append(self._judged())

    def numbers(self) -> Numbers:
        """Return errors, in percent, and training losses: means of the last occasions."""
        losses = torch.stack(self._losses).mean(0).tolist()
        found: Numbers = {}
        for name, loss in zip(self.batch.names, losses, strict=True):
            errors = [errors[name] for errors in self._errors]
            found[f"{name}/error"] = math.fsum(errors) / len(errors)
            found[f"{name}/train_loss"] = loss
        return found

    def _lose(self, images: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of every network on a batch of images."""
        answers = self._answers(images)
        every = classes.repeat(len(self.batch))
        losses = cross_entropy(answers.flatten(0, 1), every, reduction="none")
        return losses.view(len(self.batch), -1).mean(1)

    def _answers(self, images: Tensor) -> Tensor:
        """Return the answers of every network, (networks, images, classes)."""
        side = math.isqrt(images.shape[1])
        rows = images.view(-1, side, side).transpose(0, 1).contiguous()
        _, last = self.batch(rows)
        return self.batch.answers(last)

    @torch.no_grad()
    def _judged(self) -> dict[str, float]:
        """Return the error of every network on the test images, in percent."""
        missed = torch.zeros(len(self.batch))
        n_classes = 0
        chunks = zip(
            torch.split(self._data.test_x, _JUDGED_AT_ONCE),
            torch.split(self._data.test_y, _JUDGED_AT_ONCE),
            strict=True,
        )
        for images, classes in chunks:
            answers = self._answers(images)
            n_classes = answers.shape[2]
            missed += (answers.argmax(2) != classes).sum(1)
            # A network that diverged knows nothing, and is judged as one that guesses.
            missed[~answers.isfinite().flatten(1).all(1)] = math.nan
        errors = missed / len(self._data.test_y)
        errors = errors.nan_to_num(nan=1 - 1 / n_classes)
        return dict(zip(self.batch.names, (100 * errors).tolist(), strict=True))


def _endless(shuffled: Shuffled) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of one epoch after the other."""
    epoch = 0
    while True:
        epoch += 1
        yield from shuffled(epoch)
