"""One verdict on Dale's law: of a module, of its state dict, of a file, of a tracker; and what it did not judge."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune
from typer.testing import CliRunner

from daleml import Populations, signs, trackers
from daleml.cli import app
from daleml.law import SHOWN, Unjudged
from daleml.layers import EIRNN, EILinear
from daleml.learning import FeedbackAlignment, Oja
from daleml.optim import Reparametrization
from tests.catalog import NETWORKS, layers


def half_lawful():
    return nn.Sequential(
        EILinear(20, 30), nn.ReLU(), nn.Linear(30, 30), nn.ReLU(), EILinear(30, 3)
    )


def agree(model):
    """Return the verdict on a model, after making sure that its state dict has the same."""
    of_model, of_state = signs.check(model), signs.check(model.state_dict())
    assert of_model == of_state
    # A state dict knows no cell types, by which a report on a model names units.
    nameless = [replace(one, population="") for one in of_model.violations]
    assert str(replace(of_model, violations=tuple(nameless))) == str(of_state)
    return of_model


def run(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_what_is_not_under_the_law_is_named_with_its_size():
    report = agree(half_lawful())
    assert report
    assert report.unjudged == (Unjudged("2.weight", 900),)
    assert str(report) == (
        "Dale's law holds for the 2 of 3 weights that have signs (50 units, 690 synapses); "
        "not under the law: 2.weight, 900 synapses."
    )
    assert json.loads(json.dumps(report.to_dict()))["unjudged"] == [
        {"parameter": "2.weight", "n_synapses": 900}
    ]


def test_a_broken_law_names_what_is_not_under_it_too():
    model = half_lawful()
    with torch.no_grad():
        model[0].weight[3, 7] = -2
    report = agree(model)
    lines = str(report).splitlines()
    assert lines[0] == (
        "Dale's law is broken by 1 synapse of 1 unit (the 2 of 3 weights that have signs: 50 units, 690 synapses):"
    )
    assert lines[1:] == [
        "  0.weight, unit 7 (excitatory): 1 of 30 synapses negative, worst -2",
        "Not under the law: 2.weight, 900 synapses.",
    ]
    with pytest.raises(
        signs.DaleError, match=r"Not under the law: 2\.weight, 900 synapses"
    ):
        report.raise_for_violations()


@layers()
def test_every_layer_beside_a_free_one(case):
    report = agree(nn.Sequential(case.build(), nn.Linear(3, 2)))
    assert report.unjudged == (Unjudged("1.weight", 6),)
    assert report.n_parameters > 0
    assert "that have signs" in str(report)
    alone = agree(case.build())
    assert alone.unjudged == ()
    assert str(alone).startswith("Dale's law holds: ")


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_every_network(build):
    model = build()
    assert agree(model).unjudged == ()
    with torch.no_grad():
        for _, weight, _ in signs.named(model):
            weight.neg_()
    assert agree(model).n_violations > 100
    assert (
        trackers.sign_violations(model) == signs.check(model.state_dict()).n_violations
    )


def test_a_circuit_with_an_ordinary_read_out(tmp_path):
    net = nn.ModuleDict({"rnn": EIRNN(3, Populations(8, 2)), "out": nn.Linear(10, 2)})
    report = agree(net)
    assert report
    assert report.unjudged == (Unjudged("out.weight", 20),)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    result = run(tmp_path / "net.safetensors")
    assert result.exit_code == 0
    assert " ".join(result.output.split()) == str(report)
    assert trackers.sign_violations(net) == 0


@pytest.mark.parametrize(
    ("module", "free"),
    [
        (nn.LSTM(3, 2), {"weight_ih_l0": 24, "weight_hh_l0": 16}),
        (nn.MultiheadAttention(4, 2), {"in_proj_weight": 48, "out_proj.weight": 16}),
        (nn.Embedding(5, 3), {"weight": 15}),
        (nn.Bilinear(2, 3, 4), {"weight": 24}),
        (nn.ConvTranspose2d(2, 3, 2), {"weight": 24}),
        (nn.BatchNorm2d(4), {}),
        (nn.LayerNorm(4), {}),
        (nn.Conv1d(2, 3, 2, dtype=torch.complex64), {"weight": 12}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_counts_as_a_weight(module, free):
    report = agree(nn.ModuleList([EILinear(3, 2), module]))
    assert {one.parameter: one.n_synapses for one in report.unjudged} == {
        f"1.{k}": n for k, n in free.items()
    }


class Profiled(nn.Module):
    """A layer of one's own, whose weight is multiplied by a table that does not learn."""

    def __init__(self):
        super().__init__()
        self.weight, self.extra = (
            nn.Parameter(torch.rand(2, 3)),
            nn.Parameter(torch.rand(2, 2)),
        )
        self.register_buffer("profile", torch.ones(2, 3))
        signs.fix(self, "weight", Populations(2, 1))

    def plastic_weights(self):
        return ["weight"]


