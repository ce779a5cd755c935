"""The network of Morris-Lecar cells."""

import copy

import pytest
import torch

from daleml import Populations, signs
from daleml.learning import (
    EvidenceIntegration,
    MorrisLecar,
    MorrisLecarNetwork,
)
from tests.neurons.small_cells import network, seeded
from tests.reference import morris_lecar as slow

pytestmark = pytest.mark.filterwarnings("ignore:`dt_ms` should be at most:UserWarning")


@pytest.mark.filterwarnings("error")
def test_a_network_of_coarse_steps_warns():
    sentence = "`dt_ms` should be at most 0.625 for this cell: with 1 cells fire or fall silent where"
    with pytest.warns(UserWarning, match=sentence):
        MorrisLecarNetwork(5, 4, 3, dt_ms=1.0)
    MorrisLecarNetwork(5, 4, 3, dt_ms=0.5)
    sentence = "`dt_ms` should be at most 0.104 for this cell: with 0.5 cells fire"
    with pytest.warns(UserWarning, match=sentence):
        MorrisLecarNetwork(5, 4, 3, dt_ms=0.5, cell=MorrisLecar(first_order=True))


def test_a_network_of_long_steps_is_near_one_of_short_steps():
    """With transmission from the middle of a step; the published steps are farther off."""
    x, found = torch.rand(10, 2, 5, generator=seeded(1)).double(), {}
    for first_order, dt_ms in ((False, 0.05), (False, 0.25), (True, 0.25)):
        cell = MorrisLecar(first_order=first_order)
        net = network(cell=cell, dt_ms=dt_ms)
        with torch.no_grad():
            found[first_order, dt_ms] = net.activity(x, net.initial_state(2, seeded(2)))
    true = found.pop((False, 0.05))
    ours, published = (
        float((one - true).square().mean().sqrt()) for one in found.values()
    )
    assert ours < 0.01
    assert published > 4 * ours


@pytest.mark.parametrize("read_ms", [1.5, 10.0, 12.0])
@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("first_order", [True, False])
def test_the_network_is_the_slow_loop(read_ms, learns, first_order):
    cell = MorrisLecar(first_order=first_order)
    net, x = (
        network(read_ms=read_ms, cell=cell),
        torch.randn(4, 6, 5, dtype=torch.float64),
    )
    state = net.initial_state(6)
    with torch.set_grad_enabled(learns):
        ours = net(x, state)
    torch.testing.assert_close(
        ours, slow.network(net, x, state), rtol=1e-10, atol=1e-12
    )
    if learns and read_ms == 1.5 and not first_order:
        x, state = x[:1, :2], tuple(part[:2] for part in state)
        only = lambda w: torch.func.functional_call(net, {"weight_hh": w}, (x, state))  # noqa: E731
        assert torch.autograd.gradcheck(only, net.weight_hh)


def test_gradients_reach_a_state_through_weights_that_do_not_learn():
    net = network()
    net.requires_grad_(False)
    x, (v, w) = torch.randn(4, 3, 5).double(), net.initial_state(3)
    v.requires_grad_()
    net(x, (v, w)).square().sum().backward()
    assert v.grad.abs().sum() > 0


def test_the_initial_weights_are_those_published():
    net = MorrisLecarNetwork(50, 200, 3, generator=seeded())
    weight, spread = net.weight_hh.detach(), 200**-0.5
    assert weight.min() >= 0.001 - spread
    assert weight.max() <= 0.001 + spread
    assert float((weight == 0.001).float().mean()) == pytest.approx(0.2, abs=0.01)
    assert (
        0.1 - spread <= net.weight_ih.min() < 0.1 - 0.95 * spread
    )  # by the number of cells, not of inputs
    assert 0.1 + 0.95 * spread < net.weight_ih.max() <= 0.1 + spread
    assert 0 < net.readout.bias.abs().max() <= spread
    voltage, gate = net.initial_state(500, seeded(1))
    assert float(voltage.mean()) == pytest.approx(-20, abs=0.1)
    assert float(voltage.std()) == pytest.approx(5, abs=0.1)
    assert gate.unique().item() == pytest.approx(0.014173)


def test_dales_law_is_an_option():
    net = network(populations=Populations(9, 3))
    assert signs.check(net)
    excitation, inhibition = (
        part.detach().sum() for part in net.weight_hh.split([9, 3], 1)
    )
    assert float(excitation / -inhibition) == pytest.approx(1, abs=0.3)
    assert not list(signs.named(network()))
    assert signs.check(copy.deepcopy(net)).n_parameters == 1
    lonely = network(n=4, populations=Populations(0, 4))
    assert (lonely.weight_hh <= 0).all()


def test_chance_comes_from_the_generator():
    x = torch.zeros(5, 2, 5).double()
    first, second = network(generator=seeded(3)), network(generator=seeded(3))
    before = torch.get_rng_state()
    assert torch.equal(first(x), second(x))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first(x), first(x))


def test_it_learns_by_the_training_loop():
    from daleml import train

    task = EvidenceIntegration(n_words=4)
    net = MorrisLecarNetwork(task.n_inputs, 8, 3, dt_ms=1.0, generator=seeded())
    batch = next(iter(task.batches(32, 1)(0)))
    history = train(
        net,
        [batch] * 4,
        torch.optim.Adam(net.parameters(), 0.1),
        task.loss,
        epochs=5,
    )
    assert history.loss.iloc[5] < 0.85 < 1.05 < history.loss.iloc[1]
