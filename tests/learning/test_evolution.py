"""Evolution strategies."""

import copy

import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.layers import EIRNN, EILinear
from daleml.learning import (
    EvolutionStrategy,
    MorrisLecarNetwork,
)
from tests.reference import morris_lecar as slow

pytestmark = pytest.mark.filterwarnings("ignore:`dt_ms` should be at most:UserWarning")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


NAN = float("nan")


class Point(nn.Module):
    """A model that is its weights."""

    def __init__(self, value):
        super().__init__()
        self.weight = nn.Parameter(torch.as_tensor(value, dtype=torch.float64))

    def forward(self):
        return self.weight


def gradient(loss, value, **options):
    model = Point(value)
    estimate = EvolutionStrategy(model, **{"generator": seeded()} | options).backward(
        lambda m: loss(m())
    )
    return model.weight.grad, estimate


CURVATURE = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)) + 0.3
SLOPE = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


def quadratic(w):
    return 0.5 * w @ CURVATURE @ w + SLOPE @ w + 7.0


@pytest.mark.parametrize("antithetic", [True, False])
def test_the_gradient_of_a_quadratic_within_the_stated_error(antithetic):
    w = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    true = CURVATURE @ w + SLOPE
    found, estimate = gradient(
        quadratic, w, population=20_000, sigma=0.2, antithetic=antithetic
    )
    error = estimate.standard_errors["weight"]
    assert ((found - true).abs() < 4 * error).all()
    if antithetic:  # the closed form: Var = (|g|² + g_i²) / pairs
        expected = ((true @ true + true**2) / 10_000).sqrt()
        torch.testing.assert_close(error, expected, rtol=0.05, atol=0)
        assert error.max() < 0.1


def test_the_stated_error_is_the_spread_of_estimates():
    for antithetic in (True, False):
        runs = [
            gradient(
                quadratic,
                [1.0, -2.0, 0.5],
                population=200,
                sigma=0.2,
                antithetic=antithetic,
                generator=seeded(i),
            )
            for i in range(300)
        ]
        spread = torch.stack([found for found, _ in runs]).std(0)
        stated = (
            torch.stack([e.standard_errors["weight"] for _, e in runs])
            .square()
            .mean(0)
            .sqrt()
        )
        torch.testing.assert_close(stated, spread, rtol=0.15, atol=0)


def test_antithetic_pairs_are_exact_where_the_loss_is_even():
    """Even moments cancel to the last digit, and so does a constant; one-sided estimates keep both."""
    found, _ = gradient(
        lambda w: w @ w + w.prod() ** 2 + 100, torch.zeros(3), population=8
    )
    assert torch.equal(found, torch.zeros(3).double())
    found, _ = gradient(
        lambda w: w @ w + w.prod() ** 2 + 100,
        torch.zeros(3),
        population=8,
        antithetic=False,
    )
    assert found.abs().max() > 10
    low, _ = gradient(lambda w: SLOPE @ w, torch.zeros(3), population=8)
    high, _ = gradient(lambda w: SLOPE @ w + 1e3, torch.zeros(3), population=8)
    torch.testing.assert_close(low, high, rtol=1e-9, atol=1e-9)


def test_the_one_sided_estimator_is_the_published_one():
    w, sigma, n = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), 0.3, 6
    found, estimate = gradient(
        quadratic, w, population=n, sigma=sigma, antithetic=False
    )
    noise = sigma * torch.randn(n, 3, dtype=torch.float64, generator=seeded())
    noise[0] = 0
    losses = torch.stack([quadratic(w + e) for e in noise])
    torch.testing.assert_close(found, (losses[:, None] * noise).mean(0) / sigma**2)
    torch.testing.assert_close(estimate.losses, losses)
    assert estimate.losses[0] == quadratic(w)


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("chunk_size", [None, 3])
def test_one_batch_is_one_after_another(antithetic, chunk_size):
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    x, y = torch.randn(7, 4).double(), torch.randn(7, 2).double()

    def loss(model, x, y):
        return (model(x) - y).square().mean()

    strategy = EvolutionStrategy(
        model,
        population=8,
        sigma=0.1,
        antithetic=antithetic,
        chunk_size=chunk_size,
        generator=seeded(),
    )
    estimate = strategy.backward(loss, x, y)
    n, generator = 4 if antithetic else 8, seeded()
    noise = {
        name: 0.1 * torch.randn(n, *p.shape, dtype=torch.float64, generator=generator)
        for name, p in model.named_parameters()
    }
    if not antithetic:
        for drawn in noise.values():
            drawn[0] = 0
    expected, losses = slow.one_by_one(model, loss, (x, y), noise, antithetic, 0.1)
    torch.testing.assert_close(estimate.losses, losses)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name])


