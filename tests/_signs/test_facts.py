"""What was fixed stays fixed, beyond the routes that `tests/test_routes.py` walks."""

import copy
import re

import pytest
import torch
from torch import nn

from daleml import Populations, _sparse_weights, law, signs
from daleml.layers import DANNRNN, EIRNN, EILinear
from daleml.optim import enforce, param_groups
from tests.catalog import layers

POPS = Populations(8, 2)


def wired(density=0.3, seed=0):
    wiring = torch.rand(10, 10, generator=torch.Generator().manual_seed(seed)) < density
    return wiring.fill_diagonal_(False)


def masked_linear():
    layer = nn.Linear(3, 2, bias=False)
    signs.fix(
        layer,
        "weight",
        [1, -1, 1],
        present=torch.tensor([[True, True, False], [False, True, True]]),
    )
    return signs.project_(layer)


# -- a second call -----------------------------------------------------------------------------------------------------


def test_a_correction_declared_later_leaves_the_law_as_it_is():
    rnn = EIRNN(3, POPS)
    signs.declare(rnn, "weight_ih_l0", role="input", lr_scale=0.1)
    groups = param_groups(rnn, lr=10.0)
    assert next(
        group["lr"] for group in groups if group["role"] == "input"
    ) == pytest.approx(1.0)
    optimizer = torch.optim.SGD(groups, lr=10.0)
    enforce(optimizer, rnn)
    rnn(torch.rand(5, 4, 3))[0].sum().backward()
    optimizer.step()
    assert (rnn.weight_ih_l0 >= 0).all()
    assert signs.check(rnn).n_parameters == 2


@layers()
def test_every_layer_keeps_what_is_declared_of_it(case):
    layer = case.build()
    before = {name: declaration for name, _, declaration in signs.declared(layer)}
    buffers = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    for name in before:
        signs.declare(layer, name, lr_scale=0.5)
    after = {name: declaration for name, _, declaration in signs.declared(layer)}
    assert {name: (one.role, one.signed) for name, one in after.items()} == {
        name: (one.role, one.signed) for name, one in before.items()
    }
    assert {one.lr_scale for one in after.values()} == {0.5}
    assert all(
        torch.equal(buffer, buffers[name]) for name, buffer in layer.named_buffers()
    )
    for name in before:
        signs.declare(layer, name, role="studied")
    assert {one.lr_scale for _, _, one in signs.declared(layer)} == {0.5}


@layers()
def test_every_layer_keeps_signs_fixed_over_its_own(case):
    layer = case.build()
    ((name, parameter, sign),) = list(signs.named(layer))[:1]
    stored = layer.get_buffer(name + law.SUFFIX).flatten()
    turned, expected, n_turned = -stored, -stored, len(stored)
    pattern = _sparse_weights.pattern(layer, name)
    if pattern is not None:
        # Given by sender, of whom those without a synapse have no sign that is kept.
        turned, n_turned = -layer.populations.signs(), len(pattern.pre.unique())
    with (
        pytest.raises(ValueError, match=re.escape(f"other signs for {n_turned} units"))
        if len(turned) > 1
        else (pytest.raises(ValueError, match="other signs for 1 unit,"))
    ):
        signs.fix(layer, name, turned)
    if hasattr(layer, name + law.FIXED):
        # Its fixed strengths would be lawless.
        with pytest.raises(ValueError, match="must be lawful where it is fixed"):
            signs.fix(layer, name, turned, replace=True)
        return
    signs.fix(layer, name, turned, replace=True)
    assert torch.equal(layer.get_buffer(name + law.SUFFIX).flatten(), expected)
    with torch.no_grad():
        parameter.copy_(-sign.expand_as(parameter))
        if hasattr(layer, name + law.PRESENT):
            parameter.mul_(layer.get_buffer(name + law.PRESENT))
    assert signs.check(layer)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda layer: signs.fix(
                layer,
                "weight",
                [1, -1, 1],
                dim=1,
                present=torch.ones(2, 3, dtype=torch.bool),
            ),
            "`present` must be what was fixed for `weight` before; got another mask: give `replace=True` to replace "
            "it.",
        ),
        (
            lambda layer: signs.fix(layer, "weight", [1, -1], dim=0),
            "`signs` must be those that were fixed for `weight` before; got signs of 2 units, not of 3, or along "
            "another dimension: give `replace=True` to replace them.",
        ),
        (
            lambda layer: signs.declare(layer, "weight", signed=False),
            "`signed` must be left out, or True for `weight`; got False: call `signs.release`.",
        ),
        (
            lambda layer: signs.release(layer, "bias"),
            "`name` must name a parameter that something was fixed or declared of; got 'bias'.",
        ),
    ],
)
def test_what_would_lose_a_fact_is_refused_in_one_sentence(call, sentence):
    layer = masked_linear()
    before = copy.deepcopy(layer.state_dict())
    with pytest.raises(ValueError) as raised:
        call(layer)
    assert str(raised.value) == sentence
    assert all(
        torch.equal(value, before[name]) for name, value in layer.state_dict().items()
    )


