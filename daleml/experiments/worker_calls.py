"""What a worker does: compute some runs, each alone in its process, and keep what came of them.

An error of a run is a result too: it stops no other run.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from daleml.experiments.isolation import isolated
from daleml.experiments.journal_entry import LONGEST, Entry, RunKey
from daleml.experiments.result_files import ResultFiles
from daleml.experiments.run_function import takes_seed_by_name
from daleml.experiments.run_numbers import plain_numbers, traceback_of
from daleml.experiments.shipping import Shipped

# Global generators belong to the process: of threads that share it, one at a time may run.
_turn = threading.RLock()


@dataclass(frozen=True)
class RunCall:
    """One run: what its function is given, and what it is filed under.

    Attributes:
        key: The key of the journal; its last part is the seed.
        label: What it is called in messages.
        arguments: A mapping, what the function is given beside the seed.
        folder: Where the function may keep files of this run; empty if it asks for none.
    """

    key: RunKey
    label: str
    arguments: Shipped
    folder: str = ""

    @property
    def seed(self) -> int:
        """The seed."""
        return self.key[2]


@dataclass(frozen=True)
class Job:
    """Some runs of one function that are sent to a worker together.

    Attributes:
        function: What is run; see :func:`call_one` for how it is called.
        runs: What it is run for.
        together: Whether one call runs them all, as it does if the function takes ``seeds``.
        files: Where results are kept until the journal has them; None to return them only.
        source: The digest of the function's source.
        dtype: torch's default dtype where the study was started.
        taken: Names that a number of the result must not have.
        is_timed: Whether results tell the processor seconds that each run took.
    """

    function: Shipped
    runs: tuple[RunCall, ...]
    together: bool = False
    files: ResultFiles | None = None
    source: str = ""
    dtype: Any = None
    taken: frozenset[str] = frozenset()
    is_timed: bool = False

    def require_shippable(self) -> None:
        """Make sure that another process can be given it.

        Raises:
            TypeError: If it cannot be pickled.
        """
        try:
            self.function.pickled()
            for run in self.runs:
                run.arguments.pickled()
        except Exception as error:
            # Whatever objects raise that cannot be pickled.
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise TypeError(
                "`run` must be something that other processes can be given, with its"
                f" conditions, and cannot be pickled ({why}): make what cannot inside `run`,"
                " or give `jobs=1`."
            ) from None


class Outcome(NamedTuple):
    """What became of a run in a worker.

    Attributes:
        key: The key of the run.
        entry: Its result; None if another process is running it.
        left_by: The process that began it before and was killed; empty if there was none.
    """

    key: RunKey
    entry: Entry | None
    left_by: str = ""


def work(job: Job, *, keep: bool = True) -> list[Outcome]:
    """Compute those runs of a job that nobody else has computed or is computing.

    Args:
        job: The runs.
        keep: Whether to write results into files; False where whoever waits for them is this
            very process, and writes them into the journal next.
    """
    # First of all: what cannot be unpickled here is no error of a run.
    function = job.function.value
    for run in job.runs:
        _ = run.arguments.value
    files = job.files
    if files is not None and not files.is_here():
        # A worker on a machine that does not share the disk: its results go back by the network.
        files = None
    with _turn, contextlib.ExitStack() as holds:
        outcomes, mine = [], []
        left: dict[RunKey, str] = {}
        for run in job.runs:
            if files is not None:
                hold = holds.enter_context(files.hold(run.key))
                left[run.key] = hold.left_by
                if not hold.held:
                    outcomes.append(Outcome(run.key, None))
                    continue
                found = files.find(run.key)
                if found is not None:
                    outcomes.append(Outcome(run.key, found, hold.left_by))
                    continue
            mine.append(run)
        for entry in _entries(job, function, mine):
            if files is not None and keep:
                # On a full disk, the result still goes back by the way it was asked for.
                with contextlib.suppress(OSError):
                    files.write(entry)
            outcomes.append(Outcome(entry.key, entry, left.get(entry.key, "")))
    return outcomes


def _entries(job: Job, function: Any, runs: Sequence[RunCall]) -> Any:
    """Yield the results of some runs, as they come."""
    if job.together and len(runs) > 1:
        together = _together(job, function, runs)
        if together is not None:
            yield from together
            return
    for run in runs:
        yield _alone(job, function, run)


def _alone(job: Job, function: Any, run: RunCall) -> Entry:
    """Return the result of one run."""
    begun = time.process_time()
    try:
        with isolated(run.seed, job.dtype):
            if job.together:
                (returned,) = call_many(function, [run])
            else:
                returned = call_one(function, run)
        entry = _entry(job, run, returned)
        if not job.is_timed:
            return entry
        return dataclasses.replace(entry, seconds=time.process_time() - begun)
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        # Whatever a run raises, the others are worth running.
        if _ends_the_job(error):
            raise
        problem = traceback_of(error, own_frames=2)
        return Entry(run.key, {}, job.source, problem)


def _together(job: Job, function: Any, runs: Sequence[RunCall]) -> list[Entry] | None:
    """Return the results of runs that one call computes; None if that call failed."""
    try:
        with isolated(runs[0].seed, job.dtype):
            returned = call_many(function, runs)
        pairs = zip(runs, returned, strict=True)
        return [_entry(job, run, numbers) for run, numbers in pairs]
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        if _ends_the_job(error):
            raise
        # One seed that diverges may take the others with it: each is tried alone.
        return None


def _ends_the_job(error: BaseException) -> bool:
    """Whether submitit left by this from its signal handler, as where a job's time is over."""
    tail = error.__traceback__
    while tail is not None:
        if str(tail.tb_frame.f_globals.get("__name__")).startswith("submitit."):
            return isinstance(error, SystemExit)
        tail = tail.tb_next
    return False


