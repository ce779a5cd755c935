"""Signals that ask a process to end, raised as exceptions so that what it started is ended too."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Windows has no SIGHUP, and others no SIGBREAK.
_ASK_TO_END = ("SIGTERM", "SIGHUP", "SIGBREAK")


class Stopped(KeyboardInterrupt):
    """Raised where a signal asks the process to end.

    It takes the way of Ctrl-C: workers are ended, and locks are given back.

    Attributes:
        signal: The signal that came.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = signal.Signals(number)


@contextmanager
def signals_raise() -> Iterator[list[signal.Signals]]:
    """Let SIGTERM and SIGHUP raise :class:`Stopped` within, as SIGINT raises KeyboardInterrupt.

    The list that is yielded gets the signal that came: code on its way may have made a plain
    KeyboardInterrupt of it.

    A second signal of the kind ends the process at once. One that the caller ignores, as
    ``nohup`` does, stays ignored. Outside the main thread, where Python handles no signals,
    nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    came: list[signal.Signals] = []

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        came.append(signal.Signals(number))
        raise Stopped(number)

    before = {}
    for name in _ASK_TO_END:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            before[number] = signal.signal(number, stop)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
