"""Oja's rule: the rule itself, beside an error, signs kept, and what the claims rest on."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from daleml import Populations, signs, train
from daleml.layers import DANNRNN, EIRNN, DANNLinear, EILinear
from daleml.learning import (
    DivergenceError,
    FeedbackAlignment,
    Normalised,
    Oja,
    PerNeuron,
    Subspace,
    orthonormality_error,
)
from daleml.learning.oja.oja_rules import per_neuron, subspace
from daleml.optim import enforce
from tests.reference import oja as reference

F64 = torch.float64


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def rates(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def mlp(*sizes, bias=False):
    parts = [
        part
        for n_in, n_out in itertools.pairwise(sizes)
        for part in (nn.Linear(n_in, n_out, bias=bias), nn.Softplus(10))
    ]
    return nn.Sequential(*parts[:-1]).double()


def softmax(output):
    return output.softmax(-1)


# -- the rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 7])
def test_rules_are_those_of_a_slow_loop(rows):
    w, x, y = random(4, 6), random(rows, 6, seed=1), random(rows, 4, seed=2)
    s = torch.tensor([1, 1, -1, 1, -1, -1])
    arrays = w.numpy(), x.numpy(), y.numpy()
    close = {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(subspace(w, x, y), reference.subspace(*arrays), **close)
    np.testing.assert_allclose(
        per_neuron(w, x, y, s), reference.per_neuron(*arrays, s.tolist()), **close
    )
    np.testing.assert_allclose(
        per_neuron(w, x, y), reference.per_neuron(*arrays, [1] * 6), **close
    )
    expected = reference.normalised(reference.subspace, *arrays, eps=0.3)
    np.testing.assert_allclose(
        Normalised(Subspace(), eps=0.3).change(w, x, y, None), expected, **close
    )


def test_a_linear_layer_finds_the_principal_subspace():
    """Oja 1989: the rows come to span the leading eigenvectors, orthonormal."""
    basis = torch.linalg.qr(random(6, 6)).Q
    x = (
        random(4000, 6, seed=1)
        @ (basis * torch.tensor([3.0, 2.5, 0.5, 0.4, 0.3, 0.2], dtype=F64)).T
    )
    layer = nn.Linear(6, 2, bias=False).double()
    plasticity = Oja(layer, 0.02)
    for batch in x.split(10):
        plasticity.update(batch, layer(batch))
    assert orthonormality_error(layer.weight) < 0.1
    inside = (
        layer.weight.detach() @ basis[:, :2]
    ).square().sum() / layer.weight.detach().square().sum()
    assert inside > 0.99


def test_decay_is_the_largest_eigenvalue():
    y = random(5, 3)
    assert Subspace().decay(y) == pytest.approx(
        float(torch.linalg.eigvalsh(y.T @ y / 5)[-1])
    )
    assert Subspace().decay(y[:1]) == pytest.approx(float(y[0].square().sum()))
    assert Subspace().decay(y[:2]) == pytest.approx(
        float(torch.linalg.matrix_norm(y[:2], 2) ** 2 / 2)
    )
    assert PerNeuron().decay(y) == pytest.approx(float(y.square().mean(0).max()))
    assert Normalised(Subspace(), eps=1e-9).decay(100 * y[:1]) == pytest.approx(1)


@pytest.mark.parametrize(("ratio", "grows"), [(0.99, False), (1.01, True)])
def test_the_limit_is_where_the_weight_grows(ratio, grows):
    """With activity held, what a weight is away from its fixed point is multiplied by 1 - theta |y|^2 a step."""
    x, y = random(1, 5), random(1, 3, seed=1)
    layer = nn.Linear(5, 3, bias=False).double()
    coefficient = ratio * 2 / float(y.square().sum())
    if grows:
        with pytest.raises(DivergenceError):
            Oja(layer, coefficient).update(x, y)
    start = layer.weight.detach().clone()
    weight = start.clone()
    sizes = []
    for _ in range(3000):
        weight = weight + coefficient * subspace(weight, x, y)
        sizes.append(float(torch.linalg.matrix_norm(y @ weight - x)))
    assert (sizes[-1] > sizes[0]) == grows
    if not grows:
        Oja(layer, coefficient).update(x, y)
        assert torch.allclose(layer.weight, start + coefficient * subspace(start, x, y))


# -- beside an error -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixed", [False, True])
def test_added_to_backpropagation_it_is_the_published_update(fixed):
    model = mlp(5, 4, 4, 3)
    alignment = FeedbackAlignment(model, generator=torch.Generator().manual_seed(1))
    feedback = (
        [alignment.feedback[name].numpy() for name in ("0", "2", "4")]
        if fixed
        else None
    )
    weights = [model[i].weight.detach().clone().numpy() for i in (0, 2, 4)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    if fixed:
        alignment.attach()
    with Oja(model, 0.2, activation={"4": softmax}) as plasticity:
        for step in range(4):
            x, label = random(1, 5, seed=step), step % 3
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), torch.tensor([label])).backward()
            plasticity.step()
            optimizer.step()
            weights = reference.online_step(
                weights, x[0].numpy(), label, 0.3, 0.2, feedback
            )
    for i, expected in zip((0, 2, 4), weights, strict=True):
        np.testing.assert_allclose(model[i].weight.detach(), expected, rtol=1e-10)


def test_it_follows_an_optimizer_in_the_training_loop():
    torch.manual_seed(1)
    model = nn.Sequential(EILinear(Populations(6, 2), 5), nn.ReLU(), EILinear(5, 3))
    x, y = torch.rand(20, 8), torch.randint(0, 3, (20,))
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.0
    )  # so that what moves is moved by the rule
    start = copy.deepcopy(model.state_dict())
    with Oja(model, {"0": 0.01}).attach(optimizer), enforce(optimizer, model):
        history = train(
            model, [(x, y)] * 3, optimizer, nn.functional.cross_entropy, progress=False
        )
    assert history.sign_violations.tolist() == [0, 0]
    assert not torch.equal(model[0].weight, start["0.weight"])
    assert torch.equal(model[2].weight, start["2.weight"])
    moved = copy.deepcopy(model.state_dict())
    train(
        model, [(x, y)], optimizer, nn.functional.cross_entropy, progress=False
    )  # detached, from the optimiser too
    assert torch.equal(model[0].weight, moved["0.weight"])


# -- lawful layers -------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000), rows=st.integers(1, 5), n_exc=st.integers(0, 4), n_inh=st.integers(0, 4),
    n_post=st.integers(1, 5), share=st.floats(0.01, 0.999),
)  # fmt: skip
def test_the_rule_of_each_neuron_flips_no_sign(seed, rows, n_exc, n_inh, n_post, share):
    """Without any projection, up to where it would take a whole weight away."""
    s = torch.cat([torch.ones(n_exc + 1), -torch.ones(n_inh)]).double()
    w = rates(n_post, len(s), seed=seed) * s
    x, y = rates(rows, len(s), seed=seed + 1), 3 * rates(rows, n_post, seed=seed + 2)
    after = w + share / PerNeuron().decay(y) * per_neuron(w, x, y, s)
    assert (after * s >= 0).all()
    assert ((after * s > 0) | (w == 0)).all()


LAWFUL = {
    "column EI": lambda: EILinear(Populations(4, 2), 3),
    "excitatory only": lambda: EILinear(Populations(4, 2), 3, excitatory_only=True),
    "DANN": lambda: DANNLinear(6, 3, n_inh=2),
    "DANN shunting": lambda: DANNLinear(6, 3, n_inh=2, shunting=True),
    "EIRNN": lambda: EIRNN(6, Populations(3, 2), mask=0.5),
    "DANNRNN": lambda: DANNRNN(6, 5, n_inh=2, mask=0.5),
}


@pytest.mark.filterwarnings("ignore:.* drives negative rates")
@pytest.mark.parametrize("rule", [Subspace(), PerNeuron(), Normalised(Subspace())])
@pytest.mark.parametrize("name", LAWFUL)
@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 3))
def test_lawful_layers_stay_lawful(name, rule, seed, scale):
    """Whatever is shown, signed rates included, and however near to divergence."""
    torch.manual_seed(seed)
    layer = LAWFUL[name]().double()
    start = copy.deepcopy(layer)
    with Oja(layer, 0.05, rule=rule) as plasticity:
        for step in range(3):
            layer(scale * random(2, 4, 6, seed=seed + step))
            for weight, seen in plasticity._record.rows.items():
                plasticity.coefficients[weight] = min(
                    0.05, 1.9 / rule.decay(seen[0][1])
                )
            plasticity.step()
    assert any(
        not torch.equal(a, b)
        for a, b in zip(layer.parameters(), start.parameters(), strict=True)
    )
    signs.check(layer).raise_for_violations()


def test_the_subspace_rule_alone_would_break_the_law():
    layer = EILinear(Populations(3, 2), 3).double()
    layer.weight.data /= 10
    x, y = rates(1, 5), rates(1, 3, seed=1)
    expected = layer.weight.detach() + 0.5 * subspace(layer.weight.detach(), x, y)
    free = nn.Linear(5, 3, bias=False).double()
    free.weight.data.copy_(expected)
    signs.fix(free, "weight", Populations(3, 2))
    assert not signs.check(free)
    Oja(layer, 0.5).update(x, y)
    assert torch.equal(layer.weight, signs.project_(free).weight)


def test_a_dann_follows_the_rule_of_its_effective_weight():
    layer = DANNLinear(5, 3, n_inh=2).double()
    layer.weight_ex.data += 1  # so that nothing is cut off
    before, x, y = layer.effective_weight().detach(), rates(2, 5), rates(2, 3, seed=1)
    others = layer.weight_ix.detach().clone(), layer.weight_ei.detach().clone()
    Oja(layer, 0.1).update(x, y)
    assert torch.allclose(
        layer.effective_weight(), before + 0.1 * subspace(before, x, y)
    )
    assert torch.equal(layer.weight_ix, others[0])
    assert torch.equal(layer.weight_ei, others[1])


def test_inhibition_grows_by_the_rule_of_each_neuron_and_shrinks_by_the_subspace_rule():
    grown, shrunk = (
        EILinear(Populations(1, 1), 1).double(),
        EILinear(Populations(1, 1), 1).double(),
    )
    for layer, rule in ((grown, PerNeuron()), (shrunk, Subspace())):
        layer.weight.data = torch.tensor([[0.1, -0.1]], dtype=F64)
        Oja(layer, 0.01, rule=rule).update(
            torch.ones(1, 2, dtype=F64), torch.ones(1, 1, dtype=F64)
        )
    assert grown.weight[0, 1] < -0.1 < shrunk.weight[0, 1] < 0
