"""The layers that stand at one place of several models, and their weights side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daleml import law
from daleml.experiments._ensemble.parameter_stack import ParameterStack
from daleml.experiments._ensemble.random_streams import Streams


class LayerStack:
    """The layers at one place of the models, the first of which stands for all.

    Args:
        path: The place.
        modules: The layers, one of each model.
        stack: The stacked parameters of the models.
        streams: What models draw from.
    """

    def __init__(
        self,
        path: str,
        modules: Sequence[nn.Module],
        stack: ParameterStack,
        streams: Streams,
    ) -> None:
        self.path, self.streams = path, streams
        # Of classes that types do not tell, since a form knows them.
        self.modules: list[Any] = list(modules)
        self.first: Any = modules[0]
        self.parameters: dict[str, Tensor] = {}
        for name in self.first._parameters:
            stacked = stack.layer(path, name)
            if stacked is not None:
                self.parameters[name] = stacked
        self._masks: dict[str, tuple[list[Any], Tensor]] = {}

    def __len__(self) -> int:
        return len(self.modules)

    def acting(self, name: str) -> Tensor:
        """Return a stacked parameter as it acts: zero where no synapse is, and fixed where so."""
        weight = self.parameters[name]
        if not self._some_have(name + law.PRESENT):
            return weight
        present = self._stacked_buffer(name, law.PRESENT)
        if not self._some_have(name + law.FIXED):
            return weight * present
        which = self._stacked_buffer(name, law.FIXED)
        strengths = self._stacked_buffer(name, law.STRENGTHS)
        fixed = strengths.to(weight.dtype)
        return torch.where(which.bool(), fixed, weight * present)

    def acting_or_none(self, name: str) -> Tensor | None:
        """Return a stacked parameter as it acts; None if the layers have none of that name."""
        return self.acting(name) if name in self.parameters else None

    def composed(self, names: Sequence[str]) -> Tensor:
        """Return one matrix as it acts, or a DANN's three, composed."""
        acting = [self.acting(name) for name in names]
        if len(acting) == 1:
            return acting[0]
        excitation, to_interneurons, inhibition = acting
        return torch.baddbmm(excitation, inhibition, to_interneurons, alpha=-1)

    def _some_have(self, name: str) -> bool:
        return any(name in module._buffers for module in self.modules)

    def _stacked_buffer(self, name: str, suffix: str) -> Tensor:
        """Return a buffer of all layers, stacked anew only where one was written to.

        A layer that has none, since every synapse of it exists or learns, gets what says so.
        """
        full = name + suffix
        buffers = [module._buffers.get(full) for module in self.modules]
        stamp = [
            None if one is None else (id(one), one._version, one.data_ptr())
            for one in buffers
        ]
        kept = self._masks.get(full)
        if kept is None or kept[0] != stamp:
            like = next(one for one in buffers if one is not None)
            absent = torch.full_like(like, 1 if suffix == law.PRESENT else 0)
            filled = [absent if one is None else one for one in buffers]
            kept = self._masks[full] = (stamp, torch.stack(filled))
        return kept[1]
