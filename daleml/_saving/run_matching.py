"""Checks that a checkpoint belongs to a run, made before anything of the run is changed."""

from __future__ import annotations

import math
import numbers
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daleml._saving.saved_run import Run, Saved

_KNOWN = ("torch.", "daleml.")
"""The state of classes of these packages is known to keep its form. A stranger's may change."""


_SHOWN = 4
"""An error names this many parameters before it counts the rest."""
_MOMENTS = (
    "exp_avg",
    "exp_avg_sq",
    "max_exp_avg_sq",
    "momentum_buffer",
    "master",
    "square_avg",
    "sum",
)
"""What optimisers call the parts of their state that have a parameter's shape."""
_ALWAYS_KEPT = ("lr", "lr_scale", "role", "euclidean")
"""What a saved group of parameters has wherever the group of this run has it."""


class MismatchError(ValueError):
    """Raised for what cannot be of this run, with the reason."""


def require_match(saved: Saved, run: Run) -> None:
    """Raise unless a checkpoint belongs to a run, as far as can be told without loading it.

    Raises:
        MismatchError: If it does not.
    """
    _require_history(saved)
    _require_model(saved.model, run.model)
    _require_groups(saved, run)
    _require_state(saved.optimizer["state"], run)
    if run.scheduler is not None:
        _require_scheduler(saved.scheduler, run)


def _require_history(saved: Saved) -> None:
    epoch, rows = saved.epoch, saved.history
    if type(epoch) is not int or epoch < 0:
        raise MismatchError(f"its epoch is {epoch!r}")
    n_rows = len(rows) if isinstance(rows, list) else 0
    # An ensemble has a row for each member, epoch by epoch.
    if not n_rows or n_rows % (epoch + 1):
        raise MismatchError(
            f"its history has not the {epoch + 1} rows of {epoch} epochs"
        )
    n_members = n_rows // (epoch + 1)
    for i, row in enumerate(rows):
        right = isinstance(row, dict) and type(row.get("epoch")) is int
        right = right and row["epoch"] == i // n_members
        # A member that was there already has a name; all else is a number.
        right = right and isinstance(row.get("model", ""), str)
        if not right or not all(
            _is_number(value) for name, value in row.items() if name != "model"
        ):
            raise MismatchError(
                f"row {i} of its history is not one of epoch {i // n_members}"
            )


def _require_model(saved: dict[str, Any], model: nn.Module) -> None:
    """Compare precisions: torch compares names and shapes, and casts without a word."""
    for name, here in model.state_dict().items():
        there = saved.get(name)
        if not isinstance(there, Tensor) or not isinstance(here, Tensor):
            continue
        # A mask may be kept as another type of whole numbers.
        both_exact = _is_exact(there) and _is_exact(here)
        if there.dtype == here.dtype or both_exact:
            continue
        raise MismatchError(
            f"`{name}` is of {there.dtype} in it and of {here.dtype} in this model"
        )


