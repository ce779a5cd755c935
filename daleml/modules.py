r"""One notion of a layer.

A table of torch's own modules, and the protocol that daleml's layers and yours satisfy.

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
            self.weight.copy_(draw(torch.empty_like(self.weight), 0.1, generator=generator) *
            self.signs)

        def output_signs(self):
            return None  # whatever reads the layer may decide; or +1 and -1, one for each output unit

A layer that has some of these methods and lacks one that a tool needs is refused by that tool,
in a sentence that names the method.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from daleml._torch_table import TABLE as TABLE
from daleml._torch_table import Reads as Reads
from daleml._torch_table import SynapticWeight as SynapticWeight
from daleml._torch_table import TorchKind as TorchKind
from daleml._torch_table import runs_as_torch as runs_as_torch
from daleml._torch_table import torch_class as torch_class
from daleml._torch_table import torch_kind as torch_kind


@runtime_checkable
class DaleLayer(Protocol):
    """The methods by which a feed-forward layer of yours tells every tool what it is.

    A recurrent layer has ``effective_weights`` in place of ``effective_weight``.
    """

    def plastic_weights(self) -> Iterable[SynapticWeight | str]:
        """Return the synaptic weights, in the order in which they are used.

        A plain name stands for a dense weight.
        """

    def effective_weight(self) -> Tensor:
        """Return what multiplies the input, signed, ``(post, pre)``.

        Of a convolution ``(post, pre, *kernel)``.
        """

    def redraw_(
        self, *, draw: Any, ratio: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        """Draw the weights anew, in place, and keep their signs and the variance of the layer's output.

        Args:
            draw: Fills a tensor with positive numbers of a given mean, ``draw(tensor, mean,
                generator=)``.
            ratio: Mean of the magnitudes that it draws, divided by their standard deviation.
            generator: Source of randomness; default: torch's global one.
        """

    def output_signs(self) -> Tensor | None:
        """Return +1 (excites) or -1 (inhibits) for each output unit.

        None if the layers that read them may decide.
        """


@runtime_checkable
class RecurrentDaleLayer(Protocol):
    """What a recurrent layer or cell says of itself."""

    def plastic_weights(self) -> Iterable[SynapticWeight]:
        """Return the synaptic weights.

        For each layer what reads its input, and what reads its state.
        """

    def effective_weights(self) -> Any:
        """Return a named tuple of ``input`` and ``recurrent``, each ``(post, pre)``.

        In a stack, one for each layer.
        """

    def redraw_(
        self, *, draw: Any, ratio: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        """Draw the weights anew, as in :class:`DaleLayer`."""

    def output_signs(self) -> Tensor | None:
        """Return +1 or -1 for each unit whose rates the layer puts out, as in :class:`DaleLayer`."""

    def register_layer_hook(self, look: Callable[..., None]) -> Any:
        """Call ``look(suffix, rows, begun, rates, batch_sizes)`` whenever a layer has run.

        See ``EIRNN``.
        """

    def rates(self, state: Tensor) -> Tensor:
        """Return the rates of a state."""


# -- the protocol ----------------------------------------------------------------------------------

_SAYS = (
    "plastic_weights",
    "effective_weight",
    "effective_weights",
    "redraw_",
    "output_signs",
)


def method(module: nn.Module, name: str) -> Callable[..., Any] | None:
    """Return a method that a module's class, or the module itself, has.

    Not one that it passes on from another.
    """
    own = getattr(type(module), name, None) or vars(module).get(name)
    return cast("Callable[..., Any]", getattr(module, name)) if callable(own) else None


def speaks(module: nn.Module) -> bool:
    """Whether a module is a layer of the protocol.

    It has some of the methods, and weights of its own to speak of.
    """
    if method(module, "plastic_weights") is not None:
        return True
    # A model may well pass on the effective weight of a layer within it.
    owns = bool(module._parameters) or parametrize.is_parametrized(module)
    return owns and any(method(module, name) is not None for name in _SAYS)


def required(
    module: nn.Module, path: str, name: str, purpose: str
) -> Callable[..., Any]:
    """Return a method of the protocol.

    Raises:
        ValueError: If the layer has not got it.
    """
    found = method(module, name)
    if found is None:
        where = f"`{path}`" if path else "the model itself"
        raise ValueError(
            f"`model` must have layers with the method `{name}`, which {purpose}; got"
            f" {where}, a {type(module).__name__} without one."
        )
    return found


def synaptic_weights(module: nn.Module, path: str = "") -> tuple[SynapticWeight, ...]:
    """Return the synaptic weights of a module itself, without its children.

    As it says, or as the table says.

    Raises:
        ValueError: If it has methods of the protocol but does not say which its weights are, or
            names parameters that it has not got.
    """
    if not speaks(module):
        kind = torch_kind(module)
        return () if kind is None or kind.weights is None else kind.weights(module)
    listed = required(
        module, path, "plastic_weights", "says which parameters are synaptic weights"
    )()
    if isinstance(listed, str):
        listed = [listed]
    found = tuple(
        SynapticWeight(one) if isinstance(one, str) else one for one in listed
    )
    for one in found:
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
    return found


def known_weights(module: nn.Module, path: str = "") -> tuple[SynapticWeight, ...]:
    """Return the synaptic weights of a module; none of a layer that does not say which they are."""
    silent = speaks(module) and method(module, "plastic_weights") is None
    return () if silent else synaptic_weights(module, path)


def output_signs(module: nn.Module, path: str = "") -> Tensor | None:
    """Return +1 or -1 for each unit that a layer of the protocol puts out.

    None if it leaves that to its readers.

    Raises:
        ValueError: If the layer does not say, or says anything else.
    """
    said = required(module, path, "output_signs", "says which of its units inhibit")()
    if said is None:
        return None
    given = said.signs() if hasattr(said, "signs") else said
    try:
        found = torch.as_tensor(given, device="cpu").detach().float()
    except (TypeError, ValueError, RuntimeError):
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
    return (
        kind.sequences
        if kind is not None and not speaks(module)
        else hasattr(module, "batch_first")
    )


def is_dense(module: nn.Module, path: str = "") -> bool:
    """Whether a module is one matrix between units that lie along the last dimension of its input and output."""
    if is_recurrent(module):
        return False
    weights = synaptic_weights(module, path)
    if not speaks(module):
        return bool(weights) and cast("TorchKind", torch_kind(module)).spatial == 0
    return (
        len(weights) == 1 and cast("Tensor", getattr(module, weights[0].name)).ndim == 2
    )


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
    lazy = next(
        (
            path or "the model itself"
            for path, module in model.named_modules()
            if is_lazy(module)
        ),
        None,
    )
    if lazy is not None:
        raise ValueError(
            f"`model` must have run once, so that its layers have shapes; got `{lazy}`"
            " without one."
        )


def uncalled(model: nn.Module) -> set[nn.Module]:
    """Find the layers whose weights another module reads without calling them.

    No hook of theirs ever runs.
    """
    found: set[nn.Module] = set()
    for module in model.modules():
        kind = torch_kind(module)
        if kind is not None and kind.obstacle:
            found.update(module.children())
    return found


# -- where units lie -------------------------------------------------------------------------------


def presynaptic_dim(module: nn.Module, name: str, n_dims: int) -> int:
    """Return the dimension of a parameter along which presynaptic units lie.

    1, unless the module says otherwise.
    """
    if n_dims == 1 or is_table(module):
        return 0
    if speaks(module) and method(module, "plastic_weights") is None:
        return 1
    declared = {one.name: one.pre_dim for one in _weights_while_built(module)}
    return declared.get(name, 1)


def _weights_while_built(module: nn.Module) -> tuple[SynapticWeight, ...]:
    """Return the weights of a module that may be half built, as when it fixes its signs in its constructor."""
    try:
        return synaptic_weights(module)
    except (AttributeError, ValueError):
        kind = torch_kind(module)
        return () if kind is None or kind.weights is None else kind.weights(module)


def fan_in(module: nn.Module, name: str) -> int:
    """Return how many synapses each postsynaptic unit has in a weight of a module."""
    weight = cast("Tensor", getattr(module, name))
    pre_dim = presynaptic_dim(module, plain_name(module, name), weight.ndim)
    n_synapses = weight.numel() // weight.shape[1 - pre_dim]
    if pre_dim == 1:  # a grouped convolution's weight has the inputs of one group only
        return n_synapses
    return n_synapses // int(getattr(module, "groups", 1))


def unit_dim(module: nn.Module, tensor: Tensor) -> int:
    """Return the dimension of a module's input or output along which its units lie."""
    return tensor.ndim - n_spatial(module) - 1


