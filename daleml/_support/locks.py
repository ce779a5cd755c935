"""Locks that make a process the only writer of a folder; a killed one gives its lock back by dying.

The lock belongs to an open file, so the operating system releases it however the process ends.
The file itself, ``.daleml-lock``, is removed by whoever held the lock; one that a killed
process left behind hinders nobody.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NAME = ".daleml-lock"
"""The file whose lock guards its folder."""

# What file systems without locks answer: there, nothing is guarded, and nothing is refused either.
_WITHOUT_LOCKS = {
    errno.ENOLCK,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EINVAL,
}


class InUseError(ValueError):
    """Raised where another process, or another thread, writes into the same folder."""


class Hold(NamedTuple):
    """What came of trying to hold a lock.

    Attributes:
        held: Whether it is held now.
        left_by: The process that held it before and was killed; empty if there was none.
    """

    held: bool
    left_by: str


@contextlib.contextmanager
def only_writer(folder: Path, argument: str = "folder") -> Iterator[int]:
    """Be the only one who writes into a folder, for as long as the block lasts.

    Args:
        folder: The folder; it must exist.
        argument: What the caller calls it, for the error.

    Yields:
        The open file that holds the lock: a process that inherits it holds the lock too.

    Raises:
        InUseError: If somebody else does.
        OSError: If the folder cannot be written to.
    """
    handle = _open_locked(folder / NAME, folder, argument)
    try:
        yield handle
    finally:
        _release(handle, folder / NAME)


@contextlib.contextmanager
def hold(path: Path) -> Iterator[Hold]:
    """Hold the lock of a file for as long as the block lasts, if nobody else holds it.

    Args:
        path: The file; it is made, and removed at the end.

    Yields:
        Whether the block holds it, and what the holder before left behind.

    Raises:
        OSError: If the file cannot be made.
    """
    handle, written = _try_open_locked(path)
    if handle is None:
        yield Hold(False, "")
        return
    try:
        yield Hold(True, written)
    finally:
        _release(handle, path)


def _open_locked(path: Path, folder: Path, argument: str) -> int:
    handle, holder = _try_open_locked(path)
    if handle is None:
        raise InUseError(
            f"`{argument}` must be a folder into which nobody else writes;"
            f" `{folder}` is in use by {holder}. Wait for it, or name"
            " another folder."
        )
    return handle


def _try_open_locked(path: Path) -> tuple[int | None, str]:
    """Return the open file that holds the lock, and what a killed holder left in it.

    Where somebody else holds it, None and who that is.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(handle):
                holder = _holder(handle)
                os.close(handle)
                return None, holder
            # Another process may have removed the file between the two calls: then its lock
            # guards nothing.
            if _is_at(handle, path):
                left = os.read(handle, 200).decode("utf-8", "replace")
                os.ftruncate(handle, 0)
                os.lseek(handle, 0, os.SEEK_SET)
                os.write(handle, f"process {os.getpid()} on {platform.node()}".encode())
                return handle, left
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(handle)
            raise
        os.close(handle)


def _release(handle: int, path: Path) -> None:
    # Removed while it is locked, so that nobody can hold a lock on a file that is gone. Windows
    # removes no open file.
    if sys.platform != "win32" and _is_at(handle, path):
        with contextlib.suppress(OSError):
            path.unlink()
    os.close(handle)
    if sys.platform == "win32":
        with contextlib.suppress(OSError):
            path.unlink()


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _holder(handle: int) -> str:
    """Return who holds a lock, as it wrote that into the file."""
    try:
        text = os.read(handle, 200).decode("utf-8", "replace")
    except OSError:
        # Windows lets nobody read what is locked.
        text = ""
    if not text.startswith("process "):
        return "another process"
    return text


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                return False
            if error.errno not in _WITHOUT_LOCKS:
                raise
        return True
