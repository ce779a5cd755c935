"""Time constants by population, and time constants that learn: their values, gradients, checkpoints and refusals."""

import copy
import math
import pickle

import pandas as pd
import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.utils import parametrize, prune
from torch.nn.utils.rnn import pack_sequence
from torch.optim.swa_utils import AveragedModel

from daleml import Populations, signs
from daleml.layers import DANNRNN, EIRNN, DANNRNNCell, EIRNNCell
from daleml.layers._recurrent import fused
from daleml.modules import synaptic_weights
from daleml.optim import EG, param_groups

DOUBLE = torch.float64
POPS = Populations.of(exc={"V1.E": 2, "V2.E": 2}, inh={"V1.PV": 1, "V2.SST": 1})
BY_NAME = {"V1.E": 100, "V2.E": 80, "V1.PV": 30, "V2.SST": 50}
EACH = [100.0, 100.0, 80.0, 80.0, 30.0, 50.0]
BY_AREA = {"V1": 40, "V2.*": 60}
BOTH = [40.0, 40.0, 60.0, 60.0, 40.0, 60.0]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


CIRCUITS = {
    "EIRNN": lambda **kw: EIRNN(3, POPS, **kw),
    "two layers": lambda **kw: EIRNN(3, POPS, num_layers=2, **kw),
    "DANNRNN": lambda **kw: DANNRNN(3, 6, 2, **kw),
    "shunting": lambda **kw: DANNRNN(3, 6, 2, shunting=True, **kw),
    "cell": lambda **kw: EIRNNCell(3, POPS, **kw),
    "DANN cell": lambda **kw: DANNRNNCell(3, 6, 2, **kw),
}
circuits = pytest.mark.parametrize("build", CIRCUITS.values(), ids=CIRCUITS)


def states(rnn, n=5):
    """Rates or states after some steps of a fixed input, by layers and by cells alike."""
    x = torch.linspace(0.1, 1, n * 6, dtype=DOUBLE).sin().view(n, 2, 3)
    x = x.to(next(rnn.parameters()).dtype)
    if isinstance(rnn, (EIRNN, DANNRNN)):
        return rnn(x)[1]
    state = None
    for now in x:
        state = rnn(now, state)
    return state


# -- by population


@pytest.mark.parametrize(
    ("given", "each"), [(BY_NAME, EACH), (BY_AREA, BOTH), ({"*": 40}, [40.0] * 6)]
)
@pytest.mark.parametrize("trained", [False, True])
def test_a_mapping_is_the_same_as_its_list(given, each, trained):
    kw = {"dt_ms": 20, "dtype": DOUBLE, "noise": 0.1}
    one, other = (
        EIRNN(3, POPS, tau_ms=tau, generator=seeded(), train_tau=trained, **kw)
        for tau in (given, each)
    )
    assert one.tau_ms.tolist() == each
    assert torch.equal(states(one), states(other))
    one.tau_ms = 200
    one.tau_ms = given
    assert one.tau_ms.tolist() == each


def test_names_of_a_plain_partition_and_of_a_dann():
    assert EIRNN(
        3, Populations(2, 1), dt_ms=1, tau_ms={"E": 20, "I": 10}
    ).tau_ms.tolist() == [20, 20, 10]
    assert DANNRNN(3, 4, dt_ms=1, tau_ms={"E": 20}).tau_ms.tolist() == [20] * 4


def test_whose_time_constant_is_too_short_is_said():
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=BY_NAME)
    sentence = "`dt_ms` must be at most `tau_ms`; got {} and {}, that of 'V1.PV'."
    with pytest.raises(ValueError) as raised:
        rnn.dt_ms = 45
    assert str(raised.value) == sentence.format(45, 30)
    with pytest.raises(ValueError) as raised:
        rnn.tau_ms = [50.0] * 4 + [10.0, 50.0]
    assert str(raised.value) == sentence.format(20, 10)
    assert (rnn.dt_ms, rnn.tau_ms.tolist()) == (20, EACH)


def test_a_column_of_pandas_is_a_mapping():
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=pd.Series(BY_NAME))
    assert rnn.tau_ms.tolist() == EACH


