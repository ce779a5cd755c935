"""Recurrent networks with and without Dale's law, and transplants of their singular values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from daleml.layers import init
from daleml.reproductions.digit_networks import (
    CLIP_NORM,
    SIDE,
    SPECTRAL_RADIUS,
    UNITS,
    BuildColumnEI,
    build_rnn,
    build_row_dann,
    empty_rnn,
)
from daleml.reproductions.papers.spectra_li2023.recurrent_batches import RecurrentArm
from daleml.tasks import RowReader


class Transplant:
    """Builds a network of the singular vectors of one network and the singular values of another.

    The network knows no law. The other one is drawn after the first, from the same generator.
    Without another, the first keeps its own values. Biases are zero, as in the authors' code.

    Args:
        vectors: Builds the network whose singular vectors are taken.
        values: Builds the network whose singular values are taken.
    """

    def __init__(
        self,
        vectors: Callable[..., RowReader],
        values: Callable[..., RowReader] | None = None,
    ) -> None:
        self.vectors, self.values = vectors, values

    def __call__(
        self, mean: float, generator: torch.Generator, *, side: int = SIDE
    ) -> RowReader:
        """Build it.

        Args:
            mean: The mean pixel.
            generator: Source of the weights of both networks.
            side: How many pixels a row has.
        """
        model, first = empty_rnn(side), self.vectors(mean, generator, side=side)
        other = self.values(mean, generator, side=side) if self.values else None
        # Weights of a lawful network are copied without their signs: nothing keeps them here.
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim < 2:
                    nn.init.zeros_(parameter)
                    continue
                parameter.copy_(first.get_parameter(name))
                if other:
                    init.svd_spectrum_(parameter, other.get_parameter(name))
        return model


def build_dann(
    mean: float, generator: torch.Generator, *, side: int = SIDE
) -> RowReader:
    """Build a recurrent Dale's ANN, whose excitatory units have autapses as an RNN's have.

    Args:
        mean: The mean pixel, which it does not need.
        generator: Source of the weights.
        side: How many pixels a row has.
    """
    return build_row_dann(mean, generator, side=side, autapses=True)


def _column_ei(n_inh: int) -> RecurrentArm:
    build = BuildColumnEI(n_inh, centred=False)
    return RecurrentArm(f"column_ei_{n_inh}", build, clip_each=True)


_COLUMN_EI = BuildColumnEI(UNITS // 10, centred=False)
# Where singular vectors or values are taken from it, its autapses are kept, as in the code.
_WHOLE_COLUMN_EI = BuildColumnEI(UNITS // 10, centred=False, autapses=True)

CENTRED = RecurrentArm(
    "column_ei_10, centred", BuildColumnEI(UNITS // 10), clip_each=True
)
"""Column EI whose biases begin by cancelling the mean pixel, as its docstring in the code says."""

ARMS = (
    RecurrentArm("rnn", build_rnn),
    RecurrentArm("dann", build_dann),
    _column_ei(1),
    _column_ei(10),
    _column_ei(50),
    CENTRED,
    RecurrentArm("rnn, signs kept", build_rnn, each_sign=True),
    RecurrentArm("rnn, column_ei spectrum", Transplant(build_rnn, _WHOLE_COLUMN_EI)),
    RecurrentArm("column_ei, signs free", Transplant(_COLUMN_EI), clip_each=True),
    RecurrentArm(
        "column_ei, rnn spectrum, signs kept",
        Transplant(_WHOLE_COLUMN_EI, build_rnn),
        each_sign=True,
    ),
    RecurrentArm("column_ei, rnn spectrum", Transplant(_WHOLE_COLUMN_EI, build_rnn)),
)
"""What is compared."""

LONG_ARMS = tuple(arm for arm in ARMS if arm.name in ("rnn", "dann", "column_ei_10"))
"""What claim 2g compares."""

__all__ = [
    "ARMS",
    "CENTRED",
    "CLIP_NORM",
    "LONG_ARMS",
    "SPECTRAL_RADIUS",
    "UNITS",
    "BuildColumnEI",
    "Transplant",
    "build_dann",
    "build_rnn",
]
