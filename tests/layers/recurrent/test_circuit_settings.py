"""Attributes of circuits and layers that look like settings: each is obeyed, and saved if it is dynamics, or refused."""

import copy
import io
import math
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from torch.optim.swa_utils import AveragedModel

from daleml import Populations
from daleml.layers import (
    DANNRNN,
    EIRNN,
    DANNConv2d,
    DANNLinear,
    DANNRNNCell,
    EIConv1d,
    EILinear,
    EIRNNCell,
)

DOUBLE = torch.float64
POPS = Populations(4, 2)
TAUS = [20.0, 33.3, 47.0, 110.0, 71.3, 10000.0]


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
    """States after some steps of a fixed input, by layers and by cells alike."""
    x = (
        torch.linspace(0.1, 1, n * 6, dtype=DOUBLE)
        .sin()
        .view(n, 2, 3)
        .to(next(rnn.parameters()).dtype)
    )
    if isinstance(rnn, (EIRNN, DANNRNN)):
        return rnn(x)[1]
    state = None
    for now in x:
        state = rnn(now, state)
    return state


# -- the time step and the time constants ------------------------------------------------------------------------------


@circuits
@pytest.mark.parametrize("tau_ms", [100.0, TAUS], ids=["one", "a unit"])
def test_a_time_step_that_is_set_is_obeyed(build, tau_ms):
    coarse = build(dt_ms=20, tau_ms=tau_ms, dtype=DOUBLE)
    fine = build(dt_ms=2, tau_ms=tau_ms, dtype=DOUBLE)
    fine.load_state_dict(coarse.state_dict())  # a time step may differ
    before = states(coarse)
    coarse.dt_ms = 2
    assert torch.equal(states(coarse), states(fine))
    assert not torch.equal(states(coarse), before)
    assert f"dt_ms=2, dt/tau={0.02 if tau_ms == 100.0 else 'one per unit'}" in repr(
        coarse
    )


@circuits
def test_a_time_constant_that_is_set_is_obeyed(build):
    rnn, other = (
        build(dt_ms=2, tau_ms=30, dtype=DOUBLE),
        build(dt_ms=2, tau_ms=TAUS, dtype=DOUBLE),
    )
    rnn.tau_ms = TAUS
    assert rnn.tau_ms.tolist() == other.tau_ms.tolist() == TAUS
    other.load_state_dict(rnn.state_dict())
    assert torch.equal(states(rnn), states(other))
    rnn.leak = 0.5
    assert (rnn.tau_ms, rnn.dt_ms) == (4.0, 2.0)
    rnn.leak = None
    assert rnn.tau_ms is rnn.dt_ms is rnn.leak is None


@pytest.mark.parametrize("name", ["leak", "tau_ms"])
def test_writing_into_a_time_constant_means_it(name):
    rnn = EIRNN(3, POPS, dt_ms=2, tau_ms=TAUS, dtype=DOUBLE)
    getattr(rnn, name)[1] = {"leak": 0.5, "tau_ms": 4.0}[name]
    again = EIRNN(3, POPS, dt_ms=2, tau_ms=[20.0, 4.0, *TAUS[2:]], dtype=DOUBLE)
    again.load_state_dict(rnn.state_dict())
    for one in (rnn, copy.deepcopy(rnn), rnn.float().double()):
        torch.testing.assert_close(states(one), states(again), rtol=1e-6, atol=1e-7)


def test_a_leak_in_half_precision_is_the_exact_one_rounded():
    for dtype in (torch.float16, torch.bfloat16):
        rnn = EIRNN(3, POPS, dt_ms=1, tau_ms=TAUS, noise=0.1).to(dtype)
        step = rnn._step(torch.zeros((), dtype=dtype))
        exact = 1 / torch.tensor(TAUS, dtype=DOUBLE)
        for found, expected in zip(
            step, (exact, 1 - exact, (2 * exact).sqrt()), strict=True
        ):
            assert torch.equal(found, expected.to(dtype))
        assert rnn.tau_ms.tolist() == TAUS


