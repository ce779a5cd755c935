"""Checks of what ``train`` is given, made before it begins: one sentence per slip."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from daleml._signs import scaled_learning

_READ_ONCE = ("builtins", "itertools")
"""Iterators of these modules can be read once. One of a user's own class may well begin anew."""
_SHOWN = 4
"""A warning names this many parameters before it counts the rest."""


def require_parameters(model: nn.Module, optimizer: Optimizer) -> None:
    """Raise if the optimiser trains nothing of the model, and warn if it leaves something out.

    What is frozen may be left out.

    Raises:
        ValueError: If they share no parameter.
    """
    trained: set[int] = set()
    for group in optimizer.param_groups:
        trained.update(map(id, group["params"]))
    named = dict(model.named_parameters())
    if not any(id(parameter) in trained for parameter in named.values()):
        raise ValueError(
            "`optimizer` must train parameters of `model`; it holds none of them: make it"
            " from this model's parameters after the last change to the model."
        )
    missed = []
    for name, parameter in named.items():
        if parameter.requires_grad and id(parameter) not in trained:
            missed.append(f"`{name}`")
    if missed:
        shown = ", ".join(missed[:_SHOWN])
        if len(missed) > _SHOWN:
            shown += f" and {len(missed) - _SHOWN} more"
        warnings.warn(
            f"`optimizer` leaves out {len(missed)} of the {len(named)} parameters of"
            f" `model`, {shown}, which will not learn: call requires_grad_(False) on"
            " what is meant to stay.",
            stacklevel=4,
        )
    _warn_of_factors(model, optimizer)


def _warn_of_factors(model: nn.Module, optimizer: Optimizer) -> None:
    """Warn if synapses are to learn by factors, and no guard is there to apply them."""
    scaled = next(scaled_learning.scaled_weights(model), None)
    if scaled is not None and not vars(optimizer).get("_dale_guards"):
        warnings.warn(
            f"`optimizer` is not guarded, so the factors on what synapses of `{scaled[0]}`"
            " learn (`lr_scale`) do nothing: call `optim.enforce(optimizer, model)`.",
            stacklevel=5,
        )


def require_batches(batches: Any, epochs: int) -> None:
    """Raise if batches cannot be read anew every epoch.

    Raises:
        TypeError: If they are no batches at all.
        ValueError: If they can be read once, and there are several epochs.
    """
    if isinstance(batches, type):
        raise TypeError(
            f"`batches` must be an object; got the class {batches.__name__}: call it first."
        )
    # What a function returns can be judged only when it is called, in each epoch.
    if callable(batches):
        return
    # These can be iterated over, too, but not in pairs.
    wrong = isinstance(batches, (str, bytes, Mapping, Tensor))
    if wrong or not (isinstance(batches, Iterable) or hasattr(batches, "__getitem__")):
        raise TypeError(
            "`batches` must be a list of pairs, a DataLoader, or a function of the epoch's"
            f" number; got {type(batches).__name__}."
        )
    read_once = hasattr(batches, "__next__") and type(batches).__module__ in _READ_ONCE
    if epochs > 1 and read_once:
        raise ValueError(
            f"`batches` must be read anew in each of the {epochs} epochs; got a"
            f" {type(batches).__name__}, which can be read once: give a list, a DataLoader,"
            " or a function of the epoch's number."
        )


def require_loss(loss: Any) -> None:
    """Raise unless ``loss`` can be called with outputs and targets."""
    if isinstance(loss, type):
        raise TypeError(
            "`loss` must be a function of outputs and targets; got the class"
            f" {loss.__name__}: call it first."
        )
    if not callable(loss):
        raise TypeError(
            "`loss` must be a function of outputs and targets, such as"
            f" torch.nn.functional.cross_entropy; got {loss!r}."
        )


