"""A run of some claims: missing seeds of their experiments are run, and claims judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daleml import require
from daleml._support import atomic_files, locks
from daleml.experiments.experiment import BUDGETS, Experiment, Numbers
from daleml.experiments.journal import Journal
from daleml.experiments.provenance import machine as machine
from daleml.experiments.running import (
    finished_numbers,
    run_missing,
    runs_of,
    spent_minutes,
)
from daleml.reproductions.claim import Claim
from daleml.reproductions.sweep import Sweep, Swept, measure
from daleml.reproductions.verdict import Outcome, judge


@dataclass(frozen=True)
class Reproduction:
    """Claims with their verdicts.

    Attributes:
        budget: ``"quick"``, ``"paper"`` or ``"long"``.
        outcomes: The claims with their verdicts, in the claims' order.
        sweeps: The figures that were asked for and could be measured.
        failures: Why seeds could not be run, by experiment and seed.
        machine: The machine, the versions and the commit that they were run on.

    Example:
        >>> from daleml.reproductions import Claim, reproduce
        >>> claim = Claim("9a", "Nobody knows.", "nowhere", None, note="Not tested: no data.")
        >>> result = reproduce([claim], getfixture("tmp_path"))
        >>> [(outcome.claim.id, outcome.verdict) for outcome in result.outcomes]
        [('9a', 'not tested')]
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
            "claims": [self._kept(outcome) for outcome in self.outcomes],
            "sweeps": [swept.to_dict() for swept in self.sweeps],
        }

    def _kept(self, outcome: Outcome) -> dict[str, Any]:
        """Return an outcome with the digest of its settings: of others, it would be another."""
        experiment = outcome.claim.experiment
        digest = None
        if experiment is not None:
            digest = experiment.digest(self.budget)
        return outcome.to_dict() | {"settings": digest}


def reproduce(
    claims: Sequence[Claim],
    out: Path,
    *,
    sweeps: Sequence[Sweep] = (),
    budget: str = "quick",
    jobs: int | None = None,
    scheduler: str | None = None,
    executor: Any = None,
    save: bool = True,
    say: Callable[[str], object] = lambda line: None,
    progress: Callable[[int, int, str], object] = lambda done, total, name: None,
) -> Reproduction:
    """Run every seed that is not in the journal yet, and judge the claims.

    Args:
        claims: The claims to reproduce.
        out: Folder of ``journal.jsonl``, and of ``claims.json``, written at the end.
        sweeps: Figures to measure too.
        budget: How many seeds of which settings: ``"quick"``, ``"paper"`` or ``"long"``.
        jobs: Processes at once, at least 1. Default: one per core, or every worker of the
            cluster. Never more than there are seeds to run or, on this machine, cores.
        scheduler: Address of a Dask scheduler to run on, such as ``"tcp://host:8786"``;
            default: this machine. It has to be trusted: Dask's messages are pickles, by which
            whoever answers there can run any code here.
        executor: What to run on instead, as :func:`daleml.experiments.sweep` takes it, such as
            SLURM's; default: this machine.
        save: Whether to write ``claims.json``; False where it is written with the page, as one set.
        say: Called with a sentence about anything unusual.
        progress: Called with the number of seeds done, the number of all seeds, and the
            experiment of the last one.

    Returns:
        The claims with their verdicts, and the figures with their numbers.

    Raises:
        ValueError: If there is no such budget, ``jobs`` is below 1, ``out`` cannot be written
            to or another process writes into it, or ``scheduler`` is none.

    Example:
        >>> from daleml.reproductions import Check, Claim, Experiment, reproduce
        >>> experiment = Experiment(
        ...     "toy", lambda seed, settings: {"gap": 1.0 + seed / 8}, {"quick": {}}, {"quick": 3}
        ... )
        >>> check = Check("gap", "gap between the arms", at_least=0.0)
        >>> claim = Claim("9a", "There is a gap.", "nowhere", experiment, (check,))
        >>> result = reproduce([claim], getfixture("tmp_path"), jobs=1)
        >>> result.outcomes[0].verdict, result.outcomes[0].measured[0].mean
        ('holds', 1.125)
    """
    if budget not in BUDGETS:
        raise ValueError(
            f"`budget` must be one of {', '.join(BUDGETS)}; got {budget!r}."
        )
    if jobs is not None:
        require.integer("jobs", jobs, minimum=1)
    folder = atomic_files.folder("out", out)
    # Before the first run: a commit that is made meanwhile is not that of the code that runs.
    where = machine()
    with locks.only_writer(folder, "out"):
        # From here on, no other process can write into the folder.
        journal = Journal(folder / "journal.jsonl", say)
        journal.forget_incomplete(_needed(claims, sweeps, budget), say)
        experiments = _experiments(claims, sweeps)
        absent = _absent(experiments, budget, journal, say)
        failures = run_missing(
            runs_of([one for one in experiments if one.name not in absent], budget),
            journal,
            jobs=jobs,
            scheduler=scheduler,
            executor=executor,
            on_message=say,
            on_progress=progress,
        )
        result = _judged(claims, sweeps, budget, journal, failures, absent)
        result = dataclasses.replace(result, machine=where)
        if save:
            atomic_files.write_json(folder / "claims.json", result.to_dict())
        return result


