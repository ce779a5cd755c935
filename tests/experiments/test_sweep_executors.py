"""Executors of all kinds give the same table; whoever is killed, no run is lost and none is run twice."""

import concurrent.futures
import functools
import os
import signal
import sys
import threading
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from daleml._support.workers import WorkerError
from daleml.experiments import gathering, read, sweep
from daleml.experiments.journal import Journal
from daleml.experiments.journal_entry import Entry
from daleml.experiments.result_files import NAME, ResultFiles
from daleml.experiments.sweep_plan import JOURNAL, Plan
from tests.experiments import studies

LEAVES_LOGS_OPEN = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"  # submitit's executor for debugging
)
GRID = {"lr": [0.1, 0.2]}


def do(run, grid=None, *, out, **options):
    said = []
    options = {"progress": False, "on_message": said.append} | options
    return sweep(run, grid, out=out, **options), said


@pytest.fixture
def alone(tmp_path):
    """The table of runs that nothing disturbed."""
    table, _ = do(studies.draws, GRID, seeds=3, out=tmp_path / "alone", jobs=1)
    return table


def counting(tmp_path, run=studies.counted, **settings):
    ledger = tmp_path / "ledger"
    return functools.partial(run, ledger=str(ledger), **settings), ledger


ONCE = sorted(f"{seed} {lr}" for seed in range(3) for lr in (0.1, 0.2))


# -- the same to the bit


def test_threads_take_turns(tmp_path, alone):
    with concurrent.futures.ThreadPoolExecutor(3) as executor:
        table, said = do(
            studies.draws, GRID, seeds=3, out=tmp_path / "out", executor=executor
        )
    assert table.equals(alone)
    assert not said


def test_processes_one_of_which_is_killed(tmp_path, alone):
    """The run is a function of this test, and travels by value."""
    run, ledger = counting(tmp_path, studies.killing)

    def measure(seed, lr):
        return run(seed, lr=lr)

    table, said = do(measure, GRID, seeds=3, out=tmp_path / "out", jobs=2)
    assert table.equals(alone)
    assert studies.ended(ledger) == ONCE
    (sentence,) = said
    assert sentence.endswith(
        "seed 2: the process that ran this was killed, as happens where memory runs out;"
        " it is run again."
    )
    assert not (tmp_path / "out" / NAME).exists()


@LEAVES_LOGS_OPEN
def test_submitit_s_own_process(tmp_path, alone):
    submitit = pytest.importorskip("submitit")
    run, ledger = counting(tmp_path)
    executor = submitit.DebugExecutor(tmp_path / "jobs")
    table, said = do(run, GRID, seeds=3, out=tmp_path / "out", executor=executor)
    assert table.equals(alone)
    assert studies.ended(ledger) == ONCE
    assert not said


@LEAVES_LOGS_OPEN
def test_jobs_of_a_queue_go_there_as_arrays(tmp_path, alone, monkeypatch):
    submitit = pytest.importorskip("submitit")
    from daleml.experiments import executors

    sizes = []

    class Queue(submitit.DebugExecutor):
        cluster = "slurm"

        def _internal_process_submissions(self, submissions):
            sizes.append(len(submissions))
            return super()._internal_process_submissions(submissions)

    monkeypatch.setattr(executors, "_LARGEST_ARRAY", 4)
    executor = Queue(tmp_path / "jobs")
    table, _ = do(studies.draws, GRID, seeds=3, out=tmp_path / "out", executor=executor)
    assert sizes == [4, 2]
    assert table.equals(alone)


def test_a_job_that_runs_out_of_time_is_queued_again_where_it_has_a_folder():
    pytest.importorskip("submitit")
    from daleml.experiments.executors import _work_of
    from daleml.experiments.shipping import Shipped
    from daleml.experiments.worker_calls import Job, RunCall

    key = ("run", "digest", 0)
    without = Job(Shipped(len), (RunCall(key, "", Shipped({})),))
    with_folder = Job(Shipped(len), (RunCall(key, "", Shipped({}), "folder"),))
    assert not hasattr(_work_of(without), "checkpoint")
    again = _work_of(with_folder).checkpoint(with_folder)
    assert again.args == (with_folder,)
    assert type(again.function) is type(_work_of(with_folder))


