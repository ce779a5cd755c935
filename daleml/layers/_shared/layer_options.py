"""The keyword-only options of column-EI layers without recurrence, said once."""

# The annotations below are read when the module is imported, so they are no strings here.

from collections.abc import Mapping
from typing import Annotated, TypedDict

import torch
from torch import Tensor

from daleml._support.shared_options import Option
from daleml.layers.blocks import Blocks


class SynapseOptions(TypedDict, total=False):
    """What a column-EI layer may be told of its synapses, and where it lives."""

    mask: Annotated[
        Tensor | float | Blocks | None,
        Option(
            None,
            "Which synapses exist: a boolean matrix (post, pre); a density in (0, 1], drawn"
            " from ``generator``; or :class:`Blocks` of densities in [0, 1], one for each"
            " pathway. Those that do not exist are kept at exactly zero.",
        ),
    ]
    strength: Annotated[
        Tensor | Blocks | None,
        Option(
            None,
            "Relative mean strength of the synapses, of either sign, when they are drawn:"
            " Blocks or a matrix (post, pre) of numbers of at least 0. Only proportions count,"
            " since the mean square of the weights is kept.",
        ),
    ]
    fixed: Annotated[
        bool | Tensor | Blocks | None,
        Option(
            None,
            "Which synapses exist and do not learn: True for all, Blocks of 0 and 1, or a"
            " boolean matrix (post, pre).",
        ),
    ]
    lr_scale: Annotated[
        Tensor | Blocks | None,
        Option(
            None,
            "Factor on what the synapses learn: Blocks or a matrix (post, pre) of numbers of"
            " at least 0. ``optim.enforce`` applies it to the whole update of any optimiser;"
            " with 0 nothing moves.",
        ),
    ]
    generator: Annotated[
        torch.Generator | None,
        Option(
            None,
            "Source of randomness for the mask and the weights; default: torch's global one.",
        ),
    ]
    device: Annotated[
        torch.device | str | None, Option(None, "Where the parameters live.")
    ]
    dtype: Annotated[torch.dtype | None, Option(None, "Their floating-point type.")]


class DenseOptions(SynapseOptions, total=False):
    """What a dense column-EI layer may be told."""

    input_signed: Annotated[
        bool | Mapping[str, bool],
        Option(
            True,
            "Whether the synapses have the signs of the presynaptic units; or a mapping that"
            " says it for each population. Those without a sign begin with both, and may"
            " change it.",
        ),
    ]
    sparse: Annotated[
        bool | None,
        Option(
            False,
            "Whether a weight that has a mask holds one number for each synapse that exists,"
            " instead of a matrix. None chooses, by what was measured to be faster: sparse"
            " from 512 by 512 units on, where at most one synapse in ten exists.",
        ),
    ]


class ConvOptions(SynapseOptions, total=False):
    """What a column-EI convolution may be told; a mask and the like go by pairs of channels."""

    padding_mode: Annotated[
        str,
        Option(
            "zeros", '``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.'
        ),
    ]
