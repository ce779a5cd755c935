"""The notebooks of the tutorials, made from their scripts.

A tutorial is written once, as ``tutorials/NN_name.py``, a script in the percent format: cells
begin with ``# %%``, Markdown stands in comments. ``python -m tutorials.notebooks`` runs all of
them, ``python -m tutorials.notebooks 04 05`` those two, and saves from one run two notebooks:

- ``tutorials/solutions/NN_name.ipynb`` holds everything;
- ``tutorials/NN_name.ipynb`` is a student's: a place to write instead of each solution.

What a cell's first line may say, as in ``# %% tags=["trained"] alt="Two curves..."``:

- ``tags=["trained"]``: what it shows depends on training, in its numbers;
- ``tags=["solution"]``: it solves the exercise above it, or says, in Markdown, what came out;
- ``tags=["claim"]``: it asserts what the tutorial says;
- ``alt="..."``: its figure in words, for those who cannot see it;
- ``slide="Heading. One sentence."``: its figure belongs on a slide.

The first code cell says how long there is training, in lines such as ``EPOCHS = 12``. A *fast*
run replaces these numbers by the smallest, and leaves out what trained cells assert.
"""

from __future__ import annotations

import ast
import base64
import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any
from unittest import mock

import jupytext
import nbformat
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

FOLDER = Path(__file__).parent
SOLUTIONS = FOLDER / "solutions"

LENGTH = re.compile(r"^((?:\w+_)?(EPOCHS|STEPS|SEEDS)) = \d+\b", re.MULTILINE)
SMALLEST = {"EPOCHS": 1, "STEPS": 2, "SEEDS": 2}

YOUR_SOLUTION = "# Your solution\n"

# The figures of a notebook are drawn in few colours. With 128 of them a file has a third of
# its size, and no difference can be seen.
N_COLOURS = 128


def scripts() -> list[Path]:
    """Return the scripts of all tutorials, in their order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def read(script: Path) -> NotebookNode:
    """Return a script as a notebook without outputs."""
    notebook = jupytext.read(script)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    for position, cell in enumerate(notebook.cells):
        # An id of its own, and the same at each run: a difference shows what has changed.
        cell.id = f"cell-{position:03d}"
        alternative = cell.metadata.get("alt")
        if alternative:
            # Where MyST-NB, which makes the pages, looks for it.
            cell.metadata["mystnb"] = {"image": {"alt": alternative}}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells that hold code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def has_tag(cell: NotebookNode, tag: str) -> bool:
    """Return whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", ())


def trains(notebook: NotebookNode) -> bool:
    """Return whether the first code cell says how long there is training."""
    return bool(LENGTH.search(code_cells(notebook)[0].source))


def make_fast(notebook: NotebookNode) -> None:
    """Shorten the training of a notebook that has not run, in place."""
    first = code_cells(notebook)[0]
    first.source = LENGTH.sub(
        lambda found: f"{found[1]} = {SMALLEST[found[2]]}", first.source
    )
    for cell in code_cells(notebook):
        if has_tag(cell, "trained"):
            cell.source = without_assertions(cell.source)


def without_assertions(source: str) -> str:
    """Return source in which each ``assert`` is a ``pass``."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Assert):
            continue
        lines[node.lineno - 1] = " " * node.col_offset + "pass"
        assert node.end_lineno is not None
        for number in range(node.lineno, node.end_lineno):
            lines[number] = ""
    return "\n".join(lines)


class ThisInterpreter(AsyncKernelManager):
    """Starts the interpreter that runs this, whatever kernels the machine has, or none."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """Return how it is started."""
        started = get_kernel_dict(extra_arguments=["--log-level=ERROR"])
        return KernelSpec(**started, name="python3")


@contextmanager
def clean_environment(folder: Path) -> Iterator[None]:
    """Hide the user's settings and figure backend from the kernel, and give it one thread.

    ``daleml`` is the command of this interpreter.
    """
    settings = {
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # What a command prints in a cell has neither colours nor the width of a terminal.
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "100",
    }
    with mock.patch.dict(os.environ, settings):
        os.environ.pop("MPLBACKEND", None)
        os.environ.pop("DALEML_DATA", None)
        yield


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run a notebook from clean, in an empty folder, and return it with its outputs."""
    with tempfile.TemporaryDirectory() as scratch, clean_environment(Path(scratch)):
        work = Path(scratch) / "work"
        work.mkdir()
        _run(notebook, work)
    return notebook


