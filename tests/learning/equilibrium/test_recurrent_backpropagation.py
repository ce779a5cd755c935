"""Backpropagation at the fixed point is exact."""

import copy

import numpy as np
import pytest
import torch

from daleml.learning import (
    NotSettledError,
    RecurrentBackpropagation,
)
from tests.learning.equilibrium.settling_networks import (
    F64,
    convolutional,
    dense,
    generator,
    gradients,
    lists,
)
from tests.reference import equilibrium as twin


def test_recurrent_backpropagation_equals_a_dense_solve():
    network, x, y = dense()
    found = gradients(RecurrentBackpropagation(network), x, y)
    weights, biases = lists(network)
    one_by_one = [
        twin.implicit(weights, biases, row, label, 200)
        for row, label in zip(x.tolist(), y.tolist(), strict=True)
    ]
    for layer in range(3):
        for kind in range(2):
            mean = np.mean([sample[kind][layer] for sample in one_by_one], axis=0)
            np.testing.assert_allclose(
                found[2 * layer + kind], mean, rtol=1e-11, atol=1e-15
            )


def test_recurrent_backpropagation_of_a_convolution_equals_differences_of_the_loss():
    network, x, y = convolutional()
    rule = RecurrentBackpropagation(network)
    for parameter, gradient in rule.gradients(x, y)[1].items():
        direction = torch.randn(parameter.shape, generator=generator(1), dtype=F64)
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * 1e-5 * direction
                losses.append(torch.nn.functional.cross_entropy(network(x), y))
                parameter -= sign * 1e-5 * direction
        torch.testing.assert_close(
            (losses[0] - losses[1]) / 2e-5,
            (gradient * direction).sum(),
            rtol=1e-6,
            atol=1e-10,
        )


def test_the_adjoint_is_settled_relative_to_the_loss():
    network, x, y = dense(tolerance=1e-6)
    with torch.no_grad():
        network.readout.weight.mul_(1e-6)
        network.connections[1].weight.mul_(
            2
        )  # and the first layer's gradient takes several iterations
    found = RecurrentBackpropagation(network).gradients(x, y)
    fine = copy.deepcopy(network)
    fine._tolerance = 1e-13
    best = RecurrentBackpropagation(fine).gradients(x, y)[1]
    for one, other in zip(found[1].values(), best.values(), strict=True):
        assert (one - other).norm() < 1e-3 * other.norm()


def test_an_adjoint_that_has_not_settled_is_refused():
    network, x, y = dense(tolerance=1e-9)
    settled = network.settle(x)
    network.settle = lambda x, **_: settled
    network.max_steps = 3
    with pytest.raises(
        NotSettledError,
        match="the adjoint of `network` must settle to a residual of 1e-09 within 3",
    ):
        RecurrentBackpropagation(network)(x, y)
    assert all(p.grad is None for p in network.parameters())
