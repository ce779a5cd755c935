"""No route by which a sign, a mask or a guard could be lost is silent, and the page says what happens."""

import pytest

from tests import routes

ROWS = routes.walk_all()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.route.text)
def test_no_route_is_silent(row):
    lost = {
        name: row.sentences[name]
        for name, outcome in row.outcomes.items()
        if outcome == "lost"
    }
    assert not lost
    assert set(row.outcomes.values()) == {row.route.outcome}


def test_the_page_is_what_happens():
    assert routes.PAGE.read_text(encoding="utf-8") == routes.page(ROWS)
    assert len(ROWS) > 100


def test_every_refusal_is_one_sentence_with_a_way_out():
    for row in ROWS:
        for sentence in row.sentences.values():
            assert "\n" not in sentence.rstrip()
            assert "Traceback" not in sentence
