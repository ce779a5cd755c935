"""A small training loop that can be watched, killed, and started again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from daleml import _checks, _seeds
from daleml import checkpoint as checkpoints
from daleml.trackers import DEFAULT, Tracker, n_correct, read

if TYPE_CHECKING:
    import pandas as pd

Batch: TypeAlias = tuple[Tensor, Any]
Batches: TypeAlias = Iterable[Batch] | Callable[[int], Iterable[Batch]]
"""Read anew every epoch: a list, a ``DataLoader``, or a function of the epoch's number, from 1."""


@dataclass(frozen=True)
class Shuffled:
    """Mini-batches of tensors in memory, in an order that depends on the seed and the epoch only.

    Args:
        inputs: ``(n, ...)``.
        targets: ``(n, ...)``.
        batch_size: Examples a batch; the last batch may be smaller.
        seed: Of the order.

    Raises:
        ValueError: If lengths differ or ``batch_size`` is below 1.
    """

    inputs: Tensor
    targets: Tensor
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        _checks.integer("batch_size", self.batch_size, minimum=1)
        _checks.integer("seed", self.seed)
        if len(self.inputs) != len(self.targets):
            raise ValueError(f"`targets` must be as many as `inputs`, {len(self.inputs)}; got {len(self.targets)}.")

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        generator = _seeds.generator(self.seed, epoch)
        for index in torch.randperm(len(self.inputs), generator=generator).split(self.batch_size):  # type: ignore[no-untyped-call]
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
        model: Any module. Guard it with ``optim.enforce`` first, if the optimiser does not keep signs by itself.
        batches: Pairs of inputs and targets, read anew every epoch: a list, a ``DataLoader``, :class:`Shuffled`, or a
            function of the epoch's number.
        optimizer: Any torch optimiser, LBFGS included.
        loss: ``loss(outputs, targets)``, a scalar. For the batches of a task, ``task.loss``.
        epochs: How many epochs to have trained in the end, those of a resumed checkpoint included.
        trackers: What to record after every epoch, and before the first; see ``daleml.trackers``.
        scheduler: Steps after every epoch.
        clip_norm: Largest norm of the whole gradient; default: no limit.
        checkpoint: Folder in which to save after every epoch. If it holds a checkpoint already, training goes on from
            there, with the learning rates saved in it, and ends with the weights of a run that was never stopped.
        progress: Whether to show a progress bar, on a terminal.

    Returns:
        The history, one row an epoch, row 0 before training: ``epoch``, ``loss`` and, for classes, ``accuracy`` on the
        training batches as they were met, and a column a tracker.

    Raises:
        CheckpointError: If the checkpoint is damaged or belongs to another model or optimiser; nothing is changed then.
        RuntimeError: If the loss becomes NaN or infinite; the last checkpoint is kept.
        TypeError: If ``model`` or ``optimizer`` is something else.
        ValueError: If an argument is out of range, or an epoch has no batches.

    Example:
        >>> import torch
        >>> from daleml.layers import DANNLinear
        >>> from daleml.optim import EG, param_groups
        >>> x, y = torch.rand(64, 10), torch.randint(0, 3, (64,))
        >>> model = DANNLinear(10, 3)
        >>> optimizer = EG(param_groups(model, lr=0.1), lr=0.1)
        >>> history = train(model, Shuffled(x, y), optimizer, torch.nn.functional.cross_entropy, epochs=2)
        >>> history.sign_violations.tolist()
        [0.0, 0.0, 0.0]

    Notes:
        A checkpoint holds the states of torch's, numpy's and Python's global generators, and of ``batches.generator``
        and the ``generator`` of any module: whatever random source you hold elsewhere is yours to restore.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"`optimizer` must be a torch optimiser; got {type(optimizer).__name__}.")
    _checks.integer("epochs", epochs, minimum=1)
    if clip_norm is not None:
        _checks.positive("clip_norm", clip_norm)
    found = [getattr(source, "generator", None) for source in (batches, *model.modules())]  # a circuit's noise has one
    generators = [generator for generator in found if isinstance(generator, torch.Generator)]
    run = checkpoints.Run(model, optimizer, scheduler, generators)
    folder = None if checkpoint is None else Path(checkpoint)
    resumed = checkpoints.load(folder, run) if folder else None
    if resumed is None:
        done, rows = 0, [{"epoch": 0, "loss": math.nan, **read(trackers, model)}]
        if folder:  # what a run killed in its first epoch starts again from
            checkpoints.save(folder, run, 0, rows)
    else:
        done, rows = resumed
    with _bar(progress, done, epochs) as advance:
        for epoch in range(done + 1, epochs + 1):
            results = _epoch(model, batches(epoch) if callable(batches) else batches, optimizer, loss, clip_norm, epoch)
            if scheduler is not None:
                _advance(scheduler, results["loss"])
            rows.append({"epoch": epoch, **results, **read(trackers, model)})
            if folder:
                checkpoints.save(folder, run, epoch, rows)
            advance(results)
    import pandas as pd

    return pd.DataFrame(rows)


def _advance(scheduler: LRScheduler, loss: float) -> None:
    """Step a scheduler after an epoch; one that watches for a plateau is shown the loss."""
    scheduler.step(loss) if isinstance(scheduler, ReduceLROnPlateau) else scheduler.step()


def _epoch(
    model: nn.Module,
    batches: Iterable[Batch],
    optimizer: Optimizer,
    loss: Callable[[Tensor, Any], Tensor],
    clip_norm: float | None,
    epoch: int,
) -> dict[str, float]:
    """Train on every batch once, and return the mean loss and accuracy as the batches were met."""
    if not model.training:  # a part frozen in eval mode stays so
        model.train()
    total_loss, total_correct, n_examples = 0.0, 0, 0
    classes = True
    for batch in batches:
        if not (isinstance(batch, (tuple, list)) and len(batch) == 2):
            raise ValueError(f"`batches` must yield pairs of inputs and targets; got {type(batch).__name__}.")
        inputs, targets = batch
        if not len(targets):
            continue
        met: list[tuple[Tensor, Tensor | None]] = []

        def closure(inputs: Tensor = inputs, targets: Any = targets, met: list[Any] = met) -> Tensor:
            optimizer.zero_grad()
            outputs = model(inputs)
            value = loss(outputs, targets)
            value.backward()  # type: ignore[no-untyped-call]
            if clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
            met.append((value.detach(), outputs.detach() if isinstance(outputs, Tensor) else None))
            return value

        optimizer.step(closure)  # type: ignore[arg-type]
        value, outputs = met[0]  # LBFGS evaluates more than once a step
        correct = n_correct(outputs, targets)
        classes = classes and correct is not None
        total_loss += float(value) * len(targets)
        total_correct += correct or 0
        n_examples += len(targets)
        if not math.isfinite(total_loss):
            raise RuntimeError(f"`loss` must stay finite; got {float(value)} in epoch {epoch}.")
    if not n_examples:
        raise ValueError(f"`batches` must hold at least one batch; got none in epoch {epoch}.")
    results = {"loss": total_loss / n_examples}
    return results | {"accuracy": total_correct / n_examples} if classes else results


@contextmanager
def _bar(progress: bool, done: int, epochs: int) -> Iterator[Callable[[dict[str, float]], None]]:
    """Show a progress bar on a terminal; yield what advances it by an epoch."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.fields[results]}"))
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not (progress and console.is_terminal)
    ) as bar:
        task = bar.add_task("train", total=epochs, completed=done, results="")

        def advance(results: dict[str, float]) -> None:
            bar.update(task, advance=1, results=", ".join(f"{name} {value:.4g}" for name, value in results.items()))

        yield advance
