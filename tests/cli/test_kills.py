"""Commands that are killed, by TERM, KILL and INT, at any moment of their work: no process is left, no set is mixed.

Each kill is of a real process, forked from this one after the imports, so that a hundred take minutes and not hours.
``DALEML_KILLS`` says how many there are in all.
"""

import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from daleml import reproductions
from daleml.reproductions import Check, Claim, Experiment
from tests._support.test_workers import family, lives, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="asks Linux who is whose child"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

KILLS = int(os.environ.get("DALEML_KILLS", "100"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
COMMANDS = ("fit", "demo", "reproduce")


def toy(seed, options):
    time.sleep(options["sleep"])
    return {"effect": 1.0 + seed}


def paper():
    every = reproductions.BUDGETS
    of = Experiment(
        "toy",
        toy,
        {budget: {"sleep": 0.3} for budget in every},
        dict.fromkeys(every, 12),
    )
    claim = Claim(
        "9a",
        "There is an effect.",
        "nowhere",
        of,
        (Check("effect", "an effect", at_least=0.5),),
    )
    return reproductions.Paper("toy", "Nobody (1900)", (claim,))


def write_table(seed):
    drawn = np.random.default_rng(seed).lognormal(size=120)
    pd.DataFrame({"size": drawn, "kind": np.repeat(["a", "b"], 60)}).to_csv(
        "s.csv", index=False
    )


WORDS = {
    "fit": ["fit", "s.csv", "--column", "size", "--by", "kind", "--families", "lognormal,gamma", "--gof", "60",
            "--intervals", "none", "--out", "o"],
    "demo": ["demo", "--epochs", "1", "--seeds", "1", "--output", "o"],
    "reproduce": ["reproduce", "toy", "--out", "o"],
}  # fmt: skip
INDEX = {"fit": "s-size-fit.json", "demo": "results.json", "reproduce": "claims.json"}


def start(command, jobs):
    """Fork a process that runs a command, silently."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from daleml.cli import app

        app([*WORDS[command], "--jobs", str(jobs)])
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        # The end of an ordinary interpreter, which joblib hooks into; a fork of pytest has hooks of its own.
        with contextlib.suppress(BaseException):
            from joblib.externals.loky.process_executor import _python_exit

            _python_exit()
        os._exit(code)


def the_set(command):
    """Return the digests of a set that is whole; raise if any of its files is of another one."""
    index = Path("o") / INDEX[command]
    content = json.loads(index.read_text())
    found = {
        str(path.relative_to("o")): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path("o").rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.parts)
    }
    label = found.pop(index.name)
    for others in ("journal.jsonl", "mine.txt"):
        found.pop(others, None)
    assert found == content["files"]
    return label


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Make the commands short, not what they start and write: tiny figures, fits once, a toy of an experiment."""
    from daleml.analysis import plots
    from daleml.analysis.distributions import bootstrap
    from daleml.analysis.plots.drawing import Drawing
    from daleml.demo import dense_figures, running_demo

    patch = pytest.MonkeyPatch()
    patch.chdir(tmp_path_factory.mktemp("kills"))
    patch.setattr(reproductions.papers, "all_papers", lambda: (paper(),))
    patch.setattr(bootstrap, "_WORTH_IT", 0.0)  # processes, however short the work
    small, _ = plots.figure(width=1, height=1)
    drawn = Drawing(small, "small")
    drawn.png()
    names = [
        "learning",
        "flips",
        "shapes",
        "overview",
        "brain_celegans",
        "brain_fly",
        "spectra_before",
        "spectra_after",
    ]
    names += [
        f"weights_dann_{rule}{kind}" for rule in ("sgd", "eg") for kind in ("", "_qq")
    ]
    patch.setattr(dense_figures, "draw", lambda *_: ((name, drawn) for name in names))
    rows = {}

    def once(function):
        def called(one):
            key = function.__name__, getattr(one, "name", "")
            return rows[key] if key in rows else rows.setdefault(key, function(one))

        return called

    patch.setattr(running_demo, "brain_table", once(running_demo.brain_table))
    patch.setattr(running_demo, "synapse_table", once(running_demo.synapse_table))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def earlier(quick):
    """Run each command once, to its end, and keep the set that it wrote."""
    kept = {}
    for command in COMMANDS:
        write_table(1)
        assert os.waitstatus_to_exitcode(os.waitpid(start(command, 1), 0)[1]) == 0
        (Path("o") / "mine.txt").write_text("mine")
        kept[command] = Path(f"earlier-{command}")
        shutil.move("o", kept[command])
    write_table(2)
    return kept


def moment(kind, process, rng):
    """Wait until a moment of the work: of its workers, or of its writing."""
    ended = lambda: not lives(process)  # noqa: E731
    staged = lambda: list(Path("o").glob(".daleml-set-*"))  # noqa: E731
    if kind == "workers":
        wait_until(lambda: ended() or len(family(process)) >= 3)
        time.sleep(rng.uniform(0, 6))
    elif kind == "any":
        time.sleep(rng.uniform(0, 3))
    else:
        while not ended() and not staged():
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.5))


def one_kill(command, number, kind, earlier, rng):
    shutil.rmtree("o", ignore_errors=True)
    shutil.copytree(earlier[command], "o")
    before = the_set(command)
    if command == "reproduce" and kind == "workers":
        Path("o/journal.jsonl").unlink()  # else there is nothing to run
    process = start(command, 2 if kind == "workers" else 1)
    moment(kind, process, rng)
    started = family(process)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, -number, 128 + number), code
    assert wait_until(lambda: not any(map(lives, started)), seconds=10), (
        command,
        number.name,
        kind,
    )
    after = the_set(command)
    assert Path("o/mine.txt").read_text() == "mine"
    return code != 0, bool(started), after != before


@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_any_moment(command, earlier):
    rng = random.Random(command)
    kinds = itertools.cycle(["workers", "write", "any", "write", "write"])
    signals = itertools.cycle(SIGNALS)
    kills = KILLS // 3 + (COMMANDS.index(command) < KILLS % 3)
    found = []
    for kind, number in itertools.islice(zip(kinds, signals, strict=False), kills):
        found.append(one_kill(command, number, kind, earlier, rng))
        if number == SIGNALS[-1]:  # what was left hinders nobody
            assert os.waitstatus_to_exitcode(os.waitpid(start(command, 1), 0)[1]) == 0
            assert not list(Path("o").glob(".daleml*"))
    killed, with_workers, new = (sum(column) for column in zip(*found, strict=True))
    print(
        f"{command}: {kills} kills, {killed} before the end, {with_workers} with workers, {new} new sets, none mixed"
    )
    assert killed  # how many, hangs on how quick the machine is
