"""A look whether a process lives, and a watch that ends this one when its parent is gone.

This file uses the standard library only, and workers run it as a program before they import
anything of daleml: to import torch takes seconds, in which a worker would not notice that its
parent was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

WATCH = "daleml's watch"
"""The name under which workers run this file.

The globals ``PARENT`` and ``BY_SYSTEM`` are then :func:`end_with`'s.
"""
_PR_SET_PDEATHSIG = 1
"""The option of Linux's prctl(2) that asks for a signal at the parent's death."""
_EVERY = 0.5
"""The watch looks at the parent every so many seconds."""


def end_with(parent: int, by_system: bool = False) -> None:
    """End this process soon after ``parent``, which started it, has ended, however it ended.

    A killed process cannot tell its workers to stop. Each of them calls this first.

    Args:
        parent: The process that started this one.
        by_system: Whether Linux may be asked to do it, at once, and whatever this process is
            doing. It goes by the *thread* that started this process, so that has to be one that
            lives as long as its process: the main one.
    """
    # Ctrl-C reaches workers too; the parent ends them, without a word.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if by_system and sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if not _is_parent(parent):
        os._exit(1)
    threading.Thread(
        target=_watch, args=(parent,), name="daleml-watch", daemon=True
    ).start()


def _watch(parent: int) -> None:
    pause = threading.Event()
    while _is_parent(parent):
        pause.wait(_EVERY)
    # At once: nobody is left who would read a result, or join a thread.
    os._exit(1)


if sys.platform == "win32":
    import ctypes

    _SYNCHRONIZE, _STILL_RUNNING = 0x00100000, 0x00000102

    def is_alive(process: int) -> bool:
        """Whether a process of this machine lives."""
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(_SYNCHRONIZE, False, process)
        if not handle:
            return False
        running = kernel.WaitForSingleObject(handle, 0) == _STILL_RUNNING
        kernel.CloseHandle(handle)
        return bool(running)

    # Windows keeps the number of a parent that is gone.
    _is_parent = is_alive

else:

    def is_alive(process: int) -> bool:
        """Whether a process of this machine lives."""
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        except OverflowError:
            # Too large for the number of a process.
            return False
        except PermissionError:
            # Somebody else's process.
            return True
        return True

    def _is_parent(parent: int) -> bool:
        # An orphan has another.
        return os.getppid() == parent


if __name__ == WATCH:
    end_with(globals()["PARENT"], globals()["BY_SYSTEM"])
