"""A journal goes on, whatever stands in its lines; and numbers say where they are from."""

import math
import os
from pathlib import Path

import pytest

from daleml.experiments.journal import Journal
from tests.experiments.journal_lines import OURS, signed

KEY = ("toy", "digest", 0)


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
