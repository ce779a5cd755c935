"""A small training loop that can be watched, killed, and started again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from daleml import checkpoint as checkpoints
from daleml import require
from daleml._saving.random_states import generators_of
from daleml._support import seeds
from daleml._support.diverged import DivergedError
from daleml._support.stop_signals import signals_raise
from daleml._training import training_inputs as inputs
from daleml._training.rate_corrections import Corrections
from daleml._training.soundness import Soundness
from daleml.tasks.layout import time_first
from daleml.tasks.trials import Trials
from daleml.trackers import DEFAULT, Tracker, n_correct, read

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Batch", "Batches", "DivergedError", "Shuffled", "train"]

Batch: TypeAlias = tuple[Tensor, Any]
"""Inputs and targets."""
Batches: TypeAlias = Iterable[Batch] | Callable[[int], Iterable[Batch]]
"""What is read anew every epoch: a list, a loader, or a function of its number, from 1."""


@dataclass(frozen=True)
class Shuffled:
    """Mini-batches of tensors in memory, in an order that depends on the seed and the epoch only.

    Args:
        inputs: ``(n, ...)``. Examples lie along the first dimension, whatever the model:
            sequences whose time comes first, ``(time, n, ...)``, would have their time steps
            shuffled. Transpose them, or use a task's batches.
        targets: ``(n, ...)``.
        batch_size: Examples per batch; the last batch may be smaller.
        seed: Seed of the order.

    Raises:
        TypeError: If ``inputs`` or ``targets`` is no tensor.
        ValueError: If lengths differ, there is no example, or ``batch_size`` is below 1.

    Example:
        >>> import torch
        >>> batches = Shuffled(torch.arange(5), torch.arange(5), batch_size=2)
        >>> [len(targets) for _, targets in batches(1)]
        [2, 2, 1]
    """

    inputs: Tensor
    targets: Tensor
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        require.integer("batch_size", self.batch_size, minimum=1)
        require.integer("seed", self.seed)
        for name in ("inputs", "targets"):
            if isinstance(getattr(self, name), Trials):
                raise TypeError(
                    f"`{name}` must be a tensor of examples; got Trials, along whose first"
                    " dimension time runs: give `train` a task's `batches()` instead."
                )
            if not require.tensor(name, getattr(self, name)).ndim:
                raise ValueError(
                    f"`{name}` must hold examples along its first dimension; got a single"
                    " number."
                )
        if len(self.inputs) != len(self.targets):
            raise ValueError(
                f"`targets` must be as many as `inputs`, {len(self.inputs)}; got"
                f" {len(self.targets)}."
            )
        if not len(self.inputs):
            raise ValueError("`inputs` must hold at least one example; got none.")

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch; in a worker of a ``DataLoader``, its part of them."""
        generator = seeds.generator(self.seed, epoch)
        is_mine = seeds.share()
        order = torch.randperm(len(self.inputs), generator=generator)
        chunks = order.split(self.batch_size)  # type: ignore[no-untyped-call]
        for number, index in enumerate(chunks):
            if is_mine(number):
                yield self.inputs[index], self.targets[index]


