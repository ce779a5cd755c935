"""The loop's values and first derivatives, computed from the rates alone.

Few products, nothing kept but the rates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from daleml.layers._recurrent.loop import NONLINEARITIES, loop


def fused(*inputs: Any) -> tuple[Tensor, Tensor]:
    """Run one layer over all steps, as ``steps.loop`` does with a nonlinearity of ``NONLINEARITIES``, by its name."""
    return cast("tuple[Tensor, Tensor]", _Fused.apply(*inputs))  # type: ignore[no-untyped-call]


class _Fused(torch.autograd.Function):
    """The loop's values and first derivatives, from the rates alone.

    Forward projects all inputs in one product into the buffer that becomes the rates; nothing
    else is kept. Backward carries the gradient of the state through the steps, then gathers
    each weight's gradient in one product.
    """

    @staticmethod
    def forward(
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
        rates = (
            torch.mm(x, weight_ih.t())
            if bias is None
            else torch.addmm(bias, x, weight_ih.t())
        )
        if noise is not None:
            rates += noise
        across = weight_hh.t().contiguous()
        into, steps = (
            _INTO[nonlinearity],
            zip(batch_sizes, torch.split(rates, list(batch_sizes)), strict=True),
        )
        size, before = (
            batch_sizes[0],
            state if keep is None else NONLINEARITIES[nonlinearity](state),
        )
        if keep is None and _is_wide(weight_hh, batch_sizes):
            _advance_wide(torch.split(rates, size), state, weight_hh, into)
            return rates, _last_rows(rates, batch_sizes)
        if keep is None:
            for n, now in steps:
                if n < size:
                    before, size = before[:n], n
                into(now.addmm_(before, across), out=now)
                before = now
            return rates, _last_rows(rates, batch_sizes)
        last = state.clone()
        running = last
        for n, now in steps:
            if n < size:
                running, before, size = running[:n], before[:n], n
            if isinstance(keep, Tensor):
                running.mul_(keep).addmm_(before, across)
            else:
                running.addmm_(before, across, beta=keep)
            into(running.add_(now), out=now)
            before = now
        return rates, last

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]
    ) -> None:
        *tensors, ctx.keep, ctx.nonlinearity, ctx.batch_sizes = inputs
        ctx.save_for_backward(*tensors, output[0])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Any, ...]:
        *tensors, rates = ctx.saved_tensors
        options = ctx.keep, ctx.nonlinearity, ctx.batch_sizes
        grads = [grad for grad in (grad_rates, grad_last) if grad is not None]
        with torch.autocast(
            rates.device.type, enabled=False
        ):  # in the precision of the forward pass
            if torch.is_grad_enabled() or any(
                map(_is_batched, grads)
            ):  # to be differentiated again, or many at once
                gradients = _loop_gradients(
                    tensors, options, grad_rates, grad_last, ctx.needs_input_grad
                )
            else:
                gradients = _gradients(
                    tensors, options, rates, grad_rates, grad_last, ctx.needs_input_grad
                )
        return (*gradients, None, None, None)


_INTO: dict[str, Callable[..., Tensor]] = {
    "relu": functools.partial(torch.clamp_min, min=0),
    "tanh": torch.tanh,
    "softplus": torch.ops.aten.softplus.out,
}


def _through_relu_(grad: Tensor, rates: Tensor) -> None:
    torch.ops.aten.threshold_backward.grad_input(grad, rates, 0, grad_input=grad)


def _through_tanh_(grad: Tensor, rates: Tensor) -> None:
    torch.ops.aten.tanh_backward.grad_input(grad, rates, grad_input=grad)


def _through_softplus_(grad: Tensor, rates: Tensor) -> None:
    grad.mul_(
        torch.where(rates > 20, 1.0, -torch.expm1(-rates))
    )  # above 20, torch's softplus is the identity


_THROUGH: dict[str, Callable[[Tensor, Tensor], None]] = {
    "relu": _through_relu_,
    "tanh": _through_tanh_,
    "softplus": _through_softplus_,
}
"""Multiply a gradient by the derivative of the nonlinearity, told from the rates it returned, in place."""


_WIDE = 768


def _is_wide(weight_hh: Tensor, batch_sizes: tuple[int, ...]) -> bool:
    """Whether a weight is so large that multiplying columns by it, and transposing them, is faster than rows."""
    return len(weight_hh) >= _WIDE and 0 < batch_sizes[0] == batch_sizes[-1]


def _advance_wide(
    steps: Sequence[Tensor],
    state: Tensor,
    weight_hh: Tensor,
    into: Callable[..., Tensor],
) -> None:
    """Take the steps of a discrete circuit with its units along rows: drive in, rates out."""
    before = state.t().contiguous()
    spare = torch.empty_like(before)
    for now in steps:
        into(torch.addmm(now.t(), weight_hh, before, out=spare), out=spare)
        now.copy_(spare.t())
        before, spare = spare, before


def _last_rows(rates: Tensor, batch_sizes: tuple[int, ...]) -> Tensor:
    """Return the rates of each sequence at its last step."""
    if batch_sizes[0] == batch_sizes[-1]:
        return rates[-batch_sizes[-1] :].clone()
    pieces, later, end = [], 0, len(rates)
    for size in reversed(batch_sizes):
        pieces.append(rates[end - size + later : end])
        later, end = size, end - size
    return torch.cat(pieces)


def _gradients(
    tensors: list[Any],
    options: tuple[Tensor | float | None, str, tuple[int, ...]],
    rates: Tensor,
    grad_rates: Tensor | None,
    grad_last: Tensor | None,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    x, weight_ih, _, weight_hh, state, _ = tensors
    keep, nonlinearity, batch_sizes = options
    through_ = _THROUGH[nonlinearity]
    if grad_rates is None:
        grad_rates = rates.new_zeros(()).expand_as(rates)
    grad = torch.empty_like(
        rates
    )  # of what the nonlinearity is applied to: step by step, last first
    n_later, later = 0, grad[:0]
    wide = _is_wide(weight_hh, batch_sizes)
    across = weight_hh.t().contiguous() if wide else None
    later_t, spare = (
        grad.new_empty(len(weight_hh), batch_sizes[0] if wide else 0) for _ in range(2)
    )
    steps = (torch.split(each, list(batch_sizes)) for each in (grad, rates, grad_rates))
    for n, now, after, outside in zip(
        *map(reversed, (batch_sizes, *steps)), strict=True
    ):
        going_on, ending = now, None
        if across is not None and n_later:
            now.copy_(torch.addmm(outside.t(), across, later_t, out=spare).t())
        elif n == n_later:
            torch.addmm(outside, later, weight_hh, out=now)
        else:
            going_on, ending = now[:n_later], now.copy_(outside)[n_later:]
            going_on.addmm_(later, weight_hh)
        if ending is not None and grad_last is not None and keep is None:
            ending.add_(grad_last[n_later:n])
        through_(now, after)
        if keep is not None:
            if n_later:
                _add_kept_(going_on, later, keep)
            if ending is not None and grad_last is not None:
                ending.add_(grad_last[n_later:n])
        n_later, later = n, now
        if wide:
            later_t.copy_(now.t())
    start = state if keep is None else NONLINEARITIES[nonlinearity](state)
    grad_weight = later.t().mm(start)
    n = batch_sizes[0]
    if batch_sizes[-1] == n:
        grad_weight.addmm_(grad[n:].t(), rates[:-n])
    else:
        grad_weight.addmm_(
            grad[n:].t(), rates[_previous_rows(batch_sizes, rates.device)]
        )
    grad_state = None
    if needed[4]:
        grad_state = later.mm(weight_hh)
        if keep is not None:
            through_(grad_state, start)
            _add_kept_(grad_state, later, keep)
    return [
        grad.mm(weight_ih) if needed[0] else None,
        grad.t().mm(x) if needed[1] else None,
        grad.sum(0) if needed[2] else None,
        grad_weight if needed[3] else None,
        grad_state,
        grad if needed[5] else None,
    ]


def _add_kept_(grad: Tensor, later: Tensor, keep: Tensor | float) -> None:
    if isinstance(keep, Tensor):
        grad.addcmul_(later, keep)
    else:
        grad.add_(later, alpha=keep)


def _previous_rows(batch_sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Return, for each row after the first step, the row of the same sequence a step before."""
    starts = [sum(batch_sizes[:t]) for t in range(len(batch_sizes))]
    pieces = [
        torch.arange(size) + start
        for size, start in zip(batch_sizes[1:], starts, strict=False)
    ]
    return torch.cat(pieces).to(device)


