"""The sign of every unit of a model.

What its layer says, what those say that read it, or a fraction that inhibits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from daleml import law, modules
from daleml.modules import SynapticWeight
from daleml.populations import Populations

Calls = Mapping[str, list[Tensor]]
"""By the name of a module, what it read at each of its calls: rows of units."""


def is_layer(module: nn.Module | None) -> bool:
    """Whether a module has synaptic weights and units of its own.

    A known layer of torch's, or one of the protocol.
    """
    if module is None:
        return False
    kind = modules.torch_kind(module)
    return modules.speaks(module) or (kind is not None and kind.weights is not None)


def is_convertible(module: nn.Module) -> bool:
    """Whether signs can be fixed on a module.

    A layer of torch's, which does not say itself what its signs are.
    """
    return is_layer(module) and not modules.speaks(module)


def n_directions(module: nn.Module) -> int:
    """Return in how many directions a module runs over sequences."""
    return (
        2
        if modules.is_recurrent(module) and getattr(module, "bidirectional", False)
        else 1
    )


@dataclass
class Units:
    """The units of a model, by what puts them out: a layer, an embedding, or an input of the model.

    Attributes:
        inhibitory: Fraction of a layer's units that inhibit, where nothing else says it.
        inputs: The same of inputs and embeddings; None if they have no sign.
        signs: +1 or -1 for each unit, NaN where it has none.
        first: The number of the first of its units, of all units counted from 1.
        said: Which of them have said their signs themselves.
    """

    inhibitory: float
    inputs: float | None
    signs: dict[str, Tensor] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    total: int = 0

    def of_layer(self, name: str, module: nn.Module, width: int) -> Tensor:
        """Return the signs of the units that a layer puts out, which are ``width`` wide."""
        if name not in self.signs:
            own = modules.output_signs(module, name) if modules.speaks(module) else None
            if own is not None:
                self.said.add(name)
            self._register(name, self._split(module, width) if own is None else own)
        return self.signs[name]

    def of_input(self, name: str, width: int) -> Tensor:
        """Return the signs of an input of the model, or of the entries of an embedding."""
        if name not in self.signs:
            none = torch.full((width,), torch.nan)
            self._register(
                name,
                (
                    none
                    if self.inputs is None
                    else Populations.split(width, self.inputs).signs()
                ),
            )
            if self.inputs is None:
                self.said.add(name)
        return self.signs[name]

    def own(self, name: str, module: nn.Module, one: SynapticWeight) -> Tensor:
        """Return the signs of presynaptic units that lie within a recurrent module itself."""
        n_ways, width = n_directions(module), modules.n_outputs(module)
        put_out = self.of_layer(name, module, n_ways * width)
        if one.reads == "below":
            return put_out
        if one.reads == "cells":
            return Populations.split(
                int(cast("Any", module).hidden_size), self.inhibitory
            ).signs()
        return put_out.chunk(n_ways)[int(one.reverse)]

    def _split(self, module: nn.Module, width: int) -> Tensor:
        n_ways = n_directions(module)
        one = Populations.split(width // n_ways, self.inhibitory).signs()
        return torch.cat([one] * n_ways)

    def _register(self, name: str, unit_signs: Tensor) -> None:
        self.signs[name] = unit_signs
        self.first[name] = self.total + 1
        self.total += unit_signs.numel()

    def numbers(self, name: str) -> Tensor:
        """Return the number of each unit."""
        return torch.arange(self.signs[name].numel()) + self.first[name]

    def settle(
        self, model: nn.Module, silent: Calls, by_bit: list[tuple[Calls, Calls]]
    ) -> None:
        """Give units the signs that the layers which read them have fixed, where those agree.

        Args:
            model: The model.
            silent: What modules read while all units are silent.
            by_bit: For each binary digit of the units' numbers, what they read while the units
                are active that have a 1 there, and while those are that have a 0.
        """
        excite = torch.zeros(self.total + 1, dtype=torch.bool)
        inhibit = torch.zeros_like(excite)
        for name, _, unit_signs in fixed_inputs(model):
            for call, quiet in enumerate(silent.get(name, [])):
                if quiet.shape[-1] != unit_signs.numel():
                    continue
                number = torch.zeros(quiet.shape[-1], dtype=torch.long)
                single = torch.ones(quiet.shape[-1], dtype=torch.bool)
                for bit, (ones, zeros) in enumerate(by_bit):
                    one, zero = (
                        (quiet != read[name][call]).any(0).cpu()
                        for read in (ones, zeros)
                    )
                    single &= one ^ zero  # one unit alone, with this digit
                    number += one.long() << bit
                single &= number <= self.total
                excite[number[single & (unit_signs > 0)]] = True
                inhibit[number[single & (unit_signs < 0)]] = True
        for name in self.signs.keys() - self.said:
            numbers = self.numbers(name)
            e, i = excite[numbers], inhibit[numbers]
            asked = torch.where(e, 1.0, -1.0)
            self.signs[name] = torch.where(e ^ i, asked, self.signs[name])


def fixed_inputs(model: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    """Yield, for each layer of the protocol, the weight that reads its input, and the signs fixed there.

    A unit that the layer does not read has NaN.
    """
    for path, module in model.named_modules():
        if not modules.speaks(module):
            continue
        for one in modules.synaptic_weights(module, path):
            stored = module._buffers.get(one.name + law.SUFFIX)
            if one.reads != "input" or stored is None:
                continue
            unit_signs = stored.detach().flatten().float().cpu()
            if one.units is not None:
                unread = torch.full((modules.n_inputs(module),), torch.nan)
                unread[one.units] = unit_signs
                unit_signs = unread
            yield path, one.name, unit_signs
