"""Equations and solvers are refused what they cannot take."""

import pytest
import torch

from daleml.learning import (
    Robertson,
    RobertsonODE,
    Spiral,
    SpiralODE,
    radau,
    rk4,
    rosenbrock,
)


def test_robertson_is_scipys():
    """Within 1e-4 of Radau, component by component, at 50 times from 1e-5 to 1e3."""
    times, robertson = torch.logspace(-5, 3, 50, dtype=torch.float64), Robertson()
    true = radau(robertson, robertson.initial, times)
    found = rosenbrock(robertson, robertson.initial.double(), times)
    assert ((found - true).abs() < 1e-4 * robertson.scale).all()
    torch.testing.assert_close(found.sum(-1), torch.ones(50).double())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: rk4(Spiral(), Spiral().initial, torch.tensor([0.0, 0.0])),
            "`times` must be at least two increasing numbers; got shape (2,).",
        ),
        (
            lambda: rosenbrock(
                Spiral(), Spiral().initial, torch.tensor([1.0, 2.0]), substeps=0
            ),
            "`substeps` must be at least 1; got 0.",
        ),
        (
            lambda: rosenbrock(
                Spiral(), Spiral().initial, torch.tensor([1.0, 2.0]), start=3.0
            ),
            "`start` must be between 0 and the first of `times`, 1; got 3.",
        ),
        (
            lambda: rosenbrock(Spiral(), Spiral().initial, torch.tensor([0.0, 1.0])),
            "`times` must be positive and increasing, at least one; got [0.0, 1.0] of 2.",
        ),
        (
            lambda: radau(Spiral(), Spiral().initial, torch.tensor([])),
            "`times` must be positive and increasing, at least one; got [] of 0.",
        ),
        (
            lambda: rk4(Spiral(), Spiral().initial, [0.0, 1.0]),
            "`times` must be a tensor; got list.",
        ),
        (
            lambda: rk4(Spiral(), [2.0, 0.0], torch.tensor([0.0, 1.0])),
            "`initial` must be a tensor; got list.",
        ),
        (
            lambda: rosenbrock(Robertson(), Robertson().initial, [0.1, 1.0]),
            "`times` must be a tensor; got list.",
        ),
        (
            lambda: rosenbrock(Robertson(), [1.0, 0, 0], torch.tensor([1.0])),
            "`initial` must be a tensor; got list.",
        ),
        (
            lambda: radau(Robertson(), [1.0, 0, 0], torch.tensor([1.0])),
            "`initial` must be a tensor; got list.",
        ),
        (lambda: RobertsonODE([1.0, 2.0, 3.0]), "`scale` must be a tensor; got list."),
        (
            lambda: Spiral(decay=3.0),
            "`decay` must be below 0, or it winds outwards; got 3.",
        ),
        (lambda: Robertson(k2=0.0), "`k2` must be above 0; got 0.0."),
        (
            lambda: RobertsonODE(torch.zeros(3)),
            "`scale` must be sizes above 0, one a component; got [0.0, 0.0, 0.0].",
        ),
        (lambda: SpiralODE(0), "`hidden` must be at least 1; got 0."),
    ],
)
def test_bad_equations_are_refused_in_one_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value) == sentence
