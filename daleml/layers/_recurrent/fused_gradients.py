"""The backward pass of the fused recurrence: gradients from the rates alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from daleml.layers._recurrent.loop import loop
from daleml.layers._recurrent.nonlinearities import NONLINEARITIES

FusedOptions: TypeAlias = "tuple[Tensor | float | None, str, tuple[int, ...]]"
"""The fraction kept, the name of the nonlinearity, and the number of rows of each step."""
GivenGradients: TypeAlias = tuple[Tensor | None, Tensor | None]
"""The gradients of the rates and of the last states; None where nothing asks."""


# -- through the nonlinearity, whose derivative is told from the rates it returned


def _through_relu_(grad: Tensor, rates: Tensor) -> None:
    torch.ops.aten.threshold_backward.grad_input(grad, rates, 0, grad_input=grad)


def _through_tanh_(grad: Tensor, rates: Tensor) -> None:
    torch.ops.aten.tanh_backward.grad_input(grad, rates, grad_input=grad)


def _through_softplus_(grad: Tensor, rates: Tensor) -> None:
    # Above 20, torch's softplus is the identity.
    grad.mul_(torch.where(rates > 20, 1.0, -torch.expm1(-rates)))


THROUGH: dict[str, Callable[[Tensor, Tensor], None]] = {
    "relu": _through_relu_,
    "tanh": _through_tanh_,
    "softplus": _through_softplus_,
}
"""Multiplies a gradient by the derivative of the nonlinearity, in place."""


def gradients_from_rates(
    tensors: list[Any],
    options: FusedOptions,
    rates: Tensor,
    given: GivenGradients,
    needed: Sequence[bool],
    wide: bool,
    states: Tensor | None = None,
) -> list[Tensor | None]:
    """Return the gradient of each tensor that needs one, last that of the fraction kept.

    Args:
        tensors: Input, its weight, bias, recurrent weight, first state, and noise.
        options: What else the forward pass was given.
        rates: What it returned.
        given: The gradients of what it returned.
        needed: Which of the tensors need one.
        wide: Whether to take the steps with the units along rows.
        states: The states of all steps, where the fraction kept needs a gradient.
    """
    x, weight_ih, _, weight_hh, state, _ = tensors
    keep, nonlinearity, batch_sizes = options
    carry_back = _carry_back_wide if wide else _carry_back
    grad = carry_back(rates, weight_hh, options, given)
    n_first = batch_sizes[0]
    first = grad[:n_first]
    begun = state if keep is None else NONLINEARITIES[nonlinearity](state)
    # Each weight's gradient is one product over all steps.
    found: list[Tensor | None] = [None] * (len(tensors) + 1)
    if needed[0]:
        found[0] = grad.mm(weight_ih)
    if needed[1]:
        found[1] = grad.t().mm(x)
    if needed[2]:
        found[2] = grad.sum(0)
    if needed[3]:
        later, before = grad[n_first:], rates[previous_rows(batch_sizes, rates.device)]
        found[3] = first.t().mm(begun).addmm_(later.t(), before)
    if needed[4]:
        grad_state = first.mm(weight_hh)
        if keep is not None:
            THROUGH[nonlinearity](grad_state, begun)
            _add_kept_(grad_state, first, keep)
        found[4] = grad_state
    if needed[5]:
        found[5] = grad
    if states is not None:
        # It multiplies the state before, in every step.
        later, before = (
            grad[n_first:],
            states[previous_rows(batch_sizes, rates.device)],
        )
        found[6] = (first * state).sum(0).add_((later * before).sum(0))
    return found


def _carry_back(
    rates: Tensor, weight_hh: Tensor, options: FusedOptions, given: GivenGradients
) -> Tensor:
    """Return the gradient of what the nonlinearity is applied to, (rows, units).

    It goes through the steps from the last to the first. A sequence that ends early begins
    there, with the gradient of its last state.
    """
    keep, nonlinearity, batch_sizes = options
    grad_rates, grad_last = given
    # One zero, seen as a matrix.
    if grad_rates is None:
        grad_rates = rates.new_zeros(()).expand_as(rates)
    through_ = THROUGH[nonlinearity]
    grad = torch.empty_like(rates)
    n_later, later = 0, grad[:0]
    steps = (torch.split(each, list(batch_sizes)) for each in (grad, rates, grad_rates))
    for n, now, after, outside in zip(
        *map(reversed, (batch_sizes, *steps)), strict=True
    ):
        going_on, ending = now, None
        # Where no sequence ends, one call adds what comes from outside and from later.
        if n == n_later:
            torch.addmm(outside, later, weight_hh, out=now)
        else:
            going_on, ending = now[:n_later], now.copy_(outside)[n_later:]
            going_on.addmm_(later, weight_hh)
        # Without a leak the last state is a rate, whose gradient goes through f as well.
        if ending is not None and grad_last is not None and keep is None:
            ending.add_(grad_last[n_later:n])
        through_(now, after)
        if keep is not None:
            if n_later:
                _add_kept_(going_on, later, keep)
            if ending is not None and grad_last is not None:
                ending.add_(grad_last[n_later:n])
        n_later, later = n, now
    return grad


def _carry_back_wide(
    rates: Tensor, weight_hh: Tensor, options: FusedOptions, given: GivenGradients
) -> Tensor:
    """Carry back as :func:`_carry_back` does, with the units along rows, for even sequences."""
    keep, nonlinearity, batch_sizes = options
    grad_rates, grad_last = given
    if grad_rates is None:
        grad_rates = rates.new_zeros(()).expand_as(rates)
    through_ = THROUGH[nonlinearity]
    size = batch_sizes[0]
    grad = torch.empty_like(rates)
    across = weight_hh.t().contiguous()
    later_t, spare = grad.new_empty(2, len(weight_hh), size)
    later = None
    steps = (torch.split(each, size) for each in (grad, rates, grad_rates))
    for now, after, outside in zip(*map(reversed, tuple(steps)), strict=True):
        if later is None:
            now.copy_(outside)
            if grad_last is not None and keep is None:
                now.add_(grad_last)
        else:
            now.copy_(torch.addmm(outside.t(), across, later_t, out=spare).t())
        through_(now, after)
        if keep is not None:
            if later is not None:
                _add_kept_(now, later, keep)
            elif grad_last is not None:
                now.add_(grad_last)
        later = now
        later_t.copy_(now.t())
    return grad


def _add_kept_(grad: Tensor, later: Tensor, keep: Tensor | float) -> None:
    """Add what reaches a state past the nonlinearity, by what is kept of it."""
    if isinstance(keep, Tensor):
        grad.addcmul_(later, keep)
    else:
        grad.add_(later, alpha=keep)


def previous_rows(batch_sizes: tuple[int, ...], device: torch.device) -> Tensor | slice:
    """Return, for each row after the first step, the row of the same sequence a step before."""
    if batch_sizes[0] == batch_sizes[-1]:
        return slice(0, -batch_sizes[0])
    found, start = [], 0
    for size, following in itertools.pairwise(batch_sizes):
        found.append(torch.arange(following) + start)
        start += size
    return torch.cat(found).to(device, non_blocking=device.type == "cuda")


def gradients_by_loop(
    tensors: list[Any],
    options: FusedOptions,
    given: GivenGradients,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Return what :func:`gradients_from_rates` does, from the loop: to be differentiated again."""
    keep, nonlinearity, batch_sizes = options
    f = NONLINEARITIES[nonlinearity]

    def run(*tensors: Any) -> tuple[Tensor, Tensor]:
        x, weight_ih, bias, weight_hh, state, noise, keep = tensors
        return loop(x, weight_ih, bias, weight_hh, state, noise, keep, f, batch_sizes)

    # The fraction kept comes last, and may be a number.
    return gradients_by_running(run, [*tensors, keep], given, needed)


def gradients_by_running(
    run: Callable[..., tuple[Tensor, Tensor]],
    tensors: list[Any],
    given: GivenGradients,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients of what runs a layer, by running it again with a graph."""
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        results = run(*tensors)
    asked = [pair for pair in zip(results, given, strict=True) if pair[1] is not None]
    wanted = [i for i, tensor in enumerate(tensors) if tensor is not None and needed[i]]
    found = torch.autograd.grad(
        [result for result, _ in asked],
        [tensors[i] for i in wanted],
        [gradient for _, gradient in asked],
        create_graph=differentiable,
        allow_unused=True,
    )
    gradients: list[Tensor | None] = [None] * len(tensors)
    for i, gradient in zip(wanted, found, strict=True):
        gradients[i] = gradient
    return gradients
