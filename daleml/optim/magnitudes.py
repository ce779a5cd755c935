"""Weights as signs times magnitudes: a parametrisation, and the loading of plain checkpoints."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Magnitude(nn.Module):
    r"""The parametrisation :math:`w = s |v|`; synapses that do not exist are zero.

    A unit without a sign has :math:`w = v`, and a fixed synapse its strength.
    """

    signs: Tensor
    present: Tensor | None
    fixed: Tensor | None
    strengths: Tensor | None

    def __init__(
        self,
        name: str,
        sign: Tensor,
        present: Tensor | None,
        fixed: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.some_unsigned = not sign.is_meta and bool((sign == 0).any())
        which, strengths = (None, None) if fixed is None else fixed
        # Not in checkpoints: the module that owns the weight keeps its signs there.
        self.register_buffer("signs", sign, persistent=False)
        self.register_buffer("present", present, persistent=False)
        self.register_buffer("fixed", which, persistent=False)
        self.register_buffer("strengths", strengths, persistent=False)

    def forward(self, free: Tensor) -> Tensor:
        """Return the weight."""
        weight = free.abs() * self.signs
        if self.some_unsigned:
            weight = torch.where(self.signs == 0, free, weight)
        if self.present is not None:
            weight = weight * self.present
        if self.fixed is None or self.strengths is None:
            return weight
        return torch.where(self.fixed.bool(), self.strengths, weight)

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
