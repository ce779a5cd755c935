"""What is written of claims is what was measured, of the claims that the code has today.

Where a test here fails: ``python -m daleml.reproductions --refresh`` writes everything again, and
names the claims that need a run.
"""

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from daleml import reproductions
from daleml.analysis.plots.forest_marks import VERDICTS
from daleml.reproductions import __main__ as command
from daleml.reproductions import claim_figures, kept_claims, pilot
from daleml.reproductions.claim_documents import BEGIN, END, figure_name
from daleml.reproductions.claim_figures import digest, digest_of, forests_of
from daleml.reproductions.rejudging import redrawn, rejudged
from tests.reproductions.kept import file_of, kept_claim

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
KEPT = kept_claims.read(DOCS)
SWEEPS = [sweep for paper in reproductions.papers() for sweep in paper.sweeps]


def outdated(stale, budget):
    """What a run would change; of the longer budget, what has no run yet is left out of pages."""
    missing = "it was not run" if budget == "paper" else None
    return {name: why for name, why in stale.items() if why != missing}


@pytest.mark.parametrize("budget", KEPT)
def test_what_is_kept_is_of_the_claims_in_the_code(budget):
    """Sentences, checks, bounds, owners, settings, numbers of seeds; and verdicts by the rule."""
    content, stale = rejudged(KEPT[budget], reproductions.find())
    assert not outdated(stale, budget)
    for kept, judged in zip(KEPT[budget]["claims"], content["claims"], strict=True):
        assert kept["id"] == judged["id"]
        # Other processors round the last digits of an interval otherwise.
        assert _rounded(kept) == _rounded(judged), kept["id"]


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return value


def test_every_page_is_what_is_kept():
    for place, text in command.pages(KEPT).items():
        assert (ROOT / place).read_text(encoding="utf-8") == text, place
    for place, text in command.tables(KEPT).items():
        assert f"{BEGIN}\n\n{text}\n{END}" in (ROOT / place).read_text(encoding="utf-8"), place  # fmt: skip
    listed = {path.stem for path in (DOCS / "claims").iterdir()}
    assert listed == {paper.name for paper in reproductions.papers()}


def test_every_figure_shows_what_is_kept():
    shown = set()
    for budget, content in KEPT.items():
        for name, claims in forests_of(content):
            path = DOCS / "figures" / figure_name(f"forest-{name}", budget)
            assert digest_of(path) == digest(claims), path.name
            shown.add(path.name)
        swept, stale = redrawn(content, SWEEPS)
        assert not outdated(stale, budget)
        for one in swept:
            path = DOCS / "figures" / figure_name(one.sweep.name, budget)
            assert digest_of(path) == digest([one.to_dict()]), path.name
            shown.add(path.name)
    assert {path.name for path in (DOCS / "figures").iterdir()} == shown


def test_every_page_shows_figures_that_are_there():
    shown = set()
    for place, text in command.pages(KEPT).items():
        for source in re.findall(r'<img src="([^"]+)"', text):
            path = (ROOT / place).parent / source
            assert path.exists(), f"{place}: {source}"
            shown.add(path.name)
    forests = {path.name for path in (DOCS / "figures").glob("forest-*.png")}
    assert forests <= shown


def test_the_pilot_is_what_is_kept_of_the_quick_budget():
    path = ROOT / "daleml" / "reproductions" / pilot.FILE
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(pilot.pilot_of(KEPT["quick"])))


def test_few_colours_keep_that_of_each_verdict():
    """Of a page of letters, bars of one verdict and a thin mark of each other."""
    rng = np.random.default_rng(0)
    page = np.full((300, 200, 3), 255, np.uint8)
    page[:200] = rng.integers(0, 256, (200, 200, 1))
    colours = [np.round(255 * np.array(to_rgb(look["color"]))) for look in VERDICTS.values()]  # fmt: skip
    page[200:290] = colours[0]
    for place, colour in enumerate(colours[1:]):
        page[295, 10 * place : 10 * place + 5] = colour
    before = io.BytesIO()
    Image.fromarray(page).save(before, "PNG")
    content = claim_figures.with_few_colours(before.getvalue(), "drawn from nothing")
    assert b"Description\0drawn from nothing" in content
    with Image.open(io.BytesIO(content)) as image:
        seen = np.unique(np.array(image.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(seen) <= 64
    for colour in colours:
        assert np.abs(seen - colour).max(axis=1).min() <= 2


def test_no_other_page_has_a_count_of_claims_typed_in():
    counted = re.compile(r"\b\d+ of (?:the )?\d+ (?:tested )?claims\b")
    for path in (ROOT / "README.md", *DOCS.glob("*.md")):
        own = path.read_text(encoding="utf-8")
        own = re.sub(f"{BEGIN}.*?{END}", "", own, flags=re.DOTALL)
        assert not counted.search(own), path.name


# -- the command


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder like a checkout, with nothing kept, in which no figure is drawn."""
    (tmp_path / "docs").mkdir()
    for place in command.tables(KEPT):
        (tmp_path / place).write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    monkeypatch.setattr(command, "write_figures", lambda *given: {})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["daleml.reproductions", *map(str, words)])
    return command._command()


def run_of(folder, name, content):
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_runs_of_two_budgets_are_kept_apart(checkout, monkeypatch, capsys):
    quick = run_of(checkout, "q.json", KEPT["quick"] | {"machine": None})
    claims = [one for one in KEPT["quick"]["claims"] if one["paper"] == "dann"]
    paper = run_of(checkout, "p.json", file_of(*claims, budget="paper"))
    assert called(monkeypatch, "--merge", quick, paper) == 1
    said = capsys.readouterr().out
    # The claims that lack a run at a budget are named, and those that were run are not.
    assert "3a (paper) needs a run: it was not run." in said
    assert "1a (paper) needs a run: it was not run" not in said
    found = kept_claims.read(checkout / "docs")
    own = [one["id"] for one in found["quick"]["claims"]]
    assert own == [one["id"] for one in KEPT["quick"]["claims"]]
    assert "paper: " in (checkout / "docs" / "claims" / "dann.md").read_text("utf-8")
    before = {path: path.read_bytes() for path in checkout.rglob("*.md")}
    called(monkeypatch, "--refresh")
    assert {path: path.read_bytes() for path in checkout.rglob("*.md")} == before


def test_what_cannot_be_merged_is_refused_in_a_sentence(checkout, monkeypatch, capsys):
    one = run_of(checkout, "a.json", file_of(kept_claim("1a")))
    other = run_of(checkout, "b.json", file_of(kept_claim("1a")))
    night = run_of(checkout, "c.json", file_of(budget="long"))
    for words, said in (
        (["--merge", one, other], "two have 1a of the budget 'quick'"),
        (["--merge", night], "no other ships; got 'long'"),
        ([], "give the claims.json of runs, --refresh, or --pilot"),
        ([one, "--refresh"], "give the claims.json of runs, --refresh, or --pilot"),
    ):
        with pytest.raises(SystemExit) as ended:
            called(monkeypatch, *words)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert not list((checkout / "docs").glob("*.json"))