def test_signs_are_not_declared_but_fixed():
    with pytest.raises(ValueError, match="call `signs.fix`"):
        signs.declare(nn.Linear(3, 2), "weight", signed=True)


def test_a_layers_defaults_give_way_to_whatever_was_fixed():
    layer = masked_linear()
    signs.declare(layer, "weight", role="studied", lr_scale=0.5)
    present = layer.weight_present.clone()
    signs.fix(layer, "weight", [-1, -1, -1], role="own", lr_scale=2.0, default=True)
    signs.declare(layer, "weight", role="own", lr_scale=2.0, default=True)
    assert layer.weight_signs.tolist() == [1, -1, 1]
    assert torch.equal(layer.weight_present, present)
    ((_, _, declaration),) = signs.declared(layer)
    assert declaration == signs.Declaration("studied", 0.5, True)
    fresh = nn.Linear(3, 2)
    signs.fix(fresh, "weight", [-1, -1, -1], role="own", lr_scale=2.0, default=True)
    assert next(iter(signs.declared(fresh)))[2] == signs.Declaration("own", 2.0, True)


def test_released_is_free():
    model = nn.Sequential(masked_linear())
    signs.release(model, "0.weight")
    assert list(signs.named(model)) == []
    assert list(dict(model.named_buffers())) == []
    model.load_state_dict({"0.weight": -torch.ones(2, 3)})
    signs.fix(model, "0.weight", [-1, -1, -1])
    assert signs.check(model)


def test_a_lazy_module_has_no_signs_yet():
    with pytest.raises(
        ValueError,
        match="`weight` must have a shape before its signs are fixed; run the lazy module",
    ):
        signs.fix(nn.LazyLinear(3), "weight", [1, 1])


# -- checkpoints -------------------------------------------------------------------------------------------------------


def test_a_circuit_with_given_synapses_keeps_them():
    trained, lesioned = EIRNN(3, POPS), EIRNN(3, POPS, mask=wired())
    n_asked = int(wired().sum())
    with pytest.raises(RuntimeError) as raised:
        lesioned.load_state_dict(trained.state_dict())
    assert (
        f"weight_hh_l0_present: of the checkpoint's synapses {90 - n_asked} are absent in the module, and of the "
        "module's 0 in the checkpoint; load inside `with signs.adopt_masks(model):` to take the checkpoint's synapses, "
        "or `with signs.keep_masks(model):` to keep the module's and zero the others."
    ) in str(raised.value)
    assert int(lesioned.weight_hh_l0_present.sum()) == n_asked
    assert signs.check(lesioned)
    with signs.keep_masks(lesioned):
        lesioned.load_state_dict(trained.state_dict())
    assert torch.equal(lesioned.weight_hh_l0, trained.weight_hh_l0 * wired())
    with pytest.raises(
        RuntimeError, match="load inside `with signs.adopt_masks"
    ):  # as before the context
        lesioned.load_state_dict(trained.state_dict())
    with signs.adopt_masks(lesioned):
        lesioned.load_state_dict(trained.state_dict())
    assert int(lesioned.weight_hh_l0_present.sum()) == 90
    lesioned.load_state_dict(trained.state_dict())  # it is its own mask now


@pytest.mark.parametrize(
    "build", [lambda **kw: EIRNN(3, POPS, **kw), lambda **kw: DANNRNN(3, 10, 2, **kw)]
)
def test_drawn_synapses_are_those_of_the_run_that_is_resumed(build):
    first, again = build(mask=0.3), build(mask=0.3)
    name = "weight_hh_l0" if isinstance(first, EIRNN) else "weight_ex_hh_l0"
    assert not torch.equal(
        first.get_buffer(name + law.PRESENT), again.get_buffer(name + law.PRESENT)
    )
    again.load_state_dict(first.state_dict())
    assert torch.equal(
        first.get_buffer(name + law.PRESENT), again.get_buffer(name + law.PRESENT)
    )
    assert signs.check(again)
    drawn_densely = build(mask=0.95)
    with pytest.raises(
        RuntimeError, match="are absent in the module"
    ):  # no draw at that density
        build(mask=0.1).load_state_dict(drawn_densely.state_dict())
    with pytest.raises(RuntimeError, match="are absent in the module"):
        build(mask=0.1).load_state_dict(build().state_dict())


def test_weights_on_the_diagonal_are_one_line_that_names_the_option():
    trained = EIRNN(3, POPS, autapses=True)
    with pytest.raises(RuntimeError) as raised:
        EIRNN(3, POPS).load_state_dict(trained.state_dict())
    lines = str(raised.value).splitlines()[1:]
    assert lines == [
        "\tDale's law is broken: weight_hh_l0 has 10 autapses, weights on the diagonal, where the module has no "
        "synapse: build it with `autapses=True`, or load inside `with signs.keep_masks(model):` to zero them."
    ]
    with pytest.raises(
        RuntimeError,
        match="To zero the weights of weight_hh_l0 where the module has no synapse",
    ):
        EIRNN(3, POPS, mask=wired()).load_state_dict(trained.state_dict())


