"""Masks, strengths, fixed synapses and factors of dense and convolutional layers, by pathway."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, linear

from daleml import Populations, signs
from daleml.layers import Blocks, EIConv1d, EIConv2d, EILinear, Readout
from daleml.optim import EG, enforce
from tests.catalog import LAYERS, optimizers

PRE = Populations.of(exc={"V1.E": 6, "V1.L": 2}, inh={"V1.I": 4})
POST = Populations.of(exc={"PFC.E": 6}, inh={"PFC.I": 2})
DENSITIES = Blocks({"V1.E->*": 0.8, "V1.I->PFC.E": 0.5, "V1.L->PFC.I": 1})


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(densities, seed=0):
    return torch.rand(densities.shape, generator=seeded(seed)) < densities


def test_a_dense_mask_of_blocks_is_the_one_drawn_by_hand():
    layer = EILinear(PRE, POST, mask=DENSITIES, generator=seeded())
    expected = drawn(DENSITIES.matrix(POST, PRE))
    assert torch.equal(layer.weight_present.bool(), expected)
    assert torch.equal(layer.weight != 0, expected)
    assert (layer.in_features, layer.out_features) == (12, 8)
    assert torch.equal(layer.output_signs(), POST.signs())
    assert EILinear(PRE, 8).output_signs() is None
    x = torch.rand(3, 12)
    torch.testing.assert_close(layer(x), linear(x, layer.weight * expected, layer.bias))
    # Rows that read both signs start balanced.
    sums = layer.weight.detach().sum(1)
    both = (layer.weight > 0).any(1) & (layer.weight < 0).any(1)
    torch.testing.assert_close(
        sums[both], torch.zeros(int(both.sum())), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_a_mask_of_channels_is_one_of_all_taps(groups):
    layer = EIConv2d(
        PRE, POST, (3, 2), groups=groups, mask=DENSITIES, generator=seeded()
    )
    by_pair = drawn(DENSITIES.matrix(POST, PRE))
    if groups == 2:
        by_pair = torch.cat([by_pair[:4, :6], by_pair[4:, 6:]])
    expected = by_pair[:, :, None, None].expand_as(layer.weight)
    assert torch.equal(layer.weight != 0, expected)
    x = torch.rand(2, 12, 5, 5)
    by_hand = conv2d(x, layer.weight * expected, layer.bias, groups=groups)
    torch.testing.assert_close(layer(x), by_hand)
    rows = layer.weight.detach().flatten(1)
    both = (rows > 0).any(1) & (rows < 0).any(1)
    assert both.any() or groups == 2
    assert (rows.sum(1)[both].abs() < 1e-5).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda **kw: EILinear(PRE, POST, **kw),
        lambda **kw: EIConv1d(PRE, POST, 3, **kw),
        lambda **kw: EIConv2d(PRE, POST, 2, groups=2, **kw),
    ],
    ids=["EILinear", "EIConv1d", "EIConv2d"],
)
def test_strengths_fixed_synapses_and_factors(make):
    strength = Blocks({"V1.E->*": 3}, default=1)
    plain, graded = (
        make(generator=seeded()),
        make(generator=seeded(), strength=strength),
    )
    ratio = (graded.weight / plain.weight).detach()
    # Without strengths 4 inhibitory units are made as strong together as all excitatory ones.
    if ratio.ndim < 4:
        assert torch.allclose(ratio[:, :6], 3 * (8 / 4) * ratio[:, -1:])
        means = torch.tensor([1.0] * 8 + [8 / 4] * 4).view(12, *[1] * (ratio.ndim - 2))
        kept = (ratio * means).square().mean() / means.square().mean()
        assert abs(float(kept) - 1) < 1e-5
    else:  # in the second group to 2 excitatory channels
        assert torch.allclose(ratio[:4], ratio[:1, :1, :1, :1])
        assert torch.allclose(ratio[4:, :2], (2 / 4) * ratio[4:, -1:])
    layer = make(
        generator=seeded(), mask=0.9, fixed=Blocks({"V1.I->*": 1}),
        lr_scale=Blocks({"V1.E->*": 0}, default=1), dtype=torch.float64,
    )  # fmt: skip
    begun = copy.deepcopy(layer)
    shape = (
        (3, 12)
        if isinstance(layer, EILinear)
        else (3, 12, *[5] * (layer.weight.ndim - 2))
    )
    for optimizer in (
        torch.optim.AdamW(layer.parameters(), 0.1),
        EG(layer.parameters(), 0.1),
    ):
        with enforce(optimizer, layer):
            for _ in range(2):
                optimizer.zero_grad()
                (
                    layer(torch.rand(shape, dtype=torch.float64)) - 1
                ).square().mean().backward()
                optimizer.step()
        signs.check(layer).raise_for_violations()
    which = layer.weight_fixed.bool()
    assert torch.equal(layer.effective_weight()[which], begun.weight[which])
    sent = torch.tensor([True] * 6 + [False] * 6)
    if isinstance(layer, EIConv2d):
        assert torch.equal(layer.weight[:4], begun.weight[:4])
        assert not torch.equal(layer.weight[4:], begun.weight[4:])
    else:
        assert torch.equal(layer.weight[:, sent], begun.weight[:, sent])
        assert not torch.equal(layer.weight[:, 6:8], begun.weight[:, 6:8])
    again = make(
        generator=seeded(4), mask=0.9, fixed=Blocks({"V1.I->*": 1}), dtype=torch.float64
    )
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again.effective_weight(), layer.effective_weight())


def test_the_excitatory_units_alone_have_names_too():
    layer = EILinear(PRE, 3, excitatory_only=True, mask=Blocks({"V1.E->*": 1}))
    assert torch.equal(
        layer.weight != 0, torch.tensor([True] * 6 + [False] * 2).expand(3, 8)
    )
    with pytest.raises(ValueError, match=r"`mask\['V1.I->E'\]` must name one of"):
        EILinear(PRE, 3, excitatory_only=True, mask=Blocks({"V1.I->E": 1}))


def test_a_dense_layer_reads_units_without_a_sign():
    layer = EILinear(PRE, 40, input_signed={"V1.L": False, "V1.E": True, "V1.I": True})
    free = layer.weight[:, 6:8]
    assert (free < 0).any()
    assert (free > 0).any()
    assert str(signs.check(layer).unjudged[0]).endswith(
        "weight without a sign, 80 synapses"
    )
    layer.reset_parameters()
    assert signs.check(layer)


def test_a_chain_of_areas_reads_excitatory_units_only():
    """What a stack of layers is for which only excitatory units project upwards."""
    net = nn.Sequential(
        EILinear(PRE, POST, mask=Blocks({"V1.E->*": 0.9}), generator=seeded()),
        nn.ReLU(),
        EILinear(POST, 2, mask=Blocks({"PFC.E->*": 1})),
    )
    assert (net[2].weight[:, 6:] == 0).all()
    assert signs.check(net)
    assert len(list(signs.named(net))) == 2


@pytest.mark.parametrize(
    ("build", "error", "sentence"),
    [
        (lambda: EILinear(PRE, 3, mask=Blocks({"V1->*": 2})), ValueError, "`mask['V1.E->E']` must be"),
        (lambda: EILinear(PRE, 3, mask=torch.ones(2, 2)), ValueError, "`mask` must have shape (3, 12)"),
        (lambda: EILinear(PRE, 3, strength=Blocks({"V1->E": -1})), ValueError, "`strength` must be finite"),
        (lambda: EIConv2d(PRE, 3, 2, fixed=Blocks({"V1->E": 0.5})), ValueError, "`fixed` must hold 0 and 1"),
        (lambda: EIConv2d(PRE, 3, 2, lr_scale=3), TypeError, "`lr_scale` must be Blocks or a matrix"),
        (lambda: EIConv2d(PRE, 3, 2, masks=3), TypeError, "EIConv2d"),
        (lambda: EILinear(PRE, 3, masks=3), TypeError, "EILinear"),
    ],
)  # fmt: skip
def test_what_a_layer_cannot_have_is_refused(build, error, sentence):
    with pytest.raises(error) as refused:
        build()
    assert str(refused.value).startswith(sentence)


def test_a_readout_may_read_one_area():
    readout = Readout(PRE, 2, mask=Blocks({"V1.L->*": 1}))
    assert torch.equal(readout.weight != 0, (torch.arange(8) >= 6).expand(2, 8))
    assert readout((torch.rand(4, 3, 12), None)).shape == (4, 3, 2)
    with pytest.raises(TypeError, match="Readout"):
        Readout(PRE, 2, masks=1)


BY_PATHWAYS = [
    case
    for case in LAYERS
    if case.name in ("EILinear by pathways", "EIConv2d by pathways")
]


@optimizers()
def test_fixed_synapses_of_layers_act_alike_under_every_optimiser(optimizer):
    assert len(BY_PATHWAYS) == 2
    for case in BY_PATHWAYS:
        if optimizer.matrices_only and len(case.in_shape) > 1:
            continue
        for guarded in (False, True):
            layer, x = case.build(), torch.rand(2, *case.in_shape)
            before = layer.effective_weight().detach().clone()
            which, present = layer.weight_fixed.bool(), layer.weight_present.bool()
            learning = optimizer.build([layer.weight], 0.3)
            if guarded:
                enforce(learning, layer)

            def closure(layer=layer, x=x, learning=learning):
                learning.zero_grad()
                loss = (layer(x) - 1).square().mean()
                loss.backward()
                return loss

            for _ in range(2):
                learning.step(closure)
            after = layer.effective_weight().detach()
            assert torch.equal(after[which], before[which]), case.name
            assert (after[~present] == 0).all()
            assert not torch.equal(after, before)
            if guarded:
                signs.check(layer).raise_for_violations()
