"""A name asked of the package itself: where it lives is said, however it is asked for."""

import importlib

import pytest

import daleml


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("EG", "daleml.optim"),
        ("EIRNN", "daleml.layers"),
        ("DANNLinear", "daleml.layers"),
        ("check", "daleml.signs"),
        ("plots", "daleml.analysis"),
        ("lognormal_", "daleml.layers.init"),
        ("Oja", "daleml.learning"),
        ("PNorm", "daleml.potentials"),
        ("Shuffled", "daleml.training"),
        ("read_synapses", "daleml.datasets"),
        ("fit_weights", "daleml.analysis"),
        ("PerceptualDecision", "daleml.tasks"),
    ],
)
def test_a_name_that_lives_one_folder_down(name, home):
    sentence = rf"{name}' .*; it is {home}\.{name}: write `from {home} import {name}`"
    with pytest.raises(ImportError, match=f"cannot import name '{sentence}"):
        exec(f"from daleml import {name}")
    with pytest.raises(
        AttributeError,
        match=rf"has no attribute '{name}'; it is {home}\.{name}: write `from {home}",
    ):
        getattr(daleml, name)
    assert not hasattr(daleml, name)
    exec(f"from {home} import {name}")  # the advice is right


def test_a_misspelt_name_is_told_from_one_that_is_nowhere():
    with pytest.raises(AttributeError, match=r"did you mean daleml\.Populations\?"):
        _ = daleml.Population
    with pytest.raises(ImportError, match=r"did you mean daleml\.optim\.enforce\?"):
        exec("from daleml import enforse")
    with pytest.raises(
        AttributeError, match=r"^module 'daleml' has no attribute 'zebra'$"
    ):
        _ = daleml.zebra
    with pytest.raises(ImportError, match="zebra"):
        exec("from daleml import zebra")


def test_submodules_are_reached_without_an_import_of_their_own():
    for name in ("learning", "potentials", "training", "convert", "tasks"):
        assert getattr(daleml, name) is importlib.import_module(f"daleml.{name}")
