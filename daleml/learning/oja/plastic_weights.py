"""The weights of a model that local plasticity can change, and the signs that they keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn

from daleml import _sparse_weights, modules, signs
from daleml.modules import SynapticWeight

Holders: TypeAlias = Mapping[int, list[nn.Module]]
"""The modules that hold a parameter, by the parameter's identity."""


@dataclass(frozen=True, eq=False)
class PlasticWeight:
    """One plastic weight, under one of its names.

    Attributes:
        layer: Name of the layer in the model.
        name: Name of the parameter in the model.
        module: The layer.
        parameter: Name of the parameter in the layer. Of a DANN's three matrices it is the
            excitatory one, a change of which is a change of the effective weight.
        path: ``"dense"``, or of a circuit ``"ih"`` or ``"hh"``, and of a circuit with layers
            ``"ih_l0"``, ...
        obstacle: Why it cannot be changed, in words; empty if it can.
        spec: What the layer says of the weight.
    """

    layer: str
    name: str
    module: nn.Module
    parameter: str
    path: str
    obstacle: str
    spec: SynapticWeight

    def weight(self) -> Tensor:
        """Return the parameter to change.

        Raises:
            ValueError: If it has been reparametrised since it was found.
        """
        weight = self.module._parameters.get(self.parameter)
        if weight is None:
            raise ValueError(
                f"`model` must keep `{self.name}` as a parameter of its own; it has been"
                " reparametrised since."
            )
        return weight

    def effective(self) -> Tensor:
        """Return what multiplies ``pre``, ``(post, pre)``."""
        return modules.effective(self.module, self.spec, self.layer)


def plastic(model: nn.Module) -> dict[str, PlasticWeight]:
    """Find the weights of dense layers and circuits, by name.

    Those that cannot be changed say why.
    """
    uncalled = modules.uncalled(model)
    found = {}
    for layer, module in model.named_modules():
        for spec in _weights(module, layer):
            name = f"{layer}.{spec.name}".lstrip(".")
            if module in uncalled:
                obstacle = "is read by an attention module that does not call its layer"
            else:
                obstacle = _obstacle(module, spec)
            path = _path(module, spec)
            found[name] = PlasticWeight(
                layer, name, module, spec.name, path, obstacle, spec
            )
    return found


def _weights(module: nn.Module, layer: str) -> tuple[SynapticWeight, ...]:
    """Return the weights between units whose rates can be told.

    Those of convolutions are left out, and so are those that have gates.
    """
    found = modules.synaptic_weights(module, layer)
    if modules.is_recurrent(module):
        # The rate of a gate is no rate of a unit.
        return found if all(spec.gates == 1 for spec in found) else ()
    return found if modules.n_spatial(module) == 0 else ()


def _path(module: nn.Module, spec: SynapticWeight) -> str:
    if not modules.is_recurrent(module):
        return "dense"
    return f"{'hh' if spec.recurrent else 'ih'}{spec.suffix}"


def _obstacle(module: nn.Module, spec: SynapticWeight) -> str:
    """Say why a weight cannot be changed; nothing if it can."""
    if modules.speaks(module):
        obstacle = _missing(module)
        if obstacle:
            return obstacle
    elif modules.is_recurrent(module) and len(modules.synaptic_weights(module)) > 2:
        return (
            "is of an nn.RNN with several layers or both directions, whose inner rates"
            " cannot be seen: stack modules of one layer, or use EIRNN"
        )
    # Transposed, the rule would have to be written twice.
    if spec.pre_dim != 1:
        return "is stored as (pre, post), where the rule has (post, pre)"
    if modules.is_lazy(module):
        return "has no shape before the model's first forward pass"
    if spec.name not in module._parameters:
        return "is reparametrised"
    # The rule multiplies the rates of all pairs.
    if _sparse_weights.is_sparse(module, spec.name):
        return "is sparse: build its layer with `sparse=False`"
    return ""


def _missing(module: nn.Module) -> str:
    """Say which method a layer of the protocol lacks; nothing if it has all."""
    recurrent = modules.is_recurrent(module)
    kind = type(module).__name__
    needed = ("register_layer_hook", "rates") if recurrent else ("effective_weight",)
    for name in needed:
        if modules.method(module, name) is None:
            return f"is of a layer, {kind}, without the method `{name}`"
    if not recurrent and len(modules.synaptic_weights(module)) != 1:
        return f"is one of several weights of a layer, {kind}, that is not recurrent"
    return ""


# -- shared weights


def holders(model: nn.Module) -> Holders:
    """Find the modules that hold each parameter: several, where weights are tied."""
    found: dict[int, list[nn.Module]] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            found.setdefault(id(parameter), []).append(module)
    return found


def fixed_signs(
    weight: Tensor, modules: list[nn.Module]
) -> list[tuple[nn.Module, Tensor]]:
    """Return the modules in which signs are fixed on a weight, with the signs.

    The signs broadcast against the weight.
    """
    found = []
    for module in modules:
        for _, parameter, sign in signs.named(module):
            if parameter is weight:
                found.append((module, sign))
    return found
