"""Declaration and drawing of the parameters of dense and convolutional Dale's ANNs."""

from __future__ import annotations

import math
import warnings
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from daleml import require, signs
from daleml.layers import init
from daleml.layers._shared import acting_parameters
from daleml.layers._shared.acting_parameters import acting, rewritten
from daleml.layers._shared.functorch_tensors import is_wrapped


def default_n_inh(n_out: int, n_inh: int | None) -> int:
    """Return the number of interneurons: a tenth of the outputs, unless another is asked for."""
    if n_inh is None:
        return max(n_out // 10, 1)
    return require.integer("n_inh", n_inh, minimum=1)


def declare(module: Any, *, n_in: int, n_out: int, n_channels: int) -> None:
    """Fix the signs of a DANN, which are all positive, with the corrections of its learning rates.

    Args:
        module: The layer.
        n_in: Number of inputs of a unit: of a convolution, over all taps of its kernel.
        n_out: Number of outputs.
        n_channels: Number of presynaptic units.
    """
    # Inhibitory weights touch every output, so they learn more slowly (Cornford et al. 2021).
    per_output, per_input = 1 / math.sqrt(n_out), 1 / n_in
    inputs = torch.ones(n_channels, device="cpu")
    interneurons = torch.ones(module.n_inh, device="cpu")
    signs.fix(module, "weight_ex", inputs, default=True)
    signs.fix(module, "weight_ix", inputs, lr_scale=per_output, default=True)
    signs.fix(module, "weight_ei", interneurons, lr_scale=per_input, default=True)
    if module.shunting:
        signs.fix(module, "gain", torch.ones(n_out, device="cpu"), default=True)
        signs.declare(module, "alpha", lr_scale=per_output * per_input, default=True)
    if getattr(module, "bias", None) is not None:
        signs.declare(module, "bias", default=True)


def draw_(module: Any, *, draw: init.Draw, generator: torch.Generator | None) -> None:
    """Draw the weights of a DANN, and reset its gain and bias."""
    present = acting_parameters.present(module, "weight_ex")
    with ExitStack() as stack:
        ex, ix, ei = (
            stack.enter_context(rewritten(module, f"weight_{part}"))
            for part in ("ex", "ix", "ei")
        )
        alpha = stack.enter_context(
            acting_parameters.rewritten_or_none(module, "alpha")
        )
        rows_ex, rows_ix = ex.flatten(1), ix.flatten(1)
        exists = None if present is None else present.flatten(1)
        init.dann_(
            rows_ex, rows_ix, ei, alpha, present=exists, draw=draw, generator=generator
        )
        # In another order of memory, such as channels_last, the rows are copies.
        ex.copy_(rows_ex.view(ex.shape))
        ix.copy_(rows_ix.view(ix.shape))
    with (
        acting_parameters.rewritten_or_none(module, "gain") as gain,
        acting_parameters.rewritten_or_none(module, "bias") as bias,
    ):
        if gain is not None:
            gain.fill_(1)
        if bias is not None:
            bias.zero_()


def weights(module: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return the three matrices of a DANN, zero where there is no synapse."""
    return (
        acting(module, "weight_ex"),
        acting(module, "weight_ix"),
        acting(module, "weight_ei"),
    )


def look_once(module: Any, input: Tensor) -> None:
    """Say, at the first input that a shunting layer sees, that parts of it are no rates."""
    # What records operations has no values to look at.
    if torch.compiler.is_compiling() or torch._C._is_tracing():
        return
    # Once per layer, since looking waits for the device.
    seen = vars(module)
    if "_looked_at_input" in seen or input.is_meta or is_wrapped(input):
        return
    seen["_looked_at_input"] = True
    negative = 0.0
    if input.numel():
        negative = float((input.detach() < 0).count_nonzero()) / input.numel()
    if negative:
        warnings.warn(
            f"`input` of a shunting {type(module).__name__} should be rates, at least 0;"
            f" got {negative:.0%} below 0, and where they make the divisor fall below"
            f" `eps`, {module.eps:g} divides instead.",
            UserWarning,
            stacklevel=5,
        )
