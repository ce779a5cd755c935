"""Callbacks sorted by when they are called."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from daleml._saving.typed_json import name_of
from daleml.callbacks import TrainingState

_WHEN = ("on_step", "on_epoch", "on_end")
"""The methods of a callback. What else begins with ``on_`` is refused: nobody would call it."""
Call = Callable[[TrainingState], object]


class Calls:
    """The callbacks of a run.

    Args:
        callbacks: Functions of the state, or objects with the methods of a callback.

    Attributes:
        on_step: What is called after each step.
        on_epoch: What is called after each epoch.
        on_end: What is called when training has ended.
        stateful: The callbacks whose state a checkpoint keeps.

    Raises:
        TypeError: If something is no callback.
    """

    def __init__(self, callbacks: Any) -> None:
        self.on_step: list[Call] = []
        self.on_epoch: list[Call] = []
        self.on_end: list[Call] = []
        self.stateful: list[Any] = []
        if isinstance(callbacks, str) or not isinstance(callbacks, Iterable):
            got = type(callbacks).__name__
            raise TypeError(
                f"`callbacks` must be a list of callbacks; got {got}: give [callback], or []."
            )
        for callback in callbacks:
            self._sort(callback)

    def described(self) -> str:
        """Return which callbacks have a state, for a checkpoint to compare."""
        names = []
        for callback in self.stateful:
            is_plain = dataclasses.is_dataclass(callback)
            names.append(repr(callback) if is_plain else name_of(type(callback)))
        return ", ".join(names) or "none"

    def _sort(self, callback: Any) -> None:
        if isinstance(callback, type):
            raise TypeError(
                "`callbacks` must be functions or objects; got the class"
                f" {callback.__name__}: call it first."
            )
        methods = _methods(callback)
        for name in methods:
            getattr(self, name).append(getattr(callback, name))
        if not methods:
            if not callable(callback):
                raise TypeError(
                    "`callbacks` must be functions of the state, or have one of the methods"
                    f" {', '.join(_WHEN)}; got {type(callback).__name__}."
                )
            self.on_epoch.append(callback)
        has_state = [
            callable(getattr(callback, name, None))
            for name in ("state_dict", "load_state_dict")
        ]
        if all(has_state):
            self.stateful.append(callback)
        elif any(has_state):
            raise TypeError(
                "`callbacks` must have both state_dict and load_state_dict, or none;"
                f" {type(callback).__name__} has one of them."
            )


def _methods(callback: Any) -> list[str]:
    """Return which methods of a callback an object has, or raise if one is misspelt."""
    found = []
    for name in dir(type(callback)):
        if not name.startswith("on_") or not callable(getattr(callback, name)):
            continue
        if name not in _WHEN:
            raise TypeError(
                f"`callbacks` know {', '.join(_WHEN)}; got {name} of"
                f" {type(callback).__name__}, which nothing would call."
            )
        found.append(name)
    return found
