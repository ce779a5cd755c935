import copy
import pickle

import pytest
import torch
from torch import nn

from daleml import Populations, _sparse_weights, law, signs
from daleml.layers import DANNLinear, EILinear, functional
from tests.catalog import LAYERS, invalid_layers, layers
from tests.reference.dann import dann

# -- laws over all layers ----------------------------------------------------------------------------------------------


@layers()
def test_is_lawful_from_the_start_and_after_a_reset(case):
    layer = case.build()
    assert signs.check(layer).n_parameters
    signs.check(layer).raise_for_violations()
    layer.reset_parameters()
    signs.check(layer).raise_for_violations()


@layers()
@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 3), (2, 0), (4, 1, 2)])
def test_any_leading_dimensions(case, leading):
    if len(case.in_shape) > 1 and len(leading) > 1:
        pytest.skip(
            "a convolution takes one image or one batch of them, as torch's does"
        )
    assert case.build()(torch.rand(*leading, *case.in_shape)).shape == (
        *leading,
        *case.out_shape,
    )


@layers()
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_dtype_is_kept(case, dtype):
    layer = case.build(dtype=dtype)
    assert {p.dtype for p in layer.parameters()} == {dtype}
    y = layer(torch.rand(3, *case.in_shape, dtype=dtype))
    assert y.dtype == dtype
    assert y.isfinite().all()
    signs.check(layer).raise_for_violations()


@layers()
def test_batched_equals_looped(case):
    layer = case.build(dtype=torch.float64)
    x = torch.rand(50, *case.in_shape, dtype=torch.float64)
    torch.testing.assert_close(
        layer(x), torch.stack([layer(row) for row in x]), rtol=1e-12, atol=1e-12
    )


@layers()
def test_vmap_equals_batched(case):
    layer = case.build(dtype=torch.float64)
    x = torch.rand(5, *case.in_shape, dtype=torch.float64)
    torch.testing.assert_close(
        torch.func.vmap(layer)(x), layer(x), rtol=1e-12, atol=1e-12
    )


@layers()
def test_generator_determines_the_weights_and_the_global_one_is_left_alone(case):
    layer, before = case.build(), torch.get_rng_state()
    drawn = []
    for seed in (1, 1, 2):
        layer.reset_parameters(torch.Generator().manual_seed(seed))
        drawn.append(
            torch.cat([p.detach().flatten().clone() for p in layer.parameters()])
        )
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.get_rng_state(), before)


@layers()
@pytest.mark.parametrize(
    "carry", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))]
)
def test_copies_compute_the_same(case, carry):
    layer = case.build()
    x = torch.rand(3, *case.in_shape)
    assert torch.equal(carry(layer)(x), layer(x))


@layers()
def test_state_dict_round_trips(case):
    one, other = case.build(), case.build()
    other.load_state_dict(one.state_dict())
    x = torch.rand(3, *case.in_shape)
    assert torch.equal(one(x), other(x))


@layers([case for case in LAYERS if len(case.in_shape) == 1])
def test_effective_weight_is_the_jacobian(case):
    """Of the layer itself, or with shunting of what it divides."""
    layer = case.build(dtype=torch.float64)
    x = torch.rand(*case.in_shape, dtype=torch.float64)
    if getattr(layer, "shunting", False):
        weights = layer.weight_ex, layer.weight_ix, layer.weight_ei
        jacobian = torch.func.jacrev(
            lambda x: functional.dann_linear(x, *weights, None)
        )(x)
    else:
        jacobian = torch.func.jacrev(layer)(x)
    weight = layer.effective_weight().to_dense()
    torch.testing.assert_close(weight, jacobian, rtol=1e-12, atol=1e-12)


@layers()
def test_gradients(case):
    layer = case.build(dtype=torch.float64)
    names = [name for name, _ in layer.named_parameters()]
    x = torch.rand(3, *case.in_shape, dtype=torch.float64, requires_grad=True)

    def call(x, *parameters):
        return torch.func.functional_call(
            layer, dict(zip(names, parameters, strict=True)), x
        )

    parameters = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    assert torch.autograd.gradcheck(call, (x, *parameters))


