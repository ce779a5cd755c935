"""Every dynamics equals a loop written from its paper's equations, gradients included."""

import cmath
import math

import pytest
import torch

from daleml import Populations
from daleml.layers import EIRNN
from daleml.layers.dynamics import (
    DEPRESSING,
    FACILITATING,
    Adaptation,
    MembraneLeak,
    RateLeak,
    RectifiedLeak,
    ShortTermPlasticity,
)
from tests.reference import dynamics as papers

POPS = Populations(7, 3)
DT, TAU = 10.0, 50.0


def circuit(dynamics, **options):
    """Build a circuit in float64, with biases that are not zero."""
    source = torch.Generator().manual_seed(4)
    settings = {"dt_ms": DT, "tau_ms": TAU, "generator": source} | options
    rnn = EIRNN(3, POPS, dynamics=dynamics, dtype=torch.float64, **settings)
    with torch.no_grad():
        rnn.bias_ih_l0.uniform_(0, 0.5, generator=source)
    return rnn


def trials(scale=1.0):
    source = torch.Generator().manual_seed(5)
    inputs = torch.rand(40, 4, 3, generator=source, dtype=torch.float64) * scale
    return inputs.requires_grad_()


def parts(rnn):
    present = rnn.weight_hh_l0_present
    return rnn.weight_hh_l0 * present, rnn.weight_ih_l0, rnn.bias_ih_l0 + rnn.bias_hh_l0


