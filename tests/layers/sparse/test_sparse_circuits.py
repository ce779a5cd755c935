"""A sparse circuit computes what its dense twin does: rates, gradients, perturbations."""

import pytest
import torch

from daleml import _sparse_weights, signs
from daleml.layers import (
    EIRNN,
    Blocks,
    EILinear,
    EIRNNCell,
    drive,
    lesion,
    silence,
    silence_pathway,
)
from daleml.layers.dynamics import (
    Adaptation,
    RateLeak,
    RectifiedLeak,
    ShortTermPlasticity,
)
from tests.layers.sparse import twins

LEAK = {"dt_ms": 20, "tau_ms": 100}
CASES = {
    "plain": {},
    "leak": LEAK,
    "leak of each unit that learns": {
        "dt_ms": 20,
        "tau_ms": {"E": 100, "PV": 40, "SST": 60},
        "train_tau": True,
    },
    "noise": {**LEAK, "noise": 0.1, "input_noise": 0.1, "rate_noise": 0.1},
    "tanh": {"nonlinearity": "tanh", "bias": False},
    "softplus and a trained start": {
        **LEAK,
        "nonlinearity": "softplus",
        "train_initial_state": True,
    },
    "a function": {**LEAK, "nonlinearity": torch.nn.functional.elu},
    "rate leak": {**LEAK, "dynamics": RateLeak()},
    "rectified leak": {**LEAK, "dynamics": RectifiedLeak()},
    "adaptation": {**LEAK, "dynamics": Adaptation(200, 0.3)},
    "short-term plasticity": {**LEAK, "dynamics": ShortTermPlasticity(200, 100, 0.2)},
    "two layers": {
        "num_layers": 2,
        "layer_mask": Blocks({"E->*": 0.5}),
        # Of a density, each layer would have a draw of its own.
        "mask": torch.ones(17, 17).tril(3).bool(),
    },
    "a sparse input": {"inputs": 6, "input_mask": 0.5},
    "blocks": {"mask": Blocks({"E->*": 0.3, "PV->E": 0.9, "SST->E": 0.5})},
}


def cases():
    return pytest.mark.parametrize("options", CASES.values(), ids=CASES)


def compare(sparse, dense, inputs, hx=None):
    for mine, its in zip(sparse(inputs, hx), dense(inputs, hx), strict=True):
        torch.testing.assert_close(mine, its)


@cases()
def test_rates_states_and_gradients_are_those_of_the_dense_twin(options):
    sparse, dense = twins.pair(**options)
    inputs = torch.rand(6, 4, sparse.input_size, dtype=torch.float64)
    for circuit in (sparse, dense):
        own = inputs.clone().requires_grad_()
        rates, state = circuit(own)
        (rates.square().sum() + state.sin().sum()).backward()
        circuit.of_inputs = own.grad
        circuit.found = rates.detach(), state.detach()
    torch.testing.assert_close(sparse.found, dense.found)
    torch.testing.assert_close(sparse.of_inputs, dense.of_inputs)
    for name, mine, its in twins.gradients(sparse, dense):
        torch.testing.assert_close(mine, its, msg=lambda m, name=name: f"{name}: {m}")
    assert signs.check(sparse)


def test_gradients_at_2000_units_are_those_of_a_dense_circuit():
    pops = twins.Populations(1600, 400)
    sparse = EIRNN(3, pops, mask=0.005, sparse=True, spectral_radius=0.9)
    # Without a leak its maths is that of `nn.RNN`, which takes no time to build.
    dense = torch.nn.RNN(3, 2000, nonlinearity="relu")
    twins.write(dense, sparse)
    inputs = torch.rand(3, 8, 3)
    for circuit in (sparse, dense):
        circuit(inputs)[0].square().mean().backward()
    for _, mine, its in twins.gradients(sparse, dense):
        assert (mine - its).abs().max() <= 1e-5 * its.abs().max()


def test_packed_sequences_run_as_in_the_dense_twin():
    sparse, dense = twins.pair(**LEAK)
    inputs = torch.rand(6, 3, 3, dtype=torch.float64)
    packed = torch.nn.utils.rnn.pack_padded_sequence(inputs, [6, 4, 1])
    mine, its = sparse(packed), dense(packed)
    torch.testing.assert_close(mine[0].data, its[0].data)
    torch.testing.assert_close(mine[1], its[1])


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script.*:DeprecationWarning"
)  # torch.func.jvp's own
@pytest.mark.parametrize(
    "options", [CASES["plain"], CASES["leak"]], ids=["plain", "leak"]
)
def test_second_derivatives_and_transforms_are_those_of_the_dense_twin(options):
    sparse, dense = twins.pair(**options)
    inputs = torch.rand(3, 2, 3, dtype=torch.float64)
    pattern = _sparse_weights.pattern(sparse, "weight_hh_l0")

    def loss(circuit, weight):
        called = torch.func.functional_call(circuit, {"weight_hh_l0": weight}, inputs)
        return called[0].square().sum()

    found = []
    for circuit in (sparse, dense):
        weight = circuit.weight_hh_l0
        (first,) = torch.autograd.grad(loss(circuit, weight), weight, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), weight)
        by_func = torch.func.grad(lambda w, c=circuit: loss(c, w))(weight.detach())
        along = torch.func.jvp(
            lambda w, c=circuit: loss(c, w), (weight.detach(),), (weight.detach(),)
        )[1]
        each = [first, second, by_func]
        if circuit is dense:
            each = [pattern.entries(one) for one in each]
        found.append([*each, along])
    torch.testing.assert_close(*found)


