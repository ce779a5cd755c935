"""Whether an optimiser trains the parameters of a model whose signs are fixed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

from daleml._signs import facts, parameter_lookup, verification
from daleml.optim import step_guards

_SHOWN = 8


def require_signed_trained(
    optimizers: Sequence[Any], model: nn.Module, *, partial: bool
) -> None:
    """Raise if optimisers train none of the parameters whose signs are fixed, or miss some that learn.

    Raises:
        ValueError: If so.
    """
    trained = step_guards.trained_by(optimizers)
    found, missed = 0, []
    for one in verification.fixed(model):
        parts = parameter_lookup.trained(one.module, one.own)
        if any(id(part) in trained for part in parts):
            found += 1
        elif any(part.requires_grad for part in parts):
            missed.append(one.name)
    kind = type(optimizers[0]).__name__
    if not found:
        raise ValueError(
            "`optimizer` must train a parameter of `model` whose signs are fixed; got"
            f" {kind}, which trains none of them: build it from `model.parameters()` of the"
            " same object."
        )
    if missed and not partial:
        hidden = f" and {len(missed) - _SHOWN:,} more" if len(missed) > _SHOWN else ""
        raise ValueError(
            "`optimizer` must train every parameter of `model` whose signs are fixed; got"
            f" {kind}, which misses {', '.join(missed[:_SHOWN])}{hidden}: give"
            " `partial=True` if another optimiser trains them, or none."
        )


def warn_of_draws(model: nn.Module) -> None:
    """Warn where each of several processes has drawn its own synapses, and none sends them to the others."""
    modules: list[Any] = [
        module for module in model.modules() if hasattr(module, "process_group")
    ]
    alone = any(
        getattr(module, "broadcast_buffers", True) is False
        and module.process_group.size() > 1
        for module in modules
    )
    records = (facts.record(one.module, one.own) for one in verification.fixed(model))
    if alone and any(record is not None and record.drawn for record in records):
        warnings.warn(
            "`model` has synapses drawn at random, and"
            " DistributedDataParallel(broadcast_buffers=False) does not send them from"
            " process to process: draw them from one seed in all, or leave"
            " `broadcast_buffers` as it is.",
            stacklevel=3,
        )
