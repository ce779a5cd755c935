"""A training run, and the content of a checkpoint that was read and not yet put back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from daleml._saving.encoding import Encoder
from daleml._saving.typed_json import StateError, name_of


@dataclass
class Run:
    """What a training run must get back to go on as if it had not stopped.

    Attributes:
        model: The model.
        optimizer: Its optimiser.
        scheduler: The scheduler of its learning rates, or None.
        generators: The random generators that it draws from, beside the global ones.
        settings: What else it was given, as plain values: another value on resuming is said.
        name: Which run it is: files of other runs are left alone.
        given: How optimiser, scheduler, and the rest were set when the run began; None before.
        files: The tensor files that its last index named.
        callbacks: Its callbacks that have a state.
        step: How many steps its optimiser has taken.
        stopped: Whether a callback has stopped it.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(2, 1)
        >>> run = Run(model, torch.optim.SGD(model.parameters(), 0.1))
        >>> run.parameter_names()
        [['weight', 'bias']]
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler | None = None
    generators: list[torch.Generator] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    given: dict[str, Any] | None = None
    files: tuple[str, ...] = ()
    callbacks: list[Any] = field(default_factory=list)
    step: int = 0
    stopped: bool = False

    def classes(self) -> list[str | None]:
        """Return the full class names of optimiser and scheduler."""
        names: list[str | None] = []
        for part in (self.optimizer, self.scheduler):
            names.append(None if part is None else name_of(type(part)))
        return names

    def parameter_names(self) -> list[list[str | None]]:
        """Return what the model calls the parameters of each group; None for those not its own."""
        names = {
            id(parameter): name for name, parameter in self.model.named_parameters()
        }
        found = []
        for group in self.optimizer.param_groups:
            found.append([names.get(id(parameter)) for parameter in group["params"]])
        return found


@dataclass
class Saved:
    """The content of a checkpoint.

    Attributes:
        random: The states of random generators, by name.
        pending: Generators within the state of optimiser and scheduler, and the states they are
            to have.
        trees: The JSON of optimiser and scheduler, to compare with what they say once they have
            loaded it.
        loop: Steps, and the states of callbacks; None in checkpoints of earlier versions.
    """

    epoch: int
    history: list[dict[str, Any]]
    classes: list[str | None]
    model: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: Any
    random: dict[str, Tensor]
    python_random: Any
    name: str = ""
    pending: list[tuple[Any, Any]] = field(default_factory=list)
    given: dict[str, Any] | None = None
    parameters: list[list[str | None]] | None = None
    trees: dict[str, Any] = field(default_factory=dict)
    loop: dict[str, Any] | None = None


def encode_states(run: Run, encoder: Encoder) -> dict[str, Any]:
    """Return the states of optimiser and scheduler as JSON.

    Raises:
        StateError: If a part of them cannot be kept.
    """
    parts = {"optimizer": run.optimizer, "scheduler": run.scheduler}
    states = {}
    try:
        for name, part in parts.items():
            states[name] = encoder.encode(_state_of(name, part), name)
    except RecursionError:
        raise StateError(
            "the state of the optimiser or scheduler is nested too deeply to be kept in a"
            " checkpoint."
        ) from None
    return states


def _state_of(name: str, part: Any) -> Any:
    if part is None:
        return None
    try:
        return part.state_dict()
    # A stranger's may raise anything, and torch's does for functions without attributes.
    except Exception as error:
        raise StateError(
            f"`{name}` must tell its state, to be kept in a checkpoint; its state_dict"
            f" raises {type(error).__name__}: {error}."
        ) from None
