"""The place of guards on an optimiser: after its steps, whatever ends them, and in every copy of it.

A guard lies in a dictionary of the optimiser's, ``_dale_guards``. Two things read it: torch's own
step hook, so that hooks registered later see lawful weights; and a method in place of ``step``,
which projects again where the hook did not run to its end, since an exception broke the step off,
or where another hook wrote to the weights after it.
"""

from __future__ import annotations

import functools
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from daleml._signs.projection import Guard

_GUARDS, _STEPS, _SEEN, _REDUCE = (
    "_dale_guards",
    "_dale_steps",
    "_dale_seen",
    "__reduce_ex__",
)


def steppers(optimizer: Any) -> list[Any]:
    """Return an optimiser and those that it steps by, the innermost last.

    Of a wrapper, what it wraps.
    """
    found: list[Any] = []
    waiting = [optimizer]
    while waiting:
        one = waiting.pop(0)
        if any(one is known for known in found):
            continue
        found.append(one)
        waiting.extend(_held(one))
    return found


def _held(optimizer: Any) -> Iterator[Optimizer]:
    """Yield the optimisers that another one holds and shares a parameter with."""
    for value in list(vars(optimizer).values()):
        inside: Iterable[Any] = [value]
        if isinstance(value, (list, tuple)):
            inside = value
        elif isinstance(value, dict):
            inside = value.values()
        for one in inside:
            if (
                isinstance(one, Optimizer)
                and one is not optimizer
                and trained_by([one]) & trained_by([optimizer])
            ):
                yield one


def trained_by(optimizers: Sequence[Any]) -> set[int]:
    """Return the identities of all parameters that optimisers train."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    return {id(parameter) for group in groups for parameter in group["params"]}


def install(
    optimizers: Sequence[Any], model: nn.Module, steps: Sequence[str]
) -> RemovableHandle:
    """Guard a model on each of several optimisers.

    A model that is guarded there already is not guarded twice.

    Args:
        optimizers: An optimiser, and those that it steps by.
        model: The model.
        steps: The methods that end a step, of the first optimiser.

    Returns:
        A handle that removes the guard from all of them.
    """
    dictionaries = [_guards(optimizer) for optimizer in optimizers]
    handle = RemovableHandle(dictionaries[0], extra_dict=dictionaries[1:])
    guard = Guard(model)
    for key, known in dictionaries[0].items():
        if known.model is model:
            handle.id, guard = key, known
    for guards in dictionaries:
        guards[handle.id] = guard
    for i, optimizer in enumerate(optimizers):
        for name in steps if i == 0 else ("step",):
            _project_whatever_ends(optimizer, name)
    return handle


def _guards(optimizer: Any) -> OrderedDict[int, Guard]:
    """Return the guards of an optimiser, after preparing it for its first."""
    guards: OrderedDict[int, Guard] | None = optimizer.__dict__.get(_GUARDS)
    if guards is None:
        guards = OrderedDict()
        prepare(optimizer, guards)
    return guards


def prepare(optimizer: Any, guards: OrderedDict[int, Guard]) -> None:
    """Make an optimiser read its guards after each step, and hand them on to its copies."""
    optimizer.__dict__[_GUARDS] = guards
    optimizer.__dict__[_STEPS] = ()
    optimizer.__dict__[_REDUCE] = types.MethodType(_reduce, optimizer)
    if "_optimizer_step_post_hooks" in optimizer.__dict__:  # a wrapper may lack it
        optimizer.register_step_post_hook(_after_step)


# -- projecting ------------------------------------------------------------------------------------


def _project(optimizer: Any) -> None:
    for guard in list(optimizer.__dict__[_GUARDS].values()):
        guard.project_()


def _after_step(
    optimizer: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]
) -> None:
    """Project, as torch's step hook, and remember how often the weights have been written to."""
    _project(optimizer)
    optimizer.__dict__[_SEEN] = _writes(optimizer)


def _writes(optimizer: Any) -> int:
    parameters: Iterator[Tensor] = (
        p for group in optimizer.param_groups for p in group["params"]
    )
    return sum(
        parameter._version for parameter in parameters if not parameter.is_inference()
    )


def _project_whatever_ends(optimizer: Any, name: str) -> None:
    """Put a method in place of one that ends a step, which leaves the weights lawful however it ends."""
    if name in optimizer.__dict__[_STEPS]:
        return
    bound = getattr(optimizer, name)
    inner = getattr(bound, "__func__", None)
    inner = inner if getattr(bound, "__self__", None) is optimizer else None

    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.__dict__[_SEEN] = None
        try:
            return (
                bound(*args, **kwargs)
                if inner is None
                else inner(self, *args, **kwargs)
            )
        finally:
            seen = self.__dict__[_SEEN]
            if seen is None or seen != _writes(self):
                _project(self)

    functools.update_wrapper(guarded, inner or bound)
    # A bound method, of which torch's schedulers take the function when they count steps.
    optimizer.__dict__[name] = types.MethodType(guarded, optimizer)
    optimizer.__dict__[_STEPS] += (name,)


# -- copies ----------------------------------------------------------------------------------------


def _reduce(optimizer: Any, protocol: int) -> Any:
    """Let ``copy.deepcopy`` and ``pickle`` take the guards along, with the models that they guard."""
    kind: Any = type(optimizer)
    reduced: Any = kind.__reduce_ex__(optimizer, protocol)
    plain = (
        isinstance(reduced, tuple)
        and len(reduced) >= 3
        and isinstance(reduced[2], dict)
    )
    guards, steps = optimizer.__dict__[_GUARDS], optimizer.__dict__[_STEPS]
    if not guards:
        return (
            reduced
            if not plain
            else (*reduced[:2], _without_ours(reduced[2], steps), *reduced[3:])
        )
    if not plain:
        warnings.warn(
            f"A copy of {type(optimizer).__name__} is not guarded, which is copied in a way"
            " of its own: call `enforce` on the copy.",
            stacklevel=3,
        )
        return reduced
    state = {"own": _without_ours(reduced[2], steps), "guards": guards, "steps": steps}
    return _blank, (reduced[0], reduced[1]), state


def _without_ours(state: dict[str, Any], steps: Sequence[str]) -> dict[str, Any]:
    ours = {_GUARDS, _STEPS, _SEEN, _REDUCE, *steps}
    return {key: value for key, value in state.items() if key not in ours}


def _blank(make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Make an optimiser without a state, which sets its guards up when it gets one."""
    optimizer = make(*arguments)
    optimizer.__dict__["__setstate__"] = types.MethodType(_revive, optimizer)
    return optimizer


def _revive(optimizer: Any, state: dict[str, Any]) -> None:
    del optimizer.__dict__["__setstate__"]
    if hasattr(type(optimizer), "__setstate__"):
        optimizer.__setstate__(state["own"])
    else:
        optimizer.__dict__.update(state["own"])
    guards = state["guards"]
    for key, guard in guards.items():
        if isinstance(guard, nn.Module):
            # Pickles of earlier versions hold the models themselves.
            guards[key] = Guard(guard)
    prepare(optimizer, guards)
    for name in state["steps"]:
        _project_whatever_ends(optimizer, name)