@pytest.mark.parametrize("tau_ms", [33.3, TAUS], ids=["one", "a unit"])
@pytest.mark.parametrize(
    "carry",
    [
        copy.deepcopy,
        lambda m: pickle.loads(pickle.dumps(m)),
        lambda m: m.half().bfloat16().double(),
        lambda m: m.to("meta").to_empty(device="cpu"),
        lambda m: AveragedModel(m).module,
        lambda m: torch.load(saved(m), weights_only=False),
    ],
    ids=["copy", "pickle", "casts", "meta", "averaged", "saved"],
)
def test_time_constants_are_carried_exactly(carry, tau_ms):
    rnn = EIRNN(3, POPS, dt_ms=1, tau_ms=tau_ms, dtype=DOUBLE)
    before = (
        torch.as_tensor(rnn.leak).clone(),
        [torch.as_tensor(part) for part in rnn._step(torch.zeros((), dtype=DOUBLE))],
    )
    moved = carry(rnn)
    assert torch.as_tensor(moved.tau_ms, dtype=DOUBLE).tolist() == tau_ms
    assert moved.dt_ms == 1
    assert torch.equal(torch.as_tensor(moved.leak), before[0])
    for one, other in zip(
        moved._step(torch.zeros((), dtype=DOUBLE)), before[1], strict=True
    ):
        assert torch.equal(torch.as_tensor(one), other)


def saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return file


def test_a_circuit_made_on_meta_has_its_time_constants_once_it_is_filled():
    whole = EIRNN(3, POPS, dt_ms=2, tau_ms=TAUS)
    with torch.device("meta"):
        empty = EIRNN(3, POPS, dt_ms=2, tau_ms=TAUS)
    assert empty.weight_hh_l0.is_meta
    empty.load_state_dict(whole.state_dict(), assign=True)
    assert torch.equal(states(empty), states(whole))


@pytest.mark.parametrize("version", ["no metadata", "version 1"])
def test_a_checkpoint_from_before_time_constants_were_saved_loads(version):
    rnn, other = (EIRNN(3, POPS, dt_ms=2, tau_ms=tau) for tau in (100, 50))
    old = rnn.state_dict()
    del old["tau_ms"]
    if version == "no metadata":
        old = dict(old)
    else:
        old._metadata[""]["version"] = 1
    with pytest.warns(
        UserWarning,
        match=r"^tau_ms: the checkpoint does not say it, .*; this circuit's, 50, stays.$",
    ):
        assert str(other.load_state_dict(old)) == "<All keys matched successfully>"
    assert other.tau_ms == 50


def test_a_checkpoint_without_a_leak_and_without_metadata_is_no_surprise():
    discrete, leaky = EIRNN(3, POPS), EIRNN(3, POPS, dt_ms=2, tau_ms=100)
    EIRNN(3, POPS).load_state_dict(dict(discrete.state_dict()))  # nothing to say
    model = nn.Sequential(leaky)
    with pytest.warns(UserWarning, match=r"^0.tau_ms: the checkpoint does not say it"):
        model.load_state_dict(
            {f"0.{name}": value for name, value in discrete.state_dict().items()}
        )
    model.load_state_dict({}, strict=False)  # of this circuit there is nothing in it


SHUNTING = {
    "linear": lambda eps: DANNLinear(3, 4, 2, shunting=True, eps=eps),
    "convolution": lambda eps: DANNConv2d(2, 3, 2, n_inh=1, shunting=True, eps=eps),
    "circuit": lambda eps: DANNRNN(3, 6, 2, shunting=True, eps=eps),
    "cell": lambda eps: DANNRNNCell(3, 6, 2, shunting=True, eps=eps),
}


@pytest.mark.parametrize("build", SHUNTING.values(), ids=SHUNTING)
def test_another_eps_in_a_checkpoint_is_said(build):
    module = build(0.5)
    buffer = io.BytesIO()
    torch.save(build(0.25).state_dict(), buffer)
    buffer.seek(0)
    with pytest.warns(
        UserWarning,
        match=r"^eps: the checkpoint is of a module with 0.25, and this one has 0.5, which",
    ):
        module.load_state_dict(torch.load(buffer, weights_only=True))
    module.load_state_dict(build(0.5).state_dict())


def test_an_eps_that_does_not_act_is_not_told():
    DANNLinear(3, 4, 2, eps=0.5).load_state_dict(
        DANNLinear(3, 4, 2, eps=0.25).state_dict()
    )


