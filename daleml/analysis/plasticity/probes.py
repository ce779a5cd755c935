"""Running a network on probes with weights it does not have, and watching one of its activities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from daleml import modules
from daleml.analysis.weights.stored_matrices import parametrized

Weights: TypeAlias = "nn.Module | Mapping[str, Any]"
State: TypeAlias = dict[str, Tensor]


@torch.no_grad()
def activities(
    model: nn.Module,
    state: State,
    arguments: tuple[Any, ...],
    hidden: Any,
    sequence_axis: int | None,
) -> tuple[Tensor, str]:
    """Return the hidden activities, (probes, units), double precision, and what they are."""
    if callable(hidden) and not isinstance(hidden, nn.Module):
        found = require_tensor(
            "hidden", hidden(functional_call(model, state, arguments))
        )
        return _rows(found), getattr(hidden, "__name__", "a function").replace(
            "<lambda>", "a function"
        )
    watched = _weighted(model) if hidden is None else {hidden: _named(model, hidden)}
    calls: list[tuple[str, Any, Any]] = []
    handles = [
        module.register_forward_hook(
            lambda _, args, kwargs, out, name=name: calls.append(
                (name, [*args, *kwargs.values()], out)
            ),
            with_kwargs=True,
        )
        for name, module in watched.items()
    ]
    try:
        functional_call(model, state, arguments)
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        raise ValueError(
            f"`hidden` must be a module that the model calls; got {hidden!r}."
        )
    name, given, returned = calls[-1]
    reads = (
        hidden is None
        and len({called for called, *_ in calls}) > 1
        and not modules.is_recurrent(watched[name])
    )
    found = require_tensor("hidden", first_of(given if reads else returned))
    label = f"{'input' if reads else 'output'} of {name or 'the model'}"
    return _rows(last_step(found, sequence_axis)), label


def last_step(activity: Tensor, sequence_axis: int | None) -> Tensor:
    """Return the last step of a sequence, an activity of three dimensions.

    Anything else as it is.
    """
    if sequence_axis is None or activity.ndim != 3:
        return activity
    return activity.select(sequence_axis, -1)


def _rows(activity: Tensor) -> Tensor:
    return activity.reshape(len(activity), -1).double()


def first_of(returned: Any) -> Any:
    """Return what a model returns, or the first of several things.

    A recurrent one's activities, not its state.
    """
    return returned[0] if isinstance(returned, (tuple, list)) and returned else returned


def require_tensor(argument: str, value: Any) -> Tensor:
    """Return a tensor of at least one dimension, or raise."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        got = "a single number" if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(
            f"`{argument}` must give a tensor of one dimension or more; got {got}."
        )
    return value


def time_axis(model: nn.Module) -> int | None:
    """Return which dimension of a sequence is time; None if no module takes sequences."""
    for module in model.modules():
        batch_first = (
            getattr(module, "batch_first", None)
            if modules.is_recurrent(module)
            else None
        )
        if batch_first is not None:
            return int(bool(batch_first))
    return None


def _weighted(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that own a matrix, by name; a recurrent one is taken whole."""
    found: dict[str, nn.Module] = {}
    whole: list[str] = []
    for name, module in model.named_modules():
        if any(not above or name.startswith(f"{above}.") for above in whole):
            continue
        if modules.is_recurrent(module):
            whole.append(name)
        if modules.is_recurrent(module) or _holds_matrix(module):
            found[name] = module
    return found


def _holds_matrix(module: nn.Module) -> bool:
    if isinstance(module, parametrize.ParametrizationList):
        return False
    own = [value.ndim for value in module.parameters(recurse=False)]
    return any(n > 1 for n in own) or any(
        getattr(module, name).ndim > 1 for name in parametrized(module)
    )


def _named(model: nn.Module, hidden: Any) -> nn.Module:
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if hidden not in modules:
        raise ValueError(
            f"`hidden` must be a function or among {', '.join(filter(None, modules))}; got"
            f" {hidden!r}."
        )
    return modules[hidden]


def matching_state(model: nn.Module, argument: str, given: Weights) -> State:
    """Return a state for the model.

    Copies of its parameters as given, and of its buffers where they are.
    """
    if not isinstance(given, (nn.Module, Mapping)):
        raise TypeError(
            f"`{argument}` must be a state dict or a module; got {type(given).__name__}."
        )
    state = given.state_dict() if isinstance(given, nn.Module) else given
    wanted = dict(model.named_parameters())
    for name, value in wanted.items():
        if name not in state:
            raise ValueError(
                f"`{argument}` must hold every parameter of the model; got none by the name"
                f" {name}."
            )
        if tuple(state[name].shape) != tuple(value.shape):
            raise ValueError(
                f"`{argument}` must have {name} of shape {tuple(value.shape)}; got"
                f" {tuple(state[name].shape)}."
            )
    buffers = {name: state.get(name, value) for name, value in model.named_buffers()}
    values = {name: state[name].to(value) for name, value in wanted.items()} | buffers
    return {name: value.detach().clone() for name, value in values.items()}


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back what the modules of a model hold as attributes.

    Their mode, and what a forward pass may leave.
    """
    held = [(module, dict(vars(module))) for module in model.modules()]
    try:
        yield
    finally:
        for module, attributes in held:
            vars(module).clear()
            vars(module).update(attributes)