def require_scheduler(scheduler: Any, optimizer: Optimizer) -> None:
    """Raise unless ``scheduler`` sets the learning rates of ``optimizer``."""
    if scheduler is None:
        return
    got = type(scheduler).__name__
    if isinstance(scheduler, type):
        got = f"the class {scheduler.__name__}"
    if isinstance(scheduler, type) or not callable(getattr(scheduler, "step", None)):
        raise TypeError(
            "`scheduler` must be a scheduler of torch.optim.lr_scheduler, or one like"
            f" them; got {got}."
        )
    if isinstance(scheduler, LRScheduler) and scheduler.optimizer is not optimizer:
        raise ValueError(
            "`scheduler` must be one of `optimizer`; it was made for another optimiser."
        )


def require_folder(checkpoint: Any, scheduler: Any) -> None:
    """Raise unless ``checkpoint`` is a path, and the scheduler can be saved there."""
    if checkpoint is None:
        return
    if not isinstance(checkpoint, (str, os.PathLike)) or not os.fspath(checkpoint):
        raise TypeError(
            f"`checkpoint` must be the path of a folder; got {checkpoint!r}."
        )
    for name in ("state_dict", "load_state_dict"):
        if scheduler is not None and not callable(getattr(scheduler, name, None)):
            raise TypeError(
                f"`scheduler` must have {name} to be kept in a checkpoint;"
                f" {type(scheduler).__name__} has none."
            )


def require_trackers(trackers: Any) -> None:
    """Raise unless ``trackers`` are functions by name."""
    if not isinstance(trackers, Mapping):
        raise TypeError(
            "`trackers` must map names to functions of the model; got"
            f" {type(trackers).__name__}."
        )
    for name, tracker in trackers.items():
        if not isinstance(name, str) or not callable(tracker):
            raise TypeError(
                f"`trackers` must map names to functions of the model; got {tracker!r} for"
                f" {name!r}."
            )


def pair(batch: Any) -> tuple[Any, Any]:
    """Return inputs and targets of a batch, or raise."""
    if not (isinstance(batch, (tuple, list)) and len(batch) == 2):
        raise ValueError(
            f"`batches` must yield pairs of inputs and targets; got {type(batch).__name__}."
        )
    inputs, targets = batch
    # A tensor of no dimensions has the method `__len__`, which raises.
    single = isinstance(targets, Tensor) and not targets.ndim
    if single or not hasattr(targets, "__len__"):
        raise ValueError(
            f"`batches` must yield targets that have a length; got {_form(targets)}."
        )
    return inputs, targets


def n_examples(targets: Any) -> int:
    """Return how many examples targets are of: of several in a tuple or mapping, the first's."""
    if isinstance(targets, Tensor):
        return len(targets)
    if isinstance(targets, PackedSequence):
        return int(targets.batch_sizes[0])
    several: list[Any] = []
    if isinstance(targets, tuple):
        several = list(targets)
    elif isinstance(targets, Mapping):
        several = list(targets.values())
    if several and isinstance(several[0], Tensor) and several[0].ndim:
        return len(several[0])
    return len(targets)


def scalar(value: Any) -> Tensor:
    """Return what a loss function returned, or raise if it cannot be descended."""
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise ValueError(
            f"`loss` must return a tensor of one number; got {_form(value)}."
        )
    if not value.requires_grad:
        raise ValueError(
            "`loss` must depend on what `model` learns; what it returned has no gradient."
        )
    return value


def _form(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return type(value).__name__


def describe_batches(batches: Any) -> Any:
    """Return what is known of batches in plain values, for a checkpoint to compare, or None."""
    described: dict[str, Any] = {}
    for name in ("batch_size", "seed", "drop_last"):
        value = getattr(batches, name, None)
        if isinstance(value, (bool, int)):
            described[name] = value
    for name, source in (
        ("n_batches", batches),
        ("n_examples", getattr(batches, "inputs", None)),
    ):
        if source is None:
            continue
        try:
            described[name] = len(source)
        except TypeError:
            # A generator, or a loader that does not know.
            continue
    return described or None
