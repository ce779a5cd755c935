import doctest
import os
import re
from pathlib import Path

import pytest
import typer

from daleml.cli import app
from tests import docstrings, written_pages

ROOT = Path(__file__).parent.parent
PAGES = written_pages.pages()
NAMES = {
    *docstrings.HOMES,
    *(f"{home}.{name}" for home, name, _ in docstrings.public()),
}
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(
    "block", BLOCKS, ids=[f"block {i}" for i in range(len(BLOCKS))]
)
def test_the_readme_runs(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(block.strip().splitlines()) <= 24
    namespace = {}
    exec(compile(block, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out
    if "history" in namespace:
        assert re.match(r"9\d% of digits it has not seen are read correctly", printed)
        assert "Dale's law holds: 7 parameters" in printed
        assert "SVD entropy" in printed
        assert namespace["history"].accuracy.iloc[-1] > 0.8
        assert (tmp_path / "weights.png").exists()
    elif "worm" in namespace:
        assert printed.startswith("3,638 weights (counts, zero not seen)")
        assert "The 2 groups differ" in printed
        assert namespace["seen"].min() == 5
    else:
        assert printed.startswith("('L2', 'L3', 'L4') Dale's law holds")
        assert namespace["rnn"].weight_hh_l0.grad.abs().sum() > 0


def test_the_readme_is_short_and_says_where_it_lives():
    assert len(README.splitlines()) < 200
    assert "<https://github.com/daleml/daleml>" in README


def test_the_readmes_commands_exist():
    named = set(re.findall(r"[`$] ?make ([a-z-]+)", README))
    assert {"demo", "test", "bench"} <= named
    assert named <= TARGETS

    commands = {command.callback.__name__ for command in app.registered_commands}
    assert set(re.findall(r"\$ daleml (\w+)", README)) <= commands


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in written_pages.links(text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert leads_somewhere(ROOT / page, target), target


def leads_somewhere(page, target):
    path, _, anchor = target.partition("#")
    place = Path(os.path.normpath(page.parent / path)) if path else page
    api = ROOT / "docs" / "api"
    if place.parent == api:  # written while the site is built
        return place.stem == "index" or place.stem in NAMES
    if place.parent == ROOT / "docs" / "tutorials" and place.suffix == ".ipynb":
        place = ROOT / "tutorials" / place.name  # brought there while the site is built
    if not place.exists():
        return False
    if not anchor or place.suffix != ".md":
        return True
    return anchor in written_pages.anchors(place.read_text())


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("docs/tasks.md", True),
        ("docs/task.md", False),
        ("#how-to-cite", True),
        ("#how-to-quote", False),
        ("docs/api/daleml.signs.rst", True),
        ("docs/api/daleml.sings.rst", False),
        ("docs/tutorials/01_dales_law.ipynb", True),
        ("docs/tutorials/00_dales_law.ipynb", False),
    ],
)
def test_a_link_that_leads_nowhere_is_noticed(target, leads):
    assert leads_somewhere(ROOT / "README.md", target) is leads


# The snippets of these are run, and what they print compared, in tests/guides.
ELSEWHERE = ("README.md", "docs/guides/", "docs/coming_from/", "docs/faq.md")


@pytest.mark.parametrize("page", [p for p in PAGES if not str(p).startswith(ELSEWHERE)])
def test_examples_of_pages_run(page, tmp_path, monkeypatch):
    names = {"__name__": "__main__"}
    text = (ROOT / page).read_text()
    monkeypatch.chdir(tmp_path)
    for block in written_pages.blocks(text):
        if block.reason:
            continue
        if block.language == "python":
            # Empty lines above, so that a traceback names the line of the page.
            code = "\n" * (block.line - 1) + block.text
            exec(compile(code, page, "exec"), names)
        elif block.language == "pycon":
            run_session(block, page, names)


def run_session(block, page, names):
    flags = doctest.NORMALIZE_WHITESPACE
    session = doctest.DocTestParser().get_doctest(
        block.text, {}, page, page, block.line - 1
    )
    assert session.examples, f"{page}, line {block.line}: a session without >>>"
    session.globs = names
    report = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=flags)
    failed, _ = runner.run(session, out=report.append, clear_globs=False)
    assert not failed, "".join(report)


def test_a_session_that_prints_something_else_fails():
    block = written_pages.Block("pycon", ">>> 1 + 1\n3\n", 1, "")
    with pytest.raises(AssertionError, match="Expected:"):
        run_session(block, "page", {})


COMMANDS = [
    pytest.param(page, line, id=f"{page}: {line}")
    for page in PAGES
    for block in written_pages.blocks((ROOT / page).read_text())
    if block.language == "console"
    for line in re.findall(r"^\$ (.+)", block.text, re.MULTILINE)
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_of_pages_exist(page, line):
    complaint = what_is_wrong_with(line)
    assert not complaint, complaint


def what_is_wrong_with(line):
    """Say what a line of a terminal names that is not there; None if all of it is."""
    for command in re.split(r" && | \| |;", line.partition("  #")[0]):
        words = command.split()
        program = words[0].removeprefix(".venv/bin/")
        if program == "make":
            unknown = set(words[1:]) - TARGETS
            named = [word for word in unknown if not re.match(r"[A-Z]+=", word)]
            if named:
                return f"make has no target {named}"
        if program == "daleml":
            return wrong_in_daleml(words[1:])
    return None


def wrong_in_daleml(words):
    tool = typer.main.get_command(app)
    command = tool
    if words and words[0] in tool.commands:
        command = tool.commands[words[0]]
    elif words and not words[0].startswith("-"):
        return f"daleml has no command {words[0]}"
    known = {"--help"}
    for parameter in command.params:
        known.update(parameter.opts, parameter.secondary_opts)
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    return f"no options {given - known}" if given - known else None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("make demo", None),
        ("make dmeo", "make has no target ['dmeo']"),
        ("cd daleml && daleml fti x.csv", "daleml has no command fti"),
        ("daleml fit x.csv --columm w", "no options {'--columm'}"),
        ("daleml fit x.csv --column w  # a page", None),
    ],
)
def test_a_command_that_is_not_there_is_noticed(line, complaint):
    assert what_is_wrong_with(line) == complaint


def test_contributing_is_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 80
