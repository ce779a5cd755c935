"""Circuits of any dynamics are called, packed, watched, saved, copied and cast as all are."""

import copy
import io
import pickle
import warnings

import networkx as nx
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from daleml import Populations, signs
from daleml.layers import DANNRNN, EIRNN, DANNRNNCell, EIRNNCell
from daleml.layers.dynamics import (
    DEPRESSING,
    FACILITATING,
    Adaptation,
    Dynamics,
    MembraneLeak,
    RateLeak,
    RectifiedLeak,
    ShortTermPlasticity,
)
from daleml.optim import EG, enforce

POPS = Populations.of(exc={"E": 5}, inh={"PV": 2, "SST": 1})


class Tiring:
    """Dynamics of a user's own: a gain that falls with the rate, and Heun's method for the state."""

    state_names = ("x", "gain")
    starts = (0.0, 1.0)

    def step(self, state, receive, time):
        x, gain = state
        slope = receive(self.rates(state, time.f)) - x
        ahead = x + time.alpha * slope
        then = receive(self.rates((ahead, gain), time.f)) - ahead
        rates = self.rates(state, time.f)
        gain = gain + time.dt_ms / 200 * (1 / (1 + rates) - gain)
        return x + time.alpha * (slope + then) / 2, gain

    def rates(self, state, f):
        x, gain = state
        return gain * f(x)


class Learned(nn.Module):
    """Dynamics of a user's own with a parameter of each unit."""

    state_names = ("r", "slow")

    def __init__(self, **kw):
        super().__init__()
        self.coupling = nn.Parameter(torch.full((8,), 0.3, **kw))
        self.begin = nn.Parameter(torch.full((8,), 0.2, **kw))

    @property
    def starts(self):
        return 0.0, self.begin

    def step(self, state, receive, time):
        r, slow = state
        r = (1 - time.alpha) * r + time.alpha * time.f(receive(r) - slow)
        return r, slow + 0.1 * (self.coupling * r - slow)

    def rates(self, state, f):
        return state[0]


def by_type():
    kinds = {"E": DEPRESSING, "PV": DEPRESSING, "SST": FACILITATING}
    return ShortTermPlasticity.by_population(kinds, over=RectifiedLeak())


ALL = {
    "membrane": MembraneLeak,
    "rate": RateLeak,
    "rectified": RectifiedLeak,
    "adaptation": lambda: Adaptation({"E": 200, "PV": 50, "SST": 50}, 0.4),
    "two adaptations": lambda: Adaptation(50, 0.2, over=Adaptation(400, 0.3)),
    "plastic": by_type,
    "plastic and adapting": lambda: ShortTermPlasticity(
        *DEPRESSING, over=Adaptation(100, [0.1] * 8)
    ),
    "adapting rate": lambda: Adaptation(100, 0.5, over=RateLeak()),
    "own": Tiring,
    "learned": Learned,
}
every = pytest.mark.parametrize("name", ALL)
# The slow variable of the module takes a part of each step, whatever its length.
ours = pytest.mark.parametrize("name", [name for name in ALL if name != "learned"])
LEAK = {"dt_ms": 10, "tau_ms": {"E": 50, "PV": 20, "SST": 30}}
PLAIN_LEAK = {"dt_ms": 10, "tau_ms": 50}


def build(name, *args, **options):
    torch.manual_seed(2)
    return EIRNN(3, POPS, *args, dynamics=ALL[name](), **LEAK, **options)


def data(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


@every
def test_a_sequence_cut_in_two_continues_in_every_layer(name):
    rnn, x = build(name, 2, batch_first=True), data(4, 9, 3)
    whole, last = rnn(x)
    first, state = rnn(x[:, :5])
    rest, end = rnn(x[:, 5:], state)
    n_variables = len(rnn.state_names)
    assert state.shape == (2, 4, n_variables * 8)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole)
    torch.testing.assert_close(end, last)
    torch.testing.assert_close(rnn.rates(last)[-1], whole[:, -1])
    assert rnn.transmitted(last).shape == (2, 4, 8)


