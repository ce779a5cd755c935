"""Papers and their claims: whole, with sources, on a page of their own and in the docs."""

from daleml import reproductions
from daleml.pages import claims_page
from daleml.reproductions import Claim, reproduce
from daleml.reproductions.papers.interneurons_garciadelmolino2017.experiments import (
    MODEL as NOTHING_DRAWN,
)
from tests.reproductions.toys import claim


def test_a_paper_writes_its_name_on_what_is_its_own():
    paper = reproductions.Paper("toy", "Nobody (1900)", (claim(), claim(id="9b")))
    assert [(one.id, one.paper) for one in paper.claims] == [
        ("9a", "toy"),
        ("9b", "toy"),
    ]
    assert all(
        one.paper == own.name for own in reproductions.papers() for one in own.claims
    )


def test_every_claim_says_where_from_and_what_no_effect_would_be():
    listed = reproductions.find()
    assert len({one.id for one in listed}) == len(listed)
    for one in listed:
        assert one.source
        assert one.sentence.endswith(".")
        if one.experiment is None:
            assert one.note, one.id
            continue
        assert one.checks, one.id
        quick, paper = (one.experiment.seeds[name] for name in ("quick", "paper"))
        # Two are enough to see that they give the same, where nothing is drawn.
        few = one.experiment is NOTHING_DRAWN
        # Some are minutes a seed, and not in the quick budget, as their notes say.
        left_out = not quick and "quick budget" in one.note
        assert quick >= (2 if few else 3) or left_out, one.id
        # Others are minutes a seed at the published size, and say so.
        costly = "three seeds" in one.note
        assert paper >= (2 if few else 3 if costly else 5), one.id
        for check in one.checks:
            assert check.at_least is not None or check.at_most is not None
            if check.no_effect is not None and not check.is_equivalence:
                # a bound that no effect would meet says nothing
                inside = (
                    check.at_least is None or check.at_least < check.no_effect
                ) and (check.at_most is None or check.no_effect < check.at_most)
                assert not inside or check.is_equivalence, (one.id, check.number)


def test_the_page_needs_nothing_else(tmp_path):
    claims = claim(), Claim("9z", "Said.", "nowhere", None, note="There are no data.")
    paper = reproductions.Paper("toy", "Nobody (1900)", claims)
    result = reproduce(paper.claims, tmp_path / "out", jobs=1)
    path = claims_page.write(
        result, [paper], tmp_path / "out", "daleml reproduce --budget quick"
    )
    text = path.read_text()
    assert 'src="data:image/png;base64,' in text
    assert "http" not in text.split("</style>")[1]
    assert "daleml reproduce 9a --budget quick" in text
    assert "There are no data." in text
    assert (tmp_path / "out" / "figures" / "9a.png").exists()
    assert (
        claims_page.verdict_counts(result.outcomes)
        == "1 of 1 tested claims hold; 1 not tested."
    )
