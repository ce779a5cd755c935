"""The pages of claims: words before use, counts by owner, both budgets side by side."""

import re

import pytest

from daleml.reproductions import claim, definitions, verdict
from daleml.reproductions.claim_documents import (
    overview,
    paper_page,
    provenance,
    table_of_papers,
)
from daleml.reproductions.owner_counts import deciding, headline, of_bounds, summary
from daleml.reproductions.tables import authors, by_circuit, by_claim
from tests.guides import written
from tests.reproductions.kept import OTHER, check, file_of, kept_claim, paper, untested

OPEN = check(verdict="cannot tell", seeds_needed=34)
KEPT = {
    "quick": file_of(
        kept_claim("9a"),
        kept_claim("9b", OPEN, verdict="cannot tell", owner="ours"),
        untested("9z", note="No data."),
    ),
    "paper": file_of(
        kept_claim("9a", check(mean=2.5), machine=OTHER, minutes=12.345),
        kept_claim("9b", verdict="does not hold", owner="ours", tried="More."),
        untested("9z", absent="No images.", earlier="Once."),
        budget="paper",
    ),
}


def terms_in(text):
    """Return the terms that a text uses."""
    plain = re.sub(r"`[^`]*`", "", text)
    found = set()
    for term in sorted(definitions.TERMS, key=len, reverse=True):
        pattern = rf"(?<![\w-]){re.escape(term)}s?(?![\w-])"
        if re.search(pattern, plain):
            found.add(term)
            plain = re.sub(pattern, "", plain)
    return found


def test_each_word_is_defined_by_words_before_it():
    known = set()
    for term, meaning in definitions.TERMS.items():
        known.add(term)
        assert terms_in(meaning) <= known, term
    assert {*claim.BOUND_OWNERS, *claim.CLAIM_OWNERS} <= known
    assert {verdict.HOLDS, verdict.FAILS, verdict.CANNOT_TELL, verdict.NOT_TESTED} <= known  # fmt: skip


def test_the_measure_of_definitions_finds_a_word_that_comes_too_early():
    assert terms_in("Seeds of a `budget`, and the paper's numbers.") == {"the paper's number"}  # fmt: skip
    assert terms_in("one seed per budget") == {"seed", "budget"}


def test_the_page_defines_its_words_before_it_uses_them():
    text = overview(KEPT, [paper()])
    begin = text.index("## Words")
    assert text.index("**pilot**") < text.index("## How many hold")
    # Before the list, there is nothing but what every reader knows.
    assert terms_in(text[:begin]) <= {"seed", "claim", "does not hold"}


