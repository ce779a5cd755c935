"""Claims are run, kept, gone on with and judged; killed at any time, they say the same."""

import dataclasses
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from daleml import reproductions
from daleml._support import atomic_files, locks
from daleml.experiments.journal import Journal
from daleml.pages import claims_page
from daleml.reproductions import Check, Claim, Experiment, reproduce, running_claims
from daleml.reproductions.verdict import HOLDS, NOT_TESTED
from tests.experiments.journal_lines import OURS, signed
from tests.reproductions.toys import claim, experiment, found, numbers


def run(tmp_path, claims=None, **options):
    said = []
    result = reproduce(
        claims or [claim()], tmp_path / "out", jobs=1, say=said.append, **options
    )
    return result, said, found(tmp_path / "out")


def test_results_are_kept_and_not_run_again(tmp_path):
    counts = []
    _, said, first = run(
        tmp_path, progress=lambda done, total, name: counts.append((done, total))
    )
    assert counts == [(i, 4) for i in range(5)]
    assert not said
    counts.clear()
    _, _, again = run(
        tmp_path, progress=lambda done, total, name: counts.append((done, total))
    )
    assert counts == [(4, 4)]
    assert first == again
    assert first["claims"][0]["verdict"] == HOLDS
    assert first["claims"][0]["measured"][0]["values"] == [
        numbers(seed, {})["effect"] for seed in range(4)
    ]


def test_the_time_that_seeds_took_is_kept(tmp_path):
    result, _, _ = run(tmp_path)
    lines = (tmp_path / "out" / "journal.jsonl").read_bytes().splitlines()
    seconds = [json.loads(line)["seconds"] for line in lines]
    assert min(seconds) > 0
    assert result.outcomes[0].minutes == pytest.approx(sum(seconds) / 60)
    # A seed of an earlier version tells no time, so that nobody knows what all took.
    key, content = (json.loads(lines[0])[name] for name in ("key", "numbers"))
    lines[0] = signed(key, content, OURS)
    (tmp_path / "out" / "journal.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    again, _, _ = run(tmp_path)
    assert again.outcomes[0].minutes is None
    assert again.outcomes[0].measured == result.outcomes[0].measured


def test_the_commit_is_that_of_the_code_that_ran(tmp_path, monkeypatch):
    commits = iter(["before", "after"])
    monkeypatch.setattr(running_claims, "machine", lambda: {"commit": next(commits)})
    of = Experiment(
        "toy",
        lambda seed, settings: {"effect": 1.0, "commit": bool(next(commits))},
        {"quick": {}},
        {"quick": 1},
    )
    result, _, _ = run(tmp_path, [claim(of=of)])
    assert result.machine == {"commit": "before"}


def test_no_budget_sees_a_seed_of_another(tmp_path):
    for budget, first in (("quick", 0), ("paper", 1000), ("long", 2000)):
        result, _, _ = run(tmp_path, budget=budget)
        assert result.outcomes[0].measured[0].values == tuple(
            numbers(first + i, {})["effect"] for i in range(4)
        )


def test_a_claim_whose_files_are_absent_is_not_tested_and_no_failure(tmp_path):
    away = ["The images are absent: `apt install images` brings them."]
    of = dataclasses.replace(experiment(), absent=lambda: away[0])
    result, said, kept = run(tmp_path, [claim(of=of)])
    outcome = result.outcomes[0]
    assert (outcome.verdict, outcome.absent) == (NOT_TESTED, away[0])
    assert not result.failures
    assert kept["claims"][0]["absent"] == away[0]
    assert said == [f"toy is not tested: {away[0]}"]
    # Once they are there, it is run; and what was run needs them no more.
    away[0] = ""
    assert run(tmp_path, [claim(of=of)])[0].outcomes[0].verdict == HOLDS
    away[0] = "Gone again."
    assert run(tmp_path, [claim(of=of)])[0].outcomes[0].verdict == HOLDS


@pytest.mark.parametrize("damage", ["cut", "flip", "nonsense", "number"])
def test_a_damaged_line_is_said_and_done_again(tmp_path, damage):
    _, _, first = run(tmp_path)
    path = tmp_path / "out" / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    if damage == "cut":  # killed while writing
        path.write_bytes(b"".join(lines)[:-20])
    elif damage == "flip":
        path.write_bytes(b"".join([lines[0].replace(b"0.", b"9.", 1), *lines[1:]]))
    elif damage == "nonsense":
        path.write_bytes(b"\xff\x00 [\n" + b"".join(lines[1:]))
    else:
        path.write_bytes(b"7\n" + b"".join(lines[1:]))
    _, said, again = run(tmp_path)
    number = 4 if damage == "cut" else 1
    assert said == [f"`{path}`, line {number}, is damaged: its seed is run again."]
    assert again == first
    journal = Journal(path, lambda line: None)
    assert len(journal.finished) == 4


def test_other_settings_are_other_results(tmp_path):
    run(tmp_path)
    result, _, _ = run(tmp_path, [claim(of=experiment(sleep=0.001))])
    assert len((tmp_path / "out" / "journal.jsonl").read_text().splitlines()) == 8
    assert result.outcomes[0].verdict == HOLDS


def test_claims_share_an_experiment(tmp_path):
    run(tmp_path, [claim(), claim(Check("third", "a third", at_most=0.4), id="9b")])
    assert len((tmp_path / "out" / "journal.jsonl").read_text().splitlines()) == 4


def test_a_seed_that_breaks_stops_no_other(tmp_path):
    broken = claim(of=experiment("broken", breaks=2), id="9b")
    result, said, _ = run(tmp_path, [broken, claim()])
    assert result.failures == {"broken, seed 2": "RuntimeError: a seed that breaks"}
    assert said == [
        "broken, seed 2, could not be run: RuntimeError: a seed that breaks"
    ]
    assert len(result.outcomes[0].measured[0].values) == 3


def test_processes_give_the_same(tmp_path):
    reproduce([claim()], tmp_path / "a", jobs=1)
    reproduce([claim()], tmp_path / "b", jobs=2)
    assert found(tmp_path / "a") == found(tmp_path / "b")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda path: reproduce([claim()], path, budget="huge"), "`budget` must be one of quick, paper, long; got 'huge'."),
        (lambda path: reproduce([claim()], path, jobs=-2), "`jobs` must be at least 1; got -2."),
        (lambda path: reproductions.find(["dan"]), "`claims` must name papers (dann, spectral, eg, geometry, regimes, oja, equilibrium, evolution, "),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(tmp_path, call, sentence):
    with pytest.raises(ValueError, match="^`") as raised:
        call(tmp_path)
    assert str(raised.value).startswith(sentence)


