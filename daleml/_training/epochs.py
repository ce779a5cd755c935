"""One epoch of training: a step of the optimiser on every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from daleml._support.device_moves import device_of, moved_pair
from daleml._support.diverged import DivergedError
from daleml._training import training_inputs as inputs
from daleml._training.epoch_means import EpochMeans, require_finite
from daleml._training.learner import Learner
from daleml.tasks.layout import time_first


def run_epoch(
    learner: Learner,
    batches: Iterable[Any],
    optimizer: Optimizer,
    means: EpochMeans,
    after_step: Callable[[], bool] | None,
) -> None:
    """Train on every batch once, and add up the means over the batches as they were met.

    Args:
        learner: The model and its loss.
        batches: The batches.
        optimizer: The optimiser.
        means: What takes the loss and the right answers of each batch.
        after_step: What to call after each step, if anything; the epoch ends if it says so.

    Raises:
        DivergedError: If a loss on the CPU is not finite.
        ValueError: If there is no batch.
    """
    model = learner.model
    # A part that is frozen in eval mode stays so.
    if not model.training:
        model.train()
    epoch = means.epoch
    learner.begin_epoch(epoch)
    device = device_of(model)
    for batch in batches:
        x, targets = inputs.pair(batch)
        n_examples = inputs.n_examples(targets)
        if not n_examples:
            continue
        if device is not None:
            x, targets = moved_pair(x, targets, device)
        # The first batch of an epoch tells of the others whether time comes first.
        first = None if means.n_examples else targets
        losses, outputs = _step(learner, x, targets, first, optimizer, epoch)
        means.add(losses, learner.correct(outputs, targets), n_examples)
        if after_step is not None and after_step():
            break
    if not means.n_examples:
        used_up = ""
        if epoch > 1:
            used_up = " If they can be read once only, give a list or a function of the epoch."
        raise ValueError(
            f"`batches` must hold at least one batch; got none in epoch {epoch}.{used_up}"
        )
    learner.end_epoch(optimizer)


def _step(
    learner: Learner,
    x: Any,
    targets: Any,
    first: Any,
    optimizer: Optimizer,
    epoch: int,
) -> tuple[Tensor, Any]:
    """Let the optimiser take one step on a batch, and return the loss and outputs before it.

    Args:
        learner: The model and its loss.
        x: The batch's inputs.
        targets: The batch's targets.
        first: Targets of the epoch's first batch, if this is the one; else None.
        optimizer: The optimiser.
        epoch: The epoch's number, for errors.
    """
    met: list[tuple[Tensor, Tensor | None]] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        with time_first(learner.model, first):
            outputs = learner.answer(x)
        losses = learner.losses(outputs, targets)
        # On a GPU, to ask now would wait for the device: its means ask after the epoch.
        if not met and losses.is_cpu:
            _require_finite(losses, epoch)
        value = losses if losses.ndim == 0 else losses.sum()
        value.backward()  # type: ignore[no-untyped-call]
        learner.clip()
        kept = outputs.detach() if isinstance(outputs, Tensor) else None
        met.append((losses.detach(), kept))
        return value

    try:
        optimizer.step(closure)  # type: ignore[arg-type]
    except DivergedError as error:
        if error.epoch is not None:
            raise
        # It comes from an optimiser, which knows no epoch.
        raise DivergedError(f"{error} It was in epoch {epoch}.", epoch) from None
    learner.after_step(optimizer)
    # LBFGS evaluates more than once per step.
    return met[0]


def _require_finite(losses: Tensor, epoch: int) -> None:
    numbers = losses.item() if losses.ndim == 0 else losses.detach().double().numpy()
    require_finite(numbers, epoch)