@pytest.mark.parametrize("how", ["pruned", "parametrised"])
def test_a_parameter_that_is_computed_is_loaded(how):
    rnn, other = (EIRNN(3, POPS, dt_ms=20, tau_ms=60, train_tau=True) for _ in range(2))
    for one in (rnn, other):
        if how == "pruned":
            prune.identity(one, "tau_log")
        else:
            parametrize.register_parametrization(one, "tau_log", nn.Identity())
    with torch.no_grad():
        for name, value in rnn.named_parameters():
            if "tau_log" in name:
                value.copy_(torch.linspace(-1, 1, 6))
    other.load_state_dict(rnn.state_dict())
    for one in (rnn, other):
        states(one)
    assert torch.equal(other.tau_ms, rnn.tau_ms)
    assert other.tau_ms[0] < 60 < other.tau_ms[5]


def test_a_mapping_may_have_gradients():
    tau = torch.tensor(50.0, dtype=DOUBLE, requires_grad=True)
    rnn = EIRNN(
        3, POPS, dt_ms=20, tau_ms={"V1": tau, "V2": 60}, dtype=DOUBLE, bias=False
    )
    states(rnn).sum().backward()
    assert tau.grad.abs() > 0


@pytest.mark.parametrize(
    ("tau_ms", "kind", "sentence"),
    [
        ({**BY_NAME, "V1.PV": 5}, ValueError, "`tau_ms` of 'V1.PV' must be at least `dt_ms`, 20; got 5."),
        ({**BY_NAME, "V1.PV": -5}, ValueError, "`tau_ms` of 'V1.PV' must be finite and above 0; got -5."),
        ({**BY_NAME, "V1.PV": math.nan}, ValueError, "`tau_ms` of 'V1.PV' must be finite and above 0; got nan."),
        ({**BY_NAME, "V1.PV": "fast"}, TypeError, "`tau_ms` of 'V1.PV' must be a number; got str."),
        ({**BY_NAME, "V1.PV": [20, 30]}, TypeError, "`tau_ms` of 'V1.PV' must be a number; got list."),
        ({"V1": 40}, ValueError, "`tau_ms` must have a value for every population; got none for 'V2.E', 'V2.SST'."),
    ],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_is_refused(tau_ms, kind, sentence):
    with pytest.raises(kind) as raised:
        EIRNN(3, POPS, dt_ms=20, tau_ms=tau_ms)
    assert str(raised.value) == sentence
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=100)
    with pytest.raises(kind):
        rnn.tau_ms = tau_ms
    assert rnn.tau_ms == 100


# -- that learn


@circuits
def test_they_begin_exactly_where_they_were_given(build):
    taus = [20.5, 33.3, 47.0, 110.0, 71.3, 10000.0]
    fixed, trained = (
        build(
            dt_ms=20,
            tau_ms=taus,
            dtype=DOUBLE,
            noise=0.1,
            generator=seeded(),
            train_tau=trains,
        )
        for trains in (False, True)
    )
    assert trained.tau_ms.tolist() == taus
    assert torch.equal(states(trained), states(fixed))


@pytest.mark.parametrize("input_kind", ["sequence", "packed", "cell"])
@pytest.mark.parametrize("tau_ms", [BY_AREA, 60], ids=["tied", "a unit"])
@pytest.mark.parametrize("nonlinearity", ["tanh", "softplus"])
def test_their_gradient_checks_numerically(nonlinearity, tau_ms, input_kind):
    build = EIRNNCell if input_kind == "cell" else EIRNN
    kw = {"dtype": DOUBLE, "nonlinearity": nonlinearity, "generator": seeded()}
    rnn = build(3, POPS, dt_ms=20, tau_ms=tau_ms, train_tau=True, **kw)
    x = torch.rand(4, 2, 3, generator=seeded(1), dtype=DOUBLE)

    def run(log):
        if input_kind == "cell":
            state = None
            for now in x:
                state = functional_call(rnn, {"tau_log": log}, (now, state))
            return state
        given = pack_sequence([x[:, 0], x[:2, 1]]) if input_kind == "packed" else x
        output, last = functional_call(rnn, {"tau_log": log}, (given,))
        return (output.data if input_kind == "packed" else output), last

    log = torch.linspace(-1, 1, rnn.tau_log.numel(), dtype=DOUBLE).requires_grad_()
    assert torch.autograd.gradcheck(run, log)


