"""Checks that an optimiser trains the parameters whose signs are fixed, in every process alike."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

from daleml._signs import facts, parameter_lookup, verification
from daleml._support import stacked_models
from daleml.optim import step_guards

_SHOWN = 8
"""An error names this many parameters before it counts the rest."""


def require_signed_trained(
    optimizers: Sequence[Any], model: nn.Module, *, partial: bool
) -> None:
    """Raise if optimisers train none of the parameters whose signs are fixed, or miss some.

    One that is frozen may be missed.

    Raises:
        ValueError: If so.
    """
    trained = step_guards.trained_by(optimizers)
    trained = stacked_models.with_slices(model, trained)
    found = 0
    missed = []
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
        names = ", ".join(missed[:_SHOWN])
        if len(missed) > _SHOWN:
            names += f" and {len(missed) - _SHOWN:,} more"
        raise ValueError(
            "`optimizer` must train every parameter of `model` whose signs are fixed; got"
            f" {kind}, which misses {names}: give"
            " `partial=True` if another optimiser trains them, or none."
        )


def warn_of_draws(model: nn.Module) -> None:
    """Warn where each of several processes keeps the synapses that it drew itself.

    ``DistributedDataParallel`` sends buffers, and so masks, from the first process to the others,
    unless it is told not to.
    """
    # Wrappers are known by what they have: importing torch.distributed takes a while.
    wrappers: list[Any] = [
        module for module in model.modules() if hasattr(module, "process_group")
    ]
    alone = any(
        getattr(wrapper, "broadcast_buffers", True) is False
        and wrapper.process_group.size() > 1
        for wrapper in wrappers
    )
    if not alone:
        return
    for one in verification.fixed(model):
        record = facts.record(one.module, one.own)
        if record is not None and record.drawn:
            warnings.warn(
                "`model` has synapses drawn at random, and"
                " DistributedDataParallel(broadcast_buffers=False) does not send them from"
                " process to process: draw them from one seed in all, or leave"
                " `broadcast_buffers` as it is.",
                stacklevel=3,
            )
            return
