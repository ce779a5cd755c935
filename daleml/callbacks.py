"""Callbacks: functions that watch a model while it learns, and may stop it."""

from __future__ import annotations

import csv
import importlib.util
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias
from warnings import warn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from daleml import require
from daleml._support import atomic_files
from daleml._support.keyword_names import meant

__all__ = ["CSVLogger", "Callback", "EarlyStopping", "TensorBoard", "TrainingState"]

_SHOWN = 8
"""An error names this many columns of a history."""


class Course(Protocol):
    """What a training run knows of itself, as :class:`TrainingState` reads it."""

    rows: list[dict[str, Any]]
    stopped: bool

    def mean(self, name: str) -> float | None:
        """Return a mean over the batches of this epoch so far."""

    def batch_loss(self) -> float:
        """Return the loss of the last batch."""


@dataclass(frozen=True)
class TrainingState:
    """Where a training run is: what a callback is given, to be read while it is called.

    Attributes:
        model: The model.
        optimizer: Its optimiser.
        scheduler: The scheduler of its learning rates, or None.
        epoch: The epoch, from 1.
        epochs: How many epochs there are to be.
        step: How many steps the optimiser has taken, those before a checkpoint included.

    Example:
        >>> import torch
        >>> from daleml.training import train
        >>> def show(state: TrainingState) -> None:
        ...     print(state.epoch, state.step, len(state.history))
        >>> net = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(net.parameters(), 0.1)
        >>> batches = [(torch.rand(4, 2), torch.rand(4, 1))]
        >>> loss = torch.nn.functional.mse_loss
        >>> _ = train(net, batches, optimizer, loss, epochs=2, callbacks=[show])
        1 1 2
        2 2 3
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: Any
    epoch: int
    epochs: int
    step: int
    _course: Course = field(repr=False)

    @property
    def loss(self) -> float:
        """The mean loss of this epoch's batches so far. On a GPU, reading it waits for the GPU."""
        mean = self._course.mean("loss")
        return math.nan if mean is None else mean

    @property
    def accuracy(self) -> float | None:
        """The mean accuracy so far, likewise; None where targets are no classes."""
        return self._course.mean("accuracy")

    @property
    def batch_loss(self) -> float:
        """The loss of the last batch, before its step; NaN if there was none. It waits, too."""
        return self._course.batch_loss()

    @property
    def history(self) -> tuple[Mapping[str, float], ...]:
        """The rows of the history so far, to be read only; the first is from before training."""
        return tuple(MappingProxyType(row) for row in self._course.rows)

    @property
    def stopped(self) -> bool:
        """Whether a callback has asked to stop."""
        return self._course.stopped

    def stop(self) -> None:
        """End training after this step or epoch, which is recorded and saved as any other."""
        self._course.stopped = True


Callback: TypeAlias = Callable[[TrainingState], object] | object
"""A function of the state, called after each epoch; or an object with one or more of the methods
``on_step``, ``on_epoch`` and ``on_end``, which are called with it after each step, after each
epoch, and when training has ended."""