class OneKernel:
    """A kernel that runs one notebook after another, each with no name of those before it.

    What was imported stays so, which saves seconds for each; what settings libraries keep is
    put back: torch's default type and matplotlib's parameters.
    """

    def __init__(self) -> None:
        self._kernel: ThisInterpreter | None = None
        self._folder = tempfile.TemporaryDirectory()

    def execute(self, notebook: NotebookNode) -> NotebookNode:
        """Run a notebook in an empty folder, and return it with its outputs."""
        folder = Path(self._folder.name)
        work = Path(tempfile.mkdtemp(dir=folder))
        with clean_environment(folder):
            if self._kernel is None:
                self._kernel = ThisInterpreter()
            before = nbformat.v4.new_code_cell(FORGET.format(folder=str(work)))
            notebook.cells.insert(0, before)
            try:
                _run(notebook, work, km=self._kernel)
            finally:
                notebook.cells.remove(before)
        return notebook

    def close(self) -> None:
        """Stop the kernel."""
        if self._kernel is not None:
            run_sync(self._kernel.shutdown_kernel)(now=True)
        self._folder.cleanup()


FORGET = """%reset -f
def _forget():
    import os
    import matplotlib.pyplot as plt
    import torch
    os.chdir({folder!r})
    torch.set_default_dtype(torch.float32)
    plt.close("all")
    first = vars(plt).setdefault("_first_settings", dict(plt.rcParams))
    plt.rcParams.update(first | {{"interactive": plt.isinteractive()}})
_forget()
del _forget
"""


def _run(notebook: NotebookNode, folder: Path, **kernel: Any) -> None:
    """Run a notebook in a folder, in place, by a new kernel unless one is given."""
    # Builds the font cache here: a kernel that has to, says so.
    import matplotlib.font_manager  # noqa: F401

    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        kernel_manager_class=ThisInterpreter,
        timeout=None,  # a busy machine fails nothing,
        iopub_timeout=600,  # and loses no output: what came after 4 s was dropped
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        record_timing=False,
        shutdown_kernel="immediate",
        **kernel,
    )
    try:
        client.execute()
    finally:
        # A kernel that goes on keeps none of the sockets of this run.
        if client.kc is not None:
            client.kc.stop_channels()
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output["output_type"] == "stream":
                # A command in a cell believes that it writes to a terminal.
                output["text"] = output["text"].replace("\r\n", "\n")
    # Without the version of this interpreter.
    notebook.metadata.language_info = NotebookNode(name="python")


def reduce_colours(notebook: NotebookNode) -> None:
    """Save the figures of a notebook in few colours, in place."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" not in data:
                continue
            image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
            few = image.convert("RGB").quantize(N_COLOURS, dither=Image.Dither.NONE)
            written = io.BytesIO()
            few.save(written, format="png", optimize=True)
            data["image/png"] = base64.b64encode(written.getvalue()).decode()


def students(solved: NotebookNode) -> NotebookNode:
    """Return a notebook with a place to write instead of each solution."""
    cells = []
    for is_solution, group in groupby(solved.cells, lambda c: has_tag(c, "solution")):
        if not is_solution:
            cells += list(group)
            continue
        first = next(group)
        place = nbformat.v4.new_code_cell(YOUR_SOLUTION, id=first.id)
        cells.append(place)
    notebook = nbformat.from_dict({**solved, "cells": cells})
    count = 0
    for cell in code_cells(notebook):
        if cell.source == YOUR_SOLUTION:
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count
    return notebook


def for_solutions(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook whose links lead to the same pages from one folder further down."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("](../", "](../../")
    return notebook


def save(script: Path) -> None:
    """Run a script in full, and save its two notebooks."""
    solved = execute(read(script))
    reduce_colours(solved)
    SOLUTIONS.mkdir(exist_ok=True)
    nbformat.write(for_solutions(solved), SOLUTIONS / f"{script.stem}.ipynb")
    nbformat.write(students(solved), FOLDER / f"{script.stem}.ipynb")


def main(chosen: list[str]) -> None:
    """Save the notebooks of the scripts whose names begin so; without any, of all."""
    for script in scripts():
        if chosen and not any(script.stem.startswith(one) for one in chosen):
            continue
        begun = time.monotonic()
        save(script)
        seconds = time.monotonic() - begun
        size = (FOLDER / f"{script.stem}.ipynb").stat().st_size / 1000
        print(f"{script.stem}: {seconds:.0f} s, {size:.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
