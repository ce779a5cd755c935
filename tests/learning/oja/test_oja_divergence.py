"""Where Oja's rule must diverge, or is shown what is not finite: refused, or left out, with the law kept."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from daleml import Populations, signs
from daleml.layers import EILinear
from daleml.learning import (
    DivergenceError,
    Normalised,
    Oja,
    PerNeuron,
    Subspace,
)
from daleml.optim import enforce
from tests.learning.oja.test_oja_rules import F64, random

RULES = [Subspace(), PerNeuron(), Normalised(Subspace())]


@pytest.mark.parametrize(
    "rule", [*RULES, Normalised(PerNeuron()), Normalised(Subspace(), eps=2.0)]
)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3), n=st.integers(1, 6))
def test_no_decay_is_above_the_bound(rule, seed, scale, n):
    y = scale * random(n, 4, seed=seed)
    assert rule.decay(y) <= rule.bound(y) * (1 + 1e-9)


@pytest.mark.parametrize(("coefficient", "refused"), [(1.99, False), (3.0, True)])
def test_normalising_small_activity_does_not_hide_divergence(coefficient, refused):
    layer = nn.Linear(2, 1).double()
    x, y = (
        torch.ones(1, 2, dtype=F64),
        torch.full((1, 1), 0.5, dtype=F64),
    )  # epsilon + |y|^2 is below 1
    plasticity = Oja(layer, coefficient, rule=Normalised(eps=1e-3))
    if refused:
        with pytest.raises(DivergenceError, match="below 2 / 0.996"):
            plasticity.update(x, y)
    else:
        plasticity.update(x, y)


@pytest.mark.parametrize("rule", [Normalised(), Normalised(PerNeuron())])
@pytest.mark.parametrize(
    ("dtype", "size"),
    [(torch.float32, 1e20), (torch.float32, 1e-30), (torch.float16, 200.0)],
)
def test_normalising_makes_any_activity_safe(rule, dtype, size):
    layer, x = nn.Linear(4, 3).to(dtype), torch.rand(2, 4).to(dtype)
    y = (size * torch.rand(2, 3)).to(dtype)
    start = layer.weight.detach().double()
    expected = rule.change(start, size * x.double(), y.double(), None)
    Oja(layer, 0.5, rule=rule).update(size * x.float(), y)
    assert torch.allclose(
        layer.weight.double(), start + 0.5 * expected, rtol=1e-2, atol=1e-3
    )


def followed(model, on_divergence):
    """An optimiser that breaks the law, a rule that diverges, and a guard that comes after it."""
    optimizer = torch.optim.SGD(model.parameters(), lr=10.0)
    return (
        optimizer,
        Oja(model, 1e6, on_divergence=on_divergence).attach(optimizer),
        enforce(optimizer, model),
    )


def descend(model, optimizer):
    optimizer.zero_grad()
    model(torch.rand(4, 6) + 0.1).sum().backward()
    optimizer.step()


def test_a_refused_step_after_the_optimizers_leaves_the_law_kept():
    torch.manual_seed(0)
    model = nn.Sequential(EILinear(Populations(4, 2), 3), nn.Softplus(), EILinear(3, 2))
    start = copy.deepcopy(model.state_dict())
    optimizer, plasticity, guard = followed(model, "raise")
    with plasticity, guard, pytest.raises(DivergenceError):
        descend(model, optimizer)
    assert not torch.equal(
        model[0].weight, start["0.weight"]
    )  # the optimiser has stepped
    signs.check(model).raise_for_violations()
    assert plasticity.skipped == 0


def test_a_step_that_would_diverge_may_be_left_out():
    torch.manual_seed(0)
    model = nn.Sequential(EILinear(Populations(4, 2), 3), nn.Softplus(), EILinear(3, 2))
    plain = copy.deepcopy(model)
    optimizer, plasticity, guard = followed(model, "skip")
    other = torch.optim.SGD(plain.parameters(), lr=10.0)
    torch.manual_seed(1)
    with plasticity, guard:
        with pytest.warns(
            RuntimeWarning,
            match=r"over the strongest .* The rule is left out of such steps\.",
        ) as warned:
            descend(model, optimizer)
        assert len(warned) == 1
        descend(model, optimizer)  # silently: warnings are errors here
    assert plasticity.skipped == 2
    torch.manual_seed(1)
    with enforce(other, plain):
        descend(plain, other)
        descend(plain, other)
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.parameters(), plain.parameters(), strict=True)
    )


def test_without_a_guard_a_skipped_step_keeps_the_law_too():
    model = EILinear(Populations(4, 2), 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=10.0)
    with (
        Oja(model, 1e6, on_divergence="skip").attach(optimizer),
        pytest.warns(RuntimeWarning),
    ):
        descend(model, optimizer)
    signs.check(model).raise_for_violations()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_activity_that_is_not_finite_is_called_that(value):
    layer = nn.Linear(3, 2)
    start = layer.weight.detach().clone()
    good, bad = torch.ones(2, 3), torch.tensor([[1.0, 1, 1], [1, value, 1]])
    word = "NaN" if value != value else "an infinite value"
    for rule in RULES:
        for pre, post, side in ((bad, good[:, :2], "pre"), (good, bad[:, :2], "post")):
            with pytest.raises(ValueError, match="must be finite") as raised:
                Oja(layer, 0.1, rule=rule).update(pre, post)
            assert (
                str(raised.value)
                == f"`{side}` must be finite; got {word} for `weight`."
            )
            assert not isinstance(raised.value, DivergenceError)
    with Oja(layer, 0.1, on_divergence="skip") as plasticity:
        layer(bad)
        with pytest.warns(RuntimeWarning, match="must be finite"):
            plasticity.step()
    assert plasticity.skipped == 1
    assert torch.equal(layer.weight, start)