@dataclass
class EarlyStopping:
    r"""Stop when a number of the history has not improved for a while.

    With :math:`v_t` in epoch :math:`t`, and :math:`b` the last epoch that improved on those before
    it by more than ``min_delta``, training stops at the first epoch with
    :math:`t - b \ge` ``patience``.

    Args:
        monitor: A column of the history: ``loss``, ``accuracy``, or what a tracker fills, such as
            ``test/loss``. Of an ensemble, its mean over the members that have one.
        patience: How many epochs may pass without an improvement.
        min_delta: A change must be larger than this to be an improvement.
        maximise: Whether larger is better; default: for a column whose name ends in ``accuracy``.
        restore_best: Whether to give the model the weights of its best epoch back, when training
            has ended for whatever reason.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If an argument is out of range; or, while training, if the history has no such
            column.

    Example:
        >>> import torch
        >>> from daleml.training import train
        >>> net = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(net.parameters(), 1e-12)
        >>> batches = [(torch.ones(4, 2), torch.zeros(4, 1))]
        >>> stop = EarlyStopping(patience=3, min_delta=1e-3)
        >>> loss = torch.nn.functional.mse_loss
        >>> len(train(net, batches, optimizer, loss, epochs=50, callbacks=[stop]))
        5

    Notes:
        What to do follows from the history alone, and the best weights are kept in the checkpoint:
        a run that is killed and resumed stops at the same epoch, with the same weights. The
        checkpoint itself goes on from the last epoch, not from the best.

        A NaN is no improvement, and a warning says so where there was nothing else. The row from
        before training does not count.
    """

    monitor: str = "loss"
    patience: int = 10
    min_delta: float = 0.0
    maximise: bool | None = None
    restore_best: bool = False

    def __post_init__(self) -> None:
        require.text("monitor", self.monitor)
        require.integer("patience", self.patience, minimum=1)
        require.non_negative("min_delta", self.min_delta)
        if self.maximise is not None:
            require.flag("maximise", self.maximise)
        require.flag("restore_best", self.restore_best)
        self._best_epoch: int | None = None
        self._weights: dict[str, Tensor] = {}

    def on_epoch(self, state: TrainingState) -> None:
        """Keep the weights of an improvement, and stop if there was none for too long."""
        values = self._values(state.history)
        best = self._best(values)
        if self.restore_best and best == state.epoch:
            self._best_epoch = best
            self._weights = _copies(state.model)
        if state.epoch - best >= self.patience:
            state.stop()

    def on_end(self, state: TrainingState) -> None:
        """Put the best weights back, if they were asked for."""
        best = self._best(self._values(state.history))
        if not best and (state.stopped or self.restore_best):
            kept = "; the model keeps its last weights" if self.restore_best else ""
            warn(
                f"`monitor` {self.monitor!r} was no finite number in any of {state.epoch}"
                f" epochs, so that none could be an improvement{kept}.",
                stacklevel=2,
            )
        if not best or not self.restore_best or best == state.epoch:
            return
        if best != self._best_epoch:
            warn(
                f"`restore_best` has no weights of epoch {best}, the best by"
                f" `{self.monitor}`, which was over when this callback joined the run, or"
                " was never met: the model keeps its last weights.",
                stacklevel=2,
            )
            return
        with torch.no_grad():
            for name, value in state.model.state_dict().items():
                if name in self._weights:
                    value.copy_(self._weights[name])

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint is to keep."""
        return {"best_epoch": self._best_epoch, "weights": dict(self._weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept.

        Args:
            state: What ``state_dict`` returned.
        """
        self._best_epoch = state["best_epoch"]
        self._weights = dict(state["weights"])

    def _best(self, values: list[float]) -> int:
        """Return the epoch of the last improvement, from 1; 0 if there was none."""
        largest = self.maximise
        if largest is None:
            largest = self.monitor.endswith("accuracy")
        sign = -1.0 if largest else 1.0
        best, epoch = math.inf, 0
        for i, value in enumerate(values, start=1):
            # False for NaN.
            if sign * value < best - self.min_delta:
                best, epoch = sign * value, i
        return epoch

    def _values(self, rows: tuple[Mapping[str, float], ...]) -> list[float]:
        """Return the column without its first row, one number per epoch."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        if self.monitor not in columns:
            raise ValueError(_no_column(self.monitor, columns))
        by_epoch: dict[int, list[float]] = {}
        for row in rows:
            value = float(row.get(self.monitor, math.nan))
            by_epoch.setdefault(int(row["epoch"]), []).append(value)
        del by_epoch[0]
        return [_mean(values) for values in by_epoch.values()]


def _mean(values: list[float]) -> float:
    """Return the mean over the members of an ensemble that have not diverged."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _no_column(name: str, columns: list[str]) -> str:
    near = meant(name, columns)
    if near is not None:
        return f"`monitor` must be a column of the history; got {name!r}, did you mean {near!r}?"
    shown = ", ".join(columns[:_SHOWN])
    if len(columns) > _SHOWN:
        shown += f" and {len(columns) - _SHOWN} more"
    return f"`monitor` must be a column of the history, {shown}; got {name!r}."


