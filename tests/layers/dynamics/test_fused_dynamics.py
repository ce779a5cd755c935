"""What runs dynamics fast is the readable loop: values, last states and gradients."""

import itertools

import pytest
import torch

from daleml import Populations
from daleml.layers import EIRNN
from daleml.layers._recurrent.dispatch import run_dynamics
from daleml.layers._recurrent.dynamics_loop import dynamics_loop
from daleml.layers._recurrent.layer_sweep import LayerSweep
from daleml.layers._recurrent.nonlinearities import function
from daleml.layers.dynamics import (
    DEPRESSING,
    FACILITATING,
    MembraneLeak,
    RateLeak,
    RectifiedLeak,
    ShortTermPlasticity,
    TimeStep,
)

N = 6
POPS = Populations(4, 2)
RAGGED = (4, 4, 4, 3, 3, 1, 1)
EVEN = (3,) * 5
EACH = torch.linspace(0.1, 1.0, N, dtype=torch.float64)
STATIC = {"tau_u_ms": [0, 0, 90, 90, 0, 30], "tau_x_ms": [0, 50, 0, 70, 0, 30]}
PLASTICITY = {
    "one kind": lambda over: ShortTermPlasticity(*DEPRESSING, over=over),
    "alternating": lambda over: ShortTermPlasticity.alternating(N, over=over),
    "some static": lambda over: ShortTermPlasticity(
        **STATIC, U=[0.3, 0.2, 1, 0, 0.5, 0.9], over=over
    ),
    "all static": lambda over: ShortTermPlasticity(0, 0, 0.4, over=over),
    "facilitating": lambda over: ShortTermPlasticity(*FACILITATING, over=over),
}


def problem(dynamics, nonlinearity, sizes, alpha, scale=20.0):
    """Draw a layer's tensors, and its sweep; rates of hundreds clip both synaptic variables."""
    source = torch.Generator().manual_seed(7)

    def draw(*shape):
        drawn = torch.rand(shape, generator=source, dtype=torch.float64)
        return drawn.requires_grad_()

    x, weight_ih, bias = draw(sum(sizes), 3), draw(N, 3), draw(N)
    weight_hh, noise = draw(N, N), draw(sum(sizes), N)
    state = draw(sizes[0], len(dynamics.state_names) * N)
    with torch.no_grad():
        x.mul_(scale)
        state[:, :N].mul_(5)
        weight_hh.sub_(0.5)
        noise.sub_(0.5)
    if isinstance(dynamics, ShortTermPlasticity):
        dynamics = dynamics.for_units(POPS)
    time = TimeStep(10.0, alpha, function(nonlinearity))
    sweep = LayerSweep(
        state, noise, None, nonlinearity, sizes, dynamics=dynamics, time=time
    )
    return (x, weight_ih, bias, weight_hh), sweep


def both_ways(tensors, sweep):
    fast = run_dynamics(*tensors, sweep)
    slow = dynamics_loop(
        *tensors,
        sweep.state,
        sweep.noise,
        sweep.dynamics,
        sweep.time,
        sweep.batch_sizes,
    )
    assert "Fused" in type(fast[0].grad_fn).__name__
    return fast, slow


