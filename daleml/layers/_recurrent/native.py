r"""The recurrence as torch's own ``nn.RNN`` runs it, which on CUDA is one kernel for all steps.

Without a leak a circuit is an ``nn.RNN`` with the composed weights. Noise is an input of its own,

.. math:: r_t = f\bigl([U \; 1]\, [u_t;\, \eta_t] + W r_{t-1} + b\bigr),

and under relu a noisy state that leaks is the difference of two rates,
:math:`x_t = p_t - n_t`, with :math:`p_t = \max(0, x_t)` and :math:`n_t = \max(0, -x_t)`:

.. math::
    \begin{pmatrix} p_t \\ n_t \end{pmatrix} = \max\left(0,
    \begin{pmatrix} W + k & -k \\ -W - k & k \end{pmatrix}
    \begin{pmatrix} p_{t-1} \\ n_{t-1} \end{pmatrix}
    + \begin{pmatrix} d_t \\ -d_t \end{pmatrix}\right), \qquad d_t = U u_t + b + \eta_t .

Values are the same. So are gradients, unless a state is exactly 0, where neither half would pass
on what is kept; noise makes that happen with probability 0, and without noise the circuit runs
its own steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from daleml.layers._recurrent.fused_gradients import gradients_by_loop
from daleml.layers._shared.functorch_tensors import is_batched

_RUNS: dict[str, Any] = {"relu": torch._VF.rnn_relu, "tanh": torch._VF.rnn_tanh}
"""What runs a whole sequence, by the name of its nonlinearity."""
_MOST_UNITS = 1024
"""Up to how many units a leak is run as twice as many units without one."""

on_every_device = False
"""Whether to run so on the CPU, too: for tests."""


def is_native(
    x: Tensor,
    noise: Tensor | None,
    keep: Tensor | float | None,
    nonlinearity: str,
    batch_sizes: Sequence[int],
) -> bool:
    """Whether a layer may run so, and is to."""
    if not (x.is_cuda or on_every_device) or nonlinearity not in _RUNS:
        return False
    if not batch_sizes or not batch_sizes[0]:
        return False
    if keep is None:
        return True
    # Noise has as many columns as there are units.
    is_noisy = noise is not None and noise.shape[1] <= _MOST_UNITS
    return nonlinearity == "relu" and is_noisy


def native(
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
    """Run one layer over all steps; arguments and results are those of ``loop``."""
    n_units = len(weight_hh)
    if noise is not None:
        x = torch.cat([x, noise], dim=1)
        own = torch.eye(n_units, dtype=weight_ih.dtype, device=weight_ih.device)
        weight_ih = torch.cat([weight_ih, own], dim=1)
    how = nonlinearity, batch_sizes
    if keep is None:
        return _differentiable(x, weight_ih, bias, weight_hh, state, *how)
    each = keep if isinstance(keep, Tensor) else weight_hh.new_full((), keep)
    kept = torch.diag_embed(each.expand(n_units))
    of_rates = weight_hh + kept
    row = torch.cat([of_rates, -kept], dim=1)
    # Past 0, so that the gradient of a first state of 0 is that of what is kept of it.
    positive = state.clamp(min=0)
    halves = torch.cat([positive, positive - state], dim=1)
    rates, last = _differentiable(
        x,
        torch.cat([weight_ih, -weight_ih]),
        None if bias is None else torch.cat([bias, -bias]),
        torch.cat([row, -row]),
        halves,
        *how,
    )
    return rates[:, :n_units], last[:, :n_units] - last[:, n_units:]


def _differentiable(*arguments: Any) -> tuple[Tensor, Tensor]:
    """Run a layer without leak and noise, with derivatives of any order where they are wanted."""
    wanted = torch.is_grad_enabled() and any(
        isinstance(one, Tensor) and one.requires_grad for one in arguments
    )
    run: Any = _Native.apply if wanted else _run
    found: tuple[Tensor, Tensor] = run(*arguments)
    return found


class _Native(torch.autograd.Function):
    """torch's own gradients, and those of the loop where they are differentiated again."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_ih: Tensor,
        bias: Tensor | None,
        weight_hh: Tensor,
        state: Tensor,
        nonlinearity: str,
        batch_sizes: tuple[int, ...],
    ) -> tuple[Tensor, Tensor]:
        tensors = x, weight_ih, bias, weight_hh, state
        leaves: list[Any] = []
        for tensor, needed in zip(tensors, ctx.needs_input_grad, strict=False):
            leaf = None
            if tensor is not None:
                leaf = tensor.detach().requires_grad_(needed)
            leaves.append(leaf)
        # A graph within: cuDNN remembers what its gradients need, but knows no second ones.
        inside: Any = (*leaves, nonlinearity, batch_sizes)
        with torch.enable_grad():
            results = _run(*inside)
        ctx.save_for_backward(*tensors)
        ctx.inner, ctx.options = (leaves, results), (nonlinearity, batch_sizes)
        ctx.set_materialize_grads(False)
        rates, last = results
        return rates.detach(), last.detach()

    @staticmethod
    def backward(
        ctx: Any, grad_rates: Tensor | None, grad_last: Tensor | None
    ) -> tuple[Any, ...]:
        # Asked for in any case: torch says here what was freed, or written to since.
        saved = ctx.saved_tensors
        given = grad_rates, grad_last
        needed = ctx.needs_input_grad[:5]
        if torch.is_grad_enabled() or any(map(is_batched, given)):
            # Without noise, and without a leak.
            tensors = [*saved, None]
            options = None, *ctx.options
            found = gradients_by_loop(tensors, options, given, (*needed, False, False))
            return (*found[:5], None, None)
        leaves, results = ctx.inner
        keeps = torch._C._autograd._get_current_graph_task_keep_graph()
        found = _gradients(leaves, results, given, needed, keeps)
        if not keeps:
            ctx.inner = None
        return (*found, None, None)


