"""Checks after each epoch that a model and its optimiser are finite and keep Dale's law."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from daleml import signs
from daleml._support.diverged import DivergedError
from daleml.law import DaleError


class Soundness:
    """A check of a model and its optimiser, to be made after every epoch.

    Args:
        model: The model, as it is before training: what is not finite now, such as a mask of
            -inf, may stay so.
        optimizer: Its optimiser.
        saved: Whether its weights are to be saved: lawless ones are an error then, and else one
            warning.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, *, saved: bool) -> None:
        self._model = model
        self._optimizer = optimizer
        self._saved = saved
        self._told = False
        # An attention mask of -inf, for example.
        self._exempt = {name for name, _ in _counts(_tensors(model))}

    def require(self, epoch: int) -> None:
        """Raise if training has gone wrong in an epoch.

        Raises:
            DivergedError: If a number is no longer finite.
            DaleError: If weights that are to be saved break Dale's law.
        """
        learnt = (item for item in _tensors(self._model) if item[0] not in self._exempt)
        for name, n in _counts(learnt):
            raise DivergedError(
                f"`model` must stay finite; `{name}` holds {n:,} NaN or infinite values"
                f" after epoch {epoch}.",
                epoch,
            )
        for name, n in _counts(self._moments()):
            raise DivergedError(
                f"`optimizer` must keep a finite state; {name} holds {n:,} NaN or"
                f" infinite values after epoch {epoch}.",
                epoch,
            )
        self._require_law(epoch)

    def _require_law(self, epoch: int) -> None:
        report = signs.check(self._model)
        if not report.violations:
            return
        broken = (
            f"{report.n_violations:,} synapses break Dale's law after epoch {epoch}"
        )
        advice = (
            "let `optim.enforce(optimizer, model)` guard it, or train with `optim.EG`"
        )
        # No step was taken yet, so a guard of the optimiser would come too late.
        if epoch == 0:
            broken = (
                f"{report.n_violations:,} synapses break Dale's law before training"
            )
            advice = "call `signs.project_(model)` first"
        # Loading would refuse such a checkpoint.
        if self._saved:
            raise DaleError(f"`model` must be lawful to be saved; {broken}: {advice}.")
        if not self._told:
            self._told = True
            warnings.warn(f"{broken}: {advice}.", stacklevel=5)

    def _moments(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the tensors of the optimiser's state, with names for an error."""
        names: dict[Any, str] = {
            parameter: name for name, parameter in self._model.named_parameters()
        }
        for key, state in self._optimizer.state.items():
            owner = str(key)
            if isinstance(key, Tensor):
                owner = names.get(key, "a parameter")
            for path, value in _nested(state, ""):
                yield f"{path or 'that'} of `{owner}`", value


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            yield name, value


def _nested(value: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _nested(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _nested(item, f"{path}.{i}")


@torch.no_grad()
def _counts(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, int]]:
    """Yield the names of tensors that are not finite, with how many of their values are not.

    The counts of a device are read all at once, since each reading waits for the device.
    """
    waiting: dict[torch.device, list[tuple[str, Tensor]]] = {}
    for name, value in tensors:
        if not _has_values(value):
            continue
        n = value.numel() - value.isfinite().sum()
        if not n.is_cpu:
            waiting.setdefault(n.device, []).append((name, n))
        elif n:
            yield name, int(n)
    for found in waiting.values():
        counts = torch.stack([n for _, n in found]).cpu().tolist()
        for (name, _), n in zip(found, counts, strict=True):
            if n:
                yield name, n


def _has_values(value: Tensor) -> bool:
    """Whether a tensor has numbers that may be infinite, and that can be looked at."""
    if nn.parameter.is_lazy(value) or value.is_meta:
        return False
    # Sparse and quantised tensors have no `isfinite`.
    if value.layout != torch.strided or value.is_quantized:
        return False
    return value.is_floating_point() or value.is_complex()