def _is_exact(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex()


# -- the optimiser ---------------------------------------------------------------------------------


def _require_groups(saved: Saved, run: Run) -> None:
    groups = saved.optimizer["param_groups"]
    live = run.optimizer.state_dict()["param_groups"]
    if not isinstance(groups, list) or len(groups) != len(live):
        raise MismatchError(f"its optimiser has not {len(live)} groups of parameters")
    names = run.parameter_names()
    if saved.parameters is not None and saved.parameters != names:
        raise MismatchError(_first_difference(saved.parameters, names))
    for i, (group, here) in enumerate(zip(groups, live, strict=True)):
        if not isinstance(group, dict) or group.get("params") != here["params"]:
            raise MismatchError(f"group {i} of its optimiser holds other parameters")
        where = f"group {i} of its optimiser"
        # Format 1 knows no names of parameters, and may lack what later versions wrote.
        keys = ["lr"] if saved.parameters is None else _ALWAYS_KEPT
        expected = {key for key in keys if key in here} | _options_begun(saved, i)
        missing = sorted(expected - set(group))
        if missing:
            raise MismatchError(f"{where} has no {missing[0]}")
        for key in ("role", "euclidean"):
            if key in group and key in here and group[key] != here[key]:
                raise MismatchError(
                    f"{where} has {key} {group[key]!r}, not {here[key]!r}"
                )
        _require_options(group, here, where, _is_known(run.optimizer))
        if _is_known(run.optimizer):
            _try_options(run, i, group)


def _options_begun(saved: Saved, i: int) -> set[str]:
    """Return the options that a group had when its run began, as far as that was described."""
    if saved.given is None or i >= len(saved.given["optimizer"]):
        return set()
    options = saved.given["optimizer"][i]
    if not isinstance(options, dict):
        raise MismatchError(f"its settings of group {i} are {str(options)[:100]}")
    return set(options)


def _first_difference(saved: Any, names: list[list[str | None]]) -> str:
    for i, here in enumerate(names):
        there = None
        if isinstance(saved, list) and i < len(saved):
            there = saved[i]
        if there != here:
            return f"group {i} of its optimiser holds {_listed(there)}, not {_listed(here)}"
    return "its optimiser holds other parameters"


def _listed(names: Any) -> str:
    if not isinstance(names, list):
        return "nothing"
    shown = ", ".join(map(str, names[:_SHOWN]))
    if len(names) > _SHOWN:
        return f"{shown} and {len(names) - _SHOWN} more"
    return shown


def _require_options(
    group: Mapping[str, Any], here: Mapping[str, Any], where: str, known: bool
) -> None:
    for key, value in here.items():
        if key == "params" or key not in group:
            continue
        there = group[key]
        if known and there is None and _is_count_or_rate(value):
            raise MismatchError(f"{key} of {where} is None, not a number")
        if known or key == "lr":
            _require_like(there, value, f"{key} of {where}")
        if key in ("lr", "initial_lr", "lr_scale") and not _at_least(there, 0):
            raise MismatchError(f"{key} of {where} is {there!r}, below 0 or no number")


def _try_options(run: Run, i: int, group: dict[str, Any]) -> None:
    """Let the optimiser's own constructor judge the saved options, on a single number."""
    kind = type(run.optimizer)
    live = run.optimizer.param_groups[i]
    # Of as many dimensions as the group's own: some optimisers take matrices alone.
    n_dims = live["params"][0].ndim if live["params"] else 1
    number = nn.Parameter(torch.ones((1,) * n_dims))
    try:
        trial = kind([number], **_taken(kind, live))
    except (TypeError, ValueError):
        # This optimiser cannot be made from its options alone.
        return
    try:
        trial.load_state_dict({"state": {}, "param_groups": [{**group, "params": [0]}]})
        kind([number], **_taken(kind, trial.param_groups[0]))
    # An optimiser may raise anything for options that are none.
    except Exception as error:
        raise MismatchError(
            f"group {i} of its optimiser has wrong options: {error}"
        ) from None


def _taken(kind: type, group: Mapping[str, Any]) -> dict[str, Any]:
    import inspect

    parameters = set(inspect.signature(kind).parameters) - {"params"}
    return {key: value for key, value in group.items() if key in parameters}


def _require_state(state: Any, run: Run) -> None:
    if not isinstance(state, dict):
        raise MismatchError("the state of its optimiser is no mapping")
    parameters: list[Tensor] = []
    for group in run.optimizer.param_groups:
        parameters += group["params"]
    for key, values in state.items():
        if type(key) is not int and not _is_known(run.optimizer):
            # A stranger's optimiser may keep things under keys of its own.
            continue
        if type(key) is not int:
            raise MismatchError(f"its optimiser has a state of {key!r}, no parameter")
        if not 0 <= key < len(parameters):
            raise MismatchError(
                f"its optimiser has a state of parameter {key}, of {len(parameters)}"
            )
        if _is_known(run.optimizer):
            _require_moments(values, parameters[key], key)


def _require_moments(values: Any, parameter: Tensor, key: int) -> None:
    """Judge the state of one parameter under an optimiser that is known."""
    if not isinstance(values, dict):
        raise MismatchError(f"the state of parameter {key} is no mapping")
    for name, value in values.items():
        if name == "step" and not _at_least(value, 0):
            raise MismatchError(f"step of parameter {key} is {value!r}")
        if name in _MOMENTS:
            fits = isinstance(value, Tensor) and value.shape == parameter.shape
            if value is None or fits:
                continue
            raise MismatchError(
                f"{name} of parameter {key} has not its shape {tuple(parameter.shape)}"
            )
        if value is None or isinstance(value, (Tensor, list, tuple)):
            continue
        if not _is_number(value):
            raise MismatchError(f"{name} of parameter {key} is {value!r}")


# -- the scheduler ---------------------------------------------------------------------------------


def _require_scheduler(saved: Any, run: Run) -> None:
    live = run.scheduler.state_dict()  # type: ignore[union-attr]
    if not _is_known(run.scheduler):
        if isinstance(live, dict) and not isinstance(saved, dict):
            raise MismatchError("the state of its scheduler is no mapping")
        return
    _require_schedule(saved, live, "scheduler")


def _require_schedule(saved: Any, live: dict[str, Any], where: str) -> None:
    if not isinstance(saved, dict):
        raise MismatchError(f"the state of its {where} is no mapping")
    # Private names of torch come and go with its versions.
    public = [key for key in live if not key.startswith("_")]
    missing = [key for key in public if key not in saved]
    if missing:
        raise MismatchError(f"its {where} has no {missing[0]}")
    epoch = saved.get("last_epoch", 0)
    if type(epoch) is not int or epoch < -1:
        raise MismatchError(f"last_epoch of its {where} is {epoch!r}")
    for key, value in live.items():
        if key not in saved:
            continue
        is_private = key.startswith("_")
        if saved[key] is None and not is_private and _is_count_or_rate(value):
            raise MismatchError(f"{key} of its {where} is None, not a number")
        if key == "_schedulers":
            _require_like(saved[key], value, f"{key} of its {where}")
            for i, (inner, here) in enumerate(zip(saved[key], value, strict=True)):
                _require_schedule(inner, here, f"{where} {i}")
        else:
            _require_like(saved[key], value, f"{key} of its {where}")
    for key in ("base_lrs", "_last_lr", "min_lrs"):
        rates = saved.get(key)
        if rates is not None and not all(_at_least(rate, 0) for rate in rates):
            raise MismatchError(
                f"{key} of its {where} are {rates!r}, below 0 or no numbers"
            )


# -- values ----------------------------------------------------------------------------------------


def _require_like(saved: Any, here: Any, where: str) -> None:
    """Raise unless a value is of the kind that lies in the same place of this run."""
    if here is None or saved is None:
        return
    if isinstance(here, bool):
        right = isinstance(saved, (bool, np.bool_))
    elif _is_number(here):
        right = _is_number(saved) and not isinstance(saved, bool) and not _is_nan(saved)
    elif isinstance(here, Counter):
        # The milestones of a schedule: how often each epoch is one.
        right = isinstance(saved, Counter)
        right = right and all(type(epoch) is int for epoch in saved)
        right = right and all(type(n) is int and n > 0 for n in saved.values())
    elif isinstance(here, Mapping):
        right = isinstance(saved, Mapping)
    elif isinstance(here, (list, tuple)):
        right = isinstance(saved, (list, tuple)) and len(saved) == len(here)
        if right:
            for i, (one, other) in enumerate(zip(saved, here, strict=True)):
                _require_like(one, other, f"{where}, {i}")
    else:
        right = type(saved) is type(here)
    if not right:
        raise MismatchError(f"{where} is {saved!r}, where this run has {here!r}"[:300])


def _is_known(thing: Any) -> bool:
    return type(thing).__module__.startswith(_KNOWN)


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    if isinstance(value, (np.str_, np.bytes_)):
        return False
    return isinstance(value, (numbers.Real, np.generic))


def _is_count_or_rate(value: Any) -> bool:
    """Whether an option is a number, which None cannot stand for; a switch may be None."""
    return _is_number(value) and not isinstance(value, bool)


def _is_nan(value: Any) -> bool:
    return math.isnan(float(value))


def _at_least(value: Any, minimum: float) -> bool:
    if not _is_number(value) or isinstance(value, bool):
        return False
    return minimum <= float(value) < math.inf
