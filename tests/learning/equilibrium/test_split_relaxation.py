"""Relaxing real and imaginary parts apart gives what complex states give."""

import pytest
import torch
from torch.nn.utils import parametrizations, prune

from daleml import Populations
from daleml.learning import (
    ContinuousEquilibriumPropagation,
    ConvBlock,
    EquilibriumPropagation,
    HolomorphicNetwork,
    HoloTanh,
    Logistic,
    RecurrentBackpropagation,
    SoftmaxPool,
)
from daleml.learning.equilibrium.activations import split_form
from daleml.learning.equilibrium.nudged_gradient import points_on_circle
from daleml.learning.equilibrium.split_relaxation import can_be_split
from daleml.learning.equilibrium.split_rows import SplitRows

POOLED = [ConvBlock(3, pool=SoftmaxPool(2)), 5]


class ComplexStates(HolomorphicNetwork):
    """A network whose step is overridden, and so is called with complex states."""

    calls = 0

    def step(self, *args):
        self.calls += 1
        return super().step(*args)


def pruned(network):
    prune.random_unstructured(network.connections[1], "weight", amount=0.4)


def orthogonal(network):
    parametrizations.orthogonal(network.connections[1])


def dale(network):
    network.keep_dale_([Populations(6, 2), Populations(3, 2)])


NETWORKS = {
    "one layer": {"hidden": [8]},
    "two layers": {"hidden": [8, 5]},
    "small steps": {"hidden": [8, 5], "step_size": 0.5},
    "no bias": {"hidden": [8, 5], "bias": False},
    "smooth": {"hidden": [8, 5], "activation": HoloTanh()},
    "torch's": {"hidden": [8, 5], "activation": torch.tanh},
    "user's": {"hidden": [8, 5], "activation": lambda z: z / (1 + z * z / 9)},
    "convolution": {"in_shape": (2, 4, 4), "hidden": [ConvBlock(3), 5]},
    "pooled": {"in_shape": (2, 4, 4), "hidden": POOLED},
    "pruned": {"hidden": [8, 5], "change": pruned},
    "orthogonal": {"hidden": [8, 5], "change": orthogonal},
    "Dale": {"hidden": [8, 5], "change": dale},
}


def pair(kind, n_points, dtype=torch.float64):
    """Return a rule that splits, one that does not, and a batch."""
    options = {"in_shape": 6, "gain": 0.4, **NETWORKS[kind]}
    change = options.pop("change", None)
    rules = []
    for cls in (HolomorphicNetwork, ComplexStates):
        torch.manual_seed(0)
        network = cls(n_classes=3, dtype=dtype, tolerance=1e-5, **options)
        torch.manual_seed(1)
        for name, bias in network.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(bias, 0, 0.2)
        if change is not None:
            change(network)
        rules.append(EquilibriumPropagation(network, beta=0.3, n_points=n_points))
    x = torch.rand(4, *rules[0].network.in_shape, dtype=dtype)
    return *rules, x, torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize("n_points", [3, 4, 5])
