"""The loop's part of a checkpoint: its steps, whether it stopped, the states of callbacks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from daleml._saving.encoding import Encoder
from daleml._saving.run_matching import MismatchError
from daleml._saving.saved_run import Run
from daleml._saving.typed_json import StateError, name_of

PART = "loop"
"""Its name in a checkpoint; those of earlier versions have none."""


def encode(run: Run, encoder: Encoder) -> Any:
    """Return the part as JSON.

    Raises:
        StateError: If the state of a callback cannot be kept.
    """
    states = []
    for callback in run.callbacks:
        name = name_of(type(callback))
        try:
            state = callback.state_dict()
        # A stranger's may raise anything.
        except Exception as error:
            raise StateError(
                f"`callbacks` must tell their state, to be kept in a checkpoint; state_dict of"
                f" {name} raises {type(error).__name__}: {error}."
            ) from None
        states.append([name, state])
    part = {"step": run.step, "stopped": run.stopped, "callbacks": states}
    return encoder.encode(part, PART)


def require_match(part: Any) -> None:
    """Raise unless this is such a part, or none, as of an earlier version.

    Raises:
        MismatchError: If it is not.
    """
    if part is None:
        return
    right = isinstance(part, dict)
    right = right and type(part.get("step")) is int and part["step"] >= 0
    right = right and isinstance(part.get("stopped"), bool)
    right = right and isinstance(part.get("callbacks"), list)
    if not right or not all(map(_is_state, part["callbacks"])):
        raise MismatchError("its steps or the states of its callbacks are none")


def _is_state(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)


def load(part: dict[str, Any] | None, run: Run) -> None:
    """Give the loop and its callbacks what was saved of them.

    A callback takes the state of one of its class, in the order in which they were given.
    """
    if part is None:
        return
    run.step, run.stopped = part["step"], part["stopped"]
    left = list(part["callbacks"])
    for callback in run.callbacks:
        name = name_of(type(callback))
        for i, (kind, state) in enumerate(left):
            if kind == name:
                callback.load_state_dict(state)
                del left[i]
                break


def remember(run: Run) -> Callable[[], None]:
    """Return what puts the loop and its callbacks back as they are now."""
    step, stopped = run.step, run.stopped
    states = [copy.deepcopy(callback.state_dict()) for callback in run.callbacks]

    def undo() -> None:
        run.step, run.stopped = step, stopped
        for callback, state in zip(run.callbacks, states, strict=True):
            callback.load_state_dict(state)

    return undo
