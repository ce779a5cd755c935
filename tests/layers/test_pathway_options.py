"""What pathways differ in: their strengths, their balance, how quickly they learn, and their signs."""

import copy
import pickle

import networkx as nx
import pytest
import torch
from torch import nn

from daleml import Populations, signs, train
from daleml.analysis import spectrum
from daleml.layers import (
    EIRNN,
    Blocks,
    EIConv1d,
    EILinear,
    EIRNNCell,
    Readout,
    init,
)
from daleml.learning import EvolutionStrategy, Oja
from daleml.optim import (
    EG,
    EGAdamW,
    MirrorDescent,
    Reparametrization,
    enforce,
    param_groups,
)
from daleml.potentials import PNorm
from tests.catalog import optimizers

POPS = Populations.of(exc={"E": 6}, inh={"PV": 2, "SST": 2})
INPUTS = Populations.of(exc={"stimulus": 2, "context": 2}, inh={"silencing": 1})


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def eirnn(**options):
    return EIRNN(INPUTS, POPS, **{"generator": seeded(), **options})


# -- strengths

STRENGTH = Blocks({"E->E": 1, "E->PV": 3, "PV->*": 2, "SST->E": 0.5}, default=0.25)


@pytest.mark.parametrize("make", [EIRNN, EIRNNCell])
def test_strengths_are_in_the_proportions_of_the_blocks(make):
    plain = make(INPUTS, POPS, generator=seeded(), mask=0.6)
    graded = make(
        INPUTS, POPS, generator=seeded(), mask=0.6, strength=STRENGTH,
        input_strength=torch.arange(50.0).reshape(10, 5),
    )  # fmt: skip
    by_hand = plain.weight_hh_l0 if make is EIRNN else plain.weight_hh
    # A plain circuit has 6 excitatory units for 4 inhibitory ones, each stronger by as much.
    factors = STRENGTH.matrix(POPS, POPS) * torch.tensor([1.0] * 6 + [4 / 6] * 4)
    by_hand = by_hand.detach() * factors
    init.spectral_radius_(by_hand, 0.95)
    found = graded.weight_hh_l0 if make is EIRNN else graded.weight_hh
    torch.testing.assert_close(found.detach(), by_hand)
    # Of inputs, 4 that excite and one that is 4 times as strong, the mean square is kept.
    first, second = (next(iter(one.parameters())).detach() for one in (plain, graded))
    graded_inputs = torch.arange(50.0).reshape(10, 5) / (49 * 99 / 6) ** 0.5
    relative = torch.tensor([1.0, 1.0, 1.0, 1.0, 4.0])
    size = relative.square().mean().sqrt()
    torch.testing.assert_close(second, first * graded_inputs * size / relative)
    # Drawing anew keeps them.
    graded.reset_parameters(seeded(1))
    plain.reset_parameters(seeded(1))
    again = [
        one.weight_hh_l0 if make is EIRNN else one.weight_hh for one in (graded, plain)
    ]
    ratio = again[0] / again[1] / factors
    ratio = ratio[again[1] != 0]
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))


def test_a_strength_is_that_of_a_synapse_whatever_its_sign():
    """Few inhibitory units are not made stronger, as they are where nobody says how strong."""
    units = Populations.of(exc={"E": 120}, inh={"PV": 20, "SST": 10})
    inputs = Populations.of(exc={"seen": 40, "free": 20}, inh={"off": 10})
    strength = Blocks({"E->*": 1, "E->PV": 2, "PV->*": 3, "SST->*": 0.5})
    rnn = EIRNN(
        inputs, units, strength=strength, mask=Blocks({"*->*": 0.8}),
        input_strength=Blocks({"seen->*": 1, "free->*": 2, "off->*": 4}),
        input_signed={"seen": True, "free": False, "off": True}, generator=seeded(),
    )  # fmt: skip
    layer = EILinear(units, units, strength=strength, generator=seeded())
    conv = EIConv1d(units, units, 2, strength=strength, generator=seeded())
    for weight in (rnn.weight_hh_l0, layer.weight, conv.weight):
        sizes = {
            pathway: float(block[block != 0].abs().mean())
            for pathway, block in blocks_of(weight.detach(), units, units)
        }
        for pathway, expected in strength.by_pathway(units, units).items():
            found = sizes[pathway] / sizes["E->E"]
            assert found == pytest.approx(expected, rel=0.25), pathway
    free = dict(blocks_of(rnn.weight_ih_l0.detach(), units, inputs))
    means = [free[f"{name}->E"].abs().mean() for name in ("seen", "free", "off")]
    torch.testing.assert_close(
        torch.stack(means) / means[0], torch.tensor([1.0, 2, 4]), rtol=0.1, atol=0
    )