def test_a_refused_checkpoint_changes_no_fact():
    layer, other = masked_linear(), masked_linear()
    signs.fix(other, "weight", [1, -1, -1], replace=True)
    signs.project_(other)
    before = copy.deepcopy(layer.state_dict())
    for wish in (signs.adopt_masks, signs.keep_masks):
        with (
            wish(layer),
            pytest.raises(RuntimeError, match="differ from those fixed on the module"),
        ):
            layer.load_state_dict(other.state_dict())
    assert all(
        torch.equal(value, before[name]) for name, value in layer.state_dict().items()
    )
    lawless = {**other.state_dict(), "weight": torch.full((2, 3), 7.0)}
    with (
        signs.adopt_signs(layer),
        pytest.raises(RuntimeError, match="Dale's law is broken"),
    ):
        layer.load_state_dict(lawless)
    assert all(
        torch.equal(value, before[name]) for name, value in layer.state_dict().items()
    )
    assert signs.check(layer)


def test_a_checkpoint_assigned_is_not_the_callers_memory():
    layer, source = masked_linear(), masked_linear()
    state = source.state_dict()
    layer.load_state_dict(state, assign=True)
    state["weight_signs"].zero_()
    state["weight_present"].zero_()
    assert layer.weight_signs.tolist() == [1, -1, 1]
    assert signs.check(layer)


# -- buffers -----------------------------------------------------------------------------------------------------------


def test_a_module_of_an_older_version_has_no_record_and_is_believed():
    layer = masked_linear()
    del layer.__dict__["_dale_fixed"]
    layer._buffers["weight_present"] = layer.weight_present.bool()
    assert signs.check(layer)
    signs.fix(layer, "weight", [1, -1, 1])
    assert layer.weight_present.dtype == torch.int8
    assert layer.weight_present.tolist() == [[1, 1, 0], [0, 1, 1]]
    with pytest.raises(ValueError, match="other signs for 1 unit"):
        signs.fix(layer, "weight", [1, 1, 1])


def test_a_strangers_buffer_of_that_name_is_not_ours():
    layer = nn.Linear(3, 3)
    layer.register_buffer("weight_signs", torch.eye(3))
    assert signs.check(layer).n_parameters == 0
    layer.register_buffer("bias_signs", torch.zeros(2, dtype=torch.int8))
    assert signs.check(layer).n_parameters == 0


def test_projection_believes_no_buffer_that_was_written_into():
    layer = EILinear(Populations(2, 1), 4)
    signs.project_(layer)
    layer.weight_signs.neg_()
    before = layer.weight.clone()
    with pytest.raises(
        ValueError,
        match="`weight_signs` must hold what was fixed; something wrote into it since",
    ):
        signs.project_(layer)
    assert torch.equal(layer.weight, before)
    signs.project_(signs.restore_(layer))
    assert torch.equal(layer.weight, before)


def test_masks_are_whole_numbers_that_a_boolean_operator_cannot_misread():
    rnn = EIRNN(3, POPS)
    assert rnn.weight_hh_l0_present.dtype == torch.int8
    with pytest.raises(IndexError):
        rnn.weight_hh_l0[
            ~rnn.weight_hh_l0_present
        ]  # silently all of them, were it uint8
    assert torch.equal(rnn.weight_hh_l0 * rnn.weight_hh_l0_present, rnn.weight_hh_l0)


def test_a_drawn_mask_may_be_that_of_the_process_that_broadcasts_its_own():
    first, other = EIRNN(3, POPS, mask=0.3), EIRNN(3, POPS, mask=0.3)
    other.weight_hh_l0_present.copy_(
        first.weight_hh_l0_present
    )  # as DistributedDataParallel does
    with torch.no_grad():
        other.weight_hh_l0.copy_(first.weight_hh_l0)
    assert signs.check(other)
    other.weight_hh_l0_present.fill_(1)  # no draw at that density
    with pytest.raises(
        ValueError, match="`weight_hh_l0_present` must hold what was fixed"
    ):
        signs.check(other)
    assert torch.equal(
        signs.restore_(other).weight_hh_l0_present, first.weight_hh_l0_present
    )


def test_a_mask_registered_by_hand_beside_the_signs_is_read_back():
    layer, again = (nn.Linear(3, 2) for _ in range(2))
    for one in (layer, again):
        signs.fix(one, "weight", [1, -1, 1])
        one.register_buffer("weight_present", torch.tensor([[1, 1, 0], [0, 1, 1]]))
        signs.project_(one)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again.weight, layer.weight)
    assert signs.check(again).n_synapses == 4


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("sparse", [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr])
def test_a_sparse_weight_is_judged_and_not_projected(sparse):
    layer = EILinear(Populations(2, 1), 4)
    layer.weight = nn.Parameter(sparse(layer.weight.detach()))
    assert signs.check(layer).n_synapses == 12
    with pytest.raises(
        ValueError,
        match=r"^`weight` must be dense to be projected; got sparse_(coo|csr): make it so by",
    ):
        signs.project_(layer)
    layer.weight = nn.Parameter(sparse(-layer.weight.detach().to_dense()))
    assert signs.check(layer).n_violations == 12
