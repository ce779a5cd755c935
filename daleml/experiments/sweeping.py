"""A sweep: a function run for several conditions and seeds, on any executor, until all are done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daleml import require
from daleml._support import atomic_files, locks
from daleml._support.stop_signals import signals_raise
from daleml.experiments.conditions import Condition, conditions_of
from daleml.experiments.executors import pool_of
from daleml.experiments.gathering import Gathering, gather_waiting
from daleml.experiments.isolation import LARGEST_SEED
from daleml.experiments.journal import Journal, OnMessage
from daleml.experiments.journal_entry import RunKey
from daleml.experiments.result_files import ResultFiles
from daleml.experiments.run_function import RunFunction
from daleml.experiments.run_numbers import last_line
from daleml.experiments.shipping import Shipped
from daleml.experiments.sweep_plan import JOURNAL, Plan
from daleml.experiments.sweep_progress import Display, display
from daleml.experiments.sweep_tables import oddities, table_of
from daleml.experiments.worker_calls import Job, RunCall

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 32
"""Seeds that a function gets at once which takes several."""
_SHOWN_FAILURES = 3
"""Failed runs that are told of one by one."""


def sweep(
    run: Callable[..., Any],
    grid: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    *,
    out: str | Path,
    seeds: int | Iterable[int] = 20,
    conditions: Mapping[str, Mapping[str, Any]] | None = None,
    executor: Any = None,
    jobs: int | None = None,
    batch: int | None = None,
    attempts: int = 3,
    repeat_failed: bool = False,
    progress: bool = True,
    on_message: Callable[[str], object] | None = None,
) -> pd.DataFrame:
    """Run a function for every condition and every seed, and keep what each run measured.

    Each run is in the journal of ``out`` as it ends. Killed at any moment and called again, the
    sweep does what is missing. Every run is computed on one thread, with the global generators
    of Python, NumPy and torch seeded with its seed, so that the table is the same to the bit
    whatever the executor and however many runs are computed at once.

    Args:
        run: Called as ``run(seed, **condition)``, the seed by its name where it is not the first
            parameter; returns numbers by name. A parameter called
            ``folder`` is given a folder of this run alone, for checkpoints. A function that
            takes ``seeds`` instead of ``seed`` gets several at once and returns a list of such
            mappings; its folders come as ``folders``.
        grid: Lists of values by name, of which all combinations are run, the last name changing
            fastest; or a list of conditions, each a mapping. Values are numbers, text, truth
            values, None, and lists of these. Default: one condition without values.
        out: Folder of the journal and of the runs' own folders.
        seeds: How many seeds, from 0, or which.
        conditions: Conditions by name whose values may be anything, a class or a function, as in
            ``{"adam": {"optimizer": Adam}}``; each is combined with each of ``grid``.
        executor: Where to run: any :class:`concurrent.futures.Executor`, Dask's
            ``client.get_executor()`` among them, or one of submitit's. It is not shut down.
            Default: processes on this machine.
        jobs: The most runs at once. Default: one per core, or as many as the executor takes.
        batch: Seeds of one condition that a worker is given at once. Default: 1, and 32 for a
            function that takes ``seeds``.
        attempts: How often a run is begun whose worker is killed.
        repeat_failed: Whether to run again what failed before.
        progress: Whether to show how far the sweep is, and how long it will take, on standard
            error.
        on_message: Called with a sentence about anything unusual. Default: it is printed there.

    Returns:
        One row for each run that has ended, in the order of the conditions and then of the
        seeds: the values of the condition (with its name under ``condition`` if it has one),
        ``seed``, what was measured, and ``problem``: why it failed, or empty text.

    Raises:
        TypeError: If an argument is of the wrong kind, ``run`` does not take what it would be
            given, or it has to be pickled and cannot be.
        ValueError: If an argument is out of range, a condition or a seed is given twice, ``out``
            cannot be written to, or another sweep writes into it.
        WorkerError: If the executor can run no more. It is a ``RuntimeError``.

    Example:
        >>> from daleml.experiments import sweep
        >>> def run(seed, lr):
        ...     return {"loss": lr * (1 + seed)}
        >>> folder = getfixture("tmp_path")
        >>> sweep(run, {"lr": [0.5, 1.0]}, seeds=2, out=folder, jobs=1, progress=False)
            lr  seed  loss problem
        0  0.5     0   0.5
        1  0.5     1   1.0
        2  1.0     0   1.0
        3  1.0     1   2.0

    Notes:
        A run that raises is kept with its traceback, which :func:`failures` returns, and stops
        no other. NaN and infinity are numbers.

        Results of other values are other results: a condition is filed under the name of
        ``run`` and a digest of its values. If the source of ``run`` has changed since some of
        them were run, or what ``run`` was made with (defaults, settings of a partial function,
        values that it closes over), one sentence says so; what ``run`` calls is not compared.

        Threads of one process take turns, since global generators belong to the process. Write
        ``random.random()`` rather than a name imported from ``random``: that one other threads
        of a worker draw from, too, as Dask's own do.

        Workers that see ``out`` write each result there themselves, so that nothing is lost if
        this process ends before them, and lock what they run, so that a sweep that is started
        again meanwhile does not run it too. Locks of network file systems are as good as theirs.

        SIGTERM raises ``KeyboardInterrupt``, as Ctrl-C does. Ctrl-C cancels the jobs of a
        cluster; where the terminal is closed, those of SLURM stay in the queue.
    """
    function = RunFunction.of(run)
    chosen = conditions_of(grid, conditions)
    plan = Plan(function.name, tuple(chosen), seeds_of(seeds))
    require.integer("attempts", attempts, minimum=1)
    require.flag("repeat_failed", repeat_failed)
    require.flag("progress", progress)
    size = _batch_of(batch, function)
    for condition in chosen:
        function.require_taken(condition)
    folder = atomic_files.folder("out", Path(out))
    with (
        signals_raise(),
        locks.only_writer(folder, "out"),
        display(progress) as shown,
    ):
        say = on_message or shown.say
        journal = Journal(folder / JOURNAL, say)
        files = ResultFiles.of(journal.path)
        gather_waiting(journal, files, keep_failures=True)
        plan = _keep_plan(plan, folder, journal, say)
        _say_changed(journal, plan, function, say)
        missing = _missing(journal, plan, repeat_failed)
        work = _jobs(function, plan, missing, size, files)
        pool = pool_of(executor, jobs, len(work))
        if pool.ships:
            for job in work:
                job.require_shippable()
        gathering = Gathering(
            work,
            pool,
            journal,
            files,
            attempts=attempts,
            keep_failures=True,
            on_message=say,
        )
        shown.begin(len(plan.run_keys()) - len(missing), len(plan.run_keys()))
        _gather(gathering, shown, say)
        files.close()
        for sentence in oddities(plan.run, chosen, plan.seeds, journal):
            say(sentence)
    return table_of(plan.run, chosen, plan.seeds, journal)


def seeds_of(seeds: int | Iterable[int]) -> tuple[int, ...]:
    """Return the seeds of a sweep, ascending.

    Args:
        seeds: How many, from 0, or which.

    Raises:
        TypeError: If they are no integers.
        ValueError: If there are none, one is out of range, or one is given twice.
    """
    if isinstance(seeds, (str, bytes, Mapping)):
        raise TypeError(f"`seeds` must be an integer or integers; got {seeds!r}.")
    if hasattr(seeds, "tolist"):
        # Of NumPy, torch and pandas.
        seeds = seeds.tolist()
    if not isinstance(seeds, Iterable):
        return tuple(range(require.integer("seeds", seeds, minimum=1)))
    found = [require.integer("seeds", seed) for seed in seeds]
    if not found:
        raise ValueError("`seeds` must hold at least one seed; it is empty.")
    if max(found) > LARGEST_SEED:
        raise ValueError(
            f"`seeds` must be at most {LARGEST_SEED:,}; got {max(found):,}."
        )
    if len(set(found)) != len(found):
        twice = next(seed for seed in found if found.count(seed) > 1)
        raise ValueError(f"`seeds` must hold each seed once; it holds {twice} twice.")
    return tuple(sorted(found))


def _gather(gathering: Gathering, shown: Display, say: OnMessage) -> None:
    """Run what is missing, and show how far that is."""
    failed = 0
    with contextlib.closing(gathering.entries()) as entries:
        for entry in entries:
            shown.advance(bool(entry.problem))
            if not entry.problem:
                continue
            failed += 1
            if failed <= _SHOWN_FAILURES:
                label = gathering.label(entry.key)
                say(f"{label}, failed: {last_line(entry.problem)}")
            if failed == _SHOWN_FAILURES:
                say("Of further runs that fail, only the number is told, at the end.")


def _batch_of(batch: int | None, function: RunFunction) -> int:
    if batch is not None:
        return require.integer("batch", batch, minimum=1)
    return _BATCH if function.together else 1


def _keep_plan(plan: Plan, folder: Path, journal: Journal, say: OnMessage) -> Plan:
    """Write the plan, and say if the folder held runs of another function."""
    before = Plan.read(folder)
    if before is not None and before.run != plan.run:
        say(
            f"`{folder}` holds runs of {before.run!r}, which do not count for {plan.run!r}."
        )
        before = None
    plan = plan.after(before)
    columns = plan.columns()
    for (name, *_), numbers in journal.finished.items():
        both = columns & numbers.keys() if name == plan.run else None
        if both:
            raise ValueError(
                f"`grid` must not name a value {min(both)!r}: runs in `{folder}` measured a"
                " number of that name. Name another folder as `out`."
            )
    plan.write(folder)
    return plan


def _say_changed(
    journal: Journal, plan: Plan, function: RunFunction, say: OnMessage
) -> None:
    """Say how many of the finished runs are of another version of the function."""
    changed, finished, of_source = 0, 0, False
    for key in plan.run_keys():
        if key in journal.finished:
            finished += 1
            earlier = journal.sources.get(key, function.source)
            changed += earlier != function.source
            of_source |= earlier.split("-")[0] != function.source.split("-")[0]
    if changed:
        what = "The source of {}" if of_source else "What {} was made with"
        say(
            f"{what.format(repr(plan.run))} has changed since {changed:,} of the"
            f" {finished:,} finished runs were run. They count all the same; name another"
            " folder as `out` to run them again."
        )


def _missing(journal: Journal, plan: Plan, repeat_failed: bool) -> set[RunKey]:
    """Return the runs that have to be run."""
    missing = set()
    for key in plan.run_keys():
        waits = key not in journal.failed or repeat_failed
        if key not in journal.finished and waits:
            missing.add(key)
    return missing


def _jobs(
    function: RunFunction,
    plan: Plan,
    missing: set[RunKey],
    size: int,
    files: ResultFiles,
) -> list[Job]:
    """Return the missing runs as jobs, in the order of the table."""
    import torch

    shipped = Shipped(function.function)
    taken = frozenset({"seed", "problem"} | plan.columns())
    made = []
    for condition in plan.conditions:
        arguments = Shipped(condition.values)
        # Always the same seeds together, whichever of them are missing.
        for first in range(0, len(plan.seeds), size):
            runs = []
            for seed in plan.seeds[first : first + size]:
                key = plan.run, condition.digest, seed
                if key not in missing:
                    continue
                folder = ""
                if function.takes_folder:
                    folder = str(_folder_of(files.folder, condition, seed))
                label = f"{condition.label}, seed {seed}".removeprefix(", ")
                runs.append(RunCall(key, label, arguments, folder))
            if runs:
                job = Job(
                    shipped,
                    tuple(runs),
                    together=function.together,
                    files=files,
                    source=function.source,
                    dtype=torch.get_default_dtype(),
                    taken=taken,
                )
                made.append(job)
    return made


def _folder_of(out: Path, condition: Condition, seed: int) -> Path:
    """Return the folder that a run is given."""
    return out / "runs" / condition.folder / f"seed-{seed}"
