r"""Noise of circuits: in the state, in the input, and in the rates.

With :math:`\xi` standard normal, drawn anew for every step, and :math:`\alpha = dt / \tau`,

.. math::
    u_t \leftarrow u_t + \sqrt{2 / \alpha}\, \sigma_u \xi, \qquad
    x_t \leftarrow x_t + \sqrt{2 \alpha}\, \sigma \xi, \qquad
    r_t = f(x_t + \sigma_r \xi) .

The first two are white noise: finer steps have more of it in each, so that what it does to the
state does not depend on ``dt_ms`` (Song, Yang & Wang 2016). The third is in the rates alone: its
standard deviation is the same whatever ``dt_ms``, and the state does not keep it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from daleml._support.devices import moved
from daleml.layers._recurrent.kept_leak import Step
from daleml.layers.dynamics.protocol import Dynamics, Receive, State, TimeStep


def standard_normal(
    rows: Tensor, n_columns: int, generator: torch.Generator | None
) -> Tensor:
    """Draw (rows, columns) where ``rows`` are, and in their dtype."""
    shape = len(rows), n_columns
    # A generator of another device is one for the circuit wherever it is.
    if generator is not None and generator.device != rows.device:
        at: Any = generator.device
        drawn = torch.randn(shape, generator=generator, dtype=rows.dtype, device=at)
        return moved(drawn, rows)
    like: dict[str, Any] = {"device": rows.device, "dtype": rows.dtype}
    return torch.randn(shape, generator=generator, **like)


def of_state(
    rows: Tensor,
    n_units: int,
    sigma: float,
    step: Step | None,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw what is added to the state in every step, (rows, units)."""
    drawn = standard_normal(rows, n_units, generator)
    scale: Tensor | float = 2**0.5 * sigma
    if step is not None:
        scale = step.spread * sigma
    if isinstance(scale, Tensor):
        scale = scale.to(rows.dtype)
    return drawn * scale


def of_input(
    rows: Tensor, sigma: float, step: Step | None, generator: torch.Generator | None
) -> Tensor:
    """Draw what is added to the input in every step, (rows, inputs).

    One input reaches units of several time constants, so its variance is the mean of theirs.
    """
    drawn = standard_normal(rows, rows.shape[-1], generator)
    leak: Tensor | float = 1.0 if step is None else step.leak
    if not isinstance(leak, Tensor):
        return drawn * (math.sqrt(2 / leak) * sigma)
    # Without a gradient: time constants that learn are not to learn how noisy the input is.
    wide = torch.promote_types(leak.dtype, torch.float32)
    variance = (2 / leak.detach().to(wide)).mean()
    return drawn * (variance.sqrt() * sigma).to(rows.dtype)


class NoisyRates:
    """Dynamics of one run whose rates are noisy: noise inside the nonlinearity that no state keeps.

    It counts the steps, so that it serves for one run of one layer.

    Args:
        dynamics: Those of the circuit.
        noise: What is added in each step to what the nonlinearity is applied to, (sequences,
            units): first that of the state before the first step.
    """

    def __init__(self, dynamics: Dynamics, noise: Sequence[Tensor]) -> None:
        self._dynamics, self._noise = dynamics, iter(noise)
        self._now = next(self._noise)
        self.state_names, self.starts = dynamics.state_names, dynamics.starts

    def step(self, state: State, receive: Receive, time: TimeStep) -> State:
        """Return the state after one step, in which noisy rates are sent."""
        before, self._now = self._now, next(self._noise)
        # A rate that is itself the state comes out of the nonlinearity in this step; a rate that
        # is made of the state came out of it in the step before.
        of_rates = self.state_names[0] == "r"
        inside = self._now if of_rates else before[: len(state[0])]
        return self._dynamics.step(
            state, receive, time._replace(f=_noisy(time.f, inside))
        )

    def rates(self, state: State, f: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the rates, with their noise."""
        return self._dynamics.rates(state, _noisy(f, self._now))


def _noisy(f: Callable[[Tensor], Tensor], inside: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a nonlinearity of what is noisy."""
    return lambda x: f(x + inside)