def test_gradients_are_added_as_backward_adds_them():
    model = Point(torch.ones(3))
    strategy = EvolutionStrategy(model, population=4, generator=seeded())
    strategy.backward(lambda m: quadratic(m()))
    first = model.weight.grad.clone()
    strategy.generator.manual_seed(0)
    strategy.backward(lambda m: quadratic(m()))
    torch.testing.assert_close(model.weight.grad, 2 * first)
    assert torch.equal(model.weight.detach(), torch.ones(3).double())


def test_only_the_named_parameters_are_perturbed():
    model = nn.Linear(3, 2)
    EvolutionStrategy(model, population=4, names=["bias"]).backward(
        lambda m: m(torch.ones(3)).sum()
    )
    assert model.weight.grad is None
    assert model.bias.grad is not None
    model.weight.requires_grad_(False)
    assert EvolutionStrategy(model, population=4).names == ("bias",)


@pytest.mark.parametrize("chunk_size", [None, 1, 3])
def test_all_members_meet_the_same_chance(chunk_size):
    """The loss is chance alone, so without common random numbers no two members would have the same."""
    own = seeded(5)

    class Noisy(Point):
        generator = own

        def forward(self):
            return 0 * self.weight.sum() + torch.randn(3, generator=own).sum()

    for model in (Noisy(torch.ones(3)), Point(torch.ones(3))):

        def loss(m):
            return (
                m().sum()
                + torch.randn(())
                + nn.functional.dropout(torch.ones(100), 0.5).sum()
            )

        strategy = EvolutionStrategy(
            model, population=6, sigma=1e-9, chunk_size=chunk_size
        )
        first, second = strategy.backward(loss).losses, strategy.backward(loss).losses
        assert first.max() - first.min() < 1e-6
        assert abs(first[0] - second[0]) > 1e-3


def test_the_noise_of_a_circuit_is_common_too():
    rnn = EIRNN(
        3, Populations(4, 1), dt_ms=10, tau_ms=20, noise=0.5, generator=seeded()
    )
    strategy = EvolutionStrategy(rnn, population=4, sigma=1e-9, names=["weight_hh_l0"])
    losses = strategy.backward(
        lambda m, x: m(x)[0].square().mean(), torch.rand(5, 2, 3)
    ).losses
    assert losses.max() - losses.min() < 1e-6 * losses.mean()


@pytest.mark.parametrize("log_magnitudes", [False, True])
def test_every_member_is_lawful(log_magnitudes):
    layer = EILinear(Populations(3, 2), 4)

    def loss(model, x):
        lawful = (model.weight * torch.tensor([1.0, 1, 1, -1, -1]) >= 0).all()
        return torch.where(lawful, model(x).square().mean(), NAN)

    strategy = EvolutionStrategy(
        layer, population=64, sigma=1.0, log_magnitudes=log_magnitudes
    )
    strategy.backward(loss, torch.rand(6, 5))  # NaN would be refused
    assert signs.check(layer)


def test_log_magnitudes_give_the_gradient_of_the_weights():
    layer = EILinear(Populations(3, 2), 4, bias=False).double()
    with torch.no_grad():
        layer.weight[0, 0] = 0.0
    x = torch.rand(6, 5).double()

    def loss(model, x):
        return model(x).square().mean()

    true = torch.autograd.grad(loss(layer, x), layer.weight)[0]
    strategy = EvolutionStrategy(
        layer, population=40_000, sigma=0.02, log_magnitudes=True, generator=seeded()
    )
    error = strategy.backward(loss, x).standard_errors["weight"]
    alive = layer.weight.detach() != 0
    assert layer.weight.grad[~alive].tolist() == [0.0]
    assert ((layer.weight.grad - true)[alive].abs() < 5 * error[alive]).all()
    cosine = torch.nn.functional.cosine_similarity(
        (layer.weight.grad * layer.weight).flatten(), (true * layer.weight).flatten(), 0
    )
    assert cosine > 0.99


def test_an_absent_synapse_is_not_perturbed():
    layer = nn.Linear(3, 3, bias=False)
    present = ~torch.eye(3, dtype=torch.bool)
    signs.fix(layer, "weight", [1, 1, -1], present=present)
    signs.project_(layer)
    for log_magnitudes in (False, True):
        layer.weight.grad = None
        strategy = EvolutionStrategy(
            layer, population=8, sigma=1.0, log_magnitudes=log_magnitudes
        )
        spread = strategy.backward(lambda m: m.weight.diagonal().abs().sum()).losses
        assert (spread == 0).all()
        assert (layer.weight.grad.diagonal() == 0).all()


