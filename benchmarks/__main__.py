"""Run every case, print a table, and write it with the machine and the versions to `benchmarks/results.json`."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import daleml
from benchmarks import (
    equilibrium,
    evolution,
    fits,
    guards,
    memory,
    optimisers,
    recurrent,
)
from benchmarks.timing import Case, measure
from daleml import Populations, signs
from daleml.layers import DANNLinear, EILinear


def layer_step(ours, torchs, batch, n_in):
    """Compare forward and backward of two layers."""

    def setup():
        def ready(layer):
            x = torch.rand(batch, n_in, requires_grad=True)

            def call():
                layer.zero_grad()
                layer(x).sum().backward()

            return call

        return ready(ours()), ready(torchs())

    return setup


def projection():
    """Compare projecting a layer onto its signs with one pass of torch's own over the weight."""
    layer = EILinear(Populations(3000, 1000), 4000)
    with torch.no_grad():
        copy = layer.weight.detach().clone()
    return lambda: signs.project_(layer), lambda: copy.clamp_(min=0)


CASES = [
    *optimisers.CASES,
    *(
        Case(
            f"DANNLinear{' shunting' if shunting else ''} forward and backward, batch"
            f" {batch}",
            "nn.Linear",
            layer_step(
                lambda s=shunting: DANNLinear(784, 500, 50, shunting=s),
                lambda: nn.Linear(784, 500),
                batch,
                784,
            ),
            rounds=41,
        )
        for shunting in (False, True)
        for batch in (32, 256, 1024)
    ),
    *recurrent.CASES,
    *fits.CASES,
    *equilibrium.CASES,
    *evolution.CASES,
    *guards.CASES,
    Case("signs.project_, 16M weights", "clamp_", lambda: projection()),
]


def main() -> None:
    """Run the cases whose name holds the words given, or all."""
    wanted = " ".join(sys.argv[1:])
    timings = [measure(case) for case in CASES if wanted in case.name]
    peaks = [
        (case, *memory.measure(case))
        for case in recurrent.MEMORY_CASES
        if wanted in case.name
    ]
    table = Table(
        title="daleml beside torch and scipy: time ratios, lower is better",
        title_justify="left",
    )
    for column in ("case", "against", "ratio", "quartiles", "ms", "baseline ms"):
        table.add_column(
            column, justify="left" if column in ("case", "against") else "right"
        )
    for t in timings:
        quartiles, milliseconds = (
            f"{t.low:.2f} to {t.high:.2f}",
            (f"{1e3 * s:.2f}" for s in (t.seconds, t.baseline_seconds)),
        )
        table.add_row(t.name, t.against, f"{t.ratio:.2f}", quartiles, *milliseconds)
    Console(width=160).print(table)
    table = Table(
        title="peak memory of a training step: ratios, lower is better",
        title_justify="left",
    )
    for column in ("case", "against", "ratio", "MB", "baseline MB"):
        table.add_column(
            column, justify="left" if column in ("case", "against") else "right"
        )
    for case, ours, baseline in peaks:
        table.add_row(
            case.name,
            case.against,
            f"{ours / baseline:.2f}",
            f"{ours:.0f}",
            f"{baseline:.0f}",
        )
    Console(width=160).print(table)
    _keep(
        {
            "timings": [dataclasses.asdict(t) for t in timings],
            "memory": [
                {
                    "name": case.name,
                    "against": case.against,
                    "ratio": ours / baseline,
                    "mb": ours,
                    "baseline_mb": baseline,
                }
                for case, ours, baseline in peaks
            ],
        }
    )


def _keep(measured: dict[str, list[dict[str, Any]]]) -> None:
    """Write what was measured into ``results.json``, in the place of what it held of the same cases on this machine."""
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
    before = json.loads(path.read_text()) if path.exists() else {}
    if before.get("machine") != machine:  # rows of two machines are not to be compared
        before = {}
    rows = {}
    for kind, found in measured.items():
        kept = {
            (row["name"], row["against"]): row
            for row in [*before.get(kind, []), *found]
        }
        rows[kind] = list(kept.values())
    path.write_text(json.dumps({"machine": machine, **rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