def test_the_gradient_is_that_of_the_time_constant_by_the_chain_rule():
    """Against a circuit whose `tau_ms` is a tensor with a gradient, and the equation."""
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=EACH, train_tau=True, dtype=DOUBLE, noise=0.1)
    with torch.no_grad():
        rnn.tau_log.copy_(torch.linspace(-1, 1, 6))
    excess = (torch.tensor(EACH, dtype=DOUBLE) - 20) * rnn.tau_log.detach().exp()
    torch.testing.assert_close(rnn.tau_ms, 20 + excess, rtol=1e-14, atol=0)
    plain = EIRNN(3, POPS, dt_ms=20, tau_ms=100, dtype=DOUBLE, noise=0.1)
    for name, value in plain.named_parameters():
        value.data.copy_(rnn.get_parameter(name))
    tau = rnn.tau_ms.clone().requires_grad_()
    plain.tau_ms = tau
    for one in (rnn, plain):
        one.generator = seeded(5)
        states(one).square().sum().backward()
    torch.testing.assert_close(
        rnn.tau_log.grad, tau.grad * excess, rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("nonlinearity", ["relu", "softplus"])
@pytest.mark.parametrize("wide", [False, True])
def test_gradients_at_once_are_those_of_the_loop(nonlinearity, wide, monkeypatch):
    """A function is run by the loop, its name by the fused path."""
    monkeypatch.setattr(fused, "_WIDE", 1 if wide else 768)
    x = torch.rand(6, 3, 3, generator=seeded(1), dtype=DOUBLE)
    packed = pack_sequence([x[:, 0], x[:4, 1], x[:4, 2]])
    kw = {"train_tau": True, "noise": 0.1, "train_initial_state": True}
    found = []
    for f in (nonlinearity, lambda v: getattr(nn.functional, nonlinearity)(v)):
        rnn = EIRNN(3, POPS, nonlinearity=f, dt_ms=20, tau_ms=EACH, dtype=DOUBLE, generator=seeded(), **kw)  # fmt: skip
        for given in (x, packed):
            output, last = rnn(given)
            rates = output if given is x else output.data
            (rates.square().sum() + last.sum()).backward()
        found.append([parameter.grad for parameter in rnn.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@circuits
def test_whatever_they_learn_they_stay_above_the_time_step(build):
    rnn = build(dt_ms=20, tau_ms=40, train_tau=True, dtype=DOUBLE)
    for value in (-40.0, 30.0):
        with torch.no_grad():
            rnn.tau_log.fill_(value)
        assert (rnn.tau_ms >= 20).all()
        assert states(rnn).isfinite().all()
    for value, shown in ((math.nan, "nan"), (800.0, "inf")):
        with torch.no_grad():
            rnn.tau_log.fill_(value)
        match = rf"^`tau_ms` must stay finite while it learns; got {shown}: give"
        with pytest.raises(ValueError, match=match):
            states(rnn)


@circuits
def test_setting_the_time_step_leaves_them_and_the_parameter(build):
    rnn = build(dt_ms=20, tau_ms=EACH, train_tau=True, dtype=DOUBLE)
    with torch.no_grad():
        rnn.tau_log.copy_(torch.linspace(-1, 1, 6))
    learned, log = rnn.tau_ms, rnn.tau_log.clone()
    fine = build(dt_ms=2, tau_ms=learned, dtype=DOUBLE)
    for name, value in fine.named_parameters():
        value.data.copy_(rnn.get_parameter(name))
    rnn.dt_ms = 2
    torch.testing.assert_close(rnn.tau_ms, learned, rtol=1e-14, atol=0)
    torch.testing.assert_close(states(rnn), states(fine), rtol=1e-12, atol=1e-12)
    assert torch.equal(rnn.tau_log, log)
    states(rnn).sum().backward()
    assert rnn.tau_log.grad.abs().min() > 0
    with pytest.raises(ValueError, match="`dt_ms` must be at most `tau_ms`"):
        rnn.dt_ms = 45
    rnn.reset_parameters()
    assert rnn.tau_ms.tolist() == EACH
    assert (rnn.tau_log == 0).all()


@pytest.mark.parametrize(
    "carry",
    [
        copy.deepcopy,
        lambda m: pickle.loads(pickle.dumps(m)),
        lambda m: AveragedModel(m).module,
        lambda m: m.half().bfloat16().double(),
    ],
    ids=["copy", "pickle", "averaged", "casts"],
)
@pytest.mark.parametrize("tau_ms", [BY_AREA, EACH], ids=["tied", "a unit"])
def test_they_are_carried_exactly(carry, tau_ms):
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=tau_ms, train_tau=True, dtype=DOUBLE)
    with torch.no_grad():
        rnn.tau_log.copy_(torch.linspace(-1, 1, len(rnn.tau_log)))
    before = rnn.tau_ms
    moved = carry(rnn)
    torch.testing.assert_close(moved.tau_ms, before, rtol=1e-14, atol=0)
    assert moved.tau_log.requires_grad
    assert moved.tau_log.dtype == DOUBLE
    moved.dt_ms = 10
    assert moved.train_tau


def test_a_checkpoint_brings_them_whatever_the_time_step():
    kw = {"train_tau": True, "dtype": DOUBLE}
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=EACH, **kw)
    with torch.no_grad():
        rnn.tau_log.copy_(torch.linspace(-1, 1, 6))
    state = rnn.state_dict()
    assert torch.equal(state["tau_ms"], rnn.tau_ms)
    same = EIRNN(3, POPS, dt_ms=20, tau_ms=EACH, **kw)
    same.load_state_dict(state)
    assert torch.equal(states(same), states(rnn))
    elsewhere = EIRNN(3, POPS, dt_ms=2, tau_ms=500, **kw)
    elsewhere.load_state_dict(state)
    torch.testing.assert_close(elsewhere.tau_ms, rnn.tau_ms, rtol=1e-14, atol=0)
    assert torch.equal(elsewhere.tau_log, rnn.tau_log)
    with torch.device("meta"):
        empty = EIRNN(3, POPS, dt_ms=20, tau_ms=500, **kw)
    assert empty.tau_ms.tolist() == [500.0] * 6
    empty.load_state_dict(state, assign=True)
    torch.testing.assert_close(states(empty), states(rnn), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("saved_by", "loaded_by", "sentence"),
    [
        ({"train_tau": True}, {}, "tau_log: the checkpoint is of a circuit whose time constants learn, and those of this one are fixed; build it with `train_tau=True`."),
        ({}, {"train_tau": True}, "tau_ms: the checkpoint is of a circuit whose time constants are fixed, and those of this one learn; build it with `train_tau=False`, or load it into such a one and set `tau_ms` of this one to its."),
        ({"train_tau": True, "tau_ms": 10, "dt_ms": 2}, {"train_tau": True}, "tau_ms: the checkpoint has 10, and time constants that learn must be above `dt_ms`, here 20; set a shorter one before loading it."),
        ({"train_tau": True, "tau_ms": {"*.E": 100, "*.PV": 80, "*.SST": 60}}, {"train_tau": True, "tau_ms": {"V1.E": 100, "V2.E": 80, "*.[PS]*": 60}}, "tau_ms: the checkpoint has several values for units that have one time constant here (V1.E, V2.E, *.[PS]*); build the circuit with the same `tau_ms`."),
        ({"train_tau": True}, {"train_tau": True, "tau_ms": BY_AREA}, "size mismatch for tau_log"),
        ({"train_tau": True}, {"dt_ms": None, "tau_ms": None}, "tau_log: the checkpoint is of a circuit whose time constants learn"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_does_not_fit_is_refused(saved_by, loaded_by, sentence):
    rnn, other = (
        EIRNN(3, POPS, generator=seeded(), **({"dt_ms": 20, "tau_ms": 100} | kw))
        for kw in (saved_by, loaded_by)
    )
    before = states(other).detach()
    with pytest.raises(RuntimeError) as raised:
        other.load_state_dict(rnn.state_dict())
    assert sentence in str(raised.value)
    if "size mismatch" not in sentence:
        assert torch.equal(states(other), before)


def test_a_parameter_alone_is_read_by_what_the_circuit_began_with():
    kw = {"train_tau": True, "dtype": DOUBLE}
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=EACH, **kw)
    saved = EIRNN(3, POPS, dt_ms=20, tau_ms=[2 * tau for tau in EACH], **kw)
    state = dict(saved.state_dict())
    del state["tau_ms"]
    sentence = (
        "does not say it, .* as if 0 meant 30 to 100 .* at a `dt_ms` of 20, as it"
    )
    with pytest.warns(UserWarning, match=sentence):
        rnn.load_state_dict(state)
    assert rnn.tau_ms.tolist() == EACH


def test_a_parameter_of_another_shape_is_refused():
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=EACH, train_tau=True)
    rnn.tau_log = nn.Parameter(torch.zeros(1))
    with pytest.raises(
        ValueError, match=r"`tau_log` must have the shape \(6,\), .*\(1,\)"
    ):
        rnn(torch.rand(5, 2, 3))


def test_they_learn_by_gradient_descent_in_a_group_of_their_own():
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=BY_AREA, train_tau=True)
    groups = param_groups(rnn, 0.5, euclidean_lr=0.1, tau_lr=0.01)
    [group] = [one for one in groups if one["role"] == "tau"]
    assert group["params"] == [rnn.tau_log]
    assert (group["euclidean"], group["lr"], group["lr_scale"]) == (True, 0.01, 0.02)
    assert [g["lr"] for g in param_groups(rnn, 0.5) if g["role"] == "tau"] == [0.5]
    optimizer = EG(groups, 0.5)
    for _ in range(3):
        optimizer.zero_grad()
        states(rnn).sum().backward()
        optimizer.step()
    assert (rnn.tau_log != 0).all()
    report = signs.check(rnn)
    assert report
    assert "tau" not in str(report)
    assert [one.name for one in synaptic_weights(rnn)] == [
        "weight_ih_l0",
        "weight_hh_l0",
    ]
    with pytest.raises(ValueError, match="`tau_lr` must be at least 0; got -1."):
        param_groups(rnn, 0.5, tau_lr=-1)


def test_a_longer_memory_is_learned():
    """A leaky unit with no recurrence that must keep a pulse finds a long time constant."""
    rnn = EIRNN(1, Populations(1), dt_ms=10, tau_ms=20, train_tau=True, bias=False)
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(1.0)
    target = 10 / 80 * (1 - 10 / 80) ** torch.arange(20.0)
    x = torch.zeros(20, 1, 1)
    x[0] = 1
    optimizer = torch.optim.Adam([rnn.tau_log], lr=0.15)
    for _ in range(100):
        optimizer.zero_grad()
        (rnn(x)[0].flatten() - target).square().sum().backward()
        optimizer.step()
    assert rnn.tau_ms.item() == pytest.approx(80, rel=0.02)


def test_an_ensemble_has_its_own():
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=EACH, train_tau=True, dtype=DOUBLE)
    logs = torch.linspace(-1, 1, 12, dtype=DOUBLE).view(2, 6)
    x = torch.rand(5, 2, 3, dtype=DOUBLE)
    found = vmap(lambda log: functional_call(rnn, {"tau_log": log}, (x,))[0])(logs)
    for log, one in zip(logs, found, strict=True):
        with torch.no_grad():
            rnn.tau_log.copy_(log)
        torch.testing.assert_close(one, rnn(x)[0])


