"""Jobs are run by an executor, and what comes of them is gathered into a journal, as it comes.

There is one writer: the process that waits. Workers keep their results in files until it has
them, see :mod:`daleml.experiments.result_files`.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from daleml._support.stop_signals import Stopped
from daleml._support.workers import WorkerError
from daleml.experiments.executors import Pool
from daleml.experiments.journal import Journal, OnMessage
from daleml.experiments.journal_entry import Entry, RunKey
from daleml.experiments.result_files import ResultFiles
from daleml.experiments.run_numbers import last_line
from daleml.experiments.worker_calls import Job, Outcome, RunCall

_PATIENCE = 1.0
"""Seconds after which runs of other processes are looked for."""


class Gathering:
    """The runs of some jobs, until all have ended.

    Args:
        jobs: What is to be run; each key once.
        pool: Where.
        journal: Where results go.
        files: Where workers keep results until then.
        attempts: How often a run is begun whose worker is killed.
        keep_failures: Whether the journal gets failed runs too.
        on_message: Called with a sentence about anything unusual.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        pool: Pool,
        journal: Journal,
        files: ResultFiles,
        *,
        attempts: int = 3,
        keep_failures: bool = False,
        on_message: OnMessage,
    ) -> None:
        self._pool = pool
        self._journal = journal
        self._files = files
        self._attempts = attempts
        self._keep_failures = keep_failures
        self._say = on_message
        self._waiting = deque(jobs)
        self._flying: dict[Any, Job] = {}
        self._elsewhere: list[Job] = []
        self._kills: Counter[RunKey] = Counter()
        self._labels: dict[RunKey, str] = {}
        for job in jobs:
            for run in job.runs:
                self._labels[run.key] = run.label

    def label(self, key: RunKey) -> str:
        """Return what messages call a run."""
        return self._labels[key]

    def entries(self) -> Generator[Entry, None, None]:
        """Yield each run as it ends, in the journal already.

        To be closed, by ``contextlib.closing``, if it is not read to its end.

        Raises:
            WorkerError: If the executor can run no more.
        """
        cancel = False
        try:
            while self._waiting or self._flying or self._elsewhere:
                self._hand_over()
                for future in self._pool.ended(self._flying, _PATIENCE):
                    yield from self._settle(future)
                yield from self._look_elsewhere()
        except KeyboardInterrupt as stop:
            # Ctrl-C wants it all to end; a session that is closed leaves jobs in their queue.
            cancel = not isinstance(stop, Stopped)
            raise
        finally:
            self._pool.close(self._flying, cancel)

    def _hand_over(self) -> None:
        most = self._pool.most
        count = len(self._waiting)
        if most is not None:
            count = min(count, most - len(self._flying))
        jobs: list[Job] = []
        while self._waiting and len(jobs) < count:
            jobs.append(self._waiting.popleft())
        if not jobs:
            return
        try:
            futures = self._pool.submit(jobs)
        except (RuntimeError, concurrent.futures.CancelledError) as error:
            raise WorkerError(_gave_up(error)) from error
        self._flying.update(zip(futures, jobs, strict=True))

    def _settle(self, future: Any) -> Iterator[Entry]:
        """Deal with a job that has ended, however it did."""
        job = self._flying.pop(future)
        # A job that has to be asked may take long to answer, and its file is there before.
        kept = self._kept(job) if self._pool.asks else None
        if kept is not None:
            outcomes = kept
        else:
            try:
                outcomes = future.result()
            except (Exception, concurrent.futures.CancelledError) as error:
                self._pool.release(future)
                yield from self._lost(job, error)
                return
        self._pool.release(future)
        runs = {run.key: run for run in job.runs}
        for outcome in outcomes:
            # Where the pool hears of kills itself, that was told already.
            told = self._kills[outcome.key] > 0
            if outcome.left_by and outcome.entry is not None and not told:
                self._say(
                    f"{self.label(outcome.key)}: {outcome.left_by} was killed while it"
                    " ran this; it was run again."
                )
            if outcome.entry is None:
                again = dataclasses.replace(job, runs=(runs[outcome.key],))
                self._elsewhere.append(again)
            else:
                yield self._file(outcome.entry)

    def _kept(self, job: Job) -> list[Outcome] | None:
        """Return the results of a job from its files, if all are there."""
        outcomes = []
        for run in job.runs:
            entry = self._files.waiting(run.key)
            if entry is None:
                return None
            outcomes.append(Outcome(run.key, entry))
        return outcomes

    def _lost(self, job: Job, error: BaseException) -> Iterator[Entry]:
        """Deal with a job whose worker was killed: what it lacks is run again."""
        broken = isinstance(error, concurrent.futures.BrokenExecutor)
        if not _is_kill(error) or (broken and not self._pool.lasts):
            raise WorkerError(_gave_up(error)) from error
        again: list[RunCall] = []
        for run in job.runs:
            entry = self._files.waiting(run.key)
            if entry is not None:
                yield self._file(entry)
                continue
            self._kills[run.key] += 1
            if self._kills[run.key] < self._attempts:
                again.append(run)
                continue
            problem = (
                f"WorkerError: each of the {self._attempts} processes that ran this was"
                " killed, as happens where memory runs out"
            )
            yield self._file(Entry(run.key, {}, job.source, problem))
        if again:
            self._say(
                f"{again[0].label}: the process that ran this was killed, as happens where"
                " memory runs out; it is run again."
            )
            # One by one: the others of its job may not be to blame.
            for run in again:
                self._waiting.append(dataclasses.replace(job, runs=(run,)))

    def _look_elsewhere(self) -> Iterator[Entry]:
        """Look after runs that another process, of an earlier start, is computing."""
        for job in list(self._elsewhere):
            (run,) = job.runs
            entry = self._files.waiting(run.key)
            if entry is None:
                with self._files.hold(run.key) as hold:
                    if not hold.held:
                        continue
                # It may have ended between the two looks.
                entry = self._files.waiting(run.key)
            self._elsewhere.remove(job)
            if entry is None:
                self._waiting.append(job)
            else:
                yield self._file(entry)

    def _file(self, entry: Entry) -> Entry:
        """Put a run into the journal, and only then remove its file."""
        if self._keep_failures or not entry.problem:
            self._journal.add_entry(entry)
        self._files.forget(entry.key)
        return entry


