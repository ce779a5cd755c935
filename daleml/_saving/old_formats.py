"""Reading of checkpoints of format 1, which kept no types.

Types come from what lies in the same place of the run that goes on. Keys of mappings were
strings, sequences were lists, and the first of these checkpoints had no digest.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import Tensor

from daleml._saving.saved_run import Run, Saved

_TENSOR = "tensor"


def read(
    content: dict[str, Any],
    model: dict[str, Tensor],
    tensors: dict[str, Tensor],
    run: Run,
) -> Saved:
    """Return what a checkpoint of format 1 holds.

    Raises:
        KeyError, TypeError, ValueError: If it is damaged.
    """
    optimizer = _put_tensors(content["optimizer"], tensors)
    optimizer["state"] = {int(key): state for key, state in optimizer["state"].items()}
    # The first checkpoints named their tensors by parameter and key alone.
    if "classes" not in content:
        _add_named(optimizer["state"], tensors)
    optimizer["param_groups"] = [_tuples(group) for group in optimizer["param_groups"]]
    scheduler = content["scheduler"]
    if scheduler is not None and run.scheduler is not None:
        scheduler = _like(_put_tensors(scheduler, tensors), run.scheduler.state_dict())
    classes = run.classes()
    if (content["scheduler"] is None) != (run.scheduler is None):
        there = "no scheduler" if content["scheduler"] is None else "a scheduler"
        classes = [classes[0], there]
    return Saved(
        epoch=content["epoch"],
        history=content["history"],
        classes=content.get("classes", classes),
        model=dict(model),
        optimizer=optimizer,
        scheduler=scheduler,
        random=tensors,
        python_random=content["python_random"],
    )


def _add_named(state: dict[int, dict[str, Any]], tensors: dict[str, Tensor]) -> None:
    for name, value in tensors.items():
        parameter, _, key = name.partition(".")
        if parameter.isdigit():
            state[int(parameter)][key] = value


def _put_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _put_tensors(item, tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_tensors(item, tensors) for item in value]
    return value


def _tuples(group: dict[str, Any]) -> dict[str, Any]:
    """Make tuples of a group's sequences: only ``params`` is a list."""
    made = dict(group)
    for key, value in group.items():
        if isinstance(value, list) and key != "params":
            made[key] = tuple(value)
    return made


def _like(saved: Any, here: Any) -> Any:
    """Return a value with the types of one that lies in the same place."""
    if isinstance(here, Counter) and isinstance(saved, dict):
        # The milestones of a MultiStepLR.
        return Counter({int(key): count for key, count in saved.items()})
    if isinstance(here, dict) and isinstance(saved, dict):
        keys = {str(key): key for key in here}
        made = {}
        for text, item in saved.items():
            key = keys.get(text, text)
            made[key] = _like(item, here.get(key))
        return made
    if isinstance(here, (list, tuple)) and isinstance(saved, list):
        items = [_like(a, b) for a, b in zip(saved, here, strict=False)]
        return type(here)(items + saved[len(here) :])
    return saved