CASES = [
    ("one kind", MembraneLeak(), "relu", EVEN, 0.2, 400.0),
    ("alternating", RectifiedLeak(), "relu", EVEN, 0.2),
    ("alternating", MembraneLeak(), "softplus", RAGGED, 0.3),
    ("some static", RectifiedLeak(), "tanh", RAGGED, EACH),
    ("some static", MembraneLeak(), "relu", RAGGED, EACH),
    ("all static", RectifiedLeak(), "softplus", EVEN, 1.0),
    ("facilitating", MembraneLeak(), "tanh", (1,) * 9, 0.2),
    ("one kind", RectifiedLeak(), "relu", RAGGED, 0.1, 400.0),
]
PROBLEMS = {
    f"{kind} over {over} {' '.join(map(str, how[:2]))}": (PLASTICITY[kind](over), *how)
    for kind, over, *how in CASES
} | {
    "rate leak": (RateLeak(), "relu", EVEN, 0.2),
    "rate leak of each": (RateLeak(), "softplus", RAGGED, EACH),
    "rate leak of all": (RateLeak(), "tanh", RAGGED, 1.0),
    "rectified leak": (RectifiedLeak(), "relu", RAGGED, 0.2),
    "rectified leak of each": (RectifiedLeak(), "softplus", EVEN, EACH),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_fused_is_the_loop(name):
    tensors, sweep = problem(*PROBLEMS[name])
    fast, slow = both_ways(tensors, sweep)
    wanted = [*tensors, sweep.state, sweep.noise]
    towards = [torch.linspace(-1, 2, y.numel()).double().view_as(y) for y in fast]
    # Of the rates alone, of the last states alone, and of both.
    for outputs in ([0], [1], [0, 1]):
        grads = [
            torch.autograd.grad(
                sum((y[i] * towards[i]).sum() for i in outputs),
                wanted,
                retain_graph=True,
            )
            for y in (fast, slow)
        ]
        torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)


def test_the_cases_clip_and_do_not():
    tensors, sweep = problem(
        PLASTICITY["one kind"](RectifiedLeak()), "relu", EVEN, 0.2, 400.0
    )
    _, last = run_dynamics(*tensors, sweep)
    _, x, _ = last.chunk(3, dim=-1)
    assert (x == 0).any()
    assert (x > 0).any()


@pytest.mark.parametrize("missing", list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("name", ["rate leak", "rectified leak", "synapses"])
def test_bias_and_noise_may_be_missing(name, missing):
    synapses = PLASTICITY["alternating"](MembraneLeak()), "relu", RAGGED, 0.2
    (x, weight_ih, bias, weight_hh), sweep = problem(*PROBLEMS.get(name, synapses))
    if missing[0]:
        bias = None
    if missing[1]:
        sweep = sweep._replace(noise=None)
    fast, slow = both_ways((x, weight_ih, bias, weight_hh), sweep)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    grads = [torch.autograd.grad(y[0].sum(), weight_hh)[0] for y in (fast, slow)]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "dynamics", [PLASTICITY["alternating"](RectifiedLeak()), RateLeak()], ids=repr
)
def test_second_derivatives_and_many_gradients_at_once_take_the_loop(dynamics):
    tensors, sweep = problem(dynamics, "softplus", EVEN, 0.2, 1.0)
    x = tensors[0]
    found = []
    for rates, _ in both_ways(tensors, sweep):
        (first,) = torch.autograd.grad(rates.sin().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), x, retain_graph=True)
        towards = torch.eye(2, dtype=x.dtype)[:, None, :].expand(2, len(rates), 2)
        many = torch.autograd.grad(
            rates[:, :2], x, towards, is_grads_batched=True, retain_graph=True
        )
        found.append((first, second, many[0]))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


def test_a_leak_that_learns_and_a_function_of_ones_own_take_the_loop():
    plastic = ShortTermPlasticity(*DEPRESSING)
    x = torch.rand(5, 2, 3)
    learning = EIRNN(3, POPS, dt_ms=10, tau_ms=50, train_tau=True, dynamics=plastic)
    rates, _ = learning(x)
    rates.sum().backward()
    grads = [p.grad for p in learning.parameters()]
    assert all(grad is not None for grad in grads)
    own = EIRNN(
        3, POPS, dt_ms=10, tau_ms=50, nonlinearity=torch.sigmoid, dynamics=plastic
    )
    assert "Fused" not in type(own(x)[0].grad_fn).__name__


def test_float32_is_near_float64():
    tensors, sweep = problem(
        PLASTICITY["alternating"](RectifiedLeak()), "relu", (4,) * 60, 0.1, 5.0
    )
    exact, _ = run_dynamics(*tensors, sweep)
    low = [tensor.float() for tensor in tensors]
    of_low = sweep._replace(state=sweep.state.float(), noise=sweep.noise.float())
    rates, _ = run_dynamics(*low, of_low)
    torch.testing.assert_close(rates.double(), exact, rtol=1e-3, atol=1e-3)
