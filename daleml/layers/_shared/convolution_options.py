"""The keyword-only options of a Dale's ANN that convolves, said once."""

# The annotations below are read when the module is imported, so they are no strings here.

from typing import Annotated, TypedDict

import torch

from daleml._support.shared_options import Option


class DANNConvOptions(TypedDict, total=False):
    """What a convolutional Dale's ANN may be told by keyword."""

    padding_mode: Annotated[
        str,
        Option(
            "zeros", '``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.'
        ),
    ]
    eps: Annotated[
        float,
        Option(
            0.01,
            "The weakest shunt that divides, see :class:`~daleml.layers.DANNLinear`. Used with"
            " ``shunting`` only.",
        ),
    ]
    generator: Annotated[
        torch.Generator | None,
        Option(
            None, "Source of randomness for the weights; default: torch's global one."
        ),
    ]
    device: Annotated[
        torch.device | str | None, Option(None, "Where the parameters live.")
    ]
    dtype: Annotated[torch.dtype | None, Option(None, "Their floating-point type.")]
