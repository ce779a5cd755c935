r"""The recurrence of a Dale's ANN whose inhibition subtracts and divides, step by step.

Both paths excite and inhibit, and what a unit receives in all divides:

.. math::
    z_t = \frac{g}{\max(\gamma^u_t + \gamma^w_t, \epsilon)} \odot (\hat z^u_t + \hat z^w_t) + b
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import linear

from daleml.layers._recurrent.dynamics_loop import advance_dynamics
from daleml.layers._recurrent.layer_sweep import LayerSweep, is_lowered, lowered
from daleml.layers._recurrent.loop import advance

ShuntingPath: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""Wex, Wix, Wei and alpha."""


def run_shunting(
    x: Tensor,
    weights_ih: ShuntingPath,
    weights_hh: ShuntingPath,
    gain: Tensor,
    bias: Tensor | None,
    eps: float,
    sweep: LayerSweep,
) -> tuple[Tensor, Tensor]:
    """Run one layer whose inhibition subtracts and divides.

    Shape:
        ``x`` (rows, inputs), ``gain`` and ``bias`` (units,) -> rates (rows, units), last state
        of each sequence (sequences, units).
    """
    # Under dynamics of their own, the states stay as precise as they are.
    if is_lowered(x) and sweep.dynamics is None:
        x, gain, bias, state, noise = lowered(x, gain, bias, sweep.state, sweep.noise)
        _, leak, kept = lowered(x, sweep.leak, sweep.kept)
        low_ih, low_hh = tuple(lowered(*weights_ih)), tuple(lowered(*weights_hh))
        within = sweep._replace(state=state, noise=noise, leak=leak, kept=kept)
        with torch.autocast(x.device.type, enabled=False):
            return run_shunting(x, low_ih, low_hh, gain, bias, eps, within)
    # What the inputs contribute to both sums is computed for all steps at once, side by side.
    drive = torch.cat(_inhibited(x, weights_ih), dim=-1)
    n_units = len(gain)
    leak = 1.0 if sweep.leak is None else sweep.leak
    if sweep.noise is not None:
        drive = torch.cat([drive, sweep.noise], dim=-1)

    def current(now: Tensor, rates: Tensor) -> Tensor:
        net, shunt = _inhibited(rates, weights_hh)
        net = net + now[:, :n_units]
        shunt = shunt + now[:, n_units : 2 * n_units]
        # A shunt below `eps` does not divide, which bounds every derivative.
        driven = gain * net / shunt.clamp(min=eps)
        if bias is not None:
            driven = driven + bias
        driven = driven * leak
        if sweep.noise is not None:
            driven = driven + now[:, 2 * n_units :]
        return driven

    if sweep.dynamics is not None and sweep.time is not None:
        own = sweep.state, sweep.dynamics, sweep.time
        return advance_dynamics(drive, current, *own, sweep.batch_sizes)
    return advance(drive, current, sweep.state, sweep.keep, sweep.f, sweep.batch_sizes)


def _inhibited(x: Tensor, weights: ShuntingPath) -> tuple[Tensor, Tensor]:
    """Return excitation less inhibition, and the shunt."""
    weight_ex, weight_ix, weight_ei, alpha = weights
    rates = linear(x, weight_ix)
    net = linear(x, weight_ex) - linear(rates, weight_ei)
    return net, linear(rates, weight_ei * alpha.exp())