def drawn(rnn, seed):
    """Return the noise that the circuit will draw, before it is scaled, and set its source."""
    rnn.generator = torch.Generator().manual_seed(seed)
    xi = torch.randn(
        160, 10, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return rnn.noise * xi.view(40, 4, 10)


def assert_same_with_gradients(ours, theirs, tensors):
    """Hold values and gradients to 1e-10."""
    towards = torch.linspace(-1, 1, ours.numel(), dtype=ours.dtype).view_as(ours)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    grads = [torch.autograd.grad((y * towards).sum(), tensors) for y in (ours, theirs)]
    for one, other in zip(*grads, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_rate_leak_is_yang():
    rnn, inputs = circuit(RateLeak(), noise=0.05), trials()
    noise = drawn(rnn, 8)
    theirs = papers.yang(inputs, *parts(rnn), DT, TAU, noise)
    assert_same_with_gradients(rnn(inputs)[0], theirs, [*rnn.parameters(), inputs])


def test_short_term_plasticity_is_masse():
    plasticity = ShortTermPlasticity.alternating(POPS, over=RectifiedLeak())
    rnn = circuit(plasticity, noise=0.5, train_initial_state=True)
    inputs = trials(40.0)
    kinds = [(FACILITATING, DEPRESSING)[unit % 2] for unit in range(10)]
    tau_u, tau_x, use = torch.tensor(kinds, dtype=torch.float64).T
    noise = drawn(rnn, 9)
    options = rnn.initial_state_l0, DT, TAU, tau_u, tau_x, use, noise
    theirs, efficacies = papers.masse(inputs, *parts(rnn), *options)
    ours, last = rnn(inputs)
    assert_same_with_gradients(ours, theirs, [*rnn.parameters(), inputs])
    _, x_syn, u_syn = last[0].chunk(3, dim=-1)
    torch.testing.assert_close(u_syn * x_syn, efficacies[-1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n_currents", [1, 2])
def test_adaptation_holds_rates_down(n_currents):
    taus, strengths = [80.0, 400.0][:n_currents], [0.7, 0.4][:n_currents]
    dynamics = MembraneLeak()
    for tau, strength in zip(taus, strengths, strict=True):
        dynamics = Adaptation(tau, strength, over=dynamics)
    rnn, inputs = circuit(dynamics), trials()
    theirs = papers.adapting(inputs, *parts(rnn), DT, TAU, taus, strengths)
    assert_same_with_gradients(rnn(inputs)[0], theirs, [*rnn.parameters(), inputs])


def test_a_membrane_leak_as_an_object_is_the_circuits_own():
    given, plain = circuit(MembraneLeak(), noise=0.1), circuit(None, noise=0.1)
    inputs = trials()
    drawn(given, 3), drawn(plain, 3)
    one, other = given(inputs), plain(inputs)
    assert all(map(torch.equal, one, other))
    assert list(given.state_dict()) == list(plain.state_dict())

    # As a step of the protocol it is the same but for rounding.
    class Own(MembraneLeak):
        pass

    by_loop = circuit(Own(), noise=0.1)
    drawn(by_loop, 3), drawn(plain, 3)
    assert_same_with_gradients(by_loop(inputs)[0], plain(inputs)[0], [inputs])


def test_the_three_leaks_are_one_where_rates_are_states():
    ran = []
    for dynamics in (MembraneLeak(), RateLeak(), RectifiedLeak()):
        rnn = circuit(dynamics, noise=0.1, nonlinearity=lambda x: x)
        drawn(rnn, 6)
        ran.append(rnn(trials())[0])
    torch.testing.assert_close(ran[0], ran[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ran[0], ran[2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "use", "store"),
    [(FACILITATING, 0.7385, 0.4037), (DEPRESSING, 0.7105, 0.0858)],
)
def test_synapses_settle_where_the_closed_form_says(kind, use, store):
    # A unit that fires at 10 Hz, and has no synapse onto itself.
    unit = linear_unit(ShortTermPlasticity(*kind, over=RectifiedLeak()), 10)
    _, last = unit(torch.full((3000, 1, 1), 10.0, dtype=torch.float64))
    state = last[0]
    tau_u, tau_x = kind.tau_u_ms / 1000, kind.tau_x_ms / 1000
    u = kind.U * (1 + tau_u * 10) / (1 + kind.U * tau_u * 10)
    x = 1 / (1 + tau_x * u * 10)
    assert state[0].tolist() == pytest.approx([10.0, x, u], abs=1e-12)
    assert (u, x) == pytest.approx((use, store), abs=5e-5)
    assert unit.transmitted(state).item() == pytest.approx(10 * u * x, abs=1e-11)


def linear_unit(dynamics, dt_ms=1):
    """Build one unit whose state is its input, without a synapse onto itself."""
    unit = EIRNN(
        1,
        Populations(1),
        dt_ms=dt_ms,
        tau_ms=dt_ms,
        bias=False,
        dynamics=dynamics,
        dtype=torch.float64,
    )
    unit.weight_ih_l0.data.fill_(1.0)
    return unit


def test_a_step_overshoots_by_one_plus_c():
    unit = linear_unit(Adaptation(tau_ms=100, strength=0.6))
    rates, _ = unit(torch.ones(1400, 1, 1, dtype=torch.float64))
    assert rates[0].item() == 1.0
    assert rates[0].item() / rates[-1].item() == pytest.approx(1.6, abs=1e-9)


def test_adaptation_passes_what_changes():
    tau, strength, omega = 100.0, 0.6, 2 * math.pi / 200
    unit = linear_unit(Adaptation(tau_ms=tau, strength=strength))
    steps = torch.arange(2000, dtype=torch.float64)
    # Above threshold the unit is linear.
    rates, _ = unit(2 + torch.cos(omega * steps)[:, None, None])
    late = rates[1600:, 0, 0]
    turning = torch.exp(-1j * omega * steps[1600:])
    gain = (2 * (late * turning).mean()).item()
    # The discrete filter, (z - 1) tau instead of i omega tau.
    through = (cmath.exp(1j * omega) - 1) * tau
    assert gain == pytest.approx(1 / (1 + strength / (1 + through)), abs=1e-9)
    assert abs(gain) == pytest.approx(
        abs(1 / (1 + strength / (1 + 1j * omega * tau))), rel=0.01
    )


@pytest.mark.parametrize(
    "dynamics",
    [
        RateLeak(),
        RectifiedLeak(),
        Adaptation(100, 0.5, over=RateLeak()),
        ShortTermPlasticity(*DEPRESSING),
        ShortTermPlasticity.alternating(POPS, over=RectifiedLeak()),
    ],
    ids=repr,
)
def test_derivatives_are_those_of_differences(dynamics):
    rnn = circuit(dynamics, nonlinearity="softplus")
    names = ["weight_hh_l0", "weight_ih_l0", "bias_hh_l0"]
    inputs = trials(5.0)[:4, :2].detach().requires_grad_()
    begun = 0.3 + 0.1 * torch.rand(1, 2, rnn._state_size, dtype=torch.float64)

    def run(inputs, begun, *weights):
        given = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(rnn, given, (inputs, begun))

    weights = [getattr(rnn, name) for name in names]
    given = inputs, begun.requires_grad_(), *weights
    assert torch.autograd.gradcheck(run, given, fast_mode=True)
