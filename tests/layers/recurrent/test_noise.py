"""Noise of the input and of the rates: its size whatever the time step, its source, and when there is none."""

import copy
import pickle

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from daleml import Populations
from daleml.layers import DANNRNN, EIRNN, DANNRNNCell, EIRNNCell
from daleml.layers.dynamics import RateLeak, ShortTermPlasticity

POPS = Populations(4, 2)
TAUS = [20.0, 40.0, 60.0, 80.0, 100.0, 120.0]
DOUBLE = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


CIRCUITS = {
    "EIRNN": lambda **kw: EIRNN(3, POPS, **kw),
    "two layers": lambda **kw: EIRNN(3, POPS, num_layers=2, **kw),
    "DANNRNN": lambda **kw: DANNRNN(3, 6, 2, **kw),
    "cell": lambda **kw: EIRNNCell(3, POPS, **kw),
    "DANN cell": lambda **kw: DANNRNNCell(3, 6, 2, **kw),
}
circuits = pytest.mark.parametrize("build", CIRCUITS.values(), ids=CIRCUITS)


def rows_read(rnn, x):
    """What the first layer reads, as a layer hook sees it."""
    seen = []
    with rnn.register_layer_hook(
        lambda suffix, rows, *_: seen.append((suffix, rows.detach()))
    ):
        rnn(x)
    return dict(reversed(seen))[seen[0][0]]


@pytest.mark.parametrize(
    ("time", "variance"),
    [
        ({}, 2.0),
        ({"dt_ms": 20, "tau_ms": 100}, 10.0),
        ({"dt_ms": 2, "tau_ms": 100}, 100.0),
        ({"dt_ms": 10, "tau_ms": TAUS}, 14.0),
        ({"dt_ms": 10, "tau_ms": TAUS, "train_tau": True}, 14.0),
    ],
)
@pytest.mark.parametrize("build", [CIRCUITS["EIRNN"], CIRCUITS["cell"]])
def test_noise_of_the_input_is_white_noise_of_its_time_step(build, time, variance):
    rnn = build(input_noise=0.3, generator=seeded(), dtype=DOUBLE, **time)
    shape = (4000, 3) if isinstance(rnn, EIRNNCell) else (40, 100, 3)
    noise = rows_read(rnn, torch.ones(shape, dtype=DOUBLE)) - 1
    assert noise.std().item() == pytest.approx(0.3 * variance**0.5, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.05 * variance**0.5)


def test_what_it_does_to_the_state_does_not_depend_on_the_time_step():
    found = []
    for dt_ms in (1, 5, 10):
        rnn = EIRNN(
            1, Populations(1), dt_ms=dt_ms, tau_ms=50, input_noise=0.2,
            nonlinearity=lambda x: x, bias=False, generator=seeded(), dtype=DOUBLE,
        )  # fmt: skip
        with torch.no_grad():
            rnn.weight_ih_l0.fill_(1.0)
        n_steps = 300 // dt_ms
        _, last = rnn(torch.zeros(n_steps, 2500, 1, dtype=DOUBLE))
        alpha = dt_ms / 50
        # The state of an autoregressive process: exactly sigma as the step goes to zero.
        expected = 0.2 * (1 / (1 - alpha / 2)) ** 0.5
        found.append(last.std().item() / expected)
    assert found == pytest.approx([1, 1, 1], rel=0.03)


@circuits
def test_it_is_the_noise_of_the_first_layer_and_of_the_generator(build):
    kw = {"dt_ms": 20, "tau_ms": TAUS, "dtype": DOUBLE}
    rnn = build(generator=seeded(), **kw)
    x = torch.rand(5, 3, dtype=DOUBLE)
    quiet = rows_read(rnn, x)
    assert torch.equal(quiet, x)
    rnn.input_noise = 0.1
    noisy = []
    for _ in range(2):
        rnn.generator = seeded(3)
        noisy.append(rows_read(rnn, x))
    assert torch.equal(*noisy)
    drawn = torch.randn(5, 3, generator=seeded(3), dtype=DOUBLE)
    variance = 2 * torch.tensor(TAUS, dtype=DOUBLE).mean() / 20
    expected = x + 0.1 * variance.sqrt() * drawn
    torch.testing.assert_close(noisy[0], expected, rtol=1e-13, atol=1e-13)
    rnn.eval()
    assert torch.equal(rows_read(rnn, x), x)
    rnn.noise_in_eval, rnn.generator = True, None
    assert not torch.equal(rows_read(rnn, x), x)
    for twin in (copy.deepcopy(rnn), pickle.loads(pickle.dumps(rnn))):
        assert twin.input_noise == 0.1
    assert "input_noise=0.1" in repr(rnn)
    with pytest.raises(ValueError, match="`input_noise` must be at least 0; got -1."):
        rnn.input_noise = -1


