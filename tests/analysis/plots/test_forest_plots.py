"""A forest plot says what the verdicts say: by the place of each bar, its colour and its shape."""

import math

import numpy as np
import pytest

from daleml.analysis import plots
from daleml.analysis.plots.forest_marks import OWNERS, VERDICTS
from daleml.analysis.plots.forest_rows import FARTHEST, NEAREST, claims_of
from daleml.reproductions import claim as claims
from daleml.reproductions import verdict


def check(**words):
    usual = {
        "label": "gap",
        "expected": "at least 0",
        "at_least": None,
        "at_most": None,
        "no_effect": None,
        "verdict": "holds",
        "mean": 1.0,
        "low": 0.5,
        "high": 1.5,
    }
    return usual | words


def claim(*checks, **words):
    usual = {"id": "9a", "paper": "toy", "owner": "ours", "verdict": "holds"}
    return usual | {"measured": list(checks)} | words


def row(**words):
    return claims_of([claim(check(**words))])[0].rows[0]


def test_a_check_holds_exactly_where_its_whole_bar_lies_at_zero_or_above():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        bounds = np.sort(rng.normal(size=2))
        least, most = (float(bound) if rng.random() < 0.6 else None for bound in bounds)
        if least is None and most is None:
            continue
        expected = claims.Check("x", "x", least, most)
        values = rng.normal(rng.normal(), 0.3, size=4).tolist()
        one = verdict.measure(expected, values)
        (found,) = claims_of([claim(one.to_dict())])[0].rows
        seen.add(one.verdict)
        assert (found.low >= 0) == (one.verdict == verdict.HOLDS)
        assert (found.high < 0) == (one.verdict == verdict.FAILS)
        assert found.low <= found.mean <= found.high
    assert seen == set(VERDICTS)


def test_the_axis_counts_half_widths_from_the_nearest_bound():
    found = row(at_least=0.0, at_most=3.0, mean=1.0, low=0.5, high=1.5, no_effect=-1.0)
    assert (found.mean, found.low, found.high) == (2.0, 1.0, 3.0)
    assert found.no_effect == -2.0
    # Nearer to the upper bound, the bar is measured from that one.
    found = row(at_least=0.0, at_most=3.0, mean=2.5, low=2.0, high=3.0)
    assert (found.mean, found.low, found.high) == (1.0, 0.0, 2.0)
    # An interval around the middle of the range reaches no farther than the middle.
    found = row(at_least=0.0, at_most=3.0, mean=1.5, low=1.0, high=2.0)
    assert (found.mean, found.low, found.high) == (3.0, 2.0, 3.0)


def test_what_has_no_width_or_no_number_has_a_place_too():
    same = {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert row(at_least=1.0, **same).mean == 0.0
    assert row(at_least=0.0, **same).mean == math.inf
    assert row(at_least=2.0, **same).mean == -math.inf
    nothing = {"mean": None, "low": None, "high": None}
    for bound in ({"at_least": 0.0}, {"at_most": 0.0}, {"at_least": -1, "at_most": 1}):
        found = row(**bound, **nothing)
        assert (found.mean, found.low, found.high) == (-math.inf,) * 3
        assert found.numbers == "–"


def test_numbers_are_printed_with_a_minus_and_their_interval():
    assert row(at_least=0.0, mean=-1.25, low=-2.0, high=0.5).numbers == "−1.25 (−2 to 0.5)"  # fmt: skip
    assert row(at_least=0.0, mean=2.0, low=2.0, high=2.0).numbers == "2"


def drawn(figure, look):
    """Return where a kind of mark was drawn."""
    lines = figure.axes[0].lines
    found = [one for one in lines if one.get_marker() == look["marker"]]
    own = [one for one in found if one.get_color() == look.get("color", "0.2")]
    return [float(one.get_xdata()[0]) for one in own]


def test_verdicts_differ_by_colour_and_by_shape():
    words = {"at_least": 0.0, "mean": 2.0, "low": 1.0, "high": 3.0}
    for said, look in VERDICTS.items():
        figure = plots.forest([claim(check(**words, verdict=said), verdict=said)])
        assert drawn(figure, look) == [2.0]
        for other in VERDICTS.keys() - {said}:
            assert not drawn(figure, VERDICTS[other])
    assert len({look["marker"] for look in VERDICTS.values()}) == 3
    assert VERDICTS.keys() == {verdict.HOLDS, verdict.FAILS, verdict.CANNOT_TELL}


# How eyes without one kind of cone see linear RGB: Machado, Oliveira and Fernandes 2009.
PROTAN = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]  # fmt: skip
DEUTAN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]  # fmt: skip
TRITAN = [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]  # fmt: skip