@every
def test_a_batch_may_be_empty_and_a_sequence_alone(name):
    rnn = build(name)
    rates, state = rnn(data(5, 0, 3))
    (rates.sum() + state.sum()).backward()
    assert rates.shape == (5, 0, 8)
    alone, last = rnn(data(5, 3))
    assert alone.shape == (5, 8)
    torch.testing.assert_close(rnn.rates(last)[0], alone[-1])


@every
def test_packed_sequences_are_each_by_itself(name):
    rnn = build(name, 2)
    sequences = [data(n, 3) for n in (4, 7, 2)]
    begun = data(2, 3, rnn._state_size) * 0.5
    packed = pack_sequence(sequences, enforce_sorted=False)
    rates, last = rnn(packed, begun)
    assert isinstance(rates, PackedSequence)
    alone = [rnn(one, begun[:, i]) for i, one in enumerate(sequences)]
    expected = pack_sequence([one for one, _ in alone], enforce_sorted=False)
    torch.testing.assert_close(rates.data, expected.data)
    torch.testing.assert_close(last, torch.stack([end for _, end in alone], 1))


@every
def test_a_cell_takes_the_steps_of_the_layer(name):
    rnn, x = build(name), data(6, 4, 3)
    cell = EIRNNCell(3, POPS, dynamics=ALL[name](), **LEAK)
    state_dict = {k.replace("_l0", ""): v for k, v in rnn.state_dict().items()}
    cell.load_state_dict(state_dict)
    rates, last = rnn(x)
    for compose in (False, True):
        state = None
        with cell.composed() if compose else torch.no_grad():
            for now, expected in zip(x, rates, strict=True):
                state = cell(now, state)
                torch.testing.assert_close(cell.rates(state), expected)
        torch.testing.assert_close(state, last[0])
    (alone,) = cell(x[0, 0][None], state[:1])
    torch.testing.assert_close(cell(x[0, 0], state[0]), alone)


@every
@pytest.mark.parametrize("shunting", [False, True])
def test_a_dann_runs_under_any_dynamics(name, shunting):
    dynamics = ALL[name]()
    if name in ("plastic", "adaptation"):
        # A DANN has no inhibitory units, and no types of them.
        dynamics = ShortTermPlasticity(*DEPRESSING)
    rnn = DANNRNN(3, 8, 2, dynamics=dynamics, shunting=shunting, **PLAIN_LEAK)
    cell = DANNRNNCell(3, 8, 2, dynamics=dynamics, shunting=shunting, **PLAIN_LEAK)
    cell.load_state_dict({k.replace("_l0", ""): v for k, v in rnn.state_dict().items()})
    x, state = data(6, 4, 3), None
    rates, last = rnn(x)
    for now in x:
        state = cell(now, state)
    torch.testing.assert_close(state, last[0])
    rates.sum().backward()
    assert all(p.grad is not None for p in rnn.parameters())


@every
def test_what_is_sent_is_what_the_units_receive(name):
    rnn, x = build(name, nonlinearity="softplus").double(), data(5, 4, 3).double()
    _, state = rnn(x)
    seen = []

    class Watching(nn.Module):
        def __init__(self, watched):
            super().__init__()
            self.watched = watched
            self.state_names, self.starts = watched.state_names, watched.starts

        def step(self, state, receive, time):
            def look(sent):
                seen.append(sent)
                return receive(sent)

            return self.watched.step(state, look, time)

        def rates(self, state, f):
            return self.watched.rates(state, f)

    expected = rnn.transmitted(state)[0]
    kept = rnn.dynamics
    rnn.dynamics = Watching(kept)
    rnn(x[:1], state)
    torch.testing.assert_close(seen[0], expected)
    assert rnn.state_names == tuple(kept.state_names)


