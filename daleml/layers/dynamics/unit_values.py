"""Parameters of dynamics: one number for all units, one for each, or one for each population."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from daleml import require
from daleml._support.devices import moved

if TYPE_CHECKING:
    from daleml.populations import Populations

UnitValues: TypeAlias = "float | Sequence[float] | Mapping[str, float] | Tensor"
"""A number, a sequence of one for each unit, or numbers by population."""
Bounds: TypeAlias = Callable[[str, object], float]
"""Takes an argument's name and one of its numbers, and returns it as a float, or raises."""


def read(name: str, given: Any, bounds: Bounds) -> float | Tensor | dict[Any, float]:
    """Return a parameter as it is kept, or raise.

    A number is a float, several are a float64 tensor on the CPU.
    """
    if isinstance(given, Mapping):
        if not given:
            raise ValueError(f"`{name}` must have a value for every unit; got {{}}.")
        return {key: bounds(name, value) for key, value in given.items()}
    if isinstance(given, Tensor):
        if given.requires_grad:
            raise TypeError(
                f"`{name}` must be numbers, since it does not learn; got a tensor with a"
                " gradient: write dynamics of your own as an nn.Module."
            )
        given = given.tolist()
    if isinstance(given, (str, bytes)) or not hasattr(given, "__len__"):
        return bounds(name, given)
    values = [bounds(name, value) for value in given]
    return torch.tensor(values, dtype=torch.float64, device="cpu")


def of_units(name: str, value: Any, populations: Populations) -> float | Tensor:
    """Return a parameter for the units of a circuit: a float, or (units,) on the CPU."""
    if isinstance(value, float):
        return value
    if isinstance(value, dict):
        each: Any = populations.per_unit(name, value)
        value = torch.tensor(each, dtype=torch.float64, device="cpu")
    if value.shape != (populations.size,):
        raise ValueError(
            f"`{name}` must be a number or one for each of the {populations.size} units;"
            f" got {value.numel()}."
        )
    # One number costs less than a tensor at every step.
    if bool((value == value[0]).all()):
        return float(value[0])
    each_unit: Tensor = value
    return each_unit


def like(value: Any, tensor: Tensor) -> Any:
    """Return a parameter where a tensor is, and in its dtype; a number stays one."""
    if isinstance(value, dict):
        raise TypeError(
            "dynamics with numbers by population must be given to a circuit, or made by"
            " `for_units(populations)`; got numbers of no units."
        )
    if isinstance(value, float):
        return value
    return moved(value, tensor)


def shown(value: Any) -> str:
    """Show a parameter: a number, the range of several, or numbers by population."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        parts = [f"{key!r}: {one:g}" for key, one in value.items()]
        return "{" + ", ".join(parts) + "}"
    return f"{float(value.min()):g} to {float(value.max()):g} ({value.numel()} units)"


def recovery(tau_ms: Any, dt_ms: float | None) -> tuple[Any, Any]:
    """Return the fraction that recovers in a step, and how long use acts in it, in seconds.

    What has no time constant recovers within the step, as if it had not been used.
    """
    length = require.positive("dt_ms", dt_ms)
    if isinstance(tau_ms, float):
        return (length / tau_ms, length / 1000) if tau_ms else (1.0, 0.0)
    slow = tau_ms > 0
    fraction = torch.where(slow, length / tau_ms, 1.0)
    return fraction, length / 1000 * slow.to(tau_ms.dtype)
