r"""The table of torch's modules, and the protocol of a layer, asked by every tool of this package.

Which parameters of a module are synaptic weights, what each of them reads, where its
presynaptic units lie, which bias goes with it, whether the module is recurrent: every tool asks
here, and nowhere else. Torch's classes stand in a table, which is searched along the classes a
module inherits from, so that a subclass of ``nn.Linear`` is dense. Any other layer says it
itself, by the methods of :class:`DaleLayer`. It needs no base class:

.. code-block:: python

    class MyLayer(nn.Module):
        def plastic_weights(self):
            return ["weight"]  # or SynapticWeight("weight", bias="bias", ...)

        def effective_weight(self):
            return self.weight  # (post, pre), signed: what multiplies the input

        def redraw_(self, *, draw, ratio=1.0, generator=None):
            drawn = draw(torch.empty_like(self.weight), 0.1, generator=generator)
            self.weight.copy_(drawn * self.signs)

        def output_signs(self):
            return None  # whatever reads the layer may decide; or +1 or -1 per output unit

A layer that has some of these methods and lacks one that a tool needs is refused by that tool,
in a sentence that names the method.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from daleml._kept_otherwise import kept_otherwise as kept_otherwise
from daleml._kept_otherwise import warn_of_kept_otherwise as warn_of_kept_otherwise
from daleml._layer_protocol import DaleLayer as DaleLayer
from daleml._layer_protocol import RecurrentDaleLayer as RecurrentDaleLayer
from daleml._layer_protocol import method as method
from daleml._layer_protocol import required as required
from daleml._layer_protocol import speaks as speaks
from daleml._layer_protocol import takes as takes
from daleml._layer_protocol import takes_draw as takes_draw
from daleml._sparse_weights import dense, matrix_shape
from daleml._support.sharded_tensors import gathered, whole
from daleml._torch_table import TABLE as TABLE
from daleml._torch_table import Reads as Reads
from daleml._torch_table import SynapticWeight as SynapticWeight
from daleml._torch_table import TorchKind as TorchKind
from daleml._torch_table import runs_as_torch as runs_as_torch
from daleml._torch_table import torch_class as torch_class
from daleml._torch_table import torch_kind as torch_kind

# What a layer of a stranger needs; the rest is for the tools of this package.
__all__ = ["DaleLayer", "RecurrentDaleLayer", "SynapticWeight", "synaptic_weights"]


def synaptic_weights(module: nn.Module, path: str = "") -> tuple[SynapticWeight, ...]:
    """Return the synaptic weights of a module itself, without its children.

    A layer of the protocol says which they are; of torch's modules, the table does.

    Args:
        module: Any module.
        path: Its name in the model, which errors give.

    Raises:
        TypeError: If it says anything but names and SynapticWeight.
        ValueError: If it has methods of the protocol but does not say which its weights are, or
            names parameters that it has not got.

    Example:
        >>> from torch import nn
        >>> [one.name for one in synaptic_weights(nn.RNN(3, 5))]
        ['weight_ih_l0', 'weight_hh_l0']
    """
    if not speaks(module):
        return _weights_by_table(module)
    purpose = "says which parameters are synaptic weights"
    listed = required(module, path, "plastic_weights", purpose)()
    if isinstance(listed, str):
        listed = [listed]
    found = []
    for given in listed:
        one = SynapticWeight(given) if isinstance(given, str) else given
        if not isinstance(one, SynapticWeight):
            raise TypeError(
                f"`plastic_weights` of {type(module).__name__} must give names or"
                f" SynapticWeight; got {one!r}."
            )
        if not hasattr(module, one.name):
            raise ValueError(
                f"`plastic_weights` of {type(module).__name__} must name its parameters;"
                f" got {one.name!r}, which it has not."
            )
        found.append(one)
    return tuple(found)


def _weights_by_table(module: nn.Module) -> tuple[SynapticWeight, ...]:
    """Return the synaptic weights of a module as the table has them."""
    kind = torch_kind(module)
    if kind is None or kind.weights is None:
        return ()
    return kind.weights(module)


def known_weights(module: nn.Module, path: str = "") -> tuple[SynapticWeight, ...]:
    """Return the synaptic weights of a module; none of a layer that does not say which they are."""
    if speaks(module) and method(module, "plastic_weights") is None:
        return ()
    return synaptic_weights(module, path)


def output_signs(module: nn.Module, path: str = "") -> Tensor | None:
    """Return +1 or -1 per output unit of a layer, or None if it leaves that to its readers.

    Raises:
        ValueError: If the layer does not say, or says anything else.
    """
    said = required(module, path, "output_signs", "says which of its units inhibit")()
    if said is None:
        return None
    # A partition will do, too.
    given = said
    if hasattr(said, "signs"):
        given = said.signs()
    try:
        found = torch.as_tensor(given, device="cpu").detach().float()
    except (TypeError, ValueError, RuntimeError):
        # What is no tensor of numbers is refused below, as wrong numbers are.
        found = torch.zeros(1)
    if found.ndim != 1 or not bool((found.abs() == 1).all()):
        raise ValueError(
            f"`output_signs` of {type(module).__name__} must give +1 or -1 for each output"
            f" unit, or None; got {said!r}."
        )
    return found


def is_recurrent(module: nn.Module) -> bool:
    """Whether a module has a state of its own, over sequences or step by step."""
    if method(module, "effective_weights") is not None:
        return True
    kind = torch_kind(module)
    return kind is not None and kind.recurrent


def runs_over_sequences(module: nn.Module) -> bool:
    """Whether a recurrent module takes sequences; else it takes one step."""
    kind = torch_kind(module)
    if kind is not None and not speaks(module):
        return kind.sequences
    # A layer takes sequences in one of two layouts; a cell has no layout to choose.
    return hasattr(module, "batch_first")


def is_dense(module: nn.Module, path: str = "") -> bool:
    """Whether a module is one matrix between the last dimensions of its input and output."""
    if is_recurrent(module):
        return False
    weights = synaptic_weights(module, path)
    if not speaks(module):
        return bool(weights) and cast("TorchKind", torch_kind(module)).spatial == 0
    return len(weights) == 1 and len(matrix_shape(module, weights[0].name)) == 2


def _parameter(module: nn.Module, one: SynapticWeight) -> Tensor:
    return cast("Tensor", getattr(module, one.name))


def is_norm(module: nn.Module | None) -> bool:
    """Whether a module's ``weight`` is the gain of a normalisation."""
    kind = torch_kind(module)
    return kind is not None and kind.gain


