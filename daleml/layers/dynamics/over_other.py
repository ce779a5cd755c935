"""What dynamics share that stand over others, and have parameters of units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from torch import Tensor, nn

from daleml.layers.dynamics.protocol import Dynamics
from daleml.layers.dynamics.unit_values import Bounds, of_units, read, shown

if TYPE_CHECKING:
    from daleml.populations import Populations


def facts_of(dynamics: Any) -> dict[str, Any]:
    """Return what a checkpoint keeps of dynamics: what they say, or all their public numbers.

    Args:
        dynamics: Any dynamics. What a module keeps, torch saves under the same names.
    """
    if isinstance(dynamics, nn.Module):
        return {}
    told = getattr(dynamics, "facts", None)
    if told is not None:
        return dict(told())
    found: dict[str, Any] = {}
    for name, value in getattr(dynamics, "__dict__", {}).items():
        if name.startswith("_") or isinstance(value, bool):
            continue
        if isinstance(value, (int, float, np.ndarray, Tensor)):
            found[name] = value
    return found


def hidden_from_circuit(dynamics: Any) -> str | None:
    """Return the attribute whose parameters a circuit of these dynamics would not have.

    A circuit trains, saves and moves what it finds in modules; None if nothing is elsewhere.
    """
    if isinstance(dynamics, nn.Module):
        return None
    for name, value in getattr(dynamics, "__dict__", {}).items():
        if isinstance(value, nn.Parameter):
            return str(name)
        if isinstance(value, nn.Module) and (
            any(True for _ in value.parameters()) or any(True for _ in value.buffers())
        ):
            return str(name)
        if name == "over":
            below = hidden_from_circuit(value)
            if below is not None:
                return f"over.{below}"
    return None


class OverOther:
    """Dynamics with parameters of units and time constants, over dynamics of the membrane.

    Attributes:
        over: What they stand over.
        _bounds: What checks each parameter.
        _own_names: The names of the state variables that they add.
    """

    over: Dynamics

    _bounds: ClassVar[dict[str, Bounds]] = {}
    _own_names: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Check the parameters."""
        over = self.over
        if isinstance(over, type) or not isinstance(over, Dynamics):
            kind = over.__name__ if isinstance(over, type) else type(over).__name__
            raise TypeError(
                f"`over` must be dynamics, such as `MembraneLeak()`; got {kind}."
            )
        for name, bounds in self._bounds.items():
            object.__setattr__(self, name, read(name, getattr(self, name), bounds))

    @property
    def state_names(self) -> tuple[str, ...]:
        """The names of the state variables, those of ``over`` first."""
        names = list(self.over.state_names)
        for name in self._own_names:
            # Adaptation over adaptation has a second current, called "a2".
            number, free = 2, name
            while free in names:
                number, free = number + 1, f"{name}{number}"
            names.append(free)
        return tuple(names)

    def with_values(self, change: Callable[[str, Any], Any]) -> Self:
        """Return the dynamics with other parameters, those of ``over`` too.

        Args:
            change: Takes the name of a parameter and what it is, and returns what it becomes.
        """
        changed: dict[str, Any] = {}
        for name in self._bounds:
            changed[name] = change(name, getattr(self, name))
        if isinstance(self.over, OverOther):
            changed["over"] = self.over.with_values(change)
        return replace(self, **changed)  # type: ignore[type-var]

    def for_units(self, populations: Populations) -> Self:
        """Return the dynamics with every parameter as the units of a circuit have it."""
        resolved: dict[str, Any] = {}
        for name in self._bounds:
            resolved[name] = of_units(name, getattr(self, name), populations)
        below = getattr(self.over, "for_units", None)
        if below is not None:
            resolved["over"] = below(populations)
        return replace(self, **resolved)  # type: ignore[type-var]

    def require_step(self, dt_ms: float | None) -> None:
        """Raise if the circuit has no time step in ms, or one longer than a time constant."""
        kind = type(self).__name__
        if dt_ms is None:
            raise ValueError(
                f"`dt_ms` must be given with {kind}, whose time constants are in ms; got"
                " None."
            )
        for name in self._bounds:
            if not name.endswith("_ms"):
                continue
            value = getattr(self, name)
            # Zero stands for what recovers within the step.
            given = value[value > 0] if isinstance(value, Tensor) else value
            shortest = dt_ms
            if isinstance(given, Tensor) and given.numel():
                shortest = float(given.min())
            elif isinstance(given, float) and given:
                shortest = given
            if dt_ms > shortest:
                raise ValueError(
                    f"`dt_ms` must be at most `{name}` of {kind}; got {dt_ms:g} and"
                    f" {shortest:g}."
                )
        below = getattr(self.over, "require_step", None)
        if below is not None:
            below(dt_ms)

    def facts(self) -> dict[str, Any]:
        """Return the parameters by name, those of ``over`` under ``over.``."""
        found = {name: getattr(self, name) for name in self._bounds}
        for name, value in facts_of(self.over).items():
            found[f"over.{name}"] = value
        return found

    def __repr__(self) -> str:
        """Describe the parameters."""
        parts = []
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            told = repr(value) if field.name == "over" else shown(value)
            parts.append(f"{field.name}={told}")
        return f"{type(self).__name__}({', '.join(parts)})"
