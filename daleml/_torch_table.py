"""The table of torch's own modules: which of their parameters are synaptic weights, and more.

:mod:`daleml.modules` reads it, and asks the layers that are not torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from daleml.populations import Populations

Reads = Literal["input", "below", "state", "cells"]
"""What a weight of a module reads, see :class:`SynapticWeight`."""


@dataclass(frozen=True)
class SynapticWeight:
    """One synaptic weight of a module.

    Attributes:
        name: The parameter's name in the module. Of a weight composed of several parameters,
            the one whose change is a change of the effective weight.
        reads: ``"input"``, the module's own input; ``"below"``, the layer below in a stack;
            ``"state"``, the module's own state; ``"cells"``, what a projection reads.
        layer: Place in a recurrent stack, from 0.
        reverse: Whether it belongs to the direction of a stack that runs backwards.
        suffix: End of the names of the layer's parameters in a recurrent stack, such as ``"_l0"``.
        bias: Name of the bias that is added to what this weight gives, or None.
        pre_dim: The dimension of the parameter along which presynaptic units lie.
        gates: How many gates are stacked along the other dimension: 3 in a GRU, 4 in an LSTM.
        units: Which units of the input the weight reads, of those that there are; None if it
            reads all.
        parts: Names of the other parameters that the effective weight is composed of.
        pre: The populations of the units that the weight reads; None if nobody names them.
        post: The populations of the units that it reaches; None if nobody names them.

    Example:
        >>> import torch
        >>> from daleml.modules import synaptic_weights
        >>> for one in synaptic_weights(torch.nn.GRU(3, 5)):
        ...     print(one.name, "reads its", one.reads, "in", one.gates, "gates")
        weight_ih_l0 reads its input in 3 gates
        weight_hh_l0 reads its state in 3 gates
    """

    name: str
    reads: Reads = "input"
    layer: int = 0
    suffix: str = ""
    bias: str | None = None
    reverse: bool = False
    pre_dim: int = 1
    gates: int = 1
    units: slice | None = None
    parts: tuple[str, ...] = ()
    pre: Populations | None = None
    post: Populations | None = None

    @property
    def recurrent(self) -> bool:
        """Whether it reads the module's own state."""
        return self.reads == "state"


@dataclass(frozen=True)
class TorchKind:
    """What is known of one of torch's classes, and of its subclasses.

    Attributes:
        weights: Lists the synaptic weights of a module of the class.
        inputs: Name of the attribute that counts the units of its input.
        outputs: Name of the attribute that counts the units of its output.
        spatial: Number of dimensions of its input after that of the units.
        recurrent: Whether it has a state of its own.
        sequences: Whether it runs over sequences; else, if it is recurrent, it takes one step.
        packed: Whether torch reads its parameters as one block of memory, so that none may be
            reparametrised.
        projects: Whether its output may be a projection of its state, of ``proj_size`` units.
        gain: Whether ``weight`` is the gain of a normalisation.
        table: Whether ``weight`` is a table of inputs, an embedding.
        rates: Whether it makes one rate of each output, the same one every time.
        activation: Whether it is an activation at all.
        passive: Whether it neither weighs nor makes rates: dropout, pooling, flattening.
        obstacle: Why its weights are no synapses that the tools could treat; empty if they can.
    """

    weights: Callable[[Any], tuple[SynapticWeight, ...]] | None = None
    inputs: str = ""
    outputs: str = ""
    spatial: int = 0
    recurrent: bool = False
    sequences: bool = False
    packed: bool = False
    projects: bool = False
    gain: bool = False
    table: bool = False
    rates: bool = False
    activation: bool = False
    passive: bool = False
    obstacle: str = ""


def _bias(module: Any) -> str | None:
    return None if module.bias is None else "bias"


def _post_first(module: Any) -> tuple[SynapticWeight, ...]:
    return (SynapticWeight("weight", bias=_bias(module)),)


def _pre_first(module: Any) -> tuple[SynapticWeight, ...]:
    return (SynapticWeight("weight", bias=_bias(module), pre_dim=0),)


def _of_cell(gates: int) -> Callable[[Any], tuple[SynapticWeight, ...]]:
    def weights(module: Any) -> tuple[SynapticWeight, ...]:
        bias_ih = bias_hh = None
        if module.bias:
            bias_ih, bias_hh = "bias_ih", "bias_hh"
        return (
            SynapticWeight("weight_ih", bias=bias_ih, gates=gates),
            SynapticWeight("weight_hh", "state", bias=bias_hh, gates=gates),
        )

    return weights


def _of_stack(gates: int) -> Callable[[Any], tuple[SynapticWeight, ...]]:
    def weights(module: Any) -> tuple[SynapticWeight, ...]:
        found: list[SynapticWeight] = []
        for layer in range(module.num_layers):
            found += _of_stack_layer(module, gates, layer, reverse=False)
            if module.bidirectional:
                found += _of_stack_layer(module, gates, layer, reverse=True)
        return tuple(found)

    return weights


