r"""The protocol of dynamics: how the state of a circuit's units moves in one time step.

A circuit asks its dynamics for a step, and gives it a function, ``receive``, of what the units
send to each other:

.. math:: \mathrm{receive}(s) = W s + U u_t + b + \sqrt{2 / \alpha}\; \sigma \xi_t .

So a step reads in the order of a paper's equations: change the synapses, let the units receive
what is sent, move the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

State: TypeAlias = tuple[Tensor, ...]
"""The state variables of the units, each (..., units)."""
Receive: TypeAlias = Callable[[Tensor], Tensor]
"""Takes what every unit sends, and returns what every unit receives, both (..., units)."""


class TimeStep(NamedTuple):
    """What dynamics are told of a step.

    Attributes:
        dt_ms: Its length in ms; None in a circuit that was built without.
        alpha: ``dt_ms / tau_ms``, a number or one for each unit; 1 in a circuit without a leak.
        f: The nonlinearity of the circuit, which makes rates.

    Example:
        >>> import torch
        >>> TimeStep(dt_ms=20.0, alpha=0.2, f=torch.relu).alpha
        0.2
    """

    dt_ms: float | None
    alpha: Tensor | float
    f: Callable[[Tensor], Tensor]


@runtime_checkable
class Dynamics(Protocol):
    r"""What a circuit asks of its dynamics: two attributes and two methods.

    Any object that has them will do. One that is an ``nn.Module`` is a part of the circuit: its
    parameters learn, and are saved under ``dynamics.``.

    Attributes:
        state_names: The names of the state variables. The first is the membrane's state, or the
            rate itself, and is then called ``"r"``.
        starts: Where each of them begins, a number or one for each unit. The first is learned
            instead where the circuit has ``train_initial_state``.

    Shape:
        Every state variable, the rates, and what is sent and received: (..., units).

    Example:
        A unit that tires: its gain falls while it is active, and recovers.

        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> class Tiring:
        ...     state_names = ("x", "gain")
        ...     starts = (0.0, 1.0)
        ...
        ...     def step(self, state, receive, time):
        ...         x, gain = state
        ...         rates = self.rates(state, time.f)
        ...         x = x + time.alpha * (receive(rates) - x)
        ...         gain = gain + time.dt_ms / 500 * (1 / (1 + rates) - gain)
        ...         return x, gain
        ...
        ...     def rates(self, state, f):
        ...         x, gain = state
        ...         return gain * f(x)
        >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=10, tau_ms=50, dynamics=Tiring())
        >>> rates, state = rnn(torch.rand(20, 4, 3))
        >>> rates.shape, state.shape, rnn.state_names
        (torch.Size([20, 4, 10]), torch.Size([1, 4, 20]), ('x', 'gain'))

    Notes:
        Three more methods are used where an object has them. ``for_units(populations)`` returns
        the dynamics for the circuit's units, so that a parameter may be given by population.
        ``require_step(dt_ms)`` raises if a time step is impossible. ``facts()`` returns numbers
        by name, or tensors of one for each unit, which a checkpoint keeps and with which another
        circuit must agree before it loads one; without it they are the object's public
        attributes that are numbers, arrays or tensors.

        Under autocast only the products are lowered, and the state stays as precise as it is.
    """

    @property
    def state_names(self) -> tuple[str, ...]:
        """The names of the state variables."""

    @property
    def starts(self) -> Sequence[Tensor | float]:
        """Where each state variable begins."""

    def step(self, state: State, receive: Receive, time: TimeStep) -> State:
        """Return the state after one step.

        Args:
            state: The state variables before it.
            receive: Returns what the units receive, given what they send through the recurrent
                weights. It may be called more than once, as Heun's method would: inputs and
                noise are the same within a step.
            time: The step.
        """

    def rates(self, state: State, f: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the rates of a state, given the nonlinearity: what the circuit returns."""