def n_spatial(module: nn.Module) -> int:
    """Return how many dimensions of a module's input come after that of its units: 2 for images."""
    if not speaks(module):
        kind = torch_kind(module)
        return 0 if kind is None else kind.spatial
    weights = [] if is_recurrent(module) else synaptic_weights(module)
    return max(
        (cast("Tensor", getattr(module, one.name)).ndim - 2 for one in weights),
        default=0,
    )


def n_inputs(module: nn.Module) -> int:
    """Return how many units a module reads."""
    kind = torch_kind(module)
    if kind is not None and kind.inputs:
        return int(getattr(module, kind.inputs))
    if is_recurrent(module):
        return int(effective_layers(module)[0].input.shape[1])
    effective = required(
        module, "", "effective_weight", "gives what multiplies the input"
    )()
    return int(cast("Tensor", effective).shape[1])


def n_outputs(module: nn.Module) -> int:
    """Return how many units one layer and direction of a module puts out."""
    kind = torch_kind(module)
    if kind is not None and kind.outputs:
        projected = getattr(module, "proj_size", 0) if kind.projects else 0
        return int(projected or getattr(module, kind.outputs))
    if is_recurrent(module):
        return int(effective_layers(module)[-1].recurrent.shape[0])
    return int(
        required(
            module, "", "effective_weight", "gives what multiplies the input"
        )().shape[0]
    )


