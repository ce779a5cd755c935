"""A sparse dense layer computes what its twin with a matrix does."""

import pytest
import torch

from daleml import Populations, _sparse_weights, signs
from daleml.layers import Blocks, EILinear
from tests.layers.sparse import twins

POST = Populations.of(exc={"A": 6}, inh={"B": 3})
CASES = {
    "density": {"mask": 0.4},
    "blocks": {"mask": Blocks({"E->*": 0.5, "PV->A": 1}), "bias": False},
    "excitatory only": {"mask": 0.5, "excitatory_only": True},
    "some without a sign": {"mask": 0.5, "input_signed": {"E": False, "PV": True}},
    "strengths": {
        "mask": 0.6,
        "strength": Blocks({"E->*": 1, "PV->B": 2}, default=0.5),
    },
    "fixed": {"mask": 0.6, "fixed": Blocks({"E->A": 1})},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_outputs_and_gradients_are_those_of_a_matrix(options):
    pops = (
        Populations.of(exc={"E": 12}, inh={"PV": 3})
        if "input_signed" in options
        else None
    )
    seed = torch.Generator().manual_seed(0 if "fixed" in options else 1)
    sparse = EILinear(pops or twins.POPS, POST, sparse=True, generator=seed, **options)
    pattern = _sparse_weights.pattern(sparse, "weight")
    x = torch.rand(2, 5, sparse.in_features, requires_grad=True)
    out = sparse(x)
    weight = sparse.effective_weight().to_dense()
    assert weight.shape == (9, sparse.in_features)
    expected = torch.nn.functional.linear(x, weight, sparse.bias)
    torch.testing.assert_close(out, expected)
    grad = torch.rand_like(out)
    mine = torch.autograd.grad(out, [x, sparse.weight], grad)
    its = torch.autograd.grad(expected, [x, weight], grad, retain_graph=True)
    torch.testing.assert_close(mine[0], its[0])
    of_synapses = pattern.entries(its[1])
    if "fixed" in options:
        of_synapses = of_synapses * (1 - sparse.weight_fixed)
    torch.testing.assert_close(mine[1], of_synapses)
    assert signs.check(sparse)
    # Of other synapses than those that are fixed no strengths are known.
    seed = torch.Generator().manual_seed(0)
    again = EILinear(pops or twins.POPS, POST, sparse=True, generator=seed, **options)
    again.load_state_dict(sparse.state_dict())
    torch.testing.assert_close(again.effective_weight().to_dense(), weight)


def test_a_sparse_layer_is_drawn_as_the_dense_one():
    pops = Populations(1600, 400)
    found = []
    for sparse in (True, False):
        generator = torch.Generator().manual_seed(0)
        layer = EILinear(pops, 500, mask=0.1, sparse=sparse, generator=generator)
        weight = layer.effective_weight().detach()
        weight = weight.to_dense() if sparse else weight
        out = weight @ torch.randn(2000, 50, generator=generator).clamp(min=0)
        found.append((weight.abs().sum(), out.std()))
    for mine, its in zip(*found, strict=True):
        torch.testing.assert_close(mine, its, rtol=0.03, atol=0)


def test_a_layer_of_one_sign_is_centred_by_its_bias():
    layer = EILinear(2000, 50, mask=0.1, sparse=True)
    drive = layer(torch.full((2000,), 0.3989))
    assert drive.mean().abs() < 0.2 * drive.std()


def test_sparse_without_a_mask_is_refused():
    with pytest.raises(ValueError, match="`sparse` must be left out without `mask`"):
        EILinear(twins.POPS, 4, sparse=True)
    with pytest.raises(TypeError, match="`sparse` must be"):
        EILinear(twins.POPS, 4, mask=0.5, sparse="yes")
