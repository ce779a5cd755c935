"""Synapses that exist and do not learn: under every optimiser, and wherever a model is carried."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from daleml import Populations, signs
from daleml.layers import (
    DANNRNN,
    EIRNN,
    Blocks,
    DANNRNNCell,
    EIRNNCell,
    init,
)
from daleml.optim import Reparametrization, enforce
from tests.catalog import optimizers

POPS = Populations.of(exc={"E": 5}, inh={"PV": 2, "SST": 1})
INPUTS = Populations.of(exc={"stimulus": 2}, inh={"context": 1})
FIXED = Blocks({"E->E": 1, "PV->*": 1})
OPTIONS = {
    "mask": Blocks({"*->*": 0.7, "SST->E": 1}),
    "fixed": FIXED,
    "input_fixed": Blocks({"context->*": 1}),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def eirnn(**options):
    return EIRNN(INPUTS, POPS, **{**OPTIONS, "generator": seeded(), **options})


CIRCUITS = {
    "EIRNN": eirnn,
    "EIRNN of two leaky layers": lambda **kw: eirnn(
        num_layers=2, dt_ms=10, tau_ms=40, noise=0.1, **kw
    ),
    "EIRNNCell": lambda **kw: EIRNNCell(INPUTS, POPS, **{**OPTIONS, "generator": seeded(), **kw}),
    "DANNRNN": lambda **kw: DANNRNN(3, 8, 2, mask=0.7, fixed=Blocks({"E->E": 1}), **kw),
    "DANNRNN, all of it": lambda **kw: DANNRNN(3, 8, 2, fixed=True, shunting=True, **kw),
    "DANNRNNCell": lambda **kw: DANNRNNCell(3, 8, 2, fixed=True, **kw),
}  # fmt: skip
circuits = pytest.mark.parametrize("build", CIRCUITS.values(), ids=CIRCUITS)


def acting(model):
    """What the fixed synapses of a model transmit, matrix by matrix."""
    found = {}
    for name, buffer in model.named_buffers():
        if name.endswith("_fixed"):
            plain = name.removesuffix("_fixed")
            weight = model._wiring and _acting(model, plain)
            found[plain] = weight[buffer.bool()].clone()
    assert found
    return found


def _acting(model, name):
    from daleml.layers._shared import acting_parameters

    return acting_parameters.acting(model, name).detach()


def equal(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def learn(model, optimizer, n_steps=3):
    x = torch.rand(*([4] if "Cell" in type(model).__name__ else [4, 5]), 3)

    def closure():
        optimizer.zero_grad()
        given = model(x)
        loss = (given[0] if isinstance(given, tuple) else given).square().mean()
        loss.backward()
        return loss

    for _ in range(n_steps):
        optimizer.step(closure)


@optimizers()
@pytest.mark.parametrize("guarded", [False, True], ids=["bare", "guarded"])
def test_nothing_moves_what_is_fixed(optimizer, guarded):
    """Momentum, decay and noise included; what is free does move."""
    model = eirnn()
    before, whole = acting(model), copy.deepcopy(dict(model.named_parameters()))
    parameters = [
        p for p in model.parameters() if p.ndim == 2 or not optimizer.matrices_only
    ]
    attached = optimizer.build(parameters, 0.3)
    if guarded:
        enforce(attached, model, partial=optimizer.matrices_only)
    learn(model, attached, 2)
    with torch.no_grad():
        for parameter in parameters:
            if not guarded:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    assert equal(acting(model), before)
    if guarded and all(p.isfinite().all() for p in parameters):
        signs.check(model).raise_for_violations()
    for name, parameter in model.named_parameters():
        if name.startswith("weight_ih") or (
            name.endswith("ih_l0") and parameter.ndim == 2
        ):
            assert not torch.equal(parameter, whole[name]), name


@circuits
def test_a_fixed_synapse_has_no_gradient_and_the_others_have_their_own(build):
    """Those of a circuit with the same weights, all of which learn."""
    model, x = build(dtype=torch.float64), torch.rand(4, 3, dtype=torch.float64)
    free = build(dtype=torch.float64)
    for name in acting(model):
        signs.release(free, name)
    free.load_state_dict(model.state_dict(), strict=False)
    for one in (model.eval(), free.eval()):
        begun = one(x)
        begun = begun[1] if isinstance(begun, tuple) else begun
        given = one(x, torch.ones_like(begun))
        (given[0] if isinstance(given, tuple) else given).square().sum().backward()
    for name in acting(model):
        which = model.get_buffer(f"{name}_fixed").bool()
        weight, grad = model.get_parameter(name), model.get_parameter(name).grad
        assert (grad[which] == 0).all()
        learns = ~which & (weight != 0)
        there = free.get_parameter(name).grad
        torch.testing.assert_close(grad[learns], there[learns])
        assert (there[which] != 0).any()
        assert (grad[learns] != 0).any() == learns.any()


def saved_and_loaded(model):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    return file


CARRIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "average": lambda model: AveragedModel(model).module,
    "average with buffers": lambda model: AveragedModel(model, use_buffers=True).module,
    "double": lambda model: copy.deepcopy(model).double(),
}


@circuits
@pytest.mark.parametrize("carry", CARRIES.values(), ids=CARRIES)
def test_what_is_fixed_is_carried(build, carry):
    model = build()
    moved = carry(model)
    assert equal(
        {name: one.float() for name, one in acting(moved).items()}, acting(model)
    )
    before = acting(moved)
    dtype = next(moved.parameters()).dtype
    optimizer = torch.optim.Adam(moved.parameters(), 0.3, weight_decay=0.1)
    with enforce(optimizer, moved):
        x = torch.rand(3, 3, dtype=dtype)
        given = moved(x)
        (given[0] if isinstance(given, tuple) else given).sum().backward()
        optimizer.step()
    assert equal(acting(moved), before)
    signs.check(moved).raise_for_violations()


@circuits
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_cast_rounds_what_is_fixed_and_nothing_else(build, dtype):
    model = build()
    before = acting(model)
    model.to(dtype)
    signs.check(model).raise_for_violations()
    for name, values in acting(model).items():
        assert torch.equal(values, before[name].to(dtype))
    model.float()
    signs.check(model).raise_for_violations()
    name = next(iter(before))
    model.get_buffer(f"{name}_fixed_strengths").mul_(1.01)
    with pytest.raises(
        ValueError, match=f"`{name}_fixed_strengths` must hold what was fixed"
    ):
        signs.check(model)
    signs.check(signs.restore_(model)).n_violations  # noqa: B018 - it does not raise


@circuits
def test_averages_of_models_keep_what_is_fixed(build):
    model = build()
    averages = [
        AveragedModel(model),
        AveragedModel(model, use_buffers=True),
        AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9)),
        AveragedModel(model, avg_fn=lambda a, b, n: (a * n + b) / (n + 1)),
    ]
    before = acting(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with enforce(optimizer, model):
        for _ in range(3):
            learn(model, optimizer, 1)
            for average in averages:
                average.update_parameters(model)
    for average in averages:
        for name, values in acting(average.module).items():
            torch.testing.assert_close(values, before[name], rtol=1e-6, atol=0)
        assert not [one for one in signs.check(average).violations if one.moved]


@circuits
def test_a_checkpoint_of_an_interrupted_run_brings_its_own_strengths(build):
    model, again = build(), build(generator=seeded(5))
    assert not equal(acting(model), acting(again))
    again.load_state_dict(torch.load(saved_and_loaded(model), weights_only=True))
    assert equal(acting(again), acting(model))
    signs.check(again).raise_for_violations()
    # What is drawn anew is fixed anew.
    before = acting(again)
    again.reset_parameters(seeded(9))
    assert not equal(acting(again), before)
    signs.check(again).raise_for_violations()


@circuits
def test_a_model_on_meta_takes_a_checkpoint_or_is_drawn(build):
    model = build()
    with torch.device("meta"):
        empty = build(generator=None)
    drawn = copy.deepcopy(empty).to_empty(device="cpu")
    if "mask" in OPTIONS:
        drawn.reset_parameters(seeded())
        signs.check(drawn).raise_for_violations()
        assert all(values.isfinite().all() for values in acting(drawn).values())
    empty.load_state_dict(model.state_dict(), assign=True)
    assert equal(acting(empty), acting(model))
    signs.check(empty).raise_for_violations()


# -- strengths that were given


def by_hand():
    """A circuit whose synapses among excitatory units have strengths of mine."""
    rnn = EIRNN(3, POPS, mask=0.8, generator=seeded())
    which = torch.zeros(8, 8, dtype=torch.bool)
    which[:5, :5] = True
    with torch.no_grad():
        rnn.weight_hh_l0[:5, :5] = 0.25
    signs.project_(rnn)
    signs.fix(rnn, "weight_hh_l0", POPS, fixed=which)
    return rnn, which & rnn.weight_hh_l0_present.bool()


def test_strengths_that_were_given_stay_through_everything():
    rnn, which = by_hand()
    assert (rnn.weight_hh_l0_fixed == which).all()
    assert (rnn.weight_hh_l0[which] == 0.25).all()
    rnn.reset_parameters(seeded(3))
    init.lognormal_model_(rnn)
    rnn.redraw_(draw=init.lognormal_)
    assert (rnn.effective_weights()[0].recurrent[which] == 0.25).all()
    assert (rnn.weight_hh_l0[which] == 0.25).all()
    for scale in (init.balance_rows_, lambda one: init.spectral_radius_(one, 0.5)):
        with pytest.raises(
            ValueError, match="`weight_hh_l0` must have no synapse fixed at a"
        ):
            scale(rnn)


def test_a_checkpoint_with_other_strengths_is_refused_unless_asked_for():
    rnn, which = by_hand()
    other, _ = by_hand()
    with torch.no_grad():
        other.weight_hh_l0[which] = 0.5
    signs.fix(other, "weight_hh_l0", POPS, fixed=which, replace=True)
    rnn.load_state_dict(by_hand()[0].state_dict())
    for state in (other.state_dict(), {
        name: value for name, value in other.state_dict().items() if "_fixed" not in name
    }):  # fmt: skip
        before = copy.deepcopy(rnn.state_dict())
        with pytest.raises(RuntimeError, match="fixed"):
            rnn.load_state_dict(state)
        for name, value in rnn.state_dict().items():
            if name.startswith("weight_hh"):
                assert torch.equal(value, before[name]), name
        kept = copy.deepcopy(rnn)
        with signs.keep_masks(kept):
            kept.load_state_dict(state)
        assert (kept.effective_weights()[0].recurrent[which] == 0.25).all()
        signs.check(kept).raise_for_violations()
    with signs.adopt_masks(rnn):
        rnn.load_state_dict(other.state_dict())
    assert (rnn.effective_weights()[0].recurrent[which] == 0.5).all()
    signs.check(rnn).raise_for_violations()


def test_fixed_and_plain_circuits_refuse_each_other_in_a_sentence():
    plain = eirnn(fixed=None, input_fixed=None)
    with pytest.raises(
        RuntimeError, match="fixed synapses, the module none; load inside"
    ):
        plain.load_state_dict(eirnn().state_dict())
    taking = eirnn(fixed=None, input_fixed=None)
    with signs.adopt_masks(taking):
        taking.load_state_dict(eirnn().state_dict())
    assert equal(acting(taking), acting(eirnn()))
    with signs.keep_masks(plain):
        plain.load_state_dict(eirnn().state_dict())
    assert "weight_hh_l0_fixed" not in plain.state_dict()
    # Drawn strengths come with the weights of a checkpoint that says nothing of them.
    circuit = eirnn(generator=seeded(8), mask=None)
    source = eirnn(mask=None, fixed=None, input_fixed=None)
    circuit.load_state_dict(source.state_dict(), strict=False)
    signs.check(circuit).raise_for_violations()
    assert torch.equal(circuit.weight_hh_l0, source.weight_hh_l0)
    assert torch.equal(
        circuit.effective_weights()[0].recurrent,
        source.effective_weights()[0].recurrent,
    )


@pytest.mark.parametrize("suffix", ["_fixed", "_fixed_strengths"])
def test_a_checkpoint_whose_fixed_synapses_have_another_shape_is_refused(suffix):
    rnn = eirnn()
    before = copy.deepcopy(rnn.state_dict())
    state = eirnn(generator=seeded(1)).state_dict()
    state[f"weight_hh_l0{suffix}"] = state[f"weight_hh_l0{suffix}"][:5]
    sentence = rf"{suffix}: it must have the shape \(8, 8\) of .*; got \(5, 8\)"
    with pytest.raises(RuntimeError, match=sentence):
        rnn.load_state_dict(state, strict=False)
    assert torch.equal(rnn.weight_hh_l0, before["weight_hh_l0"])
    signs.check(rnn).raise_for_violations()


@pytest.mark.parametrize("suffix", ["_fixed", "_fixed_strengths"])
def test_half_of_what_says_which_synapses_are_fixed_is_refused(suffix):
    state = eirnn(generator=seeded(1)).state_dict()
    del state[f"weight_hh_l0{suffix}"]
    with pytest.raises(ValueError, match=f"`weight_hh_l0{suffix}` must be there"):
        signs.check(state)
    rnn = eirnn()
    with pytest.raises(RuntimeError, match=f"weight_hh_l0{suffix}: it must be there"):
        rnn.load_state_dict(state, strict=False)
    signs.check(rnn).raise_for_violations()


def test_a_report_tells_what_was_moved():
    rnn, which = by_hand()
    with torch.no_grad():
        rnn.weight_hh_l0[which] += 0.5
    for report, of in (
        (signs.check(rnn), " of E"),
        (signs.check(rnn.state_dict()), ""),
    ):
        assert not report
        assert report.n_violations == which.sum()
        assert all(one.moved for one in report.violations)
        first = which[:, 0].sum()
        assert str(report.violations[0]) == (
            f"weight_hh_l0, unit 0{of}: {first} of {first} fixed synapses not at its strength,"
            " worst 0.75"
        )
    assert (rnn.effective_weights()[0].recurrent[which] == 0.25).all()
    assert signs.check(signs.project_(rnn))


def test_pruning_cuts_fixed_synapses_too():
    rnn, which = by_hand()
    mask = torch.ones(8, 8)
    mask[0] = 0
    prune.custom_from_mask(rnn, "weight_hh_l0", mask)
    found = rnn.effective_weights()[0].recurrent
    assert (found[0] == 0).all()
    assert (found[1:][which[1:]] == 0.25).all()
    optimizer = torch.optim.SGD(rnn.parameters(), 0.3, weight_decay=0.1)
    with enforce(optimizer, rnn):
        learn(rnn, optimizer)
        signs.check(rnn).raise_for_violations()
    prune.remove(rnn, "weight_hh_l0")
    assert (rnn.effective_weights()[0].recurrent[1:][which[1:]] == 0.25).all()


def test_a_module_of_strangers_can_have_fixed_synapses():
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        layer.weight.abs_()
    which = torch.eye(3, 4, dtype=torch.bool)
    signs.fix(layer, "weight", [1, 1, 1, None], fixed=which)
    before = layer.weight[which].clone()
    optimizer = torch.optim.Adam(layer.parameters(), 0.5)
    with enforce(optimizer, layer):
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.rand(2, 4)).sum().backward()
            optimizer.step()
    assert torch.equal(layer.weight[which], before)
    assert (layer.weight[:, 3] < 0).any()
    assert (layer.weight[:, :3] >= 0).all()
    signs.check(layer).raise_for_violations()
    signs.fix(
        layer, "weight", [1, 1, 1, None], fixed=torch.zeros(3, 4).bool(), replace=True
    )
    assert "weight_fixed" not in layer.state_dict()


@pytest.mark.parametrize(
    ("fixed", "error", "sentence"),
    [
        ([[1]], TypeError, "`fixed` must be a boolean tensor; got list."),
        (
            torch.ones(3, 2),
            TypeError,
            "`fixed` must be a boolean tensor; got torch.float32.",
        ),
        (
            torch.ones(2, 2).bool(),
            ValueError,
            "`fixed` must have the shape (3, 2) of `weight`; got (2, 2).",
        ),
        (
            torch.ones(3, 2).bool(),
            ValueError,
            "`weight` must be lawful where it is fixed; got a wrong sign for unit 1: call"
            " `signs.project_` before, or `signs.release`.",
        ),
    ],
)
def test_what_cannot_be_fixed_is_refused(fixed, error, sentence):
    layer = nn.Linear(2, 3)
    nn.init.constant_(layer.weight, 1.0)
    with pytest.raises(error) as refused:
        signs.fix(layer, "weight", [1, -1], fixed=fixed)
    assert str(refused.value) == sentence
    signs.fix(layer, "weight", [1, 1], fixed=torch.eye(3, 2).bool())
    with pytest.raises(
        ValueError, match="`fixed` must be what was fixed for `weight` before"
    ):
        signs.fix(layer, "weight", [1, 1], fixed=torch.ones(3, 2).bool())


@pytest.mark.parametrize(
    ("fixed", "sentence"),
    [
        (Blocks({"E->E": 0.5}), "`fixed` must hold 0 and 1 only; got 0.5."),
        (Blocks({"E->VIP": 1}), "`fixed['E->VIP']` must name one of"),
        (torch.ones(3, 3), "`fixed` must have shape (8, 8), (post, pre); got (3, 3)."),
        (
            "E->E",
            "`fixed` must be True, a boolean matrix or Blocks of 0 and 1; got str.",
        ),
        (0.5, "`fixed` must be True, a boolean matrix or Blocks of 0 and 1; got 0.5."),
    ],
    ids=str,
)
def test_what_no_circuit_can_fix_is_refused(fixed, sentence):
    with pytest.raises((TypeError, ValueError)) as refused:
        EIRNN(3, POPS, fixed=fixed)
    assert str(refused.value).startswith(sentence)


def test_a_reparametrised_circuit_keeps_what_is_fixed():
    rnn, which = by_hand()
    optimizer = Reparametrization().attach(rnn, 0.3, weight_decay=0.1)
    learn(rnn, optimizer)
    assert (rnn.weight_hh_l0[which] == 0.25).all()
    signs.check(rnn).raise_for_violations()
    Reparametrization().detach(rnn)
    assert (rnn.weight_hh_l0[which] == 0.25).all()
    signs.check(rnn).raise_for_violations()


def test_functional_calls_and_ensembles_see_what_is_fixed():
    models = [eirnn(generator=seeded(i), mask=None) for i in range(2)]
    parameters, buffers = torch.func.stack_module_state(models)
    x = torch.rand(4, 5, 3)

    def run(parameters, buffers):
        return torch.func.functional_call(models[0], (parameters, buffers), (x,))[0]

    given = torch.vmap(run)(parameters, buffers)
    for model, rates in zip(models, given, strict=True):
        torch.testing.assert_close(model(x)[0], rates)
    # Parameters of one's own do not change what is fixed.
    zeros = {name: torch.zeros_like(p) for name, p in models[0].named_parameters()}
    found = torch.func.functional_call(
        Acting(models[0]), {f"rnn.{name}": value for name, value in zeros.items()}, ()
    )
    which = models[0].weight_hh_l0_fixed.bool()
    assert torch.equal(found[which], models[0].weight_hh_l0[which])


class Acting(nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.rnn = rnn

    def forward(self):
        return self.rnn.effective_weights()[0].recurrent


def test_a_cell_composes_what_is_fixed_once_a_block():
    cell, x = CIRCUITS["EIRNNCell"](), torch.rand(4, 3)
    with cell.composed():
        state = cell(x)
        cell.get_buffer("weight_hh_fixed_strengths").mul_(2)
        assert not torch.equal(cell(x, state), cell(x, cell(x)) * 0)
        inside = cell(x, state)
    assert torch.equal(inside, cell(x, state))


def test_a_connectome_can_be_fixed_at_its_strengths():
    weights = torch.tensor([[0.0, -0.5, 0.2], [0.3, 0.0, 0.1], [0.4, -0.6, 0.0]])
    names = ["E", "PV", "E"]
    rnn = EIRNN.from_matrix(weights, 2, rows="post", names=names, fixed=True)
    back = rnn.in_given_order(rnn.effective_weights()[0].recurrent, dim=(0, 1))
    torch.testing.assert_close(back, weights)
    rnn.reset_parameters()
    again = rnn.in_given_order(rnn.effective_weights()[0].recurrent, dim=(0, 1))
    assert torch.equal(again, back)
    with pytest.raises(RuntimeError, match="fixed synapses have other strengths"):
        rnn.load_state_dict(
            EIRNN.from_matrix(
                2 * weights, 2, rows="post", names=names, fixed=True
            ).state_dict()
        )
    # A matrix follows the order of what was given, as every option by unit does.
    one = torch.zeros(3, 3, dtype=torch.bool)
    one[1, 2] = True
    rnn = EIRNN.from_matrix(weights, 2, rows="post", names=names, fixed=one)
    assert torch.equal(
        rnn.in_given_order(rnn.weight_hh_l0_fixed, dim=(0, 1)), one.to(torch.int8)
    )


def test_what_is_fixed_follows_other_masks_and_can_be_fixed_anew():
    rnn = eirnn(mask=0.5, input_fixed=None)
    every = torch.ones(8, 8, dtype=torch.bool)
    signs.fix(rnn, "weight_hh_l0", POPS, present=every, replace=True)
    asked = FIXED.matrix(POPS, POPS) == 1
    assert torch.equal(rnn.weight_hh_l0_fixed == 1, asked)
    signs.check(rnn).raise_for_violations()
    rnn.reset_parameters(seeded(2))
    assert (rnn.weight_hh_l0 != 0).all()
    signs.check(rnn).raise_for_violations()
    # At strengths of mine from now on, and others than before.
    with torch.no_grad():
        rnn.weight_hh_l0[:5, :5] = 0.3
    signs.fix(rnn, "weight_hh_l0", POPS, fixed=asked, replace=True)
    rnn.reset_parameters(seeded(3))
    assert (rnn.effective_weights()[0].recurrent[:5, :5] == 0.3).all()
    del rnn.weight_hh_l0_fixed
    with pytest.raises(
        ValueError, match="`weight_hh_l0_fixed` must be a buffer; it was fixed"
    ):
        signs.check(rnn)
    signs.check(signs.restore_(rnn)).raise_for_violations()
    signs.release(rnn, "weight_hh_l0")
    assert not [name for name in rnn.state_dict() if "fixed" in name]
