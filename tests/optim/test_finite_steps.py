"""No step makes a weight infinite or NaN, however long the step, small the dtype, or wrong the gradient."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from daleml import Populations, signs
from daleml.layers import EILinear
from daleml.optim import EG, EGAdamW, MirrorDescent, param_groups
from daleml.potentials import (
    Euclidean,
    HyperbolicEntropy,
    NegativeEntropy,
    PNorm,
    Potential,
)
from daleml.training import DivergedError

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
POTENTIALS = [
    Euclidean(), NegativeEntropy(), PNorm(1.1), PNorm(3), PNorm(20),
    *(HyperbolicEntropy(beta) for beta in (1e-50, 1e-30, 1e-3, 1.0, 1e20, 1e60)),
]  # fmt: skip


def steps(dtype, gradients, build, n_steps=3):
    """Step every kind of weight along every gradient, there and back; return the weights."""
    info = torch.finfo(dtype)
    values = torch.tensor(
        [0.0, 1e-7, -0.5, 1.0, -1e4, info.max, -info.max, info.tiny],
        dtype=torch.float64,
    ).to(dtype)
    weight = nn.Parameter(values.repeat(len(gradients)))
    grad = (
        torch.tensor(gradients, dtype=torch.float64)
        .repeat_interleave(len(values))
        .to(dtype)
    )
    optimizer = build([weight])
    for i in range(n_steps):
        weight.grad = -grad if i % 2 else grad
        optimizer.step()
        assert weight.isfinite().all()
    return weight


@pytest.mark.parametrize("lr", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("potential", POTENTIALS, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_mirror_descent_stays_finite(dtype, potential, lr):
    largest = torch.finfo(dtype).max
    gradients = [0.0, 1e-6, -1.0, 50.0, -1e4, largest, -largest, math.inf, -math.inf]
    steps(dtype, gradients, lambda ps: MirrorDescent(ps, lr, potential))
    steps(
        dtype,
        gradients[:5],
        lambda ps: MirrorDescent(ps, lr, potential, momentum=0.9, weight_decay=0.01),
    )


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_exponentiated_gradient_stays_finite_and_keeps_signs(dtype, foreach):
    largest = torch.finfo(dtype).max
    gradients = [0.0, 1e-6, -1.0, 50.0, -1e4, largest, -largest, math.inf, -math.inf]
    adaptive = gradients[:5]  # squares of the others overflow
    for build, given in (
        (lambda ps: EG(ps, 1e3, foreach=foreach), gradients),
        (lambda ps: EGAdamW(ps, 1e3, foreach=foreach), adaptive),
    ):
        weight = steps(dtype, given, build).detach()
        start = torch.tensor([0.0, 1, -1, 1, -1, 1, -1, 1]).repeat(len(given))
        if dtype == torch.float16:
            start[1::8] = weight[1::8].sign().float()  # 1e-7 is next to nothing there
        assert torch.equal(weight.sign().float(), start)


def test_averages_that_overflow_are_an_error_or_leave_finite_weights():
    weight = nn.Parameter(torch.ones(4))
    optimizer = EGAdamW([weight], 1.0)
    raised = 0
    for sign in (1, -1, 1):
        weight.grad = torch.full((4,), sign * torch.finfo(torch.float32).max)
        try:
            optimizer.step()
        except DivergedError:
            raised += 1
        assert weight.isfinite().all()
    assert raised


def test_the_hyperbolic_entropy_goes_far_and_comes_back():
    weight = nn.Parameter(torch.tensor([0.5, -0.5]))
    optimizer = MirrorDescent([weight], 1.0, HyperbolicEntropy(1.0))
    weight.grad = torch.tensor([-80.0, 80.0])
    optimizer.step()
    assert weight.tolist() == pytest.approx(
        [math.sinh(math.asinh(0.5) + 80), -math.sinh(math.asinh(0.5) + 80)], rel=1e-5
    )
    weight.grad = -weight.grad
    optimizer.step()
    assert weight.tolist() == pytest.approx([0.5, -0.5], abs=1e-4)


@pytest.mark.parametrize("beta", [1e-30, 1e-3, 1.0, 1e20])
def test_the_maps_of_the_hyperbolic_entropy_are_finite_and_right(beta):
    potential = HyperbolicEntropy(beta)
    weight = torch.tensor([0.0, 1e-30, -3.0, 1e30, -torch.finfo(torch.float32).max])
    dual = potential.gradient(weight)
    exact = [math.asinh(w / beta) for w in weight.tolist()]
    assert dual.tolist() == pytest.approx(exact, rel=1e-6, abs=1e-44)
    assert potential.inverse_gradient(dual).tolist() == pytest.approx(
        weight.tolist(), rel=2e-5, abs=max(1e-36, 1e-37 * beta)
    )
    assert potential.inverse_gradient(torch.tensor([1e30, -1e30])).isfinite().all()
    assert potential.decay(weight).isfinite().all()
    assert potential.step(weight, torch.tensor(math.inf)).isfinite().all()


BUILDS = {
    "EG": lambda ps: EG(ps, 0.1), "EG momentum": lambda ps: EG(ps, 0.1, 0.9), "EG foreach": lambda ps: EG(ps, 0.1, foreach=True),
    "EGAdamW": lambda ps: EGAdamW(ps, 0.1), "EGAdamW foreach": lambda ps: EGAdamW(ps, 0.1, foreach=True),
    "Euclidean": lambda ps: MirrorDescent(ps, 0.1, Euclidean()), "hyperbolic": lambda ps: MirrorDescent(ps, 0.1, HyperbolicEntropy(1.0)),
    "entropy": lambda ps: MirrorDescent(ps, 0.1), "p-norm": lambda ps: MirrorDescent(ps, 0.1, PNorm(3)),
}  # fmt: skip


@pytest.mark.parametrize("size", [5, 300_000], ids=["small", "large"])
@pytest.mark.parametrize("name", BUILDS)
def test_a_gradient_of_nan_is_an_error_and_makes_no_weight_nan(name, size):
    weights = [
        nn.Parameter(torch.linspace(0.1, 1, size)),
        nn.Parameter(torch.linspace(-1, -0.1, size)),
    ]
    optimizer = BUILDS[name](weights)
    for i in (0, 1):
        for weight in weights:
            weight.grad = torch.ones(size)
        if i:
            weights[1].grad[-1] = math.nan
            with pytest.raises(DivergedError, match="steps must be numbers; got NaN"):
                optimizer.step()
        else:
            optimizer.step()
        assert all(weight.isfinite().all() for weight in weights)


def test_a_bias_in_a_euclidean_group_is_not_made_nan():
    for kind in (EG, EGAdamW):
        bias = nn.Parameter(torch.zeros(3))
        optimizer = kind(
            [
                {"params": [bias], "euclidean": True},
                {"params": [nn.Parameter(torch.ones(2))]},
            ],
            0.1,
        )
        bias.grad = torch.tensor([0.0, math.nan, 1.0])
        with pytest.raises(DivergedError):
            optimizer.step()
        assert torch.equal(bias, torch.zeros(3))


def test_a_rate_far_too_large_in_a_loop_of_ones_own_ends_in_an_error_with_weights_that_are_numbers():
    torch.manual_seed(0)
    net = nn.Sequential(EILinear(Populations(9, 3), 10), nn.ReLU(), nn.Linear(10, 3))
    x, y = torch.rand(24, 12), torch.randint(3, (24,))
    optimizer = EG(param_groups(net, 1e7), 1e7)

    def loop():
        for _ in range(20):
            optimizer.zero_grad()
            cross_entropy(net(x), y).backward()
            optimizer.step()

    with pytest.raises(DivergedError, match="steps must be numbers"):
        loop()
    assert signs.check(net)
    assert all(
        parameter.isfinite().all()
        for parameter in net[:1].parameters()
        if parameter.ndim == 2
    )


class Wild(Potential):
    """A stranger's, whose step overflows."""

    def value(self, weight):
        return weight.exp().sum()

    def gradient(self, weight):
        return weight.exp()

    def inverse_gradient(self, dual, signs=1.0):
        return dual.exp()

    def _divergences(self, weight, reference):
        return weight - reference

    def decay(self, weight):
        return weight


def test_a_strangers_potential_is_bounded_too():
    steps(
        torch.float32,
        [0.0, 50.0, -1e4, math.inf, -math.inf],
        lambda ps: MirrorDescent(ps, 10.0, Wild()),
    )
