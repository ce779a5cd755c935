"""The files from which Binder builds an environment, and what tutorials need to run there or on Colab."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs" / "start" / "in_a_browser.md").read_text()
SCRIPTS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))
IMPORTED_AS = {"scikit-learn": "sklearn"}


def lines():
    """The lines of Binder's requirements that say something."""
    found = (BINDER / "requirements.txt").read_text().splitlines()
    return [line for line in found if line and not line.startswith("#")]


def test_what_binder_installs_has_the_pinned_versions():
    options = dict(line.split(maxsplit=1) for line in lines() if line.startswith("--"))
    constraints = (BINDER / options.pop("--constraint")).resolve()
    assert constraints == ROOT / "requirements" / "constraints.txt"
    assert list(options) == ["--extra-index-url"]


def test_binder_installs_this_repository_and_names_no_other_package():
    pinned = {
        canonicalize_name(line.split("==")[0])
        for line in (ROOT / "requirements" / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    named = [line for line in lines() if not line.startswith("--")]
    assert "." in named
    for one in set(named) - {"."}:
        requirement = Requirement(one)
        assert canonicalize_name(requirement.name) in pinned
        assert not requirement.specifier, "constraints.txt has the versions"


def test_binder_has_a_python_that_daleml_is_tested_with():
    python = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert python in SpecifierSet(PROJECT["requires-python"])
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]


def imported(script):
    """The packages that a script imports."""
    names = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_a_tutorial_imports_nothing_but_what_daleml_brings(script):
    names = [Requirement(one).name for one in PROJECT["dependencies"]]
    brought = {IMPORTED_AS.get(name, name) for name in names}
    # A notebook's kernel has IPython.
    allowed = brought | {"daleml", "IPython"} | sys.stdlib_module_names
    assert imported(script) <= allowed


def test_the_page_types_addresses_and_files_that_exist():
    source = PROJECT["urls"]["Source"]
    assert f"%pip install --quiet git+{source}" in PAGE
    assert f"git clone {source} " in PAGE
    assert f"type `{source.removeprefix('https://github.com/')}`" in PAGE
    for file in re.findall(r"`((?:binder|tutorials|requirements)/[^`]+)`", PAGE):
        assert (ROOT / file).exists(), file
