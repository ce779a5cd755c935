"""Networks with and without Dale's law, and the ways in which they learn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from daleml.layers import DANNLinear, EILinear, init
from daleml.reproductions import digit_networks
from daleml.reproductions.digit_networks import COLUMN_EI_HIDDEN, N_INH, PIXELS
from daleml.reproductions.digit_networks import build_mlp as build_mlp
from daleml.reproductions.harness import ImageArm


def dann_layer(
    n_in: int,
    n_out: int,
    n_inh: int,
    generator: torch.Generator,
    *,
    shunting: bool = True,
    first: bool = False,
) -> DANNLinear:
    """Make one layer of a Dale's ANN, initialised as in the paper.

    Args:
        n_in: How many inputs.
        n_out: How many excitatory outputs.
        n_inh: How many interneurons.
        generator: Source of the weights.
        shunting: Whether inhibition divides too, or only subtracts.
        first: Whether it is the first layer of a network.
    """
    # The layer draws weights of its own, which the paper's take the place of. They stay, for
    # the numbers on record were measured after them.
    layer = DANNLinear(n_in, n_out, n_inh, shunting=shunting, generator=generator)
    weights = layer.weight_ex, layer.weight_ix, layer.weight_ei
    init.dann_iclr2021_(*weights, layer.alpha, first=first, generator=generator)
    return layer


def build_dann(
    mean: float,
    generator: torch.Generator,
    sizes: Sequence[tuple[int, int]] | None = None,
    *,
    shunting: bool = True,
) -> nn.Sequential:
    """Build a Dale's ANN with shunting inhibition, initialised as in the paper.

    Args:
        mean: The mean pixel, which it does not need.
        generator: Source of the weights.
        sizes: The inputs and outputs of every layer; default: those of digits.
        shunting: Whether inhibition divides too, or only subtracts.
    """

    def make_layer(n_in: int, n_out: int, n_inh: int, first: bool) -> DANNLinear:
        return dann_layer(n_in, n_out, n_inh, generator, shunting=shunting, first=first)

    return digit_networks.build_dann(make_layer, sizes)


def build_subtractive(mean: float, generator: torch.Generator) -> nn.Sequential:
    """Build a Dale's ANN whose inhibition only subtracts.

    Args:
        mean: The mean pixel, which it does not need.
        generator: Source of the weights.
    """
    return build_dann(mean, generator, shunting=False)


def build_column_ei(mean: float, generator: torch.Generator) -> nn.Sequential:
    """Build a column-EI network, with one inhibitory hidden unit to ten excitatory ones.

    Args:
        mean: The mean pixel.
        generator: Source of the weights.
    """
    # The numbers on record were measured with networks that took a layer's worth of numbers
    # from the generator first. Without them, every weight would be another one.
    EILinear(PIXELS, COLUMN_EI_HIDDEN.size, generator=generator)
    return digit_networks.build_column_ei(mean, generator)


ARMS = (
    ImageArm("mlp", build_mlp),
    ImageArm("dann", build_dann),
    ImageArm("uncorrected", build_dann, corrected=False),
    ImageArm("column_ei", build_column_ei),
    ImageArm("subtractive", build_subtractive),
)
"""What is compared."""

__all__ = [
    "ARMS",
    "N_INH",
    "build_column_ei",
    "build_dann",
    "build_mlp",
    "build_subtractive",
    "dann_layer",
]
