"""One writer per checkpoint folder: a lock that ends with the process that holds it, however that process ends.

The lock is one on a file, held by the operating system. Locks of ``fcntl.lockf`` belong to a process and are not
inherited by its children, so that workers of a killed run hold nothing. A file that a killed run leaves behind is no
lock. On network file systems the lock is as good as their server's.
"""

from __future__ import annotations

import os
import re
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daleml._saving.errors import CheckpointError

NAME = ".writer.lock"
_NAME = re.compile(rb"[0-9a-f]{32}")
_HELD: set[tuple[int, Path]] = set()
"""Folders that this process writes to, with its number: a second lock of the same process would be given."""


@contextmanager
def only_writer(folder: Path) -> Iterator[str]:
    """Hold the lock of a folder, and yield a name for the run: what a killed run left in its lock, or a new one.

    Raises:
        CheckpointError: If another run holds it.
    """
    place = os.getpid(), folder.resolve()
    if place in _HELD:
        raise _taken(folder)
    handle = _locked_file(folder)
    _HELD.add(place)
    try:
        yield _name(handle)
    finally:
        _HELD.discard(place)
        if handle is not None:
            _release(folder / NAME, handle)


def _locked_file(folder: Path) -> int | None:
    """Return an open file that is locked; None where there are no locks, which is said."""
    path = folder / NAME
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise CheckpointError(f"`{folder}` must be a folder to write checkpoints to; {error.strerror}.") from None
        try:
            _lock(handle)
        except (BlockingIOError, PermissionError):
            os.close(handle)
            raise _taken(folder) from None
        except OSError as error:
            warnings.warn(
                f"`{folder}` is on a file system without locks ({error.strerror}): see to it that no other run writes "
                "its checkpoint there.",
                stacklevel=4,
            )
            os.close(handle)
            return None
        if _is_open_file(path, handle):
            return handle
        os.close(handle)  # its last owner removed it between the two steps


def _name(handle: int | None) -> str:
    """Return what stands in the lock's file; a new name is written there, where it outlives a kill."""
    if handle is not None:
        left = os.pread(handle, 32, 0) if hasattr(os, "pread") else b""
        if _NAME.fullmatch(left):
            return left.decode()
    name = uuid.uuid4().hex  # draws from no generator that a run draws from
    if handle is not None:
        os.write(handle, name.encode())
    return name


def _is_open_file(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _release(path: Path, handle: int) -> None:
    if os.name == "posix":
        path.unlink(missing_ok=True)  # while the lock is held: whoever waits for it looks whether it is still there
        os.close(handle)
        return
    os.close(handle)  # Windows removes no open file
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        return  # the next run has it already


if os.name == "posix":
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

else:
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]


def _taken(folder: Path) -> CheckpointError:
    return CheckpointError(
        f"`{folder}` must have one writer, and another run writes its checkpoint there: wait for it, or choose another "
        "folder."
    )
