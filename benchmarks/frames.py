"""How much of the package one call runs through: ``python -m benchmarks.frames``.

Counted are the files and the functions of daleml that a call enters, the second time it is
made, when whatever is built once has been built. Comprehensions are no functions here.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import daleml

PACKAGE = str(Path(daleml.__file__).parent) + os.sep


def entered(call: Callable[[], Any]) -> tuple[set[str], set[tuple[str, str, int]]]:
    """Return the files and the functions of daleml that ``call`` enters."""
    functions: set[tuple[str, str, int]] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        inside = code.co_filename.startswith(PACKAGE)
        if event == "call" and inside and not code.co_name.startswith("<"):
            name = code.co_filename.removeprefix(PACKAGE)
            functions.add((name, code.co_name, code.co_firstlineno))

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return {file for file, _, _ in functions}, functions


def calls() -> dict[str, Callable[[], Any]]:
    """Return the calls whose way through the package is counted."""
    import numpy as np
    import torch

    from daleml import Populations
    from daleml.analysis import fit_weights
    from daleml.cli import app
    from daleml.layers import EIRNN, DANNLinear
    from daleml.optim import EG, EGAdamW, enforce, param_groups

    def optimiser(kind: type) -> Callable[[], Any]:
        layer = DANNLinear(10, 5)
        made = kind(param_groups(layer, lr=0.1), lr=0.1)
        for parameter in layer.parameters():
            parameter.grad = torch.rand_like(parameter)
        return made.step

    def guarded() -> Callable[[], Any]:
        layer = DANNLinear(10, 5)
        made = torch.optim.SGD(layer.parameters(), lr=0.1)
        enforce(made, layer)
        return made.step

    circuit = EIRNN(3, Populations(8, 2))
    x = torch.rand(5, 2, 3)
    weights = np.random.default_rng(0).lognormal(size=200)
    folder = tempfile.mkdtemp()
    table = Path(folder, "weights.csv")
    table.write_text("w\n" + "\n".join(map(repr, weights.tolist())) + "\n")

    arguments = ["fit", str(table), "--family", "lognormal", "--out", folder + "/out"]

    def fit_command() -> None:
        app(arguments, standalone_mode=False)

    return {
        "EG.step": optimiser(EG),
        "EGAdamW.step": optimiser(EGAdamW),
        "enforce(SGD).step": guarded(),
        "EIRNN.forward": lambda: circuit(x),
        "fit_weights": lambda: fit_weights(weights, "lognormal"),
        "daleml fit": fit_command,
    }


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for name, call in calls().items():
        if wanted and not any(name.startswith(one) for one in wanted):
            continue
        call()
        files, functions = entered(call)
        print(f"{name}: {len(files)} files, {len(functions)} functions")
        for file in sorted(files):
            inside = [
                function for home, function, _ in sorted(functions) if home == file
            ]
            print(f"    {file}: {', '.join(inside)}")
