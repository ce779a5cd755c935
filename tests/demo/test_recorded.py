"""The README's two tables are what the demo prints, on this processor and on others."""

import pytest

from daleml import demo
from tests.demo.recorded import ROOT, cells, kept

COLUMNS = {
    "networks": {
        "test error": "test error",
        "steps that broke the law": "steps that broke the law",
        "weights that changed sign": "changed sign",
        "KS from log-normal, before": "KS from log-normal, before",
        "after": "after",
    },
    "recurrent": {
        name: name
        for name in ("test error", "steps that broke the law", "H before", "H after")
    },
}
"""The columns of each table of the README, and what the demo calls them."""


def readme_table(columns):
    """Return the table of the README that has these columns: by network, then by column."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    head = "| network | " + " | ".join(columns) + " |"
    (begin,) = [place for place, line in enumerate(lines) if line == head]
    found = {}
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        network, *values = (cell.strip() for cell in line.strip("|").split("|"))
        found[network] = dict(zip(columns, values, strict=True))
    return found


def percent(text):
    return float(text.removesuffix("%"))


def span(text):
    """Return the ends of ``2.5 to 4.0%``, or of one value."""
    low, _, high = text.partition(" to ")
    return percent(low), percent(high or low)


@pytest.mark.parametrize("name", COLUMNS)
def test_the_tables_of_the_readme_are_those_that_were_kept(name):
    columns, content = COLUMNS[name], kept()
    table = readme_table(list(columns))
    assert list(table) == list(content[name])
    for network, row in table.items():
        printed = content[name][network]
        for column, printed_name in columns.items():
            if column == "test error" and network in content["test error, %"]:
                low, high = span(row[column])
                least, most = content["test error, %"][network]
                assert low <= least <= most <= high, network
                assert low <= percent(printed[printed_name]) <= high, network
            else:
                assert row[column] == printed[printed_name], (network, column)


@pytest.mark.slow
def test_a_fresh_demo_prints_what_was_kept(tmp_path):
    """The four networks exactly; the recurrent ones within what processors make of them."""
    fresh, content = cells(demo.run(tmp_path, recurrent=True)), kept()
    assert fresh["networks"] == content["networks"]
    for network, row in fresh["recurrent"].items():
        columns = COLUMNS["recurrent"]
        low, high = span(readme_table(list(columns))[network]["test error"])
        assert low <= percent(row["test error"]) <= high
        before, after = (float(row[f"H {when}"]) for when in ("before", "after"))
        expected = content["recurrent"][network]
        assert before == float(expected["H before"])
        assert after == pytest.approx(float(expected["H after"]), abs=0.002)
