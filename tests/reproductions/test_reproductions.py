"""How claims are run, kept and judged; what the papers' own claims give is measured by the claims themselves."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daleml import reproductions
from daleml.experiments.journal import Journal
from daleml.pages import claims_page
from daleml.reproductions import Check, Claim, Experiment, judge, reproduce
from daleml.reproductions.verdict import (
    CANNOT_TELL,
    FAILS,
    HOLDS,
    NOT_TESTED,
    mean_interval,
)


def numbers(seed, options):
    time.sleep(options.get("sleep", 0))
    if options.get("breaks") == seed:
        raise RuntimeError("a seed that breaks")
    rng = np.random.default_rng(seed)
    return {"effect": 1 + 0.1 * rng.normal(), "none": rng.normal(), "third": 1 / 3}


def experiment(name="toy", seeds=4, **options):
    return Experiment(
        name,
        numbers,
        dict.fromkeys(reproductions.BUDGETS, options),
        dict.fromkeys(reproductions.BUDGETS, seeds),
    )


def claim(*checks, of=None, id="9a"):
    checks = checks or (Check("effect", "an effect", at_least=0.5, no_effect=0.0),)
    return Claim(id, "There is an effect.", "nowhere", of or experiment(), checks)


# -- the rule ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "check", "verdict"),
    [
        ([1.0, 1.1, 0.9], {"at_least": 0.5}, HOLDS),
        ([1.0, 1.1, 0.9], {"at_most": 0.5}, FAILS),
        ([1.0, 1.1, 0.9], {"at_least": 1.0}, CANNOT_TELL),
        ([1.0, 1.1, 0.9], {"at_least": 0.5, "at_most": 1.5}, HOLDS),
        ([1.0, 1.1, 0.9], {"at_least": 1.2, "at_most": 1.5}, FAILS),
        ([1.0, 1.1, 0.9], {"at_least": 0.5, "at_most": 1.0}, CANNOT_TELL),
        ([1.0, 1.0, 1.0], {"at_most": 1.0}, HOLDS),
        ([1.0, math.nan, 1.0], {"at_least": 0.5}, FAILS),
        ([1.0, math.inf, 1.0], {"at_least": 0.5}, FAILS),
    ],
)
def test_verdicts(values, check, verdict):
    found = judge(claim(Check("x", "x", **check)), [{"x": value} for value in values])
    assert found.verdict == verdict == found.measured[0].verdict


def test_a_claim_holds_if_all_it_expects_does():
    good, bad, unclear = (
        Check("a", "a", at_least=0.5),
        Check("a", "a", at_most=0.5),
        Check("a", "a", at_least=1.0),
    )
    seeds = [{"a": value} for value in (1.0, 1.1, 0.9)]
    assert judge(claim(good, unclear), seeds).verdict == CANNOT_TELL
    assert judge(claim(good, unclear, bad), seeds).verdict == FAILS
    assert judge(claim(good, good), seeds).verdict == HOLDS
    assert judge(claim(good), []).verdict == NOT_TESTED
    assert (
        judge(Claim("9z", "Said.", "nowhere", None, note="no data"), []).verdict
        == NOT_TESTED
    )


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_the_interval_lies_between_the_seeds_and_around_their_mean(values):
    low, high = mean_interval(values)
    slack = 1e-9 * max(map(abs, values))
    assert min(values) - slack <= low <= np.mean(values) + slack
    assert np.mean(values) - slack <= high <= max(values) + slack


def test_the_interval_covers_the_mean():
    rng = np.random.default_rng(0)
    inside = [
        low <= 0 <= high
        for low, high in (mean_interval(rng.normal(size=20)) for _ in range(200))
    ]
    assert 0.87 < np.mean(inside) < 0.98


# -- running, and going on ---------------------------------------------------------------------------------------------


def run(tmp_path, claims=None, **options):
    said = []
    result = reproduce(
        claims or [claim()], tmp_path / "out", jobs=1, say=said.append, **options
    )
    return result, said, (tmp_path / "out" / "claims.json").read_bytes()


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
    data = json.loads(first)
    assert data["claims"][0]["verdict"] == HOLDS
    assert data["claims"][0]["measured"][0]["values"] == [
        numbers(seed, {})["effect"] for seed in range(4)
    ]


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
    _, _, alone = run(tmp_path / "1")
    reproduce(reproductions.find(["1a"]), tmp_path / "a", jobs=1)
    reproduce(reproductions.find(["1a"]), tmp_path / "b", jobs=2)
    assert (tmp_path / "a" / "claims.json").read_bytes() == (
        tmp_path / "b" / "claims.json"
    ).read_bytes()
    assert alone


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda path: reproduce([claim()], path, budget="huge"), "`budget` must be one of quick, paper, long; got 'huge'."),
        (lambda path: reproduce([claim()], path, jobs=-2), "`jobs` must be at least 1; got -2."),
        (lambda path: reproductions.find(["dan"]), "`claims` must name papers (dann, spectral, eg, geometry, regimes, oja, equilibrium, evolution) or claims (1a"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(tmp_path, call, sentence):
    with pytest.raises(ValueError, match="^`") as raised:
        call(tmp_path)
    assert str(raised.value).startswith(sentence)


def test_the_page_needs_nothing_else(tmp_path):
    claims = claim(), Claim("9z", "Said.", "nowhere", None, note="There are no data.")
    paper = reproductions.Paper("toy", "Nobody (1900)", claims)
    result, _, _ = run(tmp_path, paper.claims)
    path = claims_page.write(
        result, [paper], tmp_path / "out", "daleml reproduce --budget quick"
    )
    text = path.read_text()
    assert 'src="data:image/png;base64,' in text
    assert "http" not in text.split("</style>")[1]
    assert "daleml reproduce 9a --budget quick" in text
    assert "There are no data." in text
    assert (tmp_path / "out" / "figures" / "9a.png").exists()
    assert (
        claims_page.verdict_counts(result.outcomes)
        == "1 of 1 tested claims hold; 1 not tested."
    )


def test_a_paper_writes_its_name_on_what_is_its_own():
    paper = reproductions.Paper("toy", "Nobody (1900)", (claim(), claim(id="9b")))
    assert [(one.id, one.paper) for one in paper.claims] == [
        ("9a", "toy"),
        ("9b", "toy"),
    ]
    assert all(
        one.paper == own.name for own in reproductions.papers() for one in own.claims
    )


# -- the papers' own ---------------------------------------------------------------------------------------------------


def test_every_claim_says_where_from_and_what_no_effect_would_be():
    listed = reproductions.find()
    assert len({one.id for one in listed}) == len(listed)
    for one in listed:
        assert one.source
        assert one.sentence.endswith(".")
        if one.experiment is None:
            assert one.note, one.id
            continue
        assert one.checks, one.id
        assert one.experiment.seeds["quick"] >= 3, one.id
        assert one.experiment.seeds["paper"] >= 5, one.id
        for check in one.checks:
            assert check.at_least is not None or check.at_most is not None
            if (
                check.no_effect is not None
            ):  # a bound that no effect would meet says nothing
                inside = (
                    check.at_least is None or check.at_least < check.no_effect
                ) and (check.at_most is None or check.no_effect < check.at_most)
                assert not inside, (one.id, check.number)


# -- a cluster, and being killed ---------------------------------------------------------------------------------------


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
    assert (tmp_path / "here" / "claims.json").read_bytes() == (
        tmp_path / "there" / "claims.json"
    ).read_bytes()


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
    whole, killed = (
        (tmp_path / name / "claims.json").read_bytes() for name in ("whole", "killed")
    )
    assert whole == killed


def test_the_tables_of_readme_and_docs_are_those_of_the_run_they_name():
    from daleml.reproductions.tables import by_claim, by_paper

    root = Path(__file__).parents[2]
    found = json.loads((root / "docs" / "claims.json").read_text(encoding="utf-8"))
    assert by_paper(found) in (root / "README.md").read_text(encoding="utf-8")
    assert by_claim(found) in (root / "docs" / "claims.md").read_text(encoding="utf-8")
    listed = {one["id"]: one for one in found["claims"]}
    for claim in (
        reproductions.find()
    ):  # a claim that was added, or expects something else now, is to be run again
        assert listed[claim.id]["sentence"] == claim.sentence
        assert [one["expected"] for one in listed[claim.id]["measured"]] == [
            check.bound() for check in claim.checks
        ]
