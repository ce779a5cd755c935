"""Bystanders: what a model does to activations outside the layers that are known.

They are noticed, and kept from deciding by their numbers whom a unit reaches.
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
    """Notices what else a model does to the marks of units, while they run through it.

    A parameter of no known layer would let its numbers decide whom a unit reaches, for a
    rectifier cuts what is negative. So it counts as one that passes every unit on to all.

    Args:
        inside: The modules that run now, the innermost last.
        names: The name of every module of the model.
        findings: Where findings are put.

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
        self._buffers: dict[int, Tensor] = {}
        for module in names:
            for buffer in module.buffers(recurse=False):
                self._buffers[id(buffer)] = buffer
        self._computed: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        # Called for every function of torch, also for those that a known layer runs inside.
        kwargs = kwargs or {}
        if self._is_known():
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        given = (*args, *kwargs.values())
        tensors = [one for one in given if isinstance(one, Tensor)]
        if tensors and all(map(self._is_parameter, tensors)):
            # A weight is computed, as where it is transposed or masked.
            return self._remember(func(*args, **kwargs))
        own = self._own_parameters()
        activations, foreign = self._sorted(tensors, own)
        uses_weight = False
        if name in _WEIGHTED_FUNCTIONS:
            uses_weight = not _any_scaled(tensors, own)
        elif name in _PRODUCTS:
            constant = any(id(one) in self._buffers for one in tensors)
            uses_weight = constant or len(foreign) > 0
        negated = name in _SCALINGS and any(map(self._is_negative, args))
        self._note(name, activations, foreign, negated=negated, uses_weight=uses_weight)
        if uses_weight:
            return _everywhere(func(*args, **kwargs), activations)
        if foreign and name in _ADDITIONS | _NEGATIONS | _SCALINGS:
            # Such a parameter moves no unit to another place: it is replaced by one that
            # does nothing, lest its numbers silence a unit.
            neutral = torch.ones_like if name in _SCALINGS else torch.zeros_like
            args = [neutral(one) if self._is_parameter(one) else one for one in args]
        return func(*args, **kwargs)

    def _sorted(
        self, tensors: list[Tensor], own: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the activations of units, and the parameters that are not the module's own."""
        known = {id(one) for one in own}
        activations, foreign = [], []
        for one in tensors:
            if not self._is_parameter(one):
                if one.ndim > 1:
                    activations.append(one)
            elif id(one) not in known:
                foreign.append(one)
        return activations, foreign

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
        """Whether what runs now is a known layer, in the way that is known of it."""
        if not self.inside:
            return False
        for module in self.inside:
            if isinstance(module, ParametrizationList) or modules.speaks(module):
                return True
        module = self.inside[-1]
        if modules.torch_kind(module) is None or not modules.runs_as_torch(module):
            return False
        return is_layer(module) or modules.is_norm(module) or modules.is_table(module)

    def _own_parameters(self) -> list[Tensor]:
        """Return the weights that the module itself may use.

        It is a subclass of a known layer, and runs in a way of its own.
        """
        if not self.inside or not is_layer(self.inside[-1]):
            return []
        module = self.inside[-1]
        names = modules.accounted(module)
        own: list[Tensor] = []
        for name, parameter in module.named_parameters(recurse=False):
            if name in names:
                own.append(parameter)
        return own

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
            text = (
                "activities are added (a residual connection): an inhibitory unit carried"
                " on, not a synapse"
            )
        elif activations and (negated or (name in _NEGATIONS and not foreign)):
            text = (
                "activities are subtracted or negated, which turns excitation into"
                " inhibition: not lawful"
            )
        elif name in _PRODUCTS and len(activations) >= 2:
            text = (
                "activities multiply activities (attention), which have no fixed sign: not"
                " lawful"
            )
        elif uses_weight:
            text = (
                "a parameter is used as a weight outside the modules that are known: not"
                " lawful"
            )
        else:
            return
        where = self.names.get(self.inside[-1], "") if self.inside else ""
        note = Note(f"{where or 'the model itself'}: {text}", unlawful)
        self.findings[note] = None


def _any_scaled(used: list[Tensor], weights: list[Tensor]) -> bool:
    """Whether one of the tensors is a weight, entry by entry times a number of at least 0."""
    return any(_is_scaled(one, weight) for one in used for weight in weights)


def _is_scaled(used: Tensor, weight: Tensor) -> bool:
    # A masked weight is one, and so is a normalised one.
    if used is weight:
        return weight.ndim > 1
    if used.ndim < 2 or used.shape != weight.shape:
        return False
    return bool((used * weight >= 0).all())


def _everywhere(result: Any, activations: list[Tensor]) -> Any:
    """Return marks in every place, if there is one anywhere in what was read."""
    if not isinstance(result, Tensor) or not result.is_floating_point():
        return result
    active = any(bool(read.any()) for read in activations)
    return torch.full_like(result, float(active))
