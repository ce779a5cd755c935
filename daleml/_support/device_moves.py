"""Moves of data to the device on which a model lies."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

_WAITS_NOT = ("cpu", "mps")
"""Copies to these devices are waited for: a later read would otherwise meet half of them."""


def device_of(model: nn.Module) -> torch.device | None:
    """Return the device of all parameters and buffers, or None if there are several, or none.

    A model that is spread over devices, or kept on one to be computed on another, knows itself
    where its inputs belong.
    """
    found: torch.device | None = None
    for value in chain(model.parameters(), model.buffers()):
        if found is None:
            found = value.device
        elif value.device != found:
            return None
    if found is None or found.type == "meta":
        return None
    return found


def moved(value: Any, device: torch.device) -> Any:
    """Return a tensor, or whatever holds tensors, on a device; all else as it is.

    What holds tensors is a mapping, a list or a tuple, also of others of them, or has a method
    ``to(device)``, as ``Trials`` and ``PackedSequence`` have.
    """
    if isinstance(value, Tensor):
        if value.device == device:
            return value
        # Without waiting, the copy runs beside what the device computes.
        return value.to(device, non_blocking=device.type not in _WAITS_NOT)
    if callable(getattr(value, "to", None)):
        return _moved_by_itself(value, device)
    if isinstance(value, Mapping):
        return _like(value, {key: moved(item, device) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return _like(value, [moved(item, device) for item in value])
    return value


def _moved_by_itself(value: Any, device: torch.device) -> Any:
    where = getattr(value, "device", None)
    if isinstance(value, PackedSequence):
        where = value.data.device
    # On the CPU, a quantity with a unit may stand here, whose `to` takes other units.
    if where == device or (where is None and device.type == "cpu"):
        return value
    there: Any = value
    return there.to(device)


def _like(value: Any, items: Any) -> Any:
    """Return the items as a container of the kind that they came in."""
    kept = items if isinstance(items, dict) else dict(enumerate(items))
    if all(value[key] is item for key, item in kept.items()):
        return value
    # A named tuple takes its fields one by one.
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*items)
    if type(value) in (dict, list, tuple):
        return type(value)(items)
    try:
        return type(value)(items)
    except TypeError:
        return items


def moved_pair(x: Any, targets: Any, device: torch.device) -> tuple[Any, Any]:
    """Return inputs and targets on a device; inputs that the targets hold stay the same."""
    there = moved(targets, device)
    # A batch of a task is its inputs, and trials that hold them.
    if there is not targets and getattr(targets, "inputs", None) is x:
        return there.inputs, there
    return moved(x, device), there