def test_a_buffer_that_a_layer_does_not_count_among_its_synapses_is_no_weight():
    layer = Profiled()
    # Of parameters, which an optimiser moves, a layer cannot say so.
    assert signs.check(layer).unjudged == (Unjudged("extra", 4),)
    # Nor can a state dict, which knows no layers.
    assert signs.check(layer.state_dict()).unjudged[-1] == Unjudged("profile", 6)
    layer.plastic_weights = lambda: ["weight", "profile"]
    assert signs.check(layer).unjudged[-1] == Unjudged("profile", 6)


def test_a_pruned_a_parametrised_and_a_shared_weight_have_one_name_each():
    pruned, normed, lawful = nn.Linear(3, 2), nn.Linear(4, 2), EILinear(3, 2)
    prune.random_unstructured(pruned, "weight", 0.5)
    parametrizations.weight_norm(normed)
    shared = nn.Linear(3, 2)
    shared.weight = lawful.weight
    report = agree(nn.ModuleList([pruned, normed, lawful, shared]))
    assert {one.parameter: one.n_synapses for one in report.unjudged} == {
        "0.weight_orig": 6,
        "1.weight": 8,
    }
    tied = nn.Linear(3, 2)
    tied.weight = pruned.weight_orig
    assert (
        agree(nn.ModuleList([pruned, normed, lawful, shared, tied])).unjudged
        == report.unjudged
    )


def test_a_module_that_is_there_twice_is_judged_once():
    lawful, free = EILinear(3, 3), nn.Linear(3, 3)
    report = agree(nn.Sequential(lawful, free, lawful, free))
    assert (report.n_parameters, report.unjudged) == (1, (Unjudged("1.weight", 9),))


def test_a_weight_tied_between_modules_that_each_fix_its_signs_is_judged_by_both():
    one, two = EILinear(Populations(2, 1), 3), nn.Linear(3, 3)
    two.weight = one.weight
    signs.fix(two, "weight", [-1, 1, -1])
    report = agree(nn.ModuleList([one, two]))
    assert report.n_parameters == 2
    assert {violation.unit for violation in report.violations} == {0}


def test_a_matrix_in_a_buffer_is_named():
    layer = EILinear(3, 2)
    layer.register_buffer("reservoir", torch.rand(4, 4))
    layer.register_buffer("scratch", torch.rand(4, 4), persistent=False)
    assert agree(layer).unjudged == (Unjudged("reservoir", 16),)


def test_a_state_dict_cannot_judge_what_a_parametrisation_computes_and_says_so():
    layer = EILinear(Populations(2, 1), 4)
    Reparametrization().attach(layer, 0.1)
    assert signs.check(layer).n_parameters == 1
    report = signs.check(layer.state_dict())
    assert report.n_parameters == 0
    assert report.unjudged == (Unjudged("weight", 12),)
    assert "Not under the law: weight, 12 synapses" in str(report)


def test_long_lists_are_cut():
    report = agree(
        nn.Sequential(
            EILinear(3, 2), *[nn.Linear(2, 2, bias=False) for _ in range(SHOWN + 3)]
        )
    )
    assert str(report).endswith("; and 3 more, 12 synapses.")
    assert len(report.unjudged) == SHOWN + 3


def test_a_model_without_signs_is_not_lawful_by_silence():
    report = signs.check(nn.Linear(3, 2))
    assert report.unjudged == (Unjudged("weight", 6),)
    assert math.isnan(trackers.sign_violations(nn.Linear(3, 2)))


# -- state dicts without signs ---------------------------------------------------------------------------------------


POST_PRE = torch.tensor([[1.0, -1.0, 2.0], [3.0, -2.0, 1.0]])


def test_signs_that_nobody_saved_are_inferred_and_that_is_said(tmp_path):
    report = signs.check({"fc.weight": POST_PRE})
    assert str(report) == (
        "Dale's law holds: 1 parameter, 3 units, 6 synapses.\n"
        "No signs were saved for fc.weight: judged unit by unit, by the signs of most of its synapses."
    )
    save_file({"fc.weight": POST_PRE}, tmp_path / "m.safetensors")
    assert "No signs were saved for fc.weight" in run(tmp_path / "m.safetensors").output


def test_kernels_stored_the_other_way_round(tmp_path):
    state = {"kernel": POST_PRE.T.contiguous()}
    report = signs.check(state)
    assert not report
    assert report.transposed
    assert (
        str(report)
        .splitlines()[-1]
        .startswith("Read as (pre, post), every unit keeps one sign:")
    )
    assert signs.check(state, dim=0)
    assert not signs.check(state, dim=0).transposed
    assert not signs.check(
        {"kernel": torch.tensor([[1.0, -1.0], [-1.0, 1.0]])}
    ).transposed
    path = tmp_path / "m.safetensors"
    save_file(state, path)
    assert run(path).exit_code == 1
    assert "--dim 0" in run(path).output
    assert run(path, "--dim", "0").exit_code == 0
    save_file(EILinear(3, 2).state_dict(), path)
    refused = run(path, "--dim", "0")
    assert refused.exit_code == 2
    assert "`--dim` must be left out where signs are saved" in refused.output
    with pytest.raises(ValueError, match="`dim` must be left out for a module"):
        signs.check(EILinear(3, 2), dim=0)


