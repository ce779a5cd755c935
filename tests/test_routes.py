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


OTHERWISE = {
    # Strengths that were given are not scaled.
    "`init.spectral_radius_`",
    # They come back, and `signs.check` says that the weight has been moved from them.
    "`prune.remove`",
    # Under other signs some of them would be lawless.
    "with other signs, inside `signs.adopt_signs`",
    "`signs.fix` with other signs and `replace=True`: mask, role and correction stay",
}
"""Routes on which synapses that do not learn are not simply kept."""


@pytest.mark.slow
def test_synapses_that_do_not_learn_are_kept_on_every_route(monkeypatch):
    monkeypatch.setattr(routes, "some_fixed", True)
    monkeypatch.setattr(
        routes, "ROUTES", [one for one in routes.ROUTES if one.text not in OTHERWISE]
    )
    lost = {}
    for row in routes.walk_all():
        if set(row.outcomes.values()) != {row.route.outcome}:
            lost[row.route.text] = row.outcomes
    assert not lost
    assert len(ROWS) - len(routes.ROUTES) == len(OTHERWISE)
