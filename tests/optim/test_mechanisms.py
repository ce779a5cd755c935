import copy
import math

import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.layers import EIRNN, DANNLinear, EILinear
from daleml.optim import EG, EGAdamW, Exponentiation, Projection, Reparametrization

MECHANISMS = [Projection(), Reparametrization(), Exponentiation()]


def each(mechanisms=MECHANISMS):
    return pytest.mark.parametrize(
        "mechanism", mechanisms, ids=lambda one: type(one).__name__
    )


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        EILinear(Populations(6, 2), 5), nn.ReLU(), DANNLinear(5, 4, 2, shunting=True)
    )


@each()
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_each_learns_and_keeps_the_law(mechanism, optimizer):
    net, x = network(), torch.rand(64, 8)
    target = network()(x).detach() + 0.5
    built = mechanism.attach(net, 0.02, optimizer=optimizer, weight_decay=0.01)
    losses = []
    for _ in range(60):
        built.zero_grad()
        loss = (net(x) - target).square().mean()
        loss.backward()
        built.step()
        losses.append(loss.item())
        signs.check(net).raise_for_violations()
    assert losses[-1] < 0.5 * losses[0]
    output = net(x)
    mechanism.detach(net)
    assert torch.equal(net(x), output)
    assert {name for name, _ in net.named_parameters()} == {
        name for name, _ in network().named_parameters()
    }
    signs.check(net).raise_for_violations()


@each()
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_decay_acts_on_the_weight_itself(mechanism, optimizer):
    """With no gradient, a step shrinks every weight by one share, as documented."""
    layer = EILinear(Populations(6, 2), 5, bias=False)
    before = layer.weight.detach().clone()
    built = mechanism.attach(layer, 0.1, optimizer=optimizer, weight_decay=0.5)
    (0 * layer(torch.rand(2, 8)).sum()).backward()
    built.step()
    share = math.exp(-0.05) if isinstance(mechanism, Exponentiation) else 0.95
    torch.testing.assert_close(layer.weight.detach(), share * before, rtol=1e-6, atol=0)


@each()
def test_what_becomes_of_zeros(mechanism):
    """Projection lets a zero grow back; a magnitude without a gradient, and a product, do not."""
    layer = EILinear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 1.0]]))
    built = mechanism.attach(layer, 0.1)
    (-layer(torch.ones(1, 2))).sum().backward()
    built.step()
    assert (layer.weight[0, 0] > 0) == isinstance(mechanism, Projection)
    assert layer.weight[0, 1] > 1


@each()
def test_corrections_and_options_are_passed_on(mechanism):
    layer = DANNLinear(16, 9, 2)
    built = mechanism.attach(layer, 0.6, momentum=0.9)
    rates = {group["role"]: group["lr"] for group in built.param_groups}
    assert rates["weight_ix"] == pytest.approx(0.2)
    assert all(group["momentum"] == 0.9 for group in built.param_groups)


@each()
def test_absent_synapses_stay_absent(mechanism):
    mask = torch.ones(8, 8).tril(-1)
    mask[0, 3] = mask[2, 7] = 1
    net = EIRNN(3, Populations(6, 2), mask=mask)
    built = mechanism.attach(net, 0.01)
    for _ in range(3):
        built.zero_grad()
        net(torch.rand(5, 2, 3))[0].sum().backward()
        built.step()
        signs.check(net).raise_for_violations()


def test_a_magnitude_is_the_absolute_value():
    net, x = network(), torch.rand(3, 8)
    before, plain = net(x), copy.deepcopy(net.state_dict())
    Reparametrization().attach(net, 0.1)
    assert torch.equal(net(x), before)
    free = net[0].parametrizations.weight.original
    with torch.no_grad():
        free.neg_()
    assert torch.equal(net(x), before)
    moved = copy.deepcopy(net)
    assert torch.equal(moved(x), before)
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    net.load_state_dict(plain)  # of the plain model
    assert torch.equal(net(x), before)
    moved.load_state_dict(net.state_dict())
    assert torch.equal(moved(x), before)
    with pytest.raises(
        ValueError,
        match=r"^`weight` must keep the signs that are fixed; got 10 weights of the other",
    ):
        net[0].weight = torch.ones(5, 8)


def test_exponentiation_is_eg():
    layer = EILinear(3, 2)
    assert type(Exponentiation().attach(layer, 0.1)) is EG
    assert (
        type(
            Exponentiation().attach(
                layer, 0.1, optimizer=torch.optim.AdamW, betas=(0.8, 0.9)
            )
        )
        is EGAdamW
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: Exponentiation().attach(
                EILinear(2, 2), 0.1, optimizer=torch.optim.Adam
            ),
            "`optimizer` must be torch.optim.SGD or AdamW; got Adam.",
        ),
        *(
            (
                lambda mechanism=mechanism: mechanism.attach(nn.Linear(2, 2), 0.1),
                "`model` must have a parameter whose signs are fixed; got Linear without one.",
            )
            for mechanism in MECHANISMS
        ),
    ],
)
def test_wrong_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError) as raised:
        call()
    assert str(raised.value) == sentence


def test_twice_is_refused():
    layer = EILinear(2, 2)
    Reparametrization().attach(layer, 0.1)
    with pytest.raises(
        ValueError,
        match=r"^`model` must not be reparametrised already; got `weight`, which is\.$",
    ):
        Reparametrization().attach(layer, 0.1)
