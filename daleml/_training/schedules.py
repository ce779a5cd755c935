"""Schedulers of learning rates that step after every epoch or every batch."""

from __future__ import annotations

import warnings
from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

STEPS = ("epoch", "batch")
"""After what a scheduler may step."""


def require_step(scheduler_step: Any, scheduler: Any) -> None:
    """Raise unless a scheduler can step after what it is told to.

    Raises:
        ValueError: If it cannot.
    """
    if scheduler_step not in STEPS:
        raise ValueError(
            f"`scheduler_step` must be 'epoch' or 'batch'; got {scheduler_step!r}."
        )
    if scheduler_step == "epoch":
        return
    if scheduler is None:
        raise ValueError(
            "`scheduler_step` must be left out where there is no `scheduler`; got 'batch'."
        )
    if isinstance(scheduler, ReduceLROnPlateau):
        raise ValueError(
            "`scheduler_step` must be 'epoch' for a ReduceLROnPlateau, which is shown the mean"
            " loss of an epoch; got 'batch'."
        )


def require_total_steps(
    scheduler: Any, batches: Any, epochs: int, *, by_batch: bool, saved: bool
) -> None:
    """Compare how many steps a OneCycleLR was made for with those that it will take.

    Args:
        scheduler: The scheduler, as it is before training.
        batches: What it steps after, if by batch.
        epochs: How many epochs there are to be.
        by_batch: Whether it steps after every batch.
        saved: Whether there is a checkpoint, from which more epochs may follow.

    Raises:
        ValueError: If it was made for fewer.
    """
    total = getattr(scheduler, "total_steps", None)
    if not isinstance(total, int):
        return
    n_batches = _length(batches)
    # A resumed run has taken some; its own checkpoint says how many.
    taken = 0 if saved else int(getattr(scheduler, "last_epoch", 0))
    steps, made_of = epochs, f"{epochs} epochs"
    if by_batch:
        if n_batches is None:
            # Too many are found while training.
            return
        steps, made_of = epochs * n_batches, f"{made_of} of {n_batches} batches"
    if taken + steps > total:
        raise ValueError(
            f"`scheduler` must be made for at least {taken + steps:,} steps, for {made_of};"
            f" got total_steps={total}."
        )
    if saved or taken:
        # More epochs may follow.
        return
    told = f"`scheduler` was made for total_steps={total} and will take {steps:,}, for {made_of}"
    if by_batch and steps < total:
        warnings.warn(f"{told}: its rates will not come down.", stacklevel=3)
    elif not by_batch and n_batches != 1 and total == epochs * (n_batches or 0):
        warnings.warn(
            f"{told}: scheduler_step='batch' steps after every batch.", stacklevel=3
        )


def step_batch(scheduler: Any, epoch: int) -> None:
    """Step a scheduler after a batch.

    Raises:
        ValueError: If its steps are used up.
    """
    total = getattr(scheduler, "total_steps", None)
    if isinstance(total, int) and scheduler.last_epoch >= total:
        raise ValueError(
            f"`scheduler` must be made for as many steps as there are batches; its"
            f" total_steps={total} are used up in epoch {epoch}."
        )
    scheduler.step()


def _length(batches: Any) -> int | None:
    try:
        return len(batches)
    # A function of the epoch, a generator, or a loader that does not know.
    except TypeError:
        return None
