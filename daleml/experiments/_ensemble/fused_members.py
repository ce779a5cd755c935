r"""The recurrence of one layer of several circuits at once, and its first derivatives.

.. math:: x_t^k = \kappa^k x_{t-1}^k + W^k r_{t-1}^k
    + A^k \begin{pmatrix} u_t^k \\ 1 \end{pmatrix} + \eta_t^k, \qquad r_t^k = f(x_t^k)

for each circuit :math:`k`, where :math:`A` holds the input weight and the bias side by side. A
step is two batched products forward and three backward, two of which gather the gradients of
the weights. All are of matrices in one piece, for which batched products are three times as fast
as for slices of others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from daleml.layers._recurrent.fused import INTO
from daleml.layers._recurrent.fused_gradients import THROUGH
from daleml.layers._recurrent.nonlinearities import NONLINEARITIES


class Recurrence(NamedTuple):
    """What the steps of circuits have in common beside tensors.

    Attributes:
        nonlinearity: The name of the nonlinearity.
        keep: The fraction of the state that is kept, a number or (circuits, 1, units or 1);
            None if the state is the rate.
    """

    nonlinearity: str
    keep: Tensor | float | None


class _FusedMembers(torch.autograd.Function):
    """Rates of all steps, (steps, circuits, batch, units), and last states."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        state: Tensor,
        noise: Tensor | None,
        how: Recurrence,
    ) -> tuple[Tensor, Tensor]:
        begun = state
        if how.keep is not None:
            begun = NONLINEARITIES[how.nonlinearity](state)
        inputs = _by_step(x, len(weight_ih))
        rates = state.new_empty(len(inputs), *state.shape)
        last = _fire_(rates, inputs, (weight_ih, weight_hh), (begun, state), noise, how)
        ctx.save_for_backward(x, weight_ih, weight_hh, begun, rates)
        ctx.how = how
        ctx.set_materialize_grads(False)
        return rates, last

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Any, ...]:
        x, weight_ih, weight_hh, begun, rates = ctx.saved_tensors
        needed = ctx.needs_input_grad
        back = _Back(x, weight_ih, weight_hh, ctx.how, of_inputs=needed[0])
        of_state = back.run(begun, rates, grad_rates, grad_last)
        of_x = back.of_x
        if of_x is not None and x.ndim == 3:
            # All circuits read the same.
            of_x = of_x.sum(0)
        return of_x, back.of_input_weight, back.of_weight, of_state, None, None


fused_members: Callable[..., tuple[Tensor, Tensor]] = _FusedMembers.apply
"""Runs one layer of several circuits over all steps.

Takes inputs with a last column of ones for the bias, (steps, batch, inputs) that all read or
(circuits, steps, batch, inputs); weights (circuits, units, inputs) and (circuits, units, units);
first states, (circuits, batch, units); noise, (steps, circuits, batch, units), or None; and a
:class:`Recurrence`.
"""


def _by_step(x: Tensor, n_circuits: int) -> Sequence[Tensor]:
    """Return what all circuits read in each step, (circuits, batch, inputs)."""
    if x.ndim == 4:
        return x.unbind(1)
    n_steps, n_sequences, n_inputs = x.shape
    shared = x[:, None].expand(n_steps, n_circuits, n_sequences, n_inputs)
    return shared.unbind(0)


def _fire_(
    rates: Tensor,
    inputs: Sequence[Tensor],
    weights: tuple[Tensor, Tensor],
    begun: tuple[Tensor, Tensor],
    noise: Tensor | None,
    how: Recurrence,
) -> Tensor:
    """Write the rates of all steps, and return the last states.

    Args:
        rates: What is written to.
        inputs: What is read in each step.
        weights: The input weight and the recurrent weight.
        begun: The rates and the state to begin with.
        noise: What is added in each step.
        how: What the steps have in common.
    """
    into, keep = INTO[how.nonlinearity], how.keep
    # One copy makes the products of every step run along their rows.
    from_input, from_rates = (weight.mT.contiguous() for weight in weights)
    before, state = begun
    running = state.clone(memory_format=torch.contiguous_format)
    for t, now in enumerate(rates.unbind(0)):
        torch.bmm(inputs[t], from_input, out=now)
        if noise is not None:
            now.add_(noise[t])
        now.baddbmm_(before, from_rates)
        if keep is None:
            into(now, out=now)
        elif isinstance(keep, Tensor):
            into(running.mul_(keep).add_(now), out=now)
        else:
            into(torch.add(now, running, alpha=keep, out=running), out=now)
        before = now
    # Without a leak the state is the rate.
    return before.clone() if keep is None else running


