"""Run what is missing of the experiments behind some claims, in parallel, and judge the claims."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daleml import require
from daleml._support import atomic_files, locks, workers
from daleml.experiments import cluster
from daleml.experiments.journal import Journal
from daleml.experiments.provenance import machine
from daleml.reproductions.claim import BUDGETS, Claim, Experiment, Numbers, Settings
from daleml.reproductions.sweep import Sweep, Swept, measure, names
from daleml.reproductions.verdict import Outcome, judge


@dataclass(frozen=True)
class Reproduction:
    """Claims with their verdicts.

    Attributes:
        budget: ``"quick"``, ``"paper"`` or ``"long"``.
        outcomes: One a claim, in their order.
        sweeps: Figures that were asked for and could be measured.
        failures: Sentences of experiments that could not be run, by experiment and seed.
        machine: What they were run on.
    """

    budget: str
    outcomes: tuple[Outcome, ...]
    sweeps: tuple[Swept, ...]
    failures: dict[str, str]
    machine: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return {
            "budget": self.budget,
            "machine": self.machine,
            "failures": self.failures,
            "claims": [outcome.to_dict() for outcome in self.outcomes],
            "sweeps": [swept.to_dict() for swept in self.sweeps],
        }


def reproduce(
    claims: Sequence[Claim],
    out: Path,
    *,
    sweeps: Sequence[Sweep] = (),
    budget: str = "quick",
    jobs: int | None = None,
    scheduler: str | None = None,
    save: bool = True,
    say: Callable[[str], object] = lambda line: None,
    progress: Callable[[int, int, str], object] = lambda done, total, name: None,
) -> Reproduction:
    """Run every seed that is not in the journal yet, and judge the claims.

    Args:
        claims: What to reproduce.
        out: Folder of ``journal.jsonl``, and of ``claims.json``, written at the end.
        sweeps: Figures to measure too.
        budget: How many seeds of which settings: ``"quick"``, ``"paper"`` or ``"long"``.
        jobs: Processes at once, at least 1. Default: one per core, or every worker of the
            cluster. Never more than there are seeds to run or, on this machine, cores.
        scheduler: Address of a Dask scheduler to run on, such as ``"tcp://host:8786"``;
            default: this machine. It has to be trusted: Dask's messages are pickles, by which
            whoever answers there can run any code here.
        save: Whether to write ``claims.json``; False where it is written with the page, as one set.
        say: Called with a sentence about anything unusual.
        progress: Called with the number of seeds done, of all, and the experiment of the last.

    Raises:
        ValueError: If there is no such budget, ``jobs`` is below 1, ``out`` cannot be written
            to or another process writes into it, or ``scheduler`` is none.
    """
    if budget not in BUDGETS:
        raise ValueError(
            f"`budget` must be one of {', '.join(BUDGETS)}; got {budget!r}."
        )
    if jobs is not None:
        require.integer("jobs", jobs, minimum=1)
    folder = atomic_files.folder("out", out)
    with locks.only_writer(folder, "out"):
        return _reproduce(
            claims, folder, sweeps, budget, jobs, scheduler, save, say, progress
        )


def _reproduce(
    claims: Sequence[Claim],
    out: Path,
    sweeps: Sequence[Sweep],
    budget: str,
    jobs: int | None,
    scheduler: str | None,
    save: bool,
    say: Callable[[str], object],
    progress: Callable[[int, int, str], object],
) -> Reproduction:
    journal = Journal(out / "journal.jsonl", say)
    experiments = {
        claim.experiment.name: claim.experiment for claim in claims if claim.experiment
    }
    experiments |= {
        panel.experiment.name: panel.experiment
        for sweep in sweeps
        for panel in sweep.panels
    }
    _forget_other_numbers(journal, _needed(claims, sweeps, budget), say)
    wanted = [
        (experiment, seed)
        for experiment in experiments.values()
        for seed in range(experiment.seeds[budget])
    ]
    missing = [
        (e, seed)
        for e, seed in wanted
        if (e.name, e.digest(budget), seed) not in journal.finished
    ]
    missing.sort(
        key=lambda pair: -pair[0].minutes.get(budget, 0.0)
    )  # a long one begun last would leave cores idle
    failures: dict[str, str] = {}
    done = len(wanted) - len(missing)
    progress(done, len(wanted), "")
    with _results(missing, budget, jobs, scheduler, say) as results:
        for name, seed, numbers, problem in results:
            done += 1
            if problem:
                failures[f"{name}, seed {seed}"] = problem
                say(f"{name}, seed {seed}, could not be run: {problem}")
            else:
                journal.add((name, experiments[name].digest(budget), seed), numbers)
            progress(done, len(wanted), name)

    def seeds_of(experiment: Experiment | None) -> list[Numbers]:
        return _seeds(experiment, budget, journal)

    outcomes = tuple(judge(claim, seeds_of(claim.experiment)) for claim in claims)
    measured = (measure(sweep, budget, seeds_of) for sweep in sweeps)
    swept = tuple(one for one in measured if one is not None)
    result = Reproduction(
        budget, outcomes, swept, dict(sorted(failures.items())), machine()
    )
    if save:
        atomic_files.write_json(out / "claims.json", result.to_dict())
    return result


def _needed(
    claims: Sequence[Claim], sweeps: Sequence[Sweep], budget: str
) -> dict[tuple[str, str], set[str]]:
    """Return the names of the numbers that are judged or shown, by experiment and digest of its settings."""
    needed: dict[tuple[str, str], set[str]] = {}
    for claim in claims:
        if claim.experiment:
            key = claim.experiment.name, claim.experiment.digest(budget)
            needed.setdefault(key, set()).update(check.number for check in claim.checks)
    for sweep in sweeps:
        for panel in sweep.panels:
            key = panel.experiment.name, panel.experiment.digest(budget)
            needed.setdefault(key, set()).update(names(panel, budget))
    return needed


def _forget_other_numbers(
    journal: Journal,
    needed: dict[tuple[str, str], set[str]],
    say: Callable[[str], object],
) -> None:
    """Run again the seeds whose lines are whole but hold other numbers, as those of another version may."""
    for key, numbers in list(journal.finished.items()):
        lacking = needed.get(key[:2], set()) - numbers.keys()
        if lacking:
            say(
                f"`{journal.path}`: {key[0]}, seed {key[2]}, lacks {sorted(lacking)[0]!r}:"
                " it is run again."
            )
            del journal.finished[key]


def _seeds(
    experiment: Experiment | None, budget: str, journal: Journal
) -> list[Numbers]:
    if experiment is None:
        return []
    keys = [
        (experiment.name, experiment.digest(budget), seed)
        for seed in range(experiment.seeds[budget])
    ]
    return [journal.finished[key] for key in keys if key in journal.finished]


Result = tuple[str, int, Numbers, str]


@contextlib.contextmanager
def _results(
    missing: Sequence[tuple[Experiment, int]],
    budget: str,
    jobs: int | None,
    scheduler: str | None,
    say: Callable[[str], object],
) -> Iterator[Iterator[Result]]:
    """Hand over the results as they come."""
    calls = [
        (experiment.run, experiment.name, seed, experiment.settings[budget])
        for experiment, seed in missing
    ]
    if not calls:
        yield iter(())
        return
    if scheduler is not None:
        with cluster.results(scheduler, _one, calls, jobs) as found:
            yield found
        return
    processes = workers.count(jobs, len(calls))
    if told := workers.fewer(jobs, processes):
        say(told)
    with contextlib.closing(
        workers.run(_one, calls, processes, ordered=False)
    ) as local:
        yield local


def _one(
    run: Callable[[int, Settings], Numbers], name: str, seed: int, settings: Settings
) -> Result:
    """Run one seed on one thread, so that numbers do not depend on how many run at once."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return name, seed, run(seed, settings), ""
    except Exception as error:
        return name, seed, {}, f"{type(error).__name__}: {' '.join(str(error).split())}"
    finally:
        torch.set_num_threads(threads)
