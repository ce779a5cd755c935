"""Gradients from losses alone, and the differential equations they are tried on."""

import copy
import sys

import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.layers import EIRNN, EILinear
from daleml.learning import (
    EvolutionStrategy,
    MorrisLecarNetwork,
    Robertson,
    RobertsonODE,
    Spiral,
    SpiralODE,
    adaptive,
    radau,
    rk4,
    rosenbrock,
)
from tests.reference import morris_lecar as slow

# Coarse steps are quick, and what these tests compare does not hang on the step.
pytestmark = pytest.mark.filterwarnings("ignore:`dt_ms` should be at most:UserWarning")


NAN = float("nan")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


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


# -- the estimator -----------------------------------------------------------------------------------------------------

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


# -- signs -------------------------------------------------------------------------------------------------------------


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


# -- interrupt and resume ----------------------------------------------------------------------------------------------


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


# -- wrong input -------------------------------------------------------------------------------------------------------


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


# -- differential equations --------------------------------------------------------------------------------------------


def test_robertson_is_scipys():
    """Within 1e-4 of Radau, component by component, at 50 times from 1e-5 to 1e3."""
    times, robertson = torch.logspace(-5, 3, 50, dtype=torch.float64), Robertson()
    true = radau(robertson, robertson.initial, times)
    found = rosenbrock(robertson, robertson.initial.double(), times)
    assert ((found - true).abs() < 1e-4 * robertson.scale).all()
    torch.testing.assert_close(found.sum(-1), torch.ones(50).double())


def test_radau_knows_the_published_values():
    """Hairer & Wanner's reference at t = 40, and its second component to six digits."""
    y = radau(
        Robertson(), Robertson().initial, torch.tensor([4.0, 40.0], dtype=torch.float64)
    )[-1]
    expected = torch.tensor(
        [0.7158270688, 9.185534765e-6, 0.2841637458], dtype=torch.float64
    )
    torch.testing.assert_close(y, expected, rtol=1e-6, atol=0)


def test_rosenbrock_is_of_third_order_and_runs_in_batches():
    def field(y):
        return torch.stack([y[..., 1], -torch.sin(y[..., 0])], -1)

    initial, times = (
        torch.tensor([1.0, 0.0]).double(),
        torch.tensor([0.5, 1.0, 2.0]).double(),
    )
    true = radau(field, initial, times)[-1]
    errors = [
        (rosenbrock(field, initial, times, substeps=n)[-1] - true).norm()
        for n in (8, 16)
    ]
    assert 6.5 < errors[0] / errors[1] < 9.5
    several = torch.rand(2, 3, 2).double()
    batched = rosenbrock(field, several, times, substeps=2)
    torch.testing.assert_close(
        batched[:, 1, 2], rosenbrock(field, several[1, 2], times, substeps=2)
    )


def test_a_population_of_stiff_networks_runs_in_one_batch():
    torch.manual_seed(1)
    model, times = (
        RobertsonODE(t_end=10.0).double(),
        torch.logspace(-3, 1, 4, dtype=torch.float64),
    )
    robertson = Robertson()
    true = radau(robertson, robertson.initial, times)

    def loss(model):
        return (
            (
                (
                    rosenbrock(model, robertson.initial.double(), times, substeps=2)
                    - true
                )
                / robertson.scale
            )
            .abs()
            .mean()
        )

    strategy = EvolutionStrategy(model, population=256, sigma=0.01, generator=seeded())
    strategy.backward(loss)
    found = torch.cat([p.grad.flatten() for p in model.parameters()])
    true_gradient = torch.cat(
        [
            g.flatten()
            for g in torch.autograd.grad(loss(model), list(model.parameters()))
        ]
    )
    assert torch.nn.functional.cosine_similarity(found, true_gradient, 0) > 0.5


def test_rk4_is_of_fourth_order():
    times = [torch.linspace(0, 1, n + 1).double() for n in (10, 20)]
    errors = [
        abs(rk4(lambda y: -y * y, torch.ones(1).double(), t)[-1] - 0.5).item()
        for t in times
    ]
    assert 14 < errors[0] / errors[1] < 18


