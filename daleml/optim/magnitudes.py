"""Weights as signs times magnitudes: a parametrisation, and the loading of plain checkpoints."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn
from torch.nn.utils import parametrize


class Magnitude(nn.Module):
    r"""The parametrisation :math:`w = s |v|`; synapses that do not exist are zero."""

    signs: Tensor
    present: Tensor | None

    def __init__(self, name: str, sign: Tensor, present: Tensor | None) -> None:
        super().__init__()
        self.name = name
        # Not in checkpoints: the module that owns the weight keeps its signs there.
        self.register_buffer("signs", sign, persistent=False)
        self.register_buffer("present", present, persistent=False)

    def forward(self, free: Tensor) -> Tensor:
        """Return the weight."""
        weight = free.abs() * self.signs
        return weight if self.present is None else weight * self.present

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return a free parameter that gives this weight: itself.

        Raises:
            ValueError: If the weight breaks the law.
        """
        broken = int((weight * self.signs < 0).sum())
        if broken:
            raise ValueError(
                f"`{self.name}` must keep the signs that are fixed; got {broken} weights of"
                " the other sign."
            )
        return weight


def magnitudes(module: nn.Module) -> list[str]:
    """Return the names of the parameters of a module that are reparametrised so."""
    if not parametrize.is_parametrized(module):
        return []
    names = []
    for name, parts in cast("nn.ModuleDict", module.parametrizations).items():
        if isinstance(cast("Any", parts)[0], Magnitude):
            names.append(name)
    return names


def rename_on_load(
    module: nn.Module, state: dict[str, Any], prefix: str, *_: object
) -> None:
    """Take the weights of a plain checkpoint as free parameters: their magnitudes are the same."""
    for name in magnitudes(module):
        if prefix + name in state:
            state[f"{prefix}parametrizations.{name}.original"] = state.pop(
                prefix + name
            )
