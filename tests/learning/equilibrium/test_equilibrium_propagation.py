"""Gradients of equilibrium propagation."""

import numpy as np
import pytest
import torch
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm

from daleml.learning import (
    ContinuousEquilibriumPropagation,
    ConvBlock,
    EquilibriumPropagation,
    HardClip,
    HolomorphicNetwork,
    RecurrentBackpropagation,
    SoftmaxPool,
    compare_gradients,
)
from tests.learning.equilibrium.settling_networks import (
    F64,
    RULES,
    X,
    Y,
    convolutional,
    dense,
    generator,
    gradients,
    lists,
)
from tests.reference import equilibrium as twin


@pytest.mark.parametrize("n_points", [1, 2, 3, 4, 5, 6])
def test_equals_the_loop_over_units_and_points(n_points):
    network, x, y = dense()
    found = gradients(EquilibriumPropagation(network, 0.3, n_points), x, y)
    weights, biases = lists(network)
    one_by_one = [
        twin.equilibrium(weights, biases, row, label, 0.3, n_points, 150)
        for row, label in zip(x.tolist(), y.tolist(), strict=True)
    ]
    for layer in range(3):
        for kind in range(2):
            mean = np.mean([sample[kind][layer] for sample in one_by_one], axis=0)
            np.testing.assert_allclose(
                found[2 * layer + kind], mean, rtol=1e-9, atol=1e-13
            )


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("n_points", [1, 2, 4, 6])
def test_error_falls_as_the_nth_power_of_the_nudge(n_points, seed):
    network, x, y = dense(seed)
    strengths = np.array([0.1, 0.2])
    errors = [
        compare_gradients(
            EquilibriumPropagation(network, beta, n_points), x, y
        ).relative_error
        for beta in strengths
    ]
    slope = np.diff(np.log(errors)) / np.diff(np.log(strengths))
    assert abs(slope[0] - n_points) < 0.15


@pytest.mark.parametrize("build", [dense, convolutional])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_exact_at_a_finite_nudge(build, seed):
    network, x, y = build(seed)
    assert (
        compare_gradients(EquilibriumPropagation(network, 0.1, 12), x, y).relative_error
        < 1e-12
    )
    assert (
        compare_gradients(EquilibriumPropagation(network, 0.1, 1), x, y).relative_error
        > 1e-5
    )


def test_conjugate_symmetry_halves_the_relaxations():
    network, x, y = dense()
    counts = {
        n: EquilibriumPropagation(network, 0.1, n)(x, y)[1].n_relaxations
        for n in (1, 2, 3, 4, 5, 10)
    }
    assert counts == {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 10: 6}


@pytest.mark.parametrize("n_points", [1, 2])
def test_one_and_two_points_compute_no_complex_number(n_points):
    seen = []

    def activation(z):
        seen.append(z.dtype)
        return torch.sigmoid(4 * z - 2)

    network, x, y = dense(activation=activation)
    EquilibriumPropagation(network, 0.1, n_points)(x, y)
    assert set(seen) == {F64}


def test_a_hard_clip_learns_from_one_and_two_points():
    network, x, y = dense(activation=HardClip(), gain=0.6)
    assert (
        compare_gradients(EquilibriumPropagation(network, 1e-3, 2), x, y).cosine > 0.999
    )


def test_noise_averages_out_and_follows_its_generator():
    network, x, y = dense()

    def cosine(n_points, n_samples, seed=0):
        rule = EquilibriumPropagation(
            network,
            0.3,
            n_points,
            noise=0.02,
            n_steps=15,
            n_samples=n_samples,
            generator=generator(seed),
        )
        return compare_gradients(rule, x, y).cosine

    assert cosine(8, 1) == cosine(8, 1) != cosine(8, 1, seed=1)
    assert cosine(1, 1) < cosine(1, 100)
    assert cosine(1, 100) < cosine(8, 100)
    assert cosine(8, 100) > 0.95
    rule = EquilibriumPropagation(
        network, 0.3, 8, noise=0.02, n_steps=30, generator=generator()
    )
    assert rule(x, y)[1].n_relaxations == 8  # noise breaks the symmetry
    rule = ContinuousEquilibriumPropagation(
        network, 0.3, 8, noise=0.02, n_steps=15, n_periods=10, generator=generator()
    )
    assert compare_gradients(rule, x, y).cosine > 0.95


def test_gradients_land_in_grad_as_backward_would_put_them():
    network, x, y = dense()
    rule = EquilibriumPropagation(network, 0.1, 4)
    network.connections[0].weight.requires_grad_(False)
    loss, found = rule(x, y)
    assert network.connections[0].weight.grad is None
    first = [p.grad.clone() for p in network.parameters() if p.requires_grad]
    rule(x, y)
    for parameter, gradient in zip(
        [p for p in network.parameters() if p.requires_grad], first, strict=True
    ):
        torch.testing.assert_close(parameter.grad, 2 * gradient)
        assert parameter.grad.dtype == F64
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(network(x), y))
    assert found.share_left_out == 0
    assert found.free_residual <= network.tolerance
    assert found.nudged_residual <= network.tolerance
    assert found.to_dict()["n_relaxations"] == 3


