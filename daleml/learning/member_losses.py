"""The losses of many perturbed copies of a model, run in one batch under ``torch.func.vmap``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_UNBATCHED = ("vmap", "batching rule", "batch norm")
"""Words of the errors that torch raises where ``vmap`` cannot batch an operation."""


def losses_of_members(
    model: nn.Module,
    loss: Callable[..., Tensor],
    args: tuple[Any, ...],
    chunks: Iterable[dict[str, Tensor]],
) -> Tensor:
    """Return the loss of every member, (members,).

    All members meet the same chance: before each chunk, torch's global generator and the
    generators of all modules are set back. The model is left as it was.

    Args:
        model: The model.
        loss: Called as ``loss(model, *args)``, with a member in the model's place.
        args: What the loss is given besides the model.
        chunks: By the name of a parameter, its values in the members that run together.

    Raises:
        RuntimeError: If ``vmap`` cannot batch the model.
        TypeError: If the loss is no tensor of real numbers.
        ValueError: If the loss is more than one number.
    """
    objective = _Objective(model, loss)
    buffers = {f"model.{name}": buffer for name, buffer in model.named_buffers()}

    def loss_of_one(members: dict[str, Tensor]) -> Tensor:
        # Copies, since a member may write into its buffers.
        copies = {name: buffer.clone() for name, buffer in buffers.items()}
        value: Tensor = functional_call(objective, members | copies, args)
        return value

    # "same": all members draw the same numbers from torch's global generator.
    batched = vmap(loss_of_one, randomness="same")
    generators = module_generators(model)
    global_state = torch.get_rng_state()
    states = [generator.get_state() for generator in generators]
    found: list[Tensor] = []
    for chunk in chunks:
        torch.set_rng_state(global_state)
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        members = {f"model.{name}": values for name, values in chunk.items()}
        # A forward pass may leave tensors of `vmap` on modules, unusable outside.
        with _left_as_it_was(model), _one_sentence():
            losses = batched(members)
        if losses.ndim != 1:
            raise ValueError(
                "`loss` must return a single number; got shape"
                f" {tuple(losses.shape[1:])}."
            )
        found.append(losses)
    return torch.cat(found)


def module_generators(model: nn.Module) -> list[torch.Generator]:
    """Return the generators that modules keep under the name ``generator``."""
    found = []
    for module in model.modules():
        generator = getattr(module, "generator", None)
        if isinstance(generator, torch.Generator):
            found.append(generator)
    return found


class _Objective(nn.Module):
    """A loss of a model as one module.

    ``functional_call`` puts a member's parameters in the model's place only within a module.
    """

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, *args: Any) -> Tensor:
        found = self.loss(self.model, *args)
        if not isinstance(found, Tensor) or found.is_complex():
            got = type(found).__name__
            if isinstance(found, Tensor):
                got = f"a tensor of {found.dtype}"
            raise TypeError(f"`loss` must return a tensor of real numbers; got {got}.")
        if found.is_floating_point():
            return found
        return found.to(torch.get_default_dtype())


@contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Set every module's attributes back.

    What a forward pass under ``vmap`` leaves there is of no use outside it.
    """
    before = []
    for module in model.modules():
        registered = {kind: dict(module.__dict__[kind]) for kind in _REGISTRIES}
        before.append((module, dict(module.__dict__), registered))
    try:
        yield
    finally:
        for module, attributes, registered in before:
            module.__dict__.clear()
            module.__dict__.update(attributes)
            # The registries are filled anew and not replaced: torch shares them.
            for kind, contents in registered.items():
                module.__dict__[kind].clear()
                module.__dict__[kind].update(contents)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Say in one sentence what ``vmap`` cannot do."""
    try:
        yield
    except RuntimeError as error:
        first_line = str(error).strip().split("\n")[0]
        if not any(word in first_line.lower() for word in _UNBATCHED):
            raise
        raise RuntimeError(
            "`model` must be of operations that torch.func.vmap can batch, which batch"
            " norm in training and torch's own recurrent layers are not; it says:"
            f" {first_line}"
        ) from error
