"""The activation modules that make rates of a dense layer's output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn

from daleml import modules

Activation: TypeAlias = Callable[[Tensor], Tensor]
"""From a layer's output to the rates of its units."""


@dataclass(frozen=True)
class Chain:
    """Modules one after another, as one function.

    Attributes:
        modules: The modules.
        unclear: Name of the activation that ends them where nothing is known of its rates;
            empty if all are known.
    """

    modules: tuple[nn.Module, ...] = ()
    unclear: str = ""

    def __call__(self, output: Tensor) -> Tensor:
        """Apply them in turn."""
        for module in self.modules:
            output = module.forward(
                output
            )  # not a call, which would run the user's hooks twice
        return output


def following(model: nn.Module) -> dict[nn.Module, Chain]:
    """Find what makes rates of each dense layer's output.

    The activation modules right after it in a Sequential.
    """
    found: dict[nn.Module, Chain] = {}
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            parts = list(_in_order(module))
            for i, part in enumerate(parts):
                if modules.is_dense(part):
                    found.setdefault(part, _chain(parts[i + 1 :]))
    return found


def _in_order(sequential: nn.Sequential) -> Iterator[nn.Module]:
    """Yield what runs, with repeats, which ``children`` leaves out, and what stands in sequences within."""
    for part in sequential._modules.values():
        if isinstance(part, nn.Sequential):
            yield from _in_order(part)
        elif part is not None:
            yield part


def _chain(following: Sequence[nn.Module]) -> Chain:
    applied: list[nn.Module] = []
    for module in following:
        kind = modules.torch_kind(module)
        if kind is not None and kind.rates and modules.runs_as_torch(module):
            applied.append(module)
        elif (kind is not None and kind.activation) or _may_be_activation(module):
            return Chain(tuple(applied), type(module).__name__)
        else:
            break
    return Chain(tuple(applied))


def _may_be_activation(module: nn.Module) -> bool:
    """Whether a module is nobody's layer, and so may be an activation of the user's."""
    known = modules.torch_kind(module) is not None or modules.speaks(module)
    return not known and not module._parameters and not module._modules