@circuits
def test_another_nonlinearity_in_a_checkpoint_is_said(build):
    tanh, relu, own = (
        build(nonlinearity=f) for f in ("tanh", "relu", lambda z: z.relu())
    )
    model = nn.ModuleDict({"rnn": relu})
    with pytest.warns(
        UserWarning,
        match=r"^rnn.nonlinearity: the checkpoint is of a module with 'tanh', and this one",
    ):
        model.load_state_dict(nn.ModuleDict({"rnn": tanh}).state_dict())
    assert relu.nonlinearity == "relu"
    relu.load_state_dict(build().state_dict())
    relu.load_state_dict(
        own.state_dict()
    )  # what a function computes cannot be compared
    own.load_state_dict(tanh.state_dict())


@pytest.mark.parametrize(
    ("saved_by", "loaded_by", "sentence"),
    [
        ({"dt_ms": 2, "tau_ms": 50}, {"dt_ms": 2, "tau_ms": 100}, "tau_ms: the checkpoint has 50 and this circuit 100; set `tau_ms` to the checkpoint's before loading it, and to another afterwards if you mean it."),
        ({"dt_ms": 2, "tau_ms": TAUS}, {"dt_ms": 2, "tau_ms": 100}, "tau_ms: the checkpoint has 20 to 10000 (6 units) and this circuit 100;"),
        ({"dt_ms": 2, "tau_ms": 50}, {}, "tau_ms: the checkpoint is of a circuit with `tau_ms` 50, and this one has no leak; build it with the same `dt_ms` and `tau_ms`."),
        ({}, {"dt_ms": 2, "tau_ms": 100}, "tau_ms: the checkpoint is of a circuit without a leak, and this one has `tau_ms` 100; load it into one built without `dt_ms` and `tau_ms`."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("strict", [True, False])
def test_a_checkpoint_of_other_time_constants_is_refused_whole(
    saved_by, loaded_by, sentence, strict
):
    rnn = EIRNN(3, POPS, **loaded_by)
    before = rnn.weight_hh_l0.detach().clone()
    with pytest.raises(RuntimeError) as raised:
        rnn.load_state_dict(EIRNN(3, POPS, **saved_by).state_dict(), strict=strict)
    assert sentence in str(raised.value)
    assert torch.equal(rnn.weight_hh_l0, before)


def test_the_same_time_constants_agree_however_they_were_given_or_saved():
    one, each = (
        EIRNN(3, POPS, dt_ms=2, tau_ms=33.3),
        EIRNN(3, POPS, dt_ms=5, tau_ms=[33.3] * 6),
    )
    each.load_state_dict(one.state_dict())
    one.load_state_dict(each.state_dict())
    one.load_state_dict(
        {
            name: value.half() if value.is_floating_point() else value
            for name, value in each.state_dict().items()
        }
    )
    assert one.tau_ms == 33.3
    for wrong in (torch.tensor([33.3, 33.3]), torch.tensor(math.nan)):
        with pytest.raises(RuntimeError, match="tau_ms: the checkpoint has"):
            one.load_state_dict({**one.state_dict(), "tau_ms": wrong})


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda m: setattr(m, "dt_ms", 200), ValueError, "`dt_ms` must be at most `tau_ms`; got 200 and 100."),
        (lambda m: setattr(m, "dt_ms", -1), ValueError, "`dt_ms` must be above 0; got -1."),
        (lambda m: setattr(m, "dt_ms", None), TypeError, "`dt_ms` must be a number; got None."),
        (lambda m: setattr(m, "tau_ms", 5), ValueError, "`dt_ms` must be at most `tau_ms`; got 20 and 5."),
        (lambda m: setattr(m, "tau_ms", [5, 6]), ValueError, "`tau_ms` must be a number or one for each of the 6 units; got shape (2,)."),
        (lambda m: setattr(m, "tau_ms", True), TypeError, "`tau_ms` must be a number, or one per unit; got bool."),
        (lambda m: setattr(m, "tau_ms", [50] * 5 + [True]), TypeError, "`tau_ms` must be a number, or one per unit; got list."),
        (lambda m: setattr(m, "tau_ms", torch.ones(6, dtype=torch.bool)), TypeError, "`tau_ms` must be a number, or one per unit; got Tensor."),
        (lambda m: setattr(m, "leak", True), TypeError, "`leak` must be a number, or one per unit; got bool."),
        (lambda m: setattr(m, "leak", 1.5), ValueError, "`leak` must be above 0 and at most 1; got 1.5."),
        (lambda m: setattr(m, "leak", torch.tensor([0.1, 0.2])), ValueError, "`leak` must be a number or one for each of the 6 units; got shape (2,)."),
        (lambda m: setattr(m, "leak", "fast"), TypeError, "`leak` must be a number, or one per unit; got str."),
        (lambda m: setattr(m, "leak", torch.full((6,), math.nan)), ValueError, "`leak` must be above 0 and at most 1; got nan."),
        (lambda m: setattr(m, "noise", -0.1), ValueError, "`noise` must be at least 0; got -0.1."),
        (lambda m: setattr(m, "noise", torch.tensor(0.1, requires_grad=True)), TypeError, "`noise` must be a number; got tensor(0.1000, requires_grad=True)."),
        (lambda m: setattr(m, "noise_in_eval", 1), TypeError, "`noise_in_eval` must be True or False; got 1."),
        (lambda m: setattr(m, "nonlinearity", "sigmoid"), ValueError, "Unknown nonlinearity 'sigmoid'. Select from 'relu', 'tanh' or 'softplus'."),
        (lambda m: setattr(m, "generator", 3), TypeError, "`generator` must be a torch.Generator; got int."),
        (lambda m: setattr(m, "spectral_radius", 0), ValueError, "`spectral_radius` must be above 0; got 0."),
        (lambda m: setattr(m, "dropout", 2), ValueError, "`dropout` must be a fraction in [0, 1]; got 2."),
        (lambda m: setattr(m, "batch_first", None), TypeError, "`batch_first` must be True or False; got None."),
        (lambda m: setattr(m, "hidden_size", 7), AttributeError, "`hidden_size` cannot be set, since the parameters of this EIRNN were made for it: build another; got 7."),
        (lambda m: setattr(m, "populations", Populations(2, 4)), AttributeError, "`populations` cannot be set, since the parameters of this EIRNN were made for it: build another; got Populations(n_exc=2, n_inh=4)."),
        (lambda m: setattr(m, "bias", False), AttributeError, "`bias` cannot be set, since the parameters of this EIRNN were made for it: build another; got False."),
    ],
)  # fmt: skip
def test_a_setting_is_read_as_carefully_as_by_the_constructor(change, error, sentence):
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=100)
    before = repr(rnn), states(rnn)
    with pytest.raises(error) as raised:
        change(rnn)
    assert str(raised.value).startswith(sentence)
    assert repr(rnn) == before[0]
    assert torch.equal(states(rnn), before[1])


