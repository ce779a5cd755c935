"""The lock of a checkpoint folder, which makes a run its only writer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from daleml._saving.checkpoint_error import CheckpointError
from daleml._support import locks

_HELD: set[int] = set()
"""The open files that hold locks of this process."""


@contextlib.contextmanager
def checkpoint_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which ends with this process, however it ends.

    Raises:
        CheckpointError: If another run holds it, or the folder cannot be written to.
    """
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(locks.only_writer(folder, "checkpoint"))
        except locks.InUseError as error:
            raise CheckpointError(
                f"another run writes its checkpoint there: {error}"
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"`{folder}` must be a folder to write checkpoints to; {error.strerror}."
            ) from None
        _HELD.add(handle)
        stack.callback(_HELD.discard, handle)
        yield


def _let_go() -> None:
    """Close, in a child process, what it inherited.

    Workers that outlive a killed run must not hold its lock.
    """
    while _HELD:
        with contextlib.suppress(OSError):
            os.close(_HELD.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
