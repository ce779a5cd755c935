"""How a run was set when it began, in plain values, so that a resumed run can say what it was given otherwise."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from daleml._saving.saved_run import Run
from daleml._saving.typed_json import name_of

_SHOWN = 3
_KEPT = ("optimizer", "scheduler")
"""Whose settings a checkpoint brings back. All else is as the run that goes on was given it."""


def describe(run: Run) -> dict[str, Any]:
    """Return the settings of a run that has not begun."""
    groups = run.optimizer.state_dict()["param_groups"]
    options = [
        {key: value for key, value in group.items() if key != "params"}
        for group in groups
    ]
    state = {} if run.scheduler is None else run.scheduler.state_dict()
    model = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(run.model))
    return {
        "optimizer": _plain(options),
        "scheduler": _plain(state),
        "model": model.splitlines(),
        **{name: _plain(value) for name, value in run.settings.items()},
    }


def read(given: Any) -> dict[str, Any] | None:
    """Return the settings that a checkpoint holds; None if its run was not described.

    Raises:
        TypeError: If they are none.
    """
    if given is None:
        return None
    names = ("optimizer", "scheduler", "model")
    if not isinstance(given, dict) or not all(name in given for name in names):
        raise TypeError(f"its settings are {str(given)[:100]}")
    if not isinstance(given["optimizer"], list) or not isinstance(given["model"], list):
        raise TypeError("its settings of optimiser and model are no lists")
    return given


def differences(saved: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Return, in words, which settings are not those that a checkpoint's run began with.

    Empty if all are.
    """
    kept = _differences(
        *({name: each.get(name) for name in _KEPT} for each in (saved, given))
    )
    changed = _differences(
        *(
            {name: each[name] for name in each if name not in _KEPT}
            for each in (saved, given)
        )
    )
    told = [f"goes on with what its run began with: {kept}" if kept else ""]
    told.append(
        f"was begun with other settings than this run's: {changed}" if changed else ""
    )
    return "; and it ".join(filter(None, told))


def _differences(saved: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    before, now = dict(_leaves(saved, "")), dict(_leaves(given, ""))
    names = [name for name in before if name in now and before[name] != now[name]]
    shown = [f"`{name}` {before[name]!r}, not {now[name]!r}" for name in names[:_SHOWN]]
    if len(names) > _SHOWN:
        shown.append(f"and {len(names) - _SHOWN} more")
    return "; ".join(shown)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{path}.{i}")
    else:
        yield path, value


def _plain(value: Any) -> Any:
    """Return a value as strict JSON has it, for people to read: it is not put back from there."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Tensor):
        return (
            _plain(value.detach().cpu().tolist())
            if value.numel() == 1
            else f"a tensor {tuple(value.shape)}"
        )
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return name_of(value) if hasattr(value, "__qualname__") else name_of(type(value))
