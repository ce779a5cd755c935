"""A sweep in one process: what is run, what the table holds, what is refused."""

import functools
import math

import numpy as np
import pandas as pd
import pytest
import torch

from daleml._support import locks
from daleml.experiments import failures, read, status, sweep
from daleml.experiments.journal import Journal
from daleml.experiments.sweep_plan import JOURNAL
from tests.experiments import studies


def do(run, grid=None, *, out, **options):
    said = []
    options = {"jobs": 1, "progress": False, "on_message": said.append} | options
    return sweep(run, grid, out=out, **options), said


def product(seed, lr, depth=1):
    return {"loss": lr * depth + seed}


def test_every_condition_meets_every_seed_in_order(tmp_path):
    table, said = do(
        product, {"lr": [0.5, 0.25], "depth": [1, 2]}, seeds=[3, 1], out=tmp_path
    )
    assert table.columns.tolist() == ["lr", "depth", "seed", "loss", "problem"]
    assert list(zip(table.lr, table.depth, table.seed, strict=True)) == [
        (lr, depth, seed) for lr in (0.5, 0.25) for depth in (1, 2) for seed in (1, 3)
    ]
    assert table.loss.tolist() == (table.lr * table.depth + table.seed).tolist()
    assert not said
    assert read(tmp_path).equals(table)
    assert status(tmp_path) == (8, 8, 0)
    # Nothing is left of the files through which results pass.
    assert {path.name for path in tmp_path.iterdir()} == {"journal.jsonl", "sweep.json"}


def test_a_list_of_conditions_may_leave_values_out(tmp_path):
    conditions = [{"lr": 0.5}, {"lr": 0.5, "depth": 3}]
    table, _ = do(product, conditions, seeds=1, out=tmp_path)
    assert table.loss.tolist() == [0.5, 1.5]
    assert math.isnan(table.depth[0])


def choose(seed, optimizer, lr):
    return {"momentum": optimizer([torch.zeros(1)], lr=lr).defaults["momentum"]}


def test_conditions_with_names_hold_anything(tmp_path):
    named = {
        "sgd": {"optimizer": torch.optim.SGD},
        "moved": {"optimizer": functools.partial(torch.optim.SGD, momentum=0.5)},
    }
    table, _ = do(choose, {"lr": [0.1]}, conditions=named, seeds=1, out=tmp_path)
    assert table.columns.tolist() == ["condition", "lr", "seed", "momentum", "problem"]
    assert table.condition.tolist() == ["sgd", "moved"]
    assert table.momentum.tolist() == [0.0, 0.5]
    # Another class under the same name is another condition, and so are other settings of it.
    named["sgd"] = {"optimizer": torch.optim.RMSprop}
    named["moved"] = {"optimizer": functools.partial(torch.optim.SGD, momentum=0.25)}
    do(choose, {"lr": [0.1]}, conditions=named, seeds=1, out=tmp_path)
    assert read(tmp_path).momentum.tolist() == [0.0, 0.25, 0.0, 0.5]


def test_only_what_is_missing_is_run(tmp_path):
    ledger = tmp_path / "ledger"
    run = functools.partial(studies.counted, ledger=str(ledger))
    out = tmp_path / "out"
    do(run, {"lr": [0.1]}, seeds=2, out=out)
    do(run, {"lr": [0.1, 0.2]}, seeds=3, out=out)
    again, _ = do(run, {"lr": [0.2, 0.1]}, seeds=3, out=out)
    assert studies.ended(ledger) == [f"{s} {lr}" for s in range(3) for lr in (0.1, 0.2)]
    fresh, _ = do(studies.draws, {"lr": [0.2, 0.1]}, seeds=3, out=tmp_path / "fresh")
    assert again.equals(fresh)
    # What is asked for no more is still there.
    do(run, {"lr": [0.2]}, seeds=1, out=out)
    assert len(read(out)) == 6
    assert status(out) == (1, 1, 0)


def test_runs_begin_in_the_same_state_whatever_ran_before(tmp_path):
    def spoil(seed, spoils):
        found = studies.draws(seed) | {"grad": torch.is_grad_enabled()}
        if spoils:
            torch.set_default_dtype(torch.float64)
            torch.set_grad_enabled(False)
            torch.set_num_threads(2)
            torch.manual_seed(7)
        return found

    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    threads = torch.get_num_threads()
    table, _ = do(spoil, {"spoils": [True, False]}, seeds=2, out=tmp_path)
    spoiled = table[table.spoils].drop(columns="spoils").reset_index(drop=True)
    clean = table[~table.spoils].drop(columns="spoils").reset_index(drop=True)
    assert spoiled.equals(clean)
    assert set(clean.threads) == {1}
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.get_num_threads() == threads
    torch.manual_seed(1)
    assert clean.torch[1] == torch.rand(300, 300)[0, 0].item()


