"""Putting a run back where its checkpoint left it: whole, or not at all."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from daleml._saving import callback_states, random_states
from daleml._saving.decoding import Decoder
from daleml._saving.encoding import Encoder
from daleml._saving.generators import read_generator, write_generator
from daleml._saving.run_matching import MismatchError
from daleml._saving.saved_run import Run, Saved, encode_states
from daleml._saving.typed_json import StateError


def apply(saved: Saved, run: Run) -> None:
    """Load a checkpoint into a run; if a part of it is refused, put back what was loaded before.

    Raises:
        Exception: Whatever a part raises that refuses its state.
    """
    undo = _remember(saved, run)
    try:
        run.model.load_state_dict(saved.model)
        options = [
            set(group) & set(run.optimizer.defaults)
            for group in run.optimizer.param_groups
        ]
        run.optimizer.load_state_dict(saved.optimizer)
        if saved.parameters is not None:
            _require_options(run.optimizer, options)
        _restore_types(run.optimizer, saved.optimizer["state"])
        if run.scheduler is not None:
            run.scheduler.load_state_dict(saved.scheduler)
        callback_states.load(saved.loop, run)
        for generator, state in saved.pending:
            write_generator(generator, state)
        random_states.write(saved.random, saved.python_random, run.generators)
    # Also Ctrl-C: half of a checkpoint is worse than none.
    except BaseException:
        for step in reversed(undo):
            step()
        raise


def _require_options(optimizer: Optimizer, options: list[set[str]]) -> None:
    """Raise if a group has lost an option by reading its state.

    What an earlier version of torch had not, ``Optimizer.__setstate__`` fills in.
    """
    groups = zip(optimizer.param_groups, options, strict=True)
    for i, (group, names) in enumerate(groups):
        lost = sorted(names - set(group))
        if lost:
            raise MismatchError(f"group {i} of its optimiser has no {lost[0]}")


def _remember(saved: Saved, run: Run) -> list[Callable[[], None]]:
    """Return what puts everything back, in the order in which it was remembered."""
    undo = [_undo_model(run), _undo_optimizer(run.optimizer)]
    if run.scheduler is not None:
        undo.append(_undo_scheduler(run))
    undo.append(callback_states.remember(run))
    for generator, _ in saved.pending:
        undo.append(partial(write_generator, generator, read_generator(generator)))
    states, python_state = random_states.read_tensors(run.generators), random.getstate()
    undo.append(lambda: random_states.write(states, python_state, run.generators))
    return undo


def _undo_model(run: Run) -> Callable[[], None]:
    state = run.model.state_dict()
    before: dict[str, Tensor] = {}
    extras: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            before[name] = value.clone()
        else:
            extras[name] = value

    @torch.no_grad()
    def undo() -> None:
        for name, value in run.model.state_dict().items():
            # Not by loading: what was lawless before must come back, too.
            if name in before:
                value.copy_(before[name])
        if extras:
            run.model.load_state_dict(extras, strict=False)

    return undo


def _undo_optimizer(optimizer: Optimizer) -> Callable[[], None]:
    state, groups = optimizer.state, optimizer.param_groups
    contents = [dict(group) for group in groups]

    def undo() -> None:
        for group, content in zip(groups, contents, strict=True):
            group.clear()
            group.update(content)
        optimizer.state, optimizer.param_groups = state, groups

    return undo


def _undo_scheduler(run: Run) -> Callable[[], None]:
    scheduler = run.scheduler
    assert scheduler is not None
    encoder = Encoder()
    tree = encoder.encode(scheduler.state_dict(), "scheduler")
    tensors = {name: tensor.clone() for name, tensor in encoder.tensors.items()}
    decoder = Decoder(tensors, encoder.functions, encoder.generators)
    before, names = decoder.decode(tree, "scheduler"), set(vars(scheduler))

    def undo() -> None:
        scheduler.load_state_dict(before)
        # What the refused state brought, and the scheduler had not.
        for name in set(vars(scheduler)) - names:
            delattr(scheduler, name)

    return undo


def _restore_types(optimizer: Optimizer, saved: dict[Any, Any]) -> None:
    """Give the state the types and precisions it was saved with.

    torch casts it to the parameter's dtype and makes ordinary dictionaries of all mappings, and
    of a string what `str` says of a generator (``Optimizer.load_state_dict``).
    """
    parameters: list[Tensor] = []
    for group in optimizer.param_groups:
        parameters += group["params"]
    for key, values in saved.items():
        if type(key) is not int or not isinstance(values, dict):
            continue
        state = optimizer.state.get(parameters[key])
        if not isinstance(state, dict):
            continue
        for name, value in values.items():
            if name not in state or _is_as_saved(state[name], value):
                continue
            state[name] = value
            if isinstance(value, Tensor):
                state[name] = value.to(parameters[key].device)


def _is_as_saved(loaded: Any, saved: Any) -> bool:
    if isinstance(saved, Tensor):
        return isinstance(loaded, Tensor) and loaded.dtype == saved.dtype
    if saved is None:
        return True
    return type(saved) is type(loaded) and isinstance(saved, (bool, int, float))


def tell_what_is_lost(saved: Saved, run: Run) -> None:
    """Warn if optimiser or scheduler do not say now what was saved of them."""
    if not saved.trees:
        return
    try:
        trees = encode_states(run, Encoder())
    except StateError as error:
        warnings.warn(
            f"`checkpoint` does not bring everything back: {error}", stacklevel=4
        )
        return
    for part, tree in trees.items():
        lost = _difference(saved.trees[part], tree, part)
        if lost:
            warnings.warn(
                f"`checkpoint` does not bring `{lost}` back: load_state_dict of"
                f" {type(getattr(run, part)).__name__} leaves it different from what was"
                " saved.",
                stacklevel=4,
            )


def _difference(saved: Any, loaded: Any, path: str) -> str:
    """Return the path of the first value that differs; empty if none does."""
    if isinstance(saved, dict) and isinstance(loaded, dict):
        for key in saved:
            # Where a tensor lies, and whether it learns, may differ.
            if key in ("device", "parameter"):
                continue
            if key not in loaded:
                return f"{path}.{key}"
            found = _difference(saved[key], loaded[key], f"{path}.{key}")
            if found:
                return found
        return ""
    both_lists = isinstance(saved, list) and isinstance(loaded, list)
    if both_lists and len(saved) == len(loaded):
        for i, (one, other) in enumerate(zip(saved, loaded, strict=True)):
            found = _difference(one, other, f"{path}.{i}")
            if found:
                return found
        return ""
    return "" if saved == loaded else path