def _gradients(
    leaves: Sequence[Any],
    results: Sequence[Tensor],
    given: Sequence[Tensor | None],
    needed: Sequence[bool],
    keeps: bool,
) -> list[Tensor | None]:
    """Return the gradient of each leaf that needs one, by the graph within."""
    asked = [pair for pair in zip(results, given, strict=True) if pair[1] is not None]
    wanted = [i for i, leaf in enumerate(leaves) if leaf is not None and needed[i]]
    computed = torch.autograd.grad(
        [result for result, _ in asked],
        [leaves[i] for i in wanted],
        [gradient for _, gradient in asked],
        retain_graph=keeps,
        allow_unused=True,
    )
    found: list[Tensor | None] = [None] * len(leaves)
    for i, gradient in zip(wanted, computed, strict=True):
        found[i] = gradient
    return found


def _run(
    x: Tensor,
    weight_ih: Tensor,
    bias: Tensor | None,
    weight_hh: Tensor,
    state: Tensor,
    nonlinearity: str,
    batch_sizes: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """Run a layer as ``nn.RNN`` does, sequences of one length or of several."""
    parameters = [weight_ih, weight_hh]
    if bias is not None:
        # Torch has two, and adds them.
        parameters += [bias, torch.zeros_like(bias)]
    if x.is_cuda:
        parameters = _side_by_side(parameters)
    # One layer, no dropout; in training mode, without which cuDNN has no gradients; one direction.
    rest = bias is not None, 1, 0.0, True, False
    run, hx = _RUNS[nonlinearity], state.contiguous()[None]
    n_first = batch_sizes[0]
    if n_first == batch_sizes[-1]:
        steps = x.reshape(len(batch_sizes), n_first, x.shape[1])
        rates, last = run(steps, hx, parameters, *rest, False)
        return rates.reshape(len(x), len(weight_hh)), last[0]
    sizes = torch.tensor(batch_sizes, device="cpu")
    rates, last = run(x, sizes, hx, parameters, *rest)
    return rates, last[0]


def _side_by_side(parameters: list[Tensor]) -> list[Tensor]:
    """Return parameters as parts of one piece of memory, where cuDNN takes them without a copy."""
    lengths = [one.numel() for one in parameters]
    whole = torch.cat([one.reshape(-1) for one in parameters])
    found = []
    for part, one in zip(torch.split(whole, lengths), parameters, strict=True):
        found.append(part.view(one.shape))
    return found
