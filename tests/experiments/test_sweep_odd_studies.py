"""A sweep of what strangers write: functions of all kinds, odd values, and runs that misbehave."""

import dataclasses
import functools
import os
import sys

import numpy as np
import pytest
import torch

from daleml.analysis import plots
from daleml.experiments import read, summary
from daleml.experiments.value_texts import text_of
from tests.experiments.test_sweep_table import do


def seed_last(lr=0.1, seed=0):
    return {"lr": lr, "of": seed}


def seed_by_name_only(*, seed, lr=0.1):
    return {"lr": lr, "of": seed}


def settings_only(**settings):
    return {"lr": settings.get("lr", 0.1), "of": settings["seed"]}


@pytest.mark.parametrize("run", [seed_last, seed_by_name_only, settings_only])
def test_the_seed_is_no_other_argument(tmp_path, run):
    table, _ = do(run, seeds=[4, 5], out=tmp_path, on_message=print)
    assert not table.problem.any()
    assert table["of"].tolist() == [4, 5]
    assert table["lr"].tolist() == [0.1, 0.1]


def width_of(seed, width):
    return {"of": seed * width}


class Study:
    def __init__(self, width):
        self.width = width

    def width_of(self, seed):
        return {"of": seed * self.width}


def closed_over(width):
    def width_of(seed):
        return {"of": seed * width}

    return width_of


@pytest.mark.parametrize(
    "make",
    [
        lambda width: functools.partial(width_of, width=width),
        lambda width: Study(width).width_of,
        closed_over,
    ],
)
def test_what_a_function_was_made_with_is_compared(tmp_path, make):
    do(make(3), seeds=2, out=tmp_path)
    _, said = do(make(3), seeds=2, out=tmp_path)
    assert not said
    _, said = do(make(4), seeds=2, out=tmp_path)
    assert said[0].startswith("What 'width_of' was made with has changed since 2 of")


def width_in(seed, config):
    return {"of": config["width"]}


def test_other_settings_under_one_name_are_another_condition(tmp_path):
    for width in (3, 4, 3):
        named = {"a": {"config": {"width": width, "nested": [np.arange(width)]}}}
        table, said = do(width_in, conditions=named, seeds=1, out=tmp_path)
        assert table["of"].tolist() == [width]
        assert not said


@dataclasses.dataclass
class Config:
    width: int
    weights: object = None


def _adding(number):
    return lambda value: value + number


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}),
        ({"a", "b"}, {"b", "a"}, {"a"}),
        (Config(1), Config(1), Config(2)),
        (Study(1), Study(1), Study(2)),
        (torch.ones(3), torch.ones(3), torch.zeros(3)),
        (
            torch.ones(2, dtype=torch.bfloat16),
            torch.ones(2, dtype=torch.bfloat16),
            torch.zeros(2, dtype=torch.bfloat16),
        ),
        (Config(1, np.ones(9999)), Config(1, np.ones(9999)), Config(1, np.eye(3))),
        (torch.float32, torch.float32, torch.float64),
        (float("nan"), float("nan"), [float("nan")]),
        (_adding(1), _adding(1), _adding(2)),
        (lambda value: value, lambda value: value, lambda value: -value),
        (object(), object(), Config),
    ],
)
def test_texts_are_those_of_values(one, same, other):
    assert text_of(one) == text_of(same) != text_of(other)


def test_values_that_hold_themselves_have_a_text():
    study = Study(1)
    study.width = [study]
    assert text_of(study) == text_of(study)


@pytest.mark.parametrize(
    "grid",
    [
        {"lr": [1, 1.0]},
        {"lr": [1, True]},
        {"lr": [(0.0,), [-0.0]]},
        [{"lr": 1}, {"lr": 1, "depth": None}],
    ],
)
def test_conditions_that_no_table_tells_apart_are_refused(tmp_path, grid):
    with pytest.raises(ValueError, match=r"each condition once; it holds lr=.* twice"):
        do(lambda seed, lr, depth=1: {"loss": 0.0}, grid, out=tmp_path)


