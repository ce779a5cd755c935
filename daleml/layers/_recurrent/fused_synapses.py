"""Short-term plasticity over all steps at once: the values and first derivatives of its loop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from daleml.layers._recurrent.dynamics_loop import dynamics_loop
from daleml.layers._recurrent.fused import INTO
from daleml.layers._recurrent.fused_gradients import gradients_by_running
from daleml.layers._recurrent.fused_synapses_gradients import synaptic_gradients
from daleml.layers._recurrent.layer_sweep import full_precision
from daleml.layers._recurrent.synapse_rule import Ran, SynapseRule, synapse_rule
from daleml.layers._shared.functorch_tensors import is_batched
from daleml.layers.dynamics import ShortTermPlasticity, TimeStep


class _FusedSynapses(torch.autograd.Function):
    """The loop's values and first derivatives, for plasticity over a leak of state or rate."""

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
        dynamics: ShortTermPlasticity,
        time: TimeStep,
        nonlinearity: str,
        batch_sizes: tuple[int, ...],
    ) -> tuple[Tensor, Tensor]:
        rule = synapse_rule(dynamics, time, nonlinearity, state)
        scale = rule.of_rows()
        across = (weight_ih * scale).t()
        drive = x.mm(across)
        if bias is not None:
            drive += bias * time.alpha
        if noise is not None:
            drive += noise * time.alpha
        ran, last = _fire_(drive, weight_hh * scale, state, rule, batch_sizes)
        ctx.save_for_backward(x, weight_ih, bias, weight_hh, state, noise, *ran)
        ctx.rule, ctx.batch_sizes = rule, batch_sizes
        ctx.dynamics, ctx.time = dynamics, time
        ctx.set_materialize_grads(False)
        return ran.rates, last

    @staticmethod
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Any, ...]:
        *tensors, rates, sent, synapses = ctx.saved_tensors
        needed, given = ctx.needs_input_grad, (grad_rates, grad_last)

        run = functools.partial(_run_again, ctx)
        with full_precision(rates):
            # Gradients that are differentiated again, or come many at once, take the loop.
            if torch.is_grad_enabled() or any(map(is_batched, given)):
                found = gradients_by_running(run, tensors, given, needed)
            else:
                ran = Ran(rates, sent, synapses)
                found = synaptic_gradients(
                    tensors, ctx.rule, ran, ctx.batch_sizes, given, needed
                )
        return (*found, None, None, None, None)


def _run_again(ctx: Any, *tensors: Any) -> tuple[Tensor, Tensor]:
    """Run the steps by the loop."""
    x, weight_ih, bias, weight_hh, state, noise = tensors
    how = ctx.dynamics, ctx.time, ctx.batch_sizes
    return dynamics_loop(x, weight_ih, bias, weight_hh, state, noise, *how)


fused_synapses: Callable[..., tuple[Tensor, Tensor]] = _FusedSynapses.apply
"""Runs one layer as :func:`dynamics_loop` does, under plasticity over a leak of state or rate."""


def _fire_(
    drive: Tensor,
    weight: Tensor,
    state: Tensor,
    rule: SynapseRule,
    batch_sizes: tuple[int, ...],
) -> tuple[Ran, Tensor]:
    """Turn the drive into rates, step by step, in place.

    Args:
        drive: What the inputs contribute, times alpha.
        weight: The recurrent weight, times alpha.
        state: Where the sequences begin.
        rule: The numbers of a step.
        batch_sizes: Number of sequences that take part in each step.

    Returns:
        Rates and synapses of every step, and the last state of each sequence.
    """
    into, across = INTO[rule.nonlinearity], weight.t().contiguous()
    add_kept_, rectified = rule.adder_of_kept(), rule.rectified
    running, h, y = rule.begin(state)
    running, u, size, last = running.clone(), y[1], len(state), torch.empty_like(state)
    use, kept, added = rule.of_sequences(size)
    change, spent, gained = _memory_like(y)
    ran = Ran(
        drive, torch.empty_like(drive), drive.new_empty(2 * len(drive), len(weight))
    )
    sizes = list(batch_sizes)
    steps = (
        torch.split(drive, sizes),
        torch.split(ran.sent, sizes),
        ran.pairs(batch_sizes),
    )
    mul, sub, addcmul = torch.mul, torch.sub, torch.addcmul
    for now, sent, new in zip(*steps, strict=True):
        n = len(now)
        if n < size:
            last[n:size] = torch.cat([running[n:], *y[:, n:]], dim=-1)
            size, running, h, y, u = n, running[:n], h[:n], y[:, :n], u[:n]
            use, kept, added = rule.of_sequences(n)
            change, spent, gained = _memory_like(y)
        mul(h, use, out=change)
        spent.mul_(u)
        sub(kept, change, out=new)
        addcmul(added, y, new, out=new)
        x, u = new
        u.add_(gained)
        new.clamp_(0, 1)
        mul(x, u, out=sent).mul_(h)
        add_kept_(now, running).addmm_(sent, across)
        if rectified:
            running = into(now, out=now)
        else:
            running.copy_(now)
            into(now, out=now)
        h, y = now, new
    last[:size] = torch.cat([running, *y], dim=-1)
    return ran, last


def _memory_like(pair: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return memory for what a step changes, both together, and one by one."""
    change = torch.empty_like(pair)
    return change, change[0], change[1]
