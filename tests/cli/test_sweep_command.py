"""``daleml sweep``: a study in a file, run, resumed and summarised."""

import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

from daleml.cli import app
from daleml.experiments import read, slurm
from daleml.experiments.study_file import Study
from daleml.experiments.worker_calls import work

STUDY = """
from __future__ import annotations
from dataclasses import dataclass
import lies_beside

@dataclass
class Settings:
    lr: float

def run(seed, lr):
    if seed == 1 and not lies_beside.MENDED:
        raise RuntimeError("a seed that breaks")
    return {"loss": Settings(lr).lr * seed}

grid = {"lr": [0.5, 0.25]}
seeds = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_study.py").write_text(STUDY)
    (tmp_path / "lies_beside.py").write_text("MENDED = False\n")
    yield tmp_path
    sys.modules.pop("lies_beside", None)


def typed(*words, code=0):
    result = CliRunner().invoke(app, ["sweep", *map(str, words)])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_it_is_run_resumed_and_summarised(folder):
    text = typed("my_study.py", "--jobs", "1", code=2)
    assert "6 of 6 runs, 2 failed" in text
    assert (
        "error: 2 of 6 runs failed: see the column `problem` of runs/my_study/table.csv, and"
        " give --repeat-failed to run them again." in text
    )
    text = typed("my_study.py", "--status")
    assert text.startswith("4 of 6 runs finished, 2 failed, 0 left")
    (folder / "lies_beside.py").write_text("MENDED = True\n")
    sys.modules.pop("lies_beside")
    text = typed("my_study.py", "--jobs", "1", "--repeat-failed", "--seeds", "0,1,2,3")
    assert "8 of 8 runs" in text
    assert "Means over seeds with 95 % intervals (Student's t)" in text
    table = read("runs/my_study")
    assert table.loss.tolist() == [0.0, 0.5, 1.0, 1.5, 0.0, 0.25, 0.5, 0.75]
    kept = pd.read_csv("runs/my_study/table.csv")
    assert kept.loss.tolist() == table.loss.tolist()
    assert pd.read_csv("runs/my_study/summary.csv")["mean"].tolist() == [0.75, 0.375]
    assert "summary.csv" not in typed("my_study.py", "--status", "-o", "runs/my_study")


def test_what_a_file_defines_travels_by_value(folder):
    """Another process has no module of its name."""
    import pickle

    from daleml.experiments.shipping import Shipped
    from daleml.experiments.worker_calls import Job, RunCall

    study = Study.load(folder / "my_study.py")
    call = RunCall(("run", "", 2), "", Shipped({"lr": 0.5}))
    shipped = pickle.dumps(Job(Shipped(study.run), (call,)))
    del sys.modules["daleml_study_my_study"]
    (outcome,) = work(pickle.loads(shipped))
    assert outcome.entry.numbers == {"loss": 1.0}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none.py"], "`study` must be a Python file that defines `run`; there is no `none.py`."),
        (["empty.py"], "`study` must define `run(seed, **condition)`, which returns numbers by name; `empty.py` does not."),
        (["broken.py"], "`study` must be a Python file that runs; `broken.py` raised ZeroDivisionError: division by zero, at File"),
        (["slip.py"], "`study` must be a Python file that runs; `slip.py` raised SyntaxError: "),
        (["notes.txt"], "`study` must be a Python file, whose name ends in .py; got `notes.txt`."),
        (["my_study.py", "--seeds", "many"], "`--seeds` must be an integer, or integers with commas between; got 'many'."),
        (["my_study.py", "--seeds", "0"], "`--seeds` must be at least 1; got 0."),
        (["my_study.py", "--jobs", "0"], "`--jobs` must be at least 1; got 0."),
        (["my_study.py", "--slurm", "time=5", "--scheduler", "tcp://h:1"], "`--slurm` must be left out where `--scheduler` is given."),
        (["my_study.py", "--slurm", "time"], "`--slurm` must be options of sbatch, such as partition=cpu,time=2:00:00,mem=4GB; got 'time'."),
        (["my_study.py", "--slurm", "time=5,time=6"], "`--slurm` must set each option once; it sets 'time' twice."),
        (["my_study.py", "--slurm", "time=soon"], "`--slurm` must have a time in minutes, as hours:minutes:seconds or as days-hours:minutes; got 'soon'."),
        (["my_study.py", "--slurm", "time=5"], "`--slurm` must be given on a machine of a SLURM cluster; there is no `srun` here."),
        (["my_study.py", "--scheduler", "nonsense"], "`--scheduler` must be the address of a Dask scheduler, such as tcp://"),
        (["my_study.py", "--status"], "`--out` must be the folder of a sweep; `runs/my_study` has no sweep.json."),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(words, sentence, folder, monkeypatch):
    monkeypatch.setenv("PATH", "")
    (folder / "empty.py").write_text("")
    (folder / "broken.py").write_text("def f():\n    1 / 0\n\n\nf()\n")
    (folder / "slip.py").write_text("def run(:\n")
    (folder / "notes.txt").write_text("def run(seed): ...\n")
    assert typed(*words, code=2).startswith(f"error: {sentence}")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("1:30", 2), ("2:00:00", 120), ("1:00:01", 61), ("2-3", 3060), ("1-0:30", 1470)],
)  # fmt: skip
def test_times_of_slurm_in_minutes(text, minutes):
    assert slurm.options_of(f"time={text}") == {"time": minutes}


def test_a_slurm_executor_has_the_options(tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", classmethod(lambda cls: 2))
    made = slurm.executor(tmp_path, slurm.options_of("partition=cpu,time=2:00:00"))
    text = made._make_submission_file_text("true", "id")
    for line in ("--partition=cpu", "--time=120", "--cpus-per-task=1"):
        assert f"#SBATCH {line}\n" in text
    with pytest.raises(
        ValueError, match="^`slurm` must hold options of sbatch that"
    ) as no:
        slurm.executor(tmp_path, {"partion": "cpu"})
    assert "partion" in str(no.value)
    assert len(str(no.value)) < 200
