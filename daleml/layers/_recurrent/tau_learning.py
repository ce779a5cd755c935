r"""Time constants that learn: how a parameter makes them, and which units have one in common.

.. math:: \tau = dt + (\tau_0 - dt)\, e^{\theta}

What learns is :math:`\theta`, the logarithm of the excess over the time step, in units of the
excess that was given. It begins at 0, where :math:`\tau` is exactly :math:`\tau_0`; whatever it
becomes, :math:`\tau` is above ``dt_ms``. A step of gradient descent changes a time constant in
proportion to itself, so that fast and slow units learn alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from daleml._support.devices import widest
from daleml.layers._recurrent.time_constants import shown_time
from daleml.layers._shared.functorch_tensors import is_wrapped
from daleml.populations import Populations

NAME = "tau_log"
"""The parameter that learns, of circuits and of their checkpoints."""
ANCHOR = "tau_anchor"
"""The buffer of where time constants are at a parameter of 0; no checkpoint has it."""


@dataclass(frozen=True)
class Tied:
    """Which units have one time constant in common.

    Attributes:
        group: The time constant of each unit, by its number.
        keys: What each of them is called: the keys of the mapping that was given.
    """

    group: tuple[int, ...]
    keys: tuple[str, ...]

    def collected(self, each: Tensor) -> Tensor:
        """Return one value for each group, from one for each unit.

        Raises:
            ValueError: If units of one group have different values.
        """
        group = torch.tensor(self.group, device="cpu")
        first = [self.group.index(number) for number in range(len(self.keys))]
        found = each[first]
        wrong = (each != found[group]).nonzero()
        if len(wrong):
            key = self.keys[self.group[int(wrong[0])]]
            values = each[group == self.keys.index(key)]
            raise ValueError(
                f"`tau_ms` must be the same for all units of {key!r}, which learn one time"
                f" constant; got {float(values.min()):g} to {float(values.max()):g}."
            )
        return found

    def fits(self, each: Tensor) -> bool:
        """Whether units of one group have one value."""
        try:
            self.collected(each)
        except ValueError:
            return False
        return True

    def expanded(self, each: Tensor) -> Tensor:
        """Return one value for each unit, from one for each group."""
        values = each.unbind()
        runs = [
            values[group].expand(len(list(run)))
            for group, run in itertools.groupby(self.group)
        ]
        # Not by an index, which would have to be copied to the device at every step.
        return torch.cat(runs)


@dataclass(frozen=True)
class LearnedTau:
    """What is known of time constants that learn, beside the parameter.

    Attributes:
        anchor: Where they are at a parameter of 0, float64, one for each that learns.
        given: What they were given as, to which ``reset_parameters`` returns.
        tied: Which units have one in common; None where each unit has its own.
    """

    anchor: Tensor
    given: Tensor
    tied: Tied | None

    @classmethod
    def of(cls, each: Tensor, tied: Tied | None, dt_ms: float) -> LearnedTau:
        """Begin at a time constant for each unit."""
        given = each if tied is None else tied.collected(each)
        require_room(dt_ms, given)
        return cls(given, given, tied)

    def buffer(self, device: Any) -> Tensor:
        """Return the anchor as a buffer, for what stacks or replaces the tensors of circuits."""
        # Into a circuit on meta no checkpoint could bring it.
        device = torch.device("cpu" if torch.device(device).type == "meta" else device)
        return self.anchor.clone().to(device, widest(device))

    def values(self, log: Tensor, dt_ms: float, anchor: Tensor | None = None) -> Tensor:
        """Return the time constant of each unit, which has a gradient where ``log`` has one.

        Args:
            log: The parameter.
            dt_ms: The time step.
            anchor: What stands in for the anchor; default: its own.
        """
        if log.shape != self.anchor.shape:
            raise ValueError(
                f"`{NAME}` must have the shape {tuple(self.anchor.shape)}, one value for each"
                f" time constant that learns; got {tuple(log.shape)}."
            )
        # Exact where the leak is computed, as that of time constants which are fixed.
        wide = widest(log.device)
        anchor = (self.anchor if anchor is None else anchor).to(log.device, wide)
        # `expm1` is exactly 0 at 0, where the time constant is exactly what was given.
        each = anchor + (anchor - dt_ms) * log.to(wide).expm1()
        return each if self.tied is None else self.tied.expanded(each)

    def anchored(self, each: Tensor, log: Tensor, dt_ms: float) -> LearnedTau:
        """Return it such that the parameter as it is means given time constants.

        The parameter is left alone, and with it what an optimiser remembers of it.
        """
        values = each if self.tied is None else self.tied.collected(each)
        log = log.detach().to("cpu", torch.float64)
        anchor = dt_ms + (values - dt_ms) * torch.exp(-log)
        # Where it is what it was but for rounding, a circuit that is loaded is the same bits.
        same = (anchor - self.anchor).abs() <= 1e-12 * self.anchor
        # A parameter of 0 means the anchor itself.
        anchor = torch.where(log == 0, values, torch.where(same, self.anchor, anchor))
        return LearnedTau(anchor, self.given, self.tied)


def require_room(dt_ms: float, tau_ms: Tensor) -> None:
    """Raise if a time constant that learns does not begin above the time step."""
    if tau_ms.is_meta or is_wrapped(tau_ms):
        return
    shortest = float(tau_ms.detach().min())
    if shortest <= dt_ms:
        raise ValueError(
            f"`tau_ms` must be above `dt_ms`, {dt_ms:g}, where it learns; got {shortest:g}."
        )


def is_by_population(given: Any) -> bool:
    """Whether time constants are given by name: a dict, or a column with its index, of pandas."""
    return isinstance(given, Mapping) or (
        hasattr(given, "keys") and hasattr(given, "items")
    )


def by_population(
    given: Mapping[str, Any], populations: Populations, dt_ms: float | None
) -> tuple[Any, Tied]:
    """Read time constants by population: one for each unit, and which units have one in common.

    Raises:
        TypeError: If a value is no number.
        ValueError: If a population is unknown, missing or covered twice, or its time constant
            is not positive or is below ``dt_ms``.
    """
    given = dict(given.items())
    # Populations say which units a key covers, and that every unit is covered once.
    keys = tuple(given)
    numbers = {key: number for number, key in enumerate(keys)}
    tied = Tied(tuple(populations.per_unit("tau_ms", numbers)), keys)
    values = [_one(key, given[key], dt_ms) for key in keys]
    return _spread(values, tied.group), tied


def _one(key: str, given: Any, dt_ms: float | None) -> Any:
    """Return the time constant of one population."""
    try:
        value = torch.as_tensor(given, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        value = None
    if value is None or value.numel() != 1 or isinstance(given, (bool, str)):
        raise TypeError(
            f"`tau_ms` of {key!r} must be a number; got {type(given).__name__}."
        )
    if value.is_meta or is_wrapped(value):
        return given
    number = float(value.detach())
    # Written so that NaN is refused too.
    if not (number > 0 and number < float("inf")):
        raise ValueError(
            f"`tau_ms` of {key!r} must be finite and above 0; got {number:g}."
        )
    if dt_ms is not None and dt_ms > number * (1 + 1e-12):
        raise ValueError(
            f"`tau_ms` of {key!r} must be at least `dt_ms`, {dt_ms:g}; got {number:g}."
        )
    return given


def _spread(values: Sequence[Any], group: Sequence[int]) -> Any:
    """Return one value for each unit: a tensor where gradients would be lost otherwise."""
    if not any(isinstance(value, Tensor) for value in values):
        return [float(values[number]) for number in group]
    each = [torch.as_tensor(value, dtype=torch.float64) for value in values]
    return torch.stack([one.reshape(()) for one in each])[list(group)]


def shown(each: Tensor, tied: Tied | None) -> str:
    """Show time constants that learn, by population where they are few."""
    if tied is None or len(tied.keys) > 6:
        return f"{shown_time(each)}, learned"
    found = tied.collected(each).tolist()
    pairs = [f"{key}: {one:g}" for key, one in zip(tied.keys, found, strict=True)]
    return f"{{{', '.join(pairs)}}}, learned"
