"""The commit that numbers are from: daleml's own, or none."""

import subprocess

import pytest

from daleml.experiments import provenance


def git(place, *words):
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@nowhere"]
    return subprocess.run(
        ["git", *who, *words], cwd=place, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def project(tmp_path):
    """Somebody's project, in git, with the package installed inside it."""
    git(tmp_path, "init", "-q")
    (tmp_path / "theirs.py").write_text("")
    git(tmp_path, "add", "theirs.py")
    git(tmp_path, "commit", "-q", "-m", "somebody else's project")
    installed = tmp_path / ".venv" / "daleml" / "__init__.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    return tmp_path, installed


def test_another_project_is_not_where_numbers_are_from(project):
    _, installed = project
    assert provenance.commit(installed) == ""


def test_a_working_copy_is(project, monkeypatch):
    root, installed = project
    git(root, "add", "-f", installed)
    git(root, "commit", "-q", "-m", "our own")
    head = git(root, "rev-parse", "--short", "HEAD")
    assert provenance.commit(installed) == head
    (root / "theirs.py").write_text("changed")  # beside the package: no part of it
    assert provenance.commit(installed) == head
    installed.write_text("changed")
    assert provenance.commit(installed) == f"{head}-changed"
    monkeypatch.setenv("GIT_DIR", str(root / "none"))
    assert provenance.commit(installed) == f"{head}-changed"


def test_without_git_nothing_is_said(project, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.commit(project[1]) == ""