@pytest.mark.parametrize(
    ("build", "name", "value"),
    [
        (lambda: EILinear(POPS, 3), "excitatory_only", True),
        (lambda: EILinear(POPS, 3), "in_features", 9),
        (lambda: DANNLinear(6, 3), "shunting", True),
        (lambda: DANNLinear(6, 3), "n_inh", 4),
        (lambda: EIConv1d(POPS, 3, 2), "populations", Populations(3, 3)),
        (lambda: EIConv1d(POPS, 4, 2, groups=2), "groups", 1),
        (lambda: DANNConv2d(3, 4, 2), "geometry", None),
        (lambda: DANNRNN(3, 4), "input_mean", 0.5),
        (lambda: DANNRNN(3, 4, shunting=True), "shunting", False),
        (lambda: EIRNN(3, POPS), "num_layers", 2),
        (lambda: EIRNN(3, POPS), "bidirectional", True),
    ],
)
def test_what_the_parameters_were_made_for_cannot_be_set(build, name, value):
    layer = build()
    with pytest.raises(
        AttributeError, match=f"`{name}` cannot be set, since the parameters of this "
    ):
        setattr(layer, name, value)
    setattr(layer, name, getattr(layer, name))  # the value it has already


@pytest.mark.parametrize(
    "build",
    [lambda: DANNLinear(6, 3, shunting=True), lambda: DANNRNN(3, 6, shunting=True)],
)
def test_the_floor_of_a_shunt_is_obeyed(build):
    layer = build()
    x = (
        torch.zeros(2, 6)
        if isinstance(layer, DANNLinear)
        else torch.full((4, 2, 3), 1e-4)
    )
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("alpha"):
                parameter.fill_(-20)  # a shunt below any floor
    if isinstance(layer, DANNLinear):
        x = x + 0.1
    before = layer(x)[0] if isinstance(layer, DANNLinear) else layer(x)[0][0]
    layer.eps = layer.eps / 2
    after = layer(x)[0] if isinstance(layer, DANNLinear) else layer(x)[0][0]
    torch.testing.assert_close(after, 2 * before)
    with pytest.raises(ValueError, match="`eps` must be above 0; got 0."):
        layer.eps = 0


