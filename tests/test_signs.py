import copy
import io
import json
import pickle
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, prune

from daleml import Populations, signs
from daleml.layers import DANNLinear, EILinear

E, I = 1, -1  # noqa: E741


def fixed_linear(unit_signs=(E, E, I), n_out=4):
    layer = nn.Linear(len(unit_signs), n_out)
    signs.fix(layer, "weight", torch.tensor(unit_signs))
    return signs.project_(layer)


# -- declaring ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name", "unit_signs", "shape"),
    [
        (nn.Linear(3, 2), "weight", [E, I, E], (3,)),
        (nn.Conv1d(3, 4, 5), "weight", [E, I, E], (3, 1)),
        (nn.Conv2d(3, 4, 5), "weight", [E, I, E], (3, 1, 1)),
        (nn.Conv2d(4, 6, 3, groups=2), "weight", [E, I, I, E], (6, 2, 1, 1)),
        (nn.Conv2d(3, 6, 3, groups=3), "weight", [E, I, E], (6, 1, 1, 1)),
        (nn.ConvTranspose2d(3, 4, 5), "weight", [E, I, E], (3, 1, 1, 1)),
        (nn.ConvTranspose2d(4, 4, 3, groups=2), "weight", [E, I, E, I], (4, 1, 1, 1)),
        (nn.RNN(3, 2), "weight_hh_l0", [E, I], (2,)),
        (nn.LSTM(3, 2, num_layers=2), "weight_ih_l1", [I, E], (2,)),
        (nn.Embedding(3, 2), "weight", [E, I, E], (3, 1)),
        (nn.LayerNorm(3), "weight", [E, I, E], (3,)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_fix_works_on_any_parameter(module, name, unit_signs, shape):
    signs.fix(module, name, unit_signs)
    buffer = module.get_buffer(f"{name}_signs")
    assert buffer.numel() == len(
        unit_signs
    )  # one sign a presynaptic unit, not a dense matrix
    assert buffer.dtype == torch.int8
    ((found, parameter, sign),) = signs.named(module)
    assert (found, sign.shape, sign.dtype) == (name, shape, parameter.dtype)
    signs.project_(module)
    assert (parameter * sign >= 0).all()
    assert signs.check(module).n_units == len(unit_signs)


def test_grouped_convolution_fixes_each_input_channel():
    """The oracle is what the convolution does: an input in one channel alone drives with that channel's sign."""
    conv = nn.Conv2d(4, 6, 3, groups=2, bias=False)
    unit_signs = torch.tensor([E, I, I, E])
    signs.fix(conv, "weight", unit_signs)
    signs.project_(conv)
    for channel, sign in enumerate(unit_signs):
        x = torch.zeros(1, 4, 5, 5)
        x[:, channel] = torch.rand(5, 5)
        out = conv(x)
        assert (out * sign >= 0).all()
        assert out.abs().sum() > 0


def test_fix_leaves_the_values_alone():
    layer = nn.Linear(3, 2)
    before = layer.weight.clone()
    signs.fix(layer, "weight", [E, I, E])
    assert torch.equal(layer.weight, before)


def test_fix_copies_the_callers_signs():
    layer, unit_signs = nn.Linear(3, 2), torch.tensor([1, -1, 1], dtype=torch.int8)
    signs.fix(layer, "weight", unit_signs)
    unit_signs[:] = 1
    assert layer.weight_signs.tolist() == [1, -1, 1]


def test_fix_again_replaces_if_asked():
    layer = nn.Linear(3, 2)
    signs.fix(layer, "weight", [E, I, E])
    signs.fix(layer, "weight", [I, I, E], replace=True)
    assert layer.weight_signs.tolist() == [-1, -1, 1]
    assert len(list(signs.named(layer))) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (
            ("weights", [1, 1]),
            AttributeError,
            "`name` must name a parameter of Linear; got 'weights'.",
        ),
        (
            ("weight", [1, 1]),
            ValueError,
            "`signs` must hold one sign for each of the 3 presynaptic units of `weight`; got shape (2,).",
        ),
        (("weight", [1, 0, 1]), ValueError, "`signs` must be +1 or -1; got 0."),
        (("weight", [1, 0.5, 1]), ValueError, "`signs` must be +1 or -1; got 0.5."),
        (
            ("weight", torch.ones(4, 3)),
            ValueError,
            "`signs` must hold one sign for each of the 3 presynaptic units of `weight`; got shape (4, 3).",
        ),
    ],
)
def test_wrong_declarations_are_one_sentence(arguments, error, sentence):
    with pytest.raises(error) as raised:
        signs.fix(nn.Linear(3, 4), *arguments)
    assert str(raised.value) == sentence


