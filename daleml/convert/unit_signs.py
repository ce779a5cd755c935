"""The sign of every unit of a model.

A unit's sign is what its layer says, or what the layers say that read it, or drawn from the
fraction of units that inhibit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from daleml import law, modules
from daleml.modules import SynapticWeight
from daleml.populations import Populations

Calls: TypeAlias = Mapping[str, list[Tensor]]
"""What a module read at each of its calls, as rows of units, by the module's name."""


def is_layer(module: nn.Module | None) -> bool:
    """Whether a module is a known layer of torch's with weights, or one of the protocol."""
    if module is None:
        return False
    kind = modules.torch_kind(module)
    return modules.speaks(module) or (kind is not None and kind.weights is not None)


def is_convertible(module: nn.Module) -> bool:
    """Whether ``dalify`` fixes signs on a module: a layer that does not fix its own."""
    return is_layer(module) and not modules.speaks(module)


def n_directions(module: nn.Module) -> int:
    """Return in how many directions a module runs over sequences."""
    if modules.is_recurrent(module) and getattr(module, "bidirectional", False):
        return 2
    return 1


@dataclass
class Units:
    """The units of a model, by the name of their source: a layer, an embedding or an input.

    Attributes:
        inhibitory: Fraction of a layer's units that inhibit, where nothing else says it.
        inputs: Fraction of inputs and of an embedding's entries that inhibit; None if they have
            no sign.
        signs: +1 or -1 for each unit of a source, NaN where it has none.
        first: The number of a source's first unit, where all units are counted from 1.
        said: The sources that have said their signs themselves.
        total: The number of all units.
    """

    inhibitory: float
    inputs: float | None
    signs: dict[str, Tensor] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    total: int = 0

    def of_layer(self, name: str, module: nn.Module, width: int) -> Tensor:
        """Return the signs of the units that a layer puts out, which are ``width`` wide."""
        if name in self.signs:
            return self.signs[name]
        unit_signs = None
        if modules.speaks(module):
            unit_signs = modules.output_signs(module, name)
        if unit_signs is None:
            unit_signs = self._split(module, width)
        else:
            self.said.add(name)
        self._register(name, unit_signs)
        return self.signs[name]

    def of_input(self, name: str, width: int) -> Tensor:
        """Return the signs of an input of the model, or of the entries of an embedding."""
        if name in self.signs:
            return self.signs[name]
        if self.inputs is None:
            self._register(name, torch.full((width,), torch.nan))
            self.said.add(name)
        else:
            self._register(name, Populations.split(width, self.inputs).signs())
        return self.signs[name]

    def own(self, name: str, module: nn.Module, one: SynapticWeight) -> Tensor:
        """Return the signs of presynaptic units that lie within a recurrent module itself."""
        n_ways, width = n_directions(module), modules.n_outputs(module)
        put_out = self.of_layer(name, module, n_ways * width)
        if one.reads == "below":
            return put_out
        if one.reads == "cells":
            # The cells of an LSTM with a projection are not what it puts out.
            n_cells = int(cast("Any", module).hidden_size)
            return Populations.split(n_cells, self.inhibitory).signs()
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
        # By number, from 1: number 0 stands for no unit.
        excite = torch.zeros(self.total + 1, dtype=torch.bool)
        inhibit = torch.zeros_like(excite)
        for name, _, unit_signs in fixed_inputs(model):
            for call, quiet in enumerate(silent.get(name, [])):
                if quiet.shape[-1] != unit_signs.numel():
                    continue
                # An entry read from one unit alone changes, for each digit, in one of two runs.
                number = torch.zeros(quiet.shape[-1], dtype=torch.long)
                single = torch.ones(quiet.shape[-1], dtype=torch.bool)
                for bit, (ones, zeros) in enumerate(by_bit):
                    one = (quiet != ones[name][call]).any(0).cpu()
                    zero = (quiet != zeros[name][call]).any(0).cpu()
                    single &= one ^ zero
                    number += one.long() << bit
                single &= number <= self.total
                excite[number[single & (unit_signs > 0)]] = True
                inhibit[number[single & (unit_signs < 0)]] = True
        for name in self.signs.keys() - self.said:
            numbers = self.numbers(name)
            excites, inhibits = excite[numbers], inhibit[numbers]
            asked = torch.where(excites, 1.0, -1.0)
            # Where readers disagree, or none has asked, the sign stays.
            agreed = excites ^ inhibits
            self.signs[name] = torch.where(agreed, asked, self.signs[name])


def fixed_inputs(model: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    """Yield the weight of each layer of the protocol that reads its input, and its signs.

    Yields:
        The layer's name, the weight's, and the signs fixed on it, (pre,). A unit that the
        layer does not read has NaN.
    """
    for path, module in model.named_modules():
        if not modules.speaks(module):
            continue
        for one in modules.synaptic_weights(module, path):
            stored = module._buffers.get(one.name + law.SUFFIX)
            if one.reads != "input" or stored is None:
                continue
            unit_signs = stored.detach().flatten().float().cpu()
            # A unit without a sign may have any.
            unit_signs = unit_signs.masked_fill(unit_signs == law.UNSIGNED, torch.nan)
            if one.units is not None:
                # A layer that reads a part of its input says nothing of the rest.
                unread = torch.full((modules.n_inputs(module),), torch.nan)
                unread[one.units] = unit_signs
                unit_signs = unread
            yield path, one.name, unit_signs