class _Back:
    """The gradients of a run, carried through the steps from the last to the first.

    Args:
        x: The inputs.
        weight_ih: The input weight.
        weight_hh: The recurrent weight.
        how: What the steps have in common.
        of_inputs: Whether the inputs need a gradient.

    Attributes:
        of_input_weight: The gradient of the input weight.
        of_weight: That of the recurrent weight.
        of_x: That of the inputs, (circuits, steps, batch, inputs); None if nobody asks.
    """

    def __init__(
        self,
        x: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        how: Recurrence,
        *,
        of_inputs: bool,
    ) -> None:
        self._inputs = _by_step(x, len(weight_ih))
        self._input_weight, self._recurrent = weight_ih, weight_hh.contiguous()
        self._how = how
        self.of_input_weight = torch.zeros_like(weight_ih).contiguous()
        self.of_weight = torch.zeros_like(self._recurrent)
        self.of_x: Tensor | None = None
        if of_inputs:
            self.of_x = x.new_empty(len(weight_ih), len(self._inputs), *x.shape[-2:])

    def run(
        self,
        begun: Tensor,
        rates: Tensor,
        grad_rates: Tensor | None,
        grad_last: Tensor | None,
    ) -> Tensor:
        """Go through all steps, and return the gradient of the first state."""
        keep, through_ = self._how.keep, THROUGH[self._how.nonlinearity]
        after = (begun, *rates.unbind(0))
        n_steps = len(rates)
        outside: Sequence[Tensor | None] = [None] * n_steps
        if grad_rates is not None:
            outside = grad_rates.unbind(0)
        # Two matrices in turn, each with its transpose.
        one, other = rates.new_empty(2, *begun.shape).unbind(0)
        turns = itertools.cycle([(one, one.mT), (other, other.mT)])
        later: Tensor | None = None
        for t in reversed(range(n_steps)):
            now, across = next(turns)
            self._receive_(now, later, outside[t])
            # Without a leak the last state is a rate, whose gradient goes through f as well.
            if later is None and grad_last is not None and keep is None:
                now.add_(grad_last)
            through_(now, after[t + 1])
            if keep is not None and later is not None:
                _add_kept_(now, later, keep)
            elif keep is not None and grad_last is not None:
                now.add_(grad_last)
            self.of_weight.baddbmm_(across, after[t])
            self.of_input_weight.baddbmm_(across, self._inputs[t])
            if self.of_x is not None:
                self.of_x[:, t] = torch.bmm(now, self._input_weight)
            later = now
        assert later is not None  # there is a step
        of_state = torch.bmm(later, self._recurrent)
        if keep is not None:
            through_(of_state, begun)
            _add_kept_(of_state, later, keep)
        return of_state

    def _receive_(
        self, now: Tensor, later: Tensor | None, outside: Tensor | None
    ) -> None:
        """Write what reaches the rates of a step: from outside, and from the step after."""
        if later is None:
            now.zero_()
            if outside is not None:
                now.copy_(outside)
        elif outside is None:
            torch.bmm(later, self._recurrent, out=now)
        else:
            now.copy_(outside).baddbmm_(later, self._recurrent)


def _add_kept_(grad: Tensor, later: Tensor, keep: Tensor | float) -> None:
    """Add what reaches a state past the nonlinearity, by what is kept of it."""
    if isinstance(keep, Tensor):
        grad.addcmul_(later, keep)
    else:
        grad.add_(later, alpha=keep)
