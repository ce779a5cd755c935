"""An evolution strategy on models of all kinds: tied, pruned, in half precision, with memories and chance of their own."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from daleml import Populations, signs
from daleml.layers import EIRNN, EILinear
from daleml.learning import EvolutionStrategy, MorrisLecarNetwork

# Coarse steps are quick, and what these tests compare does not hang on the step.
pytestmark = pytest.mark.filterwarnings("ignore:`dt_ms` should be at most:UserWarning")


X = torch.rand(6, 4, generator=torch.Generator().manual_seed(8))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def square(model, x):
    return model(x).square().mean()


# -- signs and absent synapses, whatever a parameter is called ---------------------------------------------------------


class Tied(nn.Module):
    """Signs are fixed under the second of two names."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.b.weight = self.a.weight
        signs.fix(self.b, "weight", [1, 1, -1])
        signs.project_(self)

    def forward(self, x):
        return self.b(self.a(x))


@pytest.mark.parametrize("log_magnitudes", [False, True])
def test_a_tied_parameter_keeps_its_signs(log_magnitudes):
    def loss(model, x):
        lawful = (model.a.weight * torch.tensor([1.0, 1, -1]) >= 0).all()
        return torch.where(lawful, model(x).square().mean(), float("nan"))

    model = Tied()
    strategy = EvolutionStrategy(
        model,
        population=64,
        sigma=1.0,
        log_magnitudes=log_magnitudes,
        generator=seeded(),
    )
    strategy.backward(loss, X[:, :3])  # NaN would be refused
    assert model.a.weight.grad.abs().sum() > 0


def test_a_pruned_parameter_keeps_its_absent_synapses():
    layer = nn.Linear(3, 3, bias=False)
    signs.fix(layer, "weight", [1, 1, -1], present=~torch.eye(3, dtype=torch.bool))
    signs.project_(layer)
    prune.random_unstructured(layer, "weight", 0.2)
    EvolutionStrategy(layer, population=8, generator=seeded()).backward(
        square, X[:, :3]
    )
    assert layer.weight_orig.grad.diagonal().tolist() == [0.0] * 3
    assert layer.weight_orig.grad.abs().sum() > 0


# -- losses ------------------------------------------------------------------------------------------------------------


def test_a_count_of_errors_is_a_loss():
    model = nn.Linear(4, 1)
    estimate = EvolutionStrategy(
        model, population=64, sigma=0.5, generator=seeded()
    ).backward(lambda m, x: (m(x) > 0).sum(), X)
    assert estimate.losses.dtype == torch.float32
    assert model.bias.grad > 0


@pytest.mark.parametrize(
    ("loss", "got"),
    [
        (lambda m: (m(X).sum(), 1), "tuple"),
        (lambda m: 3.0, "float"),
        (lambda m: m(X).sum() * 1j, "a tensor of torch.complex64"),
    ],
)
def test_what_is_no_loss_is_refused_in_one_sentence(loss, got):
    model = nn.Linear(4, 1)
    strategy = EvolutionStrategy(model, population=4)
    with pytest.raises(TypeError) as caught:
        strategy.backward(loss)
    assert (
        str(caught.value) == f"`loss` must return a tensor of real numbers; got {got}."
    )
    assert model.weight.grad is None
    assert strategy.n_estimates == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_small_differences_of_a_large_loss(dtype):
    exact, half = nn.Linear(4, 1, bias=False), nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        half.weight.copy_(exact.weight)
    half.to(dtype)
    gradients = []
    for model in (exact, half):
        strategy = EvolutionStrategy(
            model, population=4000, sigma=0.05, generator=seeded()
        )
        strategy.backward(lambda m, x: m.weight.float().square().sum() + 1000, X)
        assert model.weight.grad.dtype == model.weight.dtype
        gradients.append(model.weight.grad.float())
    torch.testing.assert_close(
        gradients[0], 2 * exact.weight.detach(), rtol=0.1, atol=0.05
    )
    torch.testing.assert_close(
        gradients[1], 2 * half.weight.detach().float(), rtol=0.2, atol=0.15
    )


def test_errors_of_half_precision_do_not_overflow():
    model = nn.Linear(4, 1, bias=False).half()
    strategy = EvolutionStrategy(model, population=64, sigma=0.002, generator=seeded())
    estimate = strategy.backward(
        lambda m: m.weight.float().mul(4).square().sum()
    )  # scores of several hundred
    error = estimate.standard_errors["weight"]
    assert error.isfinite().all()
    assert (error > 0).all()


# -- what members leave behind -----------------------------------------------------------------------------------------


