"""Solvers have the order that they claim, and agree with each other."""

import sys

import pytest
import torch

from daleml.learning import (
    Robertson,
    Spiral,
    SpiralODE,
    adaptive,
    radau,
    rk4,
    rosenbrock,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_radau_knows_the_published_values():
    """Hairer & Wanner's reference at t = 40, and its second component to six digits."""
    y = radau(
        Robertson(), Robertson().initial, torch.tensor([4.0, 40.0], dtype=torch.float64)
    )[-1]
    expected = torch.tensor(
        [0.7158270688, 9.185534765e-6, 0.2841637458], dtype=torch.float64
    )
    torch.testing.assert_close(y, expected, rtol=1e-6, atol=0)


def test_rosenbrock_is_of_third_order_and_runs_in_batches():
    def field(y):
        return torch.stack([y[..., 1], -torch.sin(y[..., 0])], -1)

    initial, times = (
        torch.tensor([1.0, 0.0]).double(),
        torch.tensor([0.5, 1.0, 2.0]).double(),
    )
    true = radau(field, initial, times)[-1]
    errors = [
        (rosenbrock(field, initial, times, substeps=n)[-1] - true).norm()
        for n in (8, 16)
    ]
    assert 6.5 < errors[0] / errors[1] < 9.5
    several = torch.rand(2, 3, 2).double()
    batched = rosenbrock(field, several, times, substeps=2)
    torch.testing.assert_close(
        batched[:, 1, 2], rosenbrock(field, several[1, 2], times, substeps=2)
    )


def test_rk4_is_of_fourth_order():
    times = [torch.linspace(0, 1, n + 1).double() for n in (10, 20)]
    errors = [
        abs(rk4(lambda y: -y * y, torch.ones(1).double(), t)[-1] - 0.5).item()
        for t in times
    ]
    assert 14 < errors[0] / errors[1] < 18


def test_without_torchdiffeq_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    with pytest.raises(ImportError) as caught:
        adaptive(Spiral(), Spiral().initial, torch.tensor([0.0, 1.0]))
    assert (
        str(caught.value)
        == "`adaptive` needs torchdiffeq, which is not installed: pip install 'daleml[ode]'."
    )


def test_torchdiffeq_agrees_with_radau():
    times, spiral = torch.linspace(0, 1.5, 30).double(), Spiral()
    true = radau(spiral, spiral.initial, times[1:])
    for method in ("dopri5", "bosh3"):
        found = adaptive(
            spiral, spiral.initial.double(), times, method=method, rtol=1e-9, atol=1e-9
        )
        torch.testing.assert_close(
            found[1:], true, rtol=1e-5, atol=1e-5
        )  # it interpolates between its own steps


def test_gradients_go_through_torchdiffeq():
    times = torch.linspace(0, 1, 5).double()
    model = SpiralODE(8, generator=seeded()).double()
    slopes = []
    for solve, options in ((adaptive, {"rtol": 1e-10, "atol": 1e-10}), (rk4, {})):
        model.zero_grad()
        fine = times if solve is adaptive else torch.linspace(0, 1, 401).double()
        solve(model, Spiral().initial.double(), fine, **options)[
            -1
        ].square().sum().backward()
        slopes.append(
            torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        )
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-7)
