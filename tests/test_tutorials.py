"""Tutorials run from clean, in silence, and the outputs saved in them are those of a fresh run.

The first cell of a tutorial that trains for long sets how long, in lines such as
``EPOCHS = 12``. The quick test replaces each of these numbers by 1: cells tagged "trained" must
then still say the same words, and every other cell exactly what is saved. The slow test, also
run by ``make tutorials``, changes nothing and compares everything.

``python tests/test_tutorials.py`` runs every tutorial in full and saves its fresh outputs.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import matplotlib.font_manager  # noqa: F401  (builds the font cache here: a kernel that has to says so on stderr)
import nbformat
import pytest
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbformat import NotebookNode

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.ipynb"))
NUMBER = re.compile(r" *-?\d[\d,]*(?:\.\d+)?%?")
LENGTH = re.compile(r"^((?:\w+_)?EPOCHS) = \d+", re.MULTILINE)


class ThisInterpreter(AsyncKernelManager):
    """Starts the interpreter that runs the tests, whatever kernels are registered on this machine, or none."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            **get_kernel_dict(extra_arguments=["--log-level=ERROR"]), name="python3"
        )


@contextmanager
def clean_environment(folder: Path) -> Iterator[None]:
    """Hide the user's settings and figure backend from the kernel; use one thread, for the sake of other tests."""
    names = (
        "IPYTHONDIR",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
    )
    settings = {name: str(folder / name.lower()) for name in names} | {
        "OMP_NUM_THREADS": "1"
    }
    with mock.patch.dict(os.environ, settings):
        os.environ.pop("MPLBACKEND", None)
        yield


def execute(path: Path, folder: Path, *, quick: bool = False) -> NotebookNode:
    """Run a notebook without its saved outputs, from a working directory in ``folder``, and return it.

    A quick run trains for one epoch wherever the first cell names how many there are.
    """
    notebook = nbformat.read(path, as_version=4)
    if quick:
        first = code_cells(notebook)[0]
        first.source = LENGTH.sub(r"\1 = 1", first.source)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    (folder / "work").mkdir()
    with clean_environment(folder):
        NotebookClient(
            notebook,
            kernel_manager_class=ThisInterpreter,
            timeout=None,  # a busy machine fails nothing,
            iopub_timeout=600,  # and loses no output: by default what comes later than 4 s is dropped
            resources={"metadata": {"path": str(folder / "work")}},
            coalesce_streams=True,
            record_timing=False,
            shutdown_kernel="immediate",
        ).execute()
    notebook.metadata.language_info = NotebookNode(
        name="python"
    )  # without this interpreter's version
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: NotebookNode) -> list[str]:
    """What a cell shows as text: its streams, and the plain form of its results and figures."""
    return [text(output) for output in cell.outputs]


def text(output: Mapping[str, object]) -> str:
    if output["output_type"] == "stream":
        return f"{output['name']}: {output['text']}"
    return output["data"].get("text/plain", "")


def same(
    fresh: list[str], saved: list[str], *, trained: bool, quick: bool = False
) -> bool:
    """Whether two runs say the same; where networks were trained, in the same words, with numbers that are near.

    Long training amplifies the last bit of a product, which differs between processors. Networks
    that were trained quickly say other numbers in the same words.
    """
    if not trained:
        return fresh == saved
    if [NUMBER.split(one) for one in fresh] != [NUMBER.split(one) for one in saved]:
        return False
    if quick:
        return True
    pairs = zip(numbers(fresh), numbers(saved), strict=True)
    return all(
        math.isclose(one, other, rel_tol=0.3, abs_tol=0.04) for one, other in pairs
    )


def numbers(said: list[str]) -> list[float]:
    """Every number, in order; a percentage as a fraction."""
    found = (number for one in said for number in NUMBER.findall(one))
    return [
        float(n.replace(",", "").rstrip("%")) / (100 if n.endswith("%") else 1)
        for n in found
    ]


def test_trained_numbers_may_differ_a_little_and_words_may_not():
    said = ["DANN: missed  3.3%"]
    assert same(said, ["DANN: missed 5.3%"], trained=True)
    assert not same(said, ["DANN: missed 5.3%"], trained=False)
    assert not same(said, ["DANN: missed 9.3%"], trained=True)
    assert not same(["accuracy 0.78"], ["accuracy 0.52"], trained=True)
    assert not same(said, ["RNN: missed 3.3%"], trained=True)


def test_quickly_trained_numbers_may_differ_and_words_may_not():
    said = ["DANN: missed  3.3%"]
    assert same(said, ["DANN: missed 99.3%"], trained=True, quick=True)
    assert not same(said, ["DANN: missed 99.3%"], trained=False, quick=True)
    assert not same(said, ["DANN: missed  nan%"], trained=True, quick=True)
    assert not same(said, [*said, "stderr: 1"], trained=True, quick=True)


def test_there_are_tutorials():
    assert TUTORIALS


def trains_for_long(path: Path) -> bool:
    """Whether the first cell of a tutorial says for how many epochs it trains."""
    cells = code_cells(nbformat.read(path, as_version=4))
    return bool(LENGTH.search(cells[0].source))


LONG = [path for path in TUTORIALS if trains_for_long(path)]


def test_a_tutorial_trains_for_long():
    assert [path.stem for path in LONG] == ["02_recurrent_circuits"]


def check(path: Path, folder: Path, *, quick: bool) -> None:
    """Run a tutorial, and compare what it says with what is saved in it."""
    saved = nbformat.read(path, as_version=4)
    fresh = execute(path, folder, quick=quick)  # a cell that raises, raises here
    for before, after in zip(code_cells(saved), code_cells(fresh), strict=True):
        where = f"cell {after.id} of {path.name}"
        errors = [said for said in printed(after) if said.startswith("stderr")]
        assert not errors, where
        trained = "trained" in before.metadata.get("tags", ())
        now, then = printed(after), printed(before)
        assert same(now, then, trained=trained, quick=quick), where


@pytest.mark.parametrize("path", TUTORIALS, ids=[path.stem for path in TUTORIALS])
class TestTutorial:
    def test_runs_and_says_what_is_saved(self, path, tmp_path):
        check(path, tmp_path, quick=path in LONG)

    def test_was_saved_after_one_run_from_top_to_bottom(self, path):
        cells = code_cells(nbformat.read(path, as_version=4))
        assert [cell.execution_count for cell in cells] == list(
            range(1, len(cells) + 1)
        )
        assert any(cell.outputs for cell in cells)

    def test_is_valid_and_small(self, path):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3"
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
        assert path.stat().st_size < 600_000


@pytest.mark.slow
@pytest.mark.parametrize("path", LONG, ids=[path.stem for path in LONG])
def test_a_full_run_says_what_is_saved(path, tmp_path):
    check(path, tmp_path, quick=False)


if __name__ == "__main__":
    for tutorial in TUTORIALS:
        with tempfile.TemporaryDirectory() as scratch:
            nbformat.write(execute(tutorial, Path(scratch)), tutorial)
        print(tutorial)
