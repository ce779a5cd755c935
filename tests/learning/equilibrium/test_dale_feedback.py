"""Dale's law in networks whose weights are read in both directions."""

import pytest
import torch

from daleml import Populations, signs
from daleml.learning import (
    ConvBlock,
    EquilibriumPropagation,
    HolomorphicNetwork,
    RecurrentBackpropagation,
    SoftmaxPool,
    compare_gradients,
)
from daleml.optim import EGAdamW, enforce
from tests.learning.equilibrium.settling_networks import (
    F64,
    convolutional,
    dense,
    generator,
    gradients,
)


def test_dales_law_upwards_alone_is_exact_and_both_ways_is_not():
    network, x, y = dense(gain=0.3)
    rule = EquilibriumPropagation(network, 0.1, 12)
    columns = Populations(3, 1).signs()
    signs.fix(network, "connections.1.weight", columns)
    signs.fix(network, "readout.weight", columns)
    signs.project_(network)
    assert compare_gradients(rule, x, y).relative_error < 1e-11
    network.keep_dale_([Populations(3, 1), Populations(3, 1)])
    signs.check(network).raise_for_violations()
    down = network.connections[1].feedback_weight()
    assert (down[:3] >= 0).all()
    assert (down[3] <= 0).all()
    assert torch.equal(down.abs(), network.connections[1].weight.abs())
    biased = compare_gradients(rule, x, y).relative_error
    assert biased > 1e-3
    finer = compare_gradients(
        EquilibriumPropagation(network, 0.02, 12), x, y
    ).relative_error
    assert finer == pytest.approx(
        biased, rel=1e-6
    )  # nothing a smaller nudge would cure


def test_symmetric_weights_of_one_kind_are_lawful_both_ways_and_exact():
    network, x, y = dense(gain=0.3)
    network.keep_dale_([4, 4])
    assert (
        compare_gradients(EquilibriumPropagation(network, 0.1, 12), x, y).relative_error
        < 1e-11
    )


def test_dales_law_on_a_convolution_holds_channel_by_channel():
    network, x, y = convolutional(gain=0.2)
    network.keep_dale_([Populations(2, 1), Populations(3, 1), Populations(4, 1)])
    assert signs.check(network).n_units == 3 + 4 * 2 * 2 + 5
    signs.check(network).raise_for_violations()
    down = network.connections[1].feedback_weight()
    assert (down[:3] >= 0).all()
    assert (down[3] <= 0).all()
    EquilibriumPropagation(network, 0.1, 4)(x, y)


@pytest.mark.parametrize(
    ("in_shape", "hidden", "n_inh"),
    [
        (784, [256, 256], 51),
        (784, [256, 256, 256], 51),
        (784, [256, 256], 0),
        (20, [512, 64], 12),
        ((3, 16, 16), [ConvBlock(64), ConvBlock(64, pool=SoftmaxPool(2)), 64], 12),
    ],
    ids=["wide", "deep", "excitatory", "uneven", "convolutions"],
)
def test_a_lawful_network_of_a_real_size_is_not_saturated(in_shape, hidden, n_inh):
    network = HolomorphicNetwork(in_shape, hidden, 10, generator=generator())
    network.keep_dale_(
        [Populations(shape[0] - n_inh, n_inh) for shape in network.shapes]
    )
    signs.check(network).raise_for_violations()
    for connection in list(network.connections)[1:]:
        weight, down = connection.weight, connection.feedback_weight()
        assert weight.sum() / len(weight) <= 0.5 + 1e-6
        assert down.sum() / weight.shape[1] <= 0.5 + 1e-6
    settled = network.settle(torch.rand(5, *network.in_shape, generator=generator(1)))
    assert settled.residual.max() <= network.tolerance
    for state in settled.states:
        assert 0.02 < state.quantile(0.1) < state.quantile(0.9) < 0.9
    kept = [connection.weight.clone() for connection in network.connections]
    network.keep_dale_(
        [Populations(shape[0] - n_inh, n_inh) for shape in network.shapes]
    )
    for connection, weight in zip(network.connections, kept, strict=True):
        torch.testing.assert_close(connection.weight, weight)


def test_the_law_spoils_the_first_layer_most_and_the_readout_not_at_all():
    network = HolomorphicNetwork(
        20, [32, 32], 10, gain=0.25, dtype=F64, generator=generator()
    )
    x, y = torch.rand(10, 20, dtype=F64, generator=generator(1)), torch.arange(10)
    network.keep_dale_([Populations.split(32, inhibitory=0.2)] * 2)
    found = compare_gradients(EquilibriumPropagation(network, 0.1, 12), x, y)
    assert list(found.by_parameter) == [name for name, _ in network.named_parameters()]
    assert found.by_parameter["connections.0.weight"].relative_error > 0.5
    assert found.by_parameter["readout.weight"].relative_error < 1e-10
    assert (
        found.relative_error
        < found.by_parameter["connections.0.weight"].relative_error / 2
    )
    exact = RecurrentBackpropagation(network).gradients(x, y)[1]
    lengths = {
        name: exact[parameter].norm() for name, parameter in network.named_parameters()
    }
    whole = (
        sum(
            (found.by_parameter[name].relative_error * length) ** 2
            for name, length in lengths.items()
        )
        ** 0.5
    )
    assert found.relative_error == pytest.approx(
        float(whole / sum(one**2 for one in lengths.values()) ** 0.5)
    )
    assert found.to_dict()["by_parameter"]["readout.bias"]["cosine"] == pytest.approx(1)


@pytest.mark.parametrize("build", [dense, convolutional])
def test_a_plain_checkpoint_loads_into_a_lawful_network_if_it_obeys_the_law(build):
    partitions = [Populations(shape[0] - 1, 1) for shape in build()[0].shapes]
    lawful, x, y = build(gain=0.2)
    lawful.keep_dale_(partitions)
    other, _, _ = build(seed=1, gain=0.2)
    other.keep_dale_(partitions)
    plain = {
        name: value
        for name, value in lawful.state_dict().items()
        if not name.endswith("_signs")
    }
    keys = list(plain)
    other.load_state_dict(plain)
    assert list(plain) == keys
    for one, two in zip(
        *(gradients(EquilibriumPropagation(n, 0.1, 2), x, y) for n in (other, lawful)),
        strict=True,
    ):
        assert torch.equal(one, two)
    plain["readout.weight"] = -plain["readout.weight"]
    with pytest.raises(RuntimeError, match="Dale's law is broken"):
        other.load_state_dict(plain)


def test_optimisers_of_daleml_keep_the_law():
    network, x, y = dense(gain=0.3)
    network.keep_dale_([Populations(3, 1), Populations(3, 1)])
    optimizer = EGAdamW(network.parameters(), lr=0.05)
    enforce(optimizer, network)
    rule = EquilibriumPropagation(network, 0.1, 2)
    for _ in range(5):
        optimizer.zero_grad()
        rule(x, y)
        optimizer.step()
    signs.check(network).raise_for_violations()
