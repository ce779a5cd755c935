"""A sweep's table drawn: every run, the means and their intervals, where the values lie."""

import math

import numpy as np
import pandas as pd
import pytest

from daleml._support.student_intervals import student_interval
from daleml.analysis import plots


def table(**columns):
    made = pd.DataFrame(columns)
    made.attrs["conditions"] = [
        name for name in made if name in ("lr", "rule", "depth")
    ]
    return made


LOSSES = [1.0, 1.4, 0.5, math.nan, 3.0, 3.4]
BY_RATE = table(lr=[0.1, 0.1, 10.0, 10.0, 1.0, 1.0], seed=[0, 1] * 3, loss=LOSSES)


def test_means_and_intervals_are_those_of_the_runs():
    ax = plots.runs(BY_RATE, "lr", "loss")
    (bars,) = ax.containers
    line, _, (segments,) = bars
    # In the order of the values, whatever that of the table.
    assert line.get_xdata().tolist() == [0.1, 1.0, 10.0]
    np.testing.assert_allclose(line.get_ydata(), [1.2, 3.2, 0.5])
    low, high = segments.get_segments()[0][:, 1]
    found = student_interval([1.0, 1.4])
    assert (low, high) == pytest.approx((found.low, found.high))
    # One finite seed has no interval.
    assert np.ptp(segments.get_segments()[2][:, 1]) == 0
    dots = [line for line in ax.lines if line.get_marker() == "."]
    assert sum(len(line.get_xdata()) for line in dots) == 5
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.1", "1", "10"]
    assert plots.runs(BY_RATE, "lr", "loss", log_x=False).get_xscale() == "linear"


def test_names_stand_in_the_order_of_the_table_and_curves_side_by_side():
    rules = ["b", "a", "b", "a"]
    made = table(rule=rules, depth=[1, 1, 2, 2], seed=[0] * 4, loss=[1.0, 2, 3, 4])
    ax = plots.runs(made, "rule", "loss")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["b", "a"]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["depth 1", "depth 2"]
    xs = sorted(x for bars in ax.containers for x in bars[0].get_xdata())
    assert xs == [-0.125, 0.125, 0.875, 1.125]
    ax = plots.runs(made, "rule", "loss", hue="depth", labels=["flat", "deep"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["flat", "deep"]
    ax = plots.runs(made, "depth", "loss", hue=["rule", "seed"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        *("rule b, seed 0", "rule a, seed 0")
    ]


def test_conditions_that_do_not_vary_make_no_curves():
    made = table(lr=[0.1, 0.2], rule=["a", "a"], seed=[0, 0], loss=[1.0, 2.0])
    ax = plots.runs(made, "lr", "loss")
    assert ax.get_legend() is None
    assert plots.runs(made, "lr", "loss", unit="mV").get_ylabel() == "loss (mV)"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((3, "lr", "loss"), "`table` must be a DataFrame, as `sweep` returns; got int."),
        ((BY_RATE, "lrs", "loss"), "`table` must have a column 'lrs'; got lr, seed, loss."),
        ((BY_RATE[3:4], "lr", "loss"), "`table` must hold finite numbers of 'loss'; it holds none."),
    ],
    ids=["kind", "column", "numbers"],
)  # fmt: skip
def test_wrong_input_is_one_sentence(arguments, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        plots.runs(*arguments)
    assert str(raised.value) == sentence


def test_labels_need_curves():
    with pytest.raises(
        ValueError, match="^`labels` must be left out where there is one"
    ):
        plots.runs(BY_RATE, "lr", "loss", labels=["a"])
