"""Which weights of a model local plasticity can change, and what was active on both sides of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from daleml import signs
from daleml.layers import DANNRNN, EIRNN, DANNLinear, DANNRNNCell, EILinear, EIRNNCell

Activation: TypeAlias = Callable[[Tensor], Tensor]

_DENSE = (nn.Linear, EILinear, DANNLinear)
_SEQUENCES = (nn.RNN, EIRNN, DANNRNN)
_CELLS = (nn.RNNCell, EIRNNCell, DANNRNNCell)
_DALE_CIRCUITS = (EIRNN, DANNRNN, EIRNNCell, DANNRNNCell)
_THREE_MATRICES = (DANNLinear, DANNRNN, DANNRNNCell)


@dataclass(frozen=True, eq=False)
class Synapses:
    """One plastic weight.

    Attributes:
        layer: Name of the layer in the model.
        name: Name of the parameter in the model.
        module: The layer.
        parameter: Name of the parameter in the layer. Of a DANN's three matrices it is the excitatory one, a change of
            which is a change of the effective weight.
        path: ``"dense"``, or ``"ih"`` or ``"hh"`` of a circuit.
        obstacle: Why it cannot be changed, in words; empty if it can.
    """

    layer: str
    name: str
    module: nn.Module
    parameter: str
    path: str
    obstacle: str

    def weight(self) -> Tensor:
        """Return the parameter to change."""
        return self.module.get_parameter(self.parameter)

    def effective(self) -> Tensor:
        """Return what multiplies ``pre``, ``(post, pre)``."""
        module: Any = self.module
        if isinstance(module, DANNLinear):
            return module.effective_weight()
        if not isinstance(module, _DALE_CIRCUITS):
            return self.weight()
        weights: Any = module.effective_weights()
        weights = weights[0] if isinstance(module, _SEQUENCES) else weights
        effective: Tensor = weights.recurrent if self.path == "hh" else weights.input
        return effective

    def signs(self) -> Tensor | None:
        """Return the signs fixed on the parameter, to broadcast against it; None if it is free."""
        found = (sign for name, _, sign in signs.named(self.module) if name == self.parameter)
        return next(found, None)


def plastic(model: nn.Module) -> dict[str, Synapses]:
    """Find the weights of dense layers and circuits, by name."""
    found = {}
    for layer, module in model.named_modules():
        for path, parameter in _weights(module):
            name = _join(layer, parameter)
            found[name] = Synapses(layer, name, module, parameter, path, _obstacle(module, parameter))
    return found


def _weights(module: nn.Module) -> list[tuple[str, str]]:
    stem = "weight_ex" if isinstance(module, _THREE_MATRICES) else "weight"
    if isinstance(module, _DENSE):
        return [("dense", stem)]
    if isinstance(module, _CELLS):
        return [(path, f"{stem}_{path}") for path in ("ih", "hh")]
    if isinstance(module, _SEQUENCES):
        return [(path, f"{stem}_{path}_l0") for path in ("ih", "hh")]
    return []


def _obstacle(module: nn.Module, parameter: str) -> str:
    if parameter not in module._parameters:
        return "is reparametrised"
    if isinstance(module, _SEQUENCES) and (module.num_layers != 1 or module.bidirectional):
        return "is of a circuit with hidden layers, whose rates cannot be seen"
    return ""


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)


# -- what makes rates of a layer's output ------------------------------------------------------------------------------


def following(model: nn.Module) -> dict[str, Activation]:
    """Find what makes rates of each dense layer's output: the activation modules right after it in a Sequential."""
    found: dict[str, Activation] = {}
    for path, module in model.named_modules():
        if isinstance(module, nn.Sequential):
            parts = list(module.named_children())
            for i, (name, part) in enumerate(parts):
                if isinstance(part, _DENSE):
                    found[_join(path, name)] = _chain([after for _, after in parts[i + 1 :]])
    return found


def _chain(modules: list[nn.Module]) -> Activation:
    applied = []
    for module in modules:
        if type(module).__module__ != "torch.nn.modules.activation" or isinstance(module, nn.MultiheadAttention):
            break
        applied.append(module)

    def activation(output: Tensor) -> Tensor:
        for module in applied:
            output = module.forward(output)  # not a call, which would run the user's hooks twice
        return output

    return activation


def identity(output: Tensor) -> Tensor:
    """Return the output as it is."""
    return output


# -- what was active ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def observed(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any, activation: Activation
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what was active before and after each path of a layer in one forward pass, one row an example or step.

    Raises:
        TypeError: If a circuit was given a ``PackedSequence``.
    """
    input = args[0] if args else kwargs["input"]
    if not isinstance(input, Tensor):
        raise TypeError(f"`input` must be a tensor where activities are recorded; got {type(input).__name__}.")
    if isinstance(module, _DENSE):
        post = activation(output.detach().clone())  # a clone, since the activation may work in place
        pre = input.detach()
        if isinstance(module, EILinear):
            pre = pre[..., : module.weight.shape[1]]
        return {"dense": (_rows(pre), _rows(post))}
    hx = args[1] if len(args) > 1 else kwargs.get("hx")
    before, after = _cell_rates(module, hx, output) if isinstance(module, _CELLS) else _rates(module, hx, output[0])
    after = _rows(after)
    return {"ih": (_rows(input.detach()), after), "hh": (_rows(before), after)}


def _cell_rates(module: Any, hx: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
    begun = _begun(module, "", hx, state)
    if isinstance(module, nn.RNNCell):
        return begun, state.detach()
    return module.rates(begun), module.rates(state.detach())


def _rates(module: Any, hx: Tensor | None, rates: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rates before and after each step of a sequence, in the layout of its output."""
    time = 1 if module.batch_first and rates.ndim == 3 else 0
    rates = rates.detach()
    first = rates.select(time, 0)
    begun = _begun(module, "_l0", None if hx is None else hx[0], first)
    begun = begun if isinstance(module, nn.RNN) else module.rates(begun)
    return torch.cat([begun.unsqueeze(time), rates.narrow(time, 0, rates.shape[time] - 1)], dim=time), rates


def _begun(module: nn.Module, suffix: str, hx: Tensor | None, like: Tensor) -> Tensor:
    if hx is not None:
        return hx.detach().expand_as(like)
    learned: Tensor | None = getattr(module, f"initial_state{suffix}", None)
    return torch.zeros_like(like) if learned is None else learned.detach().expand_as(like)


def _rows(activity: Tensor) -> Tensor:
    return activity.reshape(-1, activity.shape[-1])
