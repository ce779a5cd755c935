"""A journal goes on, whatever stands in its lines; and numbers say where they are from."""

import json
import math
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import daleml
from daleml import reproductions
from daleml._support import locks
from daleml.experiments import cluster, provenance
from daleml.experiments.journal import Journal
from daleml.pages import claims_page
from daleml.reproductions import Check, Claim, Experiment, reproduce

KEY = ("toy", "digest", 0)


def numbers(seed, options):
    return {"effect": 1.0 + seed}


def claim(number="effect", seeds=2):
    every = reproductions.BUDGETS
    of = Experiment(
        "toy", numbers, {budget: {} for budget in every}, dict.fromkeys(every, seeds)
    )
    return Claim(
        "9a",
        "There is an effect.",
        "nowhere",
        of,
        (Check(number, "an effect", at_least=0.5),),
    )


def signed(key, content, version=None, **more):
    """Return a line with a right checksum, of the first format or, with a version, of the second."""
    parts = [key, content] if version is None else [key, content, version]
    checksum = f"{zlib.crc32(json.dumps(parts, sort_keys=True).encode()):08x}"
    if version is not None:
        more = {"format": 2, "daleml": version} | more
    return json.dumps(
        {"key": key, "numbers": content, "checksum": checksum, **more}
    ).encode()


OURS = f"daleml {daleml.__version__}"
GOOD = signed(list(KEY), {"effect": "1.0"})
DAMAGED = {
    "deep list": b"[" * 100_000,
    "deep dict": b'{"key":' * 100_000,
    "closed deep list": b"[" * 100_000 + b"]" * 100_000,
    "number of a million digits": b"1" * 900_000,
    "huge": b'"' + b"x" * 3_000_000 + b'"',
    "nul": GOOD.replace(b"toy", b"t\x00y"),
    "only nul": b"\x00" * 1000,
    "not utf-8": GOOD.replace(b"toy", b"t\xffy"),
    "surrogate": GOOD.replace(b"toy", b"t\\ud800y"),
    "utf-16": GOOD.decode().encode("utf-16"),
    "cut": GOOD[:-10],
    "twice in a line": GOOD + GOOD,
    "repeated name": GOOD[:-1] + b', "key": ["toy", "digest", 1]}',
    "flipped": GOOD.replace(b'"1.0"', b'"9.0"'),
    "nothing": b"null",
    "text": b'"key"',
    "list": b"[1, 2]",
    "no key": b'{"numbers": {}, "checksum": ""}',
    "literal NaN": signed(list(KEY), {"effect": math.nan}),
    "literal Infinity": signed(list(KEY), {"effect": math.inf}),
    "number for text": signed(list(KEY), {"effect": 1.0}),
    "no number": signed(list(KEY), {"effect": "one"}),
    "list for numbers": signed(list(KEY), [["effect", "1.0"]]),
    "text for numbers": signed(list(KEY), "effect"),
    "none for numbers": signed(list(KEY), None),
    "nested numbers": signed(list(KEY), {"effect": {"effect": "1.0"}}),
    "list for name": signed([["toy"], "digest", 0], {"effect": "1.0"}),
    "dict for name": signed([{}, "digest", 0], {"effect": "1.0"}),
    "number for digest": signed(["toy", 1, 0], {"effect": "1.0"}),
    "text for seed": signed(["toy", "digest", "0"], {"effect": "1.0"}),
    "fraction for seed": signed(["toy", "digest", 0.0], {"effect": "1.0"}),
    "truth for seed": signed(["toy", "digest", False], {"effect": "1.0"}),
    "short key": signed(["toy", "digest"], {"effect": "1.0"}),
    "text for key": signed("toy", {"effect": "1.0"}),
    "no checksum": b'{"key": ["toy", "digest", 0], "numbers": {"effect": "1.0"}}',
    "later format": signed(list(KEY), {"effect": "1.0"}, OURS, format=99),
    "first format, numbered": signed(list(KEY), {"effect": "1.0"}, format=2),
    "flipped version": signed(list(KEY), {"effect": "1.0"}, "daleml 0.1.0").replace(
        b"daleml 0", b"daleml 9"
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_line_is_said_and_the_others_count(kind, tmp_path):
    other = signed(["toy", "digest", 7], {"effect": "2.0"}, OURS)
    path, said = tmp_path / "journal.jsonl", []
    path.write_bytes(DAMAGED[kind] + b"\n" + other + b"\n")
    journal = Journal(path, said.append)
    assert said == [f"`{path}`, line 1, is damaged: its seed is run again."]
    assert journal.finished == {("toy", "digest", 7): {"effect": 2.0}}
    journal.add(KEY, {"effect": math.nan})
    assert math.isnan(Journal(path, lambda _: None).finished[KEY]["effect"])


def test_a_line_as_it_was_written_counts(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path, pytest.fail).add(KEY, {"effect": 1 / 3, "none": math.inf})
    assert Journal(path, pytest.fail).finished == {
        KEY: {"effect": 1 / 3, "none": math.inf}
    }


def test_a_line_twice_counts_once_and_two_that_differ_not_at_all(tmp_path):
    path, said = tmp_path / "journal.jsonl", []
    path.write_bytes(GOOD + b"\n\n\r\n" + GOOD + b"\n")
    assert Journal(path, said.append).finished == {KEY: {"effect": 1.0}}
    assert len(said) == 1
    assert "run by a daleml that did not sign its lines; this is daleml" in said[0]
    path.write_bytes(GOOD + b"\n" + signed(list(KEY), {"effect": "2.0"}) + b"\n")
    assert Journal(path, said.append).finished == {}
    assert said[1].endswith(
        "line 2, is of a seed that an earlier line gives other numbers: it is run again."
    )


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, pytest.fail)
    journal.add(KEY, {"effect": 1.0})
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"journal\.jsonl"):
        journal.add(("toy", "digest", 1), {"effect": 1.0})
    assert path.read_bytes() == before
    assert list(journal.finished) == [KEY]


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("/dev/zero"),
    ],
)
def test_what_is_no_file_is_refused(make, tmp_path):
    make(tmp_path / "journal.jsonl")
    with pytest.raises(
        ValueError,
        match=r"journal\.jsonl` must be a file, the journal of finished seeds",
    ):
        Journal(tmp_path / "journal.jsonl", print)