def _entry(job: Job, run: RunCall, returned: Any) -> Entry:
    entry = Entry(run.key, plain_numbers(returned, job.taken), job.source)
    if len(entry.line()) >= LONGEST:
        raise ValueError(
            "`run` must return fewer numbers, or shorter names: all of one run have to fit"
            " into a line of a megabyte. Write more into files of your own."
        )
    return entry


def call_one(function: Callable[..., Any], run: RunCall) -> Any:
    """Call a function for one seed: ``function(seed, **arguments)``.

    The seed is given by its name where another parameter stands before it.

    Args:
        function: What to call.
        run: The run.
    """
    arguments = dict(run.arguments.value)
    if run.folder:
        arguments["folder"] = _made(run.folder)
    if takes_seed_by_name(function):
        return function(seed=run.seed, **arguments)
    return function(run.seed, **arguments)


def call_many(function: Callable[..., Any], runs: Sequence[RunCall]) -> Sequence[Any]:
    """Call a function for several seeds of one condition.

    It is called as ``function(seeds=[...], **arguments)``.

    Args:
        function: What to call; it returns one mapping per seed.
        runs: The runs.

    Raises:
        TypeError: If it returns something else.
    """
    arguments = dict(runs[0].arguments.value)
    if runs[0].folder:
        arguments["folders"] = [_made(run.folder) for run in runs]
    returned = function(seeds=[run.seed for run in runs], **arguments)
    if isinstance(returned, Mapping) or not isinstance(returned, Sequence):
        raise TypeError(
            "`run` must return a list of mappings, one for each of `seeds`; got"
            f" {type(returned).__name__}."
        )
    if len(returned) != len(runs):
        raise ValueError(
            "`run` must return a list of mappings, one for each of `seeds`; got"
            f" {len(returned)} for {len(runs)} seeds."
        )
    return returned


def _made(folder: str) -> Any:
    from pathlib import Path

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    return place


class Work:
    """:func:`work` as an object that submitit may ask for more."""

    def __call__(self, job: Job) -> list[Outcome]:
        """Compute the runs of a job."""
        return work(job)


class ResumableWork(Work):
    """What submitit queues again where the time of a job ends.

    It is for runs that keep checkpoints in their folders: the others would begin anew, and end
    at the same time again.
    """

    def checkpoint(self, job: Job) -> Any:
        """Return what to queue again; submitit calls this before it ends a job."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)
