r"""Rates that adapt: a slow trace of a unit's own rate acts against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from daleml import require
from daleml.layers.dynamics.leaks import MembraneLeak
from daleml.layers.dynamics.over_other import OverOther
from daleml.layers.dynamics.protocol import Dynamics, Receive, State, TimeStep
from daleml.layers.dynamics.unit_values import Bounds, UnitValues, like, recovery


@dataclass(frozen=True, eq=False, repr=False)
class Adaptation(OverOther):
    r"""Units whose rate a slow trace of it holds down, as spike-frequency adaptation does.

    .. math::
        a_t = a_{t-1} + \frac{dt}{\tau_a} (r_{t-1} - a_{t-1}), \qquad r_t = f(x_t - c\, a_t)

    Args:
        tau_ms: :math:`\tau_a`, the time constant of adaptation in ms: a number, one for each
            unit, or numbers by population, such as ``{"E": 200, "I": 100}``. Zero is for units
            that adapt within the step.
        strength: :math:`c \ge 0`, likewise. Zero is for units that do not adapt.
        over: The dynamics of :math:`x`, or of the rate. Another ``Adaptation`` makes a second
            current, with a time constant of its own.

    Raises:
        TypeError: If a parameter is no number, or ``over`` no dynamics.
        ValueError: If a parameter is negative, or names populations that the circuit has not.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> adapting = Adaptation(tau_ms=200, strength=0.5)
        >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=10, tau_ms=50, dynamics=adapting)
        >>> rates, state = rnn(torch.rand(20, 4, 3))
        >>> rnn.state_names, state.shape
        (('x', 'a'), torch.Size([1, 4, 20]))

    Notes:
        - How far a steady rate is held down depends on :math:`c` alone, how fast on
          :math:`\tau_a` alone. To a step of its input a linear unit of gain :math:`f'` first
          responds :math:`1 + c f'` times as much as later; at an angular frequency
          :math:`\omega` its gain is that of a unit that does not adapt, divided by :math:`1 +
          c f' / (1 + i \omega \tau_a)`: it passes what changes.
        - What adapts is the argument of the nonlinearity, whatever dynamics it stands over: over
          :class:`RateLeak`, :math:`f(W r + U u + b - c\, a)`.
        - Both :math:`x` and :math:`a` take a step from their old values.

    References:
        Benda & Herz 2003 (Neural Computation), for the model of firing rates that adapt.
    """

    tau_ms: UnitValues
    strength: UnitValues
    over: Dynamics = field(default_factory=MembraneLeak)

    _bounds: ClassVar[dict[str, Bounds]] = {
        "tau_ms": require.non_negative,
        "strength": require.non_negative,
    }
    _own_names: ClassVar[tuple[str, ...]] = ("a",)

    @property
    def starts(self) -> tuple[Tensor | float, ...]:
        """Those of ``over``, and zero."""
        return (*self.over.starts, 0.0)

    def step(self, state: State, receive: Receive, time: TimeStep) -> State:
        """Return the state after one step."""
        *membrane, a = state
        rates = self.rates(state, time.f)
        held = time._replace(f=self._held_down(a, time.f))
        moved = self.over.step(tuple(membrane), receive, held)
        return (*moved, a + recovery(like(self.tau_ms, a), time.dt_ms)[0] * (rates - a))

    def rates(self, state: State, f: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the rates that are held down."""
        *membrane, a = state
        return self.over.rates(tuple(membrane), self._held_down(a, f))

    def _held_down(
        self, a: Tensor, f: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor], Tensor]:
        """Return the nonlinearity of what is left once adaptation is taken off."""
        current = like(self.strength, a) * a
        return lambda x: f(x - current)
