"""Words that a reader may not know are links to what they mean, in the words of the glossary."""

import html
import re
from pathlib import Path

import pandas as pd
import pytest

from daleml.pages import html_page, page_words
from daleml.pages.html_page import Section

GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"
MEANINGS = {
    "cannot tell": "Neither is known.",
    "holds": "It is so.",
    "never used": "Nobody reads this.",
    "p, fits": "A probability.",
}


def composed(*sections):
    return html_page.page("T", "It holds.", [], sections, ["holds"], MEANINGS)


def test_the_first_use_of_a_word_is_a_link_to_its_meaning():
    page = composed(Section("One", ["It holds; `holds` is code, and it holds again."]))
    assert page.count('<a class="word" href="#word-holds">holds</a>') == 1
    assert re.search(r'class="lead">It <a class="word"', page)
    assert '<dt id="word-holds">holds</dt><dd>It is so.</dd>' in page
    assert "never used" not in page


def test_no_part_of_a_word_is_a_link():
    page = composed(Section("One", ["An uphold-holds, and withholds."]))
    assert page.count("#word-holds") == 1  # that of the lead


def test_a_word_in_the_head_of_a_table_is_explained_too():
    page = composed(Section("One", tables=[pd.DataFrame({"p, fits": ["0.3"]})]))
    assert '<dt id="word-p-fits">p, fits</dt>' in page


def test_a_page_without_words_has_no_list_of_them():
    page = html_page.page("T", "It holds.", [], [Section("One", ["It holds."])])
    assert "Words on this page" not in page
    assert 'class="word"' not in page


def test_names_of_others_stay_text():
    meanings = {"<b>": "A name.", "holds": "It is so."}
    page = html_page.page("T", "<b> holds", [], [], (), meanings)
    assert "&lt;b&gt;</a>" in page
    assert "<b> holds" not in page


@pytest.mark.parametrize("words", ["OF_CLAIMS", "OF_FITS", "OF_NETWORKS"])
def test_a_meaning_is_a_sentence(words):
    for name, meaning in getattr(page_words, words).items():
        assert meaning.endswith("."), name
        assert "  " not in meaning, name


def test_verdicts_mean_what_the_glossary_says():
    text = GLOSSARY.read_text(encoding="utf-8")
    plain = re.sub(r"\{term\}`([^`<]+?)(?: <[^`]*>)?`", r"\1", text)
    plain = " ".join(plain.replace("*", "").split())
    for name in ("sampling floor",):
        assert page_words.OF_CLAIMS[name] in plain, name
    for name in ("family", "p, as good"):
        meaning = page_words.OF_FITS[name].removeprefix("The ")
        assert html.unescape(meaning) in plain, name