def test_numbers_of_another_version_are_measured_again(tmp_path):
    said = []
    reproduce([claim("effect")], tmp_path, jobs=1)
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines()
    key = json.loads(lines[0])["key"]
    (tmp_path / "journal.jsonl").write_bytes(
        signed(key, {"other": "1.0"}, OURS) + b"\n" + lines[1] + b"\n"
    )
    result = reproduce([claim("effect")], tmp_path, jobs=1, say=said.append)
    assert said == [
        f"`{tmp_path / 'journal.jsonl'}`: toy, seed 0, lacks 'effect': it is run again."
    ]
    assert result.outcomes[0].measured[0].values == (1.0, 2.0)


# -- one folder, one run -----------------------------------------------------------------------------------------------


def test_two_runs_in_one_folder(tmp_path):
    with (
        locks.only_writer(tmp_path),
        pytest.raises(
            ValueError, match="^`out` must be a folder into which nobody else"
        ),
    ):
        reproduce([claim()], tmp_path, jobs=1)
    assert not (tmp_path / "journal.jsonl").exists()


def test_claims_and_page_are_one_set(tmp_path, monkeypatch):
    """A run that ends between the numbers and the page leaves those of before."""
    paper = reproductions.Paper("toy", "Nobody (1900)", (claim(),))
    result = reproduce(paper.claims, tmp_path, jobs=1, save=False)
    assert not (tmp_path / "claims.json").exists()
    claims_page.write(result, [paper], tmp_path, "daleml reproduce")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    named = json.loads((tmp_path / "claims.json").read_text())["files"]
    assert set(named) == {"index.html", "figures/9a.png"}

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(daleml._support.atomic_files, "_sync", full)
    with pytest.raises(OSError, match="holds what it held before"):
        claims_page.write(result, [paper], tmp_path, "daleml reproduce")
    assert {
        path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    } == before


def test_no_more_processes_than_seeds(tmp_path):
    said = []
    result = reproduce([claim(seeds=1)], tmp_path, jobs=64, say=said.append)
    assert said == [
        "`jobs` is 64: 1 are used, as there is no more work, or are no more cores, to share."
    ]
    assert len(result.outcomes[0].measured[0].values) == 1


# -- where numbers are from --------------------------------------------------------------------------------------------


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


# -- the scheduler -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["nonsense", "", "http://x", "https://host:8786", "tcp://", "tcp://host", "host:8786", "tcp://a b:1", "inproc://x", "tcp://h:1#x"]
)  # fmt: skip
def test_an_address_of_no_scheduler_is_one_sentence(address, tmp_path):
    with pytest.raises(
        ValueError,
        match="^`scheduler` must be the address of a Dask scheduler, such as tcp://",
    ) as raised:
        reproduce([claim()], tmp_path, scheduler=address)
    assert str(raised.value).endswith(f"got {address!r}.")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (MemoryError("Unable to allocate 3.07 EiB"), "its answer is not Dask's"),
        (AttributeError("x"), "its answer is not Dask's"),
        (ValueError("protocol"), "its answer is not Dask's"),
        (TimeoutError("timed out after 10 s"), "timed out after 10 s"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (TimeoutError(), "no answer"),
    ],
    ids=repr,
)
def test_whatever_answers_that_is_no_scheduler_is_one_sentence(
    error, why, tmp_path, monkeypatch
):
    distributed = pytest.importorskip("distributed")

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(
        ValueError,
        match="^`scheduler` must be the address of a Dask scheduler; nothing",
    ) as raised:
        reproduce([claim()], tmp_path, scheduler="tcp://host:8786")
    assert why in str(raised.value)
    assert "MemoryError" not in str(raised.value)


def test_help_says_that_an_address_has_to_be_trusted():
    from typer.testing import CliRunner

    from daleml.cli import app

    text = " ".join(
        CliRunner()
        .invoke(app, ["reproduce", "--help"])
        .output.replace("│", " ")
        .split()
    )
    assert (
        "It must be one you trust: whoever answers there can run any code on this machine."
        in text
    )
    assert "has to be trusted" in " ".join(cluster.__doc__.split())
    assert sys.modules  # nothing of Dask is needed to say so
