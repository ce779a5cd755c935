"""The page of claims defines its verdicts before it gives one, and says what its sources are."""

import re

import pytest

from daleml.pages import claims_page
from daleml.reproductions import Check, Claim, Experiment, Paper, judge
from daleml.reproductions.running_claims import Reproduction
from tests import small_figures

TOY = Experiment("toy", lambda seed, settings: {}, {"quick": {}}, {"quick": 2})


@pytest.fixture
def page(tmp_path, monkeypatch):
    small_figures.unrendered(monkeypatch)
    gap = Check("gap", "gap between the arms", at_least=0.0, no_effect=0.0)
    paper = Paper(
        "toys",
        "Nobody 1900, On nothing",
        (
            Claim("9a", "There is a gap in the dual.", "figure 1", TOY, (gap,)),
            Claim("9b", "Nobody knows.", "text; code.py", None, note="No data."),
        ),
    )
    first, second = paper.claims
    outcomes = (judge(first, [{"gap": 1.0}, {"gap": 1.1}]), judge(second, []))
    result = Reproduction("quick", outcomes, (), {}, {"python": "3"})
    path = claims_page.write(result, [paper], tmp_path, "daleml reproduce")
    return path.read_text(encoding="utf-8")


def test_verdicts_are_defined_before_the_first_is_given(page):
    defined = page.index("A <a class=\"word\" href=\"#word-claim\">claim</a>")  # fmt: skip
    assert defined < page.index("9a: holds")
    assert "lies where it should" in page[defined : page.index("toys")]
    assert "The bar is judged, not the dots" in page


def test_words_that_only_the_field_knows_are_explained(page):
    assert 'href="#word-dual"' in page
    assert '<dt id="word-dual">dual</dt>' in page


def test_sources_say_what_a_file_is(page):
    assert "Source: figure 1.<" in page
    assert "<code>code.py</code> is a file of the authors' code" in page.replace("&#x27;", "'")  # fmt: skip


def test_the_dashed_line_has_a_key(page):
    caption = re.search(r"<figcaption>(.*?)</figcaption>", page)[1]
    assert "The dashed line is where the number would be" in caption


def test_claims_lie_under_their_paper(page):
    levels = re.findall(r"<h(\d)", page)
    assert levels == ["1", "2", "2", "3", "3", "2"]