# -- one folder, one run


def exact(seed, options):
    return {"effect": 1.0 + seed}


def two_seeds(number="effect", seeds=2):
    every = reproductions.BUDGETS
    of = Experiment(
        "toy", exact, {budget: {} for budget in every}, dict.fromkeys(every, seeds)
    )
    return claim(Check(number, "an effect", at_least=0.5), of=of)


def test_numbers_of_another_version_are_measured_again(tmp_path):
    said = []
    reproduce([two_seeds("effect")], tmp_path, jobs=1)
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines()
    key = json.loads(lines[0])["key"]
    (tmp_path / "journal.jsonl").write_bytes(
        signed(key, {"other": "1.0"}, OURS) + b"\n" + lines[1] + b"\n"
    )
    result = reproduce([two_seeds("effect")], tmp_path, jobs=1, say=said.append)
    assert said == [
        f"`{tmp_path / 'journal.jsonl'}`: toy, seed 0, lacks 'effect': it is run again."
    ]
    assert result.outcomes[0].measured[0].values == (1.0, 2.0)


def test_two_runs_in_one_folder(tmp_path):
    with (
        locks.only_writer(tmp_path),
        pytest.raises(
            ValueError, match="^`out` must be a folder into which nobody else"
        ),
    ):
        reproduce([two_seeds()], tmp_path, jobs=1)
    assert not (tmp_path / "journal.jsonl").exists()


def test_claims_and_page_are_one_set(tmp_path, monkeypatch):
    """A run that ends between the numbers and the page leaves those of before."""
    paper = reproductions.Paper("toy", "Nobody (1900)", (two_seeds(),))
    result = reproduce(paper.claims, tmp_path, jobs=1, save=False)
    assert not (tmp_path / "claims.json").exists()
    claims_page.write(result, [paper], tmp_path, "daleml reproduce")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    named = json.loads((tmp_path / "claims.json").read_text())["files"]
    forests = {"figures/forest-toy.png", "figures/forest-overview.png"}
    assert set(named) == {"index.html", "figures/9a.png", *forests}

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_files, "_sync", full)
    with pytest.raises(OSError, match="holds what it held before"):
        claims_page.write(result, [paper], tmp_path, "daleml reproduce")
    assert {
        path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    } == before


def test_no_more_processes_than_seeds(tmp_path):
    said = []
    result = reproduce([two_seeds(seeds=1)], tmp_path, jobs=64, say=said.append)
    assert said == [
        "`jobs` is 64: 1 are used, as there is no more work, or are no more cores, to share."
    ]
    assert len(result.outcomes[0].measured[0].values) == 1


# -- a cluster, and being killed


def test_an_executor_runs_the_seeds(tmp_path):
    with ThreadPoolExecutor(1) as executor:
        reproduce([claim()], tmp_path / "there", executor=executor)
    reproduce([claim()], tmp_path / "here", jobs=1)
    assert found(tmp_path / "here") == found(tmp_path / "there")


@pytest.fixture
def cluster():
    """A real scheduler with two worker processes."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=50,
    ) as cluster:
        yield cluster


@pytest.mark.slow
def test_on_a_dask_cluster_one_of_whose_workers_is_killed(tmp_path, cluster):
    claims = reproductions.find(["1a", "4a"])
    reproduce(claims, tmp_path / "here", jobs=2)
    killed = []

    def kill_one(done, total, name):
        if name and not killed:
            killed.append(next(iter(cluster.workers.values())).process.process.pid)
            subprocess.run(["kill", "-9", str(killed[0])], check=True)

    reproduce(
        claims,
        tmp_path / "there",
        scheduler=cluster.scheduler_address,
        progress=kill_one,
    )
    assert killed
    assert found(tmp_path / "here") == found(tmp_path / "there")


@pytest.mark.slow
def test_killed_ten_times_it_says_the_same(tmp_path):
    command = [
        sys.executable,
        "-c",
        "from daleml.cli import app; app()",
        "reproduce",
        "1a",
        "4a",
        "5a",
        "--jobs",
        "2",
        "--out",
    ]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    rng = np.random.default_rng(0)
    for _ in range(10):
        process = subprocess.Popen(
            [*command, str(tmp_path / "killed")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(1, 12))
        process.kill()
        process.wait()
    subprocess.run(
        [*command, str(tmp_path / "killed")], check=True, capture_output=True
    )
    assert found(tmp_path / "whole") == found(tmp_path / "killed")


def test_what_is_kept_names_the_settings_that_it_is_of(tmp_path):
    untested = Claim("9z", "Said.", "nowhere", None, note="There are no data.")
    claims = [claim(of=experiment(a=1)), untested]
    kept = reproduce(claims, tmp_path, jobs=1).to_dict()["claims"]
    assert kept[0]["settings"] == claims[0].experiment.digest("quick")
    assert kept[1]["settings"] is None