def test_packed_sequences_and_gradients_have_it():
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=50, input_noise=0.1, generator=seeded())
    x = torch.rand(4, 2, 3, requires_grad=True)
    packed = pack_sequence([x[:, 0], x[:2, 1]])
    rows = rows_read(rnn, packed)
    assert not torch.equal(rows, packed.data)
    rnn(packed)[0].data.sum().backward()
    assert x.grad.isfinite().all()


# -- noise of the rates


SETTINGS = {
    "discrete": {},
    "leaky": {"dt_ms": 20, "tau_ms": [*TAUS[1:], 33.0]},
    "rate leak": {"dt_ms": 20, "tau_ms": 50, "dynamics": RateLeak()},
    "synapses": {
        "dt_ms": 20,
        "tau_ms": 50,
        "dynamics": ShortTermPlasticity(tau_u_ms=800, tau_x_ms=200, U=0.25),
    },
}


@pytest.mark.parametrize("kw", SETTINGS.values(), ids=SETTINGS)
def test_noise_of_the_rates_is_inside_of_the_nonlinearity(kw):
    """Against a loop by hand, whose state keeps none of it."""
    rnn = EIRNN(
        3, POPS, rate_noise=0.2, dtype=DOUBLE, generator=seeded(), nonlinearity="softplus", **kw
    )  # fmt: skip
    x = torch.rand(6, 4, 3, dtype=DOUBLE)
    rnn.generator = seeded(3)
    rates, last = rnn(x)
    drawn = torch.randn(28, 6, generator=seeded(3), dtype=DOUBLE).view(7, 4, 6) * 0.2
    f = torch.nn.functional.softplus
    weights = rnn.effective_weights()[0]
    bias = rnn.bias_ih_l0 + rnn.bias_hh_l0
    alpha = 1.0 if not kw else 20 / torch.as_tensor(rnn.tau_ms, dtype=DOUBLE)
    is_rate = rnn.state_names[0] == "r"
    state = torch.zeros(4, 6, dtype=DOUBLE)
    store, use = torch.ones_like(state), torch.full_like(state, 0.25)
    now = state if is_rate else f(state + drawn[0])
    for t, given in enumerate(x):
        sent = now
        if len(rnn.state_names) == 3:
            store, use = (
                store + 20 / 200 * (1 - store) - 0.02 * use * store * now,
                use + 20 / 800 * (0.25 - use) + 0.02 * 0.25 * (1 - use) * now,
            )
            sent = use * store * now
        received = given @ weights.input.T + sent @ weights.recurrent.T + bias
        if is_rate:
            state = now = (1 - alpha) * state + alpha * f(received + drawn[t + 1])
        else:
            state = (1 - alpha) * state + alpha * received
            now = f(state + drawn[t + 1])
        torch.testing.assert_close(rates[t], now, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(last[0, :, :6], state, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dt_ms", [1, 10])
def test_its_size_does_not_depend_on_the_time_step(dt_ms):
    rnn = EIRNN(
        1, Populations(1), dt_ms=dt_ms, tau_ms=50, rate_noise=0.1, bias=True,
        generator=seeded(), dtype=DOUBLE,
    )  # fmt: skip
    with torch.no_grad():
        for weight in (rnn.weight_ih_l0, rnn.weight_hh_l0):
            weight.zero_()
        rnn.bias_ih_l0.fill_(3.0)
    hx = torch.full((1, 2000, 1), 3.0, dtype=DOUBLE)
    rates, last = rnn(torch.zeros(5, 2000, 1, dtype=DOUBLE), hx)
    assert rates.std().item() == pytest.approx(0.1, rel=0.03)
    torch.testing.assert_close(last, hx)


@circuits
def test_it_is_off_in_eval_and_comes_from_the_generator(build):
    kw = {"dt_ms": 20, "tau_ms": TAUS, "dtype": DOUBLE}
    rnn = build(generator=seeded(), rate_noise=0.3, **kw)
    cell = isinstance(rnn, (EIRNNCell, DANNRNNCell))
    x = torch.rand(5, 3, dtype=DOUBLE)
    hx = torch.ones(5, 6, dtype=DOUBLE) if cell else None
    found = []
    for _ in range(2):
        rnn.generator = seeded(4)
        found.append(rnn(x, hx) if cell else rnn(x)[0])
    assert torch.equal(*found)
    assert "rate_noise=0.3" in repr(rnn)
    rnn.eval()
    quiet = rnn(x, hx) if cell else rnn(x)[0]
    assert not torch.allclose(quiet, found[0])
    rnn.train()
    rnn.rate_noise = 0
    torch.testing.assert_close(rnn(x, hx) if cell else rnn(x)[0], quiet)


def test_sequences_of_several_lengths_have_noisy_rates():
    rnn = EIRNN(3, POPS, dt_ms=20, tau_ms=50, rate_noise=0.1, noise=0.1, generator=seeded())  # fmt: skip
    x = torch.rand(4, 3, 3)
    output, last = rnn(pack_sequence([x[:, 0], x[:3, 1], x[:1, 2]]))
    assert output.data.shape == (8, 6)
    assert last.shape == (1, 3, 6)
    assert output.data.isfinite().all()
