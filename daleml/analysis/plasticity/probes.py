"""Running a network on probes, with weights that it need not have, and watching its activities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from daleml import modules
from daleml.analysis.weights.stored_matrices import parametrized

ModelWeights: TypeAlias = "nn.Module | Mapping[str, Any]"
"""The weights of a network: a module like it, or a state dict."""

ModelState: TypeAlias = dict[str, Tensor]
"""Parameters and buffers of a network, by name."""


class _Call(NamedTuple):
    """A call of a module: its name, what it was given, and what it returned."""

    name: str
    given: list[Any]
    returned: Any


@torch.no_grad()
def activities(
    model: nn.Module,
    state: ModelState,
    arguments: tuple[Any, ...],
    hidden: Any,
    sequence_axis: int | None,
) -> tuple[Tensor, str]:
    """Return the hidden activities, (probes, units), double precision, and what they are.

    Args:
        model: The network.
        state: The parameters and buffers to run it with.
        arguments: What it is called with.
        hidden: A function of what the model returns, or the name of a module, or None for what
            the last module with weights reads.
        sequence_axis: Which dimension of an activity is time, if one is.

    Raises:
        TypeError: If the activity is no tensor.
        ValueError: If ``hidden`` names no module that the model calls.
    """
    if callable(hidden) and not isinstance(hidden, nn.Module):
        # The model keeps its own weights: `functional_call` lends it others.
        found = hidden(functional_call(model, state, arguments))
        label = getattr(hidden, "__name__", "a function")
        label = label.replace("<lambda>", "a function")
        return _rows(require_tensor("hidden", found)), label
    watched = _weighted(model) if hidden is None else {hidden: _named(model, hidden)}
    calls = _calls_of(watched, partial(functional_call, model, state, arguments))
    if not calls:
        raise ValueError(
            f"`hidden` must be a module that the model calls; got {hidden!r}."
        )
    last = calls[-1]
    # The readout's input is hidden; of a single layer, or a recurrent one, the output is.
    several = len({call.name for call in calls}) > 1
    is_readout = several and not modules.is_recurrent(watched[last.name])
    if hidden is None and is_readout:
        kind, found = "input", first_of(last.given)
    else:
        kind, found = "output", first_of(last.returned)
    activity = last_step(require_tensor("hidden", found), sequence_axis)
    return _rows(activity), f"{kind} of {last.name or 'the model'}"


def _calls_of(watched: Mapping[str, nn.Module], run: Any) -> list[_Call]:
    """Return the calls of some modules while ``run`` is called, in order."""
    calls: list[_Call] = []

    def note(
        name: str, _: nn.Module, args: Sequence[Any], kwargs: Any, out: Any
    ) -> None:
        calls.append(_Call(name, [*args, *kwargs.values()], out))

    # A hook sees what a module was given, which its output alone does not tell.
    handles = []
    for name, module in watched.items():
        hook = partial(note, name)
        handles.append(module.register_forward_hook(hook, with_kwargs=True))
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return calls


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

    A recurrent model returns its activities before its state.
    """
    if isinstance(returned, (tuple, list)) and returned:
        return returned[0]
    return returned


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
    for module in filter(modules.is_recurrent, model.modules()):
        batch_first = getattr(module, "batch_first", None)
        if batch_first is not None:
            return int(bool(batch_first))
    return None


def _weighted(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that own a matrix, by name; a recurrent one is taken whole."""
    found: dict[str, nn.Module] = {}
    whole: list[str] = []
    for name, module in model.named_modules():
        if any(_is_inside(name, above) for above in whole):
            continue
        if modules.is_recurrent(module):
            whole.append(name)
            found[name] = module
        elif _holds_matrix(module):
            found[name] = module
    return found


def _is_inside(name: str, above: str) -> bool:
    """Return whether a module's name is that of a part of another one."""
    return not above or name.startswith(f"{above}.")


def _holds_matrix(module: nn.Module) -> bool:
    if isinstance(module, parametrize.ParametrizationList):
        return False
    own = list(module.parameters(recurse=False))
    own += [getattr(module, name) for name in parametrized(module)]
    return any(value.ndim > 1 for value in own)


def _named(model: nn.Module, hidden: Any) -> nn.Module:
    """Return a module by its name."""
    inside: dict[str, nn.Module] = dict(model.named_modules())
    if hidden not in inside:
        raise ValueError(
            f"`hidden` must be a function or among {', '.join(filter(None, inside))}; got"
            f" {hidden!r}."
        )
    return inside[hidden]


def matching_state(model: nn.Module, argument: str, given: ModelWeights) -> ModelState:
    """Return a state for the model.

    It holds copies of its parameters as given, and of its buffers where they are given.

    Raises:
        TypeError: If it is given neither a module nor a state dict.
        ValueError: If a parameter is missing, or of another shape.
    """
    if not isinstance(given, (nn.Module, Mapping)):
        raise TypeError(
            f"`{argument}` must be a state dict or a module; got {type(given).__name__}."
        )
    state = given.state_dict() if isinstance(given, nn.Module) else given
    matching: ModelState = {}
    for name, value in model.named_parameters():
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
        # Copies, for what was given may go on learning.
        matching[name] = state[name].to(value).detach().clone()
    for name, buffer in model.named_buffers():
        matching[name] = state.get(name, buffer).detach().clone()
    return matching


def chosen_parameters(
    model: nn.Module, parameter: str | Sequence[str] | None
) -> tuple[str, ...]:
    """Return the names of the weights that were asked for, or of those that matter most."""
    known = dict(model.named_parameters())
    if parameter is None:
        matrices = []
        for name, value in known.items():
            if value.ndim > 1 and value.is_floating_point():
                matrices.append(name)
        if not matrices:
            raise ValueError(
                "`model` must hold a weight of two dimensions or more; got none."
            )
        recurrent = _that_read_a_state(model).intersection(matrices)
        return tuple(filter(recurrent.__contains__, matrices)) or tuple(matrices)
    chosen = (parameter,) if isinstance(parameter, str) else tuple(parameter)
    for name in chosen or ("no name",):
        if name not in known:
            raise ValueError(
                f"`parameter` must be among {', '.join(known)}; got {name!r}."
            )
    return chosen


def _that_read_a_state(model: nn.Module) -> set[str]:
    """Return the names of the weights that read a state.

    A layer says which do. In a layer of nobody's they are named as torch's.
    """
    found = set()
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        known = modules.known_weights(module, path)
        states: set[str] = set()
        for one in known:
            if one.recurrent:
                states.update((one.name, *one.parts))
        for name, _ in module.named_parameters(recurse=False):
            named = not known and name.startswith("weight_hh")
            if named or modules.plain_name(module, name) in states:
                found.add(prefix + name)
    return found


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back what the modules of a model hold as attributes when the block ends.

    Among them are their mode, and what a forward pass may leave.
    """
    # A module may keep a count, or its last activity, as a plain attribute.
    held = [(module, dict(vars(module))) for module in model.modules()]
    try:
        yield
    finally:
        for module, attributes in held:
            vars(module).clear()
            vars(module).update(attributes)