def leaves(seed):
    if seed == 1:
        sys.exit(0)
    return {"loss": seed}


def test_a_run_that_leaves_the_program_fails_alone(tmp_path):
    table, _ = do(leaves, seeds=3, out=tmp_path)
    assert table.problem.tolist() == ["", "SystemExit: 0", ""]


def named_like(seed, **condition):
    return {"loss": seed + sum(condition.values())}


def test_a_number_is_no_column_of_any_condition(tmp_path):
    grid = [{"lr": 1.0}, {"loss": 2.0}]
    table, _ = do(named_like, grid, seeds=1, out=tmp_path / "one")
    assert table.problem.str.contains("must not call a number 'loss'").all()
    do(named_like, {"lr": [1.0]}, seeds=1, out=tmp_path / "two")
    with pytest.raises(ValueError, match="must not name a value 'loss': runs in"):
        do(named_like, {"loss": [1.0]}, seeds=1, out=tmp_path / "two")
    assert read(tmp_path / "two").loss.tolist() == [1.0]


def test_a_summary_keeps_conditions_called_like_its_own_columns(tmp_path):
    table, _ = do(named_like, {"n": [3, 5], "n_": [1]}, seeds=2, out=tmp_path)
    found = summary(table)
    assert found.columns.tolist() == [
        *("n_", "n__", "number", "mean", "low", "high", "sd", "n", "left_out")
    ]
    assert found[["n_", "n__", "n", "mean"]].values.tolist() == [
        [3, 1, 2, 4.5],
        [5, 1, 2, 6.5],
    ]


def test_a_condition_that_was_changed_under_its_name_is_no_more_seeds(tmp_path):
    for width in (3, 4):
        named = {"a": {"config": {"width": width}}}
        do(width_in, conditions=named, seeds=2, out=tmp_path)
    table = read(tmp_path)
    assert table["of"].tolist() == [4, 4, 3, 3]
    with pytest.raises(ValueError, match="two for seed 0, condition=a, as where"):
        summary(table)
    kept = summary(table.drop_duplicates(["condition", "seed"]))
    assert kept["mean"].tolist() == [4]
    assert summary(table, by="condition")["n"].tolist() == [4]


def changes_all(seed):
    found = {"double": torch.get_default_dtype() == torch.float64}
    found["meta"] = torch.zeros(1).device.type == "meta"
    found["root"] = os.getcwd() == "/"
    found["exact"] = torch.are_deterministic_algorithms_enabled()
    found["loud"] = np.geterr()["over"] == "raise"
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    np.seterr(over="raise")
    os.chdir("/")
    return found


def test_what_a_run_sets_does_not_reach_the_next(tmp_path):
    folder = os.getcwd()
    table, _ = do(changes_all, seeds=2, out=tmp_path)
    assert not table.drop(columns=["seed", "problem"]).to_numpy().any()
    assert os.getcwd() == folder
    assert torch.zeros(1).device.type == "cpu"
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_client_of_dask_is_no_executor(tmp_path):
    class Client:
        def submit(self, function, *arguments): ...

        def get_executor(self): ...

    with pytest.raises(TypeError, match=r"`client.get_executor\(\)`.*; got Client"):
        do(leaves, seeds=2, out=tmp_path, executor=Client())


@pytest.mark.parametrize("seeds", [np.array(2), torch.tensor([1, 0]), np.arange(2)])
def test_seeds_of_other_libraries(tmp_path, seeds):
    table, _ = do(lambda seed: {"of": seed}, seeds=seeds, out=tmp_path)
    assert table["of"].tolist() == [0, 1]


def test_what_is_no_folder_holds_no_sweep(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="must be the folder of a sweep"):
        read(tmp_path / "file")


def test_a_plot_of_text_is_refused(tmp_path):
    table, _ = do(leaves, seeds=1, out=tmp_path)
    with pytest.raises(
        ValueError, match="`y` must be a column of numbers; got 'problem'"
    ):
        plots.runs(table, "seed", "problem")