def test_square_weights_are_signed_by_column():
    layer = fixed_linear((E, I), n_out=2)
    assert (layer.weight[:, 0] >= 0).all()
    assert (layer.weight[:, 1] <= 0).all()


def test_fix_takes_a_partition_and_a_path():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    signs.fix(model, "0.weight", Populations(2, 1))
    assert model[0].weight_signs.tolist() == [1, 1, -1]


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda: signs.fix([], "weight", [1]),
            TypeError,
            "`module` must be a module; got list.",
        ),
        (
            lambda: signs.fix(nn.Linear(2, 2), "weight", None),
            TypeError,
            "`signs` must be numbers or a partition; got NoneType.",
        ),
        (
            lambda: signs.project_(torch.ones(3)),
            TypeError,
            "`model` must be a module; got Tensor.",
        ),
    ],
)
def test_natural_mistakes_are_one_sentence(call, error, sentence):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == sentence


def test_a_single_number_has_no_presynaptic_units():
    module = nn.Module()
    module.register_parameter("scale", nn.Parameter(torch.tensor(1.0)))
    with pytest.raises(
        ValueError,
        match="`scale` must have presynaptic units, so at least one dimension",
    ):
        signs.fix(module, "scale", [1])


def test_dim_may_be_given():
    layer = nn.Bilinear(2, 3, 4)
    signs.fix(layer, "weight", [E, I], dim=1)
    assert layer.weight_signs.shape == (2, 1)
    with pytest.raises(
        ValueError,
        match=re.escape("`dim` must be between 0 and 2 for `weight`; got 3."),
    ):
        signs.fix(layer, "weight", [E, I], dim=3)


# -- projecting and checking -------------------------------------------------------------------------------------------


def test_project_is_the_nearest_lawful_matrix():
    layer = nn.Linear(3, 2)
    signs.fix(layer, "weight", [E, I, E])
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0, -3.0], [-4.0, -5.0, 6.0]]))
    signs.project_(layer)
    assert layer.weight.tolist() == [[1, 0, 0], [0, -5, 6]]


def test_zero_is_lawful_for_either_sign_and_grows_back():
    layer = fixed_linear((E, I), n_out=1)
    with torch.no_grad():
        layer.weight.zero_()
    assert signs.check(layer)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    layer(torch.tensor([[1.0, -1.0]])).neg().sum().backward()
    optimizer.step()
    signs.project_(layer)
    assert layer.weight.tolist() == [[1.0, -1.0]]


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_check_counts_what_was_broken(data):
    n_in, n_out = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    unit_signs = data.draw(
        st.lists(st.sampled_from([E, I]), min_size=n_in, max_size=n_in)
    )
    layer = fixed_linear(unit_signs, n_out)
    with torch.no_grad():
        layer.weight.copy_(layer.weight_signs * (1 + torch.rand(n_out, n_in)))
    assert signs.check(layer)
    broken = data.draw(
        st.sets(st.tuples(st.integers(0, n_out - 1), st.integers(0, n_in - 1)))
    )
    with torch.no_grad():
        for post, pre in broken:
            layer.weight[post, pre] *= -1
    report = signs.check(layer)
    assert bool(report) == (not broken)
    assert report.n_violations == len(broken)
    assert {v.unit: v.count for v in report.violations} == {
        pre: sum(p == pre for _, p in broken) for pre in {p for _, p in broken}
    }


def test_report_names_module_unit_and_count():
    model = nn.Sequential(nn.Linear(2, 2), fixed_linear((E, E, I), n_out=4))
    with torch.no_grad():
        model[1].weight[:, 2] = torch.tensor([0.25, 0.5, 0.0, -1.0])
    report = signs.check(model)
    assert str(report) == (
        "Dale's law is broken by 2 synapses of 1 unit (the 1 of 2 weights that have signs: 3 units, 12 synapses):\n"
        "  1.weight, unit 2 (inhibitory): 2 of 4 synapses positive, worst 0.5\n"
        "Not under the law: 0.weight, 4 synapses."
    )
    with pytest.raises(signs.DaleError, match="1.weight, unit 2"):
        report.raise_for_violations()
    assert json.loads(json.dumps(report.to_dict()))["violations"][0]["count"] == 2
    signs.project_(model)
    signs.check(model).raise_for_violations()