def is_table(module: nn.Module | None) -> bool:
    """Whether a module's ``weight`` is a table of inputs, an embedding."""
    kind = torch_kind(module)
    return kind is not None and kind.table


def is_lazy(module: nn.Module) -> bool:
    """Whether a module waits for its first forward pass to know its shape."""
    return any(
        isinstance(parameter, UninitializedParameter)
        for parameter in module._parameters.values()
    )


def require_shapes(model: nn.Module) -> None:
    """Raise if a layer has no shape before its first forward pass."""
    for path, module in model.named_modules():
        if is_lazy(module):
            where = path or "the model itself"
            raise ValueError(
                f"`model` must have run once, so that its layers have shapes; got `{where}`"
                " without one."
            )


def uncalled(model: nn.Module) -> set[nn.Module]:
    """Find the layers whose weights another module reads without calling them.

    No hook of theirs ever runs; ``nn.MultiheadAttention`` treats its output projection so.
    """
    found: set[nn.Module] = set()
    for module in model.modules():
        kind = torch_kind(module)
        if kind is not None and kind.obstacle:
            found.update(module.children())
    return found


def presynaptic_dim(module: nn.Module, name: str, n_dims: int) -> int:
    """Return the dimension of a parameter along which presynaptic units lie, mostly 1."""
    if n_dims == 1 or is_table(module):
        return 0
    if speaks(module) and method(module, "plastic_weights") is None:
        return 1
    declared = {one.name: one.pre_dim for one in _weights_while_built(module)}
    return declared.get(name, 1)


def _weights_while_built(module: nn.Module) -> tuple[SynapticWeight, ...]:
    """Return the weights of a module that may be half built: its constructor fixes signs."""
    try:
        return synaptic_weights(module)
    # A layer's own methods may need what its constructor has not set yet.
    except (AttributeError, ValueError):
        return _weights_by_table(module)


