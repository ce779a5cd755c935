"""Worker processes one by one: where one is killed, only the call that it was making is lost.

A pool of processes breaks as a whole when one of them is killed, and nobody knows which call
was to blame. Here each process is a pool of its own.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from daleml._support import processes, workers

# One process per core is what keeps the cores busy: their own threads would only get in the way.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
)


class WorkerSlots:
    """Processes on this machine that make one call each, and end with this process.

    Args:
        count: How many calls may be made at once.
    """

    def __init__(self, count: int) -> None:
        self._free: list[Any] = [None] * count
        self._busy: dict[Future[Any], Any] = {}

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Begin a call; there must be a slot that is free.

        Args:
            function: What to call.
            *arguments: What it is given.
        """
        executor = self._free.pop() or _one_process()
        future: Future[Any] = executor.submit(function, *arguments)
        self._busy[future] = executor
        return future

    def release(self, future: Future[Any]) -> None:
        """Give back the slot of a call that has ended.

        Args:
            future: The call.
        """
        executor = self._busy.pop(future)
        if not future.cancelled() and future.exception() is not None:
            # Its process was killed, most likely: the next call gets another.
            executor.shutdown(wait=True, kill_workers=True)
            executor = None
        self._free.append(executor)

    def close(self) -> None:
        """End all processes, whatever they are doing."""
        executors = [*self._busy.values(), *filter(None, self._free)]
        if self._busy:
            workers.hush_managers()
        for executor in executors:
            with contextlib.suppress(Exception):
                executor.shutdown(wait=not self._busy, kill_workers=True)
        self._busy.clear()


def _one_process() -> Any:
    from joblib.externals.loky.process_executor import ProcessPoolExecutor

    from_main = threading.current_thread() is threading.main_thread()
    about = {"PARENT": os.getpid(), "BY_SYSTEM": from_main}
    return ProcessPoolExecutor(
        max_workers=1,
        initializer=runpy.run_path,
        initargs=(processes.__file__, about, processes.WATCH),
        env=_ONE_THREAD,
    )
