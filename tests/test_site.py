"""What the site is made of: the gallery, the pages of names, the pages of notebooks.

`make docs` runs every entry of the gallery in full, and warnings are errors there. Here the code of
each is run without its picture being saved.
"""

import re
import sys
import tomllib
import warnings
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

import daleml.analysis.plots
import daleml.tasks
from tests import docstrings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

from site_steps import api_pages, gallery_pages, tutorial_pages  # noqa: E402

ENTRIES = [
    (kind, name)
    for kind, groups in (("plots", gallery_pages.PLOTS), ("tasks", gallery_pages.TASKS))
    for names in groups.values()
    for name in names
]

# What is no plot or task by itself.
NO_PLOTS = {"EXCITATORY", "INHIBITORY"}
NO_TASKS = {
    *("Choice", "Duration", "TruncatedExponential", "Uniform"),
    *("ChoiceTask", "ClassificationTask", "RegressionTask", "Task", "TimedTask"),
    *("Period", "Responses", "RowReader", "Timeline", "Trials", "read_idx"),
    *("NeurogymTask", "from_neurogym"),  # of a library that is not installed
}


# -- the gallery


def test_every_plot_and_every_task_has_an_entry():
    shown = gallery_pages.names_shown()
    plots = set(daleml.analysis.plots.__all__) - NO_PLOTS
    tasks = set(daleml.tasks.__all__) - NO_TASKS
    wanted = {f"daleml.analysis.plots.{name}" for name in plots}
    wanted |= {f"daleml.tasks.{name}" for name in tasks}
    assert wanted == set(shown)


def test_the_first_page_of_the_gallery_shows_every_entry():
    entries = {"Memory": [gallery_pages.read("tasks", "DirectionMatch")]}
    shown = gallery_pages.thumbnails(entries, page="tasks.html")
    assert 'href="tasks.html#gallery-tasks-directionmatch"' in shown
    assert "gallery-tasks-DirectionMatch.png" in shown
    index = (DOCS / "gallery" / "index.md").read_text()
    for kind in {kind for kind, _ in ENTRIES}:
        assert f"{{include}} _{kind}.md" in index


def test_every_script_of_the_gallery_is_an_entry():
    scripts = {gallery_pages.script_of(kind, name) for kind, name in ENTRIES}
    assert scripts == set((DOCS / "gallery").glob("*/*.py"))


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_an_entry_draws(kind, name):
    entry = gallery_pages.read(kind, name)
    assert len(entry.alt) > 30, "too short to say what the figure shows"
    with mpl.rc_context({"backend": "Agg"}), warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing = gallery_pages.run(entry)
    assert any(ax.has_data() for ax in drawing.axes)
    plt.close("all")


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_an_entry_calls_what_it_is_named_after(kind, name):
    code = gallery_pages.read(kind, name).code
    assert f"plots.{name}(" in code if kind == "plots" else f"{name}" in code


# -- the tables of what to choose, and how to install

CHOOSE = (DOCS / "start" / "choose.md").read_text()
BEGINNING = re.search(r"```python\n(.*?)```", CHOOSE, re.DOTALL)[1]
ROWS = re.findall(r"^\|.*\| `([^`]+)` \|$", CHOOSE, re.MULTILINE)


def test_every_row_of_the_tables_has_code():
    rows = re.findall(r"^\|(?! ---| you | sizes ).*\|$", CHOOSE, re.MULTILINE)
    assert len(rows) == len(ROWS) > 50


@pytest.mark.parametrize("row", ROWS)
def test_a_row_runs_after_the_beginning_alone(row):
    names = {}
    exec(BEGINNING, names)
    eval(row, names)


def test_extras_and_address_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (DOCS / "start" / "install.md").read_text()
    extras = set(",".join(re.findall(r"daleml\[([\w,]+)\]", page)).split(","))
    assert extras <= set(project["optional-dependencies"])
    addresses = set(re.findall(r"https://github\.com/[\w/-]+", page))
    assert addresses == {project["urls"]["Homepage"]}


# -- the pages of names


def test_every_public_name_has_one_page():
    homes = {}
    pages = []
    for home in docstrings.HOMES:
        module = api_pages.importlib.import_module(home)
        for names in api_pages.pages_of(module, homes):
            text = api_pages.own_page(module, names)
            pages += [f"{home}.{name}" for name in names if f"{home}.{name}" in text]
            homes.update({id(getattr(module, name)): home for name in names})
    public = [f"{home}.{name}" for home, name, _ in docstrings.public()]
    assert sorted(pages) == sorted(public)


# -- the pages of notebooks


def notebook(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def markdown(text):
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def code(tags):
    return {
        "cell_type": "code",
        "metadata": {"tags": tags, "mystnb": {"image": {"alt": "A curve."}}},
        "source": "1",
        "outputs": [],
    }


def test_solutions_are_collapsed_and_nothing_else_is():
    cells = [markdown("# Title"), code(["trained"]), code(["solution"])]
    page = tutorial_pages.page_of("01_x.ipynb", notebook(*cells))
    title, download, plain, solution = page["cells"]
    assert title["source"] == "# Title"
    assert "../../tutorials/01_x.ipynb" in download["source"]
    assert plain["metadata"]["tags"] == ["trained"]
    assert solution["metadata"]["tags"] == ["solution", "hide-cell"]
    assert solution["metadata"]["mystnb"] == {
        "image": {"alt": "A curve."},
        "code_prompt_show": "Show the solution",
        "code_prompt_hide": "Hide the solution",
    }
    assert cells[2]["metadata"]["tags"] == ["solution"], "the notebook was changed"


def test_a_command_in_a_cell_can_be_coloured():
    page = tutorial_pages.page_of("01_x.ipynb", notebook(markdown("# Title")))
    assert page["metadata"]["language_info"]["pygments_lexer"] == "ipython3"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[tasks](../docs/tasks.md)", "[tasks](../tasks.md)"),
        ("[tasks](../../docs/tasks.md)", "[tasks](../tasks.md)"),
        ("[next](02_x.ipynb)", "[next](02_x.ipynb)"),
    ],
)
def test_links_of_notebooks_lead_to_pages(text, shown):
    assert tutorial_pages.links_from_the_site(text) == shown


def test_a_repository_is_carried_to_machines_without_a_network_as_a_wheel():
    # `pip download` of a repository leaves its source, which cannot be built there.
    lines = (DOCS / "teaching.md").read_text().splitlines()
    carried = [line for line in lines if line.startswith("$") and "git+" in line]
    assert carried
    assert all(line.startswith("$ pip wheel ") for line in carried)
