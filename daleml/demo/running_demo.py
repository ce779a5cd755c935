"""The whole demo: networks learn digits, and what they found is written as one report.

It composes the package. What it finds goes to ``results.json``, ``report.html`` and PNGs.

``demo_training``   one network: how it is built, trained and judged
``dense_networks``  the four that see a digit at once; ``dense_figures`` draws what they did
``row_networks``    the three that see it row by row; ``row_figures`` draws what they did
``demo_results``    the numbers
"""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import daleml
from daleml import require
from daleml._support import atomic_files, locks, workers
from daleml.analysis.distributions.families import SIMPLE
from daleml.datasets import celegans, digits, fly_visual
from daleml.demo import dense_figures, row_figures
from daleml.demo.demo_results import (
    are_counts,
    brain_table,
    recurrent_spectrum,
    summarise,
    synapse_table,
)
from daleml.demo.demo_training import BATCH, Arm, Trained, learn
from daleml.demo.dense_networks import ARMS, HIDDEN, LAYERS, N_INH
from daleml.demo.row_networks import ARMS as RECURRENT_ARMS
from daleml.demo.row_networks import CLIP_NORM, TIMES, UNITS
from daleml.demo.row_networks import N_INH as ROWS_N_INH
from daleml.pages import demo_page

__all__ = ["ARMS", "RECURRENT_ARMS", "Arm", "Trained", "learn", "run"]


def run(
    output: Path,
    *,
    epochs: int = 30,
    seeds: int = 3,
    recurrent: bool = False,
    jobs: int | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Run the demo and write ``results.json``, ``report.html`` and the figures.

    They are exchanged as one set: those of an earlier run stay, or all are of this one.
    Interrupted, it goes on where it was when it is started again with the same settings and
    output folder.

    Args:
        output: Folder for what it writes; made if missing.
        epochs: Epochs each network learns for.
        seeds: Number of seeds; each makes its own networks and order of digits.
        recurrent: Whether to train three recurrent networks too, that see a digit row by row,
            for twice the epochs.
        jobs: Number of networks to train at once, each in a process of its own; default: one
            per core. Never more than there are networks or cores.
        say: Called with a line of progress.

    Returns:
        What ``results.json`` holds.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If a number is below 1, or ``output`` cannot be written to or another
            process writes there.
    """
    require.integer("epochs", epochs, minimum=1)
    require.integer("seeds", seeds, minimum=1)
    if jobs is not None:
        require.integer("jobs", jobs, minimum=1)
    folder = atomic_files.folder("output", output)
    with locks.only_writer(folder, "output"):
        return _run(folder, epochs, seeds, recurrent, jobs, say)


def _run(
    output: Path,
    epochs: int,
    seeds: int,
    recurrent: bool,
    jobs: int | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    started = time.perf_counter()
    data = digits()
    # Checkpoints of networks that are learning; an interrupted demo goes on from them. One
    # of another length does not: the schedule of learning rates depends on it.
    unfinished = output / ".unfinished"
    calls = [
        (arm, seed, data, epochs, unfinished / f"{arm.key}-{seed}-of-{epochs}")
        for arm in (ARMS + RECURRENT_ARMS if recurrent else ARMS)
        for seed in range(seeds)
    ]
    runs = _train_all(calls, jobs, say)
    # They have a section and settings of their own, and none of the other figures.
    read_rows = {arm.key: runs.pop(arm.key) for arm in RECURRENT_ARMS if recurrent}
    brains = [celegans(), fly_visual()]
    results: dict[str, Any] = {
        "versions": _versions(),
        "settings": {
            "epochs": epochs,
            "seeds": seeds,
            "batch": BATCH,
            "hidden": [HIDDEN] * LAYERS,
            "n_inh": N_INH,
            "n_train": len(data.train_y),
            "n_test": len(data.test_y),
        },
        **_learned(runs),
        "synapses": {key: synapse_table(arm[0].after) for key, arm in runs.items()},
        "brains": {brain.name: brain_table(brain) for brain in brains},
        "counts": {brain.name: are_counts(brain) for brain in brains},
        "families": list(SIMPLE),
    }
    say("drawing the report")
    drawings = dict(dense_figures.draw(runs, brains))
    if recurrent:
        results["recurrent"] = _by_rows(read_rows)
        drawings |= dict(row_figures.draw(read_rows, data))
    results["seconds"] = time.perf_counter() - started
    files = {f"{name}.png": drawing.png() for name, drawing in drawings.items()}
    files["report.html"] = demo_page.compose(results, drawings, brains).encode()
    # This process has held the lock of the folder since it began.
    atomic_files.write_set("output", output, files, "results.json", results, lock=False)
    # Only now is all written that they were kept for.
    shutil.rmtree(unfinished, ignore_errors=True)
    return results


def _train_all(
    calls: list[tuple[Any, ...]], jobs: int | None, say: Callable[[str], None]
) -> dict[str, list[Trained]]:
    """Train every network, several at once; return them by the key of their arm."""
    processes = workers.count(jobs, len(calls))
    told = workers.fewer(jobs, processes)
    if told:
        say(told)
    runs: dict[str, list[Trained]] = {}
    running = workers.run(_learn_on_one_thread, calls, processes, ordered=True)
    # Closed at the end, whatever happens here, so that no process goes on learning.
    with contextlib.closing(running) as ended:
        for trained in ended:
            runs.setdefault(trained.arm.key, []).append(trained)
            say(
                f"{trained.arm.label}, seed {trained.seed}: {trained.test_error:.2%} of"
                " test digits missed"
            )
    return runs


def _versions() -> dict[str, str]:
    return {
        "daleml": daleml.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _learned(runs: dict[str, list[Trained]]) -> dict[str, Any]:
    """Return what every arm did over its seeds, and the history of every network."""
    arms, histories = {}, {}
    for key, arm in runs.items():
        arms[key] = dataclasses.asdict(summarise(arm))
        histories[key] = [one.history.to_dict("list") for one in arm]
    return {"arms": arms, "history": histories}


def _by_rows(runs: dict[str, list[Trained]]) -> dict[str, Any]:
    """Return what the networks that read row by row did."""
    spectra: dict[str, dict[str, list[Any]]] = {}
    for key, arm in runs.items():
        spectra[key] = {
            "before": [recurrent_spectrum(one.before).to_dict() for one in arm],
            "after": [recurrent_spectrum(one.after).to_dict() for one in arm],
        }
    return {
        "settings": {
            "units": UNITS,
            "n_inh": ROWS_N_INH,
            "clip_norm": CLIP_NORM,
            "times": TIMES,
        },
        **_learned(runs),
        "spectra": spectra,
    }


def _learn_on_one_thread(*arguments: Any) -> Trained:
    """Learn on one thread: these matrices are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return learn(*arguments)
    finally:
        torch.set_num_threads(threads)
