"""The parameters of models of one form in common memory, model by model along dimension 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Place(NamedTuple):
    """Where a parameter is kept: a submodule by its path, and the name in it."""

    path: str
    own: str


class ParameterStack:
    """Stacked parameters, and the models whose own parameters are slices of them.

    Each parameter of a model lies in the memory of the stack. What writes into one in place has
    written into the other, so that an optimiser moves all models by moving the stack, and a
    tool that knows nothing of ensembles may read or project a model.

    Args:
        members: The models. Their parameters stop to ask for gradients, which the stack gets.
        parameters: The stack, where there is one already, by the names of the parameters.

    Attributes:
        parameters: (models, ...) each, by the names that they have in a model.
        places: Where each parameter is kept in a model; several places share one.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        parameters: dict[str, nn.Parameter] | None = None,
    ) -> None:
        self.members = list(members)
        self.places = _places(self.members[0])
        self.modules = [_modules_by_path(member) for member in self.members]
        if parameters is None:
            parameters = {}
            for name, first in self.members[0].named_parameters():
                own = [self._own(k, name).detach() for k in range(len(self.members))]
                stacked = torch.stack(own)
                parameters[name] = nn.Parameter(stacked, first.requires_grad)
        self.parameters = parameters
        self.at: dict[Place, nn.Parameter] = {}
        for name, places in self.places.items():
            self.at.update(dict.fromkeys(places, parameters[name]))
        self.link()

    def _own(self, k: int, name: str) -> nn.Parameter:
        place = self.places[name][0]
        found = self.modules[k][place.path]._parameters[place.own]
        assert found is not None  # models are alike
        return found

    def own(self) -> Iterator[tuple[str, int, nn.Parameter]]:
        """Yield each parameter of each model, with its name and the number of the model."""
        for name in self.parameters:
            for k in range(len(self.members)):
                yield name, k, self._own(k, name)

    def link(self) -> None:
        """Let the parameters of the models lie in the memory of the stack, as it is."""
        for name, k, own in self.own():
            own.requires_grad_(False)
            own.data = self.parameters[name].detach()[k]

    @torch.no_grad()
    def gather(self) -> None:
        """Take in parameters that were replaced in a model, as by an assigning load."""
        for name, k, own in self.own():
            here = self.parameters[name].detach()[k]
            if own.data_ptr() != here.data_ptr():
                here.copy_(own)
        self.link()

    def first_of(self) -> dict[int, nn.Parameter]:
        """Return the first model's parameter for each stacked one, by its identity."""
        return {
            id(stacked): self._own(0, name) for name, stacked in self.parameters.items()
        }

    def slices_of(self, trained: set[int]) -> set[int]:
        """Return the identities of the models' parameters whose stack is among the trained."""
        found = set()
        for name, _, own in self.own():
            if id(self.parameters[name]) in trained:
                found.add(id(own))
        return found

    def is_linked(self) -> bool:
        """Whether the models still have the parameters that lie in the stack."""
        # Replacing one is rare; looking at the first model of all is cheap.
        modules = self.modules[0]
        return all(
            modules[place.path]._parameters.get(place.own) is not None
            for place in self.at
        )

    def layer(self, path: str, name: str) -> Tensor | None:
        """Return a stacked parameter by where it is kept; None if there is none."""
        return self.at.get(Place(path, name))


def _modules_by_path(model: nn.Module) -> dict[str, nn.Module]:
    return dict(model.named_modules())


def _places(model: nn.Module) -> dict[str, list[Place]]:
    """Return where each parameter of a model is kept, by its first name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found: dict[str, list[Place]] = {name: [] for name in names.values()}
    for path, module in model.named_modules():
        for own, parameter in module._parameters.items():
            if parameter is not None:
                found[names[id(parameter)]].append(Place(path, own))
    return found
