"""What goes to EG and how: split biases, parameter groups that print, one initialisation for a whole model."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from daleml import Populations, signs
from daleml.layers import (
    DANNRNN,
    EIRNN,
    DANNConv2d,
    DANNLinear,
    EIConv2d,
    EILinear,
    init,
)
from daleml.optim import EG, EGAdamW, merge_bias_, param_groups, split_bias_


def model():
    torch.manual_seed(0)
    net = nn.Sequential(
        EILinear(Populations(6, 2), 5),
        nn.ReLU(),
        DANNLinear(5, 6, 2),
        nn.LayerNorm(6),
        nn.Linear(6, 3),
    )
    for module in net:
        if getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias)
    return net


# -- split biases ------------------------------------------------------------------------------------------------------


def test_splitting_changes_nothing_the_model_computes_and_merging_undoes_it():
    net, x = model(), torch.rand(7, 8)
    before, names = net(x), [name for name, _ in net.named_parameters()]
    assert split_bias_(net) is net
    torch.testing.assert_close(net(x), before, rtol=1e-5, atol=1e-6)
    parts = {name: p for name, p in net.named_parameters() if "bias" in name}
    assert len(parts) == 8
    assert all(
        (p > 0).all() if name.endswith("0") else (p < 0).all()
        for name, p in parts.items()
    )
    assert signs.check(net).n_parameters == 4 + 8
    merge_bias_(net)
    torch.testing.assert_close(net(x), before, rtol=1e-5, atol=1e-6)
    assert sorted(name for name, _ in net.named_parameters()) == sorted(names)
    assert signs.check(net).n_parameters == 4


def test_the_parts_start_as_in_the_paper():
    net = split_bias_(
        nn.Sequential(nn.Linear(50, 4), nn.LayerNorm(4), nn.Conv2d(3, 2, 5))
    )
    for index, spread in (
        (0, math.sqrt(2 / 50) / 2),
        (1, 5e-5),
        (2, math.sqrt(2 / 75) / 2),
    ):
        parts = net[index].parametrizations.bias
        bias = net[index].bias.detach()
        torch.testing.assert_close(parts.original0.data, bias.clamp_min(0) + spread)
        torch.testing.assert_close(parts.original1.data, bias.clamp_max(0) - spread)
    other = split_bias_(nn.Linear(2, 1), spread=0.5)
    assert other.parametrizations.bias.original0.item() == pytest.approx(
        max(other.bias.item(), 0) + 0.5
    )


@pytest.mark.parametrize("cls", [EG, EGAdamW])
def test_eg_carries_a_split_bias_through_zero_and_no_other(cls):
    def end(split):
        layer = nn.Linear(1, 1)
        with torch.no_grad():
            layer.bias.fill_(0.5)
        if split:
            split_bias_(layer)
        optimizer = cls(
            [p for name, p in layer.named_parameters() if "bias" in name], lr=0.1
        )
        for _ in range(300):
            optimizer.zero_grad()
            (layer(torch.zeros(1, 1)) + 1).square().sum().backward()
            optimizer.step()
        return layer.bias.item()

    assert end(split=True) == pytest.approx(-1, abs=0.05)
    assert 0 <= end(split=False) < 0.1


def test_split_models_are_copied_saved_and_loaded():
    net, x = split_bias_(model()), torch.rand(3, 8)
    copied = copy.deepcopy(net)
    assert torch.equal(copied(x), net(x))
    other = split_bias_(model())
    for part in other.parameters():
        nn.init.zeros_(part)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(x), net(x))
    net.double()
    assert net[0].bias.dtype == torch.float64
    signs.check(net).raise_for_violations()


@pytest.mark.parametrize(
    "through", [lambda net: net, copy.deepcopy], ids=["itself", "a copy"]
)
def test_a_plain_checkpoint_loads(through):
    plain, net = model(), through(split_bias_(model()))
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.mul_(2)
    state = plain.state_dict()
    kept = dict(state)
    net.load_state_dict(state)
    assert state.keys() == kept.keys()
    torch.testing.assert_close(
        net(torch.ones(1, 8)), plain(torch.ones(1, 8)), rtol=1e-5, atol=1e-6
    )


def test_what_is_left_alone():
    net = nn.ModuleDict(
        {
            "rnn": nn.GRU(3, 4),
            "line": nn.Linear(4, 2),
            "ei": EIRNN(3, Populations(3, 1)),
        }
    )
    net["line"].bias.requires_grad_(False)
    split_bias_(net)
    assert not parametrize.is_parametrized(net["rnn"])
    assert not parametrize.is_parametrized(net["line"])
    assert net["ei"](torch.rand(5, 1, 3))[0].isfinite().all()


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: split_bias_(3), TypeError, "`model` must be a module; got int."),
        (
            lambda: split_bias_(split_bias_(nn.Linear(2, 2))),
            ValueError,
            "`model` must not have its biases split twice; got ParametrizedLinear, where they are.",
        ),
        (
            lambda: split_bias_(nn.Linear(2, 2, bias=False)),
            ValueError,
            "`model` must have a bias to split; got Linear without one.",
        ),
        (
            lambda: split_bias_(nn.Linear(2, 2), spread=0),
            ValueError,
            "`spread` must be above 0; got 0.",
        ),
        (
            lambda: merge_bias_(nn.Linear(2, 2)),
            ValueError,
            "`model` must have biases that are split; got Linear without one.",
        ),
    ],
)
def test_wrong_input_is_one_sentence(call, error, sentence):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == sentence


# -- groups ------------------------------------------------------------------------------------------------------------


def test_the_recipe_prints_with_counts():
    net = nn.Sequential(
        nn.Embedding(7, 8),
        split_bias_(EILinear(Populations(6, 2), 5)),
        nn.ReLU(),
        nn.Linear(5, 3),
    )
    nn.init.zeros_(net[3].weight)
    groups = param_groups(net, 0.5, euclidean_lr=0.01)
    assert str(groups).splitlines() == [
        "role       rule                lr  tensors  weights",
        "embedding  gradient descent  0.01        1       56",
        "weight     EG                 0.5        1       40",
        "bias       EG                 0.5        2       10",
        "weight     gradient descent  0.01        1       15",
        "bias       gradient descent  0.01        1        3",
        "total                                    6      124",
    ]
    assert isinstance(groups, list)
    EG(groups, lr=0.5)
    torch.optim.AdamW(groups, lr=0.5)


def test_signed_only():
    net = nn.Sequential(nn.Linear(4, 4), EILinear(4, 2))
    rules = {
        (g["role"], g["euclidean"]) for g in param_groups(net, 1.0, signed_only=True)
    }
    assert rules == {("weight", True), ("weight", False), ("bias", True)}


# -- log-normal models -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.5, 3.0])
def test_torchs_weights_are_log_normal_of_the_variance_asked_for(ratio):
    net = nn.ModuleList(
        [
            nn.Linear(300, 200),
            nn.Conv2d(20, 60, 3),
            nn.GRU(80, 90),
            nn.ConvTranspose1d(64, 32, 5),
        ]
    )
    init.lognormal_model_(
        net, gain=1.3, ratio=ratio, generator=torch.Generator().manual_seed(0)
    )
    sigma = math.sqrt(math.log1p(1 / ratio**2))
    fans = {
        "0.weight": 300,
        "1.weight": 180,
        "2.weight_ih_l0": 80,
        "2.weight_hh_l0": 90,
        "3.weight": 320,
    }
    for name, fan in fans.items():
        weight = net.get_parameter(name).detach().double()
        assert weight.square().mean().item() == pytest.approx(1.3**2 / fan, rel=0.15)
        logs = weight.abs().log()
        assert logs.std().item() == pytest.approx(sigma, rel=0.03)
        mu = math.log(1.3 / math.sqrt(fan * (1 + 1 / ratio**2))) - sigma**2 / 2
        assert logs.mean().item() == pytest.approx(mu, abs=0.05)
        assert abs(weight.sign().mean().item()) < 0.05


def test_fixed_signs_are_kept_and_the_generator_decides():
    net = nn.Sequential(
        nn.Linear(10, 8), EILinear(Populations(6, 2), 4), nn.Embedding(3, 2)
    )
    signs.fix(net[0], "weight", Populations(8, 2))
    table = net[2].weight.detach().clone()
    drawn = []
    for seed in (1, 1, 2):
        init.lognormal_model_(net, generator=torch.Generator().manual_seed(seed))
        signs.check(net).raise_for_violations()
        drawn.append(
            torch.cat([net[0].weight.flatten(), net[1].weight.flatten()])
            .detach()
            .clone()
        )
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(net[2].weight, table)


@pytest.mark.parametrize("ratio", [0.7, 1.5, 3.0])
@pytest.mark.parametrize(
    "build",
    [
        lambda: EILinear(Populations(320, 80), 300),
        lambda: DANNLinear(400, 300, 30),
        lambda: DANNLinear(400, 300, 30, shunting=True),
        lambda: EIConv2d(Populations(32, 8), 100, 3),
        lambda: DANNConv2d(40, 100, 3),
    ],
    ids=["EI", "DANN", "shunting DANN", "EI convolution", "DANN convolution"],
)
def test_the_variance_of_our_layers_does_not_depend_on_the_ratio(build, ratio):
    layer = build()
    shape = (400,) if hasattr(layer, "in_features") else (40, 5, 5)
    x = torch.randn(200, *shape, generator=torch.Generator().manual_seed(0)).relu()

    def variance():
        return layer(x).var().item()

    layer.reset_parameters(torch.Generator().manual_seed(1))
    expected = variance()
    init.lognormal_model_(
        layer, ratio=ratio, generator=torch.Generator().manual_seed(1)
    )
    assert variance() == pytest.approx(expected, rel=0.2)
    signs.check(layer).raise_for_violations()


def test_circuits_take_it_too():
    net = nn.Sequential()
    net.add_module("ei", EIRNN(3, Populations(20, 5), mask=0.5))
    net.add_module("dann", DANNRNN(3, 20, 4))
    init.lognormal_model_(net)
    signs.check(net).raise_for_violations()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: init.lognormal_model_(nn.Linear(2, 2), gain=0),
            "`gain` must be above 0; got 0.",
        ),
        (
            lambda: init.lognormal_model_(nn.Linear(2, 2), ratio=-1),
            "`ratio` must be above 0; got -1.",
        ),
        (
            lambda: init.lognormal_model_(nn.ReLU()),
            "`model` must have a weight to draw; got ReLU without one.",
        ),
    ],
)
def test_wrong_models_are_one_sentence(call, sentence):
    with pytest.raises(ValueError) as raised:
        call()
    assert str(raised.value) == sentence
