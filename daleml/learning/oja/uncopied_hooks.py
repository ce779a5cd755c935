"""Hooks that a copy of the model does not inherit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class UncopiedHook:
    """A hook that calls a function, and of which a copy or a pickle does nothing.

    A model is copied and saved with its hooks. A copy that went on reporting to what watches
    the original would mix two models' activities, and a bound method would drag the watcher
    along.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        return self._call(*args)

    # Called by `copy` and by `pickle` alike.
    def __reduce__(self) -> tuple[type[SilentHook], tuple[()]]:
        return SilentHook, ()


class SilentHook:
    """A hook that does nothing: what is left of another in a copy."""

    def __call__(self, *args: Any) -> None:
        """Do nothing."""