# -- what multiplies what --------------------------------------------------------------------------


class _Effective(Protocol):
    input: Tensor
    recurrent: Tensor

    def _asdict(self) -> dict[str, Tensor]: ...


def effective_layers(module: nn.Module, path: str = "") -> Sequence[_Effective]:
    """Return the effective weights of a recurrent module of the protocol, one named tuple a layer."""
    given = required(
        module, path, "effective_weights", "gives what multiplies input and state"
    )()
    layers = [given] if hasattr(given, "_fields") else list(given)
    for layer in layers:
        if not all(
            isinstance(getattr(layer, name, None), Tensor)
            for name in ("input", "recurrent")
        ):
            raise TypeError(
                f"`effective_weights` of {type(module).__name__} must give named tuples"
                f" with the fields `input` and `recurrent`; got {type(layer).__name__}."
            )
    return cast("Sequence[_Effective]", layers)


def effective(module: nn.Module, one: SynapticWeight, path: str = "") -> Tensor:
    """Return what multiplies the units that a weight reads, ``(post, pre)``, signed, of those units alone."""
    if not speaks(module):
        return cast("Tensor", getattr(module, one.name))
    if is_recurrent(module):
        layer = effective_layers(module, path)[one.layer]
        found = layer.recurrent if one.recurrent else layer.input
    else:
        found = required(
            module, path, "effective_weight", "gives what multiplies the input"
        )()
    found = found if one.units is None else found[:, one.units]
    weight = cast("Tensor", getattr(module, one.name))
    weight = weight.transpose(0, 1) if one.pre_dim == 0 else weight
    if found.shape != weight.shape:
        raise ValueError(
            f"the effective weight of {type(module).__name__} must have the shape"
            f" {tuple(weight.shape)} of `{one.name}`, as far as that reads its input; got"
            f" {tuple(found.shape)}."
        )
    return found


def accounted(module: nn.Module, path: str = "") -> set[str]:
    """Return the names of the parameters that a module's weights are made of, their biases included."""
    names: set[str] = set()
    for one in known_weights(module, path):
        names |= {one.name, *one.parts} | ({one.bias} if one.bias else set())
    return names


def plain_name(module: nn.Module, name: str) -> str:
    """Return the name of a parameter before ``torch.nn.utils.prune`` took it apart."""
    plain = name.removesuffix("_orig")
    return plain if plain != name and f"{plain}_mask" in module._buffers else name


def other_matrices(
    module: nn.Module, path: str = ""
) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the matrices of a module that are not accounted for, and no gain and no table.

    By name.
    """
    if (
        is_norm(module)
        or is_table(module)
        or isinstance(module, parametrize.ParametrizationList)
    ):
        return
    known = accounted(module, path)
    for name, parameter in module.named_parameters(recurse=False):
        shaped = not isinstance(parameter, UninitializedParameter)
        if shaped and parameter.ndim > 1 and plain_name(module, name) not in known:
            yield name, parameter


def kept_otherwise(model: nn.Module) -> Iterator[tuple[str, list[str]]]:
    """Yield the modules that keep weights otherwise than as parameters, as quantised ones do, and under which names."""
    for path, module in model.named_modules():
        if module._modules or module._parameters:
            continue
        kept = sorted(set(module.state_dict()) - set(module._buffers))
        if kept:
            yield path, kept


def warn_of_kept_otherwise(model: nn.Module, tool: str) -> None:
    """Warn that a tool leaves alone what keeps its weights otherwise than as parameters."""
    found = [path or "the model itself" for path, _ in kept_otherwise(model)]
    if found:
        warnings.warn(
            f"`{tool}` left alone {', '.join(found)}, where weights are kept otherwise than"
            " as parameters, as in quantised modules.",
            stacklevel=3,
        )


def takes(function: Callable[..., Any], *keywords: str) -> bool:
    """Whether a function takes arguments by these names."""
    parameters = inspect.signature(function).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return True
    return {
        one.name for one in parameters if one.kind is not one.POSITIONAL_ONLY
    } >= set(keywords)


def takes_draw(module: nn.Module) -> bool:
    """Whether ``reset_parameters`` of a module takes a distribution.

    ``reset_parameters(generator, draw=)``.
    """
    reset = method(module, "reset_parameters")
    return reset is not None and takes(reset, "draw")
