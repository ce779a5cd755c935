"""Summaries: scipy's interval, which covers as often as the docstring says."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import stdtrit

from daleml._support.student_intervals import student_interval
from daleml.experiments import summary, sweep
from daleml.experiments.sweep_summary import summary as documented


def run(seed, lr, rule):
    if rule == "b" and seed == 1:
        raise RuntimeError("no")
    return {"loss": lr * (seed**2 + 1), "nan": math.nan if seed == 0 else 1.0}


@pytest.fixture
def table(tmp_path):
    return sweep(
        run,
        {"lr": [0.5, 0.25], "rule": ["b", "a"]},
        seeds=4,
        out=tmp_path,
        jobs=1,
        progress=False,
        on_message=lambda line: None,
    )


def test_a_row_for_each_condition_and_number_as_scipy_has_it(table):
    found = summary(table)
    assert found.columns.tolist() == [
        *("lr", "rule", "number", "mean", "low", "high", "sd", "n", "left_out")
    ]
    assert found[["lr", "rule"]].drop_duplicates().values.tolist() == [
        [0.5, "b"], [0.5, "a"], [0.25, "b"], [0.25, "a"],
    ]  # fmt: skip
    one = found[(found.lr == 0.5) & (found.rule == "a") & (found.number == "loss")]
    values = [0.5, 1.0, 2.5, 5.0]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(one[["mean", "low", "high"]].values, [[2.25, low, high]])
    assert one.sd.item() == pytest.approx(np.std(values, ddof=1))
    left = found.set_index(["lr", "rule", "number"])[["n", "left_out"]]
    assert left.loc[(0.5, "b", "loss")].tolist() == [3, 1]
    assert left.loc[(0.5, "b", "nan")].tolist() == [2, 2]


def test_conditions_may_be_pooled_and_numbers_chosen(table):
    found = summary(table, by="rule", values="loss")
    assert found.rule.tolist() == ["b", "a"]
    assert found.n.tolist() == [6, 8]
    assert set(summary(table, by="rule").number) == {"loss", "nan"}
    assert summary(table, by=[], values=["loss"]).n.tolist() == [14]
    assert summary(table[table.rule == "a"]).rule.unique().tolist() == ["a"]
    wide = summary(table, level=0.99).high - summary(table).high
    assert (wide[wide.notna()] >= 0).all()


def test_conditions_that_lack_a_value_count_too(tmp_path):
    def run(seed, lr=1.0, depth=1):
        return {"loss": lr * depth + seed}

    conditions = [{"lr": 0.5}, {"lr": 0.5, "depth": 2}, {"depth": 3}]
    table = sweep(run, conditions, seeds=2, out=tmp_path, jobs=1, progress=False)
    assert summary(table)["mean"].tolist() == [1.0, 1.5, 3.5]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (math.nan, math.nan, math.nan, 0)),
        ([math.nan], (math.nan, math.nan, math.nan, 0)),
        ([2.0], (2.0, math.nan, math.nan, 1)),
        ([2.0, 2.0, math.inf], (2.0, 2.0, 2.0, 2)),
    ],
)
def test_few_values(values, expected):
    np.testing.assert_equal(tuple(student_interval(values)), expected)


DRAWN = {
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.0),
    "exponential": (lambda rng, shape: rng.exponential(size=shape), 1.0),
    "log-normal": (lambda rng, shape: rng.lognormal(size=shape), math.exp(0.5)),
}
COVERED = {
    ("normal", 3): 95, ("normal", 5): 95, ("normal", 10): 95,
    ("exponential", 3): 88, ("exponential", 5): 88, ("exponential", 10): 90,
    ("log-normal", 3): 84, ("log-normal", 5): 82, ("log-normal", 10): 84,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "n"), COVERED)
def test_intervals_cover_as_often_as_is_said(kind, n):
    """Forty thousand samples at once, by the formula that the next test ties to the function."""
    draw, mean = DRAWN[kind]
    drawn = draw(np.random.default_rng(0), (40_000, n))
    half = stdtrit(n - 1, 0.975) * drawn.std(axis=1, ddof=1) / math.sqrt(n)
    inside = 100 * np.mean(np.abs(drawn.mean(axis=1) - mean) <= half)
    assert inside == pytest.approx(COVERED[kind, n], abs=0.8)
    found = student_interval(drawn[0].tolist())
    assert found.low == pytest.approx(drawn[0].mean() - half[0])
    assert found.high == pytest.approx(drawn[0].mean() + half[0])


def test_the_docstring_says_what_was_measured():
    text = " ".join(documented.__doc__.split())
    said = re.search(
        r"exponential ones in (\d+) % at 3 seeds, (\d+) % at 5 and (\d+) %", text
    )
    assert [int(one) for one in said.groups()] == [
        COVERED["exponential", n] for n in (3, 5, 10)
    ]
    said = re.search(r"in (\d+), (\d+) and (\d+) %", text)
    assert [int(one) for one in said.groups()] == [
        COVERED["log-normal", n] for n in (3, 5, 10)
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"by": "lrs"}, "`by` must name columns of the table; got 'lrs', and it has lr, seed, loss."),
        ({"by": "lr", "values": "acc"}, "`values` must name columns of the table; got 'acc', and it has lr, seed, loss."),
        ({}, "`by` must name the columns that make a condition, where `table` does not come from `sweep` or `read` as it is."),
        ({"by": ["lr", "loss"]}, "`table` must hold numbers to summarise; it holds none."),
        ({"table": 3}, "`table` must be a table, as `sweep` returns; got int."),
        ({"by": "lr", "level": 2}, "`level` must be a fraction in [0, 1]; got 2."),
    ],
    ids=repr,
)  # fmt: skip
def test_wrong_input_is_one_sentence(arguments, sentence):
    table = pd.DataFrame({"lr": [0.1], "seed": [0], "loss": [1.0]})
    with pytest.raises((TypeError, ValueError)) as raised:
        summary(**{"table": table} | arguments)
    assert str(raised.value) == sentence
