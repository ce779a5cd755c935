"""A small training loop that can be watched, killed, and started again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from daleml import checkpoint as checkpoints
from daleml import require
from daleml._saving.random_states import generators_of
from daleml._support import seeds
from daleml._support.diverged import DivergedError
from daleml._support.stop_signals import signals_raise
from daleml._training import schedules
from daleml._training import training_inputs as inputs
from daleml._training.callback_calls import Calls
from daleml._training.learner import learner_of
from daleml._training.progress_bar import progress_bar
from daleml._training.training_loop import TrainingLoop
from daleml.callbacks import Callback
from daleml.tasks.trials import Trials
from daleml.trackers import DEFAULT, Tracker

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

    def __len__(self) -> int:
        """Return how many batches there are in an epoch."""
        return -(-len(self.inputs) // self.batch_size)

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch; in a worker of a ``DataLoader``, its part of them."""
        generator = seeds.generator(self.seed, epoch)
        is_mine = seeds.share()
        where = generator.device
        order = torch.randperm(len(self.inputs), generator=generator, device=where)
        # Once an epoch, for an index on the CPU would be sent to a device with each batch.
        chunks = zip(
            self._chunks(order, self.inputs),
            self._chunks(order, self.targets),
            strict=True,
        )
        for number, (of_inputs, of_targets) in enumerate(chunks):
            if is_mine(number):
                yield self.inputs[of_inputs], self.targets[of_targets]

    def _chunks(self, order: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """Return the indices of each batch, on the device of what they are to index."""
        there = order.to(values.device)
        chunks: tuple[Tensor, ...] = there.split(self.batch_size)  # type: ignore[no-untyped-call]
        return chunks


def train(
    model: nn.Module,
    batches: Batches,
    optimizer: Optimizer,
    loss: Callable[[Tensor, Any], Tensor],
    *,
    epochs: int = 1,
    trackers: Mapping[str, Tracker] = DEFAULT,
    callbacks: Iterable[Callback] = (),
    scheduler: LRScheduler | None = None,
    scheduler_step: Literal["epoch", "batch"] = "epoch",
    clip_norm: float | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train a model, and record what happens.

    Args:
        model: Any module, on any device. Guard it with ``optim.enforce`` first, if the optimiser
            does not keep signs by itself.
        batches: Pairs of inputs and targets, read anew every epoch: a list, a ``DataLoader``,
            :class:`Shuffled`, or a function of the epoch's number. They are moved to the
            model's device: tensors, what holds some in tuples, lists or mappings, and whatever
            has a method ``to``, as ``Trials`` and ``PackedSequence`` have.
        optimizer: Any torch optimiser, LBFGS included.
        loss: ``loss(outputs, targets)``, a scalar. For the batches of a task, ``task.loss``.
        epochs: How many epochs to have trained in the end, those of a resumed checkpoint included.
        trackers: What to record after every epoch, and before the first; see ``daleml.trackers``.
        callbacks: What to call after every epoch, or every step, with a
            :class:`~daleml.callbacks.TrainingState`; it may stop the training. See
            ``daleml.callbacks``.
        scheduler: What sets the learning rates. For an :class:`~daleml.layers.DANNLinear` and
            its like, give it a list of rates, as ``groups.lrs(max_lr)`` makes it.
        scheduler_step: Whether it steps after every ``"epoch"`` or after every ``"batch"``, as a
            ``OneCycleLR`` is meant to.
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
        ValueError: If an argument is out of range, an epoch has no batches, ``optimizer``
            holds no parameter of ``model``, or a ``OneCycleLR`` was made for fewer steps.

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

        What a callback raises ends the training: its epoch is not saved, and a resumed run
        trains it again. A run that a callback stopped stays stopped when it is resumed,
        whatever ``epochs`` is. Callbacks are called in their order, after the trackers and
        before the epoch is saved; those with ``state_dict`` and ``load_state_dict`` are saved
        with it.

        A model spread over several devices is given its batches as they are: bring them where
        it takes them. Nothing waits for a device between two steps, so that a loss that is not
        finite is found there at the end of its epoch, and on the CPU before it is learnt from.
        Either way, it is not saved.

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
    calls = Calls(callbacks)
    by_batch = scheduler_step == "batch"
    schedules.require_step(scheduler_step, scheduler)
    folder = None if checkpoint is None else Path(checkpoint)
    schedules.require_total_steps(
        scheduler, batches, epochs, by_batch=by_batch, saved=folder is not None
    )
    learner = learner_of(model, loss, clip_norm)
    learner.require_optimizer(optimizer)
    settings = {
        "batches": inputs.describe_batches(batches),
        "clip_norm": clip_norm,
        "loss": loss,
        "scheduler_step": scheduler_step,
        "callbacks": calls.described(),
    }
    generators = generators_of(batches, model)
    run = checkpoints.Run(model, optimizer, scheduler, generators, settings)
    run.callbacks = calls.stateful
    writing = nullcontext() if folder is None else checkpoints.opened(folder, run)
    with signals_raise(), writing:
        resumed = checkpoints.load(folder, run) if folder else None
        loop = TrainingLoop(run, learner, trackers, calls, folder, by_batch)
        loop.begin(resumed)
        with progress_bar(progress, loop.done, epochs) as advance:
            loop.train(batches, epochs, advance)
    # Imported last: it takes a while, and a run that fails has no history.
    import pandas as pd

    return pd.DataFrame(loop.rows)


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
