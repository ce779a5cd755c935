"""Seeds are planned by a pilot, before a run: how many a claim takes, and who has too few."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daleml import reproductions
from daleml.cli import app
from daleml.reproductions import BUDGETS, Check, Experiment, judge, kept_claims
from daleml.reproductions.__main__ import write_pilot
from daleml.reproductions.pilot import FILE, Pilot, known_pilots, pilot_of
from daleml.reproductions.seed_plan import plan, planned_minutes
from daleml.reproductions.verdict import CANNOT_TELL
from tests.reproductions.toys import claim, experiment

ROOT = Path(__file__).parents[2]


def kept():
    return json.loads((ROOT / "docs" / "claims.json").read_text(encoding="utf-8"))


def test_the_pilot_that_ships_is_of_the_quick_run_that_ships(tmp_path):
    write_pilot(ROOT / "docs" / "claims.json", tmp_path)
    written = (tmp_path / "daleml" / "reproductions" / FILE).read_text("utf-8")
    shipped = (ROOT / "daleml" / "reproductions" / FILE).read_text("utf-8")
    assert json.loads(written) == json.loads(shipped)
    for one in kept()["claims"]:
        for measured in one["measured"]:
            if None not in measured["values"]:
                pilot = known_pilots()[one["id"]][measured["number"]]
                assert pilot.seeds == len(measured["values"])


def test_a_pilot_has_the_mean_and_the_spread_of_each_number():
    checks = (
        Check("effect", "an effect", at_least=0.5),
        Check("broken", "no number", at_least=0.5),
    )
    seeds = [
        {"effect": value, "broken": value if value < 3 else float("nan")}
        for value in (1.0, 2.0, 3.0)
    ]
    found = pilot_of({"claims": [judge(claim(*checks), seeds).to_dict()]})
    assert found == {"9a": {"effect": {"mean": 2.0, "sd": 1.0, "seeds": 3}}}
    # One seed says nothing of the spread.
    assert not pilot_of({"claims": [judge(claim(), seeds[:1]).to_dict()]})


def test_only_a_quick_run_is_a_pilot(tmp_path):
    path = tmp_path / "claims.json"
    path.write_text(json.dumps({"budget": "paper", "claims": []}))
    with pytest.raises(ValueError, match="`found` must be of the quick budget"):
        write_pilot(path, tmp_path)


def test_a_plan_says_who_has_too_few_seeds():
    checks = (
        Check("effect", "an effect", at_least=0.5),
        Check("far", "another", at_least=0.5),
        Check("new", "a third", at_least=0.5),
    )
    own = claim(*checks, of=experiment(seeds=10))
    pilots = {"9a": {"effect": Pilot(1.0, 1.0, 5), "far": Pilot(3.0, 1.0, 5)}}
    few, enough, unknown = plan([own], "paper", pilots)
    # 0.5 is half of a spread: a little more than (1.96 + 0.84)^2 x 4 seeds.
    assert few.prospect.seeds_needed == 34
    assert (few.suffices, enough.suffices, unknown.suffices) == (False, True, True)
    assert unknown.prospect is None
    assert few.prospect.smallest_effect == pytest.approx(0.996, abs=0.001)
    # Of a mean on the wrong side, a claim of two varying numbers needs more to fail.
    wrong = {"9a": {"effect": Pilot(0.0, 1.0, 5), "far": Pilot(3.0, 1.0, 5)}}
    assert plan([own], "paper", wrong)[0].prospect.seeds_needed > 34


def test_experiments_that_claims_share_take_their_time_once():
    every = {budget: {} for budget in BUDGETS}
    of = Experiment("toy", print, every, {"quick": 4}, {"quick": 0.5})
    assert planned_minutes([claim(of=of), claim(of=of, id="9b")], "quick") == 2


def kept_verdicts(budget):
    """The verdict on every number that is kept of a budget, by claim and number."""
    content = kept_claims.read(ROOT / "docs").get(budget, {"claims": []})
    return {
        (one["id"], measured["number"]): measured["verdict"]
        for one in content["claims"]
        for measured in one["measured"]
    }


def test_a_claim_with_too_few_seeds_says_why():
    """Of those that the paper budget did not decide, or has not run yet, by the pilot's spread."""
    settings = {one["id"]: one.get("settings") for one in kept()["claims"]}
    verdicts = kept_verdicts("paper")
    silent = {}
    for one in plan(reproductions.find(), "paper"):
        experiment = one.claim.experiment
        quick, paper = (experiment.digest(budget) for budget in ("quick", "paper"))
        verdict = verdicts.get((one.claim.id, one.check.number))
        # A run of other settings is no pilot: neither an earlier one, nor that of easier ones.
        planned = settings.get(one.claim.id) == quick == paper
        undecided = verdict == CANNOT_TELL or (verdict is None and planned)
        said = f"{one.claim.note} {one.claim.tried}"
        if undecided and not one.suffices and not re.search(r"\bseeds?\b", said):
            silent[one.claim.id, one.check.number] = one.prospect.seeds_needed
    assert not silent


def test_the_command_shows_a_plan_and_runs_nothing(tmp_path):
    typed = [
        "reproduce",
        "n6",
        "--plan",
        "--budget",
        "paper",
        "--out",
        str(tmp_path / "o"),
    ]
    # On a narrow terminal words of a heading stand below one another.
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, typed)
    assert result.exit_code == 0
    assert "seeds needed" in " ".join(result.output.split())
    assert "expectations have enough seeds; about" in result.output
    assert not (tmp_path / "o").exists()
