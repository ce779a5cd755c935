r"""The numbers of a step of synapses that change, for running all steps at once.

Of every unit the store and the use of its synapses are kept as a pair :math:`y = (x, u)`. Both
then follow one rule, and one operation does for both:

.. math:: y_t = (C + a) + y_{t-1} \odot (K - b), \qquad
    a = r_{t-1} (0,\; q_u), \qquad b = r_{t-1} (q_x u_{t-1},\; q_u),

with numbers :math:`C`, :math:`K` and :math:`q` of each unit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daleml.layers._recurrent.nonlinearities import NONLINEARITIES
from daleml.layers.dynamics import RectifiedLeak, ShortTermPlasticity, TimeStep
from daleml.layers.dynamics.unit_values import like, recovery


class Ran(NamedTuple):
    """What a forward pass leaves behind, step after step.

    Attributes:
        rates: (rows, units).
        sent: What went through the synapses, (rows, units).
        synapses: Of each step the x of its rows, then the u of its rows, (2 * rows, units): what
            is done to both runs over memory in one piece.
    """

    rates: Tensor
    sent: Tensor
    synapses: Tensor

    def pairs(self, batch_sizes: Sequence[int]) -> list[Tensor]:
        """Return the synapses of every step, (2, size, units)."""
        size, n_units = batch_sizes[0], self.rates.shape[1]
        if size == batch_sizes[-1]:
            each = self.synapses.view(len(batch_sizes), 2, size, n_units)
            return list(each.unbind())
        steps = torch.split(self.synapses, [2 * size for size in batch_sizes])
        return [step.view(2, -1, n_units) for step in steps]


class SynapseRule(NamedTuple):
    """The numbers of a step.

    Attributes:
        use: q, what a rate takes of x and adds to u, (2, sequences, units).
        kept: K, what is kept of both.
        added: C, what is added to both.
        alpha: The fraction of the state, or rate, that is replaced.
        nonlinearity: Its name.
        rectified: Whether the state is the rate, which leaks inside of the nonlinearity.
    """

    use: Tensor
    kept: Tensor
    added: Tensor
    alpha: Tensor | float
    nonlinearity: str
    rectified: bool

    def begin(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the membrane's state, the rates, and the synapses, of a state."""
        membrane, x, u = state.chunk(3, dim=-1)
        rates = membrane
        if not self.rectified:
            rates = NONLINEARITIES[self.nonlinearity](membrane)
        return membrane, rates, torch.stack([x, u])

    def of_rows(self) -> Tensor | float:
        """Return alpha for the rows of a weight."""
        if isinstance(self.alpha, Tensor):
            return self.alpha[:, None]
        return self.alpha

    def adder_of_kept(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what adds the fraction of a tensor that is kept to another, in place."""
        kept = 1 - self.alpha
        if isinstance(kept, Tensor):
            return lambda to, what: to.addcmul_(what, kept)
        return lambda to, what: to.add_(what, alpha=kept)

    def of_sequences(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, K and C for some sequences."""
        return self.use[:, :n], self.kept[:, :n], self.added[:, :n]


def synapse_rule(
    dynamics: ShortTermPlasticity, time: TimeStep, nonlinearity: str, state: Tensor
) -> SynapseRule:
    """Return the numbers of a step, for sequences that begin in a state."""
    n_sequences, n_values = state.shape

    def pair(of_x: Any, of_u: Any) -> Tensor:
        found = state.new_empty(2, n_sequences, n_values // 3)
        found[0], found[1] = of_x, of_u
        return found

    rest = like(dynamics.U, state)
    refill, used_x = recovery(like(dynamics.tau_x_ms, state), time.dt_ms)
    regain, used_u = recovery(like(dynamics.tau_u_ms, state), time.dt_ms)
    return SynapseRule(
        use=pair(used_x, used_u * rest),
        kept=pair(1 - refill, 1 - regain),
        added=pair(refill, regain * rest),
        alpha=time.alpha,
        nonlinearity=nonlinearity,
        rectified=type(dynamics.over) is RectifiedLeak,
    )
