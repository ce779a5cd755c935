"""Dale's law, over every optimiser and every way to carry a model about."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import prune

from daleml import signs
from tests.catalog import (
    NETWORKS,
    OPTIMIZERS,
    attach,
    network,
    networks,
    optimizers,
    step,
)


@networks()
@optimizers()
@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_the_law_holds_after_every_step(optimizer, weight_decay, build):
    model = build()
    attached = attach(optimizer, model, weight_decay)
    moved = copy.deepcopy(model)
    for i in range(8):
        model.train(i % 2 == 0)
        step(model, attached, torch.rand(6, 9))
        signs.check(model).raise_for_violations()
        model.eval()
        signs.check(model).raise_for_violations()
    assert any(
        not torch.equal(p, q)
        for p, q in zip(model.parameters(), moved.parameters(), strict=True)
    )


@networks()
@optimizers()
def test_without_the_guard_only_eg_keeps_the_law(optimizer, build):
    """The guard is what does it: the same runs without it break the law, so the test above can fail."""
    model = build()
    parameters = [
        p for p in model.parameters() if p.ndim == 2 or not optimizer.matrices_only
    ]
    bare = optimizer.build(parameters, 0.0)
    broken = 0
    for _ in range(30):
        step(model, bare, torch.rand(6, 9))
        broken += signs.check(model).n_violations
        if broken and optimizer.guarded:
            break
    assert (broken > 0) == optimizer.guarded


@networks()
@optimizers()
@pytest.mark.parametrize(
    "carry",
    [
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),
        lambda model: model.half(),
        lambda model: model.bfloat16(),
    ],
    ids=["deepcopy", "pickle", "half", "bfloat16"],
)
def test_the_law_is_carried(optimizer, carry, build):
    model = build()
    attached = attach(optimizer, model)
    step(model, attached, torch.rand(6, 9))
    moved = carry(model)
    signs.check(moved).raise_for_violations()
    assert signs.check(moved).n_parameters == len(list(signs.named(build()))) > 8
    again = build()
    again.load_state_dict(
        {name: value.float() for name, value in moved.state_dict().items()}
    )
    signs.check(again).raise_for_violations()


@networks()
@optimizers(
    [case for case in OPTIMIZERS if case.name in ("SGD", "Rprop", "EG", "EGAdamW")]
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_law_holds_in_half_precision(optimizer, dtype, build):
    model = build(dtype=dtype)
    attached = attach(optimizer, model, 0.1)
    for _ in range(5):
        step(model, attached, torch.rand(6, 9, dtype=dtype))
        signs.check(model).raise_for_violations()
    assert {p.dtype for p in model.parameters()} == {dtype}


@optimizers([case for case in OPTIMIZERS if case.name in ("SGD", "Adam", "EG")])
def test_the_law_holds_while_pruned(optimizer):
    model = network()
    prune.random_unstructured(model[0], "weight", 0.5)
    prune.random_unstructured(model[2], "weight_ex", 0.5)
    attached = attach(optimizer, model)
    for _ in range(5):
        step(model, attached, torch.rand(6, 9))
        signs.check(model).raise_for_violations()
        assert (model[0].weight * model[0].weight_signs >= 0).all()
    prune.remove(model[0], "weight")
    prune.remove(model[2], "weight_ex")
    signs.check(model).raise_for_violations()
    assert (model[0].weight == 0).any()


@given(
    lr=st.floats(0, 1e6),
    weight_decay=st.floats(0, 1e6),
    scale=st.floats(0, 1e30),
    name=st.sampled_from(
        [case.name for case in OPTIMIZERS if case.name not in ("LBFGS", "Muon")]
    ),
    network=st.sampled_from(sorted(NETWORKS)),
)
@settings(deadline=None, max_examples=60)
def test_the_law_holds_however_long_the_step(lr, weight_decay, scale, name, network):
    case = next(case for case in OPTIMIZERS if case.name == name)
    model = NETWORKS[network](dtype=torch.float64)
    attached = attach(case, model)
    for group in attached.param_groups:
        group.update(lr=lr, weight_decay=weight_decay)
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn(parameter.shape, dtype=torch.float64)
    attached.step()
    judged = signs.check(model)
    if all(
        p.isfinite().all() for p in model.parameters()
    ):  # an optimiser may blow up to NaN, which has no sign
        judged.raise_for_violations()
    else:
        assert case.guarded
