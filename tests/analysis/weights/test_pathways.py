"""Weights by population and by pathway: against blocks that are cut out by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.analysis import (
    compare_groups,
    effective_weights,
    plots,
    spectrum,
    weight_matrices,
    weight_samples,
    weight_table,
)
from daleml.layers import DANNRNN, EIRNN, EIConv2d, EILinear
from daleml.trackers import lognormal_sigma, svd_entropies

CELLS = Populations.of(exc={"E": 8}, inh={"PV": 4, "SST": 3})
ENDS = {"E": (0, 8), "PV": (8, 12), "SST": (12, 15)}
PATHWAYS = [f"{pre}->{post}" for pre in ENDS for post in ENDS]


def by_hand(weight, pathway):
    pre, post = pathway.split("->")
    (top, bottom), (left, right) = ENDS[post], ENDS[pre]
    return np.asarray(weight.detach())[top:bottom, left:right]


def circuit(**options):
    seed = torch.Generator().manual_seed(0)
    return EIRNN(2, CELLS, generator=seed, **options)


def test_blocks_of_a_circuit_are_those_cut_out_by_hand():
    rnn = circuit(mask=0.8)
    weight, present = rnn.weight_hh_l0, rnn.get_buffer("weight_hh_l0_present")
    matrices = {one.name: one for one in weight_matrices(rnn, by="pathway")}
    samples = weight_samples(rnn, by="pathway")
    acting = dict(effective_weights(rnn, by="pathway"))
    for pathway in PATHWAYS:
        expected, exists = by_hand(weight, pathway), by_hand(present, pathway) == 1
        block = matrices[f"weight_hh_l0 {pathway}"]
        assert np.array_equal(block.values, expected)
        assert np.array_equal(block.present, exists)
        sample = samples[f"weight_hh_l0 {pathway}"]
        assert sample.sign == (1 if pathway.startswith("E") else -1)
        assert np.array_equal(
            sample.values(), np.abs(expected[exists], dtype=np.float64)
        )
        assert np.array_equal(acting[f"recurrent {pathway}"].numpy(), expected)
    assert list(matrices)[:3] == [f"weight_ih_l0 E->{post}" for post in ENDS]
    # Nothing is lost, and nothing counts twice.
    for given in (None, "population"):
        whole = weight_samples(rnn, by=given)
        assert sum(one.n for one in whole.values()) == sum(
            one.n for one in samples.values()
        )


def test_one_spectrum_for_each_pathway():
    rnn = circuit()
    for name, block in effective_weights(rnn, by="pathway"):
        if name.startswith("recurrent"):
            expected = by_hand(rnn.weight_hh_l0, name.removeprefix("recurrent "))
            assert spectrum(block).svd_entropy == spectrum(expected).svd_entropy


def test_trackers_go_by_pathway():
    rnn = circuit()
    entropies = svd_entropies(rnn, by="pathway")
    block = by_hand(rnn.weight_hh_l0, "PV->E")
    assert entropies["recurrent PV->E"] == spectrum(block).svd_entropy
    sizes = np.abs(block.astype(np.float64))
    sigmas = lognormal_sigma(rnn, by="pathway")
    assert sigmas["weight_hh_l0 PV->E"] == pytest.approx(np.log(sizes).std())


def test_presynaptic_populations_of_every_layer():
    net = nn.Sequential(
        EIConv2d(Populations.of({"E": 3}, {"I": 1}), 4, 3),
        EIConv2d(Populations.of({"A": 2, "B": 1}, {"I": 1}), 4, 3),
        nn.Flatten(),
        EILinear(CELLS, 2),
        EILinear(CELLS, 2, excitatory_only=True),
        nn.Linear(2, 2),
    )
    names = [one.name for one in weight_matrices(net, by="population")]
    assert names == [
        "0.weight E",
        "0.weight I",
        "1.weight A",
        "1.weight B",
        "1.weight I",
        "3.weight E",
        "3.weight PV",
        "3.weight SST",
        "4.weight E",
        "5.weight",
    ]
    # Nobody says which units they reach.
    assert names == [one.name for one in weight_matrices(net, by="pathway")]
    acting = {
        name: block.shape for name, block in effective_weights(net, by="population")
    }
    assert list(acting) == [name.replace(".weight", "") for name in names[:-1]] + [
        "5.weight"
    ]
    assert acting["1 A"] == (4, 2 * 9)
    assert acting["4 E"] == (2, 8)
    assert "weight_ex_hh_l0 E->E" in weight_samples(DANNRNN(2, 10), by="pathway")


@pytest.mark.parametrize("groups", [1, 2])
def test_outputs_of_a_convolution_may_have_populations(groups):
    outputs = Populations.of(exc={"A": 2}, inh={"B": 2})
    layer = EIConv2d(
        Populations.of(exc={"E": 3}, inh={"PV": 1}), outputs, (2, 3), groups=groups
    )
    weight = layer.weight.detach().numpy()
    table = weight_table(layer)
    for name, units in (("A", slice(0, 2)), ("B", slice(2, 4))):
        onto = table[table["post"] == name]["weight"]
        assert np.array_equal(np.sort(onto), np.sort(weight[units].ravel()))
    if groups == 1:
        matrices = {
            one.name: one.values for one in weight_matrices(layer, by="pathway")
        }
        block = np.sort(matrices["weight PV->B"].ravel())
        assert np.array_equal(block, np.sort(weight[2:, 3:].ravel()))
        acting = dict(effective_weights(layer, by="pathway"))["weight PV->B"]
        assert np.array_equal(acting, weight[2:, 3:].reshape(2, -1))


def test_plain_partitions_have_the_two_names():
    rnn = EIRNN(2, Populations(8, 2))
    whole, divided = weight_samples(rnn), weight_samples(rnn, by="population")
    assert list(divided) == ["weight_ih_l0 E", "weight_hh_l0 E", "weight_hh_l0 I"]
    for name, sample in zip(whole, divided.values(), strict=True):
        assert np.array_equal(whole[name].values(), sample.values())


def test_signs_that_were_fixed_since_are_told_apart():
    layer = EILinear(Populations.of({"A": 2, "B": 2}), 4)
    signs.fix(layer, "weight", [1, -1, 1, 1], replace=True)
    with torch.no_grad():
        layer.weight.copy_(layer.weight.abs() * torch.tensor([1, -1, 1, 1]))
    assert list(weight_samples(layer, by="population")) == [
        "weight A E",
        "weight A I",
        "weight B",
    ]


def test_units_without_a_sign_are_sorted_by_that_of_each_weight():
    inputs = Populations.of(exc={"stimulus": 6, "context": 5})
    rnn = EIRNN(inputs, CELLS, input_signed={"stimulus": True, "context": False})
    free = rnn.weight_ih_l0.detach()[:, inputs["context"]].numpy()
    samples = weight_samples(rnn, by="population")
    assert samples["weight_ih_l0 stimulus"].n == 6 * CELLS.size
    for sign, letter in ((1, "E"), (-1, "I")):
        found = samples[f"weight_ih_l0 context {letter}"]
        expected = free[np.sign(free) == sign].astype(np.float64)
        assert np.array_equal(np.sort(found.values()), np.sort(np.abs(expected)))
    whole = weight_samples(rnn)
    assert whole["weight_ih_l0 I"].n == samples["weight_ih_l0 context I"].n
    assert whole["weight_ih_l0 E"].n + whole["weight_ih_l0 I"].n == 11 * CELLS.size


def test_a_table_of_synapses():
    rnn = circuit(mask=0.5, input_mask=0.5)
    table = weight_table(rnn)
    weight = rnn.weight_hh_l0.detach().numpy()
    here = table[table["parameter"] == "weight_hh_l0"]
    assert len(here) == int(rnn.get_buffer("weight_hh_l0_present").sum())
    assert np.array_equal(here["weight"], weight[here["post_unit"], here["pre_unit"]])
    for pathway, rows in here.groupby("pathway"):
        (top, bottom), (left, right) = (
            ENDS[name] for name in pathway.split("->")[::-1]
        )
        assert rows["post_unit"].between(top, bottom - 1).all()
        assert rows["pre_unit"].between(left, right - 1).all()
        assert (rows["pre"] + "->" + rows["post"] == pathway).all()
    kernels = EIConv2d(Populations.of({"A": 2, "B": 1}, {"I": 1}), 6, (2, 3), groups=2)
    for layer in (kernels, EIConv2d(4, 6, 2), nn.Sequential(EIConv2d(4, 6, 2))):
        found = weight_table(layer)
        weight = next(layer.parameters()).detach().numpy()
        within = found["pre_unit"] % weight.shape[1]
        for post, pre, value in zip(
            found["post_unit"], within, found["weight"], strict=True
        ):
            assert value in weight[post, pre]
        assert len(found) == weight.size
    assert set(weight_table(kernels)["pre"]) == {"A", "B", "I"}
    readout = weight_table(EILinear(CELLS, 2))
    assert set(readout["pathway"]) == {""}
    assert set(readout["pre"]) == set(ENDS)


def test_groups_of_a_circuit_are_compared_by_pathway():
    rnn = EIRNN(2, Populations.of({"E": 30}, {"PV": 10, "SST": 8}), mask=0.8)
    table = weight_table(rnn)
    by_table = compare_groups(
        table["weight"], table["parameter"] + " " + table["pathway"], "lognormal"
    )
    by_name = compare_groups(rnn, "pathway", "lognormal")
    assert by_name.to_dict() == by_table.to_dict()
    groups = compare_groups(rnn, "population", "lognormal").groups
    assert list(groups) == [
        "weight_hh_l0 E",
        "weight_hh_l0 PV",
        "weight_hh_l0 SST",
        "weight_ih_l0 E",
    ]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: weight_samples(circuit(), by="type"), "`by` must be 'population', the presynaptic one, or 'pathway', such as 'E->PV'; got 'type'."),
        (lambda: compare_groups(circuit(), "layer"), "`by` must be 'population', the presynaptic one, or 'pathway', such as 'E->PV'; got 'layer'."),
        (lambda: weight_samples(circuit().state_dict(), by="pathway"), "`weights` must be a module, whose layers name populations; got OrderedDict."),
        (lambda: list(effective_weights({}, by="pathway")), "`weights` must be a module, whose layers name populations; got dict."),
        (lambda: weight_samples(nn.Linear(3, 2), by="pathway"), "`weights` must have a layer that names its populations, to be divided by them; got none."),
        (lambda: weight_table(np.ones(3)), "`weights` must be a module, whose layers name populations; got ndarray."),
        (lambda: plots.matrix(np.ones((2, 3)), pre=CELLS), "`pre` must have 3 units, as `weight`; got 15."),
        (lambda: plots.matrix(np.ones((2, 3)), post=2), "`post` must be a Populations; got int."),
    ],
)  # fmt: skip
def test_what_has_no_pathways_is_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert str(raised.value) == sentence


# -- the plot --------------------------------------------------------------------------------------


def labels(ax, axis):
    return [one.get_text() for one in getattr(ax, f"get_{axis}ticklabels")()]


def borders(ax):
    """The lines between populations; inhibitory weights have marks beside them."""
    lines = [one for one in ax.collections if hasattr(one, "get_segments")]
    return [one.get_segments() for one in lines]


def test_a_matrix_shows_borders_and_names_of_cell_types():
    ax = plots.matrix(circuit(), plots.figure()[1][0, 0])
    assert labels(ax, "x") == labels(ax, "y") == list(ENDS)
    assert list(ax.get_xticks()) == list(ax.get_yticks()) == [3.5, 9.5, 13]
    down, across = borders(ax)
    assert [segment[0][0] for segment in across] == [7.5, 11.5]
    assert [segment[0][1] for segment in down] == [7.5, 11.5]
    # The limits are those of the image.
    assert ax.get_xlim() == (-0.5, 14.5)
    assert ax.get_ylim() == (14.5, -0.5)


def test_a_matrix_without_cell_types_shows_excitation_and_inhibition_alone():
    ax = plots.matrix(EIRNN(2, Populations(8, 2)), plots.figure()[1][0, 0])
    assert len(borders(ax)) == 2
    assert labels(ax, "x") == ["E", "I"]
    ax = plots.matrix(np.ones((3, 3)), plots.figure()[1][0, 0])
    assert not borders(ax)
    assert "E" not in labels(ax, "x")
    ax = plots.matrix(
        np.ones((2, 15)), plots.figure()[1][0, 0], pre=CELLS, post=Populations(1, 1)
    )
    assert labels(ax, "x") == list(ENDS)
    assert labels(ax, "y") == ["E", "I"]
    kernels = EIConv2d(Populations.of({"A": 2, "B": 1}, {"I": 1}), 4, 3)
    ax = plots.matrix(kernels, plots.figure()[1][0, 0])
    assert labels(ax, "x") == ["A", "B", "I"]
    assert list(ax.get_xticks()) == [8.5, 22, 31]