# -- what is returned


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1, 1.0), (True, 1.0), (np.float32(0.1), float(np.float32(0.1))), (np.int64(3), 3.0),
        (torch.tensor(0.5), 0.5), (np.array(2.0), 2.0), (math.inf, math.inf), (2**60, 2.0**60),
        (torch.tensor(0.5, requires_grad=True), 0.5),
    ],
    ids=repr,
)  # fmt: skip
def test_numbers_of_all_kinds_are_kept(value, kept, tmp_path):
    table, said = do(lambda seed: {"x": value}, seeds=1, out=tmp_path)
    assert table.x.tolist() == [kept]
    assert not said


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"x": None}, "TypeError: `run` must return numbers; got None for 'x'."),
        ({"x": "adam"}, "TypeError: `run` must return numbers; got 'adam' for 'x'."),
        ({"x": [1.0]}, "TypeError: `run` must return numbers; got [1.0] for 'x'."),
        ({"x": torch.ones(2)}, "TypeError: `run` must return numbers; got tensor([1., 1.]) for 'x'."),
        ({"x": 1j}, "TypeError: `run` must return numbers; got 1j for 'x'."),
        ({"x": 2**53 + 1}, "ValueError: `run` must return numbers that are floats; got 'x', an integer that no float is equal to."),
        ({}, "ValueError: `run` must return between 1 and 10,000 numbers; got 0."),
        ({3: 1.0}, "TypeError: `run` must return numbers by name; got the name 3."),
        ({"seed": 1.0}, "ValueError: `run` must not call a number 'seed': another column of the table is called so."),
        ({"lr": 1.0}, "ValueError: `run` must not call a number 'lr': another column of the table is called so."),
        (0.5, "TypeError: `run` must return a mapping of numbers by name, such as {\"loss\": 0.1}; got float."),
        (None, "TypeError: `run` must return a mapping of numbers by name, such as {\"loss\": 0.1}; got NoneType."),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_number_is_a_run_that_failed(value, sentence, tmp_path):
    table, said = do(lambda seed, lr: value, {"lr": [0.1]}, seeds=1, out=tmp_path)
    assert table.problem.tolist() == [sentence]
    assert said[0] == f"lr=0.1, seed 0, failed: {sentence}"


def test_nan_and_numbers_that_lack_are_said(tmp_path):
    def uneven(seed):
        return {"loss": math.nan} if seed == 1 else {"loss": 1.0, "accuracy": 0.5}

    table, said = do(uneven, seeds=3, out=tmp_path)
    assert said == [
        "1 of 3 runs returned NaN for 'loss'.",
        "1 of 3 runs returned no 'accuracy'.",
    ]
    assert table.loss.isna().tolist() == [False, True, False]
    assert table.accuracy.isna().tolist() == [False, True, False]


# -- what fails


def test_failed_runs_are_kept_with_their_traceback_and_repeated_on_request(tmp_path):
    broken = [True]

    def run(seed):
        if seed == 1 and broken:
            raise RuntimeError("a seed\nthat breaks")
        return {"loss": float(seed)}

    table, said = do(run, seeds=3, out=tmp_path)
    assert table.problem.tolist() == ["", "RuntimeError: a seed that breaks", ""]
    assert said[0] == "seed 1, failed: RuntimeError: a seed that breaks"
    assert said[1].startswith("1 of 3 runs failed: the column `problem` says why")
    (kept,) = failures(tmp_path).to_dict("records")
    assert kept["seed"] == 1
    # The frames of daleml are left out: the first is the run's own.
    assert kept["traceback"].count("File ") == 1
    assert "in run\n" in kept["traceback"]
    assert status(tmp_path) == (3, 2, 1)
    broken.clear()
    again, _ = do(run, seeds=3, out=tmp_path)
    assert again.equals(table)
    mended, said = do(run, seeds=3, out=tmp_path, repeat_failed=True)
    assert mended.loss.tolist() == [0.0, 1.0, 2.0]
    assert not said
    assert failures(tmp_path).empty
    assert read(tmp_path).equals(mended)


