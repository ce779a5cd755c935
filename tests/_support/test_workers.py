"""Workers end with the process that started them, however it ends; and there are no more of them than work."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from daleml._support import workers

PARENT = """
import contextlib, os, sys, time
from daleml._support import workers
from daleml._support.stop_signals import signals_raise

def work(place, name):
    open(os.path.join(place, str(os.getpid())), "w").close()
    time.sleep(600)

with signals_raise(), contextlib.closing(workers.run(work, [(sys.argv[1], i) for i in range(4)], 2, ordered=False)) as results:
    print("started", flush=True)
    for _ in results:
        pass
"""


def family(process):
    """Return the living processes that one started, those of theirs too, by what Linux tells of all."""
    children = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [process]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def lives(process):
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[
            2
        ].split()[0] != "Z"
    return False


def wait_until(condition, seconds=120.0):
    for _ in range(int(seconds / 0.05)):
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux who is whose child")
@pytest.mark.parametrize(
    ("number", "working"),
    [
        (signal.SIGKILL, 0),
        pytest.param(signal.SIGKILL, 2, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 2, marks=pytest.mark.slow),
    ],
)
def test_no_process_outlives_its_parent(tmp_path, number, working):
    """Neither workers nor the trackers beside them: without the watch, both live on for five minutes."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], stderr=subprocess.DEVNULL
    )
    try:
        # Both at work; or both just there, and busy with their imports.
        assert wait_until(
            lambda: (
                len(os.listdir(tmp_path)) == 2
                if working
                else len(family(parent.pid)) >= 3
            )
        )
        started = family(parent.pid)
        assert {int(name) for name in os.listdir(tmp_path)} <= set(started)
        parent.send_signal(number)
        parent.wait()
        assert wait_until(lambda: not any(map(lives, started)), seconds=10)
    finally:
        parent.kill()


def double(number):
    return 2 * number, os.getpid()


@pytest.mark.slow
def test_results_come_in_order_and_of_other_processes():
    calls = [(number,) for number in range(5)]
    for jobs in (1, 2):
        results = list(workers.run(double, calls, jobs, ordered=True))
        assert [result for result, _ in results] == [0, 2, 4, 6, 8]
        assert (os.getpid() in {process for _, process in results}) == (jobs == 1)


def test_what_is_given_up_is_given_up_in_silence():
    results = workers.run(double, [(number,) for number in range(20)], 2, ordered=True)
    with warnings.catch_warnings(action="error"), contextlib.closing(results):
        assert next(results)[0] == 0


def test_only_threads_of_workers_that_were_given_up_are_hushed(monkeypatch):
    told, go = [], threading.Event()
    monkeypatch.setattr(
        threading, "excepthook", lambda problem: told.append(problem.thread.name)
    )

    def fail():
        go.wait()
        raise OSError("handle is closed")

    names = ["ExecutorManagerThread", "another"]
    threads = [threading.Thread(target=fail, name=name) for name in names]
    for thread in threads:
        thread.start()
    workers.hush_managers()
    workers.hush_managers()
    go.set()
    later = threading.Thread(target=fail, name="ExecutorManagerThread")
    later.start()
    for thread in (*threads, later):
        thread.join()
    assert sorted(told) == ["ExecutorManagerThread", "another"]


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_a_worker_that_was_killed_is_told_in_a_sentence():
    with pytest.raises(
        workers.WorkerError,
        match="^a worker process was killed from outside.*fewer `jobs`",
    ):
        list(workers.run(die, [(1,), (2,)], 2, ordered=True))


@pytest.mark.parametrize(
    ("jobs", "calls", "processes"),
    [
        (None, 10, 4),
        (None, 3, 3),
        (64, 10, 4),
        (64, 2, 2),
        (2, 10, 2),
        (1, 10, 1),
        (3, 0, 1),
    ],
)
def test_there_are_no_more_processes_than_work_or_cores(
    jobs, calls, processes, monkeypatch
):
    import joblib

    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    assert workers.count(jobs, calls) == processes
    assert bool(workers.fewer(jobs, processes)) == (
        jobs is not None and jobs > processes
    )


@pytest.mark.parametrize("jobs", [0, -1, -64])
def test_below_one_process_is_refused(jobs):
    with pytest.raises(ValueError, match=f"^`jobs` must be at least 1; got {jobs}"):
        workers.count(jobs, 10)
