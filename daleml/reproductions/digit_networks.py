"""Networks that tell digits apart, at once or row by row: papers, demo and benchmarks share them.

A builder takes the mean pixel, by which a first layer of positive weights centres its inputs,
and the generator from which every weight is drawn. Torch's global generator is left alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import nn

from daleml import Populations
from daleml.layers import DANNRNN, EIRNN, DANNLinear, EILinear, init
from daleml.tasks import RowReader

PIXELS, HIDDEN, LAYERS, CLASSES, N_INH = 64, 100, 3, 10, 10
"""Sizes of the networks that see a digit at once: three hidden layers of 100 units."""

COLUMN_EI_HIDDEN = Populations(HIDDEN, HIDDEN // 10)
"""The units of a hidden layer of column EI: as many excitatory ones as others have in all."""

UNITS, SIDE = 100, 8
"""Sizes of the networks that see a digit row by row: units, and pixels of a row."""

SPECTRAL_RADIUS = 1.5
"""The spectral radius of column EI before learning, as in Li et al. 2023."""

CLIP_NORM = 10.0
"""The largest norm of the gradient of networks that see a digit row by row."""

MakeDANNLayer: TypeAlias = Callable[[int, int, int, bool], DANNLinear]
"""Makes a layer of so many inputs, outputs and interneurons; and is told if it is the first."""


# -- a digit at once


def layer_sizes(
    pixels: int = PIXELS, hidden: int = HIDDEN, layers: int = LAYERS
) -> list[tuple[int, int]]:
    """Return the inputs and outputs of every layer.

    Args:
        pixels: How many pixels an image has.
        hidden: How many units a hidden layer has.
        layers: How many hidden layers there are.
    """
    return list(itertools.pairwise([pixels, *[hidden] * layers, CLASSES]))


def stack(layers: Sequence[nn.Module]) -> nn.Sequential:
    """Put a ReLU between layers.

    Args:
        layers: The layers, from the first to the last.
    """
    parts: list[nn.Module] = []
    for layer in layers:
        parts += [layer, nn.ReLU()]
    # The last layer answers without a ReLU.
    return nn.Sequential(*parts[:-1])


def build_mlp(
    mean: float,
    generator: torch.Generator,
    sizes: Sequence[tuple[int, int]] | None = None,
) -> nn.Sequential:
    """Build an ordinary network, He-initialised, with a gain of 1 for the first layer.

    Args:
        mean: The mean pixel, which it does not need.
        generator: Source of the weights.
        sizes: The inputs and outputs of every layer; default: those of digits.
    """
    layers = []
    for i, (n_in, n_out) in enumerate(sizes or layer_sizes()):
        layer = _empty_linear(n_in, n_out)
        # A ReLU leaves half of the variance (He et al. 2015); pixels have not passed one.
        variance = (2 if i else 1) / n_in
        nn.init.normal_(layer.weight, std=math.sqrt(variance), generator=generator)
        nn.init.zeros_(layer.bias)
        layers.append(layer)
    return stack(layers)


def build_column_ei(mean: float, generator: torch.Generator) -> nn.Sequential:
    """Build a column-EI network, with one inhibitory hidden unit to ten excitatory ones.

    Pixels excite.

    Args:
        mean: The mean pixel.
        generator: Source of the weights.
    """
    hidden = COLUMN_EI_HIDDEN
    # Drawn twice, since the layer itself does not know of the mean: the first time for nothing.
    first = EILinear(PIXELS, hidden.size, generator=torch.Generator())
    signs = first.populations.signs()
    init.column_ei_(
        first.weight, signs, first.bias, input_mean=mean, generator=generator
    )
    layers = [first]
    for n_out in [hidden.size] * (LAYERS - 1) + [CLASSES]:
        layers.append(EILinear(hidden, n_out, generator=generator))
    return stack(layers)


def build_dann(
    make_layer: MakeDANNLayer, sizes: Sequence[tuple[int, int]] | None = None
) -> nn.Sequential:
    """Build a Dale's ANN of layers that are made one after the other.

    Args:
        make_layer: Makes a layer with its weights.
        sizes: The inputs and outputs of every layer; default: those of digits.
    """
    layers = []
    for i, (n_in, n_out) in enumerate(sizes or layer_sizes()):
        # A tenth of the outputs, in hidden layers and in the last one alike.
        n_inh = max(n_out // 10, 1)
        layers.append(make_layer(n_in, n_out, n_inh, i == 0))
    return stack(layers)


# -- a digit row by row


def empty_rnn(side: int = SIDE) -> RowReader:
    """Return an ordinary recurrent network whose weights have no values yet.

    Args:
        side: How many pixels a row has.
    """
    rnn = nn.RNN(side, UNITS, nonlinearity="relu", batch_first=True, device="meta")
    readout = nn.Linear(UNITS, CLASSES, device="meta")
    return RowReader(rnn, readout).to_empty(device="cpu")


def build_rnn(
    mean: float,
    generator: torch.Generator,
    *,
    side: int = SIDE,
    draw_biases: bool = False,
) -> RowReader:
    """Build an ordinary recurrent network.

    Its recurrent layer has torch's initialisation without biases, its readout is
    He-initialised.

    Args:
        mean: The mean pixel, which it does not need.
        generator: Source of the weights.
        side: How many pixels a row has.
        draw_biases: Whether the recurrent biases take numbers from the generator as well. They
            are zero either way, but the readout is drawn after them.
    """
    model = empty_rnn(side)
    initialise_rnn_(model, generator, draw_biases=draw_biases)
    return model


@torch.no_grad()
def initialise_rnn_(
    model: RowReader, generator: torch.Generator, *, draw_biases: bool = False
) -> None:
    """Draw the weights of an ordinary recurrent network, as :func:`build_rnn` tells.

    Args:
        model: The network, whose recurrent layer is an ``nn.RNN``.
        generator: Source of the weights.
        draw_biases: Whether the recurrent biases take numbers from the generator as well.
    """
    units = model.get_parameter("rnn.weight_hh_l0").shape[1]
    bound = units**-0.5
    for name, parameter in model.named_parameters():
        if name == "readout.weight":
            std = math.sqrt(2 / units)
            nn.init.normal_(parameter, std=std, generator=generator)
        elif parameter.ndim == 2:
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        elif draw_biases and name.startswith("rnn."):
            nn.init.uniform_(parameter, 0.0, 0.0, generator=generator)
        else:
            nn.init.zeros_(parameter)


def build_row_dann(
    mean: float,
    generator: torch.Generator,
    *,
    side: int = SIDE,
    autapses: bool = False,
) -> RowReader:
    """Build a recurrent Dale's ANN, with interneurons for a tenth of its excitatory units.

    Each of its paths, from the inputs and from the units themselves, has as many.

    Args:
        mean: The mean pixel, which it does not need.
        generator: Source of the weights.
        side: How many pixels a row has.
        autapses: Whether units have synapses onto themselves.
    """
    rnn = DANNRNN(
        side,
        UNITS,
        N_INH,
        batch_first=True,
        autapses=autapses,
        generator=generator,
    )
    return RowReader(rnn, DANNLinear(UNITS, CLASSES, generator=generator))


class BuildColumnEI:
    """Builds a column-EI circuit of a hundred units.

    Args:
        n_inh: How many of them are inhibitory.
        centred: Whether biases begin by cancelling what the mean pixel adds up to. Else they
            begin at 0.
        autapses: Whether units have synapses onto themselves.

    Example:
        >>> model = BuildColumnEI(10)(0.3, torch.Generator().manual_seed(0))
        >>> model.rnn.populations
        Populations(n_exc=90, n_inh=10)
    """

    def __init__(
        self, n_inh: int, *, centred: bool = True, autapses: bool = False
    ) -> None:
        self.n_inh, self.centred, self.autapses = n_inh, centred, autapses

    def __call__(
        self, mean: float, generator: torch.Generator, *, side: int = SIDE
    ) -> RowReader:
        """Build it.

        Args:
            mean: The mean pixel.
            generator: Source of the weights.
            side: How many pixels a row has.
        """
        populations = Populations(UNITS - self.n_inh, self.n_inh)
        rnn = EIRNN(
            side,
            populations,
            batch_first=True,
            input_mean=mean if self.centred else 0.0,
            autapses=self.autapses,
            spectral_radius=SPECTRAL_RADIUS,
            generator=generator,
        )
        return RowReader(rnn, EILinear(populations, CLASSES, generator=generator))


def _empty_linear(n_in: int, n_out: int) -> nn.Linear:
    """Return a layer without values: torch would draw them from its global generator."""
    return nn.Linear(n_in, n_out, device="meta").to_empty(device="cpu")