def test_of_many_failures_few_are_told(tmp_path):
    _, said = do(lambda seed: {"loss": 1 / 0}, seeds=9, out=tmp_path)
    assert len(said) == 5
    assert "9 of 9 runs failed" in said[-1]


def test_a_function_that_changed_is_noticed(tmp_path):
    def run(seed):
        return {"loss": 1.0}

    def without_a_change(seed):
        # a comment
        return {
            "loss": 1.0,
        }

    def changed(seed):
        return {"loss": 2.0}

    do(run, seeds=2, out=tmp_path)
    without_a_change.__name__ = changed.__name__ = "run"
    table, said = do(changed, seeds=3, out=tmp_path)
    assert said == [
        "The source of 'run' has changed since 2 of the 2 finished runs were run. They count"
        " all the same; name another folder as `out` to run them again."
    ]
    assert table.loss.tolist() == [1.0, 1.0, 2.0]
    _, said = do(product, {"lr": [0.1]}, seeds=1, out=tmp_path)
    assert said == [
        f"`{tmp_path}` holds runs of 'run', which do not count for 'product'."
    ]


def test_a_damaged_line_is_said_and_its_run_is_run_again(tmp_path):
    first, _ = do(product, {"lr": [0.1]}, seeds=3, out=tmp_path)
    path = tmp_path / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0].replace(b'"0.1"', b'"0.2"') + lines[1] + lines[2][:-9])
    again, said = do(product, {"lr": [0.1]}, seeds=3, out=tmp_path)
    assert said == [
        f"`{path}`, line {number}, is damaged: its seed is run again."
        for number in (1, 3)
    ]
    assert again.equals(first)
    assert len(Journal(path, lambda line: None).finished) == 3


# -- several seeds at once


def test_a_function_that_takes_seeds_gets_several_at_once(tmp_path):
    calls = []

    def run(seeds, lr, folders):
        calls.append(list(seeds))
        assert [place.name for place in folders] == [f"seed-{seed}" for seed in seeds]
        return [{"loss": lr + seed} for seed in seeds]

    do(run, {"lr": [0.5]}, seeds=[1], out=tmp_path, batch=3)
    table, _ = do(run, {"lr": [0.5]}, seeds=7, out=tmp_path, batch=3)
    # Always the same seeds together, without those that are finished.
    assert calls == [[1], [0, 2], [3, 4, 5], [6]]
    assert table.loss.tolist() == [0.5 + seed for seed in range(7)]


def test_a_batch_that_fails_is_tried_seed_by_seed(tmp_path):
    calls = []

    def run(seeds):
        calls.append(list(seeds))
        if 2 in seeds:
            raise RuntimeError("diverged")
        return [{"loss": float(seed)} for seed in seeds]

    table, _ = do(run, seeds=4, out=tmp_path)
    assert calls == [[0, 1, 2, 3], [0], [1], [2], [3]]
    assert table.problem.tolist() == ["", "", "RuntimeError: diverged", ""]


def test_a_batch_that_returns_too_little_is_told(tmp_path):
    table, _ = do(lambda seeds: [{"loss": 1.0}] * 2, seeds=4, out=tmp_path)
    assert table.problem[0].endswith("one for each of `seeds`; got 2 for 1 seeds.")


def test_a_run_is_given_a_folder_that_is_there_again(tmp_path):
    def run(seed, lr, folder):
        n = len(list(folder.iterdir()))
        (folder / f"{n}").touch()
        if n == 0:
            raise RuntimeError("stopped early")
        return {"visits": n}

    do(run, {"lr": [0.5]}, seeds=2, out=tmp_path)
    table, _ = do(run, {"lr": [0.5]}, seeds=2, out=tmp_path, repeat_failed=True)
    assert table.visits.tolist() == [1.0, 1.0]
    (place,) = (tmp_path / "runs").iterdir()
    assert place.name.startswith("lr=0.5-")
    assert sorted(path.name for path in place.iterdir()) == ["seed-0", "seed-1"]


# -- what is refused


