r"""Three rate equations, which differ in what the leak acts on: the state, the rate, or both.

They agree where the nonlinearity is the identity, and where nothing leaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from daleml.layers.dynamics.protocol import Receive, State, TimeStep


@dataclass(frozen=True)
class MembraneLeak:
    r"""A state that leaks, of which the nonlinearity makes rates: the circuit's own dynamics.

    .. math::
        x_t = (1 - \alpha)\, x_{t-1} + \alpha\, (W r_{t-1} + U u_t + b)
        + \sqrt{2 \alpha}\, \sigma \xi_t, \qquad r_t = f(x_t)

    Example:
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=10, tau_ms=50, dynamics=MembraneLeak())
        >>> rnn.state_names
        ('x',)

    Notes:
        A circuit of these dynamics is, bit for bit, one that was given none.

    References:
        Song, Yang & Wang 2016 (PLoS Computational Biology).
    """

    @property
    def state_names(self) -> tuple[str, ...]:
        """``("x",)``."""
        return ("x",)

    @property
    def starts(self) -> tuple[float, ...]:
        """Zero."""
        return (0.0,)

    def step(self, state: State, receive: Receive, time: TimeStep) -> State:
        """Return the state after one step."""
        (x,) = state
        received = receive(time.f(x))
        return ((1 - time.alpha) * x + time.alpha * received,)

    def rates(self, state: State, f: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``f(x)``."""
        (x,) = state
        return f(x)


@dataclass(frozen=True)
class RateLeak:
    r"""A rate that leaks, outside of the nonlinearity.

    .. math::
        r_t = (1 - \alpha)\, r_{t-1}
        + \alpha\, f\bigl(W r_{t-1} + U u_t + b + \sqrt{2 / \alpha}\, \sigma \xi_t\bigr)

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=20, tau_ms=100, dynamics=RateLeak())
        >>> rates, state = rnn(torch.rand(20, 4, 3))
        >>> torch.equal(rates[-1], state[0])
        True

    Notes:
        The state is the rate, and noise goes through the nonlinearity: with relu it adds to the
        mean rate. ``noise`` is then the standard deviation that the noise would give a rate whose
        nonlinearity were the identity.

    References:
        Yang, Joglekar, Song, Newsome & Wang 2019 (Nature Neuroscience).
    """

    @property
    def state_names(self) -> tuple[str, ...]:
        """``("r",)``."""
        return ("r",)

    @property
    def starts(self) -> tuple[float, ...]:
        """Zero."""
        return (0.0,)

    def step(self, state: State, receive: Receive, time: TimeStep) -> State:
        """Return the rates after one step."""
        (r,) = state
        driven = time.f(receive(r))
        return ((1 - time.alpha) * r + time.alpha * driven,)

    def rates(self, state: State, f: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the state, which is the rate."""
        (r,) = state
        return r


@dataclass(frozen=True)
class RectifiedLeak:
    r"""A rate that leaks inside of the nonlinearity, so that the state is rectified.

    .. math::
        r_t = f\bigl((1 - \alpha)\, r_{t-1} + \alpha\, (W r_{t-1} + U u_t + b)
        + \sqrt{2 \alpha}\, \sigma \xi_t\bigr)

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=10, tau_ms=100, dynamics=RectifiedLeak())
        >>> rates, state = rnn(torch.rand(20, 4, 3))
        >>> torch.equal(rates[-1], state[0])
        True

    Notes:
        A silent unit forgets how far below threshold it was, which it does not as
        :class:`MembraneLeak`. The rate goes through the nonlinearity at every step: with another
        one than relu, its activity depends on ``dt_ms``.

    References:
        Masse, Yang, Song, Wang & Freedman 2019 (Nature Neuroscience), where :math:`r` is
        :math:`h` and :math:`f` is relu.
    """

    @property
    def state_names(self) -> tuple[str, ...]:
        """``("r",)``."""
        return ("r",)

    @property
    def starts(self) -> tuple[float, ...]:
        """Zero."""
        return (0.0,)

    def step(self, state: State, receive: Receive, time: TimeStep) -> State:
        """Return the rates after one step."""
        (r,) = state
        received = receive(r)
        return (time.f((1 - time.alpha) * r + time.alpha * received),)

    def rates(self, state: State, f: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the state, which is the rate."""
        (r,) = state
        return r
