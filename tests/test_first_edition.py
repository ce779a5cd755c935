"""Every public name of the first edition is found where it was then.

``first_edition.json`` lists them by module, as they stood in commit d117536: what a public
module listed in ``__all__``, and what it defined without an underscore. Helpers that were
inside one tool (of ``convert``, ``learning`` and ``demo``) and went when the layers got one
table, :mod:`daleml.modules`, are not in it.
"""

import importlib
import json
import pickle
import subprocess
import sys
import types
from pathlib import Path

import pytest

import daleml
from daleml._support.moved_modules import MOVED

NAMES = json.loads((Path(__file__).parent / "first_edition.json").read_text())
PACKAGE = Path(daleml.__file__).parent


@pytest.mark.parametrize("home", sorted(NAMES))
def test_names_of_the_first_edition_import_from_where_they_did(home):
    module = importlib.import_module(home)
    assert isinstance(module, types.ModuleType)
    missing = [name for name in NAMES[home] if not hasattr(module, name)]
    assert not missing, f"{home} has no {missing}"


@pytest.mark.parametrize("old", sorted(MOVED))
def test_a_module_that_moved_left_no_file_and_names_files_that_are_there(old):
    path = PACKAGE / old.replace(".", "/")
    assert not path.with_suffix(".py").exists()
    assert not (path / "__init__.py").exists()
    for new in MOVED[old]:
        importlib.import_module(f"daleml.{new}")


def test_old_and_new_names_are_one_object():
    old = importlib.import_module("daleml.analysis.families.lognormal")
    new = importlib.import_module("daleml.analysis.distributions.families.lognormal")
    assert old.LogNormal is new.LogNormal


def test_importing_an_old_module_leaves_a_function_of_its_name_callable():
    """In a process of its own, since an import changes the package for good."""
    lines = """
import types
from daleml.analysis import spectrum
import daleml.analysis.spectrum as module
import torch, daleml
assert isinstance(module, types.ModuleType)
assert isinstance(spectrum, types.FunctionType)
weights = torch.eye(3)
for function in (daleml.analysis.spectrum, module, module.spectrum):
    assert function(weights).svd_entropy == spectrum(weights).svd_entropy
"""
    subprocess.run([sys.executable, "-W", "error", "-c", lines], check=True)


def test_an_unknown_old_name_is_an_attribute_error():
    module = importlib.import_module("daleml.analysis.fit")
    assert "fit_weights" in dir(module)
    with pytest.raises(
        AttributeError, match=r"'daleml.analysis.fit' has no .*'nothing'"
    ):
        _ = module.nothing


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("_facts", "Declaration"),
        ("_facts", "Record"),
        ("_loading", "judge_checkpoint"),
        ("layers.cells", "DANNRNNCell"),
        ("layers.cells", "EIRNNCell"),
        ("layers.leak", "Step"),
        ("layers.wiring", "Path"),
        ("optim._guards", "_blank"),
    ],
)
def test_pickles_of_layers_find_what_they_name(module, name):
    """They name it by the module that it was in when they were written."""
    found = pickle.loads(f"cdaleml.{module}\n{name}\n.".encode())
    assert found.__module__ != f"daleml.{module}"


def test_a_module_by_its_old_name_may_be_sent_to_another_process():
    # `from daleml.datasets import digits` gives it, once it was imported by its old name.
    module = importlib.import_module(f"daleml.{sorted(MOVED)[0]}")
    assert pickle.loads(pickle.dumps(module)) is module
