"""Kept numbers are judged by the claims of today, unless those are about other numbers."""

import dataclasses

import numpy as np
import pytest

from daleml.reproductions import Check, Claim, Panel, Sweep, reproduce
from daleml.reproductions.rejudging import needs_run, redrawn, rejudged
from daleml.reproductions.sweep import measure
from tests.reproductions.kept import MACHINE
from tests.reproductions.toys import claim, experiment

CHECK = Check("effect", "an effect", at_least=0.5, no_effect=0.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a run of one claim keeps."""
    folder = tmp_path_factory.mktemp("run")
    found = reproduce([claim(CHECK)], folder, jobs=1).to_dict()
    (one,) = found["claims"]
    return {"budget": "quick", "claims": [one | {"machine": MACHINE}], "sweeps": []}


def test_nothing_changes_where_nothing_did(run):
    assert rejudged(run, [claim(CHECK)]) == (run, {})


def test_words_bounds_and_owners_are_those_of_the_code(run):
    strict = dataclasses.replace(CHECK, at_least=5.0, owner="ours", label="the effect")
    changed = dataclasses.replace(
        claim(strict), sentence="It is large.", owner="ours", tried="More seeds."
    )
    content, stale = rejudged(run, [changed])
    (one,) = content["claims"]
    assert not stale
    assert (one["verdict"], one["sentence"], one["owner"]) == ("does not hold", "It is large.", "ours")  # fmt: skip
    assert one["tried"] == "More seeds."
    (check,) = one["measured"]
    assert (check["expected"], check["owner"], check["label"]) == ("at least 5", "ours", "the effect")  # fmt: skip
    before = run["claims"][0]
    assert check["values"] == before["measured"][0]["values"]
    for name in ("machine", "settings", "minutes"):
        assert one[name] == before[name]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (claim(Check("none", "none", 0.0)), "nothing is kept of 'none'"),
        (claim(CHECK, of=experiment(sleep=0.0)), "its settings are others now"),
        (claim(CHECK, of=experiment(seeds=5)), "4 seeds are kept, and 5 are to be run"),
        (claim(CHECK, id="9b"), "it was not run"),
    ],
)
def test_what_needs_a_run_is_named_and_stays_as_it_was(run, changed, why):
    content, stale = rejudged(run, [changed])
    assert stale == {changed.id: why}
    assert content["claims"] in ([], run["claims"])


def test_claims_that_are_no_more_are_left_out_and_untested_ones_are_there(run):
    untested = Claim("9z", "Said.", "nowhere", None, note="No data.")
    content, stale = rejudged(run, [untested])
    assert not stale
    assert [(one["id"], one["verdict"]) for one in content["claims"]] == [("9z", "not tested")]  # fmt: skip


def test_a_claim_whose_files_were_absent_stays_untested(run):
    lacking = run["claims"][0] | {"measured": [], "absent": "No images.", "verdict": "not tested"}  # fmt: skip
    content, stale = rejudged(run | {"claims": [lacking]}, [claim(CHECK)])
    assert not stale
    assert content["claims"][0]["absent"] == "No images."
    assert content["claims"][0]["verdict"] == "not tested"


def test_a_number_that_could_not_be_had_supports_nothing(run):
    one = run["claims"][0]
    (check,) = one["measured"]
    broken = check | {"values": [None, *check["values"][1:]]}
    content, _ = rejudged(run | {"claims": [one | {"measured": [broken]}]}, [claim(CHECK)])  # fmt: skip
    (found,) = content["claims"]
    assert found["verdict"] == "does not hold"
    assert found["measured"][0]["values"][0] is None
    assert not needs_run(claim(CHECK), found, "quick")


def test_a_figure_is_read_back_as_it_was_measured():
    own = experiment(sizes=[1.0, 2.0])
    curves = {"a": "a at {x:g}", "b": "b at {x:g}"}
    panel = Panel(own, "sizes", curves, "size", "effect")
    sweep = Sweep("sizes", "Title.", "Caption.", (panel, panel))
    seeds = [
        {f"{name} at {x:g}": x + place for name in "ab" for x in (1, 2)}
        for place in range(4)
    ]
    swept = measure(sweep, "quick", lambda one: seeds)
    kept = {"budget": "quick", "sweeps": [swept.to_dict()]}
    (found,), stale = redrawn(kept, [sweep])
    assert not stale
    np.testing.assert_array_equal(found.curves[0][1].values, swept.curves[0][1].values)
    assert found == swept
    other = dataclasses.replace(panel, curves={"a": "a at {x:g}"})
    for changed in (
        dataclasses.replace(sweep, panels=(panel,)),
        dataclasses.replace(sweep, panels=(panel, other)),
    ):
        assert redrawn(kept, [changed])[1] == {"sizes": "its curves or their values are others now"}  # fmt: skip
    assert redrawn(kept, [dataclasses.replace(sweep, name="x")])[1] == {"x": "it was not run"}  # fmt: skip
