"""What is new is listed where strangers, laws and pages look for it.

``CONTRIBUTING.md`` says for each kind of contribution which files it touches. These tests
fail until they are touched.
"""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import daleml
from daleml import analysis, datasets, layers, optim, tasks
from daleml.analysis.distributions import families
from daleml.analysis.plots.family_styles import style_of
from daleml.reproductions import papers
from tests import catalog
from tests.tasks.test_tasks import TASKS

PACKAGE = Path(daleml.__file__).parent

FORMS = {"Zeta"}
"""What a listed class becomes, and nobody asks for: the power law of counts."""


def exported(module, base):
    """Return the classes of a kind that a package lists."""
    found = (getattr(module, name) for name in module.__all__)
    return {one for one in found if inspect.isclass(one) and issubclass(one, base)}


def defined(package):
    """Yield the names and values that the files of a folder define, without underscores."""
    for file in pkgutil.iter_modules(package.__path__):
        if file.ispkg or file.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package.__name__}.{file.name}")
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", "") == module.__name__ and name[0] != "_":
                yield name, thing


def unlisted(package, base):
    """Return the classes of a kind that a folder defines and its package does not list.

    What listed classes inherit from is a base, and need not be listed.
    """
    listed = exported(package, base)
    found = set()
    for name, thing in defined(package):
        if not inspect.isclass(thing) or not issubclass(thing, base):
            continue
        if not any(issubclass(one, thing) for one in listed):
            found.add(name)
    return found


@pytest.mark.parametrize(
    ("package", "base"),
    [
        (layers, nn.Module),
        (optim, torch.optim.Optimizer),
        (tasks, tasks.Task),
        (families, families.Family),
    ],
    ids=lambda one: one.__name__,
)
def test_a_folder_lists_what_its_files_define(package, base):
    assert exported(package, base)
    assert unlisted(package, base) <= FORMS


def test_a_class_that_is_not_listed_is_noticed(monkeypatch):
    rest = [name for name in tasks.__all__ if name != "AddingProblem"]
    monkeypatch.setattr(tasks, "__all__", rest)
    assert unlisted(tasks, tasks.Task) == {"AddingProblem"}


def test_every_layer_is_in_the_catalog_by_itself_and_in_a_network():
    alone = {type(case.build()) for case in catalog.LAYERS}
    networks = [build() for build in catalog.NETWORKS.values()]
    within = {type(module) for model in networks for module in model.modules()}
    public = exported(layers, nn.Module)
    assert public <= within
    recurrent = {layers.EIRNN, layers.DANNRNN, layers.EIRNNCell, layers.DANNRNNCell}
    assert public == alone | recurrent  # their laws are in tests/layers/recurrent


def test_every_optimiser_is_a_row_of_the_catalog():
    listed = {
        type(case.build([nn.Parameter(torch.ones(2, 2))], 0.0))
        for case in catalog.OPTIMIZERS
    }
    assert exported(optim, torch.optim.Optimizer) <= listed


def test_every_family_has_a_file_a_name_and_a_look_of_its_own():
    names = set(families.FAMILIES)
    looks = [style_of(name) for name in names]
    assert len(set(looks)) == len(names)
    stranger = style_of("a family of one's own")
    assert stranger not in looks
    folder = PACKAGE / "analysis" / "distributions" / "families"
    every = [*families.FAMILIES.values(), *families.OF_TAILS.values()]
    for family in every:
        assert Path(inspect.getfile(type(family))).parent == folder
    concrete = exported(families, families.Family) - {families.Family}
    assert concrete == {type(family) for family in every}


def test_every_task_is_tested_with_the_others():
    concrete = {
        one for one in exported(tasks, tasks.Task) if not inspect.isabstract(one)
    }
    bases = {tasks.ClassificationTask, tasks.RegressionTask, tasks.ChoiceTask}
    simulated = {tasks.NeurogymTask}
    assert concrete - bases - simulated <= {type(make()) for make in TASKS.values()}


def test_every_data_set_says_where_it_is_from():
    for name in datasets.__all__:
        one = getattr(datasets, name)
        if inspect.isfunction(one) and name != "read_synapses":
            text = inspect.getdoc(one)
            assert "References:" in text or "licence" in text.lower(), name


def test_every_data_set_is_listed_and_tested():
    text = ""
    for path in (Path(__file__).parent / "datasets").glob("test_*.py"):
        text += path.read_text()
    kinds = ("Connectome", "SynapseTable", "ImageSplit", "CellTypeTable")
    loaders = set()
    for name, thing in defined(datasets):
        if inspect.isfunction(thing):
            gives = inspect.signature(thing).return_annotation
            # A postponed annotation is a string, any other the class itself.
            if getattr(gives, "__name__", gives) in kinds:
                loaders.add(name)
    assert len(loaders) > 8
    assert loaders <= set(datasets.__all__)
    for name in loaders:
        assert re.search(rf"\b{name}\(", text), f"no test calls `{name}`"


def test_every_paper_has_its_three_files_and_stands_in_the_citation():
    import yaml

    home = PACKAGE / "reproductions" / "papers"
    folders = {path.name for path in home.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(papers.FOLDERS.values())
    for folder in folders:
        files = {path.stem for path in (home / folder).glob("*.py")}
        assert files >= {"networks", "experiments", "claims"}, folder
    citation = PACKAGE.parent / "CITATION.cff"
    if citation.exists():
        cited = yaml.safe_load(citation.read_text())["references"]
        assert len(cited) == len(folders)


def test_every_plot_takes_axes_and_returns_them():
    for name in analysis.plots.__all__:
        one = getattr(analysis.plots, name)
        if inspect.isfunction(one) and "ax" in inspect.signature(one).parameters:
            assert "Axes" in str(inspect.signature(one).return_annotation), name
