"""Sweeps of 60 runs whose parents and workers are killed: the same table to the bit, no run twice, none lost.

Parents are killed after a number of results drawn from a fixed seed, or at a moment drawn from
it; ``DALEML_KILLS`` says how often. A run counts as run when it has come to its end.
"""

import contextlib
import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daleml.experiments import read, sweep
from tests._support.test_workers import family, lives, wait_until
from tests.experiments import studies

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="asks Linux who is whose child"),
]

KILLS = int(os.environ.get("DALEML_KILLS", "4"))
GRID = {"lr": [0.1, 0.2, 0.4]}
SEEDS = 20
ONCE = sorted(f"{seed} {lr}" for seed in range(SEEDS) for lr in GRID["lr"])

PARENT = """
import functools, sys
from daleml.experiments import sweep
from tests.experiments import studies

def main(kind, where, out, ledger, pause):
    run = functools.partial(studies.counted, ledger=ledger, pause=float(pause))
    grid, seeds = {grid}, {seeds}
    options = dict(seeds=seeds, out=out, progress=False)
    if kind == "dask":
        from distributed import Client
        with Client(where) as client:
            sweep(run, grid, executor=client.get_executor(), **options)
    elif kind == "submitit":
        import submitit
        executor = submitit.AutoExecutor(where, cluster="local")
        executor.update_parameters(timeout_min=30)
        sweep(run, grid, executor=executor, jobs=2, **options)
    else:
        sweep(run, grid, jobs=2, **options)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The table of runs that nothing disturbed."""
    return sweep(
        studies.draws,
        GRID,
        seeds=SEEDS,
        out=tmp_path_factory.mktemp("alone"),
        jobs=1,
        progress=False,
    )


class Parent:
    """Starts a sweep in a process of its own, again and again."""

    def __init__(self, tmp_path, kind, where, pause=0.2):
        self.out, self.ledger = tmp_path / "out", tmp_path / "ledger"
        script = tmp_path / "parent.py"
        script.write_text(PARENT.format(grid=GRID, seeds=SEEDS))
        arguments = (kind, where, self.out, self.ledger, pause)
        self.command = [sys.executable, str(script), *map(str, arguments)]

    def start(self):
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
        return subprocess.Popen(
            self.command,
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def done(self):
        """Return how many runs are known to have ended."""
        with contextlib.suppress(ValueError):
            return len(read(self.out))
        return 0

    def start_until(self, count, wait=0.0):
        """Start it, and return it when so many runs have ended, some time after."""
        process = self.start()
        ended = lambda: process.poll() is not None  # noqa: E731
        assert wait_until(lambda: ended() or self.done() >= count, 300)
        time.sleep(wait)
        return process

    def kill_at(self, count, wait=0.0):
        """Kill it when so many runs have ended; return the processes that it had started."""
        process = self.start_until(count, wait)
        started = family(process.pid)
        process.kill()
        process.wait()
        process.stderr.close()
        assert process.returncode in (0, -signal.SIGKILL)
        return started

    def finish(self):
        process = self.start()
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said.decode()[-2000:]
        return said.decode()


def require_each_once(parent, alone):
    assert studies.ended(parent.ledger) == ONCE
    table = read(parent.out)
    assert table.equals(alone)
    assert table.problem.eq("").all()


def require_gone(started):
    assert wait_until(lambda: not any(map(lives, started)), seconds=20)


def moments(seed):
    """Yield after how many results to kill, and how long to wait then."""
    rng = random.Random(seed)
    for count in sorted(rng.sample(range(1, 50), KILLS)):
        yield count, rng.uniform(0, 0.4)


def test_on_a_dask_cluster(tmp_path, alone):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=50,
    ) as cluster:
        parent = Parent(tmp_path, "dask", cluster.scheduler_address)
        for number, (count, wait) in enumerate(moments(0)):
            parent.kill_at(count, wait)
            if number % 2:
                # A worker too, while nobody waits for it.
                worker = random.Random(number).choice(list(cluster.workers.values()))
                os.kill(worker.process.process.pid, signal.SIGKILL)
        parent.finish()
    require_each_once(parent, alone)


def test_on_a_dask_cluster_whose_workers_are_killed_meanwhile(tmp_path, alone):
    from distributed import Client, LocalCluster

    ledger = tmp_path / "ledger"
    run = functools.partial(studies.killing, ledger=str(ledger), pause=0.1)
    said = []
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):
        table = sweep(
            run,
            GRID,
            seeds=SEEDS,
            out=tmp_path / "out",
            executor=client.get_executor(),
            progress=False,
            on_message=said.append,
        )
    assert studies.ended(ledger) == ONCE
    assert table.equals(alone)
    assert [line for line in said if "was killed while it ran this" in line]


def test_by_submitit_on_this_machine(tmp_path, alone):
    parent = Parent(tmp_path, "submitit", tmp_path / "jobs")
    for number, (count, wait) in enumerate(moments(1)):
        jobs = parent.kill_at(count, wait)
        if number % 2 and jobs:
            # A job that is at work, or about to begin.
            with contextlib.suppress(ProcessLookupError):
                os.kill(jobs[-1], signal.SIGKILL)
    parent.finish()
    require_each_once(parent, alone)


def test_by_submitit_with_a_job_that_is_killed_meanwhile(tmp_path, alone, monkeypatch):
    import submitit

    # It waits so long for the file of a job that ended without one.
    monkeypatch.setattr(submitit.core.core.Job, "_results_timeout_s", 0)
    ledger = tmp_path / "ledger"
    run = functools.partial(studies.killing, ledger=str(ledger))
    executor = submitit.AutoExecutor(tmp_path / "jobs", cluster="local")
    executor.update_parameters(timeout_min=30)
    said = []
    table = sweep(
        run,
        {"lr": [0.1, 0.2]},
        seeds=3,
        out=tmp_path / "out",
        executor=executor,
        jobs=2,
        progress=False,
        on_message=said.append,
    )
    assert len(said) == 1
    assert "seed 2: the process that ran this was killed" in said[0]
    rows = alone[alone.lr.isin([0.1, 0.2]) & (alone.seed < 3)].reset_index(drop=True)
    assert table.equals(rows)
    assert len(studies.ended(ledger)) == 6


def test_in_processes_of_this_machine_and_none_is_left(tmp_path, alone):
    parent = Parent(tmp_path, "here", "")
    for count, wait in moments(2):
        require_gone(parent.kill_at(count, wait))
    parent.finish()
    require_each_once(parent, alone)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_a_good_journal_and_no_process(number, tmp_path, alone):
    parent = Parent(tmp_path, "here", "")
    process = parent.start_until(5)
    started = family(process.pid)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said or b"Stopped" in said
    require_gone(started)
    assert "damaged" not in parent.finish()
    require_each_once(parent, alone)