@layers()
def test_autocast(case):
    layer = case.build()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.rand(3, *case.in_shape)).isfinite().all()


@layers()
def test_compiles_whole(case):
    layer = case.build()
    x = torch.rand(3, *case.in_shape)
    torch.testing.assert_close(
        torch.compile(layer, backend="eager", fullgraph=True)(x), layer(x)
    )


@layers()
def test_is_registered_with_torch(case):
    layer = case.build()
    assert repr(layer).startswith(f"{type(layer).__name__}(")
    assert layer.train() is layer
    assert layer.eval() is layer
    known = (*law.BUFFERS, *_sparse_weights.BUFFERS)
    assert all(name.endswith(known) for name, _ in layer.named_buffers())


@invalid_layers()
def test_wrong_input_is_one_sentence(build, error, sentence):
    with pytest.raises(error) as raised:
        build()
    assert str(raised.value) == sentence


# -- column EI ---------------------------------------------------------------------------------------------------------


def test_ei_linear_is_nn_linear_with_signs():
    layer, plain = EILinear(Populations(4, 2), 3), nn.Linear(6, 3)
    plain.load_state_dict({"weight": layer.weight, "bias": layer.bias})
    x = torch.randn(5, 6)
    assert torch.equal(layer(x), plain(x))
    assert (layer.weight[:, :4] >= 0).all()
    assert (layer.weight[:, 4:] <= 0).all()


