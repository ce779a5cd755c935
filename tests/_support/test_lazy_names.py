"""Packages import a name when it is first asked for, and only then."""

import importlib
import subprocess
import sys

import pytest

import daleml.analysis

LAZY = ["daleml", "daleml.analysis", "daleml.analysis.plots", "daleml.analysis.weights"]


@pytest.mark.parametrize("package", LAZY)
def test_every_public_name_has_a_home_and_every_home_is_public(package):
    module = importlib.import_module(package)
    listed = [name for names in module._HOMES.values() for name in names]
    assert len(set(listed)) == len(listed)
    assert set(listed) <= set(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(dir(module)) >= set(module.__all__)


@pytest.mark.parametrize("package", LAZY)
def test_what_nobody_has_is_an_attribute_error_of_the_package(package):
    module = importlib.import_module(package)
    for name in ("nonsense", "__nonsense__", "no.name"):
        with pytest.raises(AttributeError, match=f"'{package}' has no attribute"):
            getattr(module, name)
        assert not hasattr(module, name)


def test_a_name_is_the_one_of_its_home_and_is_looked_up_once():
    from daleml.analysis.distributions.fit import fit_weights

    vars(daleml.analysis).pop("fit_weights", None)
    assert daleml.analysis.fit_weights is fit_weights
    assert vars(daleml.analysis)["fit_weights"] is fit_weights


LINES = """
import sys
import daleml
assert "torch" not in sys.modules and "numpy" not in sys.modules
import daleml.datasets, daleml.reading
assert "torch" not in sys.modules
from daleml import *
assert Populations(2, 1).size == 3 and callable(train) and callable(dalify)
import daleml.signs
assert signs is daleml.signs and layers is daleml.layers and optim is daleml.optim
from daleml.analysis import *
from daleml.analysis import plots as drawn
assert plots is drawn and callable(spectrum)
assert "matplotlib" not in sys.modules
"""


def test_a_package_opens_at_once_and_gives_everything_to_a_star_import():
    subprocess.run([sys.executable, "-W", "error", "-c", LINES], check=True)