def blocks_of(weight, post, pre):
    for source in pre.names:
        for target in post.names:
            yield f"{source}->{target}", weight[post[target], pre[source]]


def test_the_bias_cancels_what_graded_inputs_add_up_to():
    strength = torch.rand(10, 4, generator=seeded()) + 0.1
    circuits = [
        EIRNN(4, POPS, input_mean=0.5, input_strength=strength, input_mask=0.6,
              generator=seeded(i)) for i in range(60)
    ]  # fmt: skip
    drive = torch.stack([one.weight_ih_l0.detach().sum(1) * 0.5 for one in circuits])
    bias = torch.stack([one.bias_ih_l0.detach() for one in circuits])
    left = drive + bias
    assert left.mean(0).abs().max() < 0.2 * drive.mean()


@pytest.mark.parametrize(
    ("option", "given", "sentence"),
    [
        ("strength", Blocks({"E->E": -1}), "`strength` must be finite and at least 0; got -1."),
        ("strength", Blocks({"E->E": 0}), "`strength` must be above 0 somewhere; got zeros only."),
        ("strength", torch.ones(2, 2), "`strength` must have shape (10, 10), (post, pre); got (2, 2)."),
        ("strength", 0.5, "`strength` must be Blocks or a matrix of numbers; got 0.5."),
        ("lr_scale", torch.full((10, 10), torch.nan), "`lr_scale` must be finite and at least 0; got nan."),
        ("lr_scale", Blocks({"E->E": -0.5}), "`lr_scale` must be finite and at least 0; got -0.5."),
        ("input_lr_scale", Blocks({"E->E": 1}), "`input_lr_scale['E->E']` must name one of"),
        ("input_signed", 1, "`input_signed` must be True or False; got 1."),
        ("input_signed", {"stimulus": True}, "`input_signed` must have a value for every population"),
        ("input_signed", {"*": "no"}, "`input_signed` must be True or False; got 'no'."),
    ],
    ids=str,
)  # fmt: skip
def test_what_pathways_cannot_have_is_refused(option, given, sentence):
    with pytest.raises((TypeError, ValueError)) as refused:
        eirnn(**{option: given})
    assert str(refused.value).startswith(sentence)


# -- balance


RING = nx.DiGraph(
    [(unit, (unit + step) % 10) for unit in range(10) for step in (1, 3, 4)]
)
STRUCTURED = {
    "blocks": Blocks({"E->*": 0.9, "PV->*": 0.8, "SST->E": 1}),
    "matrix": torch.rand(10, 10, generator=seeded(3)) < 0.6,
    "graph": RING,
}


@pytest.mark.parametrize("mask", STRUCTURED.values(), ids=STRUCTURED)
def test_rows_under_a_structured_mask_are_balanced(mask):
    n_balanced = 0
    for seed in range(10):
        rnn = eirnn(mask=mask, generator=seeded(seed))
        for weights in rnn.effective_weights():
            weight = weights.recurrent.detach().double()
            excitation, inhibition = (
                weight.clamp(min=0).sum(1),
                -weight.clamp(max=0).sum(1),
            )
            both = (excitation > 0) & (inhibition > 0)
            torch.testing.assert_close(
                excitation[both], inhibition[both], rtol=1e-5, atol=0
            )
            n_balanced += int(both.sum())
            assert 0.1 < spectrum(weight).spectral_radius < 0.9501
    assert n_balanced > 40


def test_strengths_say_themselves_how_strong_inhibition_is():
    mask = Blocks({"*->*": 1})
    ratio = []
    for strength in (
        Blocks({"E->*": 1, "PV->*": 1, "SST->*": 1}),
        Blocks({"E->*": 3}, default=1),
    ):
        weight = eirnn(mask=mask, strength=strength).weight_hh_l0.detach()
        ratio.append(weight[:, :6].sum() / -weight[:, 6:].sum())
    torch.testing.assert_close(ratio[1], 3 * ratio[0])


