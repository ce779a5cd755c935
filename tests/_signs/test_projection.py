"""A guard that caches what it read projects as ``signs.project_`` does, whatever was changed since it read."""

import copy
import pickle
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from daleml import Populations, signs
from daleml._signs import verification
from daleml._signs.projection import Guard
from daleml.layers import EIRNN, DANNLinear, EILinear
from daleml.optim import Reparametrization, enforce
from tests.catalog import network, optimizers, step
from tests.routes import Stranger

POPS = Populations(3, 2)


class Model(nn.Module):
    """One parameter of each kind that a guard treats by itself."""

    def __init__(self):
        super().__init__()
        self.excitatory = DANNLinear(5, 4, 2)
        self.inhibitory = nn.Linear(4, 3)
        self.mixed = EILinear(POPS, 4)
        self.masked = EIRNN(3, POPS, mask=0.5)
        self.grouped = nn.Conv1d(4, 6, 2, groups=2)
        self.free = nn.Linear(3, 2)
        self.stranger = Stranger()
        present = torch.tensor([[1, 0, 1, 1, 0]]).bool().expand(4, 5)
        signs.fix(self.inhibitory, "weight", [-1] * 4)
        signs.fix(self.grouped, "weight", [1, -1, -1, 1])
        signs.fix(self.stranger, "synapses", POPS.signs(), present=present)


def built():
    """Return a model, and a guard that has read it."""
    torch.manual_seed(0)
    model = Model()
    guard = Guard(model)
    guard.project_()
    return model, guard


def spoiled(model):
    """Give every floating-point weight values of both signs, and one of them NaN."""
    rng = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=rng))
    last = signs.parameter(model.inhibitory, "weight")
    last.data.view(-1)[0] = torch.nan
    return model


def values(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def agree(model, guard):
    """Whether the guard does what ``signs.project_`` does to the same weights."""
    before = values(spoiled(model))
    expected = values(signs.project_(model))
    for parameter, value in zip(model.parameters(), before, strict=True):
        parameter.data.copy_(value)
    guard.project_()
    pairs = zip(values(model), expected, strict=True)
    return all(torch.equal(a.nan_to_num(7), b.nan_to_num(7)) for a, b in pairs)


def fix_free(model):
    signs.fix(model.free, "weight", [1, -1, -1])


def fix_anew(model):
    signs.fix(model.mixed, "weight", [-1, 1, 1, -1, 1], replace=True)


def fix_masked(model):
    present = torch.ones(4, 5).tril().bool()
    signs.fix(model.mixed, "weight", POPS.signs(), present=present)


def swap_submodule(model):
    model.mixed = EILinear(Populations(2, 3), 4)


def add_submodule(model):
    model.mixed.more = EILinear(Populations(2, 3), 4)


def replace_parameter(model):
    model.mixed.weight = nn.Parameter(torch.randn(4, 5))


def share_parameter(model):
    model.masked.weight_ih_l0 = nn.Parameter(model.masked.weight_ih_l0[:].detach())
    model.again = model.mixed


def replace_data(model):
    model.mixed.weight.data = torch.randn(4, 5, dtype=torch.float64)
    model.masked.weight_hh_l0.data = torch.randn(5, 5).half()


def write_and_restore(model):
    model.mixed.weight_signs.neg_()
    signs.restore_(model)


def register_again(model):
    for module in (model.mixed, model.stranger):
        for name, buffer in list(module.named_buffers()):
            module.register_buffer(name, buffer.clone())


def broadcast_a_draw(model):
    mask = model.masked.weight_hh_l0_present
    mask.copy_(mask.flip(0, 1))


def adopt(model):
    other = Model()
    signs.fix(other.mixed, "weight", [1, -1, 1, -1, 1], replace=True)
    with signs.adopt_signs(model), signs.adopt_masks(model):
        model.load_state_dict(signs.project_(other).state_dict())


def assign(model):
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)


def swap_by_cast(model):
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        model.double()
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


def swap_tensors(model):
    other = nn.Parameter(torch.randn(4, 5, dtype=torch.bfloat16))
    torch.utils.swap_tensors(model.mixed.weight, other)
    stored = torch.tensor([-1, 1, 1, 1, -1], dtype=torch.int8)
    signs.fix(model.mixed, "weight", stored, replace=True)


def register_mask_by_hand(model):
    mask = torch.ones(4, 5, dtype=torch.int8).triu()
    model.mixed.register_buffer("weight_present", mask)


def register_signs_by_hand(model):
    stored = torch.tensor([1, -1, 1], dtype=torch.int8)
    model.free.register_buffer("weight_signs", stored)


def replace_dictionaries(model):
    model.mixed._parameters = dict(model.mixed._parameters)
    model.mixed.weight = nn.Parameter(torch.randn(4, 5))


def prune_and_finish(model):
    prune.random_unstructured(model.mixed, "weight", 0.3)
    prune.remove(model.mixed, "weight")


