"""Recurrent networks with and without Dale's law, and transplants of their singular values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from daleml.layers import init
from daleml.reproductions.digit_networks import (
    CLIP_NORM,
    SPECTRAL_RADIUS,
    UNITS,
    BuildColumnEI,
    build_rnn,
    empty_rnn,
)
from daleml.reproductions.digit_networks import build_row_dann as build_dann
from daleml.reproductions.harness import ImageArm
from daleml.tasks import RowReader


class Transplant:
    """Builds a network of the singular vectors of one network and the singular values of another.

    The network knows no law. The other one is drawn after the first, from the same generator.
    Without another, the first keeps its own values. Where the values are another's, nothing is
    left for a bias to centre, and biases are zero.

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

    def __call__(self, mean: float, generator: torch.Generator) -> RowReader:
        """Build it.

        Args:
            mean: The mean pixel.
            generator: Source of the weights of both networks.
        """
        model, first = empty_rnn(), self.vectors(mean, generator)
        other = self.values(mean, generator) if self.values else None
        # Weights of a lawful network are copied without their signs: nothing keeps them here.
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(first.get_parameter(name))
                if other and parameter.ndim == 2:
                    init.svd_spectrum_(parameter, other.get_parameter(name))
                elif other:
                    nn.init.zeros_(parameter)
        return model


_COLUMN_EI = BuildColumnEI(UNITS // 10)


def _arm(
    name: str, build: Callable[..., RowReader], *, each_sign: bool = False
) -> ImageArm:
    return ImageArm(name, build, each_sign=each_sign, clip_norm=CLIP_NORM)


ARMS = (
    _arm("rnn", build_rnn),
    _arm("dann", build_dann),
    _arm("column_ei_1", BuildColumnEI(1)),
    _arm("column_ei_10", _COLUMN_EI),
    _arm("column_ei_50", BuildColumnEI(50)),
    _arm("rnn, signs kept", build_rnn, each_sign=True),
    _arm("rnn, column_ei spectrum", Transplant(build_rnn, _COLUMN_EI)),
    _arm("column_ei, signs free", Transplant(_COLUMN_EI)),
    _arm(
        "column_ei, rnn spectrum, signs kept",
        Transplant(_COLUMN_EI, build_rnn),
        each_sign=True,
    ),
    _arm("column_ei, rnn spectrum", Transplant(_COLUMN_EI, build_rnn)),
)
"""What is compared."""

LONG_ARMS = tuple(arm for arm in ARMS if arm.name in ("rnn", "dann", "column_ei_10"))
"""What is compared for longer."""

__all__ = [
    "ARMS",
    "CLIP_NORM",
    "LONG_ARMS",
    "SPECTRAL_RADIUS",
    "UNITS",
    "BuildColumnEI",
    "Transplant",
    "build_dann",
    "build_rnn",
]
