"""What a network settles to, how it begins, and how it is carried on."""

import copy
import pickle

import numpy as np
import pytest
import torch

from daleml.learning import (
    EquilibriumPropagation,
    HolomorphicNetwork,
    RecurrentBackpropagation,
    compare_gradients,
)
from tests.learning.equilibrium.settling_networks import (
    F64,
    convolutional,
    dense,
    generator,
    gradients,
    lists,
    unstable,
)
from tests.reference import equilibrium as twin


@pytest.mark.parametrize("build", [dense, convolutional])
def test_a_step_is_the_activation_of_the_potentials_derivative(build):
    network, x, y = build()
    target = torch.nn.functional.one_hot(y, network.n_classes).to(F64)
    states = tuple(
        torch.randn(len(x), *shape, dtype=torch.complex128, requires_grad=True)
        for shape in network.shapes
    )
    beta = torch.full((len(x), 1), 0.3 + 0.2j, dtype=torch.complex128)
    with torch.no_grad():
        moved = network.step(network.bottom(x), states, target, beta)
    phi = twin.potential(network, x, y, beta[:, 0], states)
    for slope, new in zip(
        torch.autograd.grad(phi, states, torch.ones_like(phi)), moved, strict=True
    ):
        torch.testing.assert_close(
            new, network.activation(slope.conj()), rtol=1e-10, atol=1e-10
        )


def test_it_settles_where_the_loop_does():
    network, x, y = dense()
    settled = network.settle(x)
    assert settled.residual.max() <= network.tolerance
    weights, biases = lists(network)
    for i, (row, label) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        expected = twin.settle(weights, biases, row, label, 0, 200)
        for state, loop in zip(settled.states, expected, strict=True):
            np.testing.assert_allclose(state[i], np.array(loop).real, rtol=1e-12)


def test_logits_are_read_from_the_fixed_point_and_carry_no_gradient():
    network, x, _ = dense()
    torch.testing.assert_close(
        network(x), network.readout(network.settle(x).states[-1])
    )
    assert not network(x).requires_grad


def test_weights_begin_truncated_normal_of_the_scale_asked_for():
    network = HolomorphicNetwork(300, [400], 10, gain=0.8, generator=generator())
    for scale, reset in ((0.8 / 300**0.5, {}), (0.03, {"sd": 0.03})):
        network.reset_parameters(generator(1), **reset)
        weight = network.connections[0].weight.detach() / scale
        assert weight.abs().max() <= 2
        assert float(weight.std()) == pytest.approx(
            0.8796, abs=0.01
        )  # of a normal cut off at twice its own
        assert float((weight.abs() < 1).float().mean()) == pytest.approx(
            0.7152, abs=0.01
        )  # and of a uniform, half
        assert network.connections[0].bias.count_nonzero() == 0
    assert float(network.readout.weight.detach().std() / 0.03) == pytest.approx(
        0.8796, abs=0.03
    )


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("n_points", [1, 2, 4])
def test_dtype_is_kept(dtype, n_points):
    network, x, y = dense(dtype=dtype)
    EquilibriumPropagation(network, 0.3, n_points)(x, y)
    assert {p.grad.dtype for p in network.parameters()} == {dtype}


def test_without_biases():
    network, x, y = dense(bias=False)
    assert len(list(network.parameters())) == 3
    assert (
        compare_gradients(EquilibriumPropagation(network, 0.1, 12), x, y).relative_error
        < 1e-12
    )


@pytest.mark.parametrize(
    "carry", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))]
)
def test_copies_and_state_dicts_compute_the_same(carry):
    network, x, _ = dense()
    assert torch.equal(carry(network)(x), network(x))
    other, _, _ = dense(seed=1)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(x), network(x))


def test_a_smaller_step_ends_at_the_same_fixed_point_and_gradient():
    network, x, y = dense()
    rules = [EquilibriumPropagation(network, 0.3, 4), RecurrentBackpropagation(network)]
    whole = [gradients(rule, x, y) for rule in rules]
    network.step_size = 0.5
    assert network.settle(x).n_steps > 30
    for rule, expected in zip(rules, whole, strict=True):
        for one, other in zip(gradients(rule, x, y), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-13)


def test_a_smaller_step_settles_what_oscillates():
    network, x, y = unstable()
    network.step_size, network.max_steps = 0.1, 2000
    assert EquilibriumPropagation(network, 0.1, 4)(x, y)[1].share_left_out == 0
