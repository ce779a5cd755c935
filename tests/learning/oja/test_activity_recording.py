"""What Oja's rule sees: activities on both sides of every weight, recorded without touching the model."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from daleml import Populations, signs
from daleml.layers import DANNRNN, EIRNN, DANNRNNCell, EIRNNCell
from daleml.learning import FeedbackAlignment, Oja
from daleml.learning.oja.oja_rules import subspace
from tests.learning.oja.test_oja_rules import F64, mlp, random, rates, softmax


def recorded(model, *inputs, **options):
    """The rows recorded in one forward pass, by weight."""
    with Oja(model, 0.01, **options) as plasticity:
        model(*inputs)
        return {name: seen[0] for name, seen in plasticity._record.rows.items()}


@pytest.mark.parametrize(
    "activation", [nn.LeakyReLU(inplace=True), nn.Softplus(10), nn.PReLU(dtype=F64)]
)
def test_rates_are_those_after_the_activation(activation):
    model, x = (
        nn.Sequential(
            nn.Linear(4, 3), activation, nn.Dropout(0.9), nn.Linear(3, 2)
        ).double(),
        random(2, 5, 4),
    )
    seen = recorded(model, x)
    assert torch.equal(seen["0.weight"][0], x.reshape(10, 4))
    expected = activation(model[0](x)).reshape(10, 3)
    assert torch.equal(seen["0.weight"][1], expected)
    assert not torch.equal(
        expected, activation(expected.clone())
    )  # so that an activation applied twice is seen


def test_an_activation_can_be_given():
    model, x = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double(), random(5, 4)
    assert torch.equal(
        recorded(model, x, activation=torch.relu)["0.weight"][1], model[0](x).relu()
    )
    seen = recorded(model, x, activation={"1": softmax})
    assert torch.equal(seen["1.weight"][1], softmax(model(x)))
    assert torch.equal(seen["0.weight"][1], model[0](x))


@pytest.mark.parametrize(
    "cell",
    [
        nn.RNNCell(3, 4),
        EIRNNCell(3, Populations(3, 1), dt_ms=20, tau_ms=100),
        DANNRNNCell(3, 4),
    ],
)
def test_a_cell_records_its_step(cell):
    cell = cell.double()
    x, state = rates(2, 3), random(2, 4, seed=1)
    as_rates = getattr(cell, "rates", lambda state: state)
    name = (
        next(
            name
            for name, _ in cell.named_parameters()
            if name.endswith("hh") and "weight" in name
        )
        .replace("_ix", "_ex")
        .replace("_ei", "_ex")
    )
    pre, post = recorded(cell, x, state)[name]
    assert torch.equal(pre, as_rates(state))
    assert torch.equal(post, as_rates(cell(x, state)))


def test_nothing_is_left_behind():
    model, x = mlp(4, 3, 2), random(5, 4)
    plasticity = Oja(model, 0.01)
    model(x)
    assert not plasticity._record.rows  # not attached yet
    with plasticity:
        model.eval()
        model(x)
        assert not plasticity._record.rows  # what is evaluated is not learned from
        model.train()
        model(x)
        model(x)
        assert plasticity._record.rows["0.weight"][0][0].requires_grad is False
        plasticity.step()
        assert not plasticity._record.rows
        model(x)
    assert not plasticity._record.rows
    assert not plasticity.attached
    assert all(
        not module._forward_hooks and not module._forward_pre_hooks
        for module in model.modules()
    )
    assert list(model.state_dict()) == ["0.weight", "2.weight"]


def test_two_passes_are_one_batch():
    model, x = mlp(4, 3, 2), random(6, 4)
    other = copy.deepcopy(model)
    with Oja(model, 0.1) as whole, Oja(other, 0.1) as parts:
        model(x)
        other(x[:2])
        other(x[2:])
        whole.step()
        parts.step()
    assert all(
        torch.allclose(a, b)
        for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_a_copy_made_while_attached_is_not_recorded():
    model, x = mlp(4, 3, 2), random(5, 4)
    with Oja(model, 0.01) as plasticity, FeedbackAlignment(model):
        twin = copy.deepcopy(model)
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        for other in (twin, loaded):
            grads = torch.autograd.grad(other(x).sum(), list(other.parameters()))
            assert not plasticity._record.rows
            assert torch.equal(other(x), model(x))
            plasticity._record.rows.clear()
    plain = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(grads, plain, strict=True))


@pytest.mark.parametrize("repeated", [nn.Tanh(), nn.ReLU()])
def test_an_activation_module_may_be_used_again(repeated):
    model, x = (
        nn.Sequential(nn.Linear(4, 3), repeated, nn.Linear(3, 2), repeated).double(),
        random(5, 4),
    )
    assert torch.equal(recorded(model, x)["2.weight"][1], model(x))


def test_what_was_recorded_is_not_the_callers_buffer():
    layer, cell = nn.Linear(4, 3).double(), EIRNNCell(4, Populations(3, 1)).double()
    x, state = rates(2, 4), rates(2, 4, seed=1)
    started = state.clone()
    with Oja(layer, 0.01) as dense, Oja(cell, 0.01) as circuit, torch.no_grad():
        layer(x)
        state.copy_(cell(x, state))
        ended = state.clone()
        x.fill_(7.0)
        state.fill_(7.0)
        assert torch.equal(dense._record.rows["weight"][0][0], rates(2, 4))
        pre, post = circuit._record.rows["weight_hh"][0]
    assert torch.equal(pre, started)
    assert torch.equal(post, ended)


def test_recording_draws_nothing():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.RReLU())
    with Oja(model, 0.01, activation={"0": torch.relu}):
        torch.manual_seed(0)
        watched = model(torch.ones(2, 4))
    torch.manual_seed(0)
    assert torch.equal(watched, model(torch.ones(2, 4)))


@pytest.mark.parametrize(
    "unknown",
    [nn.RReLU(), nn.GLU(), nn.LogSoftmax(-1), nn.LogSigmoid(), nn.Softmax2d()],
)
def test_rates_that_are_not_known_must_be_given(unknown):
    model, name = (
        nn.Sequential(nn.Linear(4, 3), nn.ReLU(), unknown, nn.Linear(3, 2)),
        type(unknown).__name__,
    )
    with pytest.raises(ValueError, match="`activation`") as raised:
        Oja(model, 0.01)
    sentence = f"`activation` must be given for `0`, since {name} follows it, of which no rates are known; got none."
    assert str(raised.value) == sentence
    Oja(model, {"3": 0.01})
    Oja(model, 0.01, activation={"0": torch.relu})


def test_an_attention_that_follows_is_no_activation():
    model = nn.Sequential(nn.Linear(4, 4), nn.MultiheadAttention(4, 2))
    assert list(Oja(model, {"0": 0.01}).coefficients) == ["0.weight"]


def test_a_pass_that_raised_is_forgotten():
    model, x = mlp(4, 3, 2), random(5, 4)
    model.append(nn.Identity())
    other = copy.deepcopy(model)
    model[3].register_forward_pre_hook(fail := Fail())
    with Oja(model, 0.1) as broken, Oja(other, 0.1) as whole:
        for rule, network in ((broken, model), (whole, other)):
            network(x)
            rule.step()
        fail.now = True
        with pytest.raises(RuntimeError, match="no"):
            model(3 * x)
        with pytest.raises(RuntimeError, match=r"nothing was recorded of `0.weight`"):
            broken.step()
        with pytest.raises(RuntimeError, match="no"):
            model(3 * x)
        fail.now = False
        for rule, network in ((broken, model), (whole, other)):
            network(x)
            network(2 * x)
            rule.step()
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


class Fail:
    now = False

    def __call__(self, *args):
        if self.now:
            raise RuntimeError("no")


def test_a_refused_step_keeps_no_rows():
    model, x = mlp(4, 3, 2), random(5, 4)
    start = copy.deepcopy(model.state_dict())
    with Oja(model, 0.01) as plasticity:
        model[0](x)  # a part of the model alone
        for _ in range(2):
            with pytest.raises(RuntimeError, match="nothing was recorded"):
                plasticity.step()
            assert not plasticity._record.rows
    assert all(
        torch.equal(value, start[name]) for name, value in model.state_dict().items()
    )


# -- circuits ----------------------------------------------------------------------------------------------------------


LEAK = {"dt_ms": 20, "tau_ms": 100, "train_initial_state": True}
CIRCUITS = {
    "rnn": lambda **layout: nn.RNN(3, 4, **layout),
    "ei": lambda **layout: EIRNN(3, Populations(3, 1), num_layers=2, **layout),
    "ei leaky": lambda **layout: EIRNN(
        3, Populations(3, 1), num_layers=2, nonlinearity="tanh", **LEAK, **layout
    ),
    "dann": lambda **layout: DANNRNN(3, 4, n_inh=2, num_layers=2, **layout),
    "dann shunting": lambda **layout: DANNRNN(
        3, 4, n_inh=2, num_layers=3, shunting=True, **layout
    ),
}


def by_a_loop(rnn, sequences, hx):
    """What was active before and after each path of each layer: one sequence, one step, one layer at a time."""
    as_rates = getattr(rnn, "rates", lambda state: state)
    seen = {}
    for n, x in enumerate(sequences):
        if hx is not None:
            state = hx[:, n]
        else:
            zeros = torch.zeros(rnn.hidden_size, dtype=F64)
            state = torch.stack(
                [
                    getattr(rnn, f"initial_state_l{k}", zeros)
                    for k in range(rnn.num_layers)
                ]
            )
        for row in x:
            before = as_rates(state)
            _, state = rnn(row[None], state)
            below = row
            for k, after in enumerate(as_rates(state)):
                seen.setdefault(f"ih_l{k}", []).append((below, after))
                seen.setdefault(f"hh_l{k}", []).append((before[k], after))
                below = after
    return {
        path: [torch.stack(side).detach() for side in zip(*rows, strict=True)]
        for path, rows in seen.items()
    }


def expected_weights(rnn, seen, coefficient):
    """The weights after one step of the subspace rule, projected."""
    after, effective = copy.deepcopy(rnn), getattr(rnn, "effective_weights", None)
    for path, (pre, post) in seen.items():
        stem = "weight_ex" if isinstance(rnn, DANNRNN) else "weight"
        parameter = after.get_parameter(f"{stem}_{path}")
        weight = parameter
        if effective is not None:
            layer = effective()[int(path[-1])]
            weight = layer.input if path.startswith("ih") else layer.recurrent
        parameter.data += coefficient * subspace(weight, pre, post).detach()
    return signs.project_(after).state_dict()


@pytest.mark.parametrize(
    "layout",
    ["time first", "batch first", "packed", "packed and sorted", "one sequence"],
)
@pytest.mark.parametrize("given_state", [False, True])
@pytest.mark.parametrize("name", CIRCUITS)
def test_a_circuit_follows_every_sequence_step_by_step(name, given_state, layout):
    torch.manual_seed(3)
    rnn = CIRCUITS[name](batch_first=layout == "batch first").double()
    lengths = {
        "packed": [2, 5, 3],
        "packed and sorted": [5, 3, 2],
        "one sequence": [4],
    }.get(layout, [4, 4, 4])
    sequences = [random(n, 3, seed=n + i) for i, n in enumerate(lengths)]
    hx = 0.5 * random(rnn.num_layers, len(lengths), 4, seed=9) if given_state else None
    expected = expected_weights(rnn, by_a_loop(rnn, sequences, hx), 1e-3)
    start = copy.deepcopy(rnn.state_dict())
    with Oja(rnn, 1e-3) as plasticity:
        if layout == "one sequence":
            rnn(sequences[0], None if hx is None else hx[:, 0])
        elif layout.startswith("packed"):
            rnn(pack_sequence(sequences, enforce_sorted=layout.endswith("sorted")), hx)
        else:
            rnn(torch.stack(sequences, dim=int(layout == "time first")), hx)
        plasticity.step()
    for key, value in rnn.state_dict().items():
        assert torch.allclose(value, expected[key], rtol=1e-9, atol=1e-12), key
        assert torch.equal(value, start[key]) == (
            key.split("_")[0] != "weight" or key not in plasticity.coefficients
        )


@pytest.mark.parametrize("name", CIRCUITS)
def test_packed_and_padded_sequences_of_one_length_are_one(name):
    torch.manual_seed(0)
    rnn, x = CIRCUITS[name]().double(), random(5, 3, 3)
    other = copy.deepcopy(rnn)
    with Oja(rnn, 1e-5) as padded, Oja(other, 1e-5) as packed:
        rnn(x)
        other(pack_padded_sequence(x, [5, 5, 5]))
        padded.step()
        packed.step()
    assert all(
        torch.allclose(a, b, rtol=1e-12, atol=1e-14)
        for a, b in zip(rnn.parameters(), other.parameters(), strict=True)
    )


def test_a_layer_reads_what_dropout_leaves():
    rnn = EIRNN(3, Populations(3, 1), num_layers=2, dropout=0.5).double()
    seen = recorded(rnn, rates(6, 5, 3))
    below, read = seen["weight_ih_l0"][1], seen["weight_ih_l1"][0]
    dropped = read == 0
    assert torch.allclose(read[~dropped], 2 * below[~dropped])
    assert bool((below[dropped] > 0).any())


def test_every_layer_of_a_circuit_has_its_names():
    assert list(Oja(EIRNN(3, 4, num_layers=2), 0.1).coefficients) == [
        "weight_ih_l0",
        "weight_hh_l0",
        "weight_ih_l1",
        "weight_hh_l1",
    ]
    assert Oja(DANNRNN(3, 4, num_layers=2), {"weight_ex_hh_l1": 0.1}).coefficients == {
        "weight_ex_hh_l1": 0.1
    }
    assert list(Oja(DANNRNNCell(3, 4), 0.1).coefficients) == [
        "weight_ex_ih",
        "weight_ex_hh",
    ]


def test_a_copy_of_a_circuit_made_while_attached_is_not_recorded():
    rnn, x = EIRNN(3, Populations(3, 1), num_layers=2), torch.rand(5, 2, 3)
    with Oja(rnn, 0.01) as plasticity:
        twin = copy.deepcopy(rnn)
        file = io.BytesIO()
        torch.save(rnn, file)
        file.seek(0)
        for other in (twin, torch.load(file, weights_only=False)):
            assert torch.equal(other(x)[0], rnn(x)[0])
            plasticity._record.rows.clear()
            other(x)
            assert not plasticity._record.rows
        assert rnn._layer_hooks
    assert not rnn._layer_hooks