def _of_stack_layer(
    module: Any, gates: int, layer: int, *, reverse: bool
) -> list[SynapticWeight]:
    """Return the weights of one layer and direction of a recurrent stack."""
    suffix = f"_l{layer}"
    if reverse:
        suffix += "_reverse"
    bias_ih = bias_hh = None
    if module.bias:
        bias_ih, bias_hh = f"bias_ih{suffix}", f"bias_hh{suffix}"
    # Only the first layer reads the module's input.
    reads: Reads = "below" if layer else "input"
    place: dict[str, Any] = {"layer": layer, "suffix": suffix, "reverse": reverse}
    found = [
        SynapticWeight(f"weight_ih{suffix}", reads, bias=bias_ih, gates=gates, **place),
        SynapticWeight(
            f"weight_hh{suffix}", "state", bias=bias_hh, gates=gates, **place
        ),
    ]
    # An LSTM may project its state onto fewer units (https://arxiv.org/abs/1402.1128).
    if module.proj_size:
        found.append(SynapticWeight(f"weight_hr{suffix}", "cells", **place))
    return found


def _convolution(spatial: int) -> TorchKind:
    return TorchKind(_post_first, "in_channels", "out_channels", spatial)


def _transposed(spatial: int) -> TorchKind:
    return TorchKind(_pre_first, "in_channels", "out_channels", spatial)


def _stack(gates: int) -> TorchKind:
    return TorchKind(
        _of_stack(gates),
        "input_size",
        "hidden_size",
        recurrent=True,
        sequences=True,
        packed=True,
        projects=True,
    )


def _cell(gates: int) -> TorchKind:
    return TorchKind(_of_cell(gates), "input_size", "hidden_size", recurrent=True)


_ONE_RATE_EACH = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh,
    nn.LeakyReLU, nn.Mish, nn.PReLU, nn.ReLU, nn.SELU, nn.Sigmoid, nn.SiLU, nn.Softmax,
    nn.Softmin, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold,
)  # fmt: skip
"""Activations that make one rate of each output, the same one every time."""
_OTHER_ACTIVATIONS = (nn.GLU, nn.LogSigmoid, nn.LogSoftmax, nn.RReLU, nn.Softmax2d)
"""RReLU draws at random, GLU halves, Softmax2d is for images, and a logarithm is no rate."""
# The base classes of torch's own, so that a new pooling or normalisation is known at once.
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_PASSED_THROUGH = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.Upsample,
    nn.LocalResponseNorm,
    nn.modules.dropout._DropoutNd,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._LPPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
)
"""Modules whose output has the units of their input."""

TABLE: dict[type[nn.Module], TorchKind] = {
    nn.Linear: TorchKind(_post_first, "in_features", "out_features"),
    nn.Conv1d: _convolution(1),
    nn.Conv2d: _convolution(2),
    nn.Conv3d: _convolution(3),
    nn.ConvTranspose1d: _transposed(1),
    nn.ConvTranspose2d: _transposed(2),
    nn.ConvTranspose3d: _transposed(3),
    nn.RNN: _stack(1),
    nn.GRU: _stack(3),
    nn.LSTM: _stack(4),
    nn.RNNCell: _cell(1),
    nn.GRUCell: _cell(3),
    nn.LSTMCell: _cell(4),
    # Somebody's own recurrent layers, of which no weights are known.
    nn.RNNBase: TorchKind(recurrent=True, sequences=True, packed=True),
    nn.RNNCellBase: TorchKind(recurrent=True),
    nn.Bilinear: TorchKind(obstacle="multiplies two inputs with each other"),
    nn.MultiheadAttention: TorchKind(obstacle="lets activities multiply activities"),
    nn.Embedding: TorchKind(table=True),
    nn.EmbeddingBag: TorchKind(table=True),
    **dict.fromkeys(_NORMS, TorchKind(gain=True, passive=True)),
    **dict.fromkeys(_ONE_RATE_EACH, TorchKind(rates=True, activation=True)),
    **dict.fromkeys(_OTHER_ACTIVATIONS, TorchKind(activation=True)),
    **dict.fromkeys(_PASSED_THROUGH, TorchKind(passive=True)),
}
"""What is known of torch's classes.

Nothing is known of a class that is not here, and inherits from none that is.
"""


def torch_class(module: nn.Module | None) -> type[nn.Module] | None:
    """Return the class of the table that a module is, or inherits from; the nearest one."""
    # Parents are searched in the order of inheritance, so that the nearest one counts.
    for parent in type(module).__mro__:
        if parent in TABLE:
            return parent
    return None


def torch_kind(module: nn.Module | None) -> TorchKind | None:
    """Return what the table says of a module's class, or of the nearest that it inherits from."""
    found = torch_class(module)
    return None if found is None else TABLE[found]


def runs_as_torch(module: nn.Module) -> bool:
    """Whether a module of a class of the table runs by that class's ``forward``, not its own."""
    found = torch_class(module)
    return found is not None and type(module).forward is found.forward
