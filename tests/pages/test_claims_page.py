"""The page of claims defines its verdicts before it gives one, and says what its sources are."""

import re

import pytest

from daleml.pages import claims_page
from daleml.reproductions import (
    PAPER_DIRECTION,
    THE_PAPERS,
    Check,
    Claim,
    Experiment,
    Paper,
    definitions,
    judge,
)
from daleml.reproductions.running_claims import Reproduction
from tests import small_figures

TOY = Experiment("toy", lambda seed, settings: {}, {"quick": {}}, {"quick": 2})


@pytest.fixture
def page(tmp_path, monkeypatch):
    small_figures.unrendered(monkeypatch)
    gap = Check("gap", "gap between the arms", 0.0, None, 0.0, PAPER_DIRECTION)
    paper = Paper(
        "toys",
        "Nobody 1900, On nothing",
        (
            Claim(
                *("9a", "There is a gap in the dual.", "figure 1", TOY, (gap,)),
                owner=THE_PAPERS,
                tried="Nothing.",
            ),
            Claim("9b", "Nobody knows.", "text; code.py", None, note="No data."),
        ),
    )
    first, second = paper.claims
    outcomes = (judge(first, [{"gap": 1.0}, {"gap": 1.1}]), judge(second, []))
    result = Reproduction("quick", outcomes, (), {}, {"python": "3"})
    path = claims_page.write(result, [paper], tmp_path, "daleml reproduce")
    return path.read_text(encoding="utf-8")


def test_words_are_defined_before_the_first_verdict_is_given(page):
    begin, end = page.index('<h2 id="part-0">Words'), page.index(">9a: holds</h3>")
    places = [page.index(f"<td>{term}</td>") for term in definitions.TERMS]
    assert places == sorted(places)
    assert begin < places[0]
    assert places[-1] < end
    assert "lies where it should" in page[begin:end]
    assert "The bar is judged, not the dots" in page


def test_a_forest_plot_of_all_is_above_those_of_the_papers(page, tmp_path):
    overview = page.index('alt="Forest plot of all claims')
    assert overview < page.index('alt="Forest plot of the checks of toys')
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"forest-overview.png", "forest-toys.png", "9a.png"}


def test_it_says_whose_claims_and_bounds_are(page):
    assert "Of the papers' own claims that were tested, 1 of 1 hold." in page
    assert "Of 1 checks, the bounds are: 1 the paper's direction." in page
    assert "Whose claim: the paper's." in page
    assert "<th>whose bound</th>" in page
    assert "What was tried. Nothing." in page


def test_words_that_only_the_field_knows_are_explained(page):
    assert 'href="#word-dual"' in page
    assert '<dt id="word-dual">dual</dt>' in page


def test_sources_say_what_a_file_is(page):
    assert "Source: figure 1.<" in page
    assert "<code>code.py</code> is a file of the authors' code" in page.replace("&#x27;", "'")  # fmt: skip


def test_the_dashed_line_has_a_key(page):
    caption = re.findall(r"<figcaption>(.*?)</figcaption>", page)[-1]
    assert "The dashed line is where the number would be" in caption


def test_claims_lie_under_their_paper(page):
    levels = re.findall(r"<h(\d)", page)
    assert levels == ["1", "2", "2", "2", "2", "3", "3", "2"]
