r"""One step of a circuit, as a cell takes it: the recurrence in plain operations of torch.

Without a leak the state is the rate,

.. math:: r_t = f(U u_t + b_{ih} + W r_{t-1} + b_{hh} + \eta_t),

and with one, where a fraction :math:`\alpha` of the state is replaced,

.. math:: x_t = (1 - \alpha)\, x_{t-1} + \alpha\, (U u_t + b_{ih} + W f(x_{t-1}) + b_{hh}) + \eta_t.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from daleml.layers._recurrent.nonlinearities import Nonlinearity, function
from daleml.layers._recurrent.time_constants import PerUnit
from daleml.layers._shared.sparse_product import StepMatrix, times_rows

_CELLS = {"relu": torch.rnn_relu_cell, "tanh": torch.rnn_tanh_cell}
"""The nonlinearities whose whole step torch takes in one call."""


def one_step(
    x: Tensor,
    state: Tensor,
    weight_ih: StepMatrix,
    weight_hh: StepMatrix,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    nonlinearity: str | Nonlinearity,
    leak: PerUnit | None,
    noise: Tensor | None,
) -> Tensor:
    """Return the state after one step.

    Shape:
        ``x`` (rows, inputs), ``state`` and ``noise`` (rows, units), ``weight_ih`` (units,
        inputs), ``weight_hh`` (units, units), biases (units,), ``leak`` a number or (units,)
        -> (rows, units).
    """
    dense = isinstance(weight_ih, Tensor) and isinstance(weight_hh, Tensor)
    if dense and leak is None and noise is None and isinstance(nonlinearity, str):
        cell = _CELLS.get(nonlinearity)
        # vmap has no rule for torch's cells: it would loop over the batch, and warn of it.
        if cell is not None and not torch._C._are_functorch_transforms_active():
            step: Any = cell
            after: Tensor = step(x, state, weight_ih, weight_hh, bias_ih, bias_hh)
            return after
    f = function(nonlinearity)
    rates = state if leak is None else f(state)
    received = times_rows(x, weight_ih, bias_ih) + times_rows(rates, weight_hh, bias_hh)
    if leak is not None:
        received = torch.lerp(state, received, leak)
    if noise is not None:
        received = received + noise
    return f(received) if leak is None else received