@every
def test_copies_pickles_and_checkpoints_are_the_circuit(name):
    rnn, x = build(name, train_initial_state=True), data(5, 4, 3)
    rates, _ = rnn(x)
    copied = copy.deepcopy(rnn)
    pickled = pickle.loads(pickle.dumps(rnn))
    file = io.BytesIO()
    torch.save(rnn.state_dict(), file)
    file.seek(0)
    loaded = build(name, train_initial_state=True)
    loaded.reset_parameters(torch.Generator().manual_seed(9))
    assert not torch.equal(loaded(x)[0], rates)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    for other in (copied, pickled, loaded):
        assert torch.equal(other(x)[0], rates)
        assert repr(other) == repr(rnn)


@every
def test_a_cast_circuit_keeps_its_numbers(name):
    rnn, x = build(name), data(5, 4, 3).double()
    exact = build(name).double()
    rates, state = exact(x)
    assert rates.dtype == state.dtype == torch.float64
    back = copy.deepcopy(exact).float().double()
    assert str(back.state_dict().get("dynamics.U")) == str(
        rnn.state_dict().get("dynamics.U")
    )
    torch.testing.assert_close(rnn(x.float())[0].double(), rates, rtol=1e-4, atol=1e-4)


@every
def test_the_law_holds_while_it_learns(name):
    rnn, x = build(name, mask=0.6, train_initial_state=True), data(6, 4, 3)
    optimizer = torch.optim.SGD(rnn.parameters(), 0.5)
    enforce(optimizer, rnn)
    before = {k: v.clone() for k, v in rnn.named_parameters()}
    for _ in range(3):
        optimizer.zero_grad()
        rates, _ = rnn(x)
        (rates - 1).square().mean().backward()
        optimizer.step()
    assert signs.check(rnn)
    moved = [k for k, v in rnn.named_parameters() if not torch.equal(v, before[k])]
    assert set(moved) == set(before)
    weights, present = rnn.weight_hh_l0, rnn.weight_hh_l0_present.bool()
    assert (weights[~present] == 0).all()
    EG(rnn.parameters(), 0.1).step()


@every
def test_functional_calls_and_vmap_are_the_call(name):
    rnn, x = build(name), data(5, 4, 3)
    rates, _ = rnn(x)
    parameters = dict(rnn.named_parameters())
    again, _ = torch.func.functional_call(rnn, parameters, (x,))
    torch.testing.assert_close(again, rates)

    def one(trial):
        return torch.func.functional_call(rnn, parameters, (trial,))[0]

    torch.testing.assert_close(torch.vmap(one, 1, 1)(x), rates)
    grads = torch.func.grad(
        lambda p: torch.func.functional_call(rnn, p, (x,))[0].sum()
    )(parameters)
    rates.sum().backward()
    for key, parameter in parameters.items():
        torch.testing.assert_close(grads[key], parameter.grad, rtol=1e-4, atol=1e-4)


@ours
def test_a_circuit_on_meta_has_shapes(name):
    with torch.device("meta"):
        rnn = EIRNN(3, POPS, dynamics=ALL[name](), **LEAK)
    rates, state = rnn(torch.rand(5, 4, 3, device="meta"))
    assert rates.shape == (5, 4, 8)
    assert state.shape == (1, 4, rnn._state_size)


@every
def test_autocast_leaves_the_state_as_precise_as_it_is(name):
    rnn, x = build(name), data(5, 4, 3)
    rates, _ = rnn(x)
    with torch.autocast("cpu", torch.bfloat16):
        lowered, state = rnn(x)
        lowered.sum().backward()
    torch.testing.assert_close(lowered.float(), rates, rtol=0.1, atol=0.05)
    if name != "membrane":
        assert state.dtype == torch.float32


