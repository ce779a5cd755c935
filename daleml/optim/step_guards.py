"""The place of guards on an optimiser: after its steps, whatever ends them, and in its copies.

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

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from daleml._signs import scaled_learning
from daleml._signs.projection import Guard
from daleml._support.sharded_tensors import local

# What a guard writes into the ``__dict__`` of an optimiser.
_GUARDS = "_dale_guards"
"""The guards, by the number of the handle that removes each."""
_STEPS = "_dale_steps"
"""The names of the methods that are replaced."""
_SEEN = "_dale_seen"
"""How often the weights had been written to when they were projected last; None before that."""
_BEFORE = "_dale_before"
"""The weights that learn by factors as they were before a step; none between steps."""
_REDUCE = "__reduce_ex__"
"""The method by which ``copy.deepcopy`` and ``pickle`` take an object apart."""


def steppers(optimizer: Any) -> list[Any]:
    """Return an optimiser and those that it steps by, as a wrapper does; the innermost last."""
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
            if not isinstance(one, Optimizer) or one is optimizer:
                continue
            if trained_by([one]) & trained_by([optimizer]):
                yield one


def trained_by(optimizers: Sequence[Any]) -> set[int]:
    """Return the identities of all parameters that optimisers train."""
    found: set[int] = set()
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            found.update(map(id, group["params"]))
    return found


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
    for name in steps:
        _project_whatever_ends(optimizers[0], name)
    for inner in optimizers[1:]:
        _project_whatever_ends(inner, "step")
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
    # A wrapper that does not call `Optimizer.__init__` lacks them.
    if "_optimizer_step_post_hooks" in optimizer.__dict__:
        optimizer.register_step_post_hook(_after_step)


# -- projecting ------------------------------------------------------------------------------------


def _remember(optimizer: Any) -> None:
    """Keep the weights that learn by factors, before a step changes them."""
    trained: set[int] | None = None
    found = []
    for guard in list(optimizer.__dict__[_GUARDS].values()):
        if not guard.has_scaled():
            continue
        # A wrapper leaves it to the optimiser that it steps by.
        if trained is None:
            wraps = next(_held(optimizer), None) is not None
            trained = set() if wraps else trained_by([optimizer])
        found += guard.remember(trained)
    optimizer.__dict__[_BEFORE] = found


def _scale(optimizer: Any) -> None:
    """Scale what a step has changed of the weights that learn by factors, once."""
    for one in optimizer.__dict__.pop(_BEFORE, ()):
        scaled_learning.scale_(one, multiplied=_multiplies(optimizer, one.weight))


def _multiplies(optimizer: Any, weight: Any) -> bool:
    """Whether an optimiser changes a weight in proportion to itself, as EG does."""
    asked = getattr(optimizer, "_multiplies", None)
    if asked is None:
        return False
    for group in optimizer.param_groups:
        if any(_holds(parameter, weight) for parameter in group["params"]):
            return bool(asked(group))
    return False


def _holds(parameter: Any, weight: Any) -> bool:
    """Whether a weight is a parameter, or a slice of what several models share."""
    if weight is parameter:
        return True
    begin, memory = local(weight).data_ptr(), local(parameter).untyped_storage()
    first = memory.data_ptr()
    return bool(weight.ndim < parameter.ndim and 0 <= begin - first < memory.nbytes())


def _project(optimizer: Any) -> None:
    _scale(optimizer)
    for guard in list(optimizer.__dict__[_GUARDS].values()):
        guard.project_()


def _after_step(
    optimizer: Any, _args: tuple[Any, ...], _kwargs: dict[str, Any]
) -> None:
    """Project, as torch's step hook, and remember how often the weights have been written to."""
    _project(optimizer)
    optimizer.__dict__[_SEEN] = _writes(optimizer)


def _writes(optimizer: Any) -> int:
    """Return how many writes torch has counted, over all parameters of an optimiser.

    It counts none into tensors made in inference mode.
    """
    total = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not parameter.is_inference():
                total += parameter._version
    return total


def _project_whatever_ends(optimizer: Any, name: str) -> None:
    """Replace a method that ends a step by one that leaves lawful weights, however it ends."""
    if name in optimizer.__dict__[_STEPS]:
        return
    bound = getattr(optimizer, name)
    # The plain function of a method, which takes the optimiser: so a copy calls it with itself.
    inner = None
    if getattr(bound, "__self__", None) is optimizer:
        inner = getattr(bound, "__func__", None)

    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.__dict__[_SEEN] = None
        if name == "step":
            _remember(self)
        try:
            if inner is None:
                return bound(*args, **kwargs)
            return inner(self, *args, **kwargs)
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
    """Let ``copy.deepcopy`` and ``pickle`` take the guards along, with their models."""
    kind: Any = type(optimizer)
    reduced: Any = kind.__reduce_ex__(optimizer, protocol)
    # (how to make it, from what, its state, ...), as most classes are reduced
    is_plain = isinstance(reduced, tuple) and len(reduced) >= 3
    is_plain = is_plain and isinstance(reduced[2], dict)
    guards = optimizer.__dict__[_GUARDS]
    steps = optimizer.__dict__[_STEPS]
    if not guards and is_plain:
        return (*reduced[:2], _without_ours(reduced[2], steps), *reduced[3:])
    if not guards:
        return reduced
    if not is_plain:
        warnings.warn(
            f"A copy of {type(optimizer).__name__} is not guarded, which is copied in a way"
            " of its own: call `enforce` on the copy.",
            stacklevel=3,
        )
        return reduced
    state = {"own": _without_ours(reduced[2], steps), "guards": guards, "steps": steps}
    return _blank, (reduced[0], reduced[1]), state


def _without_ours(state: dict[str, Any], steps: Sequence[str]) -> dict[str, Any]:
    ours = {_GUARDS, _STEPS, _SEEN, _BEFORE, _REDUCE, *steps}
    return {key: value for key, value in state.items() if key not in ours}


def _blank(make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Make an optimiser without a state, which sets its guards up when it gets one."""
    optimizer = make(*arguments)
    optimizer.__dict__["__setstate__"] = types.MethodType(_revive, optimizer)
    return optimizer


def _revive(optimizer: Any, state: dict[str, Any]) -> None:
    """Set the state of a copy, and its guards."""
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
