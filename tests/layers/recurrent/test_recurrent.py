"""Recurrent layers beside nn.RNN, beside a loop anyone can read, and beside their own effective weights."""

import copy
import math
import pickle

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from daleml import Populations, signs
from daleml.analysis import fit_weights, spectrum, weight_samples
from daleml.datasets import celegans, fly_visual
from daleml.layers import DANNRNN, EIRNN, DANNRNNCell, EILinear, EIRNNCell, init
from daleml.layers._recurrent import fused as fused_steps
from daleml.layers._recurrent.dispatch import LayerSweep, run
from daleml.layers._recurrent.loop import NONLINEARITIES, loop
from daleml.optim import EG, enforce, param_groups
from tests.reference.recurrent import circuit as readable

DOUBLE = torch.float64
EXACT = {"rtol": 1e-10, "atol": 1e-12}
POPS = Populations(4, 2)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def unconstrained(reference, **options):
    """An all-excitatory circuit with the weights of an nn.RNN, of any sign."""
    ours = EIRNN(
        reference.input_size, reference.hidden_size, reference.num_layers, reference.nonlinearity, reference.bias,
        reference.batch_first, reference.dropout, autapses=True, dtype=DOUBLE, **options,
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            ours.get_parameter(name).copy_(parameter)
    return ours


def gradients(model, inputs, call):
    """Gradients of a fixed random projection of output and state, of every parameter and input."""
    output, state = call(model, *inputs)
    flat = output.data if isinstance(output, nn.utils.rnn.PackedSequence) else output
    loss = (
        flat * torch.linspace(-1, 2, flat.numel(), dtype=DOUBLE).view_as(flat)
    ).sum()
    loss = (
        loss
        + (
            state * torch.linspace(1, -1, state.numel(), dtype=DOUBLE).view_as(state)
        ).sum()
    )
    names = [name for name, p in model.named_parameters()]
    leaves = [p for _, p in model.named_parameters()] + [
        x for x in inputs if x is not None
    ]
    found = torch.autograd.grad(loss, leaves)
    return flat, state, dict(zip(names, found, strict=False)), found[len(names) :]


# -- beside nn.RNN -----------------------------------------------------------------------------------------------------

PACKED = "packed"


@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "shape", [(5, 3, 4), (1, 3, 4), (5, 1, 4), (5, 4), (5, 0, 4), PACKED]
)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("given_state", [False, True])
def test_is_nn_rnn(nonlinearity, num_layers, bias, shape, batch_first, given_state):
    if shape == (5, 0, 4) and batch_first:
        shape = (0, 5, 4)
    torch.manual_seed(0)
    reference = nn.RNN(4, 6, num_layers, nonlinearity, bias, batch_first).double()
    ours = unconstrained(reference)
    if shape == PACKED:
        x = [torch.randn(n, 4, dtype=DOUBLE, requires_grad=True) for n in (2, 5, 5, 1)]
        hx = (
            torch.randn(num_layers, 4, 6, dtype=DOUBLE, requires_grad=True)
            if given_state
            else None
        )
        inputs = [*x, hx]

        def call(model, *inputs):
            return model(pack_sequence(inputs[:-1], enforce_sorted=False), inputs[-1])
    else:
        x = torch.randn(shape, dtype=DOUBLE, requires_grad=True)
        n = () if len(shape) == 2 else (shape[0] if batch_first else shape[1],)
        hx = (
            torch.randn(num_layers, *n, 6, dtype=DOUBLE, requires_grad=True)
            if given_state
            else None
        )
        inputs = [x, hx]

        def call(model, *inputs):
            return model(*inputs)

    expected, got = gradients(reference, inputs, call), gradients(ours, inputs, call)
    for one, other in zip(expected[:2], got[:2], strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(other, one, **EXACT)
    for name, gradient in expected[2].items():
        torch.testing.assert_close(got[2][name], gradient, **EXACT, msg=name)
    for one, other in zip(expected[3], got[3], strict=True):
        torch.testing.assert_close(other, one, **EXACT)


def test_a_packed_result_is_packed_as_it_was():
    rnn, reference = EIRNN(3, 4), nn.RNN(3, 4)
    packed = pack_sequence([torch.rand(n, 3) for n in (2, 4, 1)], enforce_sorted=False)
    ours, theirs = rnn(packed)[0], reference(packed)[0]
    assert all(
        torch.equal(getattr(ours, k), getattr(theirs, k))
        for k in theirs._fields
        if k != "data"
    )


def test_dropout_is_between_layers_and_only_in_training():
    torch.manual_seed(0)
    rnn = EIRNN(3, POPS, 2, dropout=0.5)
    x = torch.rand(5, 2, 3)
    first = EIRNN(3, POPS)
    first.load_state_dict(
        {
            k: v
            for k, v in rnn.state_dict().items()
            if k.endswith(("l0", "l0_signs", "l0_present"))
        }
    )
    assert not torch.equal(rnn(x)[0], rnn(x)[0])
    assert torch.equal(rnn(x)[1][0], first(x)[1][0])
    assert torch.equal(rnn.eval()(x)[0], rnn(x)[0])
    reference = nn.RNN(3, 6, 2, "relu", dropout=1.0)
    ours = EIRNN(3, POPS, 2, dropout=1.0)
    assert ours(x)[0].shape == reference(x)[0].shape
    with pytest.warns(
        UserWarning, match="dropout option adds dropout after all but last"
    ):
        EIRNN(3, POPS, dropout=0.5)


BAD_CALLS = [
    (torch.rand(0, 2, 3), None),
    (torch.rand(5, 2, 4), None),
    (torch.rand(5, 2, 3, 1), None),
    (torch.rand(5), None),
    (torch.rand(5, 2, 3).double(), None),
    (torch.rand(5, 2, 3), torch.rand(1, 3, 6)),
    (torch.rand(5, 2, 3), torch.rand(1, 2, 5)),
    (torch.rand(5, 2, 3), torch.rand(2, 2, 6)),
    (torch.rand(5, 2, 3), torch.rand(2, 6)),
    (torch.rand(5, 3), torch.rand(1, 2, 6)),
    (torch.rand(5, 3), torch.rand(1, 5)),
]


@pytest.mark.parametrize(
    "build",
    [
        lambda: EIRNN(3, POPS),
        lambda: DANNRNN(3, 6),
        lambda: DANNRNN(3, 6, shunting=True),
    ],
)
@pytest.mark.parametrize(
    "call", BAD_CALLS, ids=lambda call: "x".join(map(str, call[0].shape))
)
def test_a_wrong_call_is_refused_in_the_words_of_nn_rnn(build, call):
    with pytest.raises((RuntimeError, ValueError)) as theirs:
        nn.RNN(3, 6)(*call)
    ours = build()
    with pytest.raises(theirs.type) as raised:
        ours(*call)
    assert str(raised.value) == str(theirs.value).replace(
        "RNN: Exp", f"{type(ours).__name__}: Exp"
    )


BAD_CELL_CALLS = [
    (torch.rand(2, 4), None),
    (torch.rand(2, 3), torch.rand(3, 6)),
    (torch.rand(2, 3), torch.rand(2, 5)),
    (torch.rand(2, 3, 1), None),
    (torch.rand(2, 3), torch.rand(1, 2, 6)),
    (torch.rand(2, 3), torch.rand(6)),
    (torch.rand(3), torch.rand(2, 6)),
]


@pytest.mark.parametrize(
    "build", [lambda: EIRNNCell(3, POPS), lambda: DANNRNNCell(3, 6)]
)
@pytest.mark.parametrize(
    "call", BAD_CELL_CALLS, ids=lambda call: "x".join(map(str, call[0].shape))
)
def test_a_wrong_step_is_refused_in_the_words_of_nn_rnncell(build, call):
    with pytest.raises((RuntimeError, ValueError)) as theirs:
        nn.RNNCell(3, 6)(*call)
    ours = build()
    with pytest.raises(theirs.type) as raised:
        ours(*call)
    assert str(raised.value) == str(theirs.value).replace(
        "RNNCell: Exp", f"{type(ours).__name__}: Exp"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 0},
        {"dropout": 2},
        {"input_size": 0},
        {"input_size": 2.5},
        {"bias": 3},
        {"batch_first": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [EIRNN, DANNRNN])
def test_a_wrong_size_is_refused_in_the_words_of_nn_rnn(kind, options):
    with pytest.raises((TypeError, ValueError)) as theirs:
        nn.RNN(**{"input_size": 3, "hidden_size": 6, **options})
    input_size, others = (
        options.get("input_size", 3),
        {k: v for k, v in options.items() if k != "input_size"},
    )
    with pytest.raises(theirs.type) as raised:
        kind(input_size, 6, **others)
    assert str(raised.value) == str(theirs.value)


@pytest.mark.parametrize(
    ("size", "error"), [(0, ValueError), (2.5, TypeError), (-1, ValueError)]
)
def test_a_wrong_number_of_units_is_refused_in_the_words_of_nn_rnn(size, error):
    for build in (
        lambda: EIRNN(3, size),
        lambda: DANNRNN(3, size),
        lambda: EIRNNCell(3, size),
    ):
        with pytest.raises(error, match="hidden_size"):
            build()


# -- beside a loop anyone can read -------------------------------------------------------------------------------------

CIRCUITS = {
    "EIRNN": lambda **kw: EIRNN(3, POPS, **kw),
    "EIRNN signed inputs": lambda **kw: EIRNN(Populations(2, 1), POPS, **kw),
    "DANNRNN": lambda **kw: DANNRNN(3, 6, 2, **kw),
    "DANNRNN shunting": lambda **kw: DANNRNN(3, 6, 2, shunting=True, **kw),
}
DYNAMICS = {
    "discrete": {},
    "leaky": {"dt_ms": 20, "tau_ms": 100},
    "tau a unit": {"dt_ms": 10, "tau_ms": [20, 30, 40, 50, 60, 10]},
    "masked": {"mask": 0.5, "input_mask": 0.7},
    "leaky, masked, two layers": {
        "dt_ms": 20,
        "tau_ms": 50,
        "mask": 0.5,
        "num_layers": 2,
    },
    "initial state": {"train_initial_state": True, "dt_ms": 20, "tau_ms": 100},
    "no bias": {"bias": False, "num_layers": 2},
    "noise": {"noise": 0.3, "dt_ms": 20, "tau_ms": 100},
    "discrete noise": {"noise": 0.3, "num_layers": 2},
    "noise, tau a unit": {
        "noise": 0.3,
        "dt_ms": 10,
        "tau_ms": [20, 30, 40, 50, 60, 10],
    },
}


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("nonlinearity", ["relu", "tanh", "softplus"])
def test_agrees_with_a_readable_loop(circuit, dynamics, nonlinearity):
    torch.manual_seed(0)
    rnn = CIRCUITS[circuit](
        nonlinearity=nonlinearity,
        generator=seeded(),
        dtype=DOUBLE,
        **DYNAMICS[dynamics],
    )
    with torch.no_grad():
        for name, parameter in rnn.named_parameters():
            if name.startswith("bias"):
                parameter.uniform_(-0.3, 0.3)
    x = torch.rand(7, 3, 3, dtype=DOUBLE, requires_grad=True)
    rnn.generator = seeded(5)
    output, last = rnn(x)
    again = readable(rnn, x, seeded(5))
    torch.testing.assert_close(output, again[0], **EXACT)
    torch.testing.assert_close(last, again[1], **EXACT)
    weight = torch.linspace(-1, 2, output.numel(), dtype=DOUBLE).view_as(output)
    leaves = [x, *rnn.parameters()]
    ours, theirs = (
        torch.autograd.grad(
            (o * weight).sum() + s.square().sum(), leaves, allow_unused=True
        )
        for o, s in ((output, last), again)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize(
    "dynamics", ["discrete", "leaky", "tau a unit", "initial state"]
)
def test_cells_walk_the_same_steps(circuit, dynamics):
    rnn = CIRCUITS[circuit](dtype=DOUBLE, **DYNAMICS[dynamics])
    kind = EIRNNCell if circuit.startswith("EIRNN") else DANNRNNCell
    sizes = (rnn.inputs, rnn.populations) if kind is EIRNNCell else (3, 6, 2)
    extra = {"shunting": True} if "shunting" in circuit else {}
    cell = kind(*sizes, dtype=DOUBLE, **extra, **DYNAMICS[dynamics])
    cell.load_state_dict(
        {name.replace("_l0", ""): value for name, value in rnn.state_dict().items()}
    )
    x = torch.rand(6, 4, 3, dtype=DOUBLE)
    output, last = rnn(x)
    state, rates = None, []
    for now in x:
        state = cell(now, state)
        rates.append(cell.rates(state))
    torch.testing.assert_close(torch.stack(rates), output, **EXACT)
    torch.testing.assert_close(state, last[0], **EXACT)
    torch.testing.assert_close(rnn.rates(last[0]), output[-1], **EXACT)
    torch.testing.assert_close(cell(x[0, 0]), cell(x[0])[0], **EXACT)
    assert cell.effective_weights().recurrent.equal(
        rnn.effective_weights()[0].recurrent
    )


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize("dynamics", ["discrete", "leaky", "tau a unit"])
def test_a_sequence_cut_in_two_goes_on_where_it_was(circuit, dynamics):
    rnn = CIRCUITS[circuit](dtype=DOUBLE, num_layers=2, **DYNAMICS[dynamics])
    x = torch.rand(9, 2, 3, dtype=DOUBLE)
    whole, last = rnn(x)
    first, state = rnn(x[:4])
    second, end = rnn(x[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, **EXACT)
    torch.testing.assert_close(end, last, **EXACT)


@pytest.mark.parametrize("dynamics", ["discrete", "leaky", "tau a unit"])
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_packed_sequences_run_as_they_would_alone(circuit, dynamics):
    rnn = CIRCUITS[circuit](dtype=DOUBLE, num_layers=2, **DYNAMICS[dynamics])
    x = [torch.rand(n, 3, dtype=DOUBLE, requires_grad=True) for n in (3, 6, 1, 6, 2)]
    packed, last = rnn(pack_sequence(x, enforce_sorted=False))
    output, lengths = nn.utils.rnn.pad_packed_sequence(packed)
    weight = torch.rand(output.shape, dtype=DOUBLE)
    together = torch.autograd.grad(
        (output * weight).sum() + last.square().sum(), [*x, *rnn.parameters()]
    )
    alone, parts = 0, [rnn(one) for one in x]
    for i, (rates, state) in enumerate(parts):
        torch.testing.assert_close(output[: lengths[i], i], rates, **EXACT)
        torch.testing.assert_close(last[:, i], state, **EXACT)
        alone = alone + (rates * weight[: lengths[i], i]).sum() + state.square().sum()
    for one, other in zip(
        together, torch.autograd.grad(alone, [*x, *rnn.parameters()]), strict=True
    ):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("mask", [None, 0.5])
def test_a_dann_is_nn_rnn_with_its_effective_weights(mask):
    rnn = DANNRNN(5, 12, 3, num_layers=2, mask=mask, dtype=DOUBLE)
    reference = nn.RNN(5, 12, 2, "relu").double()
    with torch.no_grad():
        for i, weights in enumerate(rnn.effective_weights()):
            reference.get_parameter(f"weight_ih_l{i}").copy_(weights.input)
            reference.get_parameter(f"weight_hh_l{i}").copy_(weights.recurrent)
            for kind in ("ih", "hh"):
                reference.get_parameter(f"bias_{kind}_l{i}").copy_(
                    rnn.get_parameter(f"bias_{kind}_l{i}").uniform_()
                )
    x = torch.rand(8, 3, 5, dtype=DOUBLE)
    for one, other in zip(rnn(x), reference(x), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_any_function_will_do_and_known_ones_are_recognised():
    assert EIRNN(3, POPS, nonlinearity=torch.relu).nonlinearity == "relu"
    assert (
        EIRNN(3, POPS, nonlinearity=nn.functional.softplus).nonlinearity == "softplus"
    )
    torch.manual_seed(0)
    rnn = EIRNN(3, POPS, nonlinearity=lambda x: x.clamp(0, 1), dtype=DOUBLE)
    x = torch.rand(4, 2, 3, dtype=DOUBLE) * 5
    torch.testing.assert_close(rnn(x)[0], readable(rnn, x)[0], **EXACT)
    assert rnn(x)[0].max() == 1
    learned = EIRNN(3, POPS, nonlinearity=nn.PReLU())
    learned(torch.rand(4, 2, 3))[0].sum().backward()
    assert learned.nonlinearity.weight.grad is not None


# -- the fused function ------------------------------------------------------------------------------------------------


def operands(keep, seed=0, n_units=3, sizes=(3, 3, 2, 1), bias=True, noise=True):
    g = seeded(seed)

    def draw(*shape):
        return torch.randn(*shape, dtype=DOUBLE, generator=g).requires_grad_()

    n = sum(sizes)
    return [
        draw(n, 2), draw(n_units, 2), draw(n_units) if bias else None, draw(n_units, n_units), draw(sizes[0], n_units),
        draw(n, n_units) if noise else None,
    ]  # fmt: skip


KEEPS = {
    "discrete": None,
    "leaky": 0.8,
    "tau a unit": torch.tensor([0.1, 0.5, 0.9], dtype=DOUBLE),
}


def fused(tensors, keep, nonlinearity, sizes):
    x, u, b, w, state, noise = tensors
    leak = None if keep is None else 1 - keep
    if leak is not None:  # `run` folds the leak into the weights
        column = leak[:, None] if isinstance(leak, torch.Tensor) else leak
        u, w, b = u / column, w / column, None if b is None else b / leak
    return run(x, u, b, w, LayerSweep(state, noise, leak, nonlinearity, sizes))


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("sizes", [(2, 2, 2), (3, 2, 1)], ids=["even", "packed"])
def test_first_and_second_derivatives_check_numerically(keep, nonlinearity, sizes):
    def runs(sizes):
        return lambda *tensors: fused(tensors, KEEPS[keep], nonlinearity, sizes)

    assert torch.autograd.gradcheck(runs(sizes), operands(KEEPS[keep], sizes=sizes))
    # Two steps have all that a second derivative can get wrong, at a third of the cost.
    two = sizes[:2]
    assert torch.autograd.gradgradcheck(runs(two), operands(KEEPS[keep], sizes=two))


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("wanted", range(6))
def test_any_single_gradient_may_be_asked_for(keep, wanted):
    tensors = [
        t.detach().requires_grad_(i == wanted)
        for i, t in enumerate(operands(KEEPS[keep]))
    ]
    f = NONLINEARITIES["tanh"]
    for pick in ((0,), (1,), (0, 1)):
        results = fused(tensors, KEEPS[keep], "tanh", (3, 3, 2, 1))
        expected = loop(*tensors, KEEPS[keep], f, (3, 3, 2, 1))
        one, other = (torch.autograd.grad(sum(r[i].square().sum() for i in pick), tensors[wanted])[0] for r in (results, expected))  # fmt: skip
        torch.testing.assert_close(one, other, **EXACT)


def test_softplus_is_right_far_out_too():
    x = torch.linspace(-60, 60, 41, dtype=DOUBLE)[:, None].requires_grad_()
    u, w = torch.ones(1, 1, dtype=DOUBLE), torch.zeros(1, 1, dtype=DOUBLE)
    state = torch.zeros(41, 1, dtype=DOUBLE)
    out = run(x, u, None, w, LayerSweep(state, None, None, "softplus", (41,)))[0]
    expected = torch.nn.functional.softplus(x)
    assert out.equal(expected)
    one, other = (torch.autograd.grad(y.sum(), x)[0] for y in (out, expected))
    torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-15)


@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script:DeprecationWarning"
)  # torch.func.jvp's own
@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
@pytest.mark.parametrize("dynamics", ["discrete", "leaky"])
def test_functional_transforms(nonlinearity, dynamics):
    torch.manual_seed(0)
    rnn = EIRNN(3, POPS, nonlinearity=nonlinearity, dtype=DOUBLE, **DYNAMICS[dynamics])
    parameters = {name: p.detach() for name, p in rnn.named_parameters()}
    x = torch.rand(5, 4, 2, 3, dtype=DOUBLE)

    def loss(parameters, x):
        output, last = torch.func.functional_call(rnn, parameters, (x,))
        return output.square().sum() + last.sum()

    each = torch.stack([loss(parameters, one) for one in x])
    torch.testing.assert_close(
        torch.func.vmap(loss, (None, 0))(parameters, x), each, **EXACT
    )
    one_by_one = [torch.func.grad(loss)(parameters, one) for one in x]
    together = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    for name in parameters:
        expected = torch.stack([grads[name] for grads in one_by_one])
        torch.testing.assert_close(together[name], expected, **EXACT)
    tangent = {name: torch.rand_like(p) for name, p in parameters.items()}
    _, forward = torch.func.jvp(lambda p: loss(p, x[0]), (parameters,), (tangent,))
    reverse = sum((one_by_one[0][name] * tangent[name]).sum() for name in parameters)
    torch.testing.assert_close(forward, reverse, **EXACT)

    def output(x):
        return rnn(x)[0]

    jacobian = torch.autograd.functional.jacobian(output, x[0])
    assert jacobian.abs().max() > 0
    for other in (
        torch.func.jacrev(output)(x[0]),
        torch.func.jacfwd(output)(x[0]),
        torch.autograd.functional.jacobian(output, x[0], vectorize=True),
    ):
        torch.testing.assert_close(other, jacobian, **EXACT)
    hessian = torch.autograd.functional.hessian(
        lambda x: output(x).square().sum(), x[0]
    )
    again = torch.func.hessian(lambda x: output(x).square().sum())(x[0])
    torch.testing.assert_close(again, hessian, **EXACT)
    value, pull = torch.func.vjp(
        lambda p: torch.func.functional_call(rnn, p, (x[0],))[0], parameters
    )
    expected = torch.autograd.grad(
        rnn(x[0])[0], list(rnn.parameters()), torch.ones_like(value)
    )
    for one, other in zip(
        pull(torch.ones_like(value))[0].values(), expected, strict=True
    ):
        torch.testing.assert_close(one, other, **EXACT)
    ensemble = {name: torch.stack([p, 0.5 * p]) for name, p in parameters.items()}
    losses = torch.func.vmap(loss, (0, None))(ensemble, x[0])
    torch.testing.assert_close(losses[0], each[0], **EXACT)


def test_autocast_lowers_precision_as_nn_rnn_does():
    rnn, reference = EIRNN(3, POPS), nn.RNN(3, 6)
    x = torch.rand(5, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (output, last), (theirs, _) = rnn(x), reference(x)
    assert output.dtype == theirs.dtype == last.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), rnn(x)[0], rtol=0.05, atol=0.05)
    output.float().sum().backward()
    assert rnn.weight_hh_l0.grad.dtype == torch.float32
    assert rnn.weight_hh_l0.grad.isfinite().all()


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_a_surrounding_model_compiles():
    torch.manual_seed(0)
    model = nn.Sequential()
    model.rnn, model.readout = EIRNN(3, POPS, dt_ms=20, tau_ms=100), EILinear(POPS, 2)

    def call(x):
        return model.readout(model.rnn(x * 2)[0]).relu()

    compiled, x = torch.compile(call, backend="aot_eager"), torch.rand(6, 2, 3)
    for size in (6, 4):
        expected, got = call(x[:size]), compiled(x[:size])
        torch.testing.assert_close(got, expected)
    one, other = (
        torch.autograd.grad(f(x).sum(), model.rnn.weight_hh_l0)[0]
        for f in (call, compiled)
    )
    torch.testing.assert_close(one, other)


# -- leak and noise ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dt_ms", [1, 5, 10, 20, 50])
def test_noise_alone_gives_the_state_its_standard_deviation_whatever_dt(dt_ms):
    """Of the discrete process exactly sigma * sqrt(2 / (2 - alpha)), which tends to sigma."""
    sigma, alpha = 0.7, dt_ms / 100
    rnn = EIRNN(
        1,
        POPS,
        nonlinearity=lambda x: x,
        bias=False,
        dt_ms=dt_ms,
        tau_ms=100,
        noise=sigma,
        generator=seeded(),
    )
    nn.init.zeros_(rnn.weight_hh_l0)
    nn.init.zeros_(rnn.weight_ih_l0)
    rates, _ = rnn(torch.zeros(6000 // dt_ms, 64, 1))
    settled = rates[1500 // dt_ms :]
    assert settled.std().item() == pytest.approx(
        sigma * math.sqrt(2 / (2 - alpha)), rel=0.05
    )


def test_noise_is_off_in_eval_unless_asked_and_comes_from_the_generator():
    x = torch.rand(5, 2, 3)
    rnn = EIRNN(3, POPS, noise=0.5, generator=seeded(3))
    before = torch.get_rng_state()
    assert not torch.equal(rnn(x)[0], rnn(x)[0])
    assert torch.equal(before, torch.get_rng_state())
    twin = copy.deepcopy(rnn)
    assert torch.equal(rnn(x)[0], twin(x)[0])
    assert torch.equal(rnn.eval()(x)[0], rnn(x)[0])
    rnn.noise_in_eval = True
    assert not torch.equal(rnn(x)[0], rnn(x)[0])
    assert EIRNN(3, POPS, noise=0.5, noise_in_eval=True).noise_in_eval


def test_a_leak_of_one_is_the_discrete_circuit():
    discrete, leaky = (
        EIRNN(3, POPS, dtype=DOUBLE),
        EIRNN(3, POPS, dt_ms=10, tau_ms=10, dtype=DOUBLE),
    )
    leaky.load_state_dict(discrete.state_dict())
    x = torch.rand(5, 2, 3, dtype=DOUBLE)
    torch.testing.assert_close(leaky(x)[0], discrete(x)[0], **EXACT)


def test_a_small_step_follows_the_differential_equation():
    """A single unit charges as 1 - exp(-t / tau)."""
    rnn = EIRNN(1, 1, bias=False, dt_ms=0.01, tau_ms=20, dtype=DOUBLE)
    nn.init.ones_(rnn.weight_ih_l0)
    rates, _ = rnn(torch.ones(4000, 1, 1, dtype=DOUBLE))
    assert rates[-1].item() == pytest.approx(1 - math.exp(-40 / 20), rel=1e-3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"dt_ms": 20, "tau_ms": 10},
            "`dt_ms` must be at most `tau_ms`; got 20 and 10.",
        ),
        ({"dt_ms": 20}, "`tau_ms` must be given where `dt_ms` is; got None."),
        ({"tau_ms": 20}, "`dt_ms` must be given where `tau_ms` is; got None."),
        ({"dt_ms": 0, "tau_ms": 10}, "`dt_ms` must be above 0; got 0."),
        ({"dt_ms": 1, "tau_ms": -5}, "`tau_ms` must be finite and above 0; got -5."),
        (
            {"dt_ms": 1, "tau_ms": float("nan")},
            "`tau_ms` must be finite and above 0; got nan.",
        ),
        (
            {"dt_ms": 1, "tau_ms": [5, 6]},
            "`tau_ms` must be a number or one for each of the 6 units; got shape (2,).",
        ),
        ({"noise": -1}, "`noise` must be at least 0; got -1."),
        (
            {"nonlinearity": "foo"},
            "Unknown nonlinearity 'foo'. Select from 'relu', 'tanh' or 'softplus'.",
        ),
        (
            {"mask": torch.ones(5, 6)},
            "`mask` must have shape (6, 6), (post, pre); got (5, 6).",
        ),
        (
            {"mask": -torch.eye(6)},
            "`mask` must be boolean, or hold 0 and 1 only; got -1.",
        ),
        (
            {"mask": torch.full((6, 6), float("nan"))},
            "`mask` must be boolean, or hold 0 and 1 only; got nan.",
        ),
        ({"mask": 1.5}, "`mask` must be a fraction in [0, 1]; got 1.5."),
        ({"mask": 0.0}, "`mask` must be above 0 if it is a density; got 0.0."),
        (
            {"mask": "dense"},
            "`mask` must be a boolean matrix, a density, Blocks or a networkx digraph; got str.",
        ),
        (
            {"mask": nx.path_graph(6)},
            "`mask` must be a DiGraph, one edge from node to node; got Graph.",
        ),
        (
            {"mask": nx.DiGraph([(0, 1)])},
            "`mask` must have one node per unit, 6; got 2.",
        ),
        (
            {"input_mask": torch.ones(6, 2)},
            "`input_mask` must have shape (6, 3), (post, pre); got (6, 2).",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_impossible_circuits_are_refused_in_one_sentence(options, sentence):
    for build in (EIRNN, EIRNNCell):
        with pytest.raises((ValueError, TypeError)) as raised:
            build(3, POPS, **options)
        assert str(raised.value) == sentence


def test_danns_refuse_what_they_cannot_be():
    with pytest.raises(ValueError, match="`n_inh` must be at least 1; got 0."):
        DANNRNN(3, 6, 0)
    with pytest.raises(ValueError, match="`eps` must be above 0; got 0."):
        DANNRNNCell(3, 6, shunting=True, eps=0)
    with pytest.raises(
        ValueError,
        match="a DANN's inputs and units must all be excitatory; got Populations",
    ):
        DANNRNN(Populations(2, 1), 6)


# -- masks and graphs --------------------------------------------------------------------------------------------------


def test_there_are_no_autapses_unless_asked_or_given():
    for rnn in (EIRNN(3, POPS), DANNRNN(3, 6), EIRNN(3, POPS, mask=0.9)):
        name = "weight_ex_hh_l0" if isinstance(rnn, DANNRNN) else "weight_hh_l0"
        assert not rnn.get_buffer(f"{name}_present").diagonal().any()
        assert (rnn.get_parameter(name).diagonal() == 0).all()
    assert not hasattr(EIRNN(3, POPS, autapses=True), "weight_hh_l0_present")
    assert not hasattr(EIRNN(3, POPS, mask=torch.ones(6, 6)), "weight_hh_l0_present")
    given = torch.ones(6, 6, dtype=torch.bool)
    rnn = EIRNN(3, POPS, mask=given, autapses=False)
    assert not rnn.weight_hh_l0_present.diagonal().any()
    assert given.all()  # the caller's own is left alone


def test_a_density_is_drawn_from_the_generator_layer_by_layer():
    rnn, same = (
        EIRNN(3, Populations(80, 20), 2, mask=0.2, generator=seeded(4))
        for _ in range(2)
    )
    masks = [rnn.weight_hh_l0_present, rnn.weight_hh_l1_present]
    assert torch.equal(masks[0], same.weight_hh_l0_present)
    assert not torch.equal(*masks)
    for mask in masks:
        assert mask.double().mean().item() == pytest.approx(0.2, abs=0.02)
    assert torch.equal(rnn.weight_hh_l0, same.weight_hh_l0)


def test_absent_synapses_have_no_gradient_and_are_no_zeros_to_a_fit():
    rnn = EIRNN(3, Populations(40, 10), mask=0.3)
    rnn(torch.rand(5, 2, 3))[0].sum().backward()
    present = rnn.weight_hh_l0_present.bool()
    assert (rnn.weight_hh_l0.grad[~present] == 0).all()
    assert (rnn.weight_hh_l0.grad[present] != 0).any()
    samples = weight_samples(rnn)
    assert samples["weight_hh_l0 E"].n + samples["weight_hh_l0 I"].n == int(
        present.sum()
    )
    assert samples["weight_hh_l0 E"].n_zero == 0
    assert signs.check(rnn).n_synapses == int(present.sum()) + 3 * 50


def test_a_grown_synapse_breaks_the_law_and_is_projected_away():
    rnn = EIRNN(3, POPS, mask=torch.ones(6, 6).triu(1))
    with torch.no_grad():
        rnn.weight_hh_l0[5, 1] = 0.25
        rnn.weight_hh_l0[4, 1] = 0.5
    report = signs.check(rnn)
    assert report.n_violations == 2
    assert "weight_hh_l0, unit 1: 2 of 5 absent synapses not zero, worst 0.5" in str(
        report
    )
    fresh = EIRNN(3, POPS, mask=torch.ones(6, 6).triu(1))
    with pytest.raises(
        RuntimeError, match="weight_hh_l0, unit 1: 2 of 5 absent synapses not zero"
    ):
        fresh.load_state_dict(rnn.state_dict())
    assert signs.check(rnn.state_dict()).n_violations == 2
    assert signs.check(signs.project_(rnn))
    assert (rnn.weight_hh_l0[rnn.weight_hh_l0_present == 0] == 0).all()
    other = EIRNN(3, POPS, mask=torch.ones(6, 6).tril(-1))
    with pytest.raises(
        RuntimeError, match="of the checkpoint's synapses 15 are absent in the module"
    ):
        other.load_state_dict(rnn.state_dict())
    with signs.adopt_masks(other):
        other.load_state_dict(
            rnn.state_dict()
        )  # a checkpoint brings its own synapses if it is asked to
    assert torch.equal(other.weight_hh_l0_present, rnn.weight_hh_l0_present)
    assert signs.check(other)


def test_a_checkpoint_of_nn_rnn_loads_if_it_is_lawful():
    reference, rnn = nn.RNN(3, 6, nonlinearity="relu"), EIRNN(3, POPS)
    with pytest.raises(RuntimeError, match="Dale's law is broken"):
        rnn.load_state_dict(reference.state_dict())
    with torch.no_grad():
        reference.weight_ih_l0.abs_()
        reference.weight_hh_l0.abs_().mul_(POPS.signs()).fill_diagonal_(0)
    rnn.load_state_dict(reference.state_dict())
    x = torch.rand(4, 2, 3)
    torch.testing.assert_close(rnn(x)[0], reference(x)[0])


def test_a_graph_gives_the_synapses_from_sender_to_receiver():
    graph = nx.DiGraph()
    graph.add_nodes_from(range(6))
    graph.add_edges_from([(0, 1), (4, 2), (3, 3)])
    rnn = EIRNN(3, POPS, mask=graph)
    assert rnn.weight_hh_l0_present.nonzero().tolist() == [[1, 0], [2, 4], [3, 3]]
    graph.add_edge(4, 2, sign=1)
    with pytest.raises(
        ValueError,
        match="`mask` must agree with the populations; node 4 is inhibitory in them only.",
    ):
        EIRNN(3, POPS, mask=graph)


def test_a_connectome_becomes_a_circuit():
    fly = fly_visual()
    graph = fly.graph()
    with pytest.raises(
        ValueError, match="unless `drop_minority` is True; node 'R8' sends both signs"
    ):
        EIRNN.from_graph(graph, 8)
    rnn = EIRNN.from_graph(graph, 8, drop_minority=True)
    assert graph.number_of_edges() == 605  # the caller's graph is left alone
    assert sorted(rnn.nodes) == sorted(graph)
    signs.check(rnn).raise_for_violations()
    unit = {node: i for i, node in enumerate(rnn.nodes)}
    weight, majority = rnn.weight_hh_l0.detach(), {}
    for pre, _, data in graph.edges(data=True):
        majority[pre] = majority.get(pre, 0) + data["sign"] * data["weight"]
    kept = [
        (a, b, d) for a, b, d in graph.edges(data=True) if d["sign"] * majority[a] > 0
    ]
    assert (
        int((weight != 0).sum())
        == int(rnn.weight_hh_l0_present.sum())
        == len(kept)
        < 605
    )
    scale = weight[unit[kept[0][1]], unit[kept[0][0]]].item() / (
        kept[0][2]["sign"] * kept[0][2]["weight"]
    )
    for pre, post, data in kept:
        expected = scale * data["sign"] * data["weight"]
        assert weight[unit[post], unit[pre]].item() == pytest.approx(expected, rel=1e-5)
    assert spectrum(rnn).spectral_radius == pytest.approx(0.95, rel=1e-5)
    assert rnn(torch.rand(4, 2, 8))[0].shape == (4, 2, 65)
    given_whole = EIRNN.from_graph(fly, 8, drop_minority=True)
    assert given_whole.nodes == rnn.nodes
    assert torch.equal(given_whole.weight_hh_l0, rnn.weight_hh_l0)


def test_a_connectome_of_unknown_signs_is_refused():
    with pytest.raises(
        ValueError,
        match="`graph` must have a sign, \\+1 or -1, on every node or edge, see `lawful_graph`; got None on the",
    ):
        EIRNN.from_graph(celegans().graph(), 3)
    graph = nx.DiGraph([("a", "b"), ("b", "a")])
    graph.nodes["a"]["sign"], graph.nodes["b"]["sign"] = 1, 0
    with pytest.raises(ValueError, match="got 0 on node 'b'"):
        EIRNN.from_graph(graph, 3)
    graph.nodes["b"]["sign"] = -1
    rnn = EIRNN.from_graph(graph, 3)
    assert rnn.nodes == ("a", "b")
    assert spectrum(rnn).spectral_radius == pytest.approx(0.95)
    with pytest.raises(
        TypeError, match="`graph` must be a networkx digraph; got list."
    ):
        EIRNN.from_graph([1], 3)
    chain = nx.DiGraph([(0, 1), (1, 2)])
    nx.set_node_attributes(chain, 1, "sign")
    assert (
        EIRNN.from_graph(chain, 3).weight_hh_l0.sum() == 2
    )  # without a loop there is no radius to set


# -- where it begins ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "eg"])
@pytest.mark.parametrize("dynamics", [{}, {"dt_ms": 20, "tau_ms": 100}])
def test_an_initial_state_is_learned(optimizer, dynamics):
    torch.manual_seed(0)
    rnn = EIRNN(3, POPS, train_initial_state=True, **dynamics)
    before = rnn.initial_state_l0.detach().clone()
    if optimizer == "eg":
        attached = EG(param_groups(rnn, 0.1), 0.1)
    else:
        attached = torch.optim.SGD(rnn.parameters(), 0.1)
        enforce(attached, rnn)
    for _ in range(20):
        attached.zero_grad()
        rnn(torch.ones(3, 2, 3))[0].square().sum().backward()
        attached.step()
    assert not torch.equal(before, rnn.initial_state_l0)
    signs.check(rnn).raise_for_violations()
    if not dynamics:
        assert (rnn.initial_state_l0 >= 0).all()
    x = torch.rand(4, 2, 3)
    given = rnn.initial_state_l0.detach().expand(1, 2, 6)
    torch.testing.assert_close(rnn(x)[0], rnn(x, given)[0])


# -- initialisation ----------------------------------------------------------------------------------------------------


def mean_entropy(build, draws=10):
    return sum(spectrum(build(i)).svd_entropy for i in range(draws)) / draws


@pytest.mark.parametrize(
    ("n_inh", "expected"), [(1, 0.514), (10, 0.799), (20, 0.867), (50, 0.920)]
)
def test_column_ei_starts_with_the_entropy_measured_for_it(n_inh, expected):
    pops = Populations(100 - n_inh, n_inh)
    found = mean_entropy(lambda i: EIRNN(28, pops, generator=seeded(i)))
    assert found == pytest.approx(expected, abs=0.02)


def test_a_dann_starts_with_the_spectrum_of_an_unconstrained_network():
    def plain(i):
        torch.manual_seed(i)
        return nn.RNN(28, 100).weight_hh_l0

    assert mean_entropy(plain) == pytest.approx(0.953, abs=0.02)
    assert mean_entropy(
        lambda i: DANNRNN(28, 100, 10, generator=seeded(i))
    ) == pytest.approx(0.950, abs=0.02)
    spectra = [spectrum(DANNRNN(28, 100, 10, generator=seeded(i))) for i in range(10)]
    assert sum(s.spectral_radius for s in spectra) / 10 == pytest.approx(
        1 / math.sqrt(3), abs=0.06
    )


def test_a_dann_with_a_mask_keeps_its_variance():
    recurrent = (
        DANNRNN(3, 400, 40, mask=0.3, generator=seeded())
        .effective_weights()[0]
        .recurrent
    )
    assert recurrent.mean().item() == pytest.approx(0, abs=1e-4)
    assert recurrent.var().item() == pytest.approx(1 / 1200, rel=0.1)


@pytest.mark.parametrize("radius", [0.3, 0.95, 1.5, 8.0])
@pytest.mark.parametrize(
    "build",
    [
        lambda: EIRNN(3, Populations(80, 20), generator=seeded()),
        lambda: EIRNN(3, Populations(99, 1), 2, mask=0.3, generator=seeded(1)),
        lambda: DANNRNN(3, 100, 10, generator=seeded()),
        lambda: DANNRNN(3, 60, 6, mask=0.2, shunting=True, generator=seeded()),
        lambda: EIRNNCell(3, Populations(80, 20), generator=seeded()),
        lambda: EIRNN(3, 50, generator=seeded()),
    ],
    ids=["EIRNN", "EIRNN masked", "DANNRNN", "DANNRNN masked", "cell", "all E"],
)
def test_the_spectral_radius_is_that_of_what_acts(build, radius):
    rnn = init.spectral_radius_(build(), radius)
    signs.check(rnn).raise_for_violations()
    weights = rnn.effective_weights()
    for layer in [weights] if isinstance(rnn, EIRNNCell) else weights:
        found = (
            torch.linalg.eigvals(layer.recurrent.detach().double()).abs().max().item()
        )
        assert found == pytest.approx(radius, rel=1e-5)


def test_scaling_a_shunting_circuit_leaves_its_shunt():
    rnn = DANNRNN(3, 20, 4, shunting=True, dtype=DOUBLE)
    x = torch.rand(1, 2, 3, dtype=DOUBLE)
    wei, alpha = rnn.weight_ei_hh_l0.detach().clone(), rnn.alpha_hh_l0.detach().clone()
    init.spectral_radius_(rnn, 2.0)
    torch.testing.assert_close(
        rnn.weight_ei_hh_l0 * rnn.alpha_hh_l0.exp(), wei * alpha.exp()
    )
    assert rnn(x)[0].isfinite().all()


def test_shunting_at_silence_is_finite():
    rnn = DANNRNN(3, 20, 4, shunting=True)
    x = torch.zeros(5, 2, 3, requires_grad=True)
    output, last = rnn(x)
    (output.sum() + last.sum()).backward()
    assert output.isfinite().all()
    for name, parameter in rnn.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
    assert x.grad.isfinite().all()
    assert x.grad.abs().max() < 1e4


def test_spectrum_of_a_module_is_of_what_multiplies_its_state():
    rnn = EIRNN(3, POPS)
    assert spectrum(rnn).shape == (6, 6)
    with pytest.raises(ValueError, match="`weights` must have one layer; got 2: give"):
        spectrum(EIRNN(3, POPS, 2))
    assert spectrum(EIRNNCell(3, POPS)).shape == (6, 6)


# -- carrying a circuit about ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize(
    "carry",
    [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), lambda m: m.to(DOUBLE)],
    ids=["copy", "pickle", "to"],
)
def test_a_carried_circuit_computes_the_same(circuit, carry):
    rnn = CIRCUITS[circuit](
        dt_ms=10,
        tau_ms=[20, 30, 40, 50, 60, 10],
        noise=0.1,
        mask=0.5,
        generator=seeded(),
    ).eval()
    x = torch.rand(4, 2, 3)
    expected = rnn(x)[0]
    moved = carry(rnn)
    torch.testing.assert_close(
        moved(x.to(next(moved.parameters()).dtype))[0].float(), expected
    )


def test_built_on_meta_and_reset_it_is_whole():
    rnn = EIRNN(3, POPS, mask=torch.ones(6, 6).triu(1), device="meta").to_empty(
        device="cpu"
    )
    rnn.reset_parameters(seeded())
    same = EIRNN(3, POPS, mask=torch.ones(6, 6).triu(1), generator=seeded())
    for name, value in same.state_dict().items():
        assert torch.equal(rnn.state_dict()[name], value), name


@given(
    n_steps=st.integers(1, 5),
    n_sequences=st.integers(1, 4),
    n_exc=st.integers(0, 4),
    n_inh=st.integers(0, 3),
    n_in=st.integers(1, 3),
    density=st.floats(0.05, 1),
    leak=st.one_of(st.none(), st.floats(0.01, 1)),
    n_layers=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_whatever_its_size_it_agrees_and_is_lawful(
    n_steps, n_sequences, n_exc, n_inh, n_in, density, leak, n_layers, seed
):
    if n_exc + n_inh == 0:
        return
    dynamics = {} if leak is None else {"dt_ms": leak, "tau_ms": 1.0}
    rnn = EIRNN(
        n_in,
        Populations(n_exc, n_inh),
        n_layers,
        mask=density,
        dtype=DOUBLE,
        generator=seeded(seed),
        **dynamics,
    )
    signs.check(rnn).raise_for_violations()
    x = torch.rand(n_steps, n_sequences, n_in, dtype=DOUBLE, generator=seeded(seed))
    for one, other in zip(rnn(x), readable(rnn, x), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize(
    "build", [lambda: EIRNN(30, Populations(160, 40)), lambda: DANNRNN(30, 200, 20)]
)
def test_magnitudes_may_be_drawn_log_normal(build):
    rnn = build()
    rnn.reset_parameters(seeded(), draw=init.lognormal_)
    signs.check(rnn).raise_for_violations()
    name = "weight_hh_l0 E" if isinstance(rnn, EIRNN) else "weight_ex_hh_l0"
    assert fit_weights(weight_samples(rnn)[name]).ks_distance() < 0.01
    rnn.reset_parameters(seeded())
    assert fit_weights(weight_samples(rnn)[name]).ks_distance() > 0.03


def test_many_gradients_at_once():
    rnn = EIRNN(3, POPS, dt_ms=1, tau_ms=4, dtype=DOUBLE)
    x = torch.rand(4, 2, 3, dtype=DOUBLE, requires_grad=True)
    output = rnn(x)[0]
    given = torch.rand(3, *output.shape, dtype=DOUBLE)
    together = torch.autograd.grad(
        output, x, given, is_grads_batched=True, retain_graph=True
    )[0]
    for one, grad in zip(together, given, strict=True):
        torch.testing.assert_close(
            one, torch.autograd.grad(output, x, grad, retain_graph=True)[0], **EXACT
        )


def test_an_ensemble_may_differ_in_its_time_constants():
    rnns = [
        EIRNN(3, POPS, dt_ms=1, tau_ms=[2.0 + k, 3, 4, 5, 6, 7 + k]) for k in range(3)
    ]
    parameters, buffers = torch.func.stack_module_state(rnns)
    x = torch.rand(
        5, 3, 3
    )  # as many sequences as circuits, so that confusing the two would not show as an error

    def call(parameters, buffers):
        return torch.func.functional_call(rnns[0], (parameters, buffers), (x,))[0]

    for one, rnn in zip(torch.func.vmap(call)(parameters, buffers), rnns, strict=True):
        torch.testing.assert_close(one, rnn(x)[0])


@pytest.mark.filterwarnings("ignore")  # torch's own recorders warn of themselves
@pytest.mark.parametrize("dynamics", ["discrete", "tau a unit"])
def test_a_circuit_may_be_recorded(dynamics):
    rnn = EIRNN(3, POPS, **DYNAMICS[dynamics])
    x = torch.rand(4, 2, 3)
    for recorded in (
        torch.export.export(rnn, (x,)).module(),
        torch.jit.trace(rnn, (x,)),
    ):
        torch.testing.assert_close(recorded(x)[0], rnn(x)[0])


def test_shunting_is_lowered_by_autocast_too():
    rnn = DANNRNN(3, 6, 2, shunting=True)
    x = torch.rand(5, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, last = rnn(x)
    assert output.dtype == last.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), rnn(x)[0], rtol=0.05, atol=0.05)


def test_nn_rnn_may_be_replaced_by_keyword_too():
    rnn = EIRNN(
        input_size=3, hidden_size=6, num_layers=2, batch_first=True, bidirectional=False
    )
    assert rnn(torch.rand(2, 5, 3))[0].shape == (2, 5, 6)
    assert EIRNNCell(input_size=3, hidden_size=6)(torch.rand(2, 3)).shape == (2, 6)
    with pytest.raises(
        ValueError,
        match="`bidirectional` must be False, since a circuit does not run backwards",
    ):
        EIRNN(3, 6, bidirectional=True)


def test_a_balanced_graph_has_no_loop_to_scale():
    graph = nx.DiGraph()
    graph.add_nodes_from(range(8), sign=1)
    graph.add_nodes_from(range(8, 16), sign=-1)
    graph.add_edges_from((a, b) for a in range(16) for b in range(16))
    assert EIRNN.from_graph(graph, 3).weight_hh_l0.abs().max() == 1


@pytest.mark.parametrize(
    ("edge", "sentence"),
    [
        ({"sign": float("nan")}, "`graph` must have a sign, +1 or -1, on every node or edge, see `lawful_graph`; got nan on the edge from 'a' to 'b'."),
        ({"sign": [1]}, "`graph` must have a sign, +1 or -1, on every node or edge, see `lawful_graph`; got [1] on the edge from 'a' to 'b'."),
        ({"weight": float("nan")}, "`graph` must have finite numbers as weights; got nan on the edge from 'a' to 'b'."),
        ({"weight": "3"}, "`graph` must have finite numbers as weights; got '3' on the edge from 'a' to 'b'."),
        ({"weight": 1e300}, "`graph` must have weights in the range of torch.float32; got some beyond it."),
    ],
)  # fmt: skip
def test_impossible_graphs_are_refused_in_one_sentence(edge, sentence):
    graph = nx.DiGraph()
    graph.add_edge("a", "b", **{"sign": 1, **edge})
    graph.add_edge("b", "a", sign=-1)
    with pytest.raises(ValueError) as raised:
        EIRNN.from_graph(graph, 3)
    assert str(raised.value) == sentence


def test_a_node_and_its_edges_must_agree():
    graph = nx.DiGraph()
    graph.add_node("a", sign=-1)
    graph.add_edge("a", "b", sign=1)
    with pytest.raises(ValueError, match="node 'a' sends both signs"):
        EIRNN.from_graph(graph, 3)
    with pytest.raises(ValueError, match="`graph` must have a node; got none."):
        EIRNN.from_graph(nx.DiGraph(), 3)
    with pytest.raises(
        TypeError, match="`mask` must be left out, since the graph says it; got 0.5."
    ):
        EIRNN.from_graph(graph, 3, mask=0.5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"autapses": 0}, "`autapses` must be True or False; got 0."),
        ({"noise_in_eval": "x"}, "`noise_in_eval` must be True or False; got 'x'."),
        (
            {"train_initial_state": 1},
            "`train_initial_state` must be True or False; got 1.",
        ),
        ({"generator": 5}, "`generator` must be a torch.Generator; got int."),
        (
            {"dtype": torch.complex64},
            "`dtype` must be a floating-point type; got torch.complex64.",
        ),
        (
            {"nonlinearity": []},
            "`nonlinearity` must be a name or a function; got list.",
        ),
        (
            {"dt_ms": 1, "tau_ms": "x"},
            "`tau_ms` must be a number, or one per unit; got str.",
        ),
        (
            {"input_mask": nx.DiGraph()},
            "`input_mask` must be a matrix, a density or Blocks; got a graph.",
        ),
        (
            {"mask": torch.eye(6) * 1j},
            "`mask` must be a boolean matrix, a density, Blocks or a networkx digraph; got Tensor.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arguments_of_the_wrong_kind_are_refused_in_one_sentence(options, sentence):
    with pytest.raises(TypeError) as raised:
        EIRNNCell(3, POPS, **options)
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: init.spectral_radius_(EIRNN(3, POPS), 1e60), "`radius` must keep the weights within the range of torch.float32; got 1e+60."),
        (lambda: init.spectral_radius_(torch.full((2, 2), math.inf), 1.0), "`weight` must be finite; got NaN or infinite values."),
        (lambda: init.spectral_radius_(torch.ones(2, 3), 1.0), "`weight` must be square to have a spectral radius; got shape (2, 3)."),
        (lambda: init.spectral_radius_(torch.ones(2, 2).triu(1), 1.0), "`weight` must have an eigenvalue other than zero to be scaled by; got none."),
        (lambda: init.spectral_radius_(torch.eye(2), 0), "`radius` must be above 0; got 0."),
        (lambda: init.spectral_radius_(nn.Linear(2, 2), 1.0), "`weight` must be a matrix or a recurrent module; got Linear."),
        (lambda: init.svd_spectrum_(torch.rand(2, 3), torch.ones(3)), "`spectrum` must have 2 singular values; got 3."),
        (lambda: init.svd_spectrum_(torch.rand(2, 2), torch.tensor([1.0, -1.0])), "`spectrum` must be at least 0; got -1."),
        (lambda: init.svd_spectrum_(torch.rand(2, 2), torch.ones(1, 2, 2)), "`spectrum` must be a matrix or a vector; got shape (1, 2, 2)."),
        (lambda: init.low_rank_(torch.rand(2, 3), 3), "`rank` must be at most 2; got 3."),
        (lambda: init.low_rank_(torch.rand(2, 3), 0), "`rank` must be at least 1; got 0."),
        (lambda: init.balance_rows_(torch.rand(3)), "`weight` must be a matrix, (post, pre); got shape (3,)."),
        (lambda: init.balance_rows_(None), "`weight` must be a tensor; got NoneType."),
        (lambda: EIRNN(3, POPS).scale_recurrent_(2.0, 1), "`layer` must be below 1, the number of layers; got 1."),
    ],
)  # fmt: skip
def test_impossible_initialisations_are_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert str(raised.value) == sentence


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_large_circuits_take_the_same_steps(keep, nonlinearity, monkeypatch):
    """Their products run in another layout; here circuits are large from one unit on."""
    tensors, f, sizes = (
        operands(KEEPS[keep], sizes=(2, 2, 2)),
        NONLINEARITIES[nonlinearity],
        (2, 2, 2),
    )
    results = []
    for wide in (1, 10**9):
        monkeypatch.setattr(fused_steps, "_WIDE", wide)
        rates, last = fused(tensors, KEEPS[keep], nonlinearity, sizes)
        results.append(
            (
                rates,
                last,
                *torch.autograd.grad(rates.square().sum() + last.sum(), tensors),
            )
        )
    rates, last = loop(*tensors, KEEPS[keep], f, sizes)
    results.append(
        (rates, last, *torch.autograd.grad(rates.square().sum() + last.sum(), tensors))
    )
    for values in zip(*results, strict=True):
        torch.testing.assert_close(values[0], values[2], **EXACT)
        torch.testing.assert_close(values[1], values[2], **EXACT)


@pytest.mark.parametrize(
    "build", [lambda: EIRNN(3, POPS), lambda: EIRNNCell(3, POPS), lambda: DANNRNN(3, 6)]
)
def test_a_list_is_no_tensor(build):
    with pytest.raises(TypeError, match="^`input` must be a tensor; got list.$"):
        build()([[1.0, 2.0, 3.0]])
    with pytest.raises(TypeError, match="^`input` must be a tensor; got NoneType.$"):
        build()(None)
    with pytest.raises(TypeError, match="^`hx` must be a tensor; got list.$"):
        build()(torch.rand(2, 3), [0.0] * 6)


@pytest.mark.parametrize("dynamics", ["discrete", "leaky"])
@pytest.mark.parametrize("lowered", [False, True])
def test_backward_may_run_under_autocast(dynamics, lowered):
    rnn = EIRNN(3, POPS, **DYNAMICS[dynamics])
    x = torch.rand(5, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=lowered):
        output = rnn(x)[0].float()
    expected = torch.autograd.grad(
        output.sum(), list(rnn.parameters()), retain_graph=True
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = torch.autograd.grad(output.sum(), list(rnn.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05)
