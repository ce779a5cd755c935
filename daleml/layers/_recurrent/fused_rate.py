r"""A rate that leaks outside of the nonlinearity, over all steps at once.

.. math::
    r_t = (1 - \alpha)\, r_{t-1} + \alpha\, f_t, \qquad
    f_t = f(W r_{t-1} + U u_t + b + \eta_t)

Its values and first derivatives are those of the loop, from the rates and from :math:`f_t`, which
tells the derivative of the nonlinearity.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from daleml.layers._recurrent.dynamics_loop import dynamics_loop
from daleml.layers._recurrent.fused import INTO, last_rows
from daleml.layers._recurrent.fused_gradients import (
    THROUGH,
    GivenGradients,
    gradients_by_running,
    previous_rows,
)
from daleml.layers._recurrent.layer_sweep import full_precision
from daleml.layers._shared.functorch_tensors import is_batched
from daleml.layers.dynamics import RateLeak, TimeStep


class _FusedRate(torch.autograd.Function):
    """The loop's values and first derivatives, for a leak of the rate."""

    # With `ctx` as its first argument, for the reason given in `_Fused`.
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_ih: Tensor,
        bias: Tensor | None,
        weight_hh: Tensor,
        state: Tensor,
        noise: Tensor | None,
        dynamics: RateLeak,
        time: TimeStep,
        nonlinearity: str,
        batch_sizes: tuple[int, ...],
    ) -> tuple[Tensor, Tensor]:
        across = weight_ih.t()
        driven = x.mm(across) if bias is None else torch.addmm(bias, x, across)
        if noise is not None:
            driven += noise
        rates = _fire_(driven, weight_hh, state, time.alpha, nonlinearity, batch_sizes)
        tensors = x, weight_ih, bias, weight_hh, state, noise
        ctx.save_for_backward(*tensors, rates, driven)
        ctx.dynamics, ctx.time = dynamics, time
        ctx.nonlinearity, ctx.batch_sizes = nonlinearity, batch_sizes
        ctx.set_materialize_grads(False)
        return rates, last_rows(rates, batch_sizes)

    @staticmethod
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Any, ...]:
        *tensors, rates, driven = ctx.saved_tensors
        needed, given = ctx.needs_input_grad, (grad_rates, grad_last)
        with full_precision(rates):
            # Gradients that are differentiated again, or come many at once, take the loop.
            if torch.is_grad_enabled() or any(map(is_batched, given)):
                run = functools.partial(_run_again, ctx)
                found = gradients_by_running(run, tensors, given, needed)
            else:
                found = _gradients(ctx, tensors, rates, driven, given)
        return (*found, None, None, None, None)


def _run_again(ctx: Any, *tensors: Any) -> tuple[Tensor, Tensor]:
    """Run the steps by the loop."""
    x, weight_ih, bias, weight_hh, state, noise = tensors
    how = ctx.dynamics, ctx.time, ctx.batch_sizes
    return dynamics_loop(x, weight_ih, bias, weight_hh, state, noise, *how)


fused_rate: Callable[..., tuple[Tensor, Tensor]] = _FusedRate.apply
"""Runs one layer as :func:`dynamics_loop` does, under a leak of the rate."""


def _fire_(
    driven: Tensor,
    weight_hh: Tensor,
    state: Tensor,
    alpha: Tensor | float,
    nonlinearity: str,
    batch_sizes: tuple[int, ...],
) -> Tensor:
    """Apply the nonlinearity to what drives the units, in place; return the rates."""
    into, across = INTO[nonlinearity], weight_hh.t().contiguous()
    rates, before, sizes = torch.empty_like(driven), state, list(batch_sizes)
    for now, after in zip(
        torch.split(driven, sizes), torch.split(rates, sizes), strict=True
    ):
        n = len(now)
        if n < len(before):
            before = before[:n]
        into(now.addmm_(before, across), out=now)
        torch.lerp(before, now, alpha, out=after)
        before = after
    return rates


def _gradients(
    ctx: Any,
    tensors: list[Any],
    rates: Tensor,
    driven: Tensor,
    given: GivenGradients,
) -> list[Tensor | None]:
    """Return the gradient of each tensor that needs one, as ``gradients_from_rates`` does."""
    x, weight_ih, _, weight_hh, state, _ = tensors
    needed, batch_sizes = ctx.needs_input_grad, ctx.batch_sizes
    grad, of_state = _carry_back(ctx, driven, weight_hh, given)
    found: list[Tensor | None] = [None] * len(tensors)
    if needed[0]:
        found[0] = grad.mm(weight_ih)
    if needed[1]:
        found[1] = grad.t().mm(x)
    if needed[2]:
        found[2] = grad.sum(0)
    if needed[3]:
        n_first = batch_sizes[0]
        first, later = grad[:n_first], grad[n_first:]
        before = rates[previous_rows(batch_sizes, rates.device)]
        found[3] = first.t().mm(state).addmm_(later.t(), before)
    if needed[4]:
        found[4] = of_state
    if needed[5]:
        found[5] = grad
    return found


def _carry_back(
    ctx: Any, driven: Tensor, weight_hh: Tensor, given: GivenGradients
) -> tuple[Tensor, Tensor]:
    """Return the gradients of what the nonlinearity is applied to, and of the first state."""
    alpha, through_ = ctx.time.alpha, THROUGH[ctx.nonlinearity]
    of_rates, of_last = given
    n_first, sizes = ctx.batch_sizes[0], list(ctx.batch_sizes)
    if of_rates is None:
        of_rates = driven.new_zeros(()).expand_as(driven)
    # Where a sequence ends, going back begins with the gradient of its last rate.
    carried = driven.new_zeros(n_first, driven.shape[1])
    if of_last is not None:
        carried.copy_(of_last)
    grad = torch.empty_like(driven)
    every = (torch.split(each, sizes) for each in (grad, of_rates, driven))
    for now, outside, fired in zip(*map(reversed, every), strict=True):
        rate = carried[: len(now)]
        rate.add_(outside)
        torch.mul(rate, alpha, out=now)
        # What is kept goes past the nonlinearity, the rest through it.
        rate.sub_(now)
        through_(now, fired)
        rate.addmm_(now, weight_hh)
    return grad, carried