OPTIMIZERS = {
    "sgd": lambda parameters, **kw: torch.optim.SGD(parameters, lr=0.5, **kw),
    "adam": lambda parameters, **kw: torch.optim.Adam(parameters, lr=0.01, **kw),
}


@pytest.mark.parametrize("build", [dense, convolutional])
@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_gradients_lie_as_their_parameters_do(make, build):
    network, x, y = build()
    for _ in range(2):  # into no gradient, and onto one
        make(network)(x, y)
        assert all(p.grad.stride() == p.stride() for p in network.parameters())
    network.to(memory_format=torch.channels_last)
    make(network)(x, y)
    assert all(
        g.stride() == p.stride() for p, g in make(network).gradients(x, y)[1].items()
    )


@pytest.mark.parametrize("build", [dense, convolutional])
@pytest.mark.parametrize("n_points", [2, 4])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fused_optimisers_take_the_step_of_the_others(optimizer, n_points, build):
    found = []
    for fused in (True, False):
        network, x, y = build()
        step = OPTIMIZERS[optimizer](network.parameters(), fused=fused)
        for _ in range(2):
            step.zero_grad()
            EquilibriumPropagation(network, 0.1, n_points)(x, y)
            step.step()
        found.append([p.detach() for p in network.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n_points", [2, 4])
def test_lbfgs_takes_gradients_of_convolutions(n_points):
    network, x, y = convolutional()
    optimizer = torch.optim.LBFGS(network.parameters(), lr=0.1, max_iter=3)

    def closure():
        optimizer.zero_grad()
        return EquilibriumPropagation(network, 0.1, n_points)(x, y)[0]

    before = optimizer.step(closure)
    assert closure() < before


@pytest.mark.parametrize(
    ("in_shape", "hidden"),
    [(6, [4]), ((2, 8, 8), [ConvBlock(3, pool=SoftmaxPool(2))])],
    ids=["dense", "convolution"],
)
@pytest.mark.parametrize("step_size", [1.0, 0.5])
def test_one_hidden_layer(in_shape, hidden, step_size):
    network = HolomorphicNetwork(
        in_shape, hidden, 3, dtype=F64, generator=generator(), step_size=step_size
    )
    x, y = (
        torch.rand(4, *network.in_shape, dtype=F64, generator=generator(1)),
        torch.tensor([0, 1, 2, 0]),
    )
    assert (
        compare_gradients(EquilibriumPropagation(network, 0.1, 12), x, y).relative_error
        < 1e-11
    )
    with torch.enable_grad():
        losses = torch.nn.functional.cross_entropy(
            network.readout(network.activation(network.connections[0](x))), y
        )
    expected = torch.autograd.grad(
        losses, list(network.parameters())
    )  # a lone layer is an ordinary network
    for one, other in zip(
        gradients(RecurrentBackpropagation(network), x, y), expected, strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
@pytest.mark.parametrize("hidden", [[4], [4, 4]])
def test_frozen_parameters_learn_nothing(make, hidden):
    network = HolomorphicNetwork(
        6, hidden, 4, dtype=F64, generator=generator()
    ).requires_grad_(False)
    loss, found, _ = make(network).gradients(X, Y)
    assert loss.isfinite()
    assert found == {}
    network.readout.requires_grad_(True)
    assert len(make(network).gradients(X, Y)[1]) == 2
    assert compare_gradients(make(network), X, Y).cosine > 0.99


def pruned(connection):
    prune.random_unstructured(connection, "weight", 0.3)


@pytest.mark.parametrize("build", [dense, convolutional])
@pytest.mark.parametrize("change", [pruned, weight_norm], ids=["pruned", "weight norm"])
def test_gradients_reach_what_weights_are_computed_from(change, build):
    network, x, y = build()
    for connection in (*network.connections, network.readout):
        change(connection)
    found = EquilibriumPropagation(network, 0.1, 12).gradients(x, y)[1]
    assert set(found) == set(network.parameters())
    assert (
        compare_gradients(EquilibriumPropagation(network, 0.1, 12), x, y).relative_error
        < 1e-11
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    losses = []
    for _ in range(3):  # the hooks compute the new weights
        optimizer.zero_grad()
        losses.append(EquilibriumPropagation(network, 0.1, 4)(x, y)[0])
        optimizer.step()
    assert losses[2] < losses[1] < losses[0]


def test_noise_is_relaxed_for_as_long_as_asked():
    network, x, y = dense()
    seen = []
    step = network.step
    network.step = lambda *args: seen.append(len(args) > 4) or step(*args)
    rule = EquilibriumPropagation(network, 0.1, 4, noise=0.01, n_steps=7)
    found = rule(x, y)[1]
    assert sum(seen) == 7
    assert found.n_steps == network.settle(x).n_steps + 4 * 7
    seen.clear()
    EquilibriumPropagation(network, 0.1, 4, noise=0.01)(x, y)
    assert sum(seen) == network.max_steps