def test_plain_circuits_are_what_they_were():
    """A density leaves every row balanced on average only, as before there were blocks."""
    weight = eirnn(mask=0.5).effective_weights()[0].recurrent.sum(1)
    assert (weight.abs() > 0.01).any()


@pytest.mark.parametrize(
    "options",
    [
        {"input_strength": Blocks({"s->*": 1, "c->*": 3})},
        {"input_mask": Blocks({"s->*": 0.4, "c->*": 1})},
    ],
    ids=["strength", "mask"],
)
def test_the_bias_cancels_what_inputs_with_a_sign_add_up_to(options):
    inputs = Populations.of(exc={"s": 60, "c": 60})
    rnn = EIRNN(
        inputs, Populations(120, 30), input_mean=0.5, generator=seeded(),
        input_signed={"s": True, "c": False}, **options,
    )  # fmt: skip
    with_sign = rnn.effective_weights()[0].input[:, :60].detach()
    left = 0.5 * with_sign.sum(1).mean() + rnn.bias_ih_l0.detach().mean()
    assert abs(left) < 0.05 * 0.5 * with_sign.sum(1).mean()
    # Without values there is nothing to add up.
    without = {"input_signed": {"s": True, "c": False}, "device": "meta"}
    assert EIRNN(inputs, POPS, **options, **without).bias_ih_l0.is_meta


# -- learning


def step(model, optimizer, x, clip=None):
    def closure():
        optimizer.zero_grad()
        loss = (model(x)[0] - 1).square().sum()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        return loss

    optimizer.step(closure)


FACTORS = Blocks({"E->E": 0, "E->PV": 0.25, "PV->*": 2}, default=1)


@pytest.mark.parametrize(
    "build",
    [
        lambda ps: torch.optim.SGD(ps, 0.01),
        lambda ps: torch.optim.SGD(ps, 0.01, momentum=0.9, weight_decay=0.1),
        lambda ps: torch.optim.Adam(ps, 0.01),
        lambda ps: torch.optim.LBFGS(ps, 0.01),
        lambda ps: MirrorDescent(ps, 0.01, PNorm(3)),
    ],
    ids=["SGD", "momentum", "Adam", "LBFGS", "mirror"],
)
def test_the_whole_update_is_scaled(build):
    """The first step of a circuit without factors, times the factors, projected."""
    x = torch.rand(4, 5, 5, generator=seeded())
    plain, scaled = (
        eirnn(dtype=torch.float64),
        eirnn(dtype=torch.float64, lr_scale=FACTORS),
    )
    begun = plain.weight_hh_l0.detach().clone()
    assert torch.equal(begun, scaled.weight_hh_l0)
    bare = build(plain.parameters())
    step(plain, bare, x.double())
    with enforce(guarded := build(scaled.parameters()), scaled):
        step(scaled, guarded, x.double())
    factors = FACTORS.matrix(POPS, POPS, dtype=torch.float64)
    moved = begun + factors * (plain.weight_hh_l0.detach() - begun)
    sign = POPS.signs(dtype=torch.float64)
    expected = (moved * sign).clamp(min=0) * sign
    expected.fill_diagonal_(0)
    torch.testing.assert_close(scaled.weight_hh_l0.detach(), expected)
    still = factors == 0
    assert torch.equal(scaled.weight_hh_l0[still], begun[still])


@pytest.mark.parametrize(
    "build",
    [lambda ps, lr: EG(ps, lr), lambda ps, lr: EGAdamW(ps, lr, weight_decay=0.1),
     lambda ps, lr: MirrorDescent(ps, lr)],
    ids=["EG", "EGAdamW", "MirrorDescent"],
)  # fmt: skip
@pytest.mark.parametrize("factor", [0.0, 0.3, 2.5])
def test_factors_are_learning_rates_of_exponentiated_gradient(build, factor):
    x = torch.rand(4, 5, 5, generator=seeded()).double()
    slow = eirnn(dtype=torch.float64, input_signed=True)
    scaled = eirnn(dtype=torch.float64, lr_scale=Blocks({"*->*": factor}))
    step(slow, build([slow.weight_hh_l0], 0.1 * factor), x)
    optimizer = build([scaled.weight_hh_l0], 0.1)
    with enforce(optimizer, scaled, partial=True):
        step(scaled, optimizer, x)
    torch.testing.assert_close(scaled.weight_hh_l0.detach(), slow.weight_hh_l0.detach())


