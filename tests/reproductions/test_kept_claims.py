"""What ships of measured claims: runs merged by budget, each claim whole and of one run."""

import json

import pytest

from daleml.reproductions import kept_claims
from tests.reproductions.kept import MACHINE, OTHER, file_of, kept_claim, untested


def test_a_claim_is_taken_whole_from_one_run_with_its_machine():
    before = file_of(kept_claim("9a"), kept_claim("9b"))
    later = kept_claim("9b", verdict="does not hold")
    del later["machine"]
    merged = kept_claims.merge(before, file_of(later, machine=OTHER))
    first, second = merged["claims"]
    assert first == kept_claim("9a")
    assert second == later | {"machine": OTHER}
    # The machine of a run is that of each of its claims: no claim is without one.
    assert "machine" not in merged


def test_a_whole_run_takes_the_place_of_all():
    before = file_of(kept_claim("9a"), kept_claim("9b"))
    run = file_of(kept_claim("9b"), machine=OTHER)
    assert len(kept_claims.merge(before, run, whole=True)["claims"]) == 1
    assert len(kept_claims.merge(None, run)["claims"]) == 1


def test_figures_are_merged_by_name():
    old, new = {"name": "a", "paper": "x"}, {"name": "b", "paper": "x"}
    before = file_of(sweeps=[old, new])
    merged = kept_claims.merge(before, file_of(sweeps=[old | {"paper": "y"}]))
    assert [(one["name"], one["paper"]) for one in merged["sweeps"]] == [("a", "y"), ("b", "x")]  # fmt: skip


def test_budgets_are_not_mixed():
    with pytest.raises(ValueError, match="`run` must be of the budget 'quick'; got 'paper'"):  # fmt: skip
        kept_claims.merge(file_of(), file_of(budget="paper"))
    with pytest.raises(ValueError, match="must be of the budget quick or paper: no other ships; got 'long'"):  # fmt: skip
        kept_claims.merge(None, file_of(budget="long"))


def test_a_run_with_missing_seeds_is_refused():
    broken = file_of(failures={"toy, seed 3": "no memory"})
    with pytest.raises(ValueError, match="1 of its seeds could not be run, the first is toy, seed 3"):  # fmt: skip
        kept_claims.merge(None, broken)


def test_a_machine_without_files_takes_no_place_of_one_with_them():
    before = file_of(kept_claim("9a"))
    lacking = file_of(untested("9a", absent="The images are absent."))
    assert kept_claims.merge(before, lacking)["claims"] == [kept_claim("9a")]
    (first,) = kept_claims.merge(None, lacking)["claims"]
    assert first["absent"]


def test_each_budget_has_its_file(tmp_path):
    found = {"quick": file_of(kept_claim()), "paper": file_of(budget="paper")}
    kept_claims.write(tmp_path, found)
    assert {path.name for path in tmp_path.iterdir()} == {"claims.json", "claims_paper.json"}  # fmt: skip
    assert kept_claims.read(tmp_path) == found
    (tmp_path / "claims_paper.json").unlink()
    assert list(kept_claims.read(tmp_path)) == ["quick"]
    # A file of an earlier version has one machine for all.
    plain = kept_claim()
    del plain["machine"]
    content = file_of(plain, machine=MACHINE)
    (tmp_path / "claims.json").write_text(json.dumps(content))
    assert kept_claims.read(tmp_path)["quick"]["claims"] == [kept_claim()]