def train(
    model: nn.Module,
    batches: Batches,
    optimizer: Optimizer,
    loss: Callable[[Tensor, Any], Tensor],
    *,
    epochs: int = 1,
    trackers: Mapping[str, Tracker] = DEFAULT,
    scheduler: LRScheduler | None = None,
    clip_norm: float | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train a model, and record what happens.

    Args:
        model: Any module. Guard it with ``optim.enforce`` first, if the optimiser does not keep
            signs by itself.
        batches: Pairs of inputs and targets, read anew every epoch: a list, a ``DataLoader``,
            :class:`Shuffled`, or a function of the epoch's number.
        optimizer: Any torch optimiser, LBFGS included.
        loss: ``loss(outputs, targets)``, a scalar. For the batches of a task, ``task.loss``.
        epochs: How many epochs to have trained in the end, those of a resumed checkpoint included.
        trackers: What to record after every epoch, and before the first; see ``daleml.trackers``.
        scheduler: Steps after every epoch.
        clip_norm: Largest norm of the whole gradient; default: no limit.
        checkpoint: Folder in which to save after every epoch. If it holds a checkpoint already,
            training goes on from there, with the learning rates saved in it, and ends with the
            weights of a run that was never stopped.
        progress: Whether to show a progress bar, on a terminal.

    Returns:
        The history, one row per epoch, row 0 before training: ``epoch``, ``loss`` and, for
        classes, ``accuracy`` on the training batches as they were met, and a column per tracker.

    Raises:
        CheckpointError: If the checkpoint is damaged or belongs to another model or optimiser,
            another run writes to its folder, or the state of the optimiser or scheduler is of a
            kind that no checkpoint can keep. Nothing is changed then. Or if it cannot be
            written, to a full disk say; the one before it is kept.
        DivergedError: If the loss becomes NaN or infinite, or after an epoch the weights or the
            optimiser's state are; the last checkpoint is kept. It is a ``RuntimeError``.
        DaleError: If weights that are to be saved break Dale's law; the last checkpoint is kept.
        TypeError: If an argument is of the wrong kind.
        ValueError: If an argument is out of range, an epoch has no batches, or ``optimizer``
            holds no parameter of ``model``.

    Example:
        >>> import torch
        >>> from daleml.layers import DANNLinear
        >>> from daleml.optim import EG, param_groups
        >>> x, y = torch.rand(64, 10), torch.randint(0, 3, (64,))
        >>> model = DANNLinear(10, 3)
        >>> optimizer = EG(param_groups(model, lr=0.1), lr=0.1)
        >>> loss = torch.nn.functional.cross_entropy
        >>> history = train(model, Shuffled(x, y), optimizer, loss, epochs=2)
        >>> history.sign_violations.tolist()
        [0.0, 0.0, 0.0]

    Notes:
        A checkpoint holds the states of torch's, NumPy's and Python's global generators, of the
        ``generator`` of ``batches``, of its sampler and data set, and of any module: whatever
        random source you hold elsewhere is yours to restore. So are moving averages of the
        weights, gradient scalers, and functions given to a scheduler.

        Of a resumed run, the settings of optimiser and scheduler are those of the checkpoint,
        and all else is as this run was given it. Where it was given others than the run began
        with, be it a rate, a batch size, a loss or a model of the same shapes, one warning says
        so.

        SIGTERM raises ``KeyboardInterrupt``, as Ctrl-C does. One run writes to a folder at a
        time: its lock ends with its process, and on network file systems is as good as theirs.
    """
    _require_inputs(
        model,
        batches,
        optimizer,
        loss,
        epochs,
        trackers,
        scheduler,
        clip_norm,
        checkpoint,
    )
    described = inputs.describe_batches(batches)
    settings = {"batches": described, "clip_norm": clip_norm, "loss": loss}
    generators = generators_of(batches, model)
    run = checkpoints.Run(model, optimizer, scheduler, generators, settings)
    folder = None if checkpoint is None else Path(checkpoint)
    writing = nullcontext() if folder is None else checkpoints.opened(folder, run)
    with signals_raise(), writing:
        resumed = checkpoints.load(folder, run) if folder else None
        soundness = Soundness(model, optimizer, saved=folder is not None)
        rates = Corrections(optimizer)
        # Before the first epoch too: a OneCycleLR sets one rate for all when it is made.
        rates.look()
        if resumed is None:
            soundness.require(0)
            done, rows = 0, [{"epoch": 0, "loss": math.nan, **read(trackers, model)}]
            if folder:
                # What a run that is killed in its first epoch starts again from.
                checkpoints.save(folder, run, 0, rows)
        else:
            done, rows = resumed
        with _progress_bar(progress, done, epochs) as advance:
            for epoch in range(done + 1, epochs + 1):
                given = batches(epoch) if callable(batches) else batches
                results = _epoch(model, given, optimizer, loss, clip_norm, epoch)
                if scheduler is not None:
                    _step_scheduler(scheduler, results["loss"])
                    rates.look()
                soundness.require(epoch)
                rows.append({"epoch": epoch, **results, **read(trackers, model)})
                if folder:
                    checkpoints.save(folder, run, epoch, rows)
                advance(results)
    # Imported last: it takes a while, and a run that fails has no history.
    import pandas as pd

    return pd.DataFrame(rows)


def _require_inputs(
    model: Any,
    batches: Any,
    optimizer: Any,
    loss: Any,
    epochs: Any,
    trackers: Any,
    scheduler: Any,
    clip_norm: Any,
    checkpoint: Any,
) -> None:
    """Judge the arguments of :func:`train`, before anything is changed."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"`optimizer` must be a torch optimiser; got {type(optimizer).__name__}."
        )
    require.integer("epochs", epochs, minimum=1)
    if clip_norm is not None:
        require.positive("clip_norm", clip_norm)
    inputs.require_loss(loss)
    inputs.require_batches(batches, epochs)
    inputs.require_scheduler(scheduler, optimizer)
    inputs.require_folder(checkpoint, scheduler)
    inputs.require_trackers(trackers)
    inputs.require_parameters(model, optimizer)


