"""Executors of all kinds, as one: jobs are handed over, and those that ended are asked for.

Whatever follows :class:`concurrent.futures.Executor` will do, with Dask's among them. submitit's
executors look alike, and their jobs are asked whether they have ended.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from daleml import require
from daleml._support import workers
from daleml._support.worker_slots import WorkerSlots
from daleml.experiments.worker_calls import Job, ResumableWork, Work, work

_LARGEST_ARRAY = 1_000
"""Jobs in an array of SLURM, whose own limit is 1,001 unless a cluster sets another."""
_PAUSES = (0.02, 2.0)
"""Seconds between two looks at jobs that have to be asked: the first, and the most."""


class Pool(Protocol):
    """Where jobs are run.

    Attributes:
        most: Jobs handed over at once; None for all.
        ships: Whether jobs go to other processes.
        asks: Whether jobs have to be asked whether they have ended.
        lasts: Whether it takes more jobs after a worker was killed and has broken the executor.
    """

    most: int | None
    ships: bool
    asks: bool
    lasts: bool

    def submit(self, jobs: Sequence[Job]) -> list[Any]:
        """Hand over some jobs; return what stands for each."""
        ...

    def ended(self, flying: Mapping[Any, Job], patience: float) -> Iterable[Any]:
        """Return which of the jobs handed over have ended, after some seconds at most."""
        ...

    def release(self, future: Any) -> None:
        """Hear that a job that has ended is dealt with."""
        ...

    def close(self, flying: Iterable[Any], cancel: bool) -> None:
        """Give up the jobs that have not ended."""
        ...


def pool_of(executor: Any, jobs: int | None, calls: int) -> Pool:
    """Return the pool that an executor is.

    Args:
        executor: The user's; None for processes on this machine.
        jobs: The most jobs at once, or None.
        calls: How many jobs there are.

    Raises:
        TypeError: If it is no executor, or ``jobs`` no integer.
        ValueError: If ``jobs`` is below 1.
    """
    if jobs is not None:
        require.integer("jobs", jobs, minimum=1)
    if executor is None:
        processes = workers.count(jobs, calls)
        return ThisProcess() if processes == 1 else Processes(processes)
    if _is_of_submitit(executor):
        return Submitit(executor, jobs)
    # A client of Dask can submit, too, but what it returns is none of concurrent.futures'.
    is_client = callable(getattr(executor, "get_executor", None))
    if is_client or not callable(getattr(executor, "submit", None)):
        raise TypeError(
            "`executor` must be an executor, as those of concurrent.futures, Dask's"
            f" `client.get_executor()` and submitit's are; got {type(executor).__name__}."
        )
    return Futures(executor, jobs)


class ThisProcess:
    """One job after the other, in this process."""

    most: int | None = 1
    ships = asks = lasts = False

    def submit(self, jobs: Sequence[Job]) -> list[Any]:
        """Compute some jobs."""
        made = []
        for job in jobs:
            future: Any = concurrent.futures.Future()
            # The results of several runs come together: each is kept until then.
            future.set_result(work(job, keep=len(job.runs) > 1))
            made.append(future)
        return made

    def ended(self, flying: Mapping[Any, Job], patience: float) -> Iterable[Any]:
        """Return all: each has ended when it was handed over."""
        if not flying:
            time.sleep(patience)
        return list(flying)

    def release(self, future: Any) -> None:
        """Do nothing."""

    def close(self, flying: Iterable[Any], cancel: bool) -> None:
        """Do nothing."""


class Futures:
    """An executor that the user gives.

    Args:
        executor: The executor.
        jobs: The most jobs at once, or None.
    """

    ships = True
    asks = lasts = False

    def __init__(self, executor: Any, jobs: int | None) -> None:
        self.most = jobs
        self._executor = executor

    def submit(self, jobs: Sequence[Job]) -> list[Any]:
        """Hand over some jobs."""
        return [self._executor.submit(work, job) for job in jobs]

    def ended(self, flying: Mapping[Any, Job], patience: float) -> Iterable[Any]:
        """Return which jobs have ended."""
        if not flying:
            time.sleep(patience)
            return []
        done, _ = concurrent.futures.wait(
            flying, patience, concurrent.futures.FIRST_COMPLETED
        )
        # In the order in which they were handed over: sets have none.
        return [future for future in flying if future in done]

    def release(self, future: Any) -> None:
        """Do nothing."""

    def close(self, flying: Iterable[Any], cancel: bool) -> None:
        """Cancel what has not begun."""
        for future in flying:
            future.cancel()


class Processes(Futures):
    """Processes on this machine, which joblib starts.

    Args:
        count: How many.
    """

    lasts = True

    def __init__(self, count: int) -> None:
        self._slots = WorkerSlots(count)
        super().__init__(self._slots, count)

    def release(self, future: Any) -> None:
        """Give back the process of a job."""
        self._slots.release(future)

    def close(self, flying: Iterable[Any], cancel: bool) -> None:
        """End the processes."""
        self._slots.close()


class Submitit:
    """An executor of submitit: jobs of SLURM, or processes on this machine.

    Args:
        executor: The executor.
        jobs: The most jobs at once, or None: all, where SLURM holds a queue; else one per core.
    """

    ships = asks = lasts = True

    def __init__(self, executor: Any, jobs: int | None) -> None:
        kind = getattr(executor, "cluster", type(executor).__name__.lower())
        self._has_queue = not kind.startswith(("local", "debug"))
        self.most = jobs
        if jobs is None and not self._has_queue:
            # It starts as many processes as it is given jobs; `debug` runs one when asked of it.
            self.most = 1 if kind.startswith("debug") else workers.count(None, 1_000)
        self._executor = executor

    def submit(self, jobs: Sequence[Job]) -> list[Any]:
        """Hand over some jobs, as arrays where there is a queue."""
        if not self._has_queue or len(jobs) == 1:
            return [self._executor.submit(_work_of(job), job) for job in jobs]
        made = []
        for first in range(0, len(jobs), _LARGEST_ARRAY):
            with self._executor.batch():
                for job in jobs[first : first + _LARGEST_ARRAY]:
                    made.append(self._executor.submit(_work_of(job), job))
        return made

    def ended(self, flying: Mapping[Any, Job], patience: float) -> Iterable[Any]:
        """Return which jobs have ended, asking them again and again."""
        pause, most = _PAUSES
        until = time.monotonic() + patience
        while True:
            done = [job for job in flying if self._has_ended(job, flying[job])]
            left = until - time.monotonic()
            if done or left <= 0:
                return done
            time.sleep(min(pause, left))
            pause = min(2 * pause, most)

    def _has_ended(self, future: Any, job: Job) -> bool:
        files = job.files
        if self._has_queue and files is not None:
            # Its results are there before SLURM knows that a job has ended.
            kept = all(files.waiting(run.key) for run in job.runs)
            return kept or bool(future.done())
        return bool(future.done())

    def release(self, future: Any) -> None:
        """Do nothing."""

    def close(self, flying: Iterable[Any], cancel: bool) -> None:
        """Cancel the jobs if that is wanted; else they go on, and keep their results."""
        if not cancel:
            return
        for job in flying:
            # One that has just ended cannot be cancelled.
            with contextlib.suppress(Exception):
                job.cancel(check=False)


def _is_of_submitit(executor: Any) -> bool:
    return any(
        kind.__module__.startswith("submitit.") and kind.__name__ == "Executor"
        for kind in type(executor).__mro__
    )


def _work_of(job: Job) -> Work:
    """Return what runs a job: one that is queued again where its runs keep checkpoints."""
    if any(run.folder for run in job.runs):
        return ResumableWork()
    return Work()