def test_the_glossary_says_the_same_of_verdicts():
    glossary = written.glossary()
    # An interval is one of anything there.
    for term in definitions.TERMS.keys() - {"interval"}:
        if term in glossary:
            said = re.sub(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", r"\1", glossary[term])
            assert " ".join(said.split()).startswith(definitions.TERMS[term]), term


def test_owners_are_counted_apart():
    quick = KEPT["quick"]["claims"]
    assert headline(quick) == "Of the papers' own claims that were tested, 1 of 1 hold; of claims of ours, 0 of 1."  # fmt: skip
    assert headline([untested()]) == "No claim was tested."
    own = check(owner="ours")
    assert of_bounds([kept_claim("9a", check(), own, own)]) == (
        "Of 3 checks, the bounds are: 1 the paper's direction, 2 ours."
    )
    text = overview(KEPT, [paper()])
    assert "| the paper's | 1 | 0 | 0 | 1 | 1 | 0 | 0 | 1 |" in text
    assert "| ours | 0 | 0 | 1 | 0 | 0 | 1 | 0 | 0 |" in text
    assert "| all | 1 | 0 | 1 | 1 | 1 | 1 | 0 | 1 |" in text


def test_a_paper_has_one_sentence():
    by_budget = {name: content["claims"] for name, content in KEPT.items()}
    assert summary(by_budget) == (
        "At the paper budget, 1 of 1 claims of its own hold, and 0 of 1 others; 9b does not hold;"
        " 9z was not tested; at the quick budget 9b cannot tell."
    )
    two = [kept_claim(code, verdict="cannot tell", owner="ours") for code in ("1a", "1b")]  # fmt: skip
    assert summary({"quick": two}) == (
        "At the quick budget, 0 of 2 claims hold, none of them its own; 1a and 1b cannot be told."
    )
    assert summary({"quick": [untested()]}) == (
        "No claim was tested; 9z was not tested."
    )


def test_a_claim_that_the_larger_budget_left_out_counts_as_the_smaller_one_has_it():
    quick = [kept_claim("9a"), kept_claim("9b", OPEN, verdict="cannot tell")]
    found = {"quick": quick, "paper": [kept_claim("9a", verdict="does not hold")]}
    assert [one["budget"] for one in deciding(found)] == ["paper", "quick"]
    assert summary(found) == (
        "At the largest budget of each, 0 of 2 claims of its own hold; 9a does not hold;"
        " 9b cannot be told; at the quick budget 9a holds."
    )
    found["paper"].append(untested("9b", absent="No images."))
    assert deciding(found)[1]["verdict"] == "cannot tell"
    # No figure is shown of a budget at which nothing of the paper was measured.
    kept = {"quick": file_of(*quick), "paper": file_of(untested("9b"), kept_claim("1a", paper="x"))}  # fmt: skip
    assert "forest-toy-paper" not in paper_page(kept, paper())
    assert "forest-toy-quick" in paper_page(kept, paper())


def test_budgets_stand_side_by_side():
    text = paper_page(KEPT, paper())
    first, second, third = re.split(r"^## 9[abz]$", text, flags=re.MULTILINE)[1:]
    assert "Whose claim: the paper's. Verdict: quick: **holds**, paper: **holds**." in first  # fmt: skip
    assert "Processor minutes of its experiment: paper 12." in first
    assert (
        "| log \\|gap\\| | at least 0<br>the paper's direction"
        " | 2 (1 to 3)<br>3 seeds, smallest effect 0.5<br>**holds**"
        " | 2.5 (1 to 3)<br>3 seeds, smallest effect 0.5<br>**holds** |"
    ) in first
    assert "**cannot tell; about 34 seeds would**" in second
    assert "**What was tried.** More." in second
    assert "**As it was stated before.** Once." in third
    assert "Not tested at the paper budget: No images." in third
    assert "- [9a](#9a) **holds** (the paper's). There is a gap." in text
    assert "- [9b](#9b) quick: **cannot tell**, paper: **does not hold** (ours). There" in text  # fmt: skip
    for budget in KEPT:
        assert f'<img src="../figures/forest-toy-{budget}.png" alt="Forest plot' in text


def test_one_budget_alone_has_a_page_too():
    text = paper_page({"quick": KEPT["quick"]}, paper())
    assert "Verdict: quick: **holds**." in text
    assert "paper" not in text.split("## 9a")[1].split("## 9b")[0].replace("the paper's", "")  # fmt: skip
    alone = paper_page({"quick": file_of(untested())}, paper())
    assert "<img" not in alone


def test_what_markdown_would_take_for_its_own_is_written_as_it_is():
    odd = kept_claim("9a", check(label="a | b < c", mean=None, low=None, high=None))
    text = by_claim(file_of(odd | {"note": "p < 0.05"}))
    assert "| a \\| b &lt; c | at least 0<br>the paper's direction | –<br>" in text
    assert "p &lt; 0.05" in text


def test_every_run_is_named_with_its_commit():
    two = file_of(kept_claim("9a"), kept_claim("9b", machine=OTHER))
    command = "- `daleml reproduce --budget quick`"
    assert provenance({"quick": two}).splitlines() == [
        f"{command} at commit 1111111 on abacus (torch 2): 9a.",
        f"{command} at commit 2222222 on slide rule: 9b.",
    ]


def test_the_table_of_papers_counts_their_own_claims_apart():
    lines = table_of_papers(KEPT, [paper()]).splitlines()
    assert lines[0] == (
        "| paper | its own claims that hold, quick | its own claims that hold, paper"
        " | others | what does not hold, or cannot be told |"
    )
    assert lines[2:] == ["| [toy](docs/claims/toy.md) | 1 of 1 | 1 of 1 | 0 of 1 | 9b does not hold |"]  # fmt: skip


def test_circuits_of_papers_stand_beside_what_is_claimed_of_them():
    here = kept_claim("p1", check(low=2.0, high=2.0), check(label="other"), paper="decision")  # fmt: skip
    later = untested("n1", paper="interneurons")
    kept = {"quick": file_of(later, here, kept_claim("3a", paper="eg"))}
    # Papers in the order of the page, whatever the order of their claims; others are left out.
    assert by_circuit(kept).splitlines()[2:] == [
        "| p1 | There is a gap. *figure 1.* | log \\|gap\\|: 2<br>other: 2 (1 to 3)<br>**holds** |",
        "| n1 | There is a gap. *figure 1.* | **not tested** |",
    ]


@pytest.mark.parametrize(
    ("citation", "said"),
    [
        ("Liu, Baratin, Cornford & Lajoie 2024, How structure, ICLR", "Liu et al. 2024"),
        ("Cornford et al. 2024, Brain-like learning, bioRxiv", "Cornford et al. 2024"),
        ("H. F. Song, G. R. Yang, X.-J. Wang (2016) Training", "Song et al. 2016"),
        ("L. C. Garcia del Molino, X.-J. Wang (2017) Reversal", "Garcia del Molino & Wang 2017"),
        ("Nobody", "Nobody"),
    ],
)  # fmt: skip
def test_a_citation_is_shortened_to_its_authors(citation, said):
    assert authors(citation) == said