# -- killed, and started again


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_killed_after_some_results_it_does_what_is_missing(tmp_path, alone):
    out = tmp_path / "out"
    run, ledger = counting(tmp_path)

    def killed_at(count):
        def counted(seed, lr):
            if ledger.exists() and len(studies.ended(ledger)) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return run(seed, lr=lr)

        process = os.fork()
        if process == 0:
            do(counted, GRID, seeds=3, out=out, jobs=1)
            os._exit(0)
        assert os.waitpid(process, 0)[1] == signal.SIGKILL

    for count in (1, 3, 4):
        killed_at(count)
        # Whoever looks meanwhile sees what has ended.
        assert len(read(out)) == count
    table, said = do(run, GRID, seeds=3, out=out, jobs=1)
    assert studies.ended(ledger) == ONCE
    assert table.equals(alone)
    # The function that killed was another one of the same name.
    assert [sentence[:36] for sentence in said] == [
        "The source of 'counted' has changed "
    ]


def test_ctrl_c_leaves_a_good_journal(tmp_path, alone):
    run, ledger = counting(tmp_path)

    def counted(seed, lr):
        if seed == 2 and lr == 0.1:
            raise KeyboardInterrupt
        return run(seed, lr=lr)

    with pytest.raises(KeyboardInterrupt):
        do(counted, GRID, seeds=3, out=tmp_path / "out", jobs=1)
    assert len(Journal(tmp_path / "out" / JOURNAL, pytest.fail).finished) == 2
    table, _ = do(run, GRID, seeds=3, out=tmp_path / "out", jobs=1)
    assert table.equals(alone)
    assert studies.ended(ledger) == ONCE


def test_what_workers_kept_while_nobody_waited_is_not_run_again(tmp_path):
    """As jobs of SLURM do, whose parent was killed."""
    run, ledger = counting(tmp_path)
    out = tmp_path / "out"
    do(run, {"lr": [0.1]}, seeds=1, out=out, jobs=1)
    digest = Plan.read(out).conditions[0].digest
    kept = ResultFiles.of(out / JOURNAL)
    kept.write(Entry(("counted", digest, 1), {"x": 3.0}))
    kept.write(Entry(("counted", digest, 2), {}, problem="RuntimeError: no"))
    assert len(read(out)) == 3, "seen before anybody gathers them"
    table, _ = do(run, {"lr": [0.1]}, seeds=4, out=out, jobs=1)
    assert studies.ended(ledger) == ["0 0.1", "3 0.1"]
    assert table.x[1] == 3.0
    assert table.problem.tolist() == ["", "", "RuntimeError: no", ""]
    assert not (out / NAME).exists()


def test_of_several_seeds_in_a_job_those_that_ended_are_kept(tmp_path):
    run, ledger = counting(tmp_path)

    def stopped(seed):
        if seed == 2:
            raise KeyboardInterrupt
        return run(seed)

    with pytest.raises(KeyboardInterrupt):
        do(stopped, seeds=4, out=tmp_path / "out", jobs=1, batch=4)
    assert len(read(tmp_path / "out")) == 2
    stopped.__code__ = (lambda seed: run(seed)).__code__
    do(stopped, seeds=4, out=tmp_path / "out", jobs=1, batch=4)
    assert studies.ended(ledger) == [f"{seed} 0.1" for seed in range(4)]


@pytest.mark.parametrize("ends_well", [True, False])
def test_what_another_process_is_running_is_waited_for(
    ends_well, tmp_path, monkeypatch
):
    """As a worker of a Dask cluster is, whose client was killed."""
    run, ledger = counting(tmp_path)
    out = tmp_path / "out"
    do(run, {"lr": [0.1]}, seeds=1, out=out, jobs=1)
    digest = Plan.read(out).conditions[0].digest
    kept, key = ResultFiles.of(out / JOURNAL), ("counted", digest, 1)
    monkeypatch.setattr(gathering, "_PATIENCE", 0.01)
    look, looks = gathering.Gathering._look_elsewhere, []

    def look_and_count(self):
        looks.append(len(self._elsewhere))
        if len(looks) == 5:
            if ends_well:
                kept.write(Entry(key, {"x": 3.0}))
            holding.__exit__(None, None, None)
        yield from look(self)

    monkeypatch.setattr(gathering.Gathering, "_look_elsewhere", look_and_count)
    holding = kept.hold(key)
    assert holding.__enter__().held
    table, _ = do(run, {"lr": [0.1]}, seeds=2, out=out, jobs=1)
    assert looks[:4] == [1] * 4
    assert studies.ended(ledger) == (["0 0.1"] if ends_well else ["0 0.1", "1 0.1"])
    assert ("x" in table) == ends_well


