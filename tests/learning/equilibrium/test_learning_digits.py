"""Networks that settle learn the digits, and the claims on them are whole."""

import numpy as np
import pytest
import torch

from daleml.datasets import digits
from daleml.learning import (
    EquilibriumPropagation,
    HolomorphicNetwork,
    RecurrentBackpropagation,
)
from tests.learning.equilibrium.settling_networks import generator


def train(
    make,
    *,
    seed,
    hidden=(64, 64),
    lr=0.15,
    epochs=8,
    batch=20,
    falling=True,
    max_steps=100,
):
    """Accuracy on test digits, of a network that begins the same whatever the rule; and the share left out."""
    data, rng = digits(), generator(seed)
    network = HolomorphicNetwork(
        64,
        list(hidden),
        10,
        generator=rng,
        step_size=0.5,
        max_steps=max_steps,
        tolerance=1e-3,
    )
    rule, optimizer = make(network), torch.optim.SGD(network.parameters(), lr=lr)
    n_batches = -(-len(data.train_x) // batch)
    schedule = torch.optim.lr_scheduler.LinearLR(
        optimizer, 1.0, 0.0 if falling else 1.0, total_iters=epochs * n_batches
    )
    left_out = []
    for _ in range(epochs):
        for rows in torch.randperm(len(data.train_x), generator=rng).split(batch):
            optimizer.zero_grad()
            left_out.append(
                rule(data.train_x[rows], data.train_y[rows])[1].share_left_out
            )
            optimizer.step()
            schedule.step()
    return float((network(data.test_x).argmax(1) == data.test_y).float().mean()), float(
        np.mean(left_out)
    )


@pytest.mark.slow
def test_learns_digits_as_well_as_backpropagation_at_the_fixed_point():
    rules = {
        "exact": lambda network: RecurrentBackpropagation(network, leave_out=0.9),
        "two points": lambda network: EquilibriumPropagation(
            network, 0.2, 2, leave_out=0.9
        ),
        "six points": lambda network: EquilibriumPropagation(
            network, 0.4, 6, leave_out=0.9
        ),
    }
    found = {
        name: [train(make, seed=seed, max_steps=300) for seed in range(3)]
        for name, make in rules.items()
    }
    accuracy = {
        name: np.mean([one for one, _ in pairs]) for name, pairs in found.items()
    }
    assert accuracy["exact"] > 0.85
    assert accuracy["two points"] > accuracy["exact"] - 0.02
    assert accuracy["six points"] > accuracy["exact"] - 0.02
    assert max(share for pairs in found.values() for _, share in pairs) < 0.05


@pytest.mark.slow
def test_learns_digits_in_one_layer_as_backpropagation_does_with_no_sample_left_out():
    rules = [
        RecurrentBackpropagation,
        lambda network: EquilibriumPropagation(network, 0.2, 2),
        lambda network: EquilibriumPropagation(network, 0.4, 6),
    ]
    exact, two, six = (
        np.mean(
            [
                train(make, seed=seed, hidden=[64], lr=0.1, max_steps=500)[0]
                for seed in range(3)
            ]
        )
        for make in rules
    )
    assert exact > 0.9
    assert abs(two - exact) < 0.02
    assert abs(six - exact) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "leave_out"), [([64], 0.0), ([64, 64], 0.2)])
def test_the_documented_recipe_is_not_refused(hidden, leave_out):
    accuracy, left_out = train(
        lambda network: EquilibriumPropagation(network, 0.4, leave_out=leave_out),
        seed=0,
        hidden=hidden,
        lr=0.1,
        falling=False,
        max_steps=500,
    )
    assert accuracy > 0.9
    assert left_out < 0.01
