"""The guides: every snippet runs and prints what the page says; every command is one."""

import re
import sys
from types import SimpleNamespace

import click
import pytest
import torch
import typer

from daleml.cli import app
from tests import small_figures
from tests.guides import snippets, written
from tests.tasks.test_tasks import FakeEnvironment

GUIDES = sorted((written.DOCS / "guides").glob("*.md"))
TRANSLATIONS = sorted((written.DOCS / "coming_from").glob("*.md"))


@pytest.fixture(autouse=True)
def default_dtype():
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", GUIDES + TRANSLATIONS, ids=lambda path: path.stem)
def test_snippets_run(page, tmp_path, monkeypatch):
    text = page.read_text()
    snippets.skip_without_extras(text)
    # Figures that a command writes are tested elsewhere.
    small_figures.unrendered(monkeypatch)
    # A stand-in that speaks NeuroGym's protocol: the package is not among those of the tests.
    made = SimpleNamespace(make=lambda name, **settings: FakeEnvironment(**settings))
    monkeypatch.setitem(sys.modules, "neurogym", made)
    monkeypatch.chdir(tmp_path)
    snippets.run(text, page.name)


@pytest.mark.parametrize("page", GUIDES + TRANSLATIONS, ids=lambda path: path.stem)
def test_no_line_of_code_is_cut(page):
    """The column of a page on a desk holds so many characters."""
    for block in snippets.blocks_of(page.read_text()):
        assert max(map(len, block.code.splitlines())) <= 86


@pytest.mark.parametrize("page", GUIDES, ids=lambda path: path.stem)
def test_guides_are_short_and_say_what_they_are(page):
    lines = page.read_text().splitlines()
    assert 15 <= len(lines) <= 110
    assert lines[0].startswith("# ")
    assert re.match(r"[A-Z*`{\[]", lines[2]), (
        "the first paragraph says what the page is"
    )


def parsed(arguments):
    """Parse the arguments of ``daleml`` as the command line does, and run nothing."""
    group = typer.main.get_command(app)
    name, *rest = arguments
    command = group.commands[name]
    with click.Context(group) as parent:
        return command.make_context(name, list(rest), parent=parent)


def commands():
    for page in written.pages():
        for arguments in snippets.commands_of(page.read_text()):
            yield page.stem, arguments


@pytest.mark.parametrize(("page", "arguments"), list(commands()), ids=str)
def test_commands_of_pages_are_commands(page, arguments):
    parsed(arguments)


def test_a_command_that_is_none_is_noticed():
    with pytest.raises(Exception, match="No such option: --colum"):
        parsed(["fit", "a.csv", "--colum", "x"])


def test_the_comparison_can_fail():
    assert snippets.same("error 1.00 %", "error 1.005 %\n")
    assert not snippets.same("error 1.00 %", "error 1.05 %")
    assert not snippets.same("holds", "does not hold")
    assert not snippets.same("", "printed")
    with pytest.raises(AssertionError, match="and the code prints"):
        snippets.run("```python\nprint(2)\n```\n\n```text\n3\n```\n", "page")


@pytest.mark.parametrize("pages", [GUIDES, TRANSLATIONS], ids=["guides", "coming from"])
def test_every_page_is_in_its_index(pages):
    index = (pages[0].parent / "index.md").read_text()
    for page in pages:
        if page.stem != "index":
            assert f"({page.name})" in index, page.name
            assert re.search(rf"^{page.stem}$", index, re.MULTILINE), page.name


@pytest.mark.parametrize("page", TRANSLATIONS, ids=lambda path: path.stem)
def test_translations_say_what_is_different_and_what_is_missing(page):
    text = page.read_text()
    if page.stem == "index":
        return
    assert "| in " in text, "a table, there and here"
    assert len(snippets.blocks_of(text)) == 1, "the typical script"
    assert re.search("What daleml does otherwise|What is different", text)
    assert "What daleml does not do" in text


def test_codes_of_claims_are_those_of_the_papers():
    from daleml.reproductions import papers

    text = (written.DOCS / "papers.md").read_text()
    rows = re.findall(r"\| `(\w+)` to `(\w+)` \| (.+?) \| \[`(\w+)`\]\(", text)
    found = {name: (first, last) for first, last, _, name in rows}
    expected = {}
    for paper in papers.all_papers():
        expected[paper.name] = (paper.claims[0].id, paper.claims[-1].id)
    assert found == expected
    ids = {claim.id for paper in papers.all_papers() for claim in paper.claims}
    named = set(re.findall(r"\(`(\w+)`\)", text))
    untested = {
        claim.id
        for paper in papers.all_papers()
        for claim in paper.claims
        if claim.experiment is None
    }
    assert named <= ids
    assert untested <= named, "what is not here is said"
