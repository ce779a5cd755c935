"""The four networks that see a digit at once."""

from __future__ import annotations

import torch
from torch import nn

from daleml.datasets import ImageSplit
from daleml.demo.demo_training import Arm, corrected_eg, corrected_sgd, sgd
from daleml.layers import DANNLinear, init
from daleml.reproductions import digit_networks
from daleml.reproductions.digit_networks import HIDDEN as HIDDEN
from daleml.reproductions.digit_networks import LAYERS as LAYERS
from daleml.reproductions.digit_networks import N_INH as N_INH


def build_mlp(data: ImageSplit, generator: torch.Generator) -> nn.Sequential:
    """Build an ordinary network, He-initialised, with a gain of 1 for the first layer."""
    return digit_networks.build_mlp(data.pixel_mean, generator)


def build_column_ei(data: ImageSplit, generator: torch.Generator) -> nn.Sequential:
    """Build a column-EI network, with one inhibitory hidden unit to ten excitatory ones."""
    return digit_networks.build_column_ei(data.pixel_mean, generator)


def build_dann(data: ImageSplit, generator: torch.Generator) -> nn.Sequential:
    """Build a Dale's ANN with shunting inhibition and log-normal excitatory weights."""

    def make_layer(n_in: int, n_out: int, n_inh: int, first: bool) -> DANNLinear:
        # A layer draws weights when it is made, which are drawn over below. It takes them from
        # a spare generator, so that the seed's own draws are those that count.
        spare = torch.Generator()
        layer = DANNLinear(n_in, n_out, n_inh, shunting=True, generator=spare)
        init.dann_(
            layer.weight_ex,
            layer.weight_ix,
            layer.weight_ei,
            layer.alpha,
            # He's factor of 2 makes up for a ReLU in front; pixels have passed none.
            numerator=1.0 if first else 2.0,
            draw=init.lognormal_,
            generator=generator,
        )
        return layer

    return digit_networks.build_dann(make_layer)


ARMS = (
    Arm("mlp", "MLP, gradient descent", build_mlp, sgd, 0.1),
    Arm("column_ei", "column EI, guarded SGD", build_column_ei, sgd, 0.1, guarded=True),
    Arm("dann_sgd", "DANN, guarded SGD", build_dann, corrected_sgd, 0.1, guarded=True),
    Arm("dann_eg", "DANN, EG", build_dann, corrected_eg, 0.3),
)
