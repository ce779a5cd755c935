"""The three networks that see a digit row by row.

An ordinary RNN, column EI, and a recurrent Dale's ANN.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from daleml import Populations
from daleml.datasets import ImageSplit
from daleml.demo.demo_training import Arm, corrected_sgd, sgd
from daleml.layers import DANNRNN, EIRNN, DANNLinear, EILinear
from daleml.tasks import RowReader

UNITS, N_INH, SIDE = 100, 10, 8
SPECTRAL_RADIUS = 1.5
"""Of the column-EI circuit before learning, as in the paper."""
CLIP_NORM = 10.0
TIMES = 2
"""A Dale's ANN starts slower than an RNN, and these need some 2,500 updates to compare."""


def build_rnn(data: ImageSplit, generator: torch.Generator) -> RowReader:
    """Build an ordinary network.

    Torch's initialisation without biases, and a He-initialised read-out.
    """
    rnn, readout = (
        nn.RNN(SIDE, UNITS, nonlinearity="relu", batch_first=True),
        nn.Linear(UNITS, 10),
    )
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            bound = UNITS**-0.5 if name.startswith("weight") else 0.0
            parameter.uniform_(-bound, bound, generator=generator)
        readout.weight.normal_(std=math.sqrt(2 / UNITS), generator=generator)
        readout.bias.zero_()
    return RowReader(rnn, readout)


def build_column_ei(data: ImageSplit, generator: torch.Generator) -> RowReader:
    """Build a column-EI circuit of 90 excitatory and 10 inhibitory units."""
    populations = Populations(UNITS - N_INH, N_INH)
    rnn = EIRNN(SIDE, populations, batch_first=True, spectral_radius=SPECTRAL_RADIUS)
    readout = EILinear(populations, 10)
    rnn.reset_parameters(generator, input_mean=data.pixel_mean)
    readout.reset_parameters(generator)
    return RowReader(rnn, readout)


def build_dann(data: ImageSplit, generator: torch.Generator) -> RowReader:
    """Build a recurrent Dale's ANN of 100 excitatory units and 10 interneurons a path."""
    rnn, readout = DANNRNN(SIDE, UNITS, N_INH, batch_first=True), DANNLinear(UNITS, 10)
    rnn.reset_parameters(generator)
    readout.reset_parameters(generator)
    return RowReader(rnn, readout)


ARMS = (
    Arm(
        "rnn",
        "RNN, gradient descent",
        build_rnn,
        sgd,
        0.2,
        clip_norm=CLIP_NORM,
        times=TIMES,
    ),
    Arm(
        "rnn_column_ei",
        "column-EI RNN, guarded SGD",
        build_column_ei,
        sgd,
        0.1,
        True,
        CLIP_NORM,
        TIMES,
    ),
    Arm(
        "rnn_dann",
        "recurrent DANN, guarded SGD",
        build_dann,
        corrected_sgd,
        0.2,
        True,
        CLIP_NORM,
        TIMES,
    ),
)