# -- DANN --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shunting", [False, True])
def test_dann_equals_the_loop(shunting):
    layer = DANNLinear(4, 3, 2, shunting=shunting, dtype=torch.float64)
    with torch.no_grad():
        layer.bias.normal_()
        if shunting:
            layer.alpha.normal_()
            layer.gain.uniform_()
    x = torch.rand(4, dtype=torch.float64)
    extra = (layer.alpha, layer.gain, layer.eps) if shunting else ()
    expected = dann(
        x, layer.weight_ex, layer.weight_ix, layer.weight_ei, layer.bias, *extra
    )
    torch.testing.assert_close(layer(x), torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_factored_and_effective_products_agree(monkeypatch):
    layer = DANNLinear(20, 10, 3, dtype=torch.float64)
    results = []
    for effective in (True, False):
        monkeypatch.setattr(
            functional, "prefers_effective", lambda *_, chosen=effective, **__: chosen
        )
        x = torch.rand(
            7, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        ).requires_grad_()
        layer.zero_grad()
        y = layer(x)
        y.square().sum().backward()
        results.append([y, x.grad, *(p.grad.clone() for p in layer.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_the_cheaper_product_is_chosen_by_size():
    """The crossings the operation counts predict for 500 outputs and 784 inputs: 305 and 383 rows."""
    for input_gradient, crossing in ((True, 305), (False, 383)):
        chosen = [
            functional.prefers_effective(n, 500, 784, input_gradient=input_gradient)
            for n in (crossing, crossing + 1)
        ]
        assert chosen == [False, True]


def test_calls_decide_for_small_layers():
    """Three products of ten interneurons cost less than the calls of the detour."""

    def chosen(rows, post, pre, n_inh):
        return {
            functional.prefers_effective(
                rows, post, pre, n_inh, input_gradient=input_gradient
            )
            for input_gradient in (True, False)
        }

    assert chosen(8, 100, 100, 10) == {True}
    assert chosen(1, 10, 100, 1) == {True}
    assert chosen(32, 500, 784, 50) == {False}
    assert chosen(383, 500, 784, 50) == {True}


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-8, 1e-6, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_shunting_is_finite_and_bounded_at_silence(scale, dtype):
    layer = DANNLinear(20, 10, 2, shunting=True, dtype=dtype)
    x = (scale * torch.rand(3, 20)).to(dtype).requires_grad_()
    y = layer(x)
    y.sum().backward()
    assert y.isfinite().all()
    for value in (x, *layer.parameters()):
        assert value.grad.isfinite().all()
    # Published code reaches 2.6e8 here; below the floor the derivative is the subtractive one times g / eps.
    assert (
        x.grad.abs().max()
        <= layer.effective_weight().sum(0).abs().max() / layer.eps * 1.1 + 1
    )


def test_signed_input_is_floored_not_divided_through_zero():
    layer = DANNLinear(6, 4, 2, shunting=True)
    x = -torch.rand(3, 6)
    torch.testing.assert_close(
        layer(x), x @ layer.effective_weight().T / layer.eps + layer.bias
    )


def test_shunting_normalises_scale():
    layer = DANNLinear(50, 10, 2, shunting=True, dtype=torch.float64)
    x = torch.rand(3, 50, dtype=torch.float64)
    torch.testing.assert_close(layer(x), layer(10 * x), rtol=1e-12, atol=1e-12)


def test_roles_and_corrections():
    layer = DANNLinear(16, 9, 2, shunting=True)
    scales = {
        name: declaration.lr_scale for name, _, declaration in signs.declared(layer)
    }
    expected = {
        "weight_ex": 1,
        "weight_ix": 1 / 3,
        "weight_ei": 1 / 16,
        "gain": 1,
        "alpha": 1 / 48,
        "bias": 1,
    }
    assert scales == pytest.approx(expected)


def test_defaults():
    layer = DANNLinear(4, 3, shunting=True)
    assert layer.eps == 1e-2
    assert layer.bias.tolist() == [0, 0, 0]
    assert layer.gain.tolist() == [1, 1, 1]


def test_the_product_is_chosen_by_what_backward_will_do(monkeypatch):
    asked = []
    monkeypatch.setattr(
        functional,
        "prefers_effective",
        lambda *_, input_gradient: asked.append(input_gradient),
    )
    layer, x = DANNLinear(4, 3), torch.rand(2, 4)
    layer(x)
    layer(x.clone().requires_grad_())
    with torch.no_grad():
        layer(x)
    assert asked == [False, True, True]


def test_default_number_of_interneurons():
    assert [DANNLinear(4, n).n_inh for n in (1, 9, 10, 57)] == [1, 1, 1, 5]


@pytest.mark.parametrize(
    "build",
    [
        lambda g: EILinear(Populations(4, 2), 3, generator=g),
        lambda g: DANNLinear(6, 3, generator=g),
    ],
)
def test_a_generator_draws_the_first_weights_too(build):
    state = torch.get_rng_state()
    one, other = (build(torch.Generator().manual_seed(1)) for _ in range(2))
    assert all(
        torch.equal(p, q)
        for p, q in zip(one.parameters(), other.parameters(), strict=True)
    )
    assert torch.equal(state, torch.get_rng_state())


def test_no_batch_size_has_a_graph_of_its_own():
    layer, graphs = DANNLinear(300, 200, n_inh=20, dtype=torch.float64), []

    def count(graph, _):
        graphs.append(graph)
        return graph

    compiled = torch.compile(layer, backend=count, dynamic=True)
    for n_rows in (2, 60, 200, 500):
        x = torch.rand(n_rows, 300, dtype=torch.float64)
        torch.testing.assert_close(compiled(x), layer(x))
    assert len(graphs) == 1


@pytest.mark.filterwarnings("ignore")  # torch's export warns of itself
def test_an_exported_layer_takes_batches_of_any_size():
    layer = DANNLinear(300, 200, n_inh=20, dtype=torch.float64)
    rows = torch.export.Dim("rows", min=2, max=4096)
    exported = torch.export.export(
        layer, (torch.rand(4, 300).double(),), dynamic_shapes=({0: rows},)
    )
    # On either side of where the layer itself changes its way.
    for n_rows in (2, 60, 200):
        x = torch.rand(n_rows, 300, dtype=torch.float64)
        torch.testing.assert_close(exported.module()(x), layer(x))