@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_split_states_give_the_gradient_of_complex_ones(kind, n_points):
    split, whole, x, y = pair(kind, n_points)
    assert can_be_split(split.network)
    assert not can_be_split(whole.network)
    loss, found, relaxations = split.gradients(x, y)
    wanted_loss, wanted, wanted_relaxations = whole.gradients(x, y)
    assert loss == wanted_loss
    assert relaxations.n_steps == wanted_relaxations.n_steps
    assert relaxations.nudged_residual == pytest.approx(
        wanted_relaxations.nudged_residual, rel=1e-6
    )
    for one, other in zip(found.values(), wanted.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_in_single_precision_too():
    split, whole, x, y = pair("two layers", 4, torch.float32)
    _, found, relaxations = split.gradients(x, y)
    _, wanted, wanted_relaxations = whole.gradients(x, y)
    assert relaxations.n_steps == wanted_relaxations.n_steps
    for one, other in zip(found.values(), wanted.values(), strict=True):
        assert (one - other).norm() < 1e-5 * other.norm()


def test_states_come_back_point_by_point_in_the_order_of_the_points():
    split, whole, x, y = pair("two layers", 8)
    network = split.network
    start = network.settle(x).states
    betas = points_on_circle(0.3, 8, x)
    found, _ = split._nudged(x, y, start, betas, 1e-10)
    wanted, _ = whole._nudged(x, y, start, betas, 1e-10)
    assert found.n_steps == wanted.n_steps
    torch.testing.assert_close(found.residual, wanted.residual, rtol=0, atol=1e-14)
    for one, other in zip(found.states, wanted.states, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    # The strengths 1 and -1 are real, and so are the states there.
    imaginary = found.states[0].imag.reshape(8, 4, 8).abs().amax((1, 2))
    assert (imaginary == 0).tolist() == [k in (0, 4) for k in range(8)]


def test_an_overridden_step_moves_the_states():
    _, whole, x, y = pair("two layers", 4)
    free = whole.network.settle(x)
    before = whole.network.calls
    _, _, relaxations = whole.gradients(x, y)
    nudged = (relaxations.n_steps - free.n_steps) // 3
    assert whole.network.calls - before >= nudged > 1


@pytest.mark.parametrize("name", ["step", "nudge", "error", "bottom"])
def test_an_overridden_method_is_called(name):
    class Mine(HolomorphicNetwork):
        pass

    setattr(
        Mine, name, lambda self, *args: getattr(HolomorphicNetwork, name)(self, *args)
    )
    assert not can_be_split(Mine(6, [8], 3))
    patched = HolomorphicNetwork(6, [8], 3)
    assert can_be_split(patched)
    setattr(
        patched, name, lambda *args: getattr(HolomorphicNetwork, name)(patched, *args)
    )
    assert not can_be_split(patched)


def test_a_hook_sees_complex_states():
    split, _, x, y = pair("two layers", 4)
    seen = []
    connection = split.network.connections[1]
    handle = connection.register_forward_hook(lambda m, args, out: seen.append(args[0]))
    assert not can_be_split(split.network)
    split.gradients(x, y)
    assert any(state.is_complex() for state in seen)
    handle.remove()
    assert can_be_split(split.network)
    connection.register_forward_pre_hook(lambda module, args: None)
    assert not can_be_split(split.network)


def test_autocast_does_not_coarsen_what_complex_states_would_not_be():
    split, whole, x, y = pair("two layers", 4, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = split._nudged(x, y, split.network.settle(x).states, *at(x))
        wanted, _ = whole._nudged(x, y, whole.network.settle(x).states, *at(x))
    assert found.n_steps == wanted.n_steps
    for one, other in zip(found.states, wanted.states, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rule", ["one", "two", "four", "continuous", "adjoint"])
def test_autocast_coarsens_no_gradient(rule):
    build = {
        "one": lambda network: EquilibriumPropagation(network, 0.3, 1),
        "two": lambda network: EquilibriumPropagation(network, 0.3, 2),
        "four": lambda network: EquilibriumPropagation(network, 0.3, 4),
        "continuous": ContinuousEquilibriumPropagation,
        "adjoint": RecurrentBackpropagation,
    }[rule]
    g = torch.Generator().manual_seed(3)
    network = HolomorphicNetwork((1, 6, 6), POOLED, 3, gain=0.5, generator=g)
    x, y = torch.rand(4, 1, 6, 6, generator=g), torch.tensor([0, 1, 2, 0])
    _, wanted, _ = build(network).gradients(x, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        build(network)(x, y)
    for parameter, gradient in wanted.items():
        assert torch.equal(parameter.grad, gradient)


@pytest.mark.parametrize("n_points", [2, 4])
def test_a_function_in_front_of_a_connection_is_called(n_points):
    split, whole, x, y = pair("two layers", n_points)
    for rule in (split, whole):
        connection = rule.network.connections[1]
        inner = connection.forward

        def forward(pre, post=None, inner=inner):
            if post is None:
                return inner(pre) / 2
            drive, feedback = inner(pre, post)
            return drive / 2, feedback

        connection.forward = forward
    assert not can_be_split(split.network)
    found, wanted = split.gradients(x, y)[1], whole.gradients(x, y)[1]
    for one, other in zip(found.values(), wanted.values(), strict=True):
        torch.testing.assert_close(one, other)


def at(x):
    return points_on_circle(0.3, 4, x), 1e-4


@pytest.mark.parametrize(
    "activation", [Logistic(), Logistic(0.7, -1), HoloTanh(), HoloTanh(3)]
)
def test_an_activation_split_is_the_activation(activation):
    z = torch.complex(*(40 * torch.randn(2, 200, dtype=torch.float64)))
    z = torch.cat([z, z / 40])
    split = split_form(activation)
    torch.testing.assert_close(torch.complex(*split(z.real, z.imag)), activation(z))


def test_a_subclass_that_is_another_function_has_no_split_form():
    class Doubled(Logistic):
        def __call__(self, z):
            return 2 * super().__call__(z)

    class Renamed(Logistic):
        pass

    class Halved(Logistic):
        def split(self, re, im):
            return super().split(re / 2, im / 2)

    assert split_form(Doubled()) is None
    assert split_form(Renamed()) is not None
    assert split_form(torch.tanh) is None
    assert split_form(torch.nn.Tanh()) is None
    re = torch.ones(1)
    assert split_form(Halved())(re, re) == Logistic().split(re / 2, re / 2)


def test_rows_hold_real_numbers_then_the_parts_of_complex_ones():
    rows = SplitRows(n_real=1, n_complex=2)
    x = torch.tensor([[5.0], [3.0], [0.0], [4.0], [-1.0]])
    assert rows.join(x).flatten().tolist() == [5, 3 + 4j, -1j]
    assert rows.split(rows.join(x)).tolist() == x.tolist()
    assert rows.absolute(x).flatten().tolist() == [5, 5, 1]
    assert rows.repeat(torch.ones(1, 1)).flatten().tolist() == [1, 1, 1, 0, 0]
    squared, cubed = rows.apply(lambda z: (z * z, z * z * z), x)
    assert rows.join(squared).flatten().tolist() == [25, (3 + 4j) ** 2, -1]
    assert rows.join(cubed).flatten().tolist() == [125, (3 + 4j) ** 3, 1j]
