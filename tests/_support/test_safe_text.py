"""Text that strangers wrote is shown, and controls nothing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daleml._support.safe_text import encodable, shortened, shown


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (
            "plain [red]text[/red] :smile: $x$ 100 %",
            "plain [red]text[/red] :smile: $x$ 100 %",
        ),
        (
            "Größe, σ, 突触, نورون, می\u200cخواهم",
            "Größe, σ, 突触, نورون, می\u200cخواهم",
        ),
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("a\rb\x08\x0b\x0c\x00\x7f", r"a\rb\x08\x0b\x0c\x00\x7f"),
        ("C1 \x9b31m \x85", r"C1 \x9b31m \x85"),
        (
            "\u202egnp.exe \u2066x\u2069 \u200e\u200f\u061c",
            r"\u202egnp.exe \u2066x\u2069 \u200e\u200f\u061c",
        ),
        ("one\ntwo\u2028three", r"one\ntwo\u2028three"),
        ("s\udcff.csv \ud83d", r"s\xff.csv \ud83d"),
        (
            "\ufeffbom \ufffe \uffff \U0001fffe \U000e0041",
            r"\ufeffbom \ufffe \uffff \U0001fffe \U000e0041",
        ),
    ],
)
def test_what_controls_is_shown(text, safe):
    assert shown(text) == safe


@given(st.text(st.characters()))
def test_nothing_that_moves_or_hides_is_left(text):
    """Whatever the text: it can be written in UTF-8, stays one line, and what is left of it was there."""
    safe = shown(text)
    safe.encode()
    assert safe.splitlines() in ([], [safe])
    assert not any(unicodedata.category(each) in ("Cc", "Cs") for each in safe)
    assert shown(safe) == safe
    assert shown(text, lines=True).count("\n") == text.count("\n")


def test_only_what_cannot_be_written_changes_for_a_file():
    assert encodable("a\tb\x1b σ") == "a\tb\x1b σ"
    assert encodable("s\udcff") == r"s\xff"


def test_a_long_text_keeps_both_ends():
    text = "column 'a' must hold numbers; got '" + "1" * 2_000_000 + "' in row 7."
    short = shortened(text, 1_000)
    assert short.startswith("column 'a' must hold numbers; got '111")
    assert short.endswith("111' in row 7.")
    assert "[1,999,046 characters left out]" in short
    assert len(short) < 1_050
    assert shortened("x" * 1_000, 1_000) == "x" * 1_000
