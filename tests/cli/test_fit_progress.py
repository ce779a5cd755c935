"""A log hears what is computed, how far it is, and how long it will take."""

import pytest

from daleml.cli.fit_progress import LogLines, duration


class Screen:
    def __init__(self):
        self.lines = []

    def print(self, line, **_):
        self.lines.append(line)


@pytest.fixture
def told():
    """What is told of a task of 1,000 samples, ten in each second."""
    screen, times = Screen(), iter(range(10**6))
    lines = LogLines(screen, lambda: float(next(times)))
    for done in range(10, 1001, 10):
        lines("goodness of fit", done, 1000)
    return screen.lines


def test_the_first_line_says_how_much_there_is_to_do(told):
    assert told[0] == "goodness of fit: 1,000 samples are drawn and fitted"


def test_what_is_left_is_told_from_what_is_done(told):
    # After two seconds there are three tens, of which one had been drawn at the start.
    assert told[1] == "goodness of fit: 30 of 1,000 samples, about 65 s left"
    assert told[2] == "goodness of fit: 230 of 1,000 samples, about 74 s left"


def test_lines_are_few_and_none_says_that_all_is_done(told):
    assert len(told) == 6
    assert not any("1,000 of 1,000" in line for line in told)


def test_another_task_has_lines_of_its_own():
    screen = Screen()
    lines = LogLines(screen, lambda: 0.0)
    lines("goodness of fit", 1, 5)
    lines("intervals", 1, 7)
    assert screen.lines == [
        "goodness of fit: 5 samples are drawn and fitted",
        "intervals: 7 samples are drawn and fitted",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "1 s"), (99, "99 s"), (100, "2 min"), (5900, "98 min"), (7200, "2.0 h")],
)
def test_durations_are_rough(seconds, said):
    assert duration(seconds) == said
