import copy
import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from daleml import Populations
from daleml.analysis import Regime, regime, spectrum
from daleml.layers import DANNRNN, EIRNN, DANNLinear, EIConv2d, EILinear, EIRNNCell
from daleml.layers.init.matrix_spectra import low_rank_
from daleml.tasks import PerceptualDecision
from tests.reference.regime import alignment, jacobian


class Recurrent(nn.Module):
    """A recurrent layer and a readout of every step."""

    def __init__(self, rnn, units, readout=None):
        super().__init__()
        self.rnn, self.readout = rnn, readout or nn.Linear(units, 2)

    def forward(self, x):
        return self.readout(self.rnn(x)[0])


class Stepped(nn.Module):
    """A cell, stepped by hand, which keeps its state on itself, as one should not."""

    def __init__(self):
        super().__init__()
        self.cell, self.readout = (
            EIRNNCell(3, Populations(6, 2), nonlinearity="softplus"),
            nn.Linear(8, 2),
        )

    def forward(self, x):
        self.state = None
        for now in x:
            self.state = self.cell(now, self.state)
        return self.readout(self.state)


SEQUENCE, BATCH_FIRST, ROWS = (4, 5, 3), (5, 4, 3), (5, 3)
MODELS = {
    "dense": (lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)), ROWS, "input of 2", 2),
    "lawful": (lambda: nn.Sequential(DANNLinear(3, 8, 2), nn.Tanh(), EILinear(8, 2)), ROWS, "input of 2", 4),
    "single": (lambda: nn.Linear(3, 8), ROWS, "output of the model", 1),
    "convolutional": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Softplus(), EIConv2d(4, 2, 2), nn.Flatten(), nn.Linear(8, 2)
        ),
        (5, 1, 5, 5), "input of 6", 3,
    ),
    "RNN": (lambda: Recurrent(nn.RNN(3, 8, 2), 8), SEQUENCE, "input of readout", 2),
    "RNN alone": (lambda: nn.RNN(3, 8, batch_first=True), BATCH_FIRST, "output of the model", 1),
    "LSTM": (lambda: Recurrent(nn.LSTM(3, 8), 8), SEQUENCE, "input of readout", 1),
    "EIRNN": (lambda: Recurrent(EIRNN(3, Populations(6, 2), nonlinearity="tanh"), 8), SEQUENCE, "input of readout", 1),
    "leaky EIRNN": (
        lambda: Recurrent(EIRNN(3, Populations(6, 2), batch_first=True, dt_ms=20, tau_ms=50), 8), BATCH_FIRST,
        "input of readout", 1,
    ),
    "DANNRNN": (lambda: Recurrent(DANNRNN(3, 8, 2), 8), SEQUENCE, "input of readout", 3),
    "shunting DANNRNN": (lambda: Recurrent(DANNRNN(3, 8, 2, shunting=True), 8), SEQUENCE, "input of readout", 3),
    "cell": (Stepped, SEQUENCE, "input of readout", 1),
}  # fmt: skip


def before_and_after(model, size=0.7):
    before = copy.deepcopy(model.state_dict())
    learned = dict(
        model.named_parameters()
    )  # a circuit's time constants are in its state too, and do not learn
    after = {
        name: value * torch.exp(size * torch.randn(value.shape, dtype=value.dtype))
        if name in learned
        else value
        for name, value in before.items()
    }
    return before, after


def slow(model, states, x, names, last):
    """Both alignments by hand; ``last`` takes the last step of what a module returns."""
    jacobians, activities = [], []
    for state in states:
        twin = copy.deepcopy(model).eval()
        twin.load_state_dict(state)
        weights = [dict(twin.named_parameters())[name] for name in names]
        layers = [
            module
            for module in twin.modules()
            if isinstance(module, (nn.Linear, EILinear))
        ]
        seen = []
        if len(list(twin.modules())) > 1:
            layers[-1].register_forward_pre_hook(
                lambda _, args, seen=seen: seen.append(args[0])
            )

        def outputs(twin=twin, seen=seen):
            result = twin(x)
            result = result[0] if isinstance(result, tuple) else result
            seen.append(result) if not seen else None
            return last(result)

        jacobians.append(jacobian(outputs, weights))
        activities.append(last(seen[0]).flatten(1).detach())
    return alignment(*activities), alignment(*jacobians), len(jacobians[0])