def test_a_nonlinearity_may_be_replaced_by_any_other():
    rnn = EIRNN(3, POPS)
    relu = states(rnn)
    rnn.nonlinearity = nn.PReLU(init=0.0)
    assert "nonlinearity.weight" in dict(rnn.named_parameters())
    torch.testing.assert_close(states(rnn), relu)
    rnn.nonlinearity = nn.Tanh()
    rnn.nonlinearity = torch.tanh
    assert rnn.nonlinearity == "tanh"
    assert "nonlinearity.weight" not in dict(rnn.named_parameters())
    rnn.nonlinearity = "relu"
    assert torch.equal(states(rnn), relu)


def test_batch_first_and_generator_are_obeyed():
    rnn = EIRNN(3, POPS, noise=0.5)
    x = torch.rand(5, 2, 3)
    rnn.generator = seeded(7)
    first = rnn(x)[0]
    rnn.generator, rnn.batch_first = seeded(7), True
    assert torch.equal(rnn(x.transpose(0, 1))[0].transpose(0, 1), first)


# -- derivatives -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["leak", "tau_ms"])
@pytest.mark.parametrize("size", [(), (6,)], ids=["one", "a unit"])
@pytest.mark.parametrize("input_kind", ["sequence", "packed"])
@pytest.mark.parametrize(
    "build", [CIRCUITS[k] for k in ("EIRNN", "two layers", "DANNRNN", "shunting")]
)
def test_the_gradient_of_a_leak_checks_numerically(name, size, build, input_kind):
    rnn = build(
        dt_ms=20, tau_ms=100, dtype=DOUBLE, nonlinearity="tanh", generator=seeded()
    )
    value = torch.full(
        size, {"leak": 0.2, "tau_ms": 100.0}[name], dtype=DOUBLE, requires_grad=True
    )
    x = torch.rand(4, 2, 3, generator=seeded(1), dtype=DOUBLE)
    given = pack_sequence([x[:, 0], x[:2, 1]]) if input_kind == "packed" else x

    def run(value):
        setattr(rnn, name, value)
        output, last = rnn(given)
        return (output.data if input_kind == "packed" else output), last

    assert torch.autograd.gradcheck(run, value)


def test_a_leak_may_be_learned_with_noise_and_twice_differentiated():
    rnn = EIRNN(
        3, POPS, dt_ms=20, tau_ms=100, noise=0.2, dtype=DOUBLE, nonlinearity="tanh"
    )
    leak = torch.rand(6, generator=seeded(), dtype=DOUBLE).requires_grad_()

    def run(leak):
        rnn.leak, rnn.generator = leak, seeded(3)
        return states(rnn)

    assert torch.autograd.gradcheck(run, leak)
    assert torch.autograd.gradgradcheck(run, leak)


@pytest.mark.parametrize("name", ["leak", "tau_ms"])
def test_a_parameter_of_time_is_a_parameter(name):
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=TAUS[:3] + [50.0] * 3, dtype=DOUBLE)
    setattr(
        rnn,
        name,
        nn.Parameter(torch.as_tensor(getattr(rnn, name), dtype=DOUBLE).clone()),
    )
    twin = copy.deepcopy(rnn)
    states(rnn).sum().backward()
    assert rnn.get_parameter(name).grad.abs().min() > 0
    with torch.no_grad():
        rnn.get_parameter(name).mul_(1.5 if name == "tau_ms" else 0.5)
    twin.load_state_dict(rnn.state_dict())
    assert torch.equal(states(twin), states(rnn))
    plain = EIRNN(3, POPS, dt_ms=20, tau_ms=rnn.tau_ms.detach(), dtype=DOUBLE)
    with pytest.warns(UserWarning, match="tau_ms: the checkpoint does not say it"):
        plain.load_state_dict(
            {
                k: v
                for k, v in rnn.state_dict().items()
                if k not in ("leak", "tau_ms", "dt_ms")
            }
        )
    torch.testing.assert_close(states(plain), states(rnn))
    for one in (rnn, plain):
        one.dt_ms = 2
    torch.testing.assert_close(states(plain), states(rnn))


