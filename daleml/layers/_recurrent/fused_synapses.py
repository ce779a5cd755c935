r"""Short-term plasticity over all steps at once: the values and first derivatives of its loop.

The synapses of every unit are kept as :math:`y = (x,\; 1 - u)`, for both then follow one rule,

.. math:: y_t = C + y_{t-1} \odot (K - r_{t-1}\, q \odot (u_{t-1},\; 1)),

with numbers :math:`C`, :math:`K` and :math:`q` of each unit, and one operation does for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from daleml.layers._recurrent.dynamics_loop import dynamics_loop
from daleml.layers._recurrent.fused import INTO, is_batched
from daleml.layers._recurrent.fused_gradients import gradients_by_running
from daleml.layers._recurrent.fused_synapses_gradients import (
    Ran,
    SynapseRule,
    synaptic_gradients,
)
from daleml.layers._recurrent.layer_sweep import full_precision
from daleml.layers.dynamics import RectifiedLeak, ShortTermPlasticity, TimeStep
from daleml.layers.dynamics.unit_values import like, recovery


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
        across = weight_ih.t()
        drive = x.mm(across) if bias is None else torch.addmm(bias, x, across)
        if noise is not None:
            drive += noise
        drive *= time.alpha
        rule = synapse_rule(dynamics, time, nonlinearity, weight_hh)
        scale = time.alpha
        if isinstance(scale, Tensor):
            scale = scale[:, None]
        ran, last = _run_(drive, weight_hh * scale, state, rule, batch_sizes)
        ctx.save_for_backward(x, weight_ih, bias, weight_hh, state, noise, *ran)
        ctx.rule, ctx.batch_sizes = rule, batch_sizes
        ctx.dynamics, ctx.time = dynamics, time
        ctx.set_materialize_grads(False)
        return ran.rates, last

    @staticmethod
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Any, ...]:
        *tensors, rates, synapses, sent = ctx.saved_tensors
        needed, given = ctx.needs_input_grad, (grad_rates, grad_last)

        def run(*tensors: Any) -> tuple[Tensor, Tensor]:
            return dynamics_loop(*tensors, ctx.dynamics, ctx.time, ctx.batch_sizes)

        with full_precision(rates):
            # Gradients that are differentiated again, or come many at once, take the loop.
            if torch.is_grad_enabled() or any(map(is_batched, given)):
                found = gradients_by_running(run, tensors, given, needed)
            else:
                ran = Ran(rates, synapses, sent)
                found = synaptic_gradients(
                    tensors, ctx.rule, ran, ctx.batch_sizes, given, needed
                )
        return (*found, None, None, None, None)


fused_synapses: Callable[..., tuple[Tensor, Tensor]] = _FusedSynapses.apply
"""Runs one layer as :func:`dynamics_loop` does, under plasticity over a leak of state or rate."""


def synapse_rule(
    dynamics: ShortTermPlasticity, time: TimeStep, nonlinearity: str, tensor: Tensor
) -> SynapseRule:
    """Return the numbers of a step of synapses and units, where a tensor is and in its dtype."""

    def of_units(value: Any) -> Tensor:
        each = torch.as_tensor(value, dtype=tensor.dtype, device=tensor.device)
        return each.expand(len(tensor))

    rest = of_units(like(dynamics.U, tensor))
    refill, used_x = map(
        of_units, recovery(like(dynamics.tau_x_ms, tensor), time.dt_ms)
    )
    regain, used_u = map(
        of_units, recovery(like(dynamics.tau_u_ms, tensor), time.dt_ms)
    )
    return SynapseRule(
        use=torch.stack([used_x, used_u * rest])[:, None],
        kept=1 - torch.stack([refill, regain])[:, None],
        added=torch.stack([refill, regain * (1 - rest)])[:, None],
        alpha=time.alpha,
        nonlinearity=nonlinearity,
        rectified=type(dynamics.over) is RectifiedLeak,
    )


def _run_(
    drive: Tensor,
    weight: Tensor,
    state: Tensor,
    rule: SynapseRule,
    batch_sizes: tuple[int, ...],
) -> tuple[Ran, Tensor]:
    """Run the steps, given the drive and the recurrent weight times alpha.

    Returns:
        What a backward pass needs of every step, and the last state of each sequence.
    """
    into, across = INTO[rule.nonlinearity], weight.t().contiguous()
    membrane, before = rule.begin(state)
    rates, sent = torch.empty_like(drive), torch.empty_like(drive)
    synapses = drive.new_empty(2, *drive.shape)
    running = membrane.clone()
    change = torch.empty_like(before.synapses)
    size, h, y = batch_sizes[0], before.rates, before.synapses
    last = torch.empty_like(state)
    sizes = list(batch_sizes)
    steps = zip(
        sizes,
        drive.split(sizes),
        rates.split(sizes),
        sent.split(sizes),
        synapses.split(sizes, 1),
        synapses[0].split(sizes),
        synapses[1].split(sizes),
        strict=True,
    )
    for n, now, fired, s, new, x, v in steps:
        if n < size:
            last[n:size] = rule.state_of(running[n:], h[n:], y[:, n:])
            size, running, h = n, running[:n], h[:n]
            y, change = y[:, :n], change[:, :n]
        # What use takes of both, (h q u, h q), before it is taken off what is kept.
        torch.mul(h, rule.use, out=change)
        change[0].addcmul_(change[0], y[1], value=-1)
        torch.sub(rule.kept, change, out=change)
        torch.addcmul(rule.added, y, change, out=new).clamp_(0, 1)
        torch.addcmul(x, x, v, value=-1, out=s).mul_(h)
        if rule.rectified:
            rule.add_kept_(torch.addmm(now, s, across, out=fired), h)
            into(fired, out=fired)
        else:
            rule.keep_(running).addmm_(s, across).add_(now)
            into(running, out=fired)
        h, y = fired, new
    last[:size] = rule.state_of(running, h, y)
    return Ran(rates, synapses, sent), last
