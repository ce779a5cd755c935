"""Activations, their complex forms, and the test of whether they are holomorphic."""

import pytest
import torch

from daleml.learning import (
    ContinuousEquilibriumPropagation,
    EquilibriumPropagation,
    HardClip,
    HoloTanh,
    Logistic,
    RecurrentBackpropagation,
    compare_gradients,
    is_holomorphic,
)
from daleml.learning.equilibrium.activations import logistic, softmax
from tests.learning.equilibrium.settling_networks import F64, dense


def raises_on_complex(z):
    if z.is_complex():
        raise ValueError("real numbers only")
    return z.clamp(0, 1)


@pytest.mark.parametrize("far", [1.0, 30.0, 800.0])
def test_complex_logistic_is_the_logistic(far):
    z = torch.complex(
        torch.linspace(-far, far, 201, dtype=F64),
        torch.linspace(-2, 2.3, 201, dtype=F64),
    )
    expected = torch.where(
        z.real > 0, 1 / (1 + torch.exp(-z)), torch.exp(z) / (1 + torch.exp(z))
    )
    if far < 700:  # where the formula does not overflow
        torch.testing.assert_close(logistic(z), expected, rtol=1e-13, atol=1e-100)
    assert logistic(z).isfinite().all()
    torch.testing.assert_close(
        logistic(z.real.to(z.dtype)).real,
        torch.sigmoid(z.real),
        rtol=1e-13,
        atol=1e-100,
    )


def test_complex_softmax_is_that_of_the_reals_and_carries_on():
    z = torch.randn(3, 5, dtype=F64)
    torch.testing.assert_close(softmax(z + 0j).real, torch.softmax(z, -1))
    w = z + 1j * torch.randn(3, 5, dtype=F64)
    torch.testing.assert_close(
        softmax(w), torch.exp(w) / torch.exp(w).sum(-1, keepdim=True)
    )
    assert softmax(1e4 * w).isfinite().all()


@pytest.mark.parametrize(
    ("activation", "holomorphic"),
    [
        (Logistic(), True),
        (Logistic(10, 0), True),
        (HoloTanh(), True),
        (HoloTanh(3), True),
        (torch.tanh, True),
        (lambda z: z**2, True),
        (lambda z: 0 * z, True),
        (HardClip(), False),
        (torch.relu, False),
        (torch.abs, False),
        (torch.conj, False),
        (lambda z: z * (z.real > 0.3), False),
        (lambda z: z.real.clamp(0, 1) + 0j, False),
        (lambda z: z + 1e-3 * z.conj(), False),
        (lambda z: 1 / (z - 1), False),
        (lambda z: z.sum(), False),
        (Logistic(40), False),  # its pole is at .08 from the line
        (raises_on_complex, False),
    ],
)
def test_what_is_holomorphic(activation, holomorphic):
    assert is_holomorphic(activation) is holomorphic


def test_an_activation_that_would_not_learn_is_named():
    network, x, y = dense(activation=LearntSlope())
    for rule in (
        EquilibriumPropagation(network, 0.1, 4),
        ContinuousEquilibriumPropagation(network, 0.1, 4),
    ):
        for ask in (
            rule,
            rule.gradients,
            lambda x, y, rule=rule: compare_gradients(rule, x, y),
        ):
            with pytest.raises(
                ValueError,
                match="got 'activation.slope', of which a relaxation gives no gradient",
            ):
                ask(x, y)
    assert all(p.grad is None for p in network.parameters())
    RecurrentBackpropagation(network)(x, y)
    assert network.activation.slope.grad != 0
    network.activation.requires_grad_(False)
    assert (
        compare_gradients(EquilibriumPropagation(network, 0.1, 12), x, y).relative_error
        < 1e-11
    )


class LearntSlope(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(4.0, dtype=F64))

    def forward(self, z):
        return logistic(self.slope * z - 2)