class Remembers(nn.Module):
    """Keeps what it saw, counts how often it was asked, and averages."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.register_buffer("seen", torch.zeros(6, 2))
        self.register_buffer("asked", torch.zeros((), dtype=torch.int64))
        self.last = None

    def forward(self, x):
        self.last = self.layer(x)
        self.seen = self.last
        self.asked += 1
        return self.last


@pytest.mark.parametrize("chunk_size", [None, 1, 3])
def test_the_model_is_left_as_it_was(chunk_size):
    model = Remembers()
    with torch.no_grad():  # with a history, torch copies no pruned layer
        prune.random_unstructured(model.layer, "weight", 0.5)
    before = copy.deepcopy(model.state_dict())
    EvolutionStrategy(model, population=8, chunk_size=chunk_size).backward(square, X)
    assert model.last is None
    for name, value in copy.deepcopy(model).state_dict().items():
        assert torch.equal(value, before[name]), name
    torch.save(model.state_dict(), io.BytesIO())
    assert model(X).shape == (6, 2)
    assert model.asked == 1


def test_what_cannot_be_batched_is_said_in_one_sentence():
    norm = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    for model, loss in ((norm, square), (nn.GRU(4, 3), lambda m, x: m(x)[0].sum())):
        with pytest.raises(
            RuntimeError,
            match="^`model` must be of operations that torch.func.vmap can batch",
        ) as caught:
            EvolutionStrategy(model, population=4).backward(loss, X)
        assert "\n" not in str(caught.value)
    EvolutionStrategy(norm.eval(), population=4).backward(square, X)
    assert norm[0].weight.grad is not None
    with pytest.raises(
        RuntimeError, match="^Expected size"
    ):  # the user's own mistakes keep their words
        EvolutionStrategy(norm, population=4).backward(square, X[:, :3])


# -- chunks and levels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("antithetic", [True, False])
def test_biophysical_networks_in_chunks_are_all_at_once(antithetic):
    losses = {}
    for chunk_size in (None, 1, 3, 7):
        net = MorrisLecarNetwork(4, 6, 2, dt_ms=0.5, generator=seeded()).double()
        strategy = EvolutionStrategy(
            net,
            population=8,
            antithetic=antithetic,
            chunk_size=chunk_size,
            generator=seeded(1),
        )
        losses[chunk_size] = strategy.backward(
            square, torch.rand(4, 3, 4, generator=seeded(2)).double()
        ).losses
    for chunk_size in (1, 3, 7):
        torch.testing.assert_close(losses[chunk_size], losses[None])


@pytest.mark.parametrize(
    ("n_members", "n_states", "batch"), [(6, 6, 6), (6, 4, 6), (4, 6, 6), (1, 3, 1)]
)
def test_members_of_members_are_one_after_another(n_members, n_states, batch):
    """Initial states are batched inside, weights outside: no level may take another's dimension for its own."""
    net = MorrisLecarNetwork(4, 6, 2, dt_ms=0.5, generator=seeded()).double()
    weights = (
        net.weight_hh.detach()
        + 0.3 * torch.randn(n_members, 6, 6, generator=seeded(1)).double()
    )
    v = -20 + 20 * torch.randn(n_states, batch, 6, generator=seeded(2)).double()
    x, w = (
        torch.rand(4, batch, 4, generator=seeded(3)).double(),
        torch.full((batch, 6), 0.01).double(),
    )

    def answer(weight, v):
        return torch.func.functional_call(net, {"weight_hh": weight}, (x, (v, w)))

    with torch.no_grad():
        inner = torch.func.vmap(answer, in_dims=(None, 0))
        found = torch.func.vmap(inner, in_dims=(0, None))(weights, v)
        other = torch.func.vmap(
            torch.func.vmap(answer, in_dims=(0, None)), in_dims=(None, 0)
        )(weights, v)
        for i in range(n_members):
            for j in range(n_states):
                torch.testing.assert_close(found[i, j], answer(weights[i], v[j]))
                torch.testing.assert_close(other[j, i], answer(weights[i], v[j]))


# -- interrupt and resume ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [True, False])
def test_a_state_holds_every_source_of_chance(own):
    def begin():
        rnn = EIRNN(
            4, Populations(4, 1), dt_ms=10, tau_ms=20, noise=0.5, generator=seeded(7)
        )
        model = nn.Sequential(rnn)
        return model, EvolutionStrategy(
            model, population=4, generator=seeded(1) if own else None
        )

    def losses(model, strategy):
        drop = nn.Dropout(0.5)
        return strategy.backward(
            lambda m, x: drop(m(x)[0]).square().mean(), X.view(3, 2, 4)
        ).losses

    torch.manual_seed(5)
    model, strategy = begin()
    losses(model, strategy)
    buffer = io.BytesIO()
    torch.save(strategy.state_dict(), buffer)
    buffer.seek(0)
    expected = losses(model, strategy)
    torch.manual_seed(99)
    model, strategy = begin()
    strategy.load_state_dict(torch.load(buffer))
    assert torch.equal(losses(model, strategy), expected)


def test_a_state_of_other_sources_is_refused():
    layer, before = nn.Linear(2, 2), torch.get_rng_state()
    own, common = (
        EvolutionStrategy(layer, population=4, generator=seeded()),
        EvolutionStrategy(layer, population=4),
    )
    for strategy, other, sentence in (
        (
            own,
            common,
            "`state` must be of a strategy with one of its own for its generator; got torch's global one.",
        ),
        (
            common,
            own,
            "`state` must be of a strategy with torch's global one for its generator; got one of its own.",
        ),
    ):
        with pytest.raises(ValueError) as caught:
            strategy.load_state_dict(other.state_dict())
        assert str(caught.value) == sentence
    noisy = EvolutionStrategy(
        EIRNN(2, Populations(2, 1), generator=seeded()),
        population=4,
        names=["weight_hh_l0"],
    )
    state = noisy.state_dict() | {"names": ["weight", "bias"]}
    with pytest.raises(
        ValueError,
        match=r"^`state` must be of a model with 0 generators of its own; got 1\.$",
    ):
        common.load_state_dict(state)
    assert torch.equal(before, torch.get_rng_state())


def test_log_magnitudes_learn_by_an_optimiser_that_scales_gradients():
    """Where SGD would throw small weights across zero."""
    layer = EILinear(Populations(8, 2), 3, generator=seeded())
    with torch.no_grad():
        layer.weight[0, 0] = 1e-6
    x = torch.rand(64, 10, generator=seeded(1))
    strategy = EvolutionStrategy(
        layer, population=32, sigma=0.05, log_magnitudes=True, generator=seeded(2)
    )
    optimizer, losses = torch.optim.Adam(layer.parameters(), 0.02), []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(strategy.backward(lambda m: (m(x) - 1).square().mean()).loss)
        optimizer.step()
        signs.project_(layer)
    assert losses[-1] < losses[0] / 2