def test_long_reports_are_cut():
    layer = fixed_linear((E,) * 20, n_out=1)
    with torch.no_grad():
        layer.weight.fill_(-1)
    assert str(signs.check(layer)).endswith("... and 12 more units")


def test_nan_has_no_sign():
    layer = fixed_linear()
    with torch.no_grad():
        layer.weight[0, 1] = torch.nan
    assert signs.check(layer).n_violations == 1
    assert signs.check(signs.project_(layer)).n_violations == 1


def test_a_model_without_signs_has_nothing_to_check():
    report = signs.check(nn.Linear(3, 2))
    assert report
    assert report.n_parameters == 0
    sentence = "Nothing to check: no parameter has its signs fixed. Not under the law: weight, 6 synapses."
    assert str(report) == sentence


def test_check_refuses_other_things():
    with pytest.raises(
        TypeError, match="`model` must be a module or a state dict; got list."
    ):
        signs.check([1, 2])


# -- following the module ----------------------------------------------------------------------------------------------


def through_torch_save(module):
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize(
    "carry",
    [
        copy.deepcopy,
        lambda module: pickle.loads(pickle.dumps(module)),
        through_torch_save,
        lambda module: module.half(),
        lambda module: module.bfloat16(),
        lambda module: module.double(),
        lambda module: module.to("cpu", torch.float64),
        lambda module: copy.deepcopy(module.half()).float(),
        lambda module: module.eval(),
    ],
)
def test_signs_follow(carry):
    module = nn.Sequential(fixed_linear((E, I, E)), DANNLinear(4, 3, shunting=True))
    moved = carry(module)
    assert moved[0].weight_signs.tolist() == [1, -1, 1]
    assert moved[0].weight_signs.dtype == torch.int8
    assert signs.check(moved)
    state = {
        name: -value if name.endswith(("weight", "weight_ex")) else value
        for name, value in moved.state_dict().items()
    }
    with pytest.raises(
        RuntimeError, match="Dale's law is broken: 0.weight, unit 0"
    ):  # the hook came along
        moved.load_state_dict(state)
    with torch.no_grad():
        moved[0].weight[1] *= -1
    assert not signs.check(moved)
    assert signs.check(signs.project_(moved))


def test_a_copy_judges_by_its_own_signs():
    original = fixed_linear((E, I))
    other = copy.deepcopy(original)
    signs.fix(other, "weight", [I, E], replace=True)
    original.load_state_dict(
        {"weight": original.weight.clone(), "bias": original.bias.clone()}
    )
    with pytest.raises(RuntimeError, match="Dale's law"):
        other.load_state_dict(
            {"weight": original.weight.clone(), "bias": original.bias.clone()}
        )


def test_signs_follow_to_meta_and_back():
    with torch.device("meta"):
        layer = EILinear(Populations(2, 1), 4)
    source = EILinear(Populations(2, 1), 4)
    layer.load_state_dict(source.state_dict(), assign=True)
    assert signs.check(layer)
    assert torch.equal(layer.weight, source.weight)
    with torch.device("meta"):
        empty = EILinear(Populations(2, 1), 4)
    empty.to_empty(device="cpu").reset_parameters()
    assert signs.check(empty)


def test_pruning_keeps_the_law():
    layer = fixed_linear((E, I, E))
    prune.l1_unstructured(layer, "weight", 0.5)
    ((name, parameter, _),) = signs.named(layer)
    assert name == "weight_orig"
    with torch.no_grad():
        parameter.mul_(-1)
    assert not signs.check(layer)
    signs.project_(layer)
    assert signs.check(layer)
    layer(torch.rand(2, 3))
    assert (layer.weight * layer.weight_signs >= 0).all()
    with pytest.raises(RuntimeError, match="weight_orig, unit 0"):
        layer.load_state_dict({**layer.state_dict(), "weight_orig": -torch.ones(4, 3)})
    prune.remove(layer, "weight")
    assert signs.check(layer)
    assert next(signs.named(layer))[0] == "weight"


def test_reparametrised_weights_are_judged_by_what_multiplies():
    layer = parametrizations.weight_norm(nn.Linear(3, 4))
    signs.fix(layer, "weight", [E, I, E])
    assert not signs.check(layer)
    with pytest.raises(
        signs.DaleError, match="`weight` is reparametrised and breaks Dale's law"
    ):
        signs.project_(layer)
    with torch.no_grad():
        layer.weight = layer.weight.abs() * layer.weight_signs
    assert signs.check(signs.project_(layer))


