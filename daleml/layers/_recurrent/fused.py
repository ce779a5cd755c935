"""The loop's values and first derivatives, computed from the rates alone.

There are few products, and nothing is kept but the rates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from daleml.layers._recurrent.fused_gradients import (
    gradients_by_loop,
    gradients_from_rates,
)
from daleml.layers._recurrent.layer_sweep import full_precision
from daleml.layers._recurrent.nonlinearities import NONLINEARITIES
from daleml.layers._shared.functorch_tensors import is_batched

_WIDE = 768
"""From this many units on, steps of even sequences are faster with the units along rows."""


class _Fused(torch.autograd.Function):
    """The loop's values and first derivatives, from the rates alone.

    Forward projects all inputs in one product into the buffer that becomes the rates; nothing
    else is kept, but the states where the fraction that is kept of them learns. Backward carries
    the gradient of the state through the steps, then gathers each weight's gradient in one
    product.
    """

    # With `ctx` as its first argument: beside a `setup_context`, torch would read and bind the
    # signature of `forward` at every call, which takes 80 microseconds. Transforms of
    # `torch.func`, which need `setup_context`, go by the loop.
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_ih: Tensor,
        bias: Tensor | None,
        weight_hh: Tensor,
        state: Tensor,
        noise: Tensor | None,
        keep: Tensor | float | None,
        nonlinearity: str,
        batch_sizes: tuple[int, ...],
    ) -> tuple[Tensor, Tensor]:
        across = weight_ih.t()
        rates = x.mm(across) if bias is None else torch.addmm(bias, x, across)
        if noise is not None:
            rates += noise
        n_first = batch_sizes[0]
        wide = len(weight_hh) >= _WIDE and 0 < n_first == batch_sizes[-1]
        kept = states = None
        if isinstance(keep, Tensor):
            kept = keep
            # The gradient of what is kept needs the states, which the rates do not tell.
            if ctx.needs_input_grad[6]:
                states = torch.empty_like(rates)
        if keep is not None:
            how = nonlinearity, batch_sizes
            last = _leak_(rates, weight_hh, state, keep, how, states)
        else:
            if wide:
                _fire_wide_(rates, weight_hh, state, nonlinearity, n_first)
            else:
                _fire_(rates, weight_hh, state, nonlinearity, batch_sizes)
            last = last_rows(rates, batch_sizes)
        tensors = x, weight_ih, bias, weight_hh, state, noise, kept
        ctx.save_for_backward(*tensors, states, rates)
        ctx.keep, ctx.nonlinearity, ctx.batch_sizes = None, nonlinearity, batch_sizes
        if kept is None:
            ctx.keep = keep
        ctx.wide = wide
        # A gradient that is not asked for stays None, instead of a matrix of zeros.
        ctx.set_materialize_grads(False)
        return rates, last

    @staticmethod
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Any, ...]:
        *tensors, kept, states, rates = ctx.saved_tensors
        keep = ctx.keep if kept is None else kept
        options = keep, ctx.nonlinearity, ctx.batch_sizes
        needed, given = ctx.needs_input_grad, (grad_rates, grad_last)
        # In the precision of the forward pass, which autocast would lower.
        with full_precision(rates):
            # Gradients that are differentiated again, or come many at once, take the loop.
            if torch.is_grad_enabled() or any(map(is_batched, given)):
                found = gradients_by_loop(tensors, options, given, needed)
            else:
                found = gradients_from_rates(
                    tensors, options, rates, given, needed, ctx.wide, states
                )
        return (*found, None, None)


fused: Callable[..., tuple[Tensor, Tensor]] = _Fused.apply
"""Runs one layer over all steps as :func:`loop` does, with a nonlinearity given by its name."""

INTO: dict[str, Callable[..., Tensor]] = {
    "relu": functools.partial(torch.clamp_min, min=0),
    "tanh": torch.tanh,
    "softplus": torch.ops.aten.softplus.out,
}
"""Applies the nonlinearity to a drive, and writes the rates where ``out=`` says."""


def _fire_(
    drive: Tensor,
    weight_hh: Tensor,
    state: Tensor,
    nonlinearity: str,
    batch_sizes: tuple[int, ...],
) -> None:
    """Turn the drive of a discrete circuit into its rates, step by step, in place."""
    into = INTO[nonlinearity]
    # One copy makes the product of every step run along its rows.
    across = weight_hh.t().contiguous()
    size, before = batch_sizes[0], state
    steps = torch.split(drive, list(batch_sizes))
    for n, now in zip(batch_sizes, steps, strict=True):
        if n < size:
            size, before = n, before[:n]
        into(now.addmm_(before, across), out=now)
        before = now


def _fire_wide_(
    drive: Tensor, weight_hh: Tensor, state: Tensor, nonlinearity: str, size: int
) -> None:
    """Turn drive into rates as :func:`_fire_` does, with units along rows at every step."""
    into = INTO[nonlinearity]
    before = state.t().contiguous()
    spare = torch.empty_like(before)
    for now in torch.split(drive, size):
        into(torch.addmm(now.t(), weight_hh, before, out=spare), out=spare)
        now.copy_(spare.t())
        before, spare = spare, before


def _leak_(
    drive: Tensor,
    weight_hh: Tensor,
    state: Tensor,
    keep: Tensor | float,
    how: tuple[str, tuple[int, ...]],
    states: Tensor | None,
) -> Tensor:
    """Turn the drive of a leaky circuit into its rates, in place; return its last states.

    Args:
        drive: What becomes the rates.
        weight_hh: The recurrent weight.
        state: Where it begins.
        keep: The fraction kept.
        how: The nonlinearity, and the number of rows of each step.
        states: What the states of all steps are written into; None where nobody asks.
    """
    nonlinearity, batch_sizes = how
    into = INTO[nonlinearity]
    across = weight_hh.t().contiguous()
    before = NONLINEARITIES[nonlinearity](state)
    last = state.clone()
    size, running, begin = batch_sizes[0], last, 0
    steps = torch.split(drive, list(batch_sizes))
    for n, now in zip(batch_sizes, steps, strict=True):
        if n < size:
            size, running, before = n, running[:n], before[:n]
        # `beta` of the product is a number; a leak of each unit takes a call of its own.
        if isinstance(keep, Tensor):
            running.mul_(keep).addmm_(before, across)
        else:
            running.addmm_(before, across, beta=keep)
        into(running.add_(now), out=now)
        before = now
        if states is not None:
            states[begin : begin + n] = running
            begin += n
    return last


def last_rows(rates: Tensor, batch_sizes: tuple[int, ...]) -> Tensor:
    """Return the rates of each sequence at its last step."""
    # A copy: writing into the last state must leave the rates as they are.
    if batch_sizes[0] == batch_sizes[-1]:
        return rates[-batch_sizes[-1] :].clone()
    # From the last step back, each step is the last one of the rows that it has more.
    ended, later, end = [], 0, len(rates)
    for size in reversed(batch_sizes):
        ended.append(rates[end - size + later : end])
        later, end = size, end - size
    return torch.cat(ended)