@pytest.fixture
def in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_a_jacobian_row_by_row(name):
    build, shape, hidden, n_parameters = MODELS[name]
    model, x = build(), torch.rand(shape)
    states = before_and_after(model)
    result = regime(model, *states, x)
    assert result.hidden == hidden
    assert len(result.parameters) == n_parameters

    def last(activity):
        if activity.ndim != 3:
            return activity
        return activity[:, -1] if shape == BATCH_FIRST else activity[-1]

    ra, ka, n_outputs = slow(model, states, x, result.parameters, last)
    assert result.representation_alignment == pytest.approx(ra, rel=1e-9)
    assert result.kernel_alignment == pytest.approx(ka, rel=1e-9)
    assert ka < 0.9999 or name == "single"  # whose outputs are linear in its weights
    assert (result.n_probes, result.n_outputs) == (5, n_outputs)
    change = [
        (states[1][name] - states[0][name]).flatten() for name in result.parameters
    ]
    assert result.weight_change == pytest.approx(float(torch.cat(change).norm()))
    size = float(
        torch.cat([states[0][name].flatten() for name in result.parameters]).norm()
    )
    assert result.relative_weight_change == pytest.approx(result.weight_change / size)
    chunked = regime(model, *states, x, chunk=3)
    assert chunked.kernel_alignment == pytest.approx(result.kernel_alignment, rel=1e-12)