def test_a_learned_leak_is_a_fraction_of_the_step_it_was_learned_at():
    rnn, finer = (EIRNN(3, POPS, dt_ms=dt, tau_ms=100) for dt in (20, 2))
    for one in (rnn, finer):
        one.leak = nn.Parameter(torch.full((6,), one.dt_ms / 100))
    with pytest.raises(
        RuntimeError,
        match="dt_ms: the checkpoint has 20 and this circuit 2; set `dt_ms` to the",
    ):
        finer.load_state_dict(rnn.state_dict())
    finer.dt_ms = 20
    finer.load_state_dict(rnn.state_dict())
    finer.dt_ms = 2
    torch.testing.assert_close(finer.leak, torch.full((6,), 0.02))


def test_tangents_and_batches_of_leaks():
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=100, dtype=DOUBLE, nonlinearity="tanh")
    leaks = torch.rand(3, 6, generator=seeded(), dtype=DOUBLE)

    def run(leak):
        rnn.leak = leak
        return states(rnn)

    each = torch.stack([run(leak) for leak in leaks])
    torch.testing.assert_close(torch.func.vmap(run)(leaks), each)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.func.jvp's own
        _, forward = torch.func.jvp(run, (leaks[0],), (torch.ones_like(leaks[0]),))
    jacobian = torch.autograd.functional.jacobian(run, leaks[0])
    torch.testing.assert_close(forward, jacobian.sum(-1))


# -- what is no setting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build", [lambda: EIRNN(10, 100), lambda: EIRNNCell(10, hidden_size=100)]
)
def test_a_circuit_without_inhibition_says_so_once(build):
    with pytest.warns(UserWarning, match="Populations") as caught:
        build()
    assert [str(w.message) for w in caught] == [
        "`hidden_size` is an int, so all 100 units excite and nothing inhibits; write Populations.split(100) for a "
        "fifth of inhibitory ones, or Populations(100) if you mean it."
    ]
    assert caught[0].filename == __file__


def test_a_partition_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EIRNN(10, Populations(100))
        DANNRNN(10, 100)


@pytest.mark.parametrize(
    "build",
    [CIRCUITS[k] for k in ("EIRNN", "DANNRNN", "shunting")],
    ids=["EIRNN", "DANNRNN", "shunting"],
)
@pytest.mark.parametrize("tau_ms", [100.0, TAUS], ids=["one", "a unit"])
@pytest.mark.parametrize("learned", [False, True])
def test_a_leak_is_lowered_by_autocast_too(build, tau_ms, learned):
    rnn = build(dt_ms=20, tau_ms=tau_ms)
    if learned:
        rnn.leak = nn.Parameter(torch.as_tensor(rnn.leak).clone())
    expected = rnn(torch.linspace(0.1, 1, 30).view(5, 2, 3))[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, last = rnn(torch.linspace(0.1, 1, 30).view(5, 2, 3))
    assert output.dtype == last.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, rtol=0.05, atol=0.05)
    output.float().sum().backward()
    assert not learned or rnn.leak.grad.isfinite().all()


@pytest.mark.filterwarnings("ignore")  # torch's own recorders warn of themselves
@pytest.mark.parametrize("strict", [False, True])
def test_a_circuit_of_many_time_constants_may_be_exported(strict):
    rnn, x = EIRNN(3, POPS, dt_ms=20, tau_ms=TAUS), torch.rand(4, 2, 3)
    exported = torch.export.export(rnn, (x,), strict=strict).module()
    torch.testing.assert_close(exported(x)[0], rnn(x)[0])


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
@pytest.mark.parametrize(
    "layer", [lambda: DANNLinear(3, 4, shunting=True), lambda: EILinear(3, 4)]
)
def test_a_dense_layer_compiles_as_one_graph(layer):
    built, x = layer(), torch.rand(2, 3)
    torch.testing.assert_close(
        torch.compile(built, backend="aot_eager", fullgraph=True)(x), built(x)
    )


def test_a_leak_without_a_unit_of_time_is_shown_and_saved():
    rnn, plain = EIRNN(3, POPS), EIRNN(3, POPS)
    rnn.leak = 0.25
    assert "leak=0.25" in repr(rnn)
    with pytest.raises(
        RuntimeError,
        match="leak: the checkpoint is of a circuit with `leak` 0.25, and this one has no",
    ):
        plain.load_state_dict(rnn.state_dict())
    plain.leak = 0.25
    plain.load_state_dict(rnn.state_dict())
    assert torch.equal(states(plain), states(rnn))
    rnn.dt_ms = 5
    assert rnn.tau_ms == 20