def fan_in(module: nn.Module, name: str) -> int:
    """Return how many synapses each postsynaptic unit has in a weight of a module."""
    weight = cast("Tensor", getattr(module, name))
    shape = matrix_shape(module, name)
    if len(shape) > weight.ndim:
        return max(1, weight.numel() // shape[0])
    pre_dim = presynaptic_dim(module, plain_name(module, name), weight.ndim)
    n_synapses = weight.numel() // weight.shape[1 - pre_dim]
    # Along dimension 1, a grouped convolution's weight has the inputs of one group only.
    if pre_dim == 1:
        return n_synapses
    return n_synapses // int(getattr(module, "groups", 1))


def unit_dim(module: nn.Module, tensor: Tensor) -> int:
    """Return the dimension of a module's input or output along which its units lie."""
    return tensor.ndim - n_spatial(module) - 1


def n_spatial(module: nn.Module) -> int:
    """Return how many dimensions of a module's input come after its units': 2 for images."""
    if not speaks(module):
        kind = torch_kind(module)
        if kind is None:
            return 0
        return kind.spatial
    if is_recurrent(module):
        return 0
    weights = synaptic_weights(module)
    dimensions = [len(matrix_shape(module, one.name)) - 2 for one in weights]
    return max(dimensions, default=0)


def n_inputs(module: nn.Module) -> int:
    """Return how many units a module reads."""
    kind = torch_kind(module)
    if kind is not None and kind.inputs:
        return int(getattr(module, kind.inputs))
    # Torch's table does not know this layer: the shape of what it gives says it.
    if is_recurrent(module):
        return int(effective_layers(module)[0].input.shape[1])
    return int(_effective_weight(module, "").shape[1])


def n_outputs(module: nn.Module) -> int:
    """Return how many units one layer and direction of a module puts out."""
    kind = torch_kind(module)
    if kind is not None and kind.outputs:
        counter = kind.outputs
        # An LSTM may project its state onto fewer units.
        if kind.projects and hasattr(module, "proj_size") and module.proj_size:
            counter = "proj_size"
        return int(getattr(module, counter))
    if is_recurrent(module):
        return int(effective_layers(module)[-1].recurrent.shape[0])
    return int(_effective_weight(module, "").shape[0])


class _EffectiveWeights(Protocol):
    """What ``effective_weights`` of a recurrent layer gives, a named tuple."""

    input: Tensor
    recurrent: Tensor

    def _asdict(self) -> dict[str, Tensor]: ...


def effective_layers(module: nn.Module, path: str = "") -> Sequence[_EffectiveWeights]:
    """Return the effective weights of a recurrent module, one named tuple per layer."""
    purpose = "gives what multiplies input and state"
    with gathered(module):
        given = required(module, path, "effective_weights", purpose)()
    # A cell gives one named tuple, which is a sequence as well: of its fields.
    layers = [given] if hasattr(given, "_fields") else list(given)
    for layer in layers:
        parts = [getattr(layer, name, None) for name in ("input", "recurrent")]
        if not all(isinstance(part, Tensor) for part in parts):
            raise TypeError(
                f"`effective_weights` of {type(module).__name__} must give named tuples"
                f" with the fields `input` and `recurrent`; got {type(layer).__name__}."
            )
    return cast("Sequence[_EffectiveWeights]", layers)


def effective(module: nn.Module, one: SynapticWeight, path: str = "") -> Tensor:
    """Return what multiplies the units that a weight reads, ``(post, pre)``, signed."""
    weight = _parameter(module, one)
    if not speaks(module):
        return whole(weight)
    if is_recurrent(module):
        layer = effective_layers(module, path)[one.layer]
        found = layer.recurrent if one.recurrent else layer.input
    else:
        found = _effective_weight(module, path)
    # Of a sparse weight that is small enough: those that take a matrix here compute with it.
    found = dense(found)
    if one.units is not None:
        found = found[:, one.units]
    shape = matrix_shape(module, one.name)
    if one.pre_dim == 0:
        shape = (shape[1], shape[0], *shape[2:])
    if tuple(found.shape) != shape:
        raise ValueError(
            f"the effective weight of {type(module).__name__} must have the shape"
            f" {shape} of `{one.name}`, as far as that reads its input; got"
            f" {tuple(found.shape)}."
        )
    return found


def _effective_weight(module: nn.Module, path: str) -> Tensor:
    purpose = "gives what multiplies the input"
    with gathered(module):
        return cast("Tensor", required(module, path, "effective_weight", purpose)())


def accounted(module: nn.Module, path: str = "") -> set[str]:
    """Return the names of the parameters that a module's weights and biases are made of."""
    names: set[str] = set()
    for one in known_weights(module, path):
        names.update((one.name, *one.parts))
        if one.bias:
            names.add(one.bias)
    return names


def plain_name(module: nn.Module, name: str) -> str:
    """Return the name of a parameter before ``torch.nn.utils.prune`` took it apart."""
    plain = name.removesuffix("_orig")
    is_pruned = plain != name and f"{plain}_mask" in module._buffers
    return plain if is_pruned else name


def other_matrices(
    module: nn.Module, path: str = ""
) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the matrices of a module that are not accounted for, and no gain and no table."""
    if is_norm(module) or is_table(module):
        return
    # What a weight is computed from is named where the weight is.
    if isinstance(module, parametrize.ParametrizationList):
        return
    known = accounted(module, path)
    for name, parameter in module.named_parameters(recurse=False):
        shaped = not isinstance(parameter, UninitializedParameter)
        if shaped and parameter.ndim > 1 and plain_name(module, name) not in known:
            yield name, parameter
