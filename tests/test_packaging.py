"""What pyproject.toml promises, the files of requirements/ test; what the tests read, a source distribution holds."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BUILT_OR_KEPT_BY_GIT = {
    "build",
    "demo",
    "dist",
    "reproduction",
    "daleml.egg-info",
    "PKG-INFO",
    "setup.cfg",
}


def pins(name):
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    found = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(package): Version(version) for package, version in found}


def dependencies(requirements):
    found = (Requirement(one) for one in requirements)
    return {canonicalize_name(one.name): one for one in found if one.name != "daleml"}


def test_the_lowest_versions_tested_are_the_lowest_declared():
    declared = {
        name: Version(next(iter(one.specifier)).version)
        for name, one in dependencies(PROJECT["dependencies"]).items()
    }
    assert pins("lowest.txt") == declared


@pytest.mark.parametrize("extra", [None, *PROJECT["optional-dependencies"]])
def test_what_setup_installs_is_pinned_and_within_the_declared_range(extra):
    requirements = (
        PROJECT["dependencies"]
        if extra is None
        else PROJECT["optional-dependencies"][extra]
    )
    pinned = pins("constraints.txt")
    for name, one in dependencies(requirements).items():
        if extra == "tasks":  # neurogym pins numpy and cannot be beside the others
            continue
        assert name in pinned, f"{name} must be pinned in requirements/constraints.txt"
        assert pinned[name] in one.specifier


def test_a_source_distribution_holds_what_its_tests_read():
    said = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines()]
    held = {
        name
        for line in said
        if line and line[0] in ("include", "graft")
        for name in line[1:]
    }
    held |= {
        "daleml",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    }  # which setuptools puts there by itself
    there = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert there - held - BUILT_OR_KEPT_BY_GIT == set()


def make_targets():
    lines = (ROOT / "Makefile").read_text().splitlines()
    return {
        line.partition(":")[0] for line in lines if re.match(r"[a-z-]+:.*## ", line)
    }


def workflow_steps():
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield from ((f"{path.name} {name}", step) for step in job["steps"])


@pytest.mark.skipif(
    not (ROOT / ".github").exists(), reason="there are no workflows beside these tests"
)
def test_every_step_of_a_workflow_can_be_run_at_home():
    commands = {step["run"] for _, step in workflow_steps() if "run" in step}
    assert {"make lint", "make test", "make test-lowest", "make docs"} <= commands
    for command in commands:
        tool, *targets = command.split()
        assert tool == "make"
        assert set(targets) <= make_targets()


def test_the_classifiers_name_the_versions_of_python_that_are_tested():
    named = set(re.findall(r":: Python :: (3\.\d+)", " ".join(PROJECT["classifiers"])))
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]["python-version"]
    assert named == set(matrix)
    assert f">={min(matrix)}" == PROJECT["requires-python"]


def test_make_help_names_every_target_and_each_exists():
    text = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())
    assert phony == make_targets()


def test_the_project_has_one_address():
    urls = set(PROJECT["urls"].values())
    home = PROJECT["urls"]["Homepage"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert all(url.startswith(home) for url in urls)
    assert citation["repository-code"] == home
    for page in ("README.md", "CONTRIBUTING.md"):
        assert f"git clone {home} && cd daleml" in (ROOT / page).read_text()


def test_the_changelog_has_a_section_for_this_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (\S+)", text, re.MULTILINE)[0] == PROJECT["version"]


def test_the_readme_of_the_package_has_no_link_to_a_folder_of_the_repository(tmp_path):
    pytest.importorskip("setuptools")
    build = "import sys; from setuptools import build_meta as b; b.prepare_metadata_for_build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (metadata,) = tmp_path.glob("*.dist-info/METADATA")
    description = metadata.read_text("utf-8").partition("\n\n")[2]
    targets = re.findall(r"\]\(([^)\s]+)\)", description)
    assert len(targets) > 5
    for target in targets:
        assert target.startswith(("https://", "#")), target
        path = re.sub(
            r"https://(github\.com/daleml/daleml/blob|raw\.githubusercontent\.com/daleml/daleml)/main/",
            "",
            target,
        )
        if path != target:
            assert (ROOT / path.partition("#")[0]).exists(), target