CHANGES = [
    lambda model: model,
    lambda model: model.double(),
    lambda model: model.half(),
    lambda model: model.bfloat16(),
    lambda model: model.double().float(),
    lambda model: model.requires_grad_(False),
    lambda model: model.share_memory(),
    lambda model: signs.restore_(model.to_empty(device="cpu")),
    lambda model: prune.random_unstructured(model.mixed, "weight", 0.3),
    prune_and_finish,
    lambda model: parametrizations.weight_norm(model.free),
    lambda model: signs.declare(model.mixed, "weight", role="studied"),
    lambda model: signs.release(model.mixed, "weight"),
    fix_free,
    fix_anew,
    fix_masked,
    swap_submodule,
    add_submodule,
    lambda model: setattr(model, "grouped", None),
    replace_parameter,
    share_parameter,
    replace_data,
    write_and_restore,
    register_again,
    broadcast_a_draw,
    adopt,
    assign,
    swap_by_cast,
    swap_tensors,
    register_mask_by_hand,
    register_signs_by_hand,
    replace_dictionaries,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_guard_sees_every_change(change):
    model, guard = built()
    change(model)
    assert agree(model, guard)
    assert agree(model, guard)  # from what it has cached now


@pytest.mark.parametrize(
    "carry", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))]
)
def test_a_copy_of_a_guard_projects_the_copy_of_the_model(carry):
    model, guard = built()
    copied = carry(guard)
    assert copied.model is not model
    before = copy.deepcopy(spoiled(model).state_dict())
    assert agree(copied.model, copied)
    after = model.state_dict()
    assert all(
        torch.equal(after[k].nan_to_num(7), before[k].nan_to_num(7)) for k in after
    )
    assert agree(model, guard)


def test_what_did_not_change_is_not_read_again():
    model, guard = built()
    with mock.patch.object(verification, "fixed_in", side_effect=AssertionError):
        assert agree_with_clamps(model, guard)
    signs.declare(nn.Linear(2, 2), "weight", role="of another model")
    with (
        mock.patch.object(verification, "fixed_in", side_effect=AssertionError),
        pytest.raises(AssertionError),
    ):
        guard.project_()


def agree_with_clamps(model, guard):
    """Whether a guard keeps the law and zeros absent synapses, without asking what is fixed."""
    spoiled(model)
    guard.project_()
    lawful = (model.mixed.weight * model.mixed.weight_signs >= 0).all()
    absent = model.masked.weight_hh_l0_present == 0
    return lawful and not model.masked.weight_hh_l0[absent].any()


def test_computed_weights_are_judged_each_time():
    model, guard = built()
    Reparametrization().attach(model.mixed, 0.1)
    guard.project_()
    parametrizations.weight_norm(model.inhibitory)
    guard.project_()
    with torch.no_grad():
        model.inhibitory.parametrizations.weight.original1.neg_()
    for _ in range(2):
        with pytest.raises(signs.DaleError, match="`inhibitory.weight` is reparam"):
            guard.project_()


def delete_weight(model):
    del model.mixed.weight


def delete_signs(model):
    del model.mixed.weight_signs


def make_sparse(model):
    model.mixed.weight = nn.Parameter(model.mixed.weight.detach().to_sparse())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda model: model.mixed.weight_signs.neg_(),
        lambda model: setattr(model.mixed, "weight_signs", -model.mixed.weight_signs),
        lambda model: model.stranger.synapses_present.fill_(1),
        lambda model: model.to_empty(device="meta"),
        delete_weight,
        delete_signs,
        make_sparse,
    ],
)
def test_what_is_refused_is_refused_in_the_same_words_at_each_step(spoil):
    model, guard = built()
    spoil(model)
    with pytest.raises((ValueError, AttributeError)) as expected:
        signs.project_(model)
    for _ in range(2):
        with pytest.raises(type(expected.value)) as raised:
            guard.project_()
        assert str(raised.value) == str(expected.value)


def test_writes_that_torch_does_not_count_are_found_by_the_public_projection():
    for name in ("mixed.weight_signs", "stranger.synapses_present"):
        model, guard = built()
        signs.project_(model)
        model.get_buffer(name).data.fill_(1)
        guard.project_()
        with pytest.raises(ValueError, match=f"`{name}` must hold what was fixed"):
            signs.project_(model)


def test_buffers_of_inference_mode_are_read_each_time():
    with torch.inference_mode():
        stored = torch.tensor([1, -1, 1, -1, 1], dtype=torch.int8)
    model, guard = built()
    signs.fix(model.mixed, "weight", stored, replace=True)
    model.mixed._buffers["weight_signs"] = stored
    assert agree(model, guard)
    assert ("mixed", model.mixed) in guard._unseen


def test_a_module_without_units_is_projected():
    layer = nn.Linear(1, 2)
    layer.weight = nn.Parameter(torch.empty(2, 0))
    signs.fix(layer, "weight", [])
    Guard(layer).project_()
    assert signs.check(signs.project_(layer))


@optimizers()
def test_under_every_optimizer_a_guard_does_what_projecting_after_each_step_does(
    optimizer,
):
    x = torch.rand(6, 9)
    guarded, plain = network(), network()
    plain.load_state_dict(guarded.state_dict())
    steppers = []
    for model in (guarded, plain):
        matrices = optimizer.matrices_only
        chosen = [p for p in model.parameters() if p.ndim == 2 or not matrices]
        steppers.append(optimizer.build(chosen, 0.01))
    enforce(steppers[0], guarded, partial=optimizer.matrices_only)
    for _ in range(3):
        step(guarded, steppers[0], x)
        step(plain, steppers[1], x)
        signs.project_(plain)
    pairs = zip(guarded.parameters(), plain.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