def _experiments(claims: Sequence[Claim], sweeps: Sequence[Sweep]) -> list[Experiment]:
    """Return the experiments behind some claims and figures, each once."""
    found = [claim.experiment for claim in claims if claim.experiment]
    for sweep in sweeps:
        found += [panel.experiment for panel in sweep.panels]
    # Claims share experiments: a mapping keeps each one once, and their order.
    return list({experiment.name: experiment for experiment in found}.values())


def _absent(
    experiments: Sequence[Experiment],
    budget: str,
    journal: Journal,
    say: Callable[[str], object],
) -> dict[str, str]:
    """Return which files experiments need and lack on this machine, by their names."""
    found: dict[str, str] = {}
    for experiment in experiments:
        # What was run where the files are needs them no more.
        runs = runs_of([experiment], budget)
        if all(run.key in journal.finished for run in runs):
            continue
        sentence = experiment.absence(budget)
        if sentence:
            say(f"{experiment.name} is not tested: {sentence}")
            found[experiment.name] = sentence
    return found


def _needed(
    claims: Sequence[Claim], sweeps: Sequence[Sweep], budget: str
) -> dict[tuple[str, str], set[str]]:
    """Return the numbers that are judged or shown, by experiment and digest of its settings."""
    needed: dict[tuple[str, str], set[str]] = {}

    def add(experiment: Experiment, numbers: set[str]) -> None:
        key = experiment.name, experiment.digest(budget)
        needed.setdefault(key, set()).update(numbers)

    for claim in claims:
        if claim.experiment:
            add(claim.experiment, {check.number for check in claim.checks})
    for sweep in sweeps:
        for panel in sweep.panels:
            add(panel.experiment, panel.numbers(budget))
    return needed


def _judged(
    claims: Sequence[Claim],
    sweeps: Sequence[Sweep],
    budget: str,
    journal: Journal,
    failures: dict[str, str],
    absent: Mapping[str, str],
) -> Reproduction:
    """Judge the claims and read the figures from what the journal holds."""

    def seeds_of(experiment: Experiment | None) -> list[Numbers]:
        # Some of the seeds that were planned would be others than those.
        if experiment is None or experiment.name in absent:
            return []
        return finished_numbers(journal, experiment, budget)

    outcomes = []
    for claim in claims:
        experiment = claim.experiment
        outcome = judge(claim, seeds_of(experiment))
        if experiment is not None:
            outcome = dataclasses.replace(
                outcome,
                absent=absent.get(experiment.name, ""),
                minutes=spent_minutes(journal, experiment, budget),
            )
        outcomes.append(outcome)
    swept = [measure(sweep, budget, seeds_of) for sweep in sweeps]
    shown = [one for one in swept if one is not None]
    return Reproduction(budget, tuple(outcomes), tuple(shown), failures, {})
