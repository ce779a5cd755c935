"""Tutorials run from clean, in silence, and the outputs saved in them are those of a fresh run.

The quick test trains for one epoch, wherever the first cell names how many there are: cells
tagged "trained" must then still say the same words, and every other cell what is saved. The slow
test, also run by ``make tutorials``, changes nothing, compares everything, and so holds each
tutorial to its claim and its solutions.

``python -m tutorials.notebooks`` runs every tutorial in full and saves its fresh outputs.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

pytest.importorskip("jupytext")

from tutorials import notebooks

SCRIPTS = notebooks.scripts()
NAMES = [script.stem for script in SCRIPTS]
NUMBER = re.compile(r" *-?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?%?")


def saved(script: Path, *, solved: bool) -> NotebookNode:
    folder = notebooks.SOLUTIONS if solved else notebooks.FOLDER
    return nbformat.read(folder / f"{script.stem}.ipynb", as_version=4)


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
    """Whether two runs say the same words, with numbers that are near.

    Long training amplifies the last bit of a product, which differs between processors. Networks
    that were trained quickly say other numbers in the same words.
    """
    if [NUMBER.split(one) for one in fresh] != [NUMBER.split(one) for one in saved]:
        return False
    if quick and trained:
        return True
    near = (
        {"rel_tol": 0.3, "abs_tol": 0.04}
        if trained
        else {"rel_tol": 0.01, "abs_tol": 1e-9}
    )
    pairs = zip(numbers(fresh), numbers(saved), strict=True)
    return all(math.isclose(one, other, **near) for one, other in pairs)


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


def example(tmp_path) -> NotebookNode:
    script = tmp_path / "00_example.py"
    script.write_text(
        "# %% [markdown]\n# # Title\n\n"
        "# %%\nEPOCHS = 12\nRACE_STEPS = 300\nN_SEEDS = 5\nLR = 3\n\n"
        '# %% tags=["trained", "claim"] alt="A curve that rises."\n'
        "for one in range(3):\n    assert (\n        one\n        > 5\n    ), one\n    print(one)\n\n"
        '# %% tags=["solution"]\nassert LR == 3\n\n'
        '# %% tags=["solution"]\n2 + 2\n\n'
        '# %% [markdown] tags=["solution"]\n# The answer is 3.\n\n'
        "# %%\nassert LR\n"
    )
    return notebooks.read(script)


def test_a_fast_run_is_short_and_asserts_nothing_of_what_was_trained(tmp_path):
    notebook = example(tmp_path)
    assert notebooks.trains(notebook)
    notebooks.make_fast(notebook)
    first, trained, _, _, last = notebooks.code_cells(notebook)
    assert first.source == "EPOCHS = 1\nRACE_STEPS = 2\nN_SEEDS = 2\nLR = 3"
    assert trained.source == "for one in range(3):\n    pass\n\n\n\n    print(one)"
    assert last.source == "assert LR"


def test_a_student_gets_one_place_to_write_instead_of_a_solution(tmp_path):
    notebook = notebooks.students(example(tmp_path))
    sources = [cell.source for cell in notebook.cells]
    assert sources.count(notebooks.YOUR_SOLUTION) == 1
    assert "assert LR == 3" not in sources
    assert "The answer is 3." not in sources
    assert sources[-1] == "assert LR"
    counts = [cell.execution_count for cell in notebooks.code_cells(notebook)]
    assert counts == [1, 2, None, 3]
    described = notebook.cells[2].metadata
    assert described["mystnb"]["image"]["alt"] == "A curve that rises."


@pytest.fixture(scope="session")
def one_kernel():
    kernel = notebooks.OneKernel()
    yield kernel
    kernel.close()


def check(script: Path, one_kernel: notebooks.OneKernel | None = None) -> None:
    """Run a tutorial, and compare what it says with what is saved of it.

    It is run fast by a kernel that is given, and in full by one of its own.
    """
    notebook = notebooks.read(script)
    quick = one_kernel is not None
    if quick:
        notebooks.make_fast(notebook)
    # A cell that raises, raises here.
    fresh = one_kernel.execute(notebook) if quick else notebooks.execute(notebook)
    before = notebooks.code_cells(saved(script, solved=True))
    for then, now in zip(before, notebooks.code_cells(fresh), strict=True):
        where = f"{now.id} of {script.name}"
        errors = [said for said in printed(now) if said.startswith("stderr")]
        assert not errors, where
        trained = notebooks.has_tag(now, "trained")
        assert same(printed(now), printed(then), trained=trained, quick=quick), where


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
class TestTutorial:
    def test_runs_and_says_what_is_saved(self, script, one_kernel):
        check(script, one_kernel)

    def test_its_notebooks_were_made_of_this_script(self, script):
        written = notebooks.for_solutions(notebooks.read(script))
        solved = saved(script, solved=True)
        assert [
            (cell.cell_type, cell.source, cell.metadata) for cell in solved.cells
        ] == [(cell.cell_type, cell.source, cell.metadata) for cell in written.cells], (
            f"run `python -m tutorials.notebooks {script.stem[:2]}`"
        )
        of_students = notebooks.students(copy.deepcopy(solved))
        students = saved(script, solved=False)
        assert notebooks.for_solutions(students) == of_students

    def test_links_of_both_notebooks_lead_to_files(self, script):
        for folder in (notebooks.FOLDER, notebooks.SOLUTIONS):
            notebook = nbformat.read(folder / f"{script.stem}.ipynb", as_version=4)
            for cell in notebook.cells:
                if cell.cell_type != "markdown":
                    continue
                for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", cell.source):
                    if not target.startswith("http"):
                        assert (folder / target).exists(), target

    def test_was_saved_after_one_run_from_top_to_bottom(self, script):
        cells = notebooks.code_cells(saved(script, solved=True))
        counts = [cell.execution_count for cell in cells]
        assert counts == list(range(1, len(cells) + 1))
        assert any(cell.outputs for cell in cells)

    @pytest.mark.parametrize("solved", [True, False], ids=["solved", "students"])
    def test_is_valid_and_small(self, script, solved):
        folder = notebooks.SOLUTIONS if solved else notebooks.FOLDER
        path = folder / f"{script.stem}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
        assert path.stat().st_size < 600_000

    def test_says_what_a_reader_needs(self, script):
        notebook = notebooks.read(script)
        prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        for word in ("Goals", "Prerequisites", "Minutes", "Further reading"):
            assert word in prose, word
        assert re.search(r"^## 1\. .+ \(\d+ min\)$", prose, re.MULTILINE)
        exercises = re.findall(r"^### Exercise \d+", prose, re.MULTILINE)
        assert len(exercises) >= 3
        assert prose.count("<summary>Hint</summary>") == len(exercises)

    def test_every_exercise_is_followed_by_a_solution_that_asserts(self, script):
        cells = notebooks.read(script).cells
        for position, cell in enumerate(cells):
            if not cell.source.startswith("### Exercise"):
                continue
            solution = []
            for after in cells[position + 1 :]:
                if not notebooks.has_tag(after, "solution"):
                    break
                solution.append(after.source)
            assert "assert " in "\n".join(solution), cell.source.splitlines()[0]

    def test_no_answer_stands_behind_a_student_s_place_to_write(self, script):
        cells = saved(script, solved=False).cells
        for cell, after in itertools.pairwise(cells):
            if cell.source == notebooks.YOUR_SOLUTION:
                assert after.source.startswith("##"), after.source

    def test_the_last_code_cell_asserts_the_claim(self, script):
        last = notebooks.code_cells(notebooks.read(script))[-1]
        assert notebooks.has_tag(last, "claim")
        assert "assert " in last.source

    def test_every_figure_is_described(self, script):
        for cell in notebooks.code_cells(saved(script, solved=True)):
            drawn = [one for one in cell.outputs if "image/png" in one.get("data", {})]
            if drawn:
                assert len(cell.metadata.get("alt", "")) > 30, cell.id
            else:
                assert "alt" not in cell.metadata, cell.id


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_a_full_run_says_what_is_saved(script):
    check(script)


def test_no_notebook_is_without_its_script():
    found = {path.stem for path in notebooks.FOLDER.glob("*.ipynb")}
    found |= {path.stem for path in notebooks.SOLUTIONS.glob("*.ipynb")}
    assert found == set(NAMES)