def _step_scheduler(scheduler: LRScheduler, loss: float) -> None:
    """Step a scheduler after an epoch; one that watches for a plateau is shown the loss."""
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(loss)
    else:
        scheduler.step()


# -- one epoch -------------------------------------------------------------------------------------


def _epoch(
    model: nn.Module,
    batches: Iterable[Batch],
    optimizer: Optimizer,
    loss: Callable[[Tensor, Any], Tensor],
    clip_norm: float | None,
    epoch: int,
) -> dict[str, float]:
    """Train on every batch once, and return the mean loss and accuracy as the batches were met."""
    # A part that is frozen in eval mode stays so.
    if not model.training:
        model.train()
    total_loss, total_correct, n_examples = 0.0, 0, 0
    classes = True
    for batch in batches:
        x, targets = inputs.pair(batch)
        if not len(targets):
            continue
        # The first batch of an epoch tells of the others whether time comes first.
        first = None if n_examples else targets
        value, outputs = _step(
            model, x, targets, first, optimizer, loss, clip_norm, epoch
        )
        correct = n_correct(outputs, targets)
        classes = classes and correct is not None
        # Weighted by examples, since the last batch may be smaller than the others.
        total_loss += value * len(targets)
        total_correct += correct or 0
        n_examples += len(targets)
    if not n_examples:
        used_up = ""
        if epoch > 1:
            used_up = " If they can be read once only, give a list or a function of the epoch."
        raise ValueError(
            f"`batches` must hold at least one batch; got none in epoch {epoch}.{used_up}"
        )
    results = {"loss": total_loss / n_examples}
    if classes:
        results["accuracy"] = total_correct / n_examples
    return results


def _step(
    model: nn.Module,
    x: Any,
    targets: Any,
    first: Any,
    optimizer: Optimizer,
    loss: Callable[[Tensor, Any], Tensor],
    clip_norm: float | None,
    epoch: int,
) -> tuple[float, Any]:
    """Let the optimiser take one step on a batch, and return the loss and outputs before it.

    Args:
        model: The model.
        x: The batch's inputs.
        targets: The batch's targets.
        first: Targets of the epoch's first batch, if this is the one; else None.
        optimizer: The optimiser.
        loss: The loss function.
        clip_norm: Largest norm of the whole gradient, or None.
        epoch: The epoch's number, for errors.
    """
    met: list[tuple[Tensor, Tensor | None]] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        with time_first(model, first):
            outputs = model(x)
        value = inputs.scalar(loss(outputs, targets))
        # On a GPU, to ask now would wait for the device: it is asked below.
        if not met and value.is_cpu:
            _require_finite(value, epoch)
        value.backward()  # type: ignore[no-untyped-call]
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        kept = outputs.detach() if isinstance(outputs, Tensor) else None
        met.append((value.detach(), kept))
        return value

    try:
        optimizer.step(closure)  # type: ignore[arg-type]
    except DivergedError as error:
        if error.epoch is not None:
            raise
        # It comes from an optimiser, which knows no epoch.
        raise DivergedError(f"{error} It was in epoch {epoch}.", epoch) from None
    # LBFGS evaluates more than once per step.
    value, outputs = met[0]
    _require_finite(value, epoch)
    return float(value), outputs


def _require_finite(value: Tensor, epoch: int) -> None:
    """Raise unless a loss is finite: nothing is learned from any other."""
    if not math.isfinite(value.item()):
        raise DivergedError(
            f"`loss` must stay finite; got {value.item()} in epoch {epoch}.", epoch
        )


@contextmanager
def _progress_bar(
    progress: bool, done: int, epochs: int
) -> Iterator[Callable[[dict[str, float]], None]]:
    """Show a progress bar on a terminal; yield what advances it by an epoch."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[results]}"),
    )
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not (progress and console.is_terminal),
    ) as bar:
        task = bar.add_task("train", total=epochs, completed=done, results="")

        def advance(results: dict[str, float]) -> None:
            shown = [f"{name} {value:.4g}" for name, value in results.items()]
            bar.update(task, advance=1, results=", ".join(shown))

        yield advance