PERTURBATIONS = {
    "silence": lambda rnn: silence(rnn, "PV"),
    "silence in a window": lambda rnn: silence(rnn, "PV", (20, 60)),
    "drive": lambda rnn: drive(rnn, "E", 0.5, (20, 60)),
    "a pathway": lambda rnn: silence_pathway(rnn, "PV->E"),
    "a pathway in a window": lambda rnn: silence_pathway(rnn, "*->SST", (0, 60)),
}


@pytest.mark.parametrize("perturb", PERTURBATIONS.values(), ids=PERTURBATIONS)
def test_perturbations_do_what_they_do_to_the_dense_twin(perturb):
    sparse, dense = twins.pair(**LEAK)
    inputs = torch.rand(6, 4, 3, dtype=torch.float64)
    unperturbed = sparse(inputs)[0]
    with perturb(sparse), perturb(dense):
        compare(sparse, dense, inputs)
        assert not torch.allclose(sparse(inputs)[0], unperturbed)
        mine = sparse.effective_weights()[0].recurrent.to_dense()
        torch.testing.assert_close(mine, dense.effective_weights()[0].recurrent)


def test_a_lesion_takes_its_fraction_of_the_synapses():
    sparse, _ = twins.pair()
    before = int(
        (sparse.effective_weights()[0].recurrent.to_dense()[12:, :12] != 0).sum()
    )
    with lesion(sparse, "E->*", 0.5):
        weight = sparse.effective_weights()[0].recurrent.to_dense()
    assert before
    whole = twins.present(_sparse_weights.pattern(sparse, "weight_hh_l0"))[:, :12].sum()
    assert int((weight[:, :12] != 0).sum()) == whole - round(0.5 * int(whole))


def test_a_part_of_a_pathway_in_a_window_is_refused_in_a_sentence():
    sparse, _ = twins.pair(**LEAK)
    some = torch.zeros(17, 17, dtype=torch.bool)
    some[:3] = True
    with (
        silence_pathway(sparse, some, (0, 20)),
        pytest.raises(ValueError, match="whole pathways for a part of a trial"),
    ):
        sparse(torch.rand(4, 2, 3, dtype=torch.float64))


def test_a_sparse_cell_takes_the_steps_of_a_dense_one():
    sparse = EIRNNCell(3, twins.POPS, mask=0.4, sparse=True, **LEAK)
    pattern = _sparse_weights.pattern(sparse, "weight_hh")
    dense = EIRNNCell(3, twins.POPS, mask=twins.present(pattern), **LEAK)
    twins.write(dense, sparse)
    state = other = None
    with sparse.composed(), dense.composed():
        for row in torch.rand(3, 4, 3):
            state, other = sparse(row, state), dense(row, other)
    torch.testing.assert_close(state, other)


def test_autocast_leaves_the_precision_of_a_sparse_circuit():
    sparse = EIRNN(3, twins.POPS, mask=0.4, sparse=True)
    inputs = torch.rand(4, 2, 3)
    plain = sparse(inputs)[0]
    with torch.autocast("cpu"):
        rates = sparse(inputs)[0]
    assert rates.dtype == torch.float32
    torch.testing.assert_close(rates, plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_circuit_of_low_precision_runs_by_plain_operations(dtype):
    sparse = EIRNN(3, twins.POPS, mask=0.4, sparse=True).to(dtype)
    sparse(torch.rand(4, 2, 3, dtype=dtype))[0].sum().backward()
    assert sparse.weight_hh_l0.grad.isfinite().all()


@pytest.mark.parametrize("options", [CASES["leak"]], ids=["leak"])
def test_many_gradients_at_once_are_those_of_one_after_the_other(options):
    circuit, _ = twins.pair(**options)
    layer = EILinear(twins.POPS, 4, mask=0.5, sparse=True, dtype=torch.float64)
    inputs = torch.rand(3, 1, 3, dtype=torch.float64)
    found = []
    for vectorize in (True, False):
        found.append(
            torch.autograd.functional.jacobian(
                lambda x: layer(circuit(x)[0][-1]), inputs, vectorize=vectorize
            )
        )
        assert found[-1].any()
    torch.testing.assert_close(*found)
    out = layer(circuit(inputs)[0][-1])
    weights = [circuit.weight_hh_l0, layer.weight]
    many = torch.autograd.grad(
        out, weights, torch.eye(4).double()[:, None], True, is_grads_batched=True
    )
    for index in range(4):
        one = torch.autograd.grad(out[0, index], weights, retain_graph=True)
        torch.testing.assert_close([each[index] for each in many], list(one))