# -- checkpoints -------------------------------------------------------------------------------------------------------


def test_a_lawless_checkpoint_raises_torchs_own_error_and_enters_nowhere():
    model = nn.Sequential(fixed_linear((E, I, E)), fixed_linear((E, E, I, I), n_out=2))
    before = copy.deepcopy(model.state_dict())
    state = copy.deepcopy(before)
    state["1.weight"] = torch.tensor([[1.0, 1, -1, 1], [1, 1, -1, 1]])
    kept = copy.deepcopy(state)
    for strict in (True, False):
        with pytest.raises(RuntimeError) as raised:
            model.load_state_dict(state, strict=strict)
        assert str(raised.value) == (
            "Error(s) in loading state_dict for Sequential:\n"
            "\tDale's law is broken: 1.weight, unit 3 (inhibitory): 2 of 2 synapses positive, worst 1."
        )
    assert all(
        torch.equal(value, before[name]) for name, value in model.state_dict().items()
    )
    assert all(
        torch.equal(value, kept[name]) for name, value in state.items()
    )  # the caller's dict is left alone


def test_assigning_a_lawless_checkpoint_keeps_the_parameter():
    layer = fixed_linear((E, I))
    parameter, before = layer.weight, layer.weight.clone()
    with pytest.raises(RuntimeError, match="Dale's law"):
        layer.load_state_dict(
            {"weight": torch.tensor([[1.0, 1.0]] * 4), "bias": torch.zeros(4)},
            assign=True,
        )
    assert layer.weight is parameter
    assert torch.equal(layer.weight, before)


def test_what_is_lawful_in_a_refused_checkpoint_is_loaded_as_torch_does():
    layer = fixed_linear((E, I))
    with pytest.raises(RuntimeError, match="Dale's law"):
        layer.load_state_dict(
            {"weight": torch.ones(4, 2), "bias": torch.full((4,), 5.0)}
        )
    assert layer.bias.tolist() == [5.0] * 4
    assert signs.check(layer)


def test_a_nan_checkpoint_is_refused():
    layer = fixed_linear((E, I))
    with pytest.raises(
        RuntimeError, match="4 of 4 synapses negative or NaN, worst nan"
    ):
        layer.load_state_dict(
            {**layer.state_dict(), "weight": torch.full((4, 2), torch.nan)}
        )


def test_a_plain_checkpoint_loads_and_is_judged():
    plain = nn.Linear(3, 4)
    with torch.no_grad():
        plain.weight.copy_(torch.rand(4, 3) * torch.tensor([1, -1, 1]))
    layer = fixed_linear((E, I, E))
    assert (
        str(layer.load_state_dict(plain.state_dict()))
        == "<All keys matched successfully>"
    )
    assert torch.equal(layer.weight, plain.weight)
    with torch.no_grad():
        plain.weight.mul_(-1)
    with pytest.raises(RuntimeError, match="Dale's law"):
        layer.load_state_dict(plain.state_dict())


def test_a_checkpoint_with_other_signs_is_refused():
    layer, other = fixed_linear((E, I, E)), fixed_linear((E, E, I))
    before = layer.weight.clone()
    with pytest.raises(
        RuntimeError,
        match="weight_signs: the signs of 2 units, the first of them unit 1, differ",
    ):
        layer.load_state_dict(other.state_dict())
    assert layer.weight_signs.tolist() == [1, -1, 1]
    assert torch.equal(layer.weight, before)
    assert signs.check(layer)


def test_torchs_other_complaints_are_left_to_torch():
    layer = fixed_linear((E, I, E))
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        layer.load_state_dict({**layer.state_dict(), "weight": torch.ones(2, 2)})
    with pytest.raises(RuntimeError, match='Missing key.*"weight"'):
        layer.load_state_dict({"bias": torch.zeros(4)})


@pytest.mark.parametrize("value", [0, 2, -3])
def test_signs_that_are_not_signs_certify_nothing(value):
    layer = fixed_linear((E, I, E))
    state = {**layer.state_dict(), "weight_signs": torch.full((3,), value)}
    sentence = f"the signs of `weight` must be +1 or -1; got {value} for unit 0."
    with pytest.raises(ValueError) as raised:
        signs.check(state)
    assert str(raised.value) == sentence
    with pytest.raises(RuntimeError, match=re.escape(sentence)):
        layer.load_state_dict(state)
    assert layer.weight_signs.tolist() == [1, -1, 1]
    layer.weight_signs.fill_(value)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        signs.check(layer)