@pytest.mark.parametrize("tau_ms", [None, 100.0, TAUS], ids=["none", "one", "a unit"])
def test_a_pickle_from_before_time_constants_were_kept_is_read(tau_ms):
    rnn = EIRNN(
        3,
        POPS,
        dtype=DOUBLE,
        **({} if tau_ms is None else {"dt_ms": 2, "tau_ms": tau_ms}),
    )
    leak, expected = rnn.leak, states(rnn)
    old = copy.deepcopy(rnn)
    for name in ("_tau", "_rate", "_derived", "_seen", "_n_units", "spectral_radius"):
        del old.__dict__[name]
    if not isinstance(leak, torch.Tensor):
        old.__dict__["leak"] = leak
    again = EIRNN.__new__(EIRNN)
    again.__setstate__(old.__dict__)
    torch.testing.assert_close(states(again), expected)
    if tau_ms is not None:
        torch.testing.assert_close(
            torch.as_tensor(again.tau_ms),
            torch.as_tensor(tau_ms, dtype=DOUBLE).to(torch.as_tensor(again.tau_ms)),
        )
    again.reset_parameters()


# -- nonlinearities of the user's --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f", [nn.ReLU(inplace=True), torch.relu_], ids=["module", "function"]
)
@circuits
def test_a_nonlinearity_may_work_in_place(build, f):
    rnn = build(dt_ms=20, tau_ms=100).double()
    first = "bias_ih" if hasattr(rnn, "bias_ih") else "bias_ih_l0"
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            if name.startswith("bias"):
                parameter.copy_(torch.linspace(-2, 2, 6))  # some states are negative
    wanted = states(rnn)
    (gradient,) = torch.autograd.grad(wanted.sum(), rnn.get_parameter(first))
    rnn.nonlinearity = f
    found = states(rnn)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)
    (again,) = torch.autograd.grad(found.sum(), rnn.get_parameter(first))
    assert torch.allclose(again, gradient, rtol=0, atol=1e-12)
    with torch.no_grad():
        assert torch.allclose(states(rnn), wanted, rtol=0, atol=1e-12)
    state = torch.linspace(-1, 1, 6)
    assert rnn.rates(state).min() == 0
    assert state.min() == -1


@pytest.mark.parametrize(
    "kw", [{}, {"dt_ms": 20, "tau_ms": 100}], ids=["no leak", "leak"]
)
@pytest.mark.parametrize(
    ("f", "got"), [(lambda z: z.sum(), r"\(\)"), (lambda z: z.tolist(), "list")]
)
def test_a_nonlinearity_gives_a_rate_for_each_state(kw, f, got):
    rnn = EIRNN(3, POPS, nonlinearity=f, **kw)
    with pytest.raises(
        TypeError,
        match=rf"^`nonlinearity` must give a rate for each state, \(2, 6\); got {got}.$",
    ):
        states(rnn)


def test_a_nonlinearity_is_no_class():
    with pytest.raises(
        TypeError,
        match=r"^`nonlinearity` must be a name or a function; got the class ELU: give `ELU",
    ):
        EIRNN(3, POPS, nonlinearity=nn.ELU)


# -- time constants that leave their range while they learn ------------------------------------------------------------


@circuits
def test_a_learned_time_constant_below_the_time_step_is_refused(build):
    rnn = build(dt_ms=20, tau_ms=100)
    rnn.tau_ms = nn.Parameter(torch.tensor(TAUS))
    states(rnn)  # the shortest is the time step itself
    for value, shown in ((19.0, "19"), (-50.0, "-50"), (math.nan, "nan")):
        with torch.no_grad():
            rnn.tau_ms[2] = value
        with pytest.raises(
            ValueError,
            match=rf"^`tau_ms` must stay at least `dt_ms`, 20, while it learns; got {shown}:",
        ):
            states(rnn)
    with torch.no_grad():
        rnn.tau_ms.copy_(torch.tensor(TAUS))
    states(rnn)


def test_a_learned_leak_above_one_is_refused():
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=100)
    rnn.leak = nn.Parameter(torch.full((6,), 0.5))
    with torch.no_grad():
        rnn.leak[1] = 1.5
    with pytest.raises(
        ValueError,
        match=r"^`leak` must stay above 0 and at most 1 while it learns; got 1.5:",
    ):
        states(rnn)
    with torch.no_grad():
        rnn.leak[1] = 0
    with pytest.raises(ValueError, match="while it learns; got 0:"):
        states(rnn)


