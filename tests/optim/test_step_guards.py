"""The guard over every optimiser: steps that do not end, copies, schedulers, wrappers; and two processes."""

import copy
import gc
import inspect
import pickle
import warnings
import weakref
from unittest import mock

import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml._signs.projection import Guard
from daleml.layers import EIRNN, EILinear
from daleml.optim import Projection, enforce
from tests.catalog import OPTIMIZERS, network, optimizers, step

X = torch.rand(6, 9, generator=torch.Generator().manual_seed(0))


def attached(case, model):
    """Build an optimiser of the catalogue and guard the model by it, whether or not it needs a guard."""
    parameters = [
        p for p in model.parameters() if p.ndim == 2 or not case.matrices_only
    ]
    optimizer = case.build(parameters, 0.0)
    return optimizer, enforce(optimizer, model, partial=case.matrices_only)


def spoil(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.neg_().sub_(0.1)


@optimizers()
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_step_that_is_broken_off_leaves_lawful_weights(optimizer, error):
    model = network()
    built, _ = attached(optimizer, model)

    def closure():
        spoil(model)
        raise error

    with pytest.raises(error):
        built.step(closure)
    signs.check(model).raise_for_violations()


def test_a_line_search_that_is_interrupted_leaves_lawful_weights():
    model = nn.Sequential(EILinear(Populations(9, 3), 10), nn.ReLU(), nn.Linear(10, 3))
    x, y, calls = torch.rand(24, 12), torch.randint(3, (24,)), []
    optimizer = torch.optim.LBFGS(model.parameters(), lr=5.0, max_iter=20)

    def closure():
        calls.append(signs.check(model).n_violations)
        if len(calls) == 4:
            raise KeyboardInterrupt
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    enforce(optimizer, model)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert calls[-1] > 0  # inside the step they were broken
    assert signs.check(model)


@optimizers(
    [case for case in OPTIMIZERS if case.name != "LBFGS"]
)  # torch's own copies of it cannot step
@pytest.mark.parametrize(
    "carry",
    [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))],
    ids=["deepcopy", "pickle"],
)
def test_a_copy_of_model_and_optimizer_steps_as_they_do_and_is_guarded(
    optimizer, carry
):
    model = network()
    built, _ = attached(optimizer, model)
    step(model, built, X)
    copied, moved = carry((model, built))
    assert type(moved) is type(built)
    for _ in range(2):
        step(model, built, X)
        step(copied, moved, X)
    assert all(
        torch.equal(one, two)
        for one, two in zip(model.parameters(), copied.parameters(), strict=True)
    )
    spoil(copied)
    for parameter in copied.parameters():
        parameter.grad = torch.zeros_like(parameter)
    moved.step(lambda: torch.zeros(()))
    signs.check(copied).raise_for_violations()
    again, twice = carry((copied, moved))  # a copy of a copy
    spoil(again)
    twice.step(lambda: torch.zeros(()))
    signs.check(again).raise_for_violations()


@optimizers([case for case in OPTIMIZERS if case.name in ("SGD", "Adam", "EG")])
def test_a_removed_guard_leaves_an_ordinary_optimizer_that_copies_as_ever(optimizer):
    model = network()
    built, handle = attached(optimizer, model)
    bare = optimizer.build(list(model.parameters()), 0.0)
    assert inspect.signature(built.step) == inspect.signature(bare.step)
    assert built.state_dict().keys() == bare.state_dict().keys()
    assert set(built.param_groups[0]) == set(bare.param_groups[0])
    handle.remove()
    copied, moved = copy.deepcopy((model, built))
    assert "_dale_guards" not in vars(moved)
    spoil(copied)
    moved.step(lambda: torch.zeros(()))
    assert not signs.check(copied)


def test_schedulers_count_steps_of_a_guarded_optimizer():
    layer = EILinear(4, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    early = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    enforce(optimizer, layer)
    late = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "error"
        )  # torch warns of a scheduler that steps before its optimiser
        optimizer.step()
        early.step()
        late.step()
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_one_optimizer_guards_several_models_each_once():
    models = [EILinear(Populations(3, 2), 4) for _ in range(2)]
    optimizer = torch.optim.SGD(
        [p for model in models for p in model.parameters()], lr=1.0
    )
    handles = [enforce(optimizer, model) for model in models]
    again = enforce(optimizer, models[0])
    for model in models:
        spoil(model)
    optimizer.step()
    assert all(signs.check(model) for model in models)
    again.remove()  # of the one guard there is
    for model in models:
        spoil(model)
    optimizer.step()
    assert [bool(signs.check(model)) for model in models] == [False, True]
    handles[1].remove()
    with enforce(optimizer, models[0]):
        optimizer.step()
        assert signs.check(models[0])


