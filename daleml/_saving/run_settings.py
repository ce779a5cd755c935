"""Settings of a run as it began, in plain values, to compare with those of a resumed run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from daleml._saving.saved_run import Run
from daleml._saving.typed_json import name_of

_SHOWN = 3
"""A warning names this many settings before it counts the rest."""
_KEPT = ("optimizer", "scheduler")
"""A checkpoint brings the settings of these back. All else is as the resuming run was given it."""


def describe(run: Run) -> dict[str, Any]:
    """Return the settings of a run that has not begun."""
    groups = run.optimizer.state_dict()["param_groups"]
    options = [{**group} for group in groups]
    for group in options:
        del group["params"]
    state = {} if run.scheduler is None else run.scheduler.state_dict()
    # Without addresses, which differ from process to process.
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
    """Say which settings are not those that a checkpoint's run began with; empty if all are."""
    kept = _differences(_only(saved, kept=True), _only(given, kept=True))
    changed = _differences(_only(saved, kept=False), _only(given, kept=False))
    told = []
    if kept:
        told.append(f"goes on with what its run began with: {kept}")
    if changed:
        told.append(f"was begun with other settings than this run's: {changed}")
    return "; and it ".join(told)


def _only(settings: Mapping[str, Any], *, kept: bool) -> dict[str, Any]:
    """Return the settings that a checkpoint brings back, or all others."""
    return {name: settings[name] for name in settings if (name in _KEPT) == kept}


def _differences(saved: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    before = dict(_leaves(saved, ""))
    now = dict(_leaves(given, ""))
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
    if isinstance(value, Tensor) and value.numel() == 1:
        return _plain(value.detach().cpu().tolist())
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "__qualname__"):
        return name_of(value)
    return name_of(type(value))