def none(seed):
    return {"loss": 1.0}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"run": 3}, "`run` must be a function of a seed; got int."),
        ({"grid": {"lr": [0.1]}}, "`run` must take what it is given (seed, lr); none(seed) does not: got an unexpected keyword argument 'lr'."),
        ({"run": product}, "`run` must take what it is given (seed); product(seed, lr, depth=1) does not: missing a required argument: 'lr'."),
        ({"grid": {"lr": 0.1}}, "`grid` must hold a list of values for each name; got 0.1 for 'lr'."),
        ({"grid": {"lr": "abc"}}, "`grid` must hold a list of values for each name; got 'abc' for 'lr'."),
        ({"grid": {"lr": []}}, "`grid` must hold at least one value of 'lr'; it is empty."),
        ({"grid": []}, "`grid` must hold at least one condition; it is empty."),
        ({"grid": 3}, "`grid` must be a mapping of lists, such as {\"lr\": [0.1, 0.3]}, or a list of mappings; got int."),
        ({"grid": [3]}, "`grid` must hold mappings where it is a list; got int."),
        ({"grid": {"seed": [1]}}, "`grid` must not name a value 'seed': the sweep itself does."),
        ({"grid": {3: [1]}}, "`grid` must name the parameters of `run`; got the name 3."),
        ({"grid": {"lr": [math.nan]}}, "`grid` must hold no NaN; got one for 'lr'."),
        ({"grid": {"lr": [torch.optim.SGD]}}, "`grid` must hold numbers, text, truth values and None, or lists of these; got torch.optim.sgd.SGD for 'lr'. Name such a condition: conditions={\"a name\": {'lr': ...}}."),
        ({"grid": {"lr": [1, 1]}}, "`grid` must hold each condition once; it holds lr=1 twice."),
        ({"conditions": [1]}, "`conditions` must be a mapping of mappings by name, such as {\"adam\": {\"optimizer\": Adam}}; got list."),
        ({"conditions": {}}, "`conditions` must hold at least one condition; it is empty."),
        ({"conditions": {"a": 3}}, "`conditions` must be a mapping of mappings by name; got int for 'a'."),
        ({"conditions": {"": {}}}, "`conditions` must have names that are text; got ''."),
        ({"conditions": {"a": {"lr": 1}}, "grid": {"lr": [2]}}, "`conditions` and `grid` must not both set a value; both set 'lr'."),
        ({"seeds": 0}, "`seeds` must be at least 1; got 0."),
        ({"seeds": []}, "`seeds` must hold at least one seed; it is empty."),
        ({"seeds": "3"}, "`seeds` must be an integer or integers; got '3'."),
        ({"seeds": [0, 0.5]}, "`seeds` must be an integer; got 0.5."),
        ({"seeds": [-1]}, "`seeds` must be at least 0; got -1."),
        ({"seeds": [2**32]}, "`seeds` must be at most 4,294,967,295; got 4,294,967,296."),
        ({"seeds": [2, 1, 2]}, "`seeds` must hold each seed once; it holds 2 twice."),
        ({"jobs": 0}, "`jobs` must be at least 1; got 0."),
        ({"batch": 0}, "`batch` must be at least 1; got 0."),
        ({"attempts": 0}, "`attempts` must be at least 1; got 0."),
        ({"repeat_failed": 1}, "`repeat_failed` must be True or False; got 1."),
        ({"executor": 3}, "`executor` must be an executor, as those of concurrent.futures, Dask's `client.get_executor()` and submitit's are; got int."),
    ],
    # Functions have addresses, which differ between processes.
    ids=lambda value: value[:60] if isinstance(value, str) else "".join(value),
)  # fmt: skip
def test_wrong_input_is_one_sentence(arguments, sentence, tmp_path):
    with pytest.raises((TypeError, ValueError)) as raised:
        do(**{"run": none, "out": tmp_path, "seeds": 1} | arguments)
    assert str(raised.value) == sentence


def test_two_sweeps_into_one_folder_are_refused(tmp_path):
    with (
        locks.only_writer(tmp_path),
        pytest.raises(locks.InUseError, match="^`out` must"),
    ):
        do(none, out=tmp_path)
    assert not (tmp_path / "sweep.json").exists()


def test_a_folder_without_a_sweep_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must be the folder of a sweep; .* has no"):
        read(tmp_path)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(ValueError, match="must be the plan of a sweep; it is damaged"):
        status(tmp_path)


def test_grids_take_arrays_and_infinity_comes_back(tmp_path):
    grid = {"lr": np.array([0.5, math.inf]), "depth": [np.int64(2), torch.tensor(3)]}
    table, _ = do(product, grid, seeds=1, out=tmp_path)
    assert pd.api.types.is_integer_dtype(table.depth)
    assert read(tmp_path).equals(table)
