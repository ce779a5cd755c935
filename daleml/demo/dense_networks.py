"""The four networks that see a digit at once."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from daleml import Populations
from daleml.datasets import ImageSplit
from daleml.demo.demo_training import Arm, corrected_eg, corrected_sgd, sgd
from daleml.layers import DANNLinear, EILinear, init

HIDDEN, LAYERS, N_INH = 100, 3, 10


def _stack(layers: list[nn.Module]) -> nn.Sequential:
    """Put a ReLU between layers."""
    return nn.Sequential(
        *[part for layer in layers for part in (layer, nn.ReLU())][:-1]
    )


def build_mlp(data: ImageSplit, generator: torch.Generator) -> nn.Sequential:
    """Build an ordinary network, He-initialised, with a gain of 1 for the first layer."""
    sizes = [data.train_x.shape[1], *[HIDDEN] * LAYERS, 10]
    layers = [nn.Linear(n_in, n_out) for n_in, n_out in itertools.pairwise(sizes)]
    for i, layer in enumerate(layers):
        nn.init.normal_(
            layer.weight,
            std=math.sqrt((2 if i else 1) / layer.in_features),
            generator=generator,
        )
        nn.init.zeros_(layer.bias)
    return _stack(list(layers))


def build_column_ei(data: ImageSplit, generator: torch.Generator) -> nn.Sequential:
    """Build a column-EI network.

    Excitatory pixels, and one inhibitory hidden unit to ten excitatory ones.
    """
    hidden = Populations(HIDDEN, HIDDEN // 10)
    populations = [Populations(data.train_x.shape[1]), *[hidden] * LAYERS]
    layers = [
        EILinear(pre, post)
        for pre, post in zip(populations, [hidden.size] * LAYERS + [10], strict=True)
    ]
    for layer, mean in zip(
        layers, [data.pixel_mean] + [init.RECTIFIED_MEAN] * LAYERS, strict=True
    ):
        column_signs = layer.populations.signs()
        init.column_ei_(
            layer.weight, column_signs, layer.bias, input_mean=mean, generator=generator
        )
    return _stack(list(layers))


def build_dann(data: ImageSplit, generator: torch.Generator) -> nn.Sequential:
    """Build a Dale's ANN with shunting inhibition, its excitatory weights log-normal from the start."""
    sizes = [data.train_x.shape[1], *[HIDDEN] * LAYERS, 10]
    layers = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        layer = DANNLinear(
            n_in, n_out, n_inh=N_INH if n_out == HIDDEN else 1, shunting=True
        )
        weights = layer.weight_ex, layer.weight_ix, layer.weight_ei, layer.alpha
        init.dann_(
            *weights,
            numerator=2.0 if i else 1.0,
            draw=init.lognormal_,
            generator=generator,
        )
        layers.append(layer)
    return _stack(list(layers))


ARMS = (
    Arm("mlp", "MLP, gradient descent", build_mlp, sgd, 0.1),
    Arm("column_ei", "column EI, guarded SGD", build_column_ei, sgd, 0.1, guarded=True),
    Arm("dann_sgd", "DANN, guarded SGD", build_dann, corrected_sgd, 0.1, guarded=True),
    Arm("dann_eg", "DANN, EG", build_dann, corrected_eg, 0.3),
)