def _copies(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of a model's parameters and buffers, where they lie."""
    copies = {}
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            copies[name] = value.detach().clone()
    return copies


class CSVLogger:
    """Write the history to a CSV file after every epoch, so that it can be read meanwhile.

    Args:
        path: The file, which is replaced as a whole.

    Raises:
        TypeError: If ``path`` is no path.

    Example:
        >>> import tempfile, torch
        >>> from daleml.training import train
        >>> net = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(net.parameters(), 0.0)
        >>> batches = [(torch.zeros(4, 2), net(torch.zeros(4, 2)).detach())]
        >>> loss = torch.nn.functional.mse_loss
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = CSVLogger(f"{folder}/history.csv")
        ...     _ = train(net, batches, optimizer, loss, trackers={}, callbacks=[log])
        ...     print(log.path.read_text().split())
        ['epoch,loss', '0,', '1,0.0']
    """

    def __init__(self, path: str | Path) -> None:
        self.path = require.path("path", path)

    def on_epoch(self, state: TrainingState) -> None:
        """Write the rows so far."""
        rows = state.history
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            cells = (row.get(name, math.nan) for name in columns)
            # As pandas writes them, and reads them back; NaN alone is not itself.
            writer.writerow(["" if cell != cell else cell for cell in cells])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write_text(self.path, text.getvalue())


class TensorBoard:
    """Log the history and the learning rates for TensorBoard, after every epoch.

    Args:
        folder: Where TensorBoard looks for them: ``tensorboard --logdir <folder>``.

    Raises:
        ImportError: If TensorBoard is not installed.
        TypeError: If ``folder`` is no path.

    Example:
        >>> import tempfile, torch
        >>> from daleml.training import train
        >>> net = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(net.parameters(), 0.1)
        >>> batches = [(torch.rand(4, 2), torch.rand(4, 1))]
        >>> loss = torch.nn.functional.mse_loss
        >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
        ...     train(net, batches, optimizer, loss, callbacks=[TensorBoard(folder)])

    Notes:
        Every column of the history is a scalar of its name, over epochs, and every group of
        parameters has its rate as ``lr/<its first parameter>``. A resumed run logs into the same
        folder; what the killed one had logged of later epochs is not shown.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = require.path("folder", folder)
        if importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "`TensorBoard` needs the package tensorboard: pip install tensorboard."
            )
        self._writer: Any = None
        self._logged = 0

    def on_epoch(self, state: TrainingState) -> None:
        """Log what is new in the history."""
        rows = state.history
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            resumed = state.epoch > 1
            first = state.epoch if resumed else 0
            self._logged = len([row for row in rows if row["epoch"] < first])
            self._writer = SummaryWriter(str(self.folder), purge_step=first)
        # An ensemble has a row for each of its models, by seed or by name.
        several = len(rows) > state.epoch + 1
        for row in rows[self._logged :]:
            name = row.get("model", f"seed {row['seed']:g}" if "seed" in row else "")
            self._log(f"{name}/" if several else "", row)
        self._logged = len(rows)
        for name, rate in _rates(state.model, state.optimizer):
            self._writer.add_scalar(f"lr/{name}", rate, state.epoch)
        self._writer.flush()

    def on_end(self, state: TrainingState) -> None:
        """Close the file of events."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _log(self, prefix: str, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name not in ("epoch", "seed", "model") and not math.isnan(value):
                self._writer.add_scalar(prefix + name, value, int(row["epoch"]))


def _rates(model: nn.Module, optimizer: Optimizer) -> list[tuple[str, float]]:
    """Return the rate of each group, by the name of its first parameter."""
    names = {id(value): name for name, value in model.named_parameters()}
    rates = []
    for i, group in enumerate(optimizer.param_groups):
        first = names.get(id(group["params"][0])) if group["params"] else None
        rates.append((first or f"group {i}", float(group["lr"])))
    return rates
