"""Worker processes that make calls at once, and do not outlive the process that started them.

However that one ends, its workers end: Ctrl-C, SIGTERM or an error makes it kill them; killed
itself, it is missed by each of them within a second.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import threading
import warnings
import weakref
from collections.abc import Callable, Generator, Sequence
from typing import Any

from daleml import require
from daleml._support import processes as _processes


class WorkerError(RuntimeError):
    """Raised where a worker process was killed from outside."""


def count(jobs: int | None, calls: int) -> int:
    """Return how many processes to start.

    Args:
        jobs: As many as these at most; None for one per core.
        calls: How many calls there are to make.

    Returns:
        Never more than there are calls, or cores that this process may use: more only take
        memory from each other.

    Raises:
        TypeError: If ``jobs`` is not an integer.
        ValueError: If it is below 1.
    """
    from joblib import cpu_count

    most = int(cpu_count())
    if jobs is not None:
        most = min(require.integer("jobs", jobs, minimum=1), most)
    return max(1, min(most, calls))


def fewer(jobs: int | None, processes: int) -> str:
    """Return a sentence if fewer processes are started than were asked for, or nothing."""
    if jobs is None or processes >= jobs:
        return ""
    return (
        f"`jobs` is {jobs:,}: {processes} are used, as there is no more work, or are no"
        " more cores, to share."
    )


def run(
    function: Callable[..., Any],
    calls: Sequence[tuple[Any, ...]],
    jobs: int,
    *,
    ordered: bool,
) -> Generator[Any, None, None]:
    """Call a function many times, in several processes, and hand over the results as they come.

    To be closed, by ``contextlib.closing``, if it is not read to its end.

    Args:
        function: What to call.
        calls: Its arguments, a tuple per call.
        jobs: Processes at once; with 1, everything is done in this one.
        ordered: Whether results come in the order of the calls.

    Raises:
        WorkerError: If a worker process was killed.
    """
    if jobs == 1:
        for arguments in calls:
            yield function(*arguments)
        return
    from concurrent.futures.process import BrokenProcessPool

    from joblib import Parallel, delayed

    # One call at a time: they are long, so handing them over costs nothing, and a stop loses least.
    workers = Parallel(
        jobs,
        backend=_backend(),
        batch_size=1,
        return_as="generator" if ordered else "generator_unordered",
    )
    results = workers(delayed(function)(*arguments) for arguments in calls)
    read = False
    try:
        # `yield from` would close what it reads before the warning is silenced.
        for result in results:  # noqa: UP028
            yield result
        read = True
    except BrokenProcessPool:
        raise WorkerError(
            "a worker process was killed from outside, as happens where memory runs out:"
            " try again with fewer `jobs`."
        ) from None
    finally:
        if not read:
            hush_managers()
        with warnings.catch_warnings(), contextlib.suppress(RuntimeError):
            # joblib warns that work was given up, which is what was wanted.
            warnings.simplefilter("ignore")
            results.close()


def _backend() -> Any:
    from joblib._parallel_backends import LokyBackend

    class Backend(LokyBackend):  # type: ignore[misc]  # joblib has no types
        """joblib's own backend, whose workers watch their parent from their first moment."""

        def configure(self, *args: Any, **options: Any) -> int:
            from_main = threading.current_thread() is threading.main_thread()
            about = {"PARENT": os.getpid(), "BY_SYSTEM": from_main}
            watch = {
                "initializer": runpy.run_path,
                "initargs": (_processes.__file__, about, _processes.WATCH),
            }
            made: int = super().configure(*args, **{**options, **watch})
            return made

    return Backend()


_given_up: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
"""Threads of joblib that manage workers whose results nobody waits for any more."""


def hush_managers() -> None:
    """Let no traceback be printed of a thread that manages workers who are given up.

    It may still wait for them.
    """
    for thread in threading.enumerate():
        # The name that joblib gives it.
        if thread.name == "ExecutorManagerThread":
            _given_up.add(thread)
    before = threading.excepthook
    if not _given_up or getattr(before, "passes_over_given_up", False):
        return

    def hook(problem: threading.ExceptHookArgs) -> None:
        if problem.thread not in _given_up:
            before(problem)

    hook.passes_over_given_up = True  # type: ignore[attr-defined]
    threading.excepthook = hook
