"""How often verdicts are wrong where nothing is there: counted anew, and written down in the documentation."""

import json
import math
from pathlib import Path

import pytest

from benchmarks import calibration

DOCS = Path(__file__).parents[2] / "docs"
CELLS = {f"{cell.verdict}: {cell.case}": cell for cell in calibration.cells()}

TESTED = [
    "compare_groups: lognormal, 2 groups of 5",
    "compare_groups: weibull, 40 groups of 5",
    "compare_groups: lognormal, one group of 200 and 10 of 2",
    "compare_groups, within: 3 animals of 10 spines in either group, ICC 0.2",
    "compare_to: weibull, 60 and 60",
    "goodness of fit: lognormal, n = 60",
]
SLOW = [
    *TESTED,
    "compare_groups: gamma, 10 groups of 10",
    "compare_groups: exponential, 5 groups of 5",
    "compare_groups: inversegaussian, 2 groups of 200",
    "compare_groups: counts (--discrete), 15 groups of 10",
    "compare_groups, within: 6 animals of 200 spines in either group, ICC 0.05",
    "compare_groups, within: 6 animals of 30 spines, each in both groups, ICC 0.2",
    "compare_to: counts, 300 and 300",
    "goodness of fit: lognormal rounded to 0.01 (--resolution), n = 200",
]
LEAST, MOST = 0.03, 0.08
"""What the share of wrong verdicts at 5 % must lie between, but for the error of counting it."""


@pytest.mark.parametrize("name", TESTED)
def test_verdicts_are_wrong_about_one_time_in_twenty(name):
    """Of 60 at 5 %, eleven or more come once in ten thousand."""
    cell = CELLS[name]
    row = cell.run(60 / cell.n)
    assert row["n"] == 60
    assert row["share"] <= 10 / 60


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_the_share_of_wrong_verdicts(name):
    row = CELLS[name].run()
    error = 2 * math.sqrt(0.05 * 0.95 / row["n"])
    assert LEAST - error <= row["share"] <= MOST + error


def test_without_clusters_the_verdict_would_be_wrong():
    """What `within` is for: the same spines, taken for independent."""
    cell = CELLS[
        "compare_groups, without within: 4 animals of 50 spines in either group, ICC 0.1"
    ]
    assert cell.run(40 / cell.n)["share"] > 0.2


# -- the page ----------------------------------------------------------------------------------------------------------


def known():
    return json.loads((DOCS / "calibration.json").read_text())


def test_the_page_is_made_of_the_numbers():
    found = known()
    assert (DOCS / "calibration.md").read_text() == calibration.page(
        found["rows"], found["about"]
    )


def test_every_cell_has_its_row():
    assert [f"{row['verdict']}: {row['case']}" for row in known()["rows"]] == list(
        CELLS
    )


@pytest.mark.parametrize(
    "verdict",
    ["compare_groups", "compare_groups, within", "compare_to", "goodness of fit"],
)
def test_levels_are_kept_as_written_down(verdict):
    """Of some fifty rows of 150 to 400 samples, each lies within three errors of the bounds."""
    rows = [
        row for row in known()["rows"] if row["verdict"] == verdict and row["wrong"]
    ]
    assert len(rows) >= 8
    for row in rows:
        error = 3 * math.sqrt(0.05 * 0.95 / row["n"])
        assert LEAST - error <= row["share"] <= MOST + error, row
    mean = sum(row["share"] for row in rows) / len(rows)
    assert 0.035 <= mean <= 0.065


def test_no_claim_of_a_family_is_made_too_often():
    for row in known()["rows"]:
        if row["verdict"] == "compare_families":
            assert row["share"] <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / row["n"]), row