@pytest.mark.parametrize("kind", [EG, EGAdamW, MirrorDescent])
def test_optimisers_of_ours_apply_factors_that_param_groups_know_of(kind):
    rnn = eirnn(lr_scale=FACTORS)
    optimizer = kind(param_groups(rnn, 0.1), 0.1)
    begun = rnn.weight_hh_l0.detach().clone()
    step(rnn, optimizer, torch.rand(4, 5, 5))
    assert torch.equal(rnn.weight_hh_l0[:6, :6], begun[:6, :6])
    assert not torch.equal(rnn.weight_hh_l0, begun)
    plain = kind(param_groups(eirnn(), 0.1), 0.1)
    assert "_dale_guards" not in vars(plain)


@optimizers()
def test_a_pathway_of_factor_0_stays_under_every_optimiser(optimizer):
    rnn = eirnn(lr_scale=FACTORS, input_lr_scale=Blocks({"context->*": 0}, default=1))
    begun = copy.deepcopy(rnn)
    parameters = [
        p for p in rnn.parameters() if p.ndim == 2 or not optimizer.matrices_only
    ]
    attached = optimizer.build(parameters, 0.2)
    enforce(attached, rnn, partial=optimizer.matrices_only)
    for _ in range(3):
        step(rnn, attached, torch.rand(4, 5, 5), clip=0.1)
    assert torch.equal(rnn.weight_hh_l0[:6, :6], begun.weight_hh_l0[:6, :6])
    assert torch.equal(rnn.weight_ih_l0[:, 2:4], begun.weight_ih_l0[:, 2:4])
    if rnn.weight_ih_l0.isfinite().all():
        assert not torch.equal(rnn.weight_ih_l0, begun.weight_ih_l0)
        signs.check(rnn).raise_for_violations()


@pytest.mark.parametrize(
    "carry", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))]
)
def test_factors_go_with_copies_and_casts(carry):
    rnn = eirnn(lr_scale=FACTORS)
    optimizer = torch.optim.Adam(rnn.parameters(), 0.1)
    enforce(optimizer, rnn)
    rnn, optimizer = carry((rnn, optimizer))
    for cast in (rnn, rnn.bfloat16(), rnn.float()):
        begun = cast.weight_hh_l0.detach().clone()
        step(cast, optimizer, torch.rand(4, 5, 5, dtype=begun.dtype))
        assert torch.equal(cast.weight_hh_l0[:6, :6], begun[:6, :6])
        assert not torch.equal(cast.weight_hh_l0[6:, :6], begun[6:, :6])
    rnn.reset_parameters()
    begun = rnn.weight_hh_l0.detach().clone()
    step(rnn, optimizer, torch.rand(4, 5, 5))
    assert torch.equal(rnn.weight_hh_l0[:6, :6], begun[:6, :6])


def test_a_wrapper_scales_once():
    class Twice(torch.optim.Optimizer):
        """Steps by another optimiser, and then goes half of the way back, as Lookahead does."""

        def __init__(self, base):
            self.base = base
            super().__init__(base.param_groups, {})

        def step(self, closure=None):
            before = [p.detach().clone() for p in self.base.param_groups[0]["params"]]
            self.base.step()
            with torch.no_grad():
                for p, old in zip(
                    self.base.param_groups[0]["params"], before, strict=True
                ):
                    p.copy_((p + old) / 2)

    x = torch.rand(4, 5, 5, generator=seeded())
    results = []
    for factor, lr in ((0.5, 0.02), (1.0, 0.01)):
        rnn = eirnn(lr_scale=Blocks({"*->*": factor}))
        optimizer = Twice(torch.optim.SGD([rnn.weight_hh_l0], lr))
        enforce(optimizer, rnn, partial=True)
        (rnn(x)[0] - 1).square().sum().backward()
        optimizer.step()
        results.append(rnn.weight_hh_l0.detach())
    torch.testing.assert_close(*results)


