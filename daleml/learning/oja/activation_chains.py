"""The activation modules that make rates of a dense layer's output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn

from daleml import modules

Activation: TypeAlias = Callable[[Tensor], Tensor]
"""A function from a layer's output to the rates of its units."""


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
            # `forward` and not a call, which would run the user's hooks a second time.
            output = module.forward(output)
        return output


def following(model: nn.Module) -> dict[nn.Module, Chain]:
    """Find the activation modules right after each dense layer of an ``nn.Sequential``."""
    found: dict[nn.Module, Chain] = {}
    for module in model.modules():
        if not isinstance(module, nn.Sequential):
            continue
        parts = list(_in_order(module))
        for i, part in enumerate(parts):
            if modules.is_dense(part):
                # The first place counts where one layer stands in several.
                found.setdefault(part, _chain(parts[i + 1 :]))
    return found


def _in_order(sequential: nn.Sequential) -> Iterator[nn.Module]:
    """Yield the modules that run, those of inner sequences too.

    A module that stands twice is yielded twice, which ``children`` would leave out.
    """
    for part in sequential._modules.values():
        if isinstance(part, nn.Sequential):
            yield from _in_order(part)
        elif part is not None:
            yield part


def _chain(after: Sequence[nn.Module]) -> Chain:
    """Return the known activations that the modules after a layer begin with."""
    applied: list[nn.Module] = []
    for module in after:
        kind = modules.torch_kind(module)
        if kind is not None and kind.rates and modules.runs_as_torch(module):
            applied.append(module)
        elif (kind is not None and kind.activation) or _may_be_activation(module):
            # Known to be an activation, but not what rates it makes: the user must say it.
            return Chain(tuple(applied), type(module).__name__)
        else:
            break
    return Chain(tuple(applied))


def _may_be_activation(module: nn.Module) -> bool:
    """Whether a module is no known layer, and so may be an activation of the user's."""
    known = modules.torch_kind(module) is not None or modules.speaks(module)
    return not known and not module._parameters and not module._modules
