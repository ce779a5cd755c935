"""Equilibrium propagation without phases."""

import math

import pytest
import torch

from daleml.learning import (
    ContinuousEquilibriumPropagation,
    EquilibriumPropagation,
    HolomorphicNetwork,
    NotSettledError,
    RecurrentBackpropagation,
    compare_gradients,
)
from tests.learning.equilibrium.settling_networks import (
    F64,
    dense,
    generator,
    gradients,
)


def test_gradients_of_the_continuous_variant_approach_the_exact_one():
    network, x, y = dense()
    cosines = [
        compare_gradients(
            ContinuousEquilibriumPropagation(
                network, 0.3, 10, n_steps=n_steps, tolerance=10
            ),
            x,
            y,
        ).cosine
        for n_steps in (2, 5, 30)
    ]
    assert cosines == sorted(cosines)
    assert cosines[-1] > 0.9999
    rule = ContinuousEquilibriumPropagation(network, 0.3, 8, n_steps=20, n_periods=20)
    loss, estimate, found = rule.gradients(x, y)
    _, exact, _ = RecurrentBackpropagation(network).gradients(x, y)
    estimate, exact = (
        torch.cat([one.flatten() for one in found.values()])
        for found in (estimate, exact)
    )
    assert (estimate - exact).norm() / exact.norm() < 1e-4
    torch.testing.assert_close(
        loss, torch.nn.functional.cross_entropy(network(x), y), rtol=1e-6, atol=0
    )
    assert math.isnan(found.free_residual)
    assert found.n_relaxations == 160
    two = ContinuousEquilibriumPropagation(network, 0.1, 2, n_steps=20, n_periods=10)
    held = EquilibriumPropagation(network, 0.1, 2)
    for one, other in zip(gradients(two, x, y), gradients(held, x, y), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-10)


def test_the_continuous_variant_refuses_a_stay_too_short_to_follow():
    network = HolomorphicNetwork(64, [64, 64], 10, dtype=F64, generator=generator())
    x, y = torch.rand(10, 64, dtype=F64, generator=generator(1)), torch.arange(10)
    with pytest.raises(
        NotSettledError, match="more `n_steps` or some `leave_out` may help"
    ):
        ContinuousEquilibriumPropagation(network, n_steps=3)(x, y)
    assert (
        compare_gradients(
            ContinuousEquilibriumPropagation(network, n_steps=10), x, y
        ).relative_error
        < 1e-2
    )
