"""Masks and later declarations: forward multiplies by what exists, and drawing anew keeps what was fixed."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from daleml import Populations, signs
from daleml.analysis import spectrum, weight_samples
from daleml.layers import (
    DANNRNN,
    EIRNN,
    DANNConv1d,
    DANNConv2d,
    DANNLinear,
    DANNRNNCell,
    EIConv1d,
    EIConv2d,
    EILinear,
    EIRNNCell,
    init,
)

POPS = Populations(4, 2)
LAYERS = {
    "EILinear": (lambda **kw: EILinear(POPS, 5, **kw), (6,)),
    "EILinear excitatory": (
        lambda **kw: EILinear(POPS, 5, excitatory_only=True, **kw),
        (6,),
    ),
    "EILinear one sign": (lambda **kw: EILinear(Populations(6), 5, **kw), (6,)),
    "DANNLinear": (lambda **kw: DANNLinear(6, 5, 2, **kw), (6,)),
    "DANNLinear shunting": (
        lambda **kw: DANNLinear(6, 5, 2, shunting=True, **kw),
        (6,),
    ),
    "EIConv1d": (lambda **kw: EIConv1d(POPS, 4, 2, **kw), (6, 5)),
    "EIConv2d": (lambda **kw: EIConv2d(POPS, 4, 2, groups=2, **kw), (6, 5, 4)),
    "DANNConv1d": (lambda **kw: DANNConv1d(6, 4, 2, 2, **kw), (6, 5)),
    "DANNConv2d": (lambda **kw: DANNConv2d(6, 4, 2, 2, shunting=True, **kw), (6, 5, 4)),
    "EIRNN": (
        lambda **kw: EIRNN(6, POPS, num_layers=2, train_initial_state=True, **kw),
        (5, 6),
    ),
    "EIRNN leaky": (lambda **kw: EIRNN(6, POPS, dt_ms=2, tau_ms=10, **kw), (5, 6)),
    "DANNRNN": (lambda **kw: DANNRNN(6, 5, 2, **kw), (5, 6)),
    "DANNRNN shunting": (lambda **kw: DANNRNN(6, 5, 2, shunting=True, **kw), (5, 6)),
    "EIRNNCell": (lambda **kw: EIRNNCell(6, POPS, **kw), (6,)),
    "DANNRNNCell": (lambda **kw: DANNRNNCell(6, 5, 2, **kw), (6,)),
}
layers = pytest.mark.parametrize(("build", "shape"), LAYERS.values(), ids=LAYERS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def signed(layer):
    """Names of the parameters that have signs, as they were declared."""
    return [name for name, declaration in layer._dale.items() if declaration.signed]


def masked(layer, seed=1):
    """Take away about half of every parameter that has signs; the absent values are left where they are."""
    for name in signed(layer):
        weight = getattr(layer, name)
        stored = layer.get_buffer(f"{name}_signs").flatten()
        present = torch.rand(weight.shape, generator=seeded(seed)) < 0.6
        present.view(-1)[0] = True
        old = layer._dale[name]
        signs.fix(
            layer,
            name,
            stored,
            present=present,
            role=old.role,
            lr_scale=old.lr_scale,
            replace=True,
        )
    return layer


def present(layer, name):
    return layer.get_buffer(f"{name}_present").bool()


def output(layer, x):
    found = layer(x)
    return found[0] if isinstance(found, tuple) else found


@layers
def test_absent_synapses_carry_no_current_and_have_no_gradient(build, shape):
    torch.manual_seed(0)
    layer = masked(build())
    with torch.no_grad():
        for name in signed(layer):
            getattr(layer, name).add_(0.1)  # absent synapses too
    clean = copy.deepcopy(layer)
    with torch.no_grad():
        for name in signed(clean):
            getattr(clean, name).masked_fill_(~present(clean, name), 0)
    x = torch.rand(3, *shape, generator=seeded(2))
    torch.testing.assert_close(output(layer, x), output(clean, x), rtol=0, atol=0)
    output(layer, x).square().sum().backward()
    for name in signed(layer):
        gradient = getattr(layer, name).grad
        if gradient is not None:
            assert (gradient[~present(layer, name)] == 0).all(), name
    for one, other in zip(effective(layer), effective(clean), strict=True):
        assert torch.equal(one, other)


def effective(layer):
    if hasattr(layer, "effective_weight"):
        return [layer.effective_weight()]
    found = layer.effective_weights()
    return [
        weight
        for one in ([found] if hasattr(found, "_fields") else found)
        for weight in one
    ]


@layers
def test_drawing_anew_keeps_what_was_fixed_later(build, shape):
    torch.manual_seed(0)
    layer = masked(build())
    for name in signed(layer):
        stored, mask = layer.get_buffer(f"{name}_signs").flatten(), present(layer, name)
        signs.fix(layer, name, stored, present=mask, role=f"my {name}", lr_scale=0.125)
    facts = {
        name: value.clone()
        for name, value in layer.named_buffers()
        if name.endswith(("_signs", "_present"))
    }
    declared = dict(layer._dale)
    before = {name: value.detach().clone() for name, value in layer.named_parameters()}
    layer.reset_parameters(seeded(4))
    layer.redraw_(draw=init.lognormal_, ratio=1.0, generator=seeded(5))
    assert layer._dale == declared
    for name, value in layer.named_buffers():
        if name in facts:
            assert torch.equal(value, facts[name]), name
    signs.check(layer).raise_for_violations()
    assert any(
        not torch.equal(before[name], value) for name, value in layer.named_parameters()
    )


def test_drawing_anew_takes_the_signs_there_are():
    layer = EILinear(POPS, 50)
    given = [1, -1, 1, -1, 1, 1]
    signs.fix(layer, "weight", given, replace=True)
    layer.reset_parameters(seeded())
    assert (layer.weight.sign() == torch.tensor(given)).all()
    means = layer.weight.detach().mean(0)
    assert means.sum().item() == pytest.approx(0, abs=0.3)


def test_a_mask_that_came_with_a_checkpoint_survives_a_reset():
    wired = EIRNN(3, POPS, mask=torch.ones(6, 6).triu(1))
    rnn = EIRNN(3, POPS, mask=torch.ones(6, 6).tril(-1))
    with signs.adopt_masks(rnn):
        rnn.load_state_dict(wired.state_dict())
    rnn.reset_parameters(seeded())
    assert torch.equal(present(rnn, "weight_hh_l0"), torch.ones(6, 6).triu(1).bool())
    assert (rnn.weight_hh_l0.tril() == 0).all()


@layers
def test_pruned_layers_are_drawn_and_scaled(build, shape):
    torch.manual_seed(0)
    layer = build()
    names = [name for name in signed(layer) if getattr(layer, name).ndim > 1]
    for name in names:
        prune.random_unstructured(layer, name, 0.3)
    masks = {name: layer.get_buffer(f"{name}_mask").clone() for name in names}
    before = {name: getattr(layer, f"{name}_orig").detach().clone() for name in names}
    layer.reset_parameters(seeded(3))
    for name in names:
        original = getattr(layer, f"{name}_orig").detach()
        assert torch.equal(layer.get_buffer(f"{name}_mask"), masks[name])
        assert torch.equal(getattr(layer, name), original * masks[name])
        assert not torch.equal(original, before[name])
    signs.check(layer).raise_for_violations()
    init.lognormal_model_(layer, generator=seeded(4))
    signs.check(layer).raise_for_violations()
    if hasattr(layer, "scale_recurrent_"):
        init.spectral_radius_(layer, 0.5)
        weights = layer.effective_weights()
        first = weights if hasattr(weights, "_fields") else weights[0]
        assert spectrum(first.recurrent).spectral_radius == pytest.approx(0.5, rel=1e-4)
    output(layer, torch.rand(3, *shape, generator=seeded(2)))


def test_reparametrised_weights_are_drawn_if_they_can_be_assigned():
    rnn = EIRNN(3, POPS)
    parametrizations.weight_norm(rnn, "weight_ih_l0")
    before = rnn.weight_ih_l0.detach().clone()
    rnn.reset_parameters(seeded(9))
    assert not torch.equal(rnn.weight_ih_l0, before)
    signs.check(rnn).raise_for_violations()

    class Softplus(nn.Module):
        def forward(self, x):
            return nn.functional.softplus(x)

    layer = DANNLinear(6, 5)
    nn.utils.parametrize.register_parametrization(layer, "weight_ix", Softplus())
    with pytest.raises(
        ValueError,
        match="`weight_ix` must be a parameter, or parametrised by what can be assigned to",
    ):
        layer.reset_parameters()
    turned = EILinear(POPS, 6)
    parametrizations.orthogonal(turned, "weight")
    with pytest.raises(
        ValueError,
        match="`weight` must keep its signs through its parametrisation to be written",
    ):
        turned.reset_parameters()


@pytest.mark.parametrize("fill", [init.balance_rows_, lambda w: init.spectral_radius_(w, 0.5), lambda w: init.low_rank_(w, 2), lambda w: init.svd_spectrum_(w, torch.ones(6))])  # fmt: skip
def test_a_computed_weight_is_no_place_to_write(fill):
    rnn = EIRNN(3, POPS)
    prune.random_unstructured(rnn, "weight_hh_l0", 0.3)
    with pytest.raises(
        ValueError,
        match="`weight` must be a parameter or a tensor of its own; got one computed from",
    ):
        fill(rnn.weight_hh_l0)
    fill(rnn.weight_hh_l0_orig)
    with pytest.raises(
        ValueError, match="`weight` must have values; got a tensor on the meta device"
    ):
        fill(torch.empty(6, 6, device="meta"))


def test_rows_of_a_circuit_are_balanced_as_they_act():
    rnn = EIRNN(3, Populations(80, 20), num_layers=2, mask=0.3, generator=seeded())
    init.balance_rows_(rnn)
    for layer in rnn.effective_weights():
        rows = layer.recurrent.detach().sum(1) / layer.recurrent.detach().abs().sum(1)
        assert rows.abs().max() < 1e-5
    signs.check(rnn).raise_for_violations()
    with pytest.raises(
        TypeError, match="`weight` must be a matrix or a column-EI circuit; got DANNRNN"
    ):
        init.balance_rows_(DANNRNN(3, 6))


@layers
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_drawing_in_half_precision(build, shape, dtype):
    layer = build().to(dtype)
    layer.reset_parameters(seeded())
    init.lognormal_model_(layer, generator=seeded())
    assert all(parameter.isfinite().all() for parameter in layer.parameters())
    signs.check(layer).raise_for_violations()
    if hasattr(layer, "scale_recurrent_"):
        init.spectral_radius_(layer, 0.5)


@layers
def test_every_layer_can_be_made_on_meta_and_filled(build, shape):
    with torch.device("meta"):
        layer = build()
    assert all(parameter.is_meta for parameter in layer.parameters())
    layer.reset_parameters()
    layer = layer.to_empty(device="cpu")
    for _, buffer in layer.named_buffers():
        buffer.zero_()  # memory that nobody filled
    layer.reset_parameters(seeded(3))
    whole = build(generator=seeded(3))
    whole.reset_parameters(seeded(3))
    for name, value in whole.state_dict().items():
        assert torch.equal(layer.state_dict()[name], value), name
    output(layer, torch.rand(3, *shape))


def test_masks_and_graphs_on_meta_and_under_another_default_dtype():
    import networkx as nx

    graph = nx.DiGraph([("a", "b"), ("b", "a")])
    nx.set_node_attributes(graph, {"a": 1, "b": -1}, "sign")
    with torch.device("meta"):
        assert EIRNN.from_graph(
            graph, 3, dt_ms=1, tau_ms={"a": 10, "b": 20}
        ).weight_hh_l0.is_meta
        assert EIRNN(
            3, POPS, mask=0.5, input_mask=0.5, dt_ms=1, tau_ms=[9.0] * 6
        ).weight_hh_l0.is_meta
    torch.set_default_dtype(torch.bfloat16)
    try:
        rnn = EIRNN(3, POPS, mask=0.5, dt_ms=1, tau_ms=[9.3] * 6)
    finally:
        torch.set_default_dtype(torch.float32)
    assert rnn.weight_hh_l0.dtype == rnn.leak.dtype == torch.bfloat16
    assert rnn.tau_ms.tolist() == [9.3] * 6


def test_a_kernel_in_another_order_of_memory_is_drawn():
    for build in (lambda: EIConv2d(POPS, 4, 2), lambda: DANNConv2d(6, 4, 2)):
        layer = build().to(memory_format=torch.channels_last)
        name = "weight" if isinstance(layer, EIConv2d) else "weight_ex"
        before = getattr(layer, name).detach().clone()
        layer.reset_parameters(seeded(9))
        plain = build()
        plain.reset_parameters(seeded(9))
        assert not torch.equal(getattr(layer, name), before)
        assert torch.equal(getattr(layer, name), getattr(plain, name))


def test_samples_are_of_the_synapses_that_exist():
    layer = masked(EILinear(POPS, 50))
    total = sum(sample.n + sample.n_zero for sample in weight_samples(layer).values())
    assert total == int(present(layer, "weight").sum())