@pytest.mark.parametrize("name", ["tau_ms", "leak"])
@circuits
def test_a_circuit_whose_time_constants_were_computed_is_copied_with_their_values(
    build, name
):
    rnn = build(dt_ms=20, tau_ms=100).double()
    logarithms = torch.linspace(-1, 0, 6, dtype=DOUBLE, requires_grad=True)
    setattr(rnn, name, logarithms.exp() * (100 if name == "tau_ms" else 1))
    for twin in (
        copy.deepcopy(rnn),
        pickle.loads(pickle.dumps(rnn)),
        AveragedModel(rnn).module,
    ):
        assert torch.allclose(
            states(twin), states(rnn), rtol=0, atol=1e-12
        )  # the copy is fused
        assert not getattr(twin, name).requires_grad
    states(rnn).sum().backward()
    assert logarithms.grad.abs().min() > 0


# -- what torch cannot do with a layer ---------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "build",
    [*CIRCUITS.values(), lambda: EILinear(POPS, 2), lambda: EIConv1d(POPS, 2, 3)],
)
def test_scripting_is_refused_in_a_sentence(build):
    module = build()
    said = f"got {type(module).__name__}: use `torch.export`, `torch.compile`, or `torch.jit.trace`"
    for model in (module, nn.Sequential(nn.Linear(2, 2), module)):
        with pytest.raises(TypeError, match=said):
            torch.jit.script(model)


# -- attributes that are no settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [("tau", "tau_ms"), ("dt", "dt_ms"), ("alpha", "leak"), ("sigma", "noise"), ("activation", "nonlinearity"), ("nosie", "noise")],
)  # fmt: skip
@circuits
def test_a_setting_by_another_name_is_not_swallowed(build, name, meant):
    rnn = build(dt_ms=20, tau_ms=100)
    kind = type(rnn).__name__
    with pytest.raises(
        AttributeError,
        match=rf"^`{name}` is no setting of {kind}; did you mean `{meant}`\? Got 0.5.$",
    ):
        setattr(rnn, name, 0.5)
    assert not hasattr(rnn, name)


@pytest.mark.parametrize(
    "name",
    [
        "mask",
        "input_mask",
        "layer_mask",
        "fixed",
        "input_fixed",
        "lr_scale",
        "input_lr_scale",
        "strength",
        "input_strength",
        "input_signed",
        "autapses",
        "signs",
        "train_initial_state",
        "dtype",
        "device",
    ],
)
@pytest.mark.parametrize(
    "build",
    [*CIRCUITS.values(), lambda: EILinear(POPS, 2), lambda: DANNConv2d(2, 3, 2)],
)
def test_what_a_layer_is_built_with_cannot_be_set(build, name):
    module = build()
    with pytest.raises(
        AttributeError,
        match=rf"^`{name}` cannot be set of {type(module).__name__}, wh.*; got Tensor.$",
    ):
        setattr(module, name, torch.ones(2))


def test_attributes_of_ones_own_are_free():
    class Mine(EIRNN):
        def __init__(self):
            super().__init__(3, POPS)
            self.mask = "all"

    rnn, mine = EIRNN(3, POPS), Mine()
    rnn.label = mine.tau = "mine"
    rnn.alpha = nn.Parameter(torch.ones(1))  # is trained and saved, if nothing else
    assert (rnn.label, mine.tau, mine.mask) == ("mine", "mine", "all")


@pytest.mark.parametrize(
    "build",
    [
        lambda: EIRNN(3, Populations(4, 2), nonlinearity=torch.sigmoid),
        lambda: EIRNNCell(3, Populations(4, 2), dt_ms=10, tau_ms=50),
        lambda: DANNRNNCell(3, 6, shunting=True),
        lambda: DANNRNN(3, 6, dt_ms=10, tau_ms=[10.0, 20, 30, 40, 50, 60]),
    ],
)
def test_on_the_meta_device_shapes_go_forward_and_backward(build):
    with torch.device("meta"):
        circuit, x = build(), torch.rand(4, 3)
    result = circuit(x)
    rates = result[0] if isinstance(result, tuple) else result
    assert rates.is_meta
    assert rates.shape == (4, 6)
    rates.sum().backward()
    assert all(p.grad.shape == p.shape for p in circuit.parameters())