@pytest.mark.usefixtures("in_double")
def test_every_step_and_any_activity_on_request():
    model, x = Recurrent(nn.RNN(3, 8), 8), torch.rand(SEQUENCE)
    states = before_and_after(model)
    every = regime(model, *states, x, output=lambda out: out)
    assert every.n_outputs == 4 * 5 * 2
    ra, ka, _ = slow(model, states, x, every.parameters, lambda activity: activity)
    assert every.kernel_alignment == pytest.approx(ka, rel=1e-9)
    assert every.representation_alignment != pytest.approx(
        ra, rel=1e-3
    )  # of the last step, as before
    named = regime(model, *states, x, hidden="rnn")
    assert named.hidden == "output of rnn"
    assert named.representation_alignment == pytest.approx(
        every.representation_alignment
    )
    called = regime(model, *states, x, hidden=lambda out: out[0])
    outputs = [
        torch.func.functional_call(model, state, x)[0].detach() for state in states
    ]
    assert called.hidden == "a function"
    assert called.representation_alignment == pytest.approx(alignment(*outputs))
    one = regime(model, *states, x, parameter="readout.weight")
    assert one.parameters == ("readout.weight",)
    both = regime(model, *states, x, parameter=["rnn.weight_hh_l0", "readout.bias"])
    assert both.weight_change > float(
        (states[1]["rnn.weight_hh_l0"] - states[0]["rnn.weight_hh_l0"]).norm()
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_left_as_it_was(name):
    build, shape, *_ = MODELS[name]
    model, x = build(), torch.rand(shape)
    states = before_and_after(model)
    given = model(x)
    (given[0] if isinstance(given, tuple) else given).sum().backward()
    next(model.children(), model).eval()
    held = {name: dict(vars(module)) for name, module in model.named_modules()}
    values = copy.deepcopy(model.state_dict())
    grads = {
        name: value.grad.clone()
        for name, value in model.named_parameters()
        if value.grad is not None
    }
    assert grads
    regime(model, *states, x)
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == held
    assert all(
        torch.equal(value, values[name]) for name, value in model.state_dict().items()
    )
    assert all(
        torch.equal(value.grad, grads[name])
        for name, value in model.named_parameters()
        if name in grads
    )
    assert not any(module._forward_hooks for module in model.modules())


def test_a_pruned_model_keeps_its_weight():
    model = nn.Sequential(
        prune.random_unstructured(nn.Linear(3, 8), "weight", amount=0.5),
        nn.Tanh(),
        nn.Linear(8, 2),
    )
    weight = model[0].weight
    result = regime(model, *before_and_after(model), torch.rand(5, 3))
    assert model[0].weight is weight
    assert result.parameters == ("0.weight_orig", "2.weight")


def test_a_model_may_be_its_own_before_or_after():
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    before, after = before_and_after(model)
    trained = copy.deepcopy(model)
    trained.load_state_dict(after)
    x = torch.rand(5, 3)
    assert regime(model, model, trained, x) == regime(model, before, after, (x,))
    same = regime(model, model, model, x)
    assert (same.weight_change, same.representation_alignment) == (0, pytest.approx(1))
    assert same.kernel_alignment == pytest.approx(1)
    assert (
        same.conclusion() == "The weights did not change: there is no regime to tell."
    )


def test_alignments_know_no_scale():
    """Half the hidden weights, twice the readout: a linear network's function stays, and both kernels change by factors."""
    model = nn.Sequential(nn.Linear(6, 20, bias=False), nn.Linear(20, 2, bias=False))
    before = model.state_dict()
    result = regime(
        model,
        before,
        {name: 3 * value for name, value in before.items()},
        torch.randn(30, 6),
    )
    assert result.representation_alignment == pytest.approx(1, abs=1e-6)
    assert result.kernel_alignment == pytest.approx(1, abs=1e-6)
    assert result.relative_weight_change == pytest.approx(2)


# --- what the theory of two-layer linear networks says


class TwoLayers(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = nn.Parameter(first), nn.Parameter(second)

    def forward(self, x):
        return x @ self.first.T @ self.second


def whitened(n, d):
    left, _ = torch.linalg.qr(torch.randn(n, d))
    return left * math.sqrt(n)


def trained(first, second, x, teacher, steps=40_000):
    """Descend by gradients until the teacher is learnt; whitened inputs make the loss exact in a few numbers."""
    first, second = first.clone(), second.clone()
    for _ in range(steps):
        error = second @ first - teacher
        if error.norm() < 1e-3:
            return first, second
        first, second = (
            first - 0.1 * torch.outer(second, error),
            second - 0.1 * first @ error,
        )
    raise AssertionError("did not learn")


def kernel_alignment(first, second, teacher, x):
    model = TwoLayers(first, second)
    before = copy.deepcopy(model.state_dict())
    after = dict(
        zip(("first", "second"), trained(first, second, x, teacher), strict=True)
    )
    return regime(
        model, before, after, x, parameter=["first", "second"]
    ).kernel_alignment


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("sigma", [0.01, 0.3])
@pytest.mark.parametrize("rank", [1, 2, 5, 10, 20])
def test_kernel_alignment_follows_the_rank_of_a_linear_network(rank, sigma):
    d, x = 20, whitened(40, 20)
    first = low_rank_(torch.randn(d, d), rank)
    first *= sigma / first.norm()
    # Teachers along every axis of a random frame: their average is that over all directions, without its noise.
    frame = torch.linalg.qr(torch.randn(d, d))[0]
    found = [
        kernel_alignment(first, torch.full((d,), 1e-6), teacher, x) for teacher in frame
    ]
    share = spectrum(first).participation_ratio / d
    expected = math.sqrt(share) * (1 + 1 / d) / math.sqrt(1 + 3 / d)
    assert np.mean(found) == pytest.approx(expected, abs=0.02)


@pytest.mark.usefixtures("in_double")
def test_a_rank_one_start_that_is_aligned_with_the_task_stays_lazy():
    d, x = 20, whitened(40, 20)
    teacher, unit = torch.randn(2, d)
    teacher, unit = teacher / teacher.norm(), unit / unit.norm()
    aligned = kernel_alignment(0.1 * torch.outer(unit, teacher), 0.1 * unit, teacher, x)
    assert aligned > 0.99
    frame = torch.linalg.qr(torch.randn(d, d))[0]
    random = [
        kernel_alignment(0.01 * torch.outer(unit, way), 1e-6 * unit, teacher, x)
        for way in frame
    ]
    assert np.mean(random) == pytest.approx(0.22, abs=0.02)


# --- what low rank does to a recurrent network


def decide(rank, seed, units=100, iterations=2000):
    """Train on perceptual decisions from a recurrent matrix of this rank and the norm of a full one."""
    torch.manual_seed(seed)
    task, generator = (
        PerceptualDecision(baseline=0.5),
        torch.Generator().manual_seed(1000 + seed),
    )
    rnn = nn.RNN(task.n_inputs, units, nonlinearity="relu", bias=False)
    model = Recurrent(rnn, units, nn.Linear(units, task.n_outputs, bias=False))
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(nn.Linear(task.n_inputs, units).weight)
        rnn.weight_hh_l0.copy_(
            low_rank_(1.25 / math.sqrt(units) * torch.randn(units, units), rank)
        )
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), 0.003, momentum=0.9)
    for _ in range(iterations):
        trials = task.sample(32, generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(
            model(trials.inputs).flatten(0, 1), trials.targets.flatten()
        ).backward()
        optimizer.step()
    probes = task.sample(320, generator=generator).inputs
    kernel = regime(
        model, before, model, probes[:, :32], output=lambda out: out
    )  # of every step, as the authors have it
    activity = regime(model, before, model, probes, output=lambda out: out[-1, :1])
    return torch.tensor(
        [
            kernel.weight_change,
            activity.representation_alignment,
            kernel.kernel_alignment,
        ]
    )


@pytest.mark.slow
def test_recurrent_networks_of_low_rank_learn_richly():
    poor, full = (
        torch.stack([decide(rank, seed) for seed in range(4)]).mean(0)
        for rank in (1, 100)
    )
    change, representation, kernel = (full - poor).tolist()
    assert change < 0
    assert representation > 0.1
    assert kernel > 0.15


# --- words and wrong input


def test_is_a_value():
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    result = regime(model, *before_and_after(model), torch.rand(5, 3))
    assert isinstance(result, Regime)
    content = json.loads(json.dumps(result.to_dict()))
    assert content["parameters"] == ["0.weight", "2.weight"]
    assert content["conclusion"] == result.conclusion()
    assert "5 probes, 10 outputs" in str(result)


@pytest.mark.parametrize(
    ("alignment", "word"),
    [(0.95, "Lazy"), (0.7, "Between"), (0.3, "Rich"), (math.nan, "Cannot tell")],
)
def test_words(alignment, word):
    result = Regime(
        1.0, 0.5, 0.9, alignment, 10, 20, ("weight",), "output of the model"
    )
    assert result.conclusion().startswith(word)


def test_silent_units_have_no_alignment():
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    before, after = before_and_after(model)
    before["0.bias"] -= 100
    result = regime(model, before, after, torch.rand(5, 3))
    assert math.isnan(result.representation_alignment)
    assert math.isnan(result.kernel_alignment)
    assert json.loads(json.dumps(result.to_dict()))["kernel_alignment"] is None


NET = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
STATE, ROW = NET.state_dict(), torch.rand(5, 3)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: regime("net", STATE, STATE, ROW), TypeError, "`model` must be a module; got str."),
        (lambda: regime(NET, ROW, STATE, ROW), TypeError, "`before` must be a state dict or a module; got Tensor."),
        (lambda: regime(NET, STATE, {}, ROW), ValueError, "`after` must hold every parameter of the model; got none by the name 0.weight."),
        (lambda: regime(NET, STATE, STATE | {"0.weight": ROW}, ROW), ValueError, "`after` must have 0.weight of shape (8, 3); got (5, 3)."),
        (lambda: regime(NET, STATE, STATE, ROW, parameter="weight"), ValueError, "`parameter` must be among 0.weight, 0.bias, 2.weight, 2.bias; got 'weight'."),
        (lambda: regime(NET, STATE, STATE, ROW, parameter=[]), ValueError, "`parameter` must be among 0.weight, 0.bias, 2.weight, 2.bias; got 'no name'."),
        (lambda: regime(NET, STATE, STATE, ROW, hidden="rnn"), ValueError, "`hidden` must be a function or among 0, 1, 2; got 'rnn'."),
        (lambda: regime(NET, STATE, STATE, ROW, hidden=lambda out: out.sum()), TypeError, "`hidden` must give a tensor of one dimension or more; got a single number."),
        (lambda: regime(NET, STATE, STATE, ROW, output=lambda out: 3), TypeError, "`output` must give a tensor of one dimension or more; got int."),
        (lambda: regime(NET, STATE, STATE, ROW, chunk=0), ValueError, "`chunk` must be at least 1; got 0."),
        (lambda: regime(nn.ReLU(), {}, {}, ROW), ValueError, "`model` must hold a weight of two dimensions or more; got none."),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(call, error, sentence):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == sentence


def test_a_module_that_is_not_called_is_named():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return self.used(x)

    model = Unused()
    with pytest.raises(
        ValueError, match="`hidden` must be a module that the model calls; got 'spare'."
    ):
        regime(model, model, model, ROW, hidden="spare")
    assert regime(model, model, model, ROW).hidden == "output of used"
