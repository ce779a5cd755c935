"""Declaration and drawing of the weight and bias of column-EI layers without recurrence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from daleml import _sparse_weights, signs
from daleml._sparse_weights import Pattern
from daleml.layers import init
from daleml.layers._shared import acting_parameters, sparse_draws, synapse_options
from daleml.layers._shared.acting_parameters import rewritten
from daleml.layers._shared.synapses import Synapses
from daleml.layers.init.matrix_spectra import row_balance
from daleml.layers.init.mean_magnitudes import column_means


def declare(module: Any, synapses: Synapses, unit_signs: Tensor) -> None:
    """Fix the signs of the weight, and what options say of its synapses.

    Args:
        module: The layer.
        synapses: What its options say, of the weight's shape.
        unit_signs: The signs of the presynaptic units or channels.
    """
    signs.fix(
        module,
        "weight",
        synapses.unit_signs(unit_signs),
        present=synapses.present,
        fixed=synapses.fixed,
        lr_scale=synapses.learning,
        drawn=synapses.drawn,
        draws_strengths=True,
        default=True,
    )
    if module.bias is not None:
        signs.declare(module, "bias", default=True)


def draw_(
    module: Any,
    synapses: Synapses,
    unit_signs: Tensor,
    *,
    draw: init.Draw,
    generator: torch.Generator | None,
    input_mean: float = init.RECTIFIED_MEAN,
    groups: int = 1,
) -> None:
    """Draw the weight, balance what is structured, and set the bias that centres it.

    Args:
        module: The layer.
        synapses: What its options say.
        unit_signs: The signs of the presynaptic units, where none are fixed.
        draw: Distribution of the magnitudes, given their mean.
        generator: Source of randomness.
        input_mean: Mean of the input, for the bias.
        groups: Number of groups of channels, each of which is drawn alone.
    """
    pattern = _sparse_weights.pattern(module, "weight")
    if pattern is not None:
        how = {"input_mean": input_mean, "draw": draw, "generator": generator}
        _draw_sparse(module, synapses, pattern, unit_signs, how)
        return
    # Signs and masks that were fixed since the layer was built are kept.
    unit_signs = acting_parameters.unit_signs(module, "weight", unit_signs)
    present = acting_parameters.present(module, "weight")
    strength = synapses.strength
    options: dict[str, Any] = {
        "input_mean": input_mean,
        "draw": draw,
        "generator": generator,
    }
    with (
        rewritten(module, "weight") as weight,
        acting_parameters.rewritten_or_none(module, "bias") as bias,
    ):
        biases = [None] * groups if bias is None else bias.chunk(groups)
        means, signed = torch.empty_like(weight), torch.empty_like(weight).bool()
        # Each group has presynaptic channels of its own, and is balanced alone.
        parts = zip(
            weight.chunk(groups),
            means.chunk(groups),
            signed.chunk(groups),
            unit_signs.chunk(groups),
            biases,
            strict=True,
        )
        for kernels, group_means, has_sign, group_signs, group_bias in parts:
            # Every tap of a kernel reads the same channel, and has its sign.
            tap_signs = group_signs.repeat_interleave(kernels[0, 0].numel())
            rows = kernels.flatten(1)
            init.column_ei_(rows, tap_signs, group_bias, **options)
            # In another order of memory, such as channels_last, the rows are a copy.
            kernels.copy_(rows.view(kernels.shape))
            drawn = column_means(tap_signs, rows)
            group_means.copy_(drawn.view(kernels.shape[1:]))
            has_sign.copy_(tap_signs.view(kernels.shape[1:]) != 0)
        synapse_options.grade_(weight, strength, present, means)
        # Units with fewer synapses receive less, so less is cancelled.
        if bias is not None and (present is not None or strength is not None):
            bias.mul_(
                synapse_options.received(weight, strength, present, means, signed)
            )
        balanced = synapses.structured and strength is None
        if balanced and present is not None and not weight.is_meta:
            weight.mul_(present.to(weight))
            weight.mul_(row_balance(weight.flatten(1)).to(weight).view(weight.shape))


def _draw_sparse(
    module: Any,
    synapses: Synapses,
    pattern: Pattern,
    unit_signs: Tensor,
    how: dict[str, Any],
) -> None:
    """Draw a sparse weight as a matrix is drawn, by its synapses."""
    strength = synapses.strength, synapses.pattern or pattern
    with acting_parameters.rewritten_or_none(module, "bias") as bias:
        sparse_draws.draw_(module, "weight", pattern, unit_signs, strength, bias, how)
    with rewritten(module, "weight") as weight:
        if synapses.structured and synapses.strength is None and not weight.is_meta:
            weight.mul_(row_balance(pattern.cpu_csr(weight)).to(weight))
