"""What is typed wrong at first: each slip is answered by one sentence with the argument, the rule and the value."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.nn.utils import parametrizations, prune

from daleml import Populations, dalify, signs, tasks
from daleml.analysis import (
    compare_families,
    compare_groups,
    fit_weights,
    plots,
    power_law,
    spectrum,
    svd_entropy,
    weight_matrices,
    weight_samples,
)
from daleml.datasets import kasthuri, read_synapses
from daleml.layers import EILinear

WEIGHTS = np.random.default_rng(0).lognormal(size=60)


def _layer():
    return EILinear(Populations(8, 2), 3)


def _net():
    return nn.Sequential(nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 2))


SLIPS = {
    "a list for a tensor": (lambda: _layer()([[1.0] * 10]), TypeError, "`input` must be a tensor; got a list: write `torch.tensor(input)`."),
    "a module that is not there": (lambda: signs.release(_net(), "9.weight"), AttributeError, "`name` must name a parameter of Sequential; got '9.weight'."),
    "a partition for a name": (lambda: signs.fix(nn.Linear(10, 2), Populations(8, 2), "weight"), TypeError, "`name` must be a string; got Populations."),
    "declared of a number": (lambda: list(signs.declared(3)), TypeError, "`model` must be a module; got int."),
    "named of a state dict": (lambda: list(signs.named({})), TypeError, "`model` must be a module; got dict."),
    "a number for a role": (lambda: signs.declare(nn.Linear(3, 2), "weight", role=3), TypeError, "`role` must be a string; got int."),
    "a misspelt family": (lambda: compare_families(WEIGHTS, ("gama",)), ValueError, "lognormal2, lognormal3, powerlaw; got 'gama': did you mean 'gamma'?"),
    "several families for one": (lambda: fit_weights(WEIGHTS, ["lognormal"]), ValueError, "powerlaw; got ['lognormal']: `compare_families` takes several."),
    "weights for a family": (lambda: fit_weights("lognormal", WEIGHTS), ValueError, "powerlaw; got ndarray."),
    "a file for weights": (lambda: fit_weights("synapses.csv"), TypeError, "`weights` must be real numbers; got 'synapses.csv': if that is a file, read it first."),
    "a file for a matrix": (lambda: spectrum("model.pt"), TypeError, "`weights` must be real numbers; got 'model.pt': if that is a file, read it first."),
    "ragged rows": (lambda: fit_weights([[1, 2], [3]]), ValueError, "`weights` must have rows of one length; got rows of several lengths."),
    "a negative number of samples": (lambda: compare_families(WEIGHTS, "gamma", gof=-1), ValueError, "`gof` must be at least 0; got -1."),
    "the name of a column of groups": (lambda: compare_groups(WEIGHTS, "layer"), TypeError, "`by` must hold the group of each of the 60 weights; got the name 'layer': pass the column itself, as in `table['layer']`."),
    "the name of a column of animals": (lambda: compare_groups(WEIGHTS, [0, 1] * 30, within="animal"), TypeError, "`within` must hold the cluster of each of the 60 weights; got the name 'animal': pass the column itself, as in `table['animal']`."),
    "equal weights": (lambda: power_law(np.ones(100)), ValueError, "`weights` must hold at least 50 in the tail, not all equal, to look for a power law; got 100, all equal."),
    "an array for a model": (lambda: weight_samples(WEIGHTS), TypeError, "`weights` must be a module or a state dict; got ndarray."),
    "a path for a model": (lambda: list(weight_matrices("model.pt")), TypeError, "`weights` must be a module or a state dict; got str."),
    "an array for an example": (lambda: dalify(_net(), example=np.ones((4, 10))), TypeError, "`example` must be a tensor, or a tuple of the model's arguments; got ndarray: write `torch.as_tensor(example)`."),
    "a misspelt exemption": (lambda: dalify(_net(), exempt=["head"]), ValueError, "`exempt` must name modules or parameters of `model`; got 'head', which names none."),
    "a string of exemptions": (lambda: dalify(_net(), exempt="2"), TypeError, "`exempt` must be a sequence of names; got '2': write `['2']`."),
    "a seed for a generator": (lambda: tasks.PerceptualDecision().sample(3, generator=1), TypeError, "`generator` must be a torch.Generator; got int: write `torch.Generator().manual_seed(...)`."),
    "a string for a read-out": (lambda: tasks.RowReader(nn.RNN(8, 3), "linear"), TypeError, "`readout` must be a module; got str."),
    "an idx file that is not there": (lambda: tasks.read_idx("no.gz"), FileNotFoundError, "`path` must be a file; no.gz is not there."),
    "a number for a path": (lambda: kasthuri(3), TypeError, "`path` must be the path of a file or folder; got int."),
    "a table for a path": (lambda: read_synapses(pd.DataFrame()), TypeError, "`path` must be the path of a file or folder; got DataFrame."),
    "a figure for axes": (lambda: plots.matrix(np.eye(3), Figure()), TypeError, "`ax` must be matplotlib axes; got Figure: give one of its axes."),
    "a matrix for a spectrum": (lambda: plots.spectrum(np.eye(3)), TypeError, "`result` must be a Spectrum, as `spectrum` returns; got ndarray."),
    "a vector for a matrix": (lambda: plots.matrix(np.ones(3)), ValueError, "`weight` must be a matrix, (post, pre); got shape (3,)."),
    "a model for its report": (lambda: plots.signs(_layer()), TypeError, "`result` must be a SignReport, as `signs.check` returns; got EILinear."),
    "a list for a history": (lambda: plots.learning_curves([1, 2]), TypeError, "`history` must be a DataFrame, as `train` returns; got list."),
    "a list for named fits": (lambda: plots.shapes([1]), TypeError, "`results` must map names to fits, as in {'EG': fit}; got list."),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_answered_by_one_sentence(slip):
    call, kind, sentence = SLIPS[slip]
    with pytest.raises(kind) as caught:
        call()
    said = str(caught.value)
    assert said.endswith(sentence)
    assert said.startswith("`")
    assert "\n" not in said


def test_the_sending_cell_that_is_no_column_is_named_by_its_own_argument(tmp_path):
    (tmp_path / "mine.csv").write_text("cell,area\n1,2.5\n2,3.5\n")
    for argument in ("pre", "post"):
        with pytest.raises(
            ValueError,
            match=f"^`{argument}` must name a column of cell, area; got 'axon'",
        ):
            read_synapses(tmp_path / "mine.csv", **{argument: "axon"})


def test_a_table_whose_memory_is_read_only_has_a_spectrum_without_a_warning():
    values = np.random.default_rng(0).normal(size=(4, 4))
    values.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert svd_entropy(values) == svd_entropy(values.copy())


def test_a_layer_or_its_parameter_is_drawn_as_its_matrix():
    layer = _layer()
    for drawn in (layer, layer.weight):
        ax = plots.matrix(drawn, plots.figure()[1][0, 0])
        assert ax.images[0].get_array().shape == (3, 10)


@pytest.mark.parametrize("pattern", ["2", "2.weight", "2.*", "?.bias"])
def test_what_names_a_part_of_the_model_is_exempt(pattern):
    dalify(_net(), exempt=(pattern,), example=torch.rand(4, 10))


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: parametrizations.weight_norm(layer),
        lambda layer: prune.identity(layer, "weight"),
    ],
)
def test_a_weight_that_is_computed_may_be_named_by_its_plain_name(change):
    net = _net()
    change(net[2])
    _, report = dalify(net, exempt=("2.weight",), example=torch.rand(4, 10))
    assert "0.weight" in str(report)
