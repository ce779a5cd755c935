"""Draws of another spread than an exponential's, scaled to keep what layers give."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from daleml.layers.init import draws


def for_column_ei(draw: draws.Draw, ratio: float) -> draws.Draw:
    r"""Scale a draw whose mean is ``ratio`` times its standard deviation, for ``init.column_ei_``.

    That rule is stated for a ratio of 1. Means are multiplied by :math:`\sqrt{(2\pi - 1) / (\pi
    (1 + 1 / k^2) - 1)}`, which rectified Gaussian inputs drive to the same variance.
    """
    factor = math.sqrt((2 * math.pi - 1) / (math.pi * (1 + 1 / ratio**2) - 1))
    return functools.partial(_scaled, draw, factor)


def for_dann(draw: draws.Draw, ratio: float) -> draws.Draw:
    """Scale a draw whose mean is ``ratio`` times its standard deviation, for ``init.dann_``.

    That rule is stated for a ratio of 1. Means are multiplied by the ratio. Inhibition grows by
    as much, for which :func:`weaken_shunt_` makes up.
    """
    return functools.partial(_scaled, draw, ratio)


@torch.no_grad()
def weaken_shunt_(module: torch.nn.Module, ratio: float) -> None:
    """Keep the mean shunt at 1 after a draw :func:`for_dann`: ``alpha`` falls by ln ratio."""
    for name, parameter in module.named_parameters(recurse=False):
        if name.startswith("alpha"):
            parameter.sub_(math.log(ratio))


def _scaled(
    draw: draws.Draw,
    factor: float,
    tensor: Tensor,
    mean: float,
    /,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    return draw(tensor, mean * factor, generator=generator)