def test_signs_keep_their_type_when_assigned():
    layer = fixed_linear((E, I, E))
    state = {name: value.double() for name, value in layer.state_dict().items()}
    layer.load_state_dict(state, assign=True)
    assert layer.weight_signs.dtype == torch.int8
    assert signs.check(layer)


def test_an_emptied_model_takes_the_checkpoints_signs():
    source = EILinear(Populations(2, 1), 4)
    with torch.device("meta"):
        layer = EILinear(Populations(2, 1), 4)
    layer.to_empty(device="cpu")
    layer.weight_signs.fill_(77)  # what uninitialised memory may hold
    plain = {"weight": source.weight, "bias": source.bias}
    with pytest.raises(
        RuntimeError, match="neither the module nor the checkpoint has signs"
    ):
        layer.load_state_dict(plain)
    layer.load_state_dict(source.state_dict())
    assert signs.check(layer)
    assert layer.weight_signs.tolist() == [1, 1, -1]
    with torch.device("meta"):
        layer = EILinear(Populations(2, 1), 4)
    with pytest.raises(
        RuntimeError, match="neither the module nor the checkpoint has signs"
    ):
        layer.load_state_dict(plain, assign=True)
    with pytest.raises(ValueError, match="they are on the meta device"):
        signs.check(layer)


# -- state dicts -------------------------------------------------------------------------------------------------------


def test_check_of_a_state_dict_agrees_with_check_of_the_module():
    model = nn.Sequential(
        fixed_linear((E, I, E)), DANNLinear(4, 3), nn.Conv2d(4, 6, 3, groups=2)
    )
    signs.fix(model[2], "weight", [E, I, E, I])
    torch.nn.init.normal_(model[2].weight, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model[1].weight_ix[0, 2] = -1
    of_state, of_module = signs.check(model.state_dict()), signs.check(model)
    assert of_state == of_module
    assert of_state.n_violations > 1
    assert of_state.inferred == ()


def test_weights_without_signs_are_judged_by_themselves():
    weight = torch.tensor([[1.0, -1.0, 0.0], [2.0, -3.0, 5.0], [4.0, 1.0, 0.0]])
    report = signs.check({"weight": weight, "bias": torch.tensor([1.0, -1.0, 1.0])})
    assert report.inferred == ("weight",)
    assert [(v.unit, v.sign, v.count) for v in report.violations] == [(1, I, 1)]
    conv = torch.ones(2, 3, 4, 4)
    conv[0, 1, 2, 2] = -1
    assert [(v.unit, v.count) for v in signs.check({"conv": conv}).violations] == [
        (1, 1)
    ]


def test_signs_that_do_not_fit_their_weight_are_one_sentence():
    with pytest.raises(
        ValueError,
        match=re.escape(
            "`weight_signs` must fit `weight` of shape (4, 3); got shape (5,)."
        ),
    ):
        signs.check({"weight": torch.ones(4, 3), "weight_signs": torch.ones(5)})
    for shape in ((), (1,), (4, 3), (2, 2, 2)):
        with pytest.raises(
            ValueError, match="`weight_signs` must fit `weight` of shape"
        ):
            signs.check({"weight": torch.ones(4, 3), "weight_signs": torch.ones(shape)})


def test_a_report_names_the_cell_type_of_a_unit():
    cells = Populations.of(exc={"E": 2}, inh={"PV": 1, "SST": 1})
    net = nn.Sequential(EILinear(cells, 3), nn.ReLU(), EILinear(Populations(2, 1), 2))
    for layer in (net[0], net[2]):
        nn.init.constant_(layer.weight, 0.5)
    report = signs.check(net)
    assert [str(one) for one in report.violations] == [
        "0.weight, unit 2 of PV (inhibitory): 3 of 3 synapses positive, worst 0.5",
        "0.weight, unit 3 of SST (inhibitory): 3 of 3 synapses positive, worst 0.5",
        # Its sign is all that is known of it.
        "2.weight, unit 2 (inhibitory): 2 of 2 synapses positive, worst 0.5",
    ]
    assert report.to_dict()["violations"][0]["population"] == "PV"
    # A state dict has no names.
    assert signs.check(net.state_dict()).violations[0].population == ""
