r"""The recurrence of one layer over whole sequences.

By ``fused`` where it can be, by the loop of ``steps`` elsewhere.

Sequences that advance together are rows of one matrix, step after step, ``(rows, units)``;
``batch_sizes`` says how many rows each step has, as in ``torch.nn.utils.rnn.PackedSequence``:
they may only become fewer. With no leak the state is the rate itself,

.. math:: r_t = f(U u_t + W r_{t-1} + b + \eta_t),

and with a fraction :math:`k` of the state kept from step to step (:math:`U`, :math:`W` and
:math:`b` holding the factor :math:`1 - k` already)

.. math:: x_t = k\, x_{t-1} + U u_t + W r_{t-1} + b + \eta_t, \qquad r_t = f(x_t).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import linear

from daleml.layers._recurrent.fused import fused
from daleml.layers._recurrent.loop import (
    NONLINEARITIES,
    Nonlinearity,
    advance,
    function,
    loop,
)


class Sweep(NamedTuple):
    """How a layer is to run over its steps.

    Attributes:
        state: Where it starts, (sequences, units).
        noise: Added to the state at every step, (rows, units); None for none.
        leak: Fraction of the state that is replaced in a step, a number or (units,); None if
            the state is the rate.
        nonlinearity: Its name in ``NONLINEARITIES``, or a function.
        batch_sizes: Number of sequences that take part in each step.
        kept: Fraction that is kept, where it is known more exactly than from a leak in the
            precision of the weights.
    """

    state: Tensor
    noise: Tensor | None
    leak: Tensor | float | None
    nonlinearity: str | Nonlinearity
    batch_sizes: tuple[int, ...]
    kept: Tensor | float | None = None

    @property
    def f(self) -> Nonlinearity:
        """The nonlinearity, as a function."""
        return function(self.nonlinearity)

    @property
    def keep(self) -> Tensor | float | None:
        """Fraction of the state that is kept from step to step."""
        if self.leak is None or self.kept is not None:
            return self.kept
        return 1 - self.leak


def run(
    x: Tensor, weight_ih: Tensor, bias: Tensor | None, weight_hh: Tensor, sweep: Sweep
) -> tuple[Tensor, Tensor]:
    """Run one layer over all steps, by the fused function where it can and by :func:`loop` elsewhere.

    Shape:
        ``x`` (rows, inputs), ``weight_ih`` (units, inputs), ``bias`` (units,), ``weight_hh``
        (units, units) -> rates (rows, units), last state of each sequence (sequences, units).
    """
    if sweep.leak is not None:
        leak = sweep.leak
        weight_ih, weight_hh = (
            weight * _column(leak) for weight in (weight_ih, weight_hh)
        )
        bias = None if bias is None else bias * leak
    tensors = x, weight_ih, bias, weight_hh, sweep.state, sweep.noise
    if (
        callable(sweep.nonlinearity)
        or _is_transformed()
        or any(map(_has_tangent, tensors))
    ):
        return loop(*tensors, sweep.keep, sweep.f, sweep.batch_sizes)
    follow: Callable[..., tuple[Tensor, Tensor]] = (
        _by_loop if _is_learned(sweep.keep) else fused
    )
    options = sweep.nonlinearity, sweep.batch_sizes
    if not torch.is_autocast_enabled(x.device.type):
        return follow(*tensors, sweep.keep, *options)
    *lowered, keep = _lowered(*tensors, sweep.keep)
    with torch.autocast(x.device.type, enabled=False):
        return follow(*lowered, keep, *options)


def _by_loop(
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
    """Run one layer as the fused function does, by the loop, for a nonlinearity by its name."""
    return loop(
        x,
        weight_ih,
        bias,
        weight_hh,
        state,
        noise,
        keep,
        NONLINEARITIES[nonlinearity],
        batch_sizes,
    )


def _lowered(*values: Tensor | float | None) -> list[Any]:
    """Return tensors in the precision of autocast, as ``nn.RNN`` takes them.

    All of it is lowered. Numbers stay.
    """
    device = next(value for value in values if isinstance(value, Tensor)).device.type
    dtype = torch.get_autocast_dtype(device)
    return [value.to(dtype) if isinstance(value, Tensor) else value for value in values]


def _is_transformed() -> bool:
    """Whether ``torch.func`` looks on, or something that records operations.

    They want to see every step.
    """
    watched = torch._C._are_functorch_transforms_active() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return watched or getattr(torch.compiler, "is_exporting", bool)()


ShuntingPath = tuple[Tensor, Tensor, Tensor, Tensor]
"""Wex, Wix, Wei and alpha."""


def run_shunting(
    x: Tensor,
    weights_ih: ShuntingPath,
    weights_hh: ShuntingPath,
    gain: Tensor,
    bias: Tensor | None,
    eps: float,
    sweep: Sweep,
) -> tuple[Tensor, Tensor]:
    r"""Run one layer whose inhibition subtracts and divides, step by step.

    Both paths excite and inhibit, and what a unit receives in all divides:

    .. math::
        z_t = \frac{g}{\max(\gamma^u_t + \gamma^w_t, \epsilon)} \odot (\hat z^u_t + \hat z^w_t) + b
    """
    if torch.is_autocast_enabled(x.device.type):
        x, gain, bias, state, noise = _lowered(x, gain, bias, sweep.state, sweep.noise)
        leak, kept = _lowered(x, sweep.leak, sweep.kept)[1:]
        weights_ih, weights_hh = (
            cast("ShuntingPath", tuple(_lowered(*weights)))
            for weights in (weights_ih, weights_hh)
        )
        with torch.autocast(x.device.type, enabled=False):
            lowered = sweep._replace(state=state, noise=noise, leak=leak, kept=kept)
            return run_shunting(x, weights_ih, weights_hh, gain, bias, eps, lowered)
    drive = torch.cat(_inhibited(x, weights_ih), dim=-1)
    n_units, leak = len(gain), 1.0 if sweep.leak is None else sweep.leak
    if sweep.noise is not None:
        drive = torch.cat([drive, sweep.noise], dim=-1)

    def current(now: Tensor, rates: Tensor) -> Tensor:
        net, shunt = _inhibited(rates, weights_hh)
        net, shunt = net + now[:, :n_units], shunt + now[:, n_units : 2 * n_units]
        driven = gain * net / shunt.clamp(min=eps)
        driven = (driven if bias is None else driven + bias) * leak
        return driven if sweep.noise is None else driven + now[:, 2 * n_units :]

    return advance(drive, current, sweep.state, sweep.keep, sweep.f, sweep.batch_sizes)


def _inhibited(x: Tensor, weights: ShuntingPath) -> tuple[Tensor, Tensor]:
    """Return excitation less inhibition, and the shunt."""
    weight_ex, weight_ix, weight_ei, alpha = weights
    rates = linear(x, weight_ix)
    return linear(x, weight_ex) - linear(rates, weight_ei), linear(
        rates, weight_ei * alpha.exp()
    )


def _has_tangent(tensor: Tensor | None) -> bool:
    return tensor is not None and forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]


def _is_learned(keep: Tensor | float | None) -> bool:
    """Whether the fraction that is kept wants a derivative, which the fused function does not give."""
    if not isinstance(keep, Tensor):
        return False
    return (keep.requires_grad and torch.is_grad_enabled()) or _has_tangent(keep)


def _column(leak: Tensor | float) -> Tensor | float:
    return leak[:, None] if isinstance(leak, Tensor) else leak
