"""Tutorials run from clean, in silence, and the outputs saved in them are those of a fresh run.

``python tests/test_tutorials.py`` runs every tutorial and saves its fresh outputs.
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


def execute(path: Path, folder: Path) -> NotebookNode:
    """Run a notebook without its saved outputs, from a working directory in ``folder``, and return it."""
    notebook = nbformat.read(path, as_version=4)
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


def same(fresh: list[str], saved: list[str], *, trained: bool) -> bool:
    """Whether two runs say the same; where networks were trained, in the same words, with numbers that are near.

    Long training amplifies the last bit of a product, which differs between processors.
    """
    if not trained:
        return fresh == saved
    if [NUMBER.split(one) for one in fresh] != [NUMBER.split(one) for one in saved]:
        return False
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


def test_there_are_tutorials():
    assert TUTORIALS


@pytest.mark.parametrize("path", TUTORIALS, ids=[path.stem for path in TUTORIALS])
class TestTutorial:
    def test_runs_and_says_what_is_saved(self, path, tmp_path):
        saved, fresh = (
            nbformat.read(path, as_version=4),
            execute(path, tmp_path),
        )  # a cell that raises, raises here
        for before, after in zip(code_cells(saved), code_cells(fresh), strict=True):
            errors = [said for said in printed(after) if said.startswith("stderr")]
            assert not errors, f"cell {after.id} of {path.name}"
            trained = "trained" in before.metadata.get("tags", ())
            assert same(printed(after), printed(before), trained=trained), (
                f"cell {after.id} of {path.name}"
            )

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


if __name__ == "__main__":
    for tutorial in TUTORIALS:
        with tempfile.TemporaryDirectory() as scratch:
            nbformat.write(execute(tutorial, Path(scratch)), tutorial)
        print(tutorial)