@pytest.mark.parametrize("eyes", [np.eye(3), PROTAN, DEUTAN, TRITAN])
def test_colours_of_verdicts_differ_for_every_kind_of_eye(eyes):
    from matplotlib.colors import to_rgb

    seen = []
    for look in VERDICTS.values():
        rgb = np.array(to_rgb(look["color"]))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        light = np.clip(np.array(eyes) @ linear, 0, 1)
        seen.append(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))  # fmt: skip
    for one, other in ((0, 1), (0, 2), (1, 2)):
        # Of red and green of equal lightness, protan eyes see less than a tenth.
        assert np.abs(seen[one] - seen[other]).max() > 0.15


def test_every_owner_has_a_mark_of_its_own_in_the_key():
    assert set(claims.BOUND_OWNERS) | set(claims.CLAIM_OWNERS) == set(OWNERS)
    for owners in (claims.BOUND_OWNERS, claims.CLAIM_OWNERS):
        looks = [(OWNERS[one]["marker"], OWNERS[one].get("mfc")) for one in owners]
        assert len(set(looks)) == len(owners)
    of_bound = [check(at_least=0.0, owner=owner) for owner in claims.BOUND_OWNERS]
    figure = plots.forest([claim(*of_bound, check(at_least=0.0, by_construction=True))])
    key = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert key == ["holds", *claims.BOUND_OWNERS, "by construction"]


def test_what_lies_far_out_is_an_arrow_at_the_edge():
    thin = {"low": 1.0, "mean": 1.0 + 1e-9, "high": 1.0 + 2e-9}
    green, purple = VERDICTS["holds"]["color"], VERDICTS["does not hold"]["color"]
    figure = plots.forest([claim(check(at_least=0.0, **thin))])
    assert drawn(figure, {"marker": ">", "color": green}) == [FARTHEST]
    far = check(at_least=9.0, verdict="does not hold", **thin)
    figure = plots.forest([claim(far, verdict="does not hold")])
    assert drawn(figure, {"marker": "<", "color": purple}) == [NEAREST]


def test_a_claim_s_row_in_the_overview_is_its_deciding_check():
    far = check(at_least=0.0, mean=9.0, low=8.0, high=10.0)
    # Every seed gave the bound itself: it holds, and says nothing of how far.
    exact = check(at_least=1.0, mean=1.0, low=1.0, high=1.0)
    open_ = check(at_least=0.0, mean=0.5, low=-0.5, high=1.5, verdict="cannot tell")
    failing = check(at_least=0.0, mean=-2.0, low=-3.0, high=-1.0, verdict="does not hold")  # fmt: skip
    for checks, said, place in (
        ((far, check(at_least=0.0)), "holds", 2.0),
        ((far, exact, open_), "cannot tell", 0.5),
        ((far, open_, failing), "does not hold", -2.0),
    ):
        figure = plots.forest_overview([claim(*checks, verdict=said)])
        assert drawn(figure, VERDICTS[said]) == [place]


def test_what_was_not_tested_is_named_in_the_overview():
    untested = claim(id="9z", verdict="not tested")
    figure = plots.forest_overview([claim(check(at_least=0.0)), untested])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["toy: 1 of 1 holds", "9a", "not tested: 9z"]
    with pytest.raises(ValueError, match="must have a claim that was tested; got none"):
        plots.forest([untested])
    with pytest.raises(ValueError, match="must have a claim that was tested; got none"):
        plots.forest_overview({"claims": []})


@pytest.mark.parametrize("wrong", [3, "claims.json", {"budget": "quick"}, [3], [{}]])
def test_what_are_no_claims_are_refused(wrong):
    with pytest.raises(TypeError, match="`results` must be outcomes of claims"):
        plots.forest(wrong)
