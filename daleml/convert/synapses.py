"""Which parameters of torch's modules are synapses, and which units they read and feed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from daleml.populations import Populations

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
RECURRENT = (nn.RNN, nn.GRU, nn.LSTM)
CELLS = (nn.RNNCell, nn.GRUCell, nn.LSTMCell)
FEEDFORWARD = (nn.Linear, *CONVOLUTIONS, *TRANSPOSED)
WEIGHTED = (*FEEDFORWARD, *RECURRENT, *CELLS)
NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)
TABLES = (nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True)
class Synapses:
    """One weight of a module.

    Attributes:
        name: Of the parameter, within its module.
        reads: ``"input"``, the module's own input; ``"below"``, the layer below in a stack; ``"state"``, its own state;
            ``"cells"``, what a projection reads.
        layer: Place in a recurrent stack.
        bias: Name of the bias that is added to what this weight gives, or None.
    """

    name: str
    reads: str
    layer: int = 0
    bias: str | None = None


def is_ours(module: nn.Module | None) -> bool:
    """Whether a module is a layer of daleml, lawful by itself."""
    return type(module).__module__.partition(".")[0] == "daleml"


def synapses_of(module: nn.Module) -> Iterator[Synapses]:
    """Yield the weights of a module that are synapses, in the order in which they are used."""
    if isinstance(module, FEEDFORWARD):
        yield Synapses("weight", "input", bias="bias" if module.bias is not None else None)
    elif isinstance(module, CELLS):
        yield Synapses("weight_ih", "input", bias="bias_ih" if module.bias else None)
        yield Synapses("weight_hh", "state", bias="bias_hh" if module.bias else None)
    elif isinstance(module, RECURRENT):
        for layer in range(module.num_layers):
            for direction in ("", "_reverse")[: 2 if module.bidirectional else 1]:
                suffix = f"_l{layer}{direction}"
                reads = "below" if layer else "input"
                biases = (f"bias_ih{suffix}", f"bias_hh{suffix}") if module.bias else (None, None)
                yield Synapses(f"weight_ih{suffix}", reads, layer, biases[0])
                yield Synapses(f"weight_hh{suffix}", "state", layer, biases[1])
                if module.proj_size:
                    yield Synapses(f"weight_hr{suffix}", "cells", layer)


def unit_dim(module: nn.Module, tensor: Tensor) -> int:
    """Return the dimension of a module's input or output along which its units lie."""
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        return tensor.ndim - len(module.kernel_size) - 1
    return tensor.ndim - 1


def output_signs(module: nn.Module, inhibitory: float) -> Tensor:
    """Return the signs that the output units of a module are given: one partition a layer, and a direction."""
    if isinstance(module, nn.Linear):
        return Populations.split(module.out_features, inhibitory).signs()
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        return Populations.split(module.out_channels, inhibitory).signs()
    if isinstance(module, CELLS):
        return Populations.split(module.hidden_size, inhibitory).signs()
    assert isinstance(module, RECURRENT)
    one = Populations.split(module.proj_size or module.hidden_size, inhibitory).signs()
    return torch.cat([one, one]) if module.bidirectional else one


def own_signs(module: nn.Module, synapses: Synapses, inhibitory: float) -> Tensor:
    """Return the signs of presynaptic units that lie within the module itself."""
    assert isinstance(module, (*RECURRENT, *CELLS))
    if synapses.reads == "below":
        return output_signs(module, inhibitory)
    n_state = getattr(module, "proj_size", 0) or module.hidden_size
    n = module.hidden_size if synapses.reads == "cells" else n_state
    return Populations.split(n, inhibitory).signs()
