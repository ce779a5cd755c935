"""The demo: networks learn digits, prove their signs, and have their synapses fitted beside real ones.

It composes the package; what it finds goes to ``results.json``, ``report.html`` and PNGs.

``learning``   one network: how it is built and trained
``dense``      the four that see a digit at once
``recurrent``  the three that see it row by row
``found``      the numbers
``page``       the figures, and the words around them; ``rows_page`` those of the recurrent networks
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
    from daleml.pages import demo_page, demo_rows_page

    started, data, unfinished = time.perf_counter(), digits(), output / ".unfinished"
    arms = ARMS + RECURRENT_ARMS if recurrent else ARMS
    runs: dict[str, list[Trained]] = {arm.key: [] for arm in arms}
    calls = [
        (arm, seed, data, epochs, unfinished / f"{arm.key}-{seed}-of-{epochs}")
        for arm in arms
        for seed in range(seeds)
    ]
    processes = workers.count(jobs, len(calls))
    if told := workers.fewer(jobs, processes):
        say(told)
    with contextlib.closing(
        workers.run(_learn_on_one_thread, calls, processes, ordered=True)
    ) as results_of_calls:
        for trained in results_of_calls:
            runs[trained.arm.key].append(trained)
            say(
                f"{trained.arm.label}, seed {trained.seed}: {trained.test_error:.2%} of"
                " test digits missed"
            )
    brains, read_rows = (
        [celegans(), fly_visual()],
        {arm.key: runs.pop(arm.key) for arm in arms[len(ARMS) :]},
    )
    results: dict[str, Any] = {
        "versions": {
            "daleml": daleml.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "settings": {
            "epochs": epochs,
            "seeds": seeds,
            "batch": BATCH,
            "hidden": [HIDDEN] * LAYERS,
            "n_inh": N_INH,
            "n_train": len(data.train_y),
            "n_test": len(data.test_y),
        },
        "arms": {key: dataclasses.asdict(summarise(arm)) for key, arm in runs.items()},
        "history": {
            key: [one.history.to_dict("list") for one in arm]
            for key, arm in runs.items()
        },
        "synapses": {key: synapse_table(arm[0].after) for key, arm in runs.items()},
        "brains": {brain.name: brain_table(brain) for brain in brains},
        "counts": {brain.name: are_counts(brain) for brain in brains},
        "families": list(SIMPLE),
    }
    if recurrent:
        results["recurrent"] = _by_rows(read_rows)
    say("drawing the report")
    drawings = dict(demo_page.draw(runs, brains)) | (
        dict(demo_rows_page.draw(read_rows, data)) if recurrent else {}
    )
    results["seconds"] = time.perf_counter() - started
    files = {f"{name}.png": drawing.png() for name, drawing in drawings.items()}
    files["report.html"] = demo_page.compose(results, drawings, brains).encode()
    atomic_files.write_set("output", output, files, "results.json", results, lock=False)
    shutil.rmtree(unfinished, ignore_errors=True)
    return results


def _by_rows(runs: dict[str, list[Trained]]) -> dict[str, Any]:
    """Return what the networks that read row by row did."""
    return {
        "settings": {
            "units": UNITS,
            "n_inh": ROWS_N_INH,
            "clip_norm": CLIP_NORM,
            "times": TIMES,
        },
        "arms": {key: dataclasses.asdict(summarise(arm)) for key, arm in runs.items()},
        "history": {
            key: [one.history.to_dict("list") for one in arm]
            for key, arm in runs.items()
        },
        "spectra": {
            key: {
                when: [recurrent_spectrum(getattr(one, when)).to_dict() for one in arm]
                for when in ("before", "after")
            }
            for key, arm in runs.items()
        },
    }


def _learn_on_one_thread(*arguments: Any) -> Trained:
    """Learn on one thread: these matrices are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return learn(*arguments)
    finally:
        torch.set_num_threads(threads)
