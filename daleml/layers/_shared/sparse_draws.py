"""Drawing of a sparse column-EI weight: the rule of the dense one, applied to its synapses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from daleml import require
from daleml._sparse_weights import Pattern
from daleml.layers._shared import acting_parameters, synapse_options
from daleml.layers._shared.acting_parameters import rewritten
from daleml.layers.init.drawn_signs import with_signs_drawn
from daleml.layers.init.mean_magnitudes import by_sign, column_means, counts


def draw_(
    module: nn.Module,
    name: str,
    pattern: Pattern,
    pre_signs: Tensor,
    strength: tuple[Tensor | None, Pattern],
    bias: Tensor | None,
    how: Mapping[str, Any],
) -> None:
    """Draw a sparse weight as ``init.column_ei_`` draws a matrix, and the bias that centres it.

    Args:
        module: The layer.
        name: The weight's name.
        pattern: Where its synapses lie.
        pre_signs: The signs of the presynaptic units, where none are fixed.
        strength: Relative mean strength of each synapse, None if all are alike; and the synapses
            that they were given for.
        bias: Set to what centres the path; None for none.
        how: ``input_mean``, ``draw`` and ``generator``.

    Raises:
        ValueError: If a checkpoint brought other synapses than those that have strengths.
    """
    strengths, given_for = strength
    if strengths is not None and not _are_those(pattern, given_for):
        raise ValueError(
            f"`strength` must be of the synapses of `{name}`; a checkpoint brought others:"
            " build the layer anew, with the mask of that checkpoint."
        )
    if pattern.post.is_meta:
        return
    unit_signs = acting_parameters.unit_signs(module, name, pre_signs)
    pre = pattern.pre.long()
    # The density lowers what a unit receives, as a mask does for a matrix.
    with rewritten(module, name) as weight:
        of_units = column_means(unit_signs, weight)
        means = of_units.index_select(0, pre.to(of_units.device))
        each = unit_signs.to(weight).index_select(0, pre.to(weight.device))
        how["draw"](weight, 1.0, generator=how["generator"])
        if bool((unit_signs == 0).any()):
            each = with_signs_drawn(each, how["generator"])
        weight.mul_(means * each)
        synapse_options.grade_(weight, strengths, None, means)
        if bias is not None:
            centre = centring(unit_signs, how["input_mean"])
            signed = unit_signs != 0
            # On the CPU, since not every device has float64.
            given = torch.ones(weight.shape, dtype=torch.float64, device="cpu")
            synapse_options.grade_(given, strengths, None, means.cpu())
            given *= signed.to(given).index_select(0, pre.cpu())
            received = _by_receiver(given, pattern) / max(int(signed.sum()), 1)
            bias.copy_((centre * received).to(bias.dtype))


def centring(unit_signs: Tensor, input_mean: float) -> float:
    """Return the bias that cancels the mean drive of units that all have their synapses."""
    n_exc, n_inh = counts(unit_signs)
    mean_exc, mean_inh = by_sign(n_exc, n_inh, unit_signs.numel())
    drive = n_inh * mean_inh - n_exc * mean_exc
    return drive * require.number("input_mean", input_mean)


def _are_those(pattern: Pattern, given_for: Pattern) -> bool:
    """Whether the synapses are those that were given, as far as they can be looked at."""
    if pattern.post.is_meta:
        return pattern.size == given_for.size
    # As many synapses elsewhere would take each other's strengths.
    return pattern.same_as(given_for)


def _by_receiver(values: Tensor, pattern: Pattern) -> Tensor:
    """Return the sum of a number for each synapse over those onto each unit."""
    total = torch.zeros(pattern.shape[0], dtype=values.dtype, device=values.device)
    return total.index_add(0, pattern.post.long().to(values.device), values)