def test_a_job_of_an_earlier_start_finds_what_was_done_meanwhile(tmp_path):
    """As one does that has waited in the queue of SLURM for longer than the sweep took."""
    run, ledger = counting(tmp_path)
    out, jobs = tmp_path / "out", []

    class Late:
        """Takes jobs, and loses them."""

        def submit(self, function, job):
            jobs.append((function, job))
            raise RuntimeError("the client was killed")

    with pytest.raises(WorkerError, match="^the executor could not run what it was"):
        do(run, {"lr": [0.1]}, seeds=1, out=out, executor=Late())
    do(run, {"lr": [0.1]}, seeds=1, out=out, jobs=1)
    ((function, job),) = jobs
    (outcome,) = function(job)
    assert outcome.entry == Entry.read((out / JOURNAL).read_bytes())
    assert studies.ended(ledger) == ["0 0.1"]


# -- executors that fail


class Failing:
    """An executor each of whose calls fails for a number of times."""

    def __init__(self, error, times):
        self.error = error
        self.times = times
        self.calls = Counter()

    def submit(self, function, job):
        future = concurrent.futures.Future()
        key = job.runs[0].key
        self.calls[key] += 1
        if self.calls[key] <= self.times:
            future.set_exception(self.error)
        else:
            future.set_result(function(job))
        return future


class KilledWorker(Exception):  # noqa: N818
    """Called as Dask's own."""


def test_a_run_that_kills_its_workers_is_given_up(tmp_path):
    executor = Failing(KilledWorker("four workers"), 2)
    table, said = do(studies.draws, seeds=2, out=tmp_path / "a", executor=executor)
    assert table.problem.tolist() == ["", ""]
    assert len(said) == 4
    executor = Failing(KilledWorker("four workers"), 9)
    table, said = do(
        studies.draws, seeds=2, out=tmp_path / "b", executor=executor, attempts=2
    )
    assert set(executor.calls.values()) == {2}
    assert (
        table.problem.tolist()
        == [
            "WorkerError: each of the 2 processes that ran this was killed, as happens where"
            " memory runs out"
        ]
        * 2
    )


@pytest.mark.parametrize(
    "error",
    [
        BrokenProcessPool("a process in the pool was terminated"),
        ModuleNotFoundError("No module named 'mine'"),
        concurrent.futures.CancelledError(),
    ],
    ids=repr,
)
def test_an_executor_that_can_run_no_more_is_one_sentence(error, tmp_path):
    with pytest.raises(WorkerError) as raised:
        do(studies.draws, seeds=2, out=tmp_path, executor=Failing(error, 1))
    assert type(error).__name__ in str(raised.value)
    assert str(raised.value).endswith("runs that are finished are kept.")
    table, said = do(studies.draws, seeds=2, out=tmp_path, jobs=1)
    assert not said
    assert len(table) == 2


def test_no_more_is_handed_over_than_jobs_allow(tmp_path):
    class Counted(concurrent.futures.ThreadPoolExecutor):
        now = most = 0
        lock = threading.Lock()

        def submit(self, function, job):
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            future = super().submit(function, job)
            future.add_done_callback(self.ended)
            return future

        def ended(self, future):
            with self.lock:
                self.now -= 1

    with Counted(4) as executor:
        do(studies.draws, seeds=8, out=tmp_path, executor=executor, jobs=2)
    assert executor.most <= 2


def test_what_cannot_be_pickled_is_one_sentence(tmp_path):
    lock = threading.Lock()

    def run(seed):
        with lock:
            return {"loss": 1.0}

    with (
        concurrent.futures.ThreadPoolExecutor(1) as executor,
        pytest.raises(TypeError, match="^`run` must be something that other proc"),
    ):
        do(run, seeds=2, out=tmp_path, executor=executor)
    table, _ = do(run, seeds=2, out=tmp_path, jobs=1)
    assert table.loss.tolist() == [1.0, 1.0]


def test_a_worker_that_does_not_see_the_folder_returns_what_it_found(tmp_path):
    from daleml.experiments.worker_calls import work

    jobs = []

    class Keeps(concurrent.futures.ThreadPoolExecutor):
        def submit(self, function, job):
            jobs.append(job)
            return super().submit(function, job)

    with Keeps(1) as executor:
        table, _ = do(studies.draws, seeds=1, out=tmp_path / "a", executor=executor)
    Path(tmp_path / "a").rename(tmp_path / "b")
    (outcome,) = work(jobs[0])
    assert outcome.entry.numbers["torch"] == table.torch[0]
    assert not (tmp_path / "a").exists()
