"""The loss of each model of an ensemble, from outputs that lie side by side."""

from __future__ import annotations

import dis
import operator
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils import _pytree as pytree

Loss = Callable[[Any, Any], Tensor]


def losses_of(loss: Loss, outputs: Any, targets: Any, n: int, *, each: bool) -> Tensor:
    """Return the loss of each model, (models,).

    Args:
        loss: ``loss(outputs, targets)`` of one model, a scalar.
        outputs: Outputs of all models, (models, ...).
        targets: What all should answer; or of each, (models, ...).
        n: Number of models.
        each: Whether each has targets of its own.

    Raises:
        ValueError: If the loss is no scalar.
    """
    if isinstance(outputs, Tensor) and isinstance(targets, Tensor) and not each:
        kind = _KNOWN.get(type(loss))
        # Not all that can be called can be looked up.
        if isinstance(loss, FunctionType):
            kind = _KNOWN_FUNCTIONS.get(loss)
        found = None if kind is None else kind(loss, outputs, targets)
        if found is not None:
            return found
    try:
        losses = torch.func.vmap(
            loss, in_dims=(0, 0 if each else None), randomness="different"
        )(outputs, targets)
    except Exception:
        # Where the loss itself is at fault, computing one alone says so in its own words.
        losses = None
    if losses is None:
        values = []
        for k in range(n):
            own = _of_one(targets, k) if each else targets
            values.append(loss(_of_one(outputs, k), own))
        losses = torch.stack(values)
    if losses.numel() != n:
        raise ValueError(
            "`loss` must return a tensor of one number for each model; got shape"
            f" {tuple(losses.shape[1:])}."
        )
    return losses.reshape(n)


def require_of_one(loss: Any, ensemble: nn.Module) -> None:
    """Raise if a loss reads the ensemble itself, and so counts all models in the loss of each.

    Raises:
        ValueError: If it does.
    """
    if any(one is ensemble for one in _read_by(loss)):
        raise ValueError(
            "`loss` must read outputs and targets alone; this one reads the ensemble, and"
            " would count the weights of all models in the loss of each: use the"
            " optimiser's `weight_decay`, or add a penalty to `losses(...).sum()` yourself."
        )


def _read_by(loss: Any) -> Iterator[Any]:
    """Yield the objects that a function takes from around it."""
    if isinstance(loss, partial):
        yield from (*loss.args, *loss.keywords.values())
        yield from _read_by(loss.func)
    if isinstance(loss, MethodType):
        yield loss.__self__
        yield from _read_by(loss.__func__)
    if isinstance(loss, FunctionType):
        # Of functions and comprehensions within it, too.
        codes = [loss.__code__]
        for code in codes:
            codes += [one for one in code.co_consts if isinstance(one, CodeType)]
            for step in dis.get_instructions(code):
                if step.opname == "LOAD_GLOBAL":
                    yield loss.__globals__.get(step.argval)
        for cell in loss.__closure__ or ():
            with suppress(ValueError):  # it is empty as yet
                yield cell.cell_contents
        yield from loss.__defaults__ or ()
    elif not isinstance(loss, type):
        yield from getattr(loss, "__dict__", {}).values()


def _of_one(outputs: Any, k: int) -> Any:
    return pytree.tree_map_only(Tensor, operator.itemgetter(k), outputs)


def _cross_entropy(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Return cross entropies of classes as ``torch`` has them by default."""
    if outputs.ndim != 3 or targets.ndim != 1 or targets.is_floating_point():
        return None
    options = getattr(loss, "__dict__", {})
    plain = options.get("reduction", "mean") == "mean"
    if (
        not plain
        or options.get("label_smoothing", 0)
        or getattr(loss, "weight", None) is not None
    ):
        return None
    n, n_rows = outputs.shape[:2]
    if len(targets) != n_rows or not n_rows:
        return None
    ignored = options.get("ignore_index", -100)
    per_row = functional.cross_entropy(
        outputs.reshape(n * n_rows, -1),
        targets.expand(n, -1).reshape(-1),
        reduction="none",
        ignore_index=ignored,
    )
    means: Tensor = per_row.view(n, n_rows).sum(1) / (targets != ignored).sum()
    return means


def _squared_error(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Return mean squared errors."""
    if getattr(loss, "reduction", "mean") != "mean":
        return None
    if outputs.shape[1:] != targets.shape or not targets.numel():
        return None
    return (outputs - targets).square().flatten(1).mean(1)


def _binary_cross_entropy(loss: Any, outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Return binary cross entropies of logits."""
    weights = [getattr(loss, name, None) for name in ("weight", "pos_weight")]
    plain = getattr(loss, "reduction", "mean") == "mean" and weights == [None, None]
    if not plain or outputs.shape[1:] != targets.shape or not targets.numel():
        return None
    each = functional.binary_cross_entropy_with_logits(
        outputs, targets.expand_as(outputs), reduction="none"
    )
    return each.flatten(1).mean(1)


_KNOWN: dict[type, Callable[..., Tensor | None]] = {
    nn.CrossEntropyLoss: _cross_entropy,
    nn.MSELoss: _squared_error,
    nn.BCEWithLogitsLoss: _binary_cross_entropy,
}
_KNOWN_FUNCTIONS: dict[Any, Callable[..., Tensor | None]] = {
    functional.cross_entropy: _cross_entropy,
    functional.mse_loss: _squared_error,
    functional.binary_cross_entropy_with_logits: _binary_cross_entropy,
}
