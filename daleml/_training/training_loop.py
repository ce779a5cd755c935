"""The loop over epochs: train, check, record, save."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.optim.lr_scheduler import ReduceLROnPlateau

from daleml import checkpoint as checkpoints
from daleml._training.epochs import run_epoch
from daleml._training.learner import Learner, Row
from daleml._training.rate_corrections import Corrections
from daleml._training.soundness import Soundness
from daleml.trackers import Tracker


class TrainingLoop:
    """A training run, and how far it is.

    Args:
        run: Model, optimiser and scheduler, as checkpoints keep them.
        learner: How the model learns from a batch.
        trackers: What to record after every epoch, and before the first.
        folder: Where to save after every epoch, or None.

    Attributes:
        done: How many epochs are finished.
        rows: The history.
    """

    def __init__(
        self,
        run: checkpoints.Run,
        learner: Learner,
        trackers: Mapping[str, Tracker],
        folder: Path | None,
    ) -> None:
        self._run = run
        self._learner = learner
        self._trackers = trackers
        self._folder = folder
        self._soundness = Soundness(run.model, run.optimizer, saved=folder is not None)
        self._rates = Corrections(run.optimizer)
        self.done = 0
        self.rows: list[Row] = []

    def begin(self, resumed: tuple[int, list[Row]] | None) -> None:
        """Go on from what a checkpoint held, or record what is there before training."""
        # Before the first epoch too: a OneCycleLR sets one rate for all when it is made.
        self._rates.look()
        if resumed is not None:
            self.done, self.rows = resumed
            return
        self._soundness.require(0)
        self.rows = self._learner.rows(0, {"loss": math.nan}, self._trackers)
        # What a run that is killed in its first epoch starts again from.
        self._save()

    def train(
        self,
        batches: Any,
        epochs: int,
        advance: Callable[[Mapping[str, float]], None],
    ) -> None:
        """Train until ``epochs`` are finished; ``advance`` is told the results of each."""
        while self.done < epochs:
            epoch = self.done + 1
            given = batches(epoch) if callable(batches) else batches
            results = self._train_once(given, epoch)
            self._rates.look()
            self._soundness.require(epoch)
            self.rows += self._learner.rows(epoch, results, self._trackers)
            self.done = epoch
            self._save()
            advance(_means(results))

    def _train_once(self, batches: Iterable[Any], epoch: int) -> dict[str, Any]:
        run = self._run
        results = run_epoch(self._learner, batches, run.optimizer, epoch).results()
        if isinstance(run.scheduler, ReduceLROnPlateau):
            run.scheduler.step(_means(results)["loss"])
        elif run.scheduler is not None:
            run.scheduler.step()
        return results

    def _save(self) -> None:
        if self._folder is not None:
            checkpoints.save(self._folder, self._run, self.done, self.rows)


def _means(results: Mapping[str, Any]) -> dict[str, float]:
    """Return results with their means over the members, where a model has several."""
    return {name: float(np.mean(value)) for name, value in results.items()}
