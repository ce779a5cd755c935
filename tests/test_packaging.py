"""What pyproject.toml promises, the files of requirements/ test; what the tests read, a source distribution holds."""

import tomllib
from pathlib import Path

import pytest
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