def test_an_exported_circuit_is_the_circuit():
    rnn, x = build("plastic").eval(), data(2, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(rnn, (x,)).module()
    torch.testing.assert_close(exported(x), rnn(x))


@ours
def test_a_finer_step_tends_to_the_same_activity(name):
    rnn = build(name).double()
    inputs = data(1, 4, 3).double().expand(40, 4, 3)
    coarse, _ = rnn(inputs)
    rnn.dt_ms = 1
    fine, _ = rnn(inputs.repeat_interleave(10, 0))
    torch.testing.assert_close(fine[9::10][4:], coarse[4:], rtol=0.15, atol=0.1)
    assert not torch.allclose(fine[9::10], coarse, rtol=1e-6)


@every
def test_hooks_see_the_state_it_began_in_and_the_rates(name):
    rnn, x, seen = build(name, 2), data(5, 4, 3), []
    with rnn.register_layer_hook(lambda *told: seen.append(told)):
        rates, _ = rnn(x)
    assert [told[0] for told in seen] == ["_l0", "_l1"]
    assert torch.equal(seen[1][3].view(5, 4, 8), rates)
    assert seen[0][2].shape == (4, rnn._state_size)
    assert rnn.rates(seen[0][2]).shape == (4, 8)


def test_a_module_of_ones_own_learns_and_is_saved():
    rnn = build("learned")
    assert {"dynamics.coupling", "dynamics.begin"} <= set(rnn.state_dict())
    rnn(data(5, 4, 3))[0].sum().backward()
    assert rnn.dynamics.coupling.grad.abs().min() > 0
    assert rnn.dynamics.begin.grad.abs().min() > 0
    assert isinstance(rnn.dynamics, Dynamics)


def test_the_starting_state_is_learned_in_its_first_variable():
    rnn = build("plastic", train_initial_state=True)
    assert rnn.initial_state_l0.shape == (8,)
    assert signs.check(rnn)
    rnn(data(4, 2, 3))[0].sum().backward()
    assert rnn.initial_state_l0.grad.abs().min() > 0
    # Rates that are states are kept from becoming negative; states are not.
    assert hasattr(rnn, "initial_state_l0_signs")
    leaky = EIRNN(3, POPS, train_initial_state=True, **LEAK)
    assert not hasattr(leaky, "initial_state_l0_signs")


def test_a_given_wiring_gives_each_node_its_own_numbers():
    graph = nx.DiGraph()
    for node, sign in (("pv", -1), ("pyr", 1), ("sst", -1), ("pyr2", 1)):
        graph.add_node(node, sign=sign)
    graph.add_edges_from([("pv", "pyr"), ("pyr", "sst"), ("pyr2", "pv")])
    by_node = {"pv": 50, "pyr": 100, "sst": 150, "pyr2": 200}
    adapting = Adaptation(200, 0.5, over=Adaptation(by_node, 0.1))
    rnn = EIRNN.from_graph(graph, 2, dynamics=adapting, **PLAIN_LEAK)
    assert rnn.nodes == ("pyr", "pyr2", "pv", "sst")
    assert rnn.dynamics.over.tau_ms.tolist() == [100, 200, 50, 150]
    by_type = Adaptation({"E": 200, "I": 70}, 0.5)
    of_types = EIRNN.from_graph(graph, 2, dynamics=by_type, **PLAIN_LEAK)
    assert of_types.dynamics.tau_ms.tolist() == [200, 200, 70, 70]
    # A sequence follows the graph's order, which is not that of the units.
    listed = Adaptation([50, 100, 150, 200], 0.5)
    with pytest.raises(ValueError, match="`tau_ms` must be a mapping by node"):
        EIRNN.from_graph(graph, 2, dynamics=listed, **PLAIN_LEAK)


def test_dynamics_may_be_set_afterwards():
    rnn, x = build("membrane"), data(6, 2, 3)
    plain, _ = rnn(x)
    rnn.dynamics = by_type()
    assert rnn.state_names == ("r", "x_syn", "u_syn")
    assert rnn(x)[1].shape == (1, 2, 24)
    rnn.dynamics = Learned()
    assert "dynamics.begin" in dict(rnn.named_parameters())
    rnn.dynamics = None
    assert torch.equal(rnn(x)[0], plain)
    assert rnn.state_names == ("x",)
    assert EIRNN(3, POPS).state_names == ("r",)
