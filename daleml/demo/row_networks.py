"""The three networks that see a digit row by row: an RNN, column EI, and a recurrent Dale's ANN."""

from __future__ import annotations

import torch

from daleml.datasets import ImageSplit
from daleml.demo.demo_training import Arm, corrected_sgd, sgd
from daleml.reproductions import digit_networks
from daleml.reproductions.digit_networks import CLIP_NORM as CLIP_NORM
from daleml.reproductions.digit_networks import N_INH as N_INH
from daleml.reproductions.digit_networks import SIDE as SIDE
from daleml.reproductions.digit_networks import SPECTRAL_RADIUS as SPECTRAL_RADIUS
from daleml.reproductions.digit_networks import UNITS as UNITS
from daleml.tasks import RowReader

TIMES = 2
"""How many times the demo's epochs these networks learn for.

A Dale's ANN starts slower than an RNN: some 2,500 updates are needed to compare them.
"""


def build_rnn(data: ImageSplit, generator: torch.Generator) -> RowReader:
    """Build an ordinary network with torch's initialisation, and a He-initialised readout."""
    # The demo's numbers on record were measured with networks that drew their zero biases too.
    return digit_networks.build_rnn(data.pixel_mean, generator, draw_biases=True)


def build_column_ei(data: ImageSplit, generator: torch.Generator) -> RowReader:
    """Build a column-EI circuit of 90 excitatory and 10 inhibitory units."""
    return digit_networks.BuildColumnEI(N_INH)(data.pixel_mean, generator)


def build_dann(data: ImageSplit, generator: torch.Generator) -> RowReader:
    """Build a recurrent Dale's ANN of 100 excitatory units and 10 interneurons per path."""
    return digit_networks.build_row_dann(data.pixel_mean, generator)


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
        guarded=True,
        clip_norm=CLIP_NORM,
        times=TIMES,
    ),
    Arm(
        "rnn_dann",
        "recurrent DANN, guarded SGD",
        build_dann,
        corrected_sgd,
        0.2,
        guarded=True,
        clip_norm=CLIP_NORM,
        times=TIMES,
    ),
)
