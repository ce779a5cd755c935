"""Slides are made of the figures of tutorials, and a deck needs nothing beside it."""

import base64
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("markdown_it")

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def decks():
    """The module, which lies beside the pages and not in the package."""
    sys.path.insert(0, str(DOCS))
    try:
        from site_steps import slide_decks
    finally:
        sys.path.remove(str(DOCS))
    return slide_decks


# The beginning of a PNG of 640 pixels: its signature, and the first fields of its header.
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80").decode()


def notebook(**metadata):
    drawn = {"output_type": "display_data", "data": {"image/png": PNG + "\n"}}
    claim = {"output_type": "stream", "name": "stdout", "text": ["E <", " I\n"]}
    texts = ["# A *law* & more\n\nWhat [it](x.md) does.\n\nLater.", "See $x$.\n\nRead & see.\n\n## 2. Next"]  # fmt: skip
    markdown = [{"cell_type": "markdown", "metadata": {}, "source": [t]} for t in texts]
    figure = {"cell_type": "code", "metadata": metadata, "source": "", "outputs": [drawn]}  # fmt: skip
    last = {"cell_type": "code", "metadata": {"tags": ["claim"]}, "source": "", "outputs": [claim]}  # fmt: skip
    return {"cells": [markdown[0], figure, markdown[1], last]}


def test_a_deck_has_a_title_each_figure_and_the_claim(decks):
    made = decks.slides_of("03_x", notebook(slide="One. Two, three.", alt='Bars "up".'))
    assert [one.heading for one in made] == ["A *law* & more", "One", "What this showed"]  # fmt: skip
    assert [one.text for one in made] == ["What [it](x.md) does.", "Two, three.", "E < I"]  # fmt: skip
    assert made[1].notes == "Read & see."  # a formula is left out, and the next section

    page = decks.deck("A title", made)
    assert page.count("<section") == 3
    assert page.count("<h1>") == 1
    assert "<h1>A <em>law</em> &amp; more</h1>" in page
    assert "What it does." in page
    assert "E &lt; I" in page
    assert 'alt="Bars &quot;up&quot;."' in page
    assert "--drawn: 640px" in page
    assert "{{" not in page


@pytest.mark.parametrize("metadata", [{"slide": "One. Two."}, {"slide": "One.", "alt": ""}])  # fmt: skip
def test_a_figure_without_its_text_is_no_slide(decks, metadata):
    with pytest.raises(ValueError, match="Slide 'One' of 03_x needs a figure with `alt`"):  # fmt: skip
        decks.slides_of("03_x", notebook(**metadata))


def test_decks_of_the_tutorials_are_whole_and_fetch_nothing(decks):
    found = decks.all_decks(DOCS)
    assert set(found) == {"session", *(path.stem for path in (ROOT / "tutorials").glob("[0-9]*.py"))}  # fmt: skip
    for name, (title, slides) in found.items():
        page = decks.deck(title, slides)
        assert sum(bool(one.picture) for one in slides) >= 2, name
        fetched = re.findall(r"""(?:src|href)=["']([^"']{0,12})|url\(|@import""", page)
        assert set(fetched) == {"data:image/p"}, name


def test_the_session_shows_what_its_plan_names(decks):
    shown = decks.all_decks(DOCS)["session"][1]
    assert [one.heading for one in shown] == [heading for _, heading, _ in decks.SESSION]  # fmt: skip
    plan = (DOCS / "teaching.md").read_text()
    for one in shown:
        assert one.heading in plan, one.heading


def test_a_slide_that_the_plan_does_not_find_is_named(decks, monkeypatch):
    monkeypatch.setattr(decks, "SESSION", (("03", "Other", ""),))
    made = {"03_x": [decks.Slide("One", "")]}
    with pytest.raises(ValueError, match="Tutorial 03 has no slide 'Other'; its slides are 'One'"):  # fmt: skip
        decks.session_slides(made)
