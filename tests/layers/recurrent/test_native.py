"""The way of CUDA, torch's own recurrence, gives what the circuit's own steps give.

There is none here, so that it is forced on the CPU.
"""

import pytest
import torch
from torch import nn

from daleml import Populations
from daleml.layers import DANNRNN, EIRNN, silence
from daleml.layers._recurrent import dispatch, native

UNITS = Populations(5, 3)
LEAKY = {"dt_ms": 10, "tau_ms": [20.0, 30, 40, 20, 30, 40, 50, 60]}
CIRCUITS = {
    "relu": lambda: EIRNN(3, UNITS),
    "tanh": lambda: EIRNN(3, UNITS, nonlinearity="tanh"),
    "no bias": lambda: EIRNN(3, UNITS, bias=False),
    "layers, batch first": lambda: EIRNN(3, UNITS, 2, batch_first=True, mask=0.7),
    "start": lambda: EIRNN(3, UNITS, train_initial_state=True),
    "noise": lambda: EIRNN(3, UNITS, noise=0.2, nonlinearity="tanh"),
    "leak, noise": lambda: EIRNN(3, UNITS, noise=0.2, **LEAKY),
    "leak that learns": lambda: EIRNN(3, UNITS, noise=0.2, train_tau=True, **LEAKY),
    "one leak": lambda: EIRNN(3, UNITS, 2, noise=0.2, dt_ms=10, tau_ms=50),
    "DANN": lambda: DANNRNN(3, 8, 2, 2, mask=0.7),
}
PATHS = ["even", "one", "packed", "shuffled"]


@pytest.fixture
def calls(monkeypatch):
    """Force the way, and count how often it is taken."""
    taken = []
    run = native.native

    def counted(*arguments):
        taken.append(arguments)
        return run(*arguments)

    monkeypatch.setattr(dispatch, "native", counted)
    monkeypatch.setattr(native, "on_every_device", True)
    return taken


def inputs(path, batch_first=False):
    generator = torch.Generator().manual_seed(1)
    lengths = {"even": (6, 6, 6), "one": (6,), "packed": (6, 4, 1)}.get(path, (2, 6, 4))
    sequences = [
        torch.randn(n, 3, generator=generator, dtype=torch.float64, requires_grad=True)
        for n in lengths
    ]
    if path in ("even", "one"):
        x = torch.stack(sequences, 0 if batch_first else 1)
        return sequences, x
    return sequences, nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)


def ran(rnn, path, begun=True, seed=0):
    """Return values, and gradients of everything that has one."""
    rnn.generator = torch.Generator().manual_seed(seed)
    sequences, x = inputs(path, rnn.batch_first)
    hx = None
    if begun:
        hx = torch.rand(rnn.num_layers, len(sequences), 8, dtype=torch.float64)
        hx.requires_grad_()
    output, last = rnn(x, hx)
    rates = output.data if path in ("packed", "shuffled") else output
    loss = (rates.cos() * torch.arange(8)).sum() + last.square().sum()
    wanted = [*rnn.parameters(), *sequences, *([] if hx is None else [hx])]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    zeros = [one if one is not None else torch.zeros(()) for one in found]
    return [rates, last, *zeros]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", CIRCUITS)
def test_values_and_gradients_agree(name, path, calls, monkeypatch):
    begun = path in ("even", "shuffled")
    torch.manual_seed(0)
    rnn = CIRCUITS[name]().double()
    torch.manual_seed(2)
    found = ran(rnn, path, begun)
    assert len(calls) == rnn.num_layers
    monkeypatch.setattr(native, "on_every_device", False)
    torch.manual_seed(2)
    expected = ran(rnn, path, begun)
    assert len(calls) == rnn.num_layers
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_a_circuit_is_an_rnn_of_torch(calls):
    rnn = EIRNN(3, UNITS, 2)
    twin = nn.RNN(3, 8, 2, nonlinearity="relu")
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.copy_(getattr(rnn, name))
    x = torch.rand(6, 4, 3)
    for one, other in zip(rnn(x), twin(x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    assert len(calls) == 2


@pytest.mark.parametrize(
    "build",
    [
        lambda: EIRNN(3, UNITS, **LEAKY),
        lambda: EIRNN(3, UNITS, noise=0.1, nonlinearity="tanh", **LEAKY),
        lambda: EIRNN(3, UNITS, nonlinearity="softplus"),
        lambda: EIRNN(3, UNITS, nonlinearity=torch.sigmoid),
        lambda: EIRNN(3, UNITS, rate_noise=0.1),
        lambda: DANNRNN(3, 8, 2, shunting=True),
    ],
)
def test_what_torch_does_not_compute_goes_its_own_way(build, calls):
    build()(torch.rand(6, 4, 3))
    assert not calls


def test_a_leaky_circuit_at_rest_keeps_its_gradients(calls):
    """At a state of 0 neither of two halves would pass on what is kept of it."""
    rnn = EIRNN(3, UNITS, noise=0.1, noise_in_eval=False, **LEAKY).eval()
    rnn(torch.zeros(6, 4, 3))[0].sum().backward()
    assert not calls
    start = torch.zeros(1, 4, 8, requires_grad=True)
    rnn.train()(torch.zeros(6, 4, 3), start)[1].sum().backward()
    assert len(calls) == 1
    assert (start.grad != 0).all()


def test_second_derivatives_and_many_gradients_at_once(calls):
    torch.manual_seed(0)
    rnn = EIRNN(3, UNITS, nonlinearity="tanh").double()
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)

    def run(x, *weights):
        return rnn(x)[0].sum(1)

    weights = tuple(rnn.parameters())
    assert torch.autograd.gradgradcheck(run, (x, *weights))
    output = run(x)
    many = torch.eye(output.numel(), dtype=torch.float64).view(-1, *output.shape)
    (batched,) = torch.autograd.grad(
        output, x, many, is_grads_batched=True, retain_graph=True
    )
    for row, gradient in zip(many, batched, strict=True):
        (one,) = torch.autograd.grad(output, x, row, retain_graph=True)
        torch.testing.assert_close(one, gradient)
    output.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        output.sum().backward()
    assert calls


def test_transforms_of_torch_run_the_loop(calls):
    rnn = EIRNN(3, UNITS)
    jacobian = torch.func.jacrev(lambda x: rnn(x)[0])(torch.rand(4, 2, 3))
    assert jacobian.shape == (4, 2, 8, 4, 2, 3)
    assert not calls


def test_perturbations_and_hooks_see_the_same(calls):
    rnn = EIRNN(3, UNITS)
    seen = []
    x = torch.rand(6, 4, 3)
    with silence(rnn, "I"), rnn.register_layer_hook(lambda *args: seen.append(args)):
        rates = rnn(x)[0]
    assert (rates[..., 5:] == 0).all()
    assert torch.equal(seen[0][3].view_as(rates), rates)


def test_no_gradient_and_autocast(calls):
    rnn = EIRNN(3, UNITS)
    x = torch.rand(6, 4, 3)
    with torch.no_grad():
        assert not rnn(x)[0].requires_grad
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert rnn(x)[0].dtype == torch.bfloat16
    frozen = rnn.requires_grad_(False)
    assert not frozen(x)[0].requires_grad
    assert rnn(torch.rand(6, 0, 3))[0].shape == (6, 0, 8)
    assert len(calls) == 3