def gather_waiting(
    journal: Journal, files: ResultFiles, keep_failures: bool
) -> list[Entry]:
    """Put into the journal what workers kept while nobody waited for them.

    Args:
        journal: The journal.
        files: What they kept.
        keep_failures: Whether the journal gets failed runs too.

    Returns:
        The runs that the journal had not.
    """
    found = []
    for entry in list(files.all_waiting()):
        # It was put there already if the process was killed before it removed the file.
        is_new = entry.key not in journal.finished
        if is_new and (keep_failures or not entry.problem):
            journal.add_entry(entry)
            found.append(entry)
        files.forget(entry.key)
    # Whoever was killed with an earlier start is nothing to tell of.
    files.close()
    return found


def _is_kill(error: BaseException) -> bool:
    """Whether a worker was killed, rather than something else being wrong."""
    kind, of_loky = type(error).__name__, "loky" in type(error).__module__
    # loky calls its pool broken if a job or a result could not be unpickled, and has an error of
    # its own for a process that ended.
    if kind == "BrokenProcessPool":
        return not of_loky
    return kind in ("TerminatedWorkerError", "KilledWorker", "UncompletedJobError")


def _gave_up(error: BaseException) -> str:
    why = last_line(f"{type(error).__name__}: {error}")
    return (
        f"the executor could not run what it was given ({why}): mend that and start again;"
        " runs that are finished are kept."
    )
