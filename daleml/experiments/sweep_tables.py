"""The tables of a sweep: its runs, those that failed, and how far it is, at any time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from daleml.experiments.conditions import Condition
from daleml.experiments.journal import Journal
from daleml.experiments.journal_entry import RunKey
from daleml.experiments.result_files import ResultFiles
from daleml.experiments.run_numbers import last_line
from daleml.experiments.sweep_plan import JOURNAL, PLAN, Plan

if TYPE_CHECKING:
    import pandas as pd

CONDITIONS = "conditions"
"""The attribute of a table that names the columns of its conditions."""


class Status(NamedTuple):
    """How far a sweep is.

    Attributes:
        asked: Runs that were asked for.
        finished: How many of them have ended well.
        failed: How many of them have failed.

    Example:
        >>> Status(asked=60, finished=40, failed=2).left
        18
    """

    asked: int
    finished: int
    failed: int

    @property
    def left(self) -> int:
        """Runs that have not ended."""
        return self.asked - self.finished - self.failed


def read(out: str | Path) -> pd.DataFrame:
    """Return the table of a sweep's folder as it is now, while the sweep runs or later.

    Args:
        out: The folder.

    Returns:
        One row for each run that has ended, as :func:`sweep` returns them. Conditions that were
        asked for before and are not any more come last.

    Raises:
        ValueError: If the folder holds no sweep.

    Example:
        >>> from daleml.experiments import read, sweep
        >>> folder = getfixture("tmp_path")
        >>> kept = sweep(
        ...     lambda seed: {"loss": 1 / (1 + seed)}, seeds=3, out=folder, jobs=1, progress=False
        ... )
        >>> read(folder).equals(kept)
        True
    """
    plan, journal = _read(Path(out))
    known = (*plan.conditions, *plan.earlier)
    wanted = {condition.digest for condition in known}
    seeds = set(plan.seeds)
    for name, digest, seed in (*journal.finished, *journal.failed):
        if name == plan.run and digest in wanted:
            seeds.add(seed)
    return table_of(plan.run, known, sorted(seeds), journal)


def failures(out: str | Path) -> pd.DataFrame:
    """Return the runs of a sweep that failed, with their tracebacks.

    Args:
        out: The folder of the sweep.

    Returns:
        One row for each run that failed: the values of its condition, ``seed``, ``problem`` and
        ``traceback``. It is empty if none did.

    Raises:
        ValueError: If the folder holds no sweep.

    Example:
        >>> from daleml.experiments import failures, sweep
        >>> def run(seed):
        ...     return {"inverse": 1 / seed}
        >>> folder = getfixture("tmp_path")
        >>> table = sweep(
        ...     run, seeds=2, out=folder, jobs=1, progress=False, on_message=lambda line: None
        ... )
        >>> failures(folder).problem.tolist()
        ['ZeroDivisionError: division by zero']
    """
    plan, journal = _read(Path(out))
    table = read(out)
    known = {}
    for condition in (*plan.conditions, *plan.earlier):
        known[condition.digest] = condition
    rows = []
    for (name, digest, seed), problem in journal.failed.items():
        if name == plan.run and digest in known:
            rows.append((digest, seed, problem))
    order = {digest: rank for rank, digest in enumerate(known)}
    rows.sort(key=lambda row: (order[row[0]], row[1]))
    failed = table[table.problem != ""].reset_index(drop=True)
    columns = [*table.attrs[CONDITIONS], "seed", "problem"]
    return failed[columns].assign(traceback=[problem for _, _, problem in rows])


def status(out: str | Path) -> Status:
    """Return how far the sweep of a folder is.

    Args:
        out: The folder.

    Raises:
        ValueError: If the folder holds no sweep.

    Example:
        >>> from daleml.experiments import status, sweep
        >>> folder = getfixture("tmp_path")
        >>> table = sweep(
        ...     lambda seed: {"loss": 1.0}, seeds=3, out=folder, jobs=1, progress=False
        ... )
        >>> status(folder)
        Status(asked=3, finished=3, failed=0)
    """
    plan, journal = _read(Path(out))
    keys = plan.run_keys()
    finished = sum(key in journal.finished for key in keys)
    failed = sum(key in journal.failed for key in keys)
    return Status(len(keys), finished, failed)


def _read(folder: Path) -> tuple[Plan, Journal]:
    """Read a folder into which somebody may be writing."""
    plan = Plan.read(folder)
    if plan is None:
        raise ValueError(
            f"`out` must be the folder of a sweep; `{folder}` has no {PLAN}."
        )
    # The last line may be half written at this moment: that is nothing to tell of.
    journal = Journal(folder / JOURNAL, lambda line: None)
    for entry in ResultFiles.of(folder / JOURNAL).all_waiting():
        journal.keep(entry)
    return plan, journal


def table_of(
    run: str, conditions: Sequence[Condition], seeds: Sequence[int], journal: Journal
) -> pd.DataFrame:
    """Return the table of those runs that have ended.

    Args:
        run: The name of the function.
        conditions: The conditions, in order.
        seeds: The seeds, in order.
        journal: What has ended.
    """
    import pandas as pd

    rows = list(_rows(run, conditions, seeds, journal))
    of_conditions = _names(condition.columns() for condition in conditions)
    # Named conditions first, whether or not the first of all has a name.
    of_conditions.sort(key=lambda name: name != "condition")
    of_numbers = _names(numbers for _, _, numbers, _ in rows)
    columns: dict[str, Any] = {}
    for name in of_conditions:
        columns[name] = [condition.columns().get(name) for condition, *_ in rows]
    columns["seed"] = [seed for _, seed, _, _ in rows]
    for name in of_numbers:
        values = [numbers.get(name, math.nan) for _, _, numbers, _ in rows]
        columns[name] = pd.Series(values, dtype="float64")
    columns["problem"] = [last_line(problem) for *_, problem in rows]
    table = pd.DataFrame(columns)
    table.attrs[CONDITIONS] = of_conditions
    return table


def _rows(
    run: str, conditions: Sequence[Condition], seeds: Sequence[int], journal: Journal
) -> Iterator[tuple[Condition, int, Mapping[str, float], str]]:
    for condition in conditions:
        for seed in seeds:
            key: RunKey = (run, condition.digest, seed)
            if key in journal.finished:
                yield condition, seed, journal.finished[key], ""
            elif key in journal.failed:
                yield condition, seed, {}, journal.failed[key]


def _names(mappings: Iterator[Mapping[str, Any]] | Any) -> list[str]:
    """Return the names of several mappings, in the order in which they come first."""
    found: dict[str, None] = {}
    for mapping in mappings:
        found.update(dict.fromkeys(mapping))
    return list(found)


def oddities(
    run: str, conditions: Sequence[Condition], seeds: Sequence[int], journal: Journal
) -> list[str]:
    """Return sentences on what is unusual about the numbers of a sweep.

    Args:
        run: The name of the function.
        conditions: The conditions.
        seeds: The seeds.
        journal: What has ended.
    """
    finished, n_failed = [], 0
    for _, _, numbers, problem in _rows(run, conditions, seeds, journal):
        if problem:
            n_failed += 1
        else:
            finished.append(numbers)
    said = []
    n = len(finished)
    for name in _names(finished):
        lacking = sum(name not in numbers for numbers in finished)
        nan = sum(math.isnan(numbers.get(name, 0.0)) for numbers in finished)
        if lacking:
            said.append(f"{lacking:,} of {n:,} runs returned no {name!r}.")
        if nan:
            said.append(f"{nan:,} of {n:,} runs returned NaN for {name!r}.")
    if n_failed:
        said.append(
            f"{n_failed:,} of {n + n_failed:,} runs failed: the column `problem` says why,"
            " `daleml.experiments.failures` shows where, and `repeat_failed=True` runs them"
            " again."
        )
    return said