def test_a_step_that_breaks_off_is_scaled_too():
    class Breaks(torch.optim.SGD):
        def step(self, closure=None):
            super().step()
            raise KeyboardInterrupt

    rnn = eirnn(lr_scale=FACTORS)
    begun = rnn.weight_hh_l0.detach().clone()
    optimizer = Breaks(rnn.parameters(), 0.1)
    enforce(optimizer, rnn)
    rnn(torch.rand(4, 5, 5))[0].sum().backward()
    with pytest.raises(KeyboardInterrupt):
        optimizer.step()
    assert torch.equal(rnn.weight_hh_l0[:6, :6], begun[:6, :6])
    assert not torch.equal(rnn.weight_hh_l0, begun)


def test_factors_of_a_weight_that_is_computed_are_refused():
    rnn = eirnn(lr_scale=FACTORS)
    with pytest.raises(
        ValueError, match="`weight_hh_l0` must have no factors on what its synapses"
    ):
        Reparametrization().attach(rnn, 0.1)


def test_factors_on_any_parameter():
    layer = nn.Linear(3, 2)
    factors = torch.tensor([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    signs.fix(layer, "weight", [None, None, None], lr_scale=factors)
    with pytest.raises(
        ValueError, match="`lr_scale` must be a number, or have the shape"
    ):
        signs.fix(layer, "weight", [None, None, None], lr_scale=torch.ones(3))
    begun = layer.weight.detach().clone()
    optimizer = torch.optim.AdamW(layer.parameters(), 0.1)
    with enforce(optimizer, layer):
        layer(torch.rand(2, 3)).sum().backward()
        optimizer.step()
    assert torch.equal(layer.weight == begun, factors == 0)
    signs.release(layer, "weight")
    with pytest.raises(ValueError, match="whose signs are fixed"):
        enforce(optimizer, layer)


# -- inputs without a sign


def test_inputs_without_a_sign_beside_others():
    rnn = eirnn(
        input_signed={"stimulus": True, "context": False, "silencing": True},
        input_mask=Blocks({"*->*": 0.9}),
    )
    free = rnn.weight_ih_l0[:, 2:4]
    assert (free < 0).any()
    assert (free > 0).any()
    assert (rnn.weight_ih_l0[:, :2] >= 0).all()
    assert (rnn.weight_ih_l0[:, 4] <= 0).all()
    assert rnn.weight_ih_l0_signs.tolist() == [1, 1, 100, 100, -1]
    ((_, _, first), (_, _, second)) = signs.named(rnn)
    assert first.tolist() == [1, 1, 0, 0, -1]
    assert second.tolist() == POPS.signs().tolist()
    n_free = int(rnn.weight_ih_l0_present[:, 2:4].sum())
    n_rest = int(rnn.weight_ih_l0_present.sum()) - n_free
    for report in (signs.check(rnn), signs.check(rnn.state_dict())):
        assert report
        assert report.n_units == 3 + 10
        assert report.n_synapses == n_rest + 90
        assert str(report.unjudged[0]) == (
            f"2 units of weight_ih_l0 without a sign, {n_free} synapses"
        )
    assert "weights of one matrix" not in str(report)


def test_inputs_without_any_sign_are_said_not_to_be_judged():
    rnn = eirnn(input_signed=False)
    report = signs.check(rnn)
    assert report.n_parameters == 1
    assert str(report) == (
        "Dale's law holds for the 1 of 2 weights that have signs (10 units, 90 synapses); not"
        " under the law: weight_ih_l0, 50 synapses."
    )
    assert list(report.to_dict()["unjudged"]) == [
        {"parameter": "weight_ih_l0", "n_synapses": 50}
    ]


@optimizers()
def test_what_has_no_sign_learns_freely_and_the_rest_keeps_the_law(optimizer):
    rnn = eirnn(
        input_signed={"*": False}, input_mask=Blocks({"context->*": 0}, default=1)
    )
    parameters = [
        p for p in rnn.parameters() if p.ndim == 2 or not optimizer.matrices_only
    ]
    attached = optimizer.build(parameters, 0.1)
    enforce(attached, rnn, partial=optimizer.matrices_only)
    begun = rnn.weight_ih_l0.detach().clone()
    for _ in range(3):
        step(rnn, attached, torch.rand(4, 5, 5), clip=0.1)
    signs.check(rnn).raise_for_violations()
    if optimizer.name in ("SGD", "Adam", "RMSprop"):
        assert (rnn.weight_ih_l0 * begun < 0).any()
    assert (rnn.weight_ih_l0[:, 2:4] == 0).all()


def test_a_mixed_input_drives_as_strongly_as_a_signed_one():
    """Unit variance over units and rectified Gaussian inputs together."""
    inputs = Populations.of(exc={"a": 40, "b": 30}, inh={"c": 30})
    x = torch.randn(500, 100, generator=seeded()).relu()
    for signed in (True, False, {"a": True, "b": False, "c": True}):
        rnn = EIRNN(inputs, Populations(100), input_signed=signed, generator=seeded())
        drive = x @ rnn.weight_ih_l0.detach().T
        assert 0.8 < drive.std() < 1.25, signed


def test_signs_refuse_each_other_where_one_has_none():
    rnn = eirnn(input_signed={"stimulus": True, "context": False, "silencing": True})
    other = eirnn()
    with pytest.raises(
        RuntimeError, match="the signs of 2 units, the first of them unit 2"
    ):
        other.load_state_dict(rnn.state_dict())
    again = copy.deepcopy(rnn)
    again.load_state_dict(rnn.state_dict())
    with signs.adopt_signs(other):
        other.load_state_dict(rnn.state_dict())
    assert signs.check(other)
    assert signs.check(other.half())
    with torch.no_grad():
        rnn.weight_ih_l0.neg_()
    assert {one.unit for one in signs.check(rnn).violations} == {0, 1, 4}


def test_reparametrised_inputs_without_a_sign_change_it_freely():
    rnn = eirnn(input_signed=False)
    optimizer = Reparametrization().attach(rnn, 0.5)
    begun = rnn.weight_ih_l0.detach().clone()
    for _ in range(3):
        step(rnn, optimizer, torch.rand(4, 5, 5))
    assert (rnn.weight_ih_l0 * begun < 0).any()
    signs.check(rnn).raise_for_violations()


def test_training_without_a_guard_says_that_factors_do_nothing():
    model = nn.Sequential(eirnn(lr_scale=FACTORS), Readout(POPS, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    batch = (torch.rand(4, 5, 5), torch.zeros(4, 5, 2))
    told = "factors on what synapses of `0.weight_hh_l0` learn"
    with pytest.warns(UserWarning, match=told):
        train(model, [batch], optimizer, nn.functional.mse_loss, progress=False)
    enforce(optimizer, model)
    train(model, [batch], optimizer, nn.functional.mse_loss, progress=False)


def test_other_ways_to_learn_leave_alone_what_is_fixed_and_free_what_has_no_sign():
    units = Populations.of(exc={"a": 4, "b": 3}, inh={"c": 2})
    options = {"input_signed": {"a": True, "b": False, "c": True}, "mask": 0.9}
    for seed, learn in enumerate((_by_oja, _by_evolution)):
        layer = EILinear(
            units, 20, fixed=Blocks({"a->*": 1}), generator=seeded(seed), **options
        )
        begun = layer.weight.detach().clone()
        for _ in range(5):
            learn(layer)
        assert torch.equal(layer.weight[:, :4], begun[:, :4])
        for part in (slice(4, 7), slice(7, 9)):
            assert not torch.equal(layer.weight[:, part], begun[:, part])
        signs.check(layer).raise_for_violations()
        free = layer.weight[:, 4:7]
        assert (free > 0).any()
        assert (free < 0).any()


def _by_oja(layer):
    x = torch.rand(30, 9)
    Oja(layer, 0.05).update(x, layer(x).relu())


def _by_evolution(layer):
    x = torch.rand(30, 9, generator=seeded())
    strategy = EvolutionStrategy(layer, population=16, sigma=0.1, generator=seeded())
    optimizer = torch.optim.SGD(layer.parameters(), 0.5)
    with enforce(optimizer, layer):
        strategy.backward(lambda layer: (layer(x) - 1).square().mean())
        assert (layer.weight.grad[:, :4] == 0).all()
        optimizer.step()
