"""Run the seeds of experiments that a journal lacks, in parallel, and write each one as it ends.

A run that is killed and started again does only what is missing. Every seed is computed on one
thread, so that its numbers do not depend on how many are computed at once.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from daleml._support import workers
from daleml.experiments import cluster
from daleml.experiments.executors import Pool, pool_of
from daleml.experiments.experiment import Experiment, Numbers, Settings
from daleml.experiments.gathering import Gathering, gather_waiting
from daleml.experiments.isolation import isolated
from daleml.experiments.journal import Journal, OnMessage, RunKey
from daleml.experiments.result_files import ResultFiles
from daleml.experiments.run_numbers import last_line
from daleml.experiments.shipping import Shipped
from daleml.experiments.worker_calls import Job, RunCall

OnProgress: TypeAlias = Callable[[int, int, str], object]
"""Called with the number of runs done, the number of all runs, and the last one's experiment."""


@dataclass(frozen=True)
class SeedRun:
    """One seed of an experiment at a budget.

    Attributes:
        experiment: What is run.
        budget: Which of its settings it is given.
        seed: The seed.
    """

    experiment: Experiment
    budget: str
    seed: int

    @property
    def key(self) -> RunKey:
        """What the journal files the run under."""
        experiment = self.experiment
        return experiment.name, experiment.digest(self.budget), self.seed

    @property
    def minutes(self) -> float:
        """About how long the run takes; 0 if its experiment does not say."""
        return self.experiment.minutes.get(self.budget, 0.0)


class SeedResult(NamedTuple):
    """What one run gave.

    Attributes:
        experiment: The name of its experiment.
        seed: Its seed.
        numbers: What it measured; empty if it failed.
        problem: Why it failed; empty if it did not.
    """

    experiment: str
    seed: int
    numbers: Numbers
    problem: str


def runs_of(experiments: Iterable[Experiment], budget: str) -> list[SeedRun]:
    """Return every run that a budget asks for, experiment by experiment.

    Args:
        experiments: What is to be run.
        budget: ``"quick"``, ``"paper"`` or ``"long"``.
    """
    return [
        SeedRun(experiment, budget, seed)
        for experiment in experiments
        for seed in experiment.seed_numbers(budget)
    ]


def run_missing(
    runs: Sequence[SeedRun],
    journal: Journal,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    executor: Any = None,
    on_message: OnMessage = lambda line: None,
    on_progress: OnProgress = lambda done, total, name: None,
) -> dict[str, str]:
    """Run what the journal lacks, and add each run to it as it ends.

    Args:
        runs: What is wanted, each once.
        journal: What is finished already; it is added to.
        jobs: Processes at once; default: one per core, or every worker of the cluster.
        scheduler: Address of a Dask scheduler to run on; default: this machine.
        executor: What to run on instead, such as that of a SLURM cluster.
        on_message: Called with a sentence about anything unusual.
        on_progress: Called first with what was finished before, and then after each run.

    Returns:
        Why runs failed, by the name of the experiment and the seed. A run that fails stops no
        other.

    Raises:
        ValueError: If ``scheduler`` is no address at which a Dask scheduler answers.
    """
    files = ResultFiles.of(journal.path)
    gather_waiting(journal, files, keep_failures=False)
    missing = [run for run in runs if run.key not in journal.finished]
    # A long run that begins last would leave the other cores idle.
    missing.sort(key=lambda run: -run.minutes)
    failures: dict[str, str] = {}
    done = len(runs) - len(missing)
    on_progress(done, len(runs), "")
    if not missing:
        return failures
    work = [_job(run, files) for run in missing]
    with _pool(len(work), jobs, scheduler, executor, on_message) as pool:
        gathering = Gathering(work, pool, journal, files, on_message=on_message)
        with contextlib.closing(gathering.entries()) as entries:
            for entry in entries:
                done += 1
                name, _, seed = entry.key
                if entry.problem:
                    problem = last_line(entry.problem)
                    failures[f"{name}, seed {seed}"] = problem
                    on_message(f"{name}, seed {seed}, could not be run: {problem}")
                on_progress(done, len(runs), name)
    files.close()
    return dict(sorted(failures.items()))


def spent_minutes(
    journal: Journal, experiment: Experiment, budget: str
) -> float | None:
    """Return the processor minutes that all finished seeds of an experiment took together.

    Args:
        journal: What is finished.
        experiment: What was run.
        budget: With which of its settings.

    Returns:
        The minutes; None if there are no seeds, or nobody took the time of one.
    """
    keys = [run.key for run in runs_of([experiment], budget)]
    finished = [key for key in keys if key in journal.finished]
    if not finished or any(key not in journal.seconds for key in finished):
        return None
    return math.fsum(journal.seconds[key] for key in finished) / 60


def finished_numbers(
    journal: Journal, experiment: Experiment, budget: str
) -> list[Numbers]:
    """Return the numbers of the finished seeds of an experiment, in the seeds' order.

    Args:
        journal: What is finished.
        experiment: What was run.
        budget: With which of its settings.
    """
    keys = [run.key for run in runs_of([experiment], budget)]
    return [journal.finished[key] for key in keys if key in journal.finished]


@contextlib.contextmanager
def _pool(
    calls: int,
    jobs: int | None,
    scheduler: str | None,
    executor: Any,
    on_message: OnMessage,
) -> Iterator[Pool]:
    """Yield where seeds are run."""
    if scheduler is not None:
        with cluster.executor(scheduler) as executor:
            yield pool_of(executor, jobs, calls)
        return
    pool = pool_of(executor, jobs, calls)
    if told := workers.fewer(jobs, pool.most or 0):
        on_message(told)
    yield pool


def _job(run: SeedRun, files: ResultFiles) -> Job:
    experiment = run.experiment
    arguments = {"settings": experiment.settings[run.budget]}
    label = f"{experiment.name}, seed {run.seed}"
    call = RunCall(run.key, label, Shipped(arguments))
    function = Shipped(_ByPosition(experiment.run))
    return Job(function, (call,), files=files, is_timed=True)


@dataclass(frozen=True)
class _ByPosition:
    """A function of a seed and settings, whatever it calls the settings."""

    run: Callable[[int, Settings], Numbers]

    def __call__(self, seed: int, settings: Settings) -> Numbers:
        return self.run(seed, settings)


def run_seed(
    function: Callable[[int, Settings], Numbers],
    name: str,
    seed: int,
    settings: Settings,
) -> SeedResult:
    """Run one seed on one thread; an error is a result too.

    Args:
        function: What to run.
        name: The name of its experiment.
        seed: The seed.
        settings: What it is given beside the seed.
    """
    try:
        with isolated(seed):
            return SeedResult(name, seed, function(seed, settings), "")
    except Exception as error:
        # Whatever an experiment raises, the other seeds are worth running.
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return SeedResult(name, seed, {}, problem)
