"""The page of questions: every sentence on it is provoked, and is what Python prints."""

import doctest
import re
import warnings

import pytest

from tests.guides import written

PAGE = (written.DOCS / "faq.md").read_text()
SESSIONS = re.findall(r"```pycon\n(.*?)```", PAGE, re.DOTALL)


def test_every_sentence_is_provoked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DALEML_DATA", raising=False)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    test = doctest.DocTestParser().get_doctest(
        "\n".join(SESSIONS), {}, "faq", "faq.md", 0
    )
    # Each session runs in one namespace after the other, as on the page.
    report = []
    with warnings.catch_warnings():
        failed, tried = doctest.DocTestRunner(optionflags=flags, verbose=False).run(
            test, out=report.append
        )
    assert not failed, "".join(report)
    assert tried > 90


def test_every_sentence_is_followed_by_what_to_do():
    provoked = 0
    for session, after in re.findall(
        r"```pycon\n(.*?)```\n\n([^\n]*)", PAGE, re.DOTALL
    ):
        if "Traceback" in session:
            provoked += 1
            assert after.strip(), session
            assert not after.startswith(("#", "`" * 3)), session
    assert provoked > 45


@pytest.mark.parametrize(
    "question",
    [
        "loss is NaN",
        "silent, or explodes",
        "at chance",
        "cannot tell",
        "differ from the README",
    ],
)
def test_the_common_questions_are_there(question):
    assert re.search(rf"^### .*{question}", PAGE, re.MULTILINE)
