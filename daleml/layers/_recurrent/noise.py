r"""Noise of circuits: in the state, in the input, and in the rates.

With :math:`\xi` standard normal, drawn anew for every step, and :math:`\alpha = dt / \tau`,

.. math::
    u_t \leftarrow u_t + \sqrt{2 / \alpha}\, \sigma_u \xi, \qquad
    x_t \leftarrow x_t + \sqrt{2 \alpha}\, \sigma \xi, \qquad
    r_t = f(x_t + \sigma_r \xi) .

The first two are white noise: finer steps have more of it in each, so that what it does to the
state does not depend on ``dt_ms`` (Song, Yang & Wang 2016). The third is in the rates alone: its
standard deviation is the same whatever ``dt_ms``, and the state does not keep it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from daleml.layers._recurrent.kept_leak import Step


def standard_normal(
    rows: Tensor, n_columns: int, generator: torch.Generator | None
) -> Tensor:
    """Draw (rows, columns) where ``rows`` are, and in their dtype."""
    shape = len(rows), n_columns
    # A generator of another device is one for the circuit wherever it is.
    if generator is not None and generator.device != rows.device:
        drawn = torch.randn(shape, generator=generator, device=generator.device)
        return drawn.to(device=rows.device, dtype=rows.dtype)
    like: dict[str, Any] = {"device": rows.device, "dtype": rows.dtype}
    return torch.randn(shape, generator=generator, **like)


def of_state(
    rows: Tensor,
    n_units: int,
    sigma: float,
    step: Step | None,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw what is added to the state in every step, (rows, units)."""
    drawn = standard_normal(rows, n_units, generator)
    scale: Tensor | float = 2**0.5 * sigma
    if step is not None:
        scale = step.spread * sigma
    if isinstance(scale, Tensor):
        scale = scale.to(rows.dtype)
    return drawn * scale


def of_input(
    rows: Tensor, sigma: float, step: Step | None, generator: torch.Generator | None
) -> Tensor:
    """Draw what is added to the input in every step, (rows, inputs).

    One input reaches units of several time constants, so its variance is the mean of theirs.
    """
    drawn = standard_normal(rows, rows.shape[-1], generator)
    leak: Tensor | float = 1.0 if step is None else step.leak
    if not isinstance(leak, Tensor):
        return drawn * (math.sqrt(2 / leak) * sigma)
    # Without a gradient: time constants that learn are not to learn how noisy the input is.
    variance = (2 / leak.detach().to(torch.float32)).mean()
    return drawn * (variance.sqrt() * sigma).to(rows.dtype)