@pytest.mark.parametrize("dim", [2, -1])
def test_a_dimension_that_is_not_there(dim):
    with pytest.raises(
        ValueError, match=f"`dim` must be between 0 and 1 for `kernel`; got {dim}"
    ):
        signs.check({"kernel": POST_PRE}, dim=dim)


def test_arrays_are_judged_as_tensors_are():
    layer = EILinear(Populations(2, 1), 4)
    arrays = {name: value.numpy() for name, value in layer.state_dict().items()}
    assert signs.check(arrays) == signs.check(layer)
    assert signs.check({"w": POST_PRE.numpy().astype(">f8")})
    assert not signs.check({"w": np.array([[1, -1.0], [1, 1]], dtype=np.longdouble)})


@pytest.mark.parametrize("key", ["state_dict", "model", 3])
def test_a_checkpoint_of_a_trainer_is_refused_by_its_key(key):
    with pytest.raises(
        ValueError, match=f"got one that holds it under {key!r}: give that"
    ):
        signs.check({"epoch": 3, key: EILinear(3, 2).state_dict()})


def test_an_empty_mask_or_one_of_other_values_certifies_nothing():
    layer = nn.Linear(3, 2)
    signs.fix(layer, "weight", [1, 1, -1], present=torch.ones(2, 3, dtype=torch.bool))
    state = signs.project_(layer).state_dict()
    state["weight_present"] = torch.full((2, 3), 5, dtype=torch.int8)
    with pytest.raises(ValueError, match="`weight_present` must be 0 or 1; got 5"):
        signs.check(state)


def test_exit_codes_tell_a_broken_law_from_an_error(tmp_path):
    layer = EILinear(Populations(2, 1), 4)
    path = tmp_path / "m.pt"
    torch.save(layer.state_dict(), path)
    assert run(path).exit_code == 0
    with torch.no_grad():
        layer.weight.neg_()
    torch.save(layer.state_dict(), path)
    assert run(path).exit_code == 1
    path.write_bytes(b"nothing")
    assert run(path).exit_code == 2
    assert run(tmp_path / "none.pt").exit_code == 2
    assert run().exit_code == 2


def test_an_absent_synapse_that_grew_is_shown_as_absent(tmp_path):
    rnn = EIRNN(3, Populations(4, 2))
    with torch.no_grad():
        rnn.weight_hh_l0[1, 1] = 0.5
    save_file(rnn.state_dict(), tmp_path / "m.safetensors")
    result = run(tmp_path / "m.safetensors")
    assert result.exit_code == 1
    assert "absent" in result.output
    assert "1 of 1" in result.output


# -- weights that are no parameters ------------------------------------------------------------------------------------


class Packed(nn.Module):
    """A layer that keeps its weights in a tuple, as quantised ones do."""

    def __init__(self):
        super().__init__()
        self.packed = torch.ones(5, 4), torch.ones(5)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        destination[prefix + "packed"] = self.packed
        destination[prefix + "scale"] = 0.5

    def forward(self, x):
        return nn.functional.linear(x, *self.packed)


def test_packed_weights_are_not_under_the_law():
    model = nn.Sequential(EILinear(20, 4), Packed())
    report = agree(model)
    assert report.unjudged == (Unjudged("1.packed", 20),)
    without = {
        name: value
        for name, value in model.state_dict().items()
        if not name.endswith("signs")
    }
    assert signs.check(without).unjudged == report.unjudged


@pytest.mark.filterwarnings("ignore")  # torch moves its quantisation elsewhere
def test_quantised_weights_are_not_under_the_law():
    model = nn.Sequential(EILinear(20, 4), nn.Linear(4, 2), nn.LSTM(2, 3))
    quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear, nn.LSTM})
    assert [weight.n_synapses for weight in agree(quantised).unjudged] == [
        4 * 2,
        4 * 3 * (2 + 3),
    ]


@pytest.mark.parametrize(
    "tool",
    [lambda model: Oja(model, 0.1), FeedbackAlignment],
    ids=["Oja", "FeedbackAlignment"],
)
def test_tools_say_that_they_leave_packed_weights_alone(tool):
    with pytest.warns(
        UserWarning,
        match=r"^`\w+` left alone 0, where weights are kept otherwise than as parameters",
    ):
        tool(nn.Sequential(Packed(), EILinear(5, 3)))


def test_oja_by_name_leaves_packed_weights_alone_without_a_word():
    Oja(nn.Sequential(Packed(), EILinear(5, 3)), {"1": 0.1})
