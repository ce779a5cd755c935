"""Whether a process lives, and a watch that ends this one when the one that started it is gone.

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
_PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)
_EVERY = 0.5  # seconds between two looks at the parent


def end_with(parent: int, by_system: bool = False) -> None:
    """End this process soon after ``parent``, which started it, has ended: however that came about.

    A killed process cannot tell its workers to stop. Each of them calls this first.

    Args:
        parent: The process that started this one.
        by_system: Whether Linux may be asked to do it, at once, and whatever this process is
            doing. It goes by the *thread* that started this process, so that has to be one that
            lives as long as its process: the main one.
    """
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches workers too; the parent ends them, without a word
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
    os._exit(1)  # at once: nobody is left who would read a result, or join a thread


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

    _is_parent = is_alive  # Windows keeps the number of a parent that is gone

else:

    def is_alive(process: int) -> bool:
        """Whether a process of this machine lives."""
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        except OverflowError:  # too large for a process's number
            return False
        except PermissionError:  # somebody else's
            return True
        return True

    def _is_parent(parent: int) -> bool:
        return os.getppid() == parent  # an orphan has another


if __name__ == WATCH:
    end_with(globals()["PARENT"], globals()["BY_SYSTEM"])