@pytest.mark.parametrize(
    ("tau_ms", "shown"),
    [
        (BY_AREA, "dt_ms=20, tau_ms={V1: 40, V2.*: 60}, learned"),
        (100, "dt_ms=20, tau_ms=100, learned"),
        (EACH, "dt_ms=20, tau_ms=30 to 100 (6 units), learned"),
    ],
)
def test_they_are_shown(tau_ms, shown):
    assert shown in repr(EIRNN(3, POPS, dt_ms=20, tau_ms=tau_ms, train_tau=True))


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (lambda: EIRNN(3, POPS, train_tau=True), ValueError, "`train_tau` must be False without `dt_ms` and `tau_ms`, which say where learning begins; got True."),
        (lambda: EIRNN(3, POPS, dt_ms=20, tau_ms=20, train_tau=True), ValueError, "`tau_ms` must be above `dt_ms`, 20, where it learns; got 20."),
        (lambda: EIRNN(3, POPS, dt_ms=20, tau_ms=50, train_tau=1), TypeError, "`train_tau` must be True or False; got 1."),
        (lambda: EIRNN(3, POPS, dt_ms=20, tau_ms=torch.ones(6, requires_grad=True) * 50, train_tau=True), ValueError, "`tau_ms` must be numbers where `train_tau` is True; got a tensor with a gradient: leave `train_tau` out to learn what it is computed from."),
        (lambda: setattr(EIRNN(3, POPS, dt_ms=20, tau_ms=50, train_tau=True), "leak", 0.5), ValueError, "`leak` cannot be set of a circuit whose time constants learn: set `tau_ms`; got 0.5."),
        (lambda: setattr(EIRNN(3, POPS, dt_ms=20, tau_ms=50), "train_tau", True), AttributeError, "`train_tau` cannot be set, since the parameters of this EIRNN were made for it: build another; got True."),
        (lambda: setattr(EIRNN(3, POPS, dt_ms=20, tau_ms={"*": 50}, train_tau=True), "tau_ms", EACH), ValueError, "`tau_ms` must be the same for all units of '*', which learn one time constant; got 30 to 100."),
    ],
)  # fmt: skip
def test_what_is_impossible_is_refused(call, kind, sentence):
    with pytest.raises(kind) as raised:
        call()
    assert str(raised.value) == sentence