def test_a_guarded_optimizer_is_freed():
    layer = EILinear(4, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    enforce(optimizer, layer)
    optimizer.step()
    gone = weakref.ref(optimizer)
    del optimizer
    gc.collect()
    assert gone() is None


def test_the_guard_projects_once_a_step(monkeypatch):
    layer, calls = EILinear(4, 2), []
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    enforce(optimizer, layer)
    project = Guard.project_
    monkeypatch.setattr(
        Guard, "project_", lambda guard: (calls.append(1), project(guard))
    )
    layer(torch.rand(3, 4)).sum().backward()
    optimizer.step()
    assert len(calls) == 1


def test_frozen_parameters_need_no_optimizer():
    model = nn.Sequential(EILinear(4, 3), nn.ReLU(), EILinear(3, 2))
    model[0].requires_grad_(False)
    enforce(torch.optim.SGD(model[2].parameters(), lr=1.0), model)
    model[0].requires_grad_(True)
    with pytest.raises(ValueError, match="which misses 0.weight: give `partial=True`"):
        enforce(torch.optim.SGD(model[2].parameters(), lr=1.0), model)
    with pytest.raises(ValueError, match="which trains none of them"):
        enforce(
            torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=1.0), model, partial=True
        )


def test_what_is_computed_is_guarded_by_what_it_is_computed_from():
    layer = EILinear(Populations(3, 2), 4)
    nn.utils.parametrizations.weight_norm(layer)
    enforce(torch.optim.SGD(layer.parameters(), lr=1e-3), layer)
    with pytest.raises(ValueError, match="which trains none of them"):
        enforce(torch.optim.SGD([layer.bias], lr=1e-3), layer)


def test_a_mechanism_attached_again_guards_the_new_optimizer():
    layer = EILinear(Populations(3, 2), 4)
    for _ in range(2):
        optimizer = Projection().attach(layer, 10.0)
        layer(torch.rand(3, 5)).sum().backward()
        optimizer.step()
        assert signs.check(layer)


class Distributed(nn.Module):
    """What is asked of ``DistributedDataParallel``."""

    def __init__(self, module, broadcast_buffers, size):
        super().__init__()
        self.module, self.broadcast_buffers = module, broadcast_buffers
        self.process_group = mock.Mock(size=lambda: size)


@pytest.mark.parametrize(
    ("broadcast", "size", "mask"), [(True, 2, 0.5), (False, 1, 0.5), (False, 2, None)]
)
def test_processes_that_share_their_synapses_are_not_warned_of(broadcast, size, mask):
    model = Distributed(EIRNN(3, 4, mask=mask), broadcast, size)
    enforce(torch.optim.SGD(model.parameters(), lr=1.0), model)


def test_processes_that_draw_synapses_each_by_itself_are_warned_of():
    model = Distributed(EIRNN(3, 4, mask=0.5), False, 2)
    with pytest.warns(
        UserWarning, match="synapses drawn at random, and DistributedDataParallel"
    ):
        enforce(torch.optim.SGD(model.parameters(), lr=1.0), model)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda layer: enforce(
                torch.optim.SGD(layer.parameters(), lr=1.0), layer, step="second_step"
            ),
            ValueError,
            "`step` must name a method of SGD; got 'second_step'.",
        ),
        (
            lambda layer: enforce(
                torch.optim.lr_scheduler.StepLR(
                    torch.optim.SGD(layer.parameters(), lr=1.0), 1
                ),
                layer,
            ),
            TypeError,
            "`optimizer` must be a torch optimiser; got StepLR.",
        ),
        (
            lambda layer: enforce([torch.optim.SGD(layer.parameters(), lr=1.0)], layer),
            TypeError,
            "`optimizer` must be a torch optimiser; got list.",
        ),
    ],
)
def test_natural_mistakes_are_one_sentence(call, error, sentence):
    with pytest.raises(error) as raised:
        call(EILinear(4, 2))
    assert str(raised.value) == sentence
