"""What is done to activations outside the layers that are known.

Noticed, and kept from deciding by its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.overrides import TorchFunctionMode

from daleml import modules
from daleml.convert.conversion_report import Note
from daleml.convert.unit_signs import is_layer

_ADDITIONS = {"add", "add_", "__add__", "__radd__", "__iadd__"}
_NEGATIONS = {
    "sub",
    "sub_",
    "__sub__",
    "__rsub__",
    "rsub",
    "neg",
    "__neg__",
    "negative",
    "subtract",
}
_SCALINGS = {
    "mul",
    "mul_",
    "__mul__",
    "__rmul__",
    "multiply",
    "div",
    "div_",
    "__truediv__",
    "true_divide",
}
_PRODUCTS = {
    "matmul",
    "__matmul__",
    "bmm",
    "einsum",
    "baddbmm",
    "scaled_dot_product_attention",
}
_WEIGHTED_FUNCTIONS = {
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "bilinear",
    "multi_head_attention_forward",
}


class Bystanders(TorchFunctionMode):
    """While the marks of units run through a model, see what else it does to them.

    A parameter that is no known layer's would let its numbers decide whom a unit reaches, which
    a rectifier then cuts: so it counts as one that passes every unit on to all.

    Attributes:
        findings: What was found, each once, in order.
    """

    def __init__(
        self,
        inside: list[nn.Module],
        names: dict[nn.Module, str],
        findings: dict[Note, None],
    ) -> None:
        super().__init__()
        self.inside, self.names, self.findings = inside, names, findings
        # By identity, and held, so that no identity is given to another tensor meanwhile.
        self._buffers = {
            id(buffer): buffer
            for module in names
            for buffer in module.buffers(recurse=False)
        }
        self._computed: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._is_known():
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        tensors = [
            given for given in (*args, *kwargs.values()) if isinstance(given, Tensor)
        ]
        if tensors and all(
            map(self._is_parameter, tensors)
        ):  # as a weight is transposed, or masked
            return self._remember(func(*args, **kwargs))
        own = self._own_parameters()
        foreign = [
            t
            for t in tensors
            if self._is_parameter(t) and id(t) not in {id(one) for one in own}
        ]
        activations = [t for t in tensors if not self._is_parameter(t) and t.ndim > 1]
        uses_weight = name in _PRODUCTS and (
            len(foreign) > 0 or any(id(t) in self._buffers for t in tensors)
        )
        if name in _WEIGHTED_FUNCTIONS:
            uses_weight = not any(
                _is_scaled(t, weight) for t in tensors for weight in own
            )
        negated = name in _SCALINGS and any(map(self._is_negative, args))
        self._note(name, activations, foreign, negated=negated, uses_weight=uses_weight)
        if uses_weight:
            return _everywhere(func(*args, **kwargs), activations)
        if foreign and name in _ADDITIONS | _NEGATIONS | _SCALINGS:
            neutral = torch.ones_like if name in _SCALINGS else torch.zeros_like
            args = [
                neutral(given) if self._is_parameter(given) else given for given in args
            ]
        return func(*args, **kwargs)

    def _is_parameter(self, given: Any) -> bool:
        """Whether something is a parameter, or computed from parameters alone."""
        return isinstance(given, nn.Parameter) or id(given) in self._computed

    def _is_negative(self, given: Any) -> bool:
        """Whether a factor is a number below zero, or a constant of the model that has one."""
        if id(given) in self._buffers:
            return bool((given < 0).any())
        return isinstance(given, (int, float)) and given < 0

    def _remember(self, result: Any) -> Any:
        for one in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(one, Tensor):
                self._computed[id(one)] = one
        return result

    def _is_known(self) -> bool:
        """Whether what runs now is a layer that is known, as it is known, or nothing of the model at all."""
        if not self.inside:  # the example is being marked
            return False
        if any(
            isinstance(module, ParametrizationList) or modules.speaks(module)
            for module in self.inside
        ):
            return True
        module = self.inside[-1]
        kind = modules.torch_kind(module)
        has_units = (
            is_layer(module) or modules.is_norm(module) or modules.is_table(module)
        )
        return kind is not None and has_units and modules.runs_as_torch(module)

    def _own_parameters(self) -> list[Tensor]:
        """Return the weights that a subclass of a known layer, which runs in a way of its own, may well use."""
        module = self.inside[-1] if self.inside else None
        if module is None or not is_layer(module):
            return []
        names = modules.accounted(module)
        return [
            parameter
            for name, parameter in module.named_parameters(recurse=False)
            if name in names
        ]

    def _note(
        self,
        name: str,
        activations: list[Tensor],
        foreign: Sequence[Tensor],
        *,
        negated: bool,
        uses_weight: bool,
    ) -> None:
        unlawful = True
        if name in _ADDITIONS and len(activations) == 2:
            unlawful = False
            said = (
                "activities are added (a residual connection): an inhibitory unit carried"
                " on, not a synapse"
            )
        elif activations and (negated or (name in _NEGATIONS and not foreign)):
            said = (
                "activities are subtracted or negated, which turns excitation into"
                " inhibition: not lawful"
            )
        elif name in _PRODUCTS and len(activations) >= 2:
            said = (
                "activities multiply activities (attention), which have no fixed sign: not"
                " lawful"
            )
        elif uses_weight:
            said = (
                "a parameter is used as a weight outside the modules that are known: not"
                " lawful"
            )
        else:
            return
        where = self.names.get(self.inside[-1], "") if self.inside else ""
        self.findings[Note(f"{where or 'the model itself'}: {said}", unlawful)] = None


def _is_scaled(used: Tensor, weight: Tensor) -> bool:
    """Whether a matrix is a weight, each entry of it times a number of at least 0, as where it is masked."""
    if used is weight:
        return weight.ndim > 1
    return (
        used.ndim > 1
        and used.shape == weight.shape
        and bool((used * weight >= 0).all())
    )


def _everywhere(result: Any, activations: list[Tensor]) -> Any:
    """Return marks in every place if there is one anywhere in what was read."""
    if not isinstance(result, Tensor) or not result.is_floating_point():
        return result
    active = any(bool(read.any()) for read in activations)
    return torch.full_like(result, float(active))
