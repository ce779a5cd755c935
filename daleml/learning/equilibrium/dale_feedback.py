"""Dale's law for what hidden units send up and for what they send down."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from daleml import signs
from daleml.learning.equilibrium.connections import Connection, DenseConnection
from daleml.populations import Populations

_LARGEST_DRIVE = 0.5
"""The largest mean drive of a layer by another whose units are all at 1."""


@torch.no_grad()
def impose_dale_feedback_(
    connections: nn.ModuleList,
    readout: DenseConnection,
    populations: Sequence[Populations | int],
) -> None:
    """Give what each hidden unit sends, up and down, the sign of the unit.

    Args:
        connections: From the input to the first hidden layer, and from each to the next.
        readout: From the last hidden layer to the classes.
        populations: A partition for each hidden layer: of its units, or of the channels of a
            convolution.

    Raises:
        TypeError: If ``populations`` is no sequence.
        ValueError: If there is not a partition for each hidden layer, or one does not fit.
    """
    if not isinstance(populations, Sequence):
        raise TypeError(
            "`populations` must be a sequence, a partition a hidden layer; got"
            f" {populations!r}."
        )
    partitions = [Populations.coerce(partition) for partition in populations]
    layers: list[Connection] = list(connections)  # type: ignore[arg-type]
    if len(partitions) != len(layers):
        raise ValueError(
            "`populations` must hold a partition for each of the"
            f" {len(layers)} hidden layers; got {len(partitions)}."
        )
    for partition, layer in zip(partitions, layers, strict=True):
        if partition.size != layer.post_shape[0]:
            raise ValueError(
                f"`populations` must divide the {layer.post_shape[0]} units of a layer; got"
                f" {partition.size}."
            )
    # The signs of a layer's units are those of the columns of the connection above it.
    above = [*layers[1:], readout]
    for partition, layer, upper in zip(partitions, layers, above, strict=True):
        columns = partition.signs(device="cpu")
        if isinstance(upper, DenseConnection):
            # Every pixel of a channel is a column of its own.
            columns = columns.repeat_interleave(math.prod(layer.post_shape[1:]))
        shape = (1, -1, *(1,) * (upper.weight.ndim - 2))
        upper.weight.copy_(upper.weight.abs() * columns.to(upper.weight).reshape(shape))
        signs.fix(upper, "weight", columns)
        if layer is layers[0]:
            continue  # The input receives no feedback.
        sender = partition.signs(device="cpu").to(torch.int8)
        layer.feedback_signs = sender.to(layer.weight.device)
        _weaken_(layer)


def _weaken_(connection: Connection) -> None:
    """Scale a lawful weight down until neither layer drives the other too strongly."""
    n_post, n_pre = connection.weight.shape[:2]
    up = connection.weight.sum() / n_post
    down = connection.feedback_weight().sum() / n_pre
    drive = max(abs(float(up)), abs(float(down)))
    connection.weight.mul_(_LARGEST_DRIVE / max(drive, _LARGEST_DRIVE))
