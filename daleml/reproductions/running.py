"""Run what is missing of the experiments behind some claims, in parallel, and judge the claims."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daleml import _checks, _files
from daleml.reproductions.claim import BUDGETS, Claim, Experiment, Numbers, Settings
from daleml.reproductions.journal import Journal
from daleml.reproductions.sweep import Sweep, Swept, measure
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
    say: Callable[[str], object] = lambda line: None,
    progress: Callable[[int, int, str], object] = lambda done, total, name: None,
) -> Reproduction:
    """Run every seed that is not in the journal yet, and judge the claims.

    Args:
        claims: What to reproduce.
        out: Folder of ``journal.jsonl``, and of ``claims.json``, written at the end.
        sweeps: Figures to measure too.
        budget: How many seeds of which settings: ``"quick"``, ``"paper"`` or ``"long"``.
        jobs: Processes at once. Default: one a core, or every worker of the cluster.
        scheduler: Address of a Dask scheduler to run on, such as ``"tcp://host:8786"``; default: this machine.
        say: Called with a sentence about anything unusual.
        progress: Called with the number of seeds done, of all, and the experiment of the last.

    Raises:
        ValueError: If there is no such budget, ``jobs`` is below 1, or ``out`` cannot be written to.
    """
    if budget not in BUDGETS:
        raise ValueError(f"`budget` must be one of {', '.join(BUDGETS)}; got {budget!r}.")
    if jobs is not None:
        _checks.integer("jobs", jobs, minimum=1)
    journal = Journal(_files.folder("out", out) / "journal.jsonl", say)
    experiments = {claim.experiment.name: claim.experiment for claim in claims if claim.experiment}
    experiments |= {panel.experiment.name: panel.experiment for sweep in sweeps for panel in sweep.panels}
    wanted = [(experiment, seed) for experiment in experiments.values() for seed in range(experiment.seeds[budget])]
    missing = [(e, seed) for e, seed in wanted if (e.name, e.digest(budget), seed) not in journal.finished]
    missing.sort(key=lambda pair: -pair[0].minutes.get(budget, 0.0))  # a long one begun last would leave cores idle
    failures: dict[str, str] = {}
    done = len(wanted) - len(missing)
    progress(done, len(wanted), "")
    with _results(missing, budget, jobs, scheduler) as results:
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
    result = Reproduction(budget, outcomes, swept, dict(sorted(failures.items())), machine())
    _files.write_json(out / "claims.json", result.to_dict())
    return result


def _seeds(experiment: Experiment | None, budget: str, journal: Journal) -> list[Numbers]:
    if experiment is None:
        return []
    keys = [(experiment.name, experiment.digest(budget), seed) for seed in range(experiment.seeds[budget])]
    return [journal.finished[key] for key in keys if key in journal.finished]


Result = tuple[str, int, Numbers, str]


@contextlib.contextmanager
def _results(
    missing: Sequence[tuple[Experiment, int]], budget: str, jobs: int | None, scheduler: str | None
) -> Iterator[Iterator[Result]]:
    """Hand over the results as they come."""
    from joblib import Parallel, delayed, parallel_config

    calls = [(experiment.run, experiment.name, seed, experiment.settings[budget]) for experiment, seed in missing]
    if not calls:
        yield iter(())
        return
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            stack.enter_context(parallel_config("loky", n_jobs=jobs or os.cpu_count() or 1))
        else:
            stack.enter_context(_cluster(scheduler))
            stack.enter_context(parallel_config("dask", n_jobs=jobs or -1))
        # seeds are minutes long: handing over one at a time costs nothing, and loses least
        workers = Parallel(
            return_as="generator_unordered", batch_size=1, pre_dispatch="all" if scheduler else "2*n_jobs"
        )
        yield workers(delayed(_one)(*call) for call in calls)


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[None]:
    """Connect to a Dask scheduler for as long as it is needed.

    Raises:
        ValueError: If Dask is not installed, or nothing answers at the address.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ValueError(
            "`scheduler` must be left out unless dask is installed: pip install 'daleml[cluster]'."
        ) from None
    try:
        client = Client(address, timeout="10s")  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError) as error:
        raise ValueError(f"`scheduler` must be the address of a Dask scheduler; got {address!r}: {error}.") from None
    with client:
        yield


def _one(run: Callable[[int, Settings], Numbers], name: str, seed: int, settings: Settings) -> Result:
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


def machine() -> dict[str, str]:
    """Return what numbers may depend on: the processor, and versions; and the commit, where there is one."""
    import numpy as np
    import scipy
    import torch

    import daleml

    commit = ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        here = Path(__file__).parent
        found = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        )
        commit = found.stdout.strip()
    return {
        "processor": _processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "daleml": daleml.__version__,
        "commit": commit,
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
