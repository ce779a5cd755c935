"""Experiments are run where seeds are missing, and know nothing of claims."""

import dataclasses

import pytest
import torch

from daleml.experiments.experiment import BUDGETS, Experiment
from daleml.experiments.journal import Journal
from daleml.experiments.running import (
    SeedRun,
    finished_numbers,
    run_missing,
    run_seed,
    runs_of,
)


def square(seed, settings):
    if seed == settings.get("breaks"):
        raise RuntimeError("a seed\nthat breaks")
    return {"square": float(seed**2), "threads": float(torch.get_num_threads())}


def experiment(name="squares", minutes=0.0, **settings):
    return Experiment(
        name,
        square,
        settings=dict.fromkeys(BUDGETS, settings),
        seeds={"quick": 3, "paper": 4, "long": 5},
        minutes={"quick": minutes},
    )


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.jsonl", pytest.fail)


def test_what_is_missing_is_run_and_kept(journal):
    counts, first = [], experiment()
    seen = lambda done, total, name: counts.append((done, total, name))  # noqa: E731
    assert run_missing(runs_of([first], "quick"), journal, jobs=1) == {}
    more = runs_of([dataclasses.replace(first, seeds={"quick": 4})], "quick")
    assert run_missing(more, journal, jobs=1, on_progress=seen) == {}
    assert counts == [(3, 4, ""), (4, 4, "squares")]
    found = finished_numbers(journal, more[0].experiment, "quick")
    assert [numbers["square"] for numbers in found] == [0.0, 1.0, 4.0, 9.0]


def test_a_seed_that_fails_stops_no_other_and_is_not_kept(journal):
    said, broken = [], experiment(breaks=1)
    failures = run_missing(
        runs_of([broken], "quick"), journal, jobs=1, on_message=said.append
    )
    assert failures == {"squares, seed 1": "RuntimeError: a seed that breaks"}
    assert said == [
        "squares, seed 1, could not be run: RuntimeError: a seed that breaks"
    ]
    assert [key[2] for key in journal.finished] == [0, 2]


def test_long_runs_begin_first(journal):
    order = []
    runs = runs_of([experiment("short", 1.0), experiment("long", 9.0)], "quick")
    run_missing(
        runs, journal, jobs=1, on_progress=lambda done, total, name: order.append(name)
    )
    assert order == ["", *["long"] * 3, *["short"] * 3]


def test_a_run_is_filed_under_its_settings(journal):
    runs = [SeedRun(experiment(n=n), "quick", 0) for n in (1, 2)]
    assert len({run.key for run in runs}) == 2
    assert runs[0].key == ("squares", runs[0].experiment.digest("quick"), 0)
    assert finished_numbers(journal, runs[0].experiment, "quick") == []


def test_a_seed_is_computed_on_one_thread_and_threads_come_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert run_seed(square, "squares", 3, {}).numbers["threads"] == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
