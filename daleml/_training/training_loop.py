"""The loop over epochs: train, check, record, call back, save."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.optim.lr_scheduler import ReduceLROnPlateau

from daleml import checkpoint as checkpoints
from daleml._training import schedules
from daleml._training.callback_calls import Call, Calls
from daleml._training.epoch_means import EpochMeans
from daleml._training.epochs import run_epoch
from daleml._training.learner import Learner, Row
from daleml._training.rate_corrections import Corrections
from daleml._training.soundness import Soundness
from daleml.callbacks import TrainingState
from daleml.trackers import Tracker


class TrainingLoop:
    """A training run, and how far it is.

    Args:
        run: Model, optimiser and scheduler, as checkpoints keep them.
        learner: How the model learns from a batch.
        trackers: What to record after every epoch, and before the first.
        calls: The callbacks.
        folder: Where to save after every epoch, or None.
        by_batch: Whether the scheduler steps after every batch, not after every epoch.

    Attributes:
        done: How many epochs are finished.
        rows: The history.
    """

    def __init__(
        self,
        run: checkpoints.Run,
        learner: Learner,
        trackers: Mapping[str, Tracker],
        calls: Calls,
        folder: Path | None,
        by_batch: bool,
    ) -> None:
        self._run = run
        self._learner = learner
        self._trackers = trackers
        self._calls = calls
        self._folder = folder
        self._by_batch = by_batch
        self._soundness = Soundness(run.model, run.optimizer, saved=folder is not None)
        self._rates = Corrections(run.optimizer)
        self._epochs = 0
        self._means: EpochMeans | None = None
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
        self._epochs = epochs
        while self.done < epochs and not self.stopped:
            epoch = self.done + 1
            given = batches(epoch) if callable(batches) else batches
            results = self._train_once(given, epoch)
            self._rates.look()
            self._soundness.require(epoch)
            self.rows += self._learner.rows(epoch, results, self._trackers)
            self.done = epoch
            if self._call(self._calls.on_epoch, epoch):
                # A callback may have changed the weights that are to be saved.
                self._soundness.require(epoch)
            self._save()
            advance(_means(results))
        self._call(self._calls.on_end, self.done)

    def _train_once(self, batches: Iterable[Any], epoch: int) -> dict[str, Any]:
        """Train for one epoch, and return its mean loss and accuracy."""
        run = self._run
        self._means = means = EpochMeans(epoch)
        before = run.step

        def after_step() -> bool:
            run.step = before + means.n_batches
            if self._by_batch:
                schedules.step_batch(run.scheduler, epoch)
            self._call(self._calls.on_step, epoch)
            return self.stopped

        wanted = self._by_batch or self._calls.on_step
        run_epoch(
            self._learner, batches, run.optimizer, means, after_step if wanted else None
        )
        run.step = before + means.n_batches
        results = means.results()
        if isinstance(run.scheduler, ReduceLROnPlateau):
            run.scheduler.step(_means(results)["loss"])
        elif run.scheduler is not None and not self._by_batch:
            run.scheduler.step()
        return results

    def _save(self) -> None:
        if self._folder is not None:
            checkpoints.save(self._folder, self._run, self.done, self.rows)

    # -- callbacks, and what they read

    def _call(self, calls: list[Call], epoch: int) -> bool:
        """Call back, and return whether there was anything to call."""
        if not calls:
            return False
        run = self._run
        parts = (run.model, run.optimizer, run.scheduler)
        state = TrainingState(*parts, epoch, self._epochs, run.step, self)
        for call in calls:
            call(state)
        return True

    @property
    def stopped(self) -> bool:
        """Whether a callback has asked to stop, now or before the checkpoint."""
        return self._run.stopped

    @stopped.setter
    def stopped(self, stopped: bool) -> None:
        self._run.stopped = stopped

    def mean(self, name: str) -> float | None:
        """Return a mean over the batches of the last epoch so far."""
        results: Mapping[str, Any] = self.rows[-1] if self.rows else {}
        if self._means is not None and self._means.n_examples:
            results = self._means.results()
        return _means(results)[name] if name in results else None

    def batch_loss(self) -> float:
        """Return the loss of the last batch; NaN if there was none."""
        last = None if self._means is None else self._means.last
        return math.nan if last is None else float(last.mean())


def _means(results: Mapping[str, Any]) -> dict[str, float]:
    """Return results with their means over the members, where a model has several."""
    means = {}
    for name, value in results.items():
        numbers = np.atleast_1d(value)
        # A member that has diverged has no loss.
        known = numbers[~np.isnan(numbers)]
        means[name] = float(known.mean()) if len(known) else math.nan
    return means