@pytest.mark.parametrize("own", [True, False])
def test_a_resumed_run_has_the_same_numbers(own):
    net = MorrisLecarNetwork(
        5,
        6,
        3,
        populations=Populations(4, 2),
        dt_ms=1.0,
        input_ms=2.0,
        generator=seeded(7),
    )
    x, y = torch.rand(6, 4, 5), torch.tensor([0, 1, 2, 0])

    def begin():
        model = copy.deepcopy(net)
        model.generator = seeded(9)
        strategy = EvolutionStrategy(
            model, population=4, generator=seeded(1) if own else None
        )
        return model, strategy, torch.optim.Adam(model.parameters(), 0.01)

    def go_on(model, strategy, optimizer, n):
        for _ in range(n):
            optimizer.zero_grad()
            state = model.initial_state(4)
            strategy.backward(
                lambda m, state: nn.functional.cross_entropy(m(x, state), y), state
            )
            optimizer.step()
            signs.project_(model)

    torch.manual_seed(3)
    whole = begin()
    go_on(*whole, 4)
    torch.manual_seed(3)
    half = begin()
    go_on(*half, 2)
    saved = copy.deepcopy(
        (
            half[0].state_dict(),
            half[1].state_dict(),
            half[2].state_dict(),
            half[0].generator.get_state(),
        )
    )
    go_on(*half, 1)  # what was lost
    torch.manual_seed(99)
    resumed = begin()
    for part, state in zip(resumed, saved, strict=False):
        part.load_state_dict(state)
    resumed[0].generator.set_state(saved[3])
    go_on(*resumed, 2)
    for (name, a), b in zip(
        whole[0].named_parameters(), resumed[0].parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    assert resumed[1].n_estimates == 4


def test_a_state_of_other_settings_is_refused():
    strategy = EvolutionStrategy(nn.Linear(2, 2), population=4, generator=seeded())
    before = strategy.generator.get_state()
    other = EvolutionStrategy(nn.Linear(2, 2), population=6, generator=seeded(1))
    with pytest.raises(ValueError) as caught:
        strategy.load_state_dict(other.state_dict())
    assert (
        str(caught.value) == "`state` must be of a strategy with population 4; got 6."
    )
    assert torch.equal(before, strategy.generator.get_state())


def test_an_estimate_is_plain_values():
    _, estimate = gradient(quadratic, torch.ones(3), population=4)
    values = estimate.to_dict()
    assert values["loss"] == pytest.approx(sum(values["losses"]) / 4)
    assert list(values["standard_errors"]) == ["weight"]


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"population": 0}, ValueError, "`population` must be at least 2; got 0."),
        (
            {"population": 5},
            ValueError,
            "`population` must be even for antithetic pairs; got 5.",
        ),
        ({"population": 2.5}, TypeError, "`population` must be an integer; got 2.5."),
        ({"sigma": 0}, ValueError, "`sigma` must be above 0; got 0."),
        ({"antithetic": 1}, TypeError, "`antithetic` must be True or False; got 1."),
        (
            {"log_magnitudes": True},
            ValueError,
            "`log_magnitudes` must be False where no perturbed parameter has fixed signs; got True.",
        ),
        (
            {"names": []},
            ValueError,
            "`names` must be a sequence of parameters' names; got [].",
        ),
        (
            {"names": "bias"},
            ValueError,
            "`names` must be a sequence of parameters' names; got 'bias'.",
        ),
        (
            {"names": ["wait"]},
            ValueError,
            "`names` must be among weight, bias; got 'wait'.",
        ),
        ({"chunk_size": 0}, ValueError, "`chunk_size` must be at least 1; got 0."),
        (
            {"generator": 3},
            TypeError,
            "`generator` must be a torch.Generator; got int.",
        ),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(options, kind, sentence):
    with pytest.raises(kind) as caught:
        EvolutionStrategy(nn.Linear(2, 2), **options)
    assert str(caught.value) == sentence


def test_bad_models_and_losses_are_refused_in_one_sentence():
    with pytest.raises(TypeError, match=r"^`model` must be a module; got int\.$"):
        EvolutionStrategy(3)
    with pytest.raises(
        ValueError,
        match=r"^`model` must have a parameter that requires a gradient; it has none\.$",
    ):
        EvolutionStrategy(nn.ReLU())
    model = Point(torch.ones(3))
    strategy = EvolutionStrategy(model, population=4, generator=seeded())
    with pytest.raises(
        TypeError, match=r"^`loss` must be a function of the model; got str\.$"
    ):
        strategy.backward("loss")
    with pytest.raises(
        ValueError, match=r"^`loss` must return a single number; got shape \(3,\)\.$"
    ):
        strategy.backward(lambda m: m())
    with pytest.raises(
        RuntimeError,
        match=r"^`loss` must be finite for every member; got nan for member \d\.$",
    ):
        strategy.backward(lambda m: torch.where(m().sum() > 3, NAN, 1.0))
    assert model.weight.grad is None