def test_the_spiral_network_learns_by_either_gradient():
    spiral, losses = Spiral(), {}
    times = torch.linspace(0, 25, 1000)[:10]
    starts = rk4(spiral, spiral.initial, torch.linspace(0, 25, 1000))[::50]
    true = rk4(spiral, starts, times)

    def loss(model):
        return (rk4(model, starts, times) - true).abs().mean()

    for way in ("backprop", "pairs", "one-sided"):
        model = SpiralODE(hidden=200, generator=seeded())
        optimizer = torch.optim.RMSprop(model.parameters(), 5e-3)
        strategy = EvolutionStrategy(
            model,
            population=100,
            sigma=0.01,
            antithetic=way == "pairs",
            generator=seeded(1),
        )
        for _ in range(50):
            optimizer.zero_grad()
            strategy.backward(loss) if way != "backprop" else loss(model).backward()
            optimizer.step()
        losses[way] = float(loss(model).detach())
    assert losses["pairs"] < losses["one-sided"] / 5
    assert losses["pairs"] < 4 * losses["backprop"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: rk4(Spiral(), Spiral().initial, torch.tensor([0.0, 0.0])),
            "`times` must be at least two increasing numbers; got shape (2,).",
        ),
        (
            lambda: rosenbrock(
                Spiral(), Spiral().initial, torch.tensor([1.0, 2.0]), substeps=0
            ),
            "`substeps` must be at least 1; got 0.",
        ),
        (
            lambda: rosenbrock(
                Spiral(), Spiral().initial, torch.tensor([1.0, 2.0]), start=3.0
            ),
            "`start` must be between 0 and the first of `times`, 1; got 3.",
        ),
        (
            lambda: rosenbrock(Spiral(), Spiral().initial, torch.tensor([0.0, 1.0])),
            "`times` must be positive and increasing, at least one; got [0.0, 1.0] of 2.",
        ),
        (
            lambda: radau(Spiral(), Spiral().initial, torch.tensor([])),
            "`times` must be positive and increasing, at least one; got [] of 0.",
        ),
        (
            lambda: rk4(Spiral(), Spiral().initial, [0.0, 1.0]),
            "`times` must be a tensor; got list.",
        ),
        (
            lambda: rk4(Spiral(), [2.0, 0.0], torch.tensor([0.0, 1.0])),
            "`initial` must be a tensor; got list.",
        ),
        (
            lambda: rosenbrock(Robertson(), Robertson().initial, [0.1, 1.0]),
            "`times` must be a tensor; got list.",
        ),
        (
            lambda: rosenbrock(Robertson(), [1.0, 0, 0], torch.tensor([1.0])),
            "`initial` must be a tensor; got list.",
        ),
        (
            lambda: radau(Robertson(), [1.0, 0, 0], torch.tensor([1.0])),
            "`initial` must be a tensor; got list.",
        ),
        (lambda: RobertsonODE([1.0, 2.0, 3.0]), "`scale` must be a tensor; got list."),
        (
            lambda: Spiral(decay=3.0),
            "`decay` must be below 0, or it winds outwards; got 3.",
        ),
        (lambda: Robertson(k2=0.0), "`k2` must be above 0; got 0.0."),
        (
            lambda: RobertsonODE(torch.zeros(3)),
            "`scale` must be sizes above 0, one a component; got [0.0, 0.0, 0.0].",
        ),
        (lambda: SpiralODE(0), "`hidden` must be at least 1; got 0."),
    ],
)
def test_bad_equations_are_refused_in_one_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value) == sentence


def test_without_torchdiffeq_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    with pytest.raises(ImportError) as caught:
        adaptive(Spiral(), Spiral().initial, torch.tensor([0.0, 1.0]))
    assert (
        str(caught.value)
        == "`adaptive` needs torchdiffeq, which is not installed: pip install 'daleml[ode]'."
    )


def test_torchdiffeq_agrees_with_radau():
    times, spiral = torch.linspace(0, 5, 100).double(), Spiral()
    true = radau(spiral, spiral.initial, times[1:])
    for method in ("dopri5", "bosh3"):
        found = adaptive(
            spiral, spiral.initial.double(), times, method=method, rtol=1e-9, atol=1e-9
        )
        torch.testing.assert_close(
            found[1:], true, rtol=1e-5, atol=1e-5
        )  # it interpolates between its own steps


def test_gradients_go_through_torchdiffeq():
    times = torch.linspace(0, 1, 5).double()
    model = SpiralODE(8, generator=seeded()).double()
    slopes = []
    for solve, options in ((adaptive, {"rtol": 1e-10, "atol": 1e-10}), (rk4, {})):
        model.zero_grad()
        fine = times if solve is adaptive else torch.linspace(0, 1, 401).double()
        solve(model, Spiral().initial.double(), fine, **options)[
            -1
        ].square().sum().backward()
        slopes.append(
            torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        )
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-7)
