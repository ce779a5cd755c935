"""Run every case, print tables, and keep the numbers in ``benchmarks/results.json``."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from rich.console import Console
from rich.table import Table

import daleml
from benchmarks import (
    dense_layers,
    ensembles,
    equilibrium,
    evolution,
    fits,
    graphs,
    guards,
    large_fits,
    memory,
    optimisers,
    recurrent,
    sparse_circuits,
    training_loops,
)
from benchmarks.memory import MemoryCase
from benchmarks.timing import Timing, measure

CASES = [
    *optimisers.CASES,
    *dense_layers.CASES,
    *recurrent.CASES,
    *fits.CASES,
    *large_fits.CASES,
    *graphs.CASES,
    *equilibrium.CASES,
    *evolution.CASES,
    *guards.CASES,
    *training_loops.CASES,
    *ensembles.CASES,
    *sparse_circuits.CASES,
    # The last: its weight is much larger than what other cases hold.
    dense_layers.PROJECTION,
]
Peak = tuple[MemoryCase, float, float]


def main() -> None:
    """Run the cases whose name holds the words given, or all."""
    wanted = " ".join(sys.argv[1:])
    timings = [measure(case) for case in CASES if wanted in case.name]
    peaks: list[Peak] = []
    for case in recurrent.MEMORY_CASES:
        if wanted in case.name:
            peaks.append((case, *memory.measure(case)))
    console = Console(width=160)
    console.print(_table_of_timings(timings))
    console.print(_table_of_peaks(peaks))
    _keep(
        {
            "timings": [dataclasses.asdict(timing) for timing in timings],
            "memory": [_plain(*peak) for peak in peaks],
        }
    )


def _table_of_timings(timings: Sequence[Timing]) -> Table:
    table = _table(
        "daleml beside torch and scipy: time ratios, lower is better",
        ("ratio", "quartiles", "ms", "baseline ms"),
    )
    for t in timings:
        table.add_row(
            t.name,
            t.against,
            f"{t.ratio:.2f}",
            f"{t.low:.2f} to {t.high:.2f}",
            f"{1e3 * t.seconds:.2f}",
            f"{1e3 * t.baseline_seconds:.2f}",
        )
    return table


def _table_of_peaks(peaks: Sequence[Peak]) -> Table:
    table = _table(
        "peak memory of a training step: ratios, lower is better",
        ("ratio", "MB", "baseline MB"),
    )
    for case, ours, baseline in peaks:
        numbers = f"{ours / baseline:.2f}", f"{ours:.0f}", f"{baseline:.0f}"
        table.add_row(case.name, case.against, *numbers)
    return table


def _table(title: str, numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("case", "against"):
        table.add_column(column, justify="left")
    for column in numbers:
        table.add_column(column, justify="right")
    return table


def _plain(case: MemoryCase, ours: float, baseline: float) -> dict[str, Any]:
    return {
        "name": case.name,
        "against": case.against,
        "ratio": ours / baseline,
        "mb": ours,
        "baseline_mb": baseline,
    }


def _keep(measured: dict[str, list[dict[str, Any]]]) -> None:
    """Write what was measured into ``results.json``.

    It takes the place of what the file held of the same cases on this machine.
    """
    machine = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "daleml": daleml.__version__,
    }
    path = Path(__file__).parent / "results.json"
    before: dict[str, Any] = {}
    if path.exists():
        before = json.loads(path.read_text())
    # Rows of two machines, or of two versions, are not to be compared.
    if before.get("machine") != machine:
        before = {}
    rows = {}
    for kind, found in measured.items():
        kept = {}
        for row in [*before.get(kind, []), *found]:
            kept[row["name"], row["against"]] = row
        rows[kind] = list(kept.values())
    path.write_text(json.dumps({"machine": machine, **rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
