"""Perturbations of circuits against loops written by hand, and what they leave behind: nothing."""

import copy
import pickle
import threading

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from daleml import Populations, layers
from daleml.layers import (
    DANNRNN,
    EIRNN,
    Blocks,
    DANNRNNCell,
    EIRNNCell,
    Readout,
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

DOUBLE = torch.float64
POPS = Populations.of(exc={"V1.E": 4, "V2.E": 3}, inh={"V1.PV": 2, "V2.SST": 1})
N = POPS.size
X = torch.rand(8, 3, 3, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
TIME = {"dt_ms": 10, "tau_ms": [20.0 + 5 * i for i in range(N)]}
FACILITATING = ShortTermPlasticity(tau_u_ms=800, tau_x_ms=200, U=0.3)
SETTINGS = {
    "discrete": {},
    "leaky": TIME,
    "learned tau": TIME | {"train_tau": True},
    "rate leak": TIME | {"dynamics": RateLeak()},
    "rectified leak": TIME | {"dynamics": RectifiedLeak()},
    "adaptation": TIME | {"dynamics": Adaptation(tau_ms=100, strength=0.4)},
    "adapting rate": TIME | {"dynamics": Adaptation(100, 0.4, over=RateLeak())},
    "synapses": TIME | {"dynamics": FACILITATING},
}
settings = pytest.mark.parametrize("kw", SETTINGS.values(), ids=SETTINGS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def built(cls=EIRNN, **kw):
    kw = {"dtype": DOUBLE, "generator": seeded(), "nonlinearity": "softplus"} | kw
    rnn = cls(3, POPS, **kw)
    with torch.no_grad():
        for name, value in rnn.named_parameters():
            if name.startswith("bias"):
                value.uniform_(-0.5, 0.5, generator=seeded(5))
    return rnn


def by_hand(rnn, x, silent=None, current=None, absent=None):
    """Run (time, batch, inputs), changed at every step as three functions of it say.

    ``silent(t)``: units whose rates are zero; ``current(t)``: what is added to what units
    receive; ``absent(t)``: synapses that are zero. The equations are those of the papers, with
    the rates changed where they are made.
    """
    f = nn.functional.softplus
    w_in, w = rnn.weight_ih_l0, rnn.effective_weights()[0].recurrent
    bias = 0.0 if not rnn.bias else rnn.bias_ih_l0 + rnn.bias_hh_l0
    alpha = 1.0 if rnn.tau_ms is None else rnn.dt_ms / torch.as_tensor(rnn.tau_ms)
    kind = rnn.dynamics
    adapting = isinstance(kind, Adaptation)
    plastic = isinstance(kind, ShortTermPlasticity)
    inner = kind.over if adapting or plastic else kind
    is_rate = rnn.state_names[0] == "r"
    state = torch.zeros(x.shape[1], N, dtype=DOUBLE)
    a, store, use = torch.zeros_like(state), torch.ones_like(state), torch.full_like(state, 0.3)  # fmt: skip

    def made(t):
        rates = state if is_rate else f(state - 0.4 * a)
        if silent is not None:
            rates = torch.where(silent(t), torch.zeros_like(rates), rates)
        return rates

    rates = made(0)
    rows = []
    for t, now in enumerate(x):
        sent = rates
        if plastic:
            per_s = 0.001 * rnn.dt_ms
            store, use = (
                store + rnn.dt_ms / 200 * (1 - store) - per_s * use * store * rates,
                use + rnn.dt_ms / 800 * (0.3 - use) + per_s * 0.3 * (1 - use) * rates,
            )
            sent = use * store * rates
        weight = w if absent is None else torch.where(absent(t), torch.zeros_like(w), w)
        received = now @ w_in.T + sent @ weight.T + bias
        if current is not None:
            received = received + current(t)
        if inner is not None and isinstance(inner, RateLeak):
            new = (1 - alpha) * rates + alpha * f(received - 0.4 * a)
        elif isinstance(inner, RectifiedLeak):
            new = f((1 - alpha) * rates + alpha * received)
        elif is_rate:
            new = f(received)
        else:
            new = (1 - alpha) * state + alpha * received
        if adapting:
            a = a + rnn.dt_ms / 100 * (rates - a)
        state = new
        rates = made(t)
        if is_rate:
            state = rates
        rows.append(rates)
    return torch.stack(rows), state


def units(*keys):
    mask = torch.zeros(N, dtype=torch.bool)
    for key in keys:
        mask[POPS.index(key)] = True
    return mask


def between(first, stop, mask):
    return lambda t: mask if first <= t < stop else torch.zeros_like(mask)


def assert_same(found, expected):
    rates, last = found
    torch.testing.assert_close(rates, expected[0], rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(last[0, :, :N], expected[1], rtol=1e-11, atol=1e-12)


# -- against loops by hand


@settings
@pytest.mark.parametrize("window", [(3, 6), (0, 2), (7, 8), None], ids=str)
def test_silence_is_rates_of_zero(kw, window):
    rnn = built(**kw)
    assert_same(rnn(X), by_hand(rnn, X))
    first, stop = window or (0, len(X))
    mask = units("V1.PV", "V2.E")
    with silence(rnn, ["V1.PV", "V2.E"], steps=window):
        rates, last = rnn(X)
    assert_same((rates, last), by_hand(rnn, X, silent=between(first, stop, mask)))
    assert (rates[first:stop, :, mask] == 0).all()
    assert (rates[:first, :, mask] != 0).all()
    assert (rates[stop:, :, mask] != 0).all()


@settings
@pytest.mark.parametrize("window", [(3, 6), None], ids=str)
def test_drive_is_a_current(kw, window):
    rnn = built(**kw)
    first, stop = window or (0, len(X))
    amount = torch.zeros(N, dtype=DOUBLE)
    amount[POPS.index("V2")] = torch.tensor([0.1, 0.2, 0.3, -0.4], dtype=DOUBLE)
    none = torch.zeros_like(amount)
    with drive(rnn, "V2", amount[POPS.index("V2")], steps=window):
        found = rnn(X)
    expected = by_hand(rnn, X, current=lambda t: amount if first <= t < stop else none)
    assert_same(found, expected)


@settings
@pytest.mark.parametrize("window", [(3, 6), None], ids=str)
def test_a_silent_pathway_is_weights_of_zero(kw, window):
    rnn = built(**kw)
    first, stop = window or (0, len(X))
    absent = units("V1.E")[:, None] & units("V1.PV")[None]
    absent |= units("V2")[:, None] & units("V1.E")[None]
    with silence_pathway(rnn, ["V1.PV->V1.E", "V1.E->V2"], steps=window):
        found = rnn(X)
    assert_same(found, by_hand(rnn, X, absent=between(first, stop, absent)))


@settings
def test_nested_blocks_act_together(kw):
    rnn = built(**kw)
    mask, absent = units("V2.SST"), units("V2.E")[:, None] & units("V1.E")[None]
    current = 0.3 * units("V1.E").to(DOUBLE)
    with (
        silence(rnn, "*.SST", steps=(1, 5)),
        drive(rnn, "V1.E", 0.3),
        silence_pathway(rnn, "V1.E->V2.E", steps=(4, 7)),
        silence(rnn, "V2.SST", steps=(3, 6)),
    ):
        found = rnn(X)
    expected = by_hand(
        rnn, X, between(1, 6, mask), lambda t: current, between(4, 7, absent)
    )
    assert_same(found, expected)
    assert rnn._perturbations == ()


@settings
def test_gradients_are_those_of_the_loop_by_hand(kw):
    rnn = built(**kw)
    amount = torch.tensor(0.3, dtype=DOUBLE, requires_grad=True)
    mask = units("V1.PV")
    with silence(rnn, "V1.PV", steps=(2, 5)), drive(rnn, "V1.E", amount, steps=(1, 4)):
        rates, _ = rnn(X)
    # Time constants that learn are values to the loop by hand; gradcheck has them elsewhere.
    wanted = [one for name, one in rnn.named_parameters() if name != "tau_log"]
    wanted.append(amount)
    found = torch.autograd.grad(rates.square().sum(), wanted)
    where = units("V1.E").to(DOUBLE)
    rows, _ = by_hand(
        rnn,
        X,
        between(2, 5, mask),
        lambda t: amount * where if 1 <= t < 4 else 0 * where,
    )
    expected = torch.autograd.grad(rows.square().sum(), wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


class Tiring(nn.Module):
    """Dynamics of a user's own, with a parameter that learns: the gain falls with the rate."""

    state_names, starts = ("x", "gain"), (0.1, 1.0)

    def __init__(self):
        super().__init__()
        self.pull = nn.Parameter(torch.tensor(0.2, dtype=DOUBLE))

    def step(self, state, receive, time):
        x, gain = state
        rates = self.rates(state, time.f)
        moved = x + time.alpha * (receive(rates) - x)
        return moved, gain + self.pull * (1 / (1 + rates) - gain)

    def rates(self, state, f):
        x, gain = state
        return gain * f(x)


def test_dynamics_of_ones_own_are_perturbed():
    rnn = built(dynamics=Tiring(), **TIME)
    mask, current = (
        units("V1.PV", "V2.E"),
        0.4 * units("V1.E").to(DOUBLE),
    )
    with silence(rnn, mask, steps=(2, 5)), drive(rnn, "V1.E", 0.4, steps=(3, 6)):
        rates, last = rnn(X)
    weights = rnn.effective_weights()[0]
    bias = rnn.bias_ih_l0 + rnn.bias_hh_l0
    alpha = rnn.dt_ms / rnn.tau_ms
    x = torch.full((3, N), 0.1, dtype=DOUBLE)
    gain, rows = torch.ones_like(x), []
    now = gain * nn.functional.softplus(x)
    for t, given in enumerate(X):
        received = given @ weights.input.T + now @ weights.recurrent.T + bias
        if 3 <= t < 6:
            received = received + current
        x = x + alpha * (received - x)
        gain = gain + rnn.dynamics.pull * (1 / (1 + now) - gain)
        now = gain * nn.functional.softplus(x)
        if 2 <= t < 5:
            now = now.masked_fill(mask, 0)
        rows.append(now)
    torch.testing.assert_close(rates, torch.stack(rows), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(
        last[0], torch.cat([x, gain], -1), rtol=1e-11, atol=1e-12
    )
    rates.sum().backward()
    assert rnn.dynamics.pull.grad.abs() > 0


@pytest.mark.parametrize("kw", [{}, TIME], ids=["discrete", "leaky"])
def test_a_lesion_is_a_mask(kw):
    rnn = built(mask=0.6, **kw)
    exist = rnn.weight_hh_l0_present.bool()
    whole = rnn.effective_weights()[0].recurrent.clone()
    block = exist & units("V2.E")[:, None] & units("V1")[None]
    for fraction in (1.0, 0.5, 0.0):
        with lesion(rnn, "V1->V2.E", fraction, seeded(3)):
            weight = rnn.effective_weights()[0].recurrent
            found = rnn(X)
        gone = (weight == 0) & (whole != 0)
        assert int(gone.sum()) == round(fraction * int(block.sum()))
        assert not (gone & ~block).any()
        assert_same(found, by_hand(rnn, X, absent=lambda t, gone=gone: gone))
        with lesion(rnn, "V1->V2.E", fraction, seeded(3)):
            assert torch.equal(weight, rnn.effective_weights()[0].recurrent)
    assert torch.equal(rnn.effective_weights()[0].recurrent, whole)


def test_silence_by_a_current_is_a_drive_below_zero():
    rnn = built(**TIME)
    with silence(rnn, "V1.PV", steps=(2, 5), drive=3.0):
        found = rnn(X)[0]
    with drive(rnn, "V1.PV", -3.0, steps=(2, 5)):
        assert torch.equal(found, rnn(X)[0])
    assert (found[2:5, :, POPS["V1.PV"]] > 0).all()


# -- the ways to run a circuit


def test_a_window_in_ms_follows_the_time_step():
    rnn = built(**TIME)
    with silence(rnn, "V1.PV", window_ms=(30, 60)):
        coarse = rnn(X)[0]
        rnn.dt_ms = 5
        fine = rnn(X.repeat_interleave(2, 0))[0]
        rnn.dt_ms = 10
    rows = POPS["V1.PV"]
    assert [bool(r.any()) for r in coarse[:, :, rows]] == [True] * 3 + [False] * 3 + [True] * 2  # fmt: skip
    assert [bool(r.any()) for r in fine[:, :, rows]] == [True] * 6 + [False] * 6 + [True] * 4  # fmt: skip


@settings
def test_packed_sequences_run_as_they_would_alone(kw):
    rnn = built(**kw)
    packed = pack_sequence([X[:, 0], X[:5, 1], X[:3, 2]])
    with silence(rnn, "V1.PV", steps=(2, 6)), silence_pathway(rnn, "V1->V2.E"):
        output, last = rnn(packed)
        padded, _ = nn.utils.rnn.pad_packed_sequence(output)
        alone = [rnn(X[:, :1])]
    for k, n in ((1, 5), (2, 3)):
        with silence(rnn, "V1.PV", steps=(2, min(6, n))), silence_pathway(rnn, "V1->V2.E"):  # fmt: skip
            alone.append(rnn(X[:n, k : k + 1]))
    for k, (rates, state) in enumerate(alone):
        torch.testing.assert_close(padded[: len(rates), k], rates[:, 0])
        torch.testing.assert_close(last[:, k], state[:, 0])


def test_one_layer_of_several():
    rnn = built(num_layers=2, **TIME)
    seen = {}
    rnn.register_layer_hook(lambda s, rows, begun, rates, sizes: seen.update({s: rates}))  # fmt: skip
    before = {}
    rnn(X)
    before.update(seen)
    with silence(rnn, "V1.PV", layer=1):
        rnn(X)
    assert torch.equal(seen["_l0"], before["_l0"])
    assert (seen["_l1"][:, POPS["V1.PV"]] == 0).all()
    with silence(rnn, "V1.PV"):
        rnn(X)
    assert (seen["_l0"][:, POPS["V1.PV"]] == 0).all()


@settings
def test_a_cell_in_a_block_is_the_circuit_without_a_window(kw):
    cell = built(EIRNNCell, **kw)
    rnn = built(**kw)
    for name, value in cell.named_parameters():
        value.data.copy_(rnn.get_parameter(name if name == "tau_log" else f"{name}_l0"))
    contexts = [
        lambda c: silence(c, "*.PV"),
        lambda c: drive(c, "V1", 0.2),
        lambda c: silence_pathway(c, "V1->V2"),
    ]
    for context in contexts:
        with context(rnn):
            rates, last = rnn(X)
        with context(cell):
            state, outputs = None, []
            for now in X:
                state = cell(now, state)
                outputs.append(cell.rates(state))
        torch.testing.assert_close(torch.stack(outputs), rates)
        torch.testing.assert_close(state, last[0])


@pytest.mark.parametrize("shunting", [False, True], ids=["subtractive", "shunting"])
@pytest.mark.parametrize("cls", [DANNRNN, DANNRNNCell])
def test_danns_are_perturbed(cls, shunting):
    rnn = cls(3, 6, 2, shunting=shunting, dtype=DOUBLE, generator=seeded(), dt_ms=10, tau_ms=40)  # fmt: skip
    x = X if cls is DANNRNN else X[0]

    def run():
        found = rnn(x)
        return found[0] if cls is DANNRNN else rnn(x, found)

    plain = run()
    with drive(rnn, [0, 2], 0.7):
        driven = run()
    assert not torch.equal(driven, plain)
    with silence_pathway(rnn, "E->E"), silence(rnn, [1]):
        cut = run()
    if cls is DANNRNN:
        assert (cut[:, :, 1] == 0).all()
        lone = copy.deepcopy(rnn)
        with torch.no_grad():
            for part in ("ex", "ix"):
                getattr(lone, f"weight_{part}_hh_l0").zero_()
        others = [0, 2, 3, 4, 5]
        torch.testing.assert_close(cut[:, :, others], lone(x)[0][:, :, others])
    assert torch.equal(run(), plain)
    if shunting:
        with (
            pytest.raises(ValueError, match="`fraction` must be 1 for a circuit whose"),
            lesion(rnn, "E->E", 0.5),
        ):
            pass


def test_noise_is_that_of_the_circuit_outside():
    rnn = built(noise=0.2, input_noise=0.1, rate_noise=0.1, **TIME)
    found = []
    for first in (5, 6):
        rnn.generator = seeded(9)
        with silence(rnn, "V1.PV", steps=(first, 7)):
            found.append(rnn(X)[0])
    rnn.generator = seeded(9)
    plain = rnn(X)[0]
    torch.testing.assert_close(found[0][:5], plain[:5])
    torch.testing.assert_close(found[1][:6], plain[:6])
    assert not torch.allclose(found[0][6], plain[6])


def test_a_model_with_a_circuit():
    model = nn.Sequential(built(**TIME), Readout(POPS, 2, dtype=DOUBLE))
    plain = model(X)
    with silence(model, "V1.PV", window_ms=(20, 50)) as given:
        assert given is model
        assert not torch.equal(model(X), plain)
    assert torch.equal(model(X), plain)


# -- what is left behind


def held(module):
    return {name: copy.copy(value) for name, value in vars(module).items()}


def assert_same_bits(state, before):
    assert state.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in state.items())


CONTEXTS = {
    "silence": lambda rnn: silence(rnn, "V1.PV", window_ms=(20, 50)),
    "by current": lambda rnn: silence(rnn, "V1.PV", drive=2.0),
    "drive": lambda rnn: drive(rnn, "V1", 0.5, window_ms=(20, 50)),
    "pathway": lambda rnn: silence_pathway(rnn, "V1->V2", window_ms=(20, 50)),
    "lesion": lambda rnn: lesion(rnn, "V1->V2", 0.5),
}
contexts = pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)


@contexts
def test_the_circuit_is_what_it_was_even_after_an_exception(context):
    rnn = built(train_initial_state=True, mask=0.5, **TIME)
    plain, before = rnn(X)[0], held(rnn)
    bits = copy.deepcopy(rnn.state_dict())
    with context(rnn):
        assert not torch.equal(rnn(X)[0], plain)
        assert_same_bits(rnn.state_dict(), bits)
    with pytest.raises(ZeroDivisionError), context(rnn):
        raise ZeroDivisionError
    assert held(rnn).keys() == before.keys()
    assert_same_bits(rnn.state_dict(), bits)
    assert torch.equal(rnn(X)[0], plain)


@contexts
def test_copies_are_unperturbed_and_other_threads_are_not(context):
    rnn = built(**TIME)
    plain = rnn(X)[0]
    with context(rnn):
        perturbed = rnn(X)[0]
        for twin in (copy.deepcopy(rnn), pickle.loads(pickle.dumps(rnn))):
            assert torch.equal(twin(X)[0], plain)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(rnn(X)[0]))
        thread.start()
        thread.join()
    # A lesion of a fraction is drawn once, where the block begins.
    assert torch.equal(seen[0], perturbed)


def test_blocks_may_be_left_in_any_order():
    rnn = built(**TIME)
    first, second = silence(rnn, "V1.PV"), drive(rnn, "V1.E", 0.5)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    driven = rnn(X)[0]
    second.__exit__(None, None, None)
    with drive(rnn, "V1.E", 0.5):
        assert torch.equal(rnn(X)[0], driven)


@pytest.mark.parametrize(
    "given",
    [
        POPS["V1.PV"], [7, 8], range(7, 9), torch.tensor([8, 7]), units("V1.PV"),
        [False] * 7 + [True, True, False], ("V1.PV", "*.PV"), units("V1.PV").numpy(),
    ],
    ids=lambda given: type(given).__name__,
)  # fmt: skip
def test_units_may_be_given_in_many_ways(given):
    rnn = built(**TIME)
    with silence(rnn, "V1.PV"):
        expected = rnn(X)[0]
    with silence(rnn, given):
        assert torch.equal(rnn(X)[0], expected)


def test_synapses_may_be_given_in_many_ways():
    rnn, found = built(**TIME), []
    matrix = units("V2.E")[:, None] & units("V1.PV")[None]
    for given in ("*.PV->V2.E", ["V1.PV->V2.E"], Blocks({"V1.PV->V2.E": 0.3}), matrix):
        with silence_pathway(rnn, given, window_ms=(10, 50)):
            found.append(rnn(X)[0])
    assert all(torch.equal(one, found[0]) for one in found)
    assert not torch.equal(found[0], rnn(X)[0])


def test_a_function_may_be_decorated():
    rnn = built(**TIME)

    @lesion(rnn, "V1->V2", 0.5)
    def run(again):
        return run(False) if again else rnn(X)[0]

    assert torch.equal(run(False), run(True))
    assert not rnn.is_perturbed


def test_the_only_layer_is_every_layer():
    cell = built(EIRNNCell, **TIME)
    with silence(cell, "V1.PV", layer=0):
        state = cell(X[0])
        assert (cell.rates(state)[:, POPS["V1.PV"]] == 0).all()
        assert (cell.transmitted(state)[:, POPS["V1.PV"]] == 0).all()
        assert (cell.rates(state)[:, POPS["V1.E"]] != 0).all()


def test_weights_that_act_are_seen_without_the_pathway():
    rnn = built(num_layers=2, **TIME)
    with silence_pathway(rnn, "V1->V2", layer=1):
        first, second = rnn.effective_weights()
    absent = units("V2")[:, None] & units("V1")[None]
    assert (second.recurrent[absent] == 0).all()
    assert (first.recurrent[absent] != 0).any()


# -- what is refused


def two():
    return nn.ModuleDict({"a": built(), "b": built(EIRNNCell)})


@pytest.mark.parametrize(
    ("context", "kind", "sentence"),
    [
        (lambda: silence(built(), "VIP"), ValueError, "`population` must name one of the populations 'V1.E', 'V2.E', 'V1.PV', 'V2.SST', an area or a pattern of them; got 'VIP'."),
        (lambda: silence(built(), [10]), ValueError, "`population` must have numbers of units from 0 to 9; got 10."),
        (lambda: silence(built(), [-1]), ValueError, "`population` must have numbers of units from 0 to 9; got -1."),
        (lambda: silence(built(), [1, 1]), ValueError, "`population` must name every unit once; got one twice."),
        (lambda: silence(built(), []), ValueError, "`population` must have a unit; got none."),
        (lambda: silence(built(), [0.5]), TypeError, "`population` must be a name, the numbers of units, or a boolean mask of them; got list."),
        (lambda: silence(built(), torch.ones(3, dtype=torch.bool)), ValueError, "`population` must be a mask of the 10 units; got shape (3,)."),
        (lambda: silence(built(), "V1", layer=1), ValueError, "`layer` must be below 1, the number of layers; got 1."),
        (lambda: silence(built(), "V1", window_ms=(0, 10)), ValueError, "`window_ms` must be left out for a circuit without `dt_ms`: give `steps` instead; got (0, 10)."),
        (lambda: silence(built(**TIME), "V1", window_ms=(5, 10)), ValueError, "`window_ms` must begin and end at whole steps of `dt_ms`, 10; got (5, 10)."),
        (lambda: silence(built(**TIME), "V1", window_ms=(20, 20)), ValueError, "`window_ms` must have 0 <= begin < end; got (20, 20)."),
        (lambda: silence(built(**TIME), "V1", window_ms=(-10, 20)), ValueError, "`window_ms` must have 0 <= begin < end; got (-10, 20)."),
        (lambda: silence(built(**TIME), "V1", window_ms=20), TypeError, "`window_ms` must be a pair (begin, end); got 20."),
        (lambda: silence(built(**TIME), "V1", (0, 10), steps=(0, 1)), ValueError, "`window_ms` or `steps` must be given, and not both; got (0, 10) and (0, 1)."),
        (lambda: silence(built(**TIME), "V1", drive=-1), ValueError, "`drive` must be above 0; got -1."),
        (lambda: silence(built(EIRNNCell, **TIME), "V1", (0, 10)), ValueError, "`window_ms` must be left out for a cell, which has no trial: enter the block for the steps that are meant; got (0, 10)."),
        (lambda: silence(two(), "V1"), ValueError, "`rnn` must be one circuit, or a model with one; got ModuleDict with 2 ('a', 'b'): give one of them."),
        (lambda: silence(nn.RNN(3, 4), "V1"), TypeError, "`rnn` must be a circuit of daleml.layers, such as EIRNN, or a model with one; got RNN without any."),
        (lambda: silence("rnn", "V1"), TypeError, "`rnn` must be a circuit, or a model with one; got str."),
        (lambda: drive(built(), "V1", torch.ones(2)), ValueError, "`amount` must be a number or one for each of the 6 units; got shape (2,)."),
        (lambda: drive(built(), "V1", float("nan")), ValueError, "`amount` must be finite; got nan."),
        (lambda: silence_pathway(built(), "V1->VIP"), ValueError, "VIP"),
        (lambda: silence_pathway(built(), "V1"), ValueError, "`pathway` must be one such as 'E->I', from the presynaptic to the postsynaptic population; got 'V1'."),
        (lambda: lesion(built(), ["V1->V2", "->V1"]), ValueError, "`pathway` must be one such as 'E->I', from the presynaptic to the postsynaptic population; got '->V1'."),
        (lambda: silence_pathway(built(), Blocks({"V1->V2": 0})), ValueError, "`pathway` must have a pair of units; got none."),
        (lambda: lesion(built(), torch.zeros(N, N, dtype=torch.bool)), ValueError, "`pathway` must have a pair of units; got none."),
        (lambda: silence_pathway(built(), torch.ones(3, 3)), ValueError, "`pathway` must be a boolean matrix (10, 10), as (post, pre), or named; got torch.float32 of shape (3, 3)."),
        (lambda: silence_pathway(built(), 3), TypeError, "`pathway` must be one such as 'E->I', several of them, Blocks, or a boolean matrix; got 3."),
        (lambda: silence_pathway(built(), []), TypeError, "`pathway` must be one such as 'E->I', several of them, Blocks, or a boolean matrix; got []."),
        (lambda: drive(built(), "V1", "strong"), TypeError, "`amount` must be a number, or one for each of the units; got str."),
        (lambda: drive(built(), "V1", None), TypeError, "`amount` must be a number, or one for each of the units; got NoneType."),
        (lambda: lesion(built(), "V1->V2", 1.5), ValueError, "`fraction` must be a fraction in [0, 1]; got 1.5."),
    ],
)  # fmt: skip
def test_what_is_impossible_is_refused(context, kind, sentence):
    with pytest.raises(kind) as raised:
        context()  # refused where it is called, and not only where the block begins
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("kw", "when", "sentence"),
    [
        (TIME, {"window_ms": (50, 90)}, "`window_ms` must lie within the trial, (0, 80); got (50, 90)."),
        ({}, {"steps": (5, 9)}, "`steps` must lie within the trial, (0, 8); got (5, 9)."),
    ],
)  # fmt: skip
def test_a_window_outside_the_trial_is_refused_when_it_runs(kw, when, sentence):
    rnn = built(**kw)
    with silence(rnn, "V1.PV", **when):
        for run in (lambda: rnn(X), lambda: rnn(pack_sequence([X[:, 0], X[:2, 1]]))):
            with pytest.raises(ValueError) as raised:
                run()
            assert str(raised.value) == sentence
    rnn(X)
    assert layers.silence is silence