def _loop_gradients(
    tensors: list[Any],
    options: tuple[Tensor | float | None, str, tuple[int, ...]],
    grad_rates: Tensor | None,
    grad_last: Tensor | None,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    keep, nonlinearity, batch_sizes = options
    x, weight_ih, bias, weight_hh, state, noise = tensors
    f, differentiable = NONLINEARITIES[nonlinearity], torch.is_grad_enabled()
    with torch.enable_grad():
        results = loop(
            x, weight_ih, bias, weight_hh, state, noise, keep, f, batch_sizes
        )
    given = [
        (result, grad)
        for result, grad in zip(results, (grad_rates, grad_last), strict=True)
        if grad is not None
    ]
    wanted = [i for i, tensor in enumerate(tensors) if tensor is not None and needed[i]]
    found = torch.autograd.grad(
        [result for result, _ in given],
        [tensors[i] for i in wanted],
        [grad for _, grad in given],
        create_graph=differentiable,
        allow_unused=True,
    )
    gradients: list[Tensor | None] = [None] * len(tensors)
    for i, gradient in zip(wanted, found, strict=True):
        gradients[i] = gradient
    return gradients


def _is_batched(tensor: Tensor) -> bool:
    return torch._C._functorch.is_batchedtensor(
        tensor
    ) or torch._C._functorch.is_legacy_batchedtensor(tensor)
