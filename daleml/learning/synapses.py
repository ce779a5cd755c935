"""Which weights of a model local plasticity can change, under which names, and which of them have signs to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from daleml import signs
from daleml.layers import DANNRNN, EIRNN, DANNLinear, DANNRNNCell, EILinear, EIRNNCell

DENSE = (nn.Linear, EILinear, DANNLinear)
CELLS = (nn.RNNCell, EIRNNCell, DANNRNNCell)
DALE_CIRCUITS = (EIRNN, DANNRNN, EIRNNCell, DANNRNNCell)
_THREE_MATRICES = (DANNLinear, DANNRNN, DANNRNNCell)

Holders: TypeAlias = Mapping[int, list[nn.Module]]
"""By the identity of a parameter, the modules that hold it."""


@dataclass(frozen=True, eq=False)
class Synapses:
    """One plastic weight, under one of its names.

    Attributes:
        layer: Name of the layer in the model.
        name: Name of the parameter in the model.
        module: The layer.
        parameter: Name of the parameter in the layer. Of a DANN's three matrices it is the excitatory one, a change of
            which is a change of the effective weight.
        path: ``"dense"``, or of a circuit ``"ih"`` or ``"hh"``, and of a circuit with layers ``"ih_l0"``, ...
        obstacle: Why it cannot be changed, in words; empty if it can.
    """

    layer: str
    name: str
    module: nn.Module
    parameter: str
    path: str
    obstacle: str

    def weight(self) -> Tensor:
        """Return the parameter to change.

        Raises:
            ValueError: If it has been reparametrised since it was found.
        """
        weight = self.module._parameters.get(self.parameter)
        if weight is None:
            raise ValueError(
                f"`model` must keep `{self.name}` as a parameter of its own; it has been reparametrised since."
            )
        return weight

    def effective(self) -> Tensor:
        """Return what multiplies ``pre``, ``(post, pre)``."""
        module: Any = self.module
        if isinstance(module, DANNLinear):
            return module.effective_weight()
        if not isinstance(module, DALE_CIRCUITS):
            return self.weight()
        weights: Any = module.effective_weights()
        kind, _, layer = self.path.partition("_l")
        weights = weights[int(layer)] if layer else weights
        effective: Tensor = weights.recurrent if kind == "hh" else weights.input
        return effective


def plastic(model: nn.Module) -> dict[str, Synapses]:
    """Find the weights of dense layers and circuits, by name; those that cannot be changed say why."""
    uncalled = read_without_a_call(model)
    found = {}
    for layer, module in model.named_modules():
        for path, parameter in _weights(module):
            name = ".".join(part for part in (layer, parameter) if part)
            obstacle = "is read by an attention module that does not call its layer" if module in uncalled else ""
            found[name] = Synapses(layer, name, module, parameter, path, obstacle or _obstacle(module, parameter))
    return found


def read_without_a_call(model: nn.Module) -> set[nn.Module]:
    """Find the dense layers whose weight is read by another module: no hook of theirs ever runs."""
    return {module.out_proj for module in model.modules() if isinstance(module, nn.MultiheadAttention)}


def is_lazy(module: nn.Module) -> bool:
    """Whether a layer waits for its first forward pass to know its shape."""
    return any(isinstance(parameter, UninitializedParameter) for parameter in module._parameters.values())


def _weights(module: nn.Module) -> list[tuple[str, str]]:
    stem = "weight_ex" if isinstance(module, _THREE_MATRICES) else "weight"
    if isinstance(module, DENSE):
        return [("dense", stem)]
    suffixes: tuple[str, ...] = ()
    if isinstance(module, nn.RNNCell):
        suffixes = ("",)
    elif isinstance(module, nn.RNN):
        ways = ("", "_reverse") if module.bidirectional else ("",)
        suffixes = tuple(f"_l{i}{way}" for i in range(module.num_layers) for way in ways)
    elif isinstance(module, DALE_CIRCUITS):
        suffixes = module._suffixes
    return [(f"{kind}{suffix}", f"{stem}_{kind}{suffix}") for suffix in suffixes for kind in ("ih", "hh")]


def _obstacle(module: nn.Module, parameter: str) -> str:
    if isinstance(module, nn.RNN) and (module.num_layers != 1 or module.bidirectional):
        return (
            "is of an nn.RNN with several layers or both directions, whose inner rates cannot be seen: "
            "stack modules of one layer, or use EIRNN"
        )
    if parameter not in module._parameters:
        return "is reparametrised"
    return "has no shape before the model's first forward pass" if is_lazy(module) else ""


# -- shared weights ----------------------------------------------------------------------------------------------------


def holders(model: nn.Module) -> Holders:
    """Find the modules that hold each parameter: several, where weights are tied."""
    found: dict[int, list[nn.Module]] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            found.setdefault(id(parameter), []).append(module)
    return found


def lawful(weight: Tensor, modules: list[nn.Module]) -> list[tuple[nn.Module, Tensor]]:
    """Return the modules in which signs are fixed on a weight, and the signs, to broadcast against it."""
    return [(module, sign) for module in modules for _, found, sign in signs.named(module) if found is weight]
