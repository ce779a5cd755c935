"""Checkpoints of format 1, which kept no types.

They come from what lies in the same place of the run that goes on.

Keys of mappings were strings, sequences lists, and the first of them had no digest.
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
    if (
        "classes" not in content
    ):  # the first checkpoints named their tensors by parameter and key alone
        _add_named(optimizer["state"], tensors)
    optimizer["param_groups"] = [_tuples(group) for group in optimizer["param_groups"]]
    scheduler = content["scheduler"]
    if scheduler is not None and run.scheduler is not None:
        scheduler = _like(_put_tensors(scheduler, tensors), run.scheduler.state_dict())
    classes = run.classes()
    if (content["scheduler"] is None) != (run.scheduler is None):
        classes = [
            classes[0],
            "no scheduler" if content["scheduler"] is None else "a scheduler",
        ]
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
    return (
        [_put_tensors(item, tensors) for item in value]
        if isinstance(value, list)
        else value
    )


def _tuples(group: dict[str, Any]) -> dict[str, Any]:
    """Make tuples of a group's sequences: only ``params`` is a list."""
    return {
        key: tuple(value) if isinstance(value, list) and key != "params" else value
        for key, value in group.items()
    }


def _like(saved: Any, here: Any) -> Any:
    """Return a value with the types of one that lies in the same place."""
    if isinstance(here, Counter) and isinstance(saved, dict):
        return Counter({int(key): count for key, count in saved.items()})  # milestones
    if isinstance(here, dict) and isinstance(saved, dict):
        keys = {str(key): key for key in here}
        return {
            keys.get(key, key): _like(item, here.get(keys.get(key, key)))
            for key, item in saved.items()
        }
    if isinstance(here, (list, tuple)) and isinstance(saved, list):
        items = [_like(a, b) for a, b in zip(saved, here, strict=False)] + saved[
            len(here) :
        ]
        return type(here)(items)
    return saved
