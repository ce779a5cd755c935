r"""The recurrence of one layer of several circuits at once, and its first derivatives.

.. math:: x_t^k = \kappa^k x_{t-1}^k + U^k u_t + W^k r_{t-1}^k + b^k + \eta_t^k, \qquad
    r_t^k = f(x_t^k)

for each circuit :math:`k`, as :mod:`daleml.layers._recurrent.fused` has it for one. Steps are
batched products; each weight's gradient is one product over all steps.
"""

from __future__ import annotations

from collections.abc import Callable
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
        n_steps: Number of steps.
    """

    nonlinearity: str
    keep: Tensor | float | None
    n_steps: int


class _FusedMembers(torch.autograd.Function):
    """Rates of all steps, (rows, circuits, units), and last states (circuits, batch, units).

    Rows are steps times sequences, step after step, so that the input of all circuits that read
    the same is one product.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_ih: Tensor,
        bias: Tensor | None,
        weight_hh: Tensor,
        state: Tensor,
        noise: Tensor | None,
        how: Recurrence,
    ) -> tuple[Tensor, Tensor]:
        rates = _drive(x, weight_ih, bias)
        if noise is not None:
            rates += noise
        last = _fire_(rates, weight_hh, state, how)
        ctx.save_for_backward(x, weight_ih, weight_hh, state, rates)
        ctx.how = how
        ctx.set_materialize_grads(False)
        return rates, last

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Any, ...]:
        x, weight_ih, weight_hh, state, rates = ctx.saved_tensors
        needed, how = ctx.needs_input_grad, ctx.how
        grad, of_state = _carry_back(
            rates, weight_hh, state, how, (grad_rates, grad_last)
        )
        by_circuit = grad.transpose(0, 1)
        found: list[Any] = [None] * 7
        if needed[0]:
            found[0] = _of_input(grad, weight_ih, x.ndim)
        if needed[1]:
            if x.ndim == 2:
                found[1] = grad.flatten(1).t().mm(x).view(weight_ih.shape)
            else:
                found[1] = torch.bmm(by_circuit.mT, x)
        if needed[2]:
            found[2] = grad.sum(0)
        if needed[3]:
            found[3] = _of_recurrent(grad, rates, state, how)
        if needed[4]:
            found[4] = of_state
        if needed[5]:
            found[5] = grad
        return tuple(found)


fused_members: Callable[..., tuple[Tensor, Tensor]] = _FusedMembers.apply
"""Runs one layer of several circuits over all steps."""


def _drive(x: Tensor, weight_ih: Tensor, bias: Tensor | None) -> Tensor:
    """Return what the input contributes, (rows, circuits, units), contiguous."""
    n_circuits, n_units, n_inputs = weight_ih.shape
    if x.ndim == 2:
        flat = weight_ih.reshape(n_circuits * n_units, n_inputs).t()
        drive = x.mm(flat) if bias is None else torch.addmm(bias.reshape(-1), x, flat)
        return drive.view(len(x), n_circuits, n_units)
    drive = x.new_empty(x.shape[1], n_circuits, n_units)
    by_circuit = drive.transpose(0, 1)
    if bias is None:
        by_circuit.copy_(torch.bmm(x, weight_ih.mT))
    else:
        by_circuit.copy_(torch.baddbmm(bias[:, None], x, weight_ih.mT))
    return drive


def _by_step(rows: Tensor, n_steps: int) -> tuple[Tensor, ...]:
    """Return the rows of each step as (circuits, batch, units)."""
    n_rows, n_circuits, n_units = rows.shape
    steps = rows.view(n_steps, n_rows // n_steps, n_circuits, n_units)
    return steps.transpose(1, 2).unbind(0)


def _fire_(drive: Tensor, weight_hh: Tensor, state: Tensor, how: Recurrence) -> Tensor:
    """Turn the drive into rates, in place, and return the last states."""
    nonlinearity, keep, n_steps = how
    into = INTO[nonlinearity]
    # One copy makes the product of every step run along its rows.
    across = weight_hh.mT.contiguous()
    if keep is None:
        before = state
        for now in _by_step(drive, n_steps):
            into(now.baddbmm_(before, across), out=now)
            before = now
        return before.contiguous()
    before = NONLINEARITIES[nonlinearity](state)
    running = state.clone(memory_format=torch.contiguous_format)
    for now in _by_step(drive, n_steps):
        if isinstance(keep, Tensor):
            running.mul_(keep).baddbmm_(before, across)
        else:
            running.baddbmm_(before, across, beta=keep)
        into(running.add_(now), out=now)
        before = now
    return running


def _carry_back(
    rates: Tensor,
    weight_hh: Tensor,
    state: Tensor,
    how: Recurrence,
    given: tuple[Tensor | None, Tensor | None],
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the drive, in its layout, and of the first state."""
    nonlinearity, keep, n_steps = how
    grad_rates, grad_last = given
    if grad_rates is None:
        grad_rates = rates.new_zeros(()).expand_as(rates)
    through_ = THROUGH[nonlinearity]
    grad = torch.empty_like(rates)
    steps = [_by_step(each, n_steps) for each in (grad, rates, grad_rates)]
    later = None
    for now, after, outside in zip(*map(reversed, steps), strict=True):
        if later is None:
            now.copy_(outside)
            # Without a leak the last state is a rate, whose gradient goes through f as well.
            if grad_last is not None and keep is None:
                now.add_(grad_last)
        else:
            now.copy_(outside).baddbmm_(later, weight_hh)
        through_(now, after)
        if keep is not None:
            if later is not None:
                _add_kept_(now, later, keep)
            elif grad_last is not None:
                now.add_(grad_last)
        later = now
    assert later is not None  # there is a step
    of_state = torch.bmm(later, weight_hh)
    if keep is not None:
        through_(of_state, NONLINEARITIES[nonlinearity](state))
        _add_kept_(of_state, later, keep)
    return grad, of_state


def _add_kept_(grad: Tensor, later: Tensor, keep: Tensor | float) -> None:
    """Add what reaches a state past the nonlinearity, by what is kept of it."""
    if isinstance(keep, Tensor):
        grad.addcmul_(later, keep)
    else:
        grad.add_(later, alpha=keep)


def _of_input(grad: Tensor, weight_ih: Tensor, n_dims: int) -> Tensor:
    if n_dims == 2:
        return grad.flatten(1).mm(weight_ih.flatten(0, 1))
    return torch.bmm(grad.transpose(0, 1), weight_ih)


def _of_recurrent(
    grad: Tensor, rates: Tensor, state: Tensor, how: Recurrence
) -> Tensor:
    """Return the gradient of the recurrent weights: one product over all steps but the first."""
    begun = state
    if how.keep is not None:
        begun = NONLINEARITIES[how.nonlinearity](state)
    size = state.shape[1]
    by_circuit, before = grad.transpose(0, 1).mT, rates.transpose(0, 1)
    first = torch.bmm(by_circuit[:, :, :size], begun)
    if how.n_steps == 1:
        return first
    return first.baddbmm_(by_circuit[:, :, size:], before[:, :-size])
