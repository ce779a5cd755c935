"""Whole steps that torch compiles: no graph breaks, the same numbers, and as few compilations."""

import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.layers import DANNLinear, EILinear
from daleml.optim import EG, EGAdamW, MirrorDescent, enforce, param_groups
from daleml.potentials import HyperbolicEntropy, PNorm

# Torch's compiler warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore")


def network(dtype=torch.float32):
    torch.manual_seed(0)
    layers = EILinear(Populations(6, 3), 7, mask=0.5), nn.ReLU(), DANNLinear(7, 5)
    return nn.Sequential(*layers).to(dtype)


def groups(model, lr, tensor_lr):
    found = param_groups(model, lr)
    for group in found if tensor_lr else ():
        group["lr"] = torch.tensor(group["lr"])
    return found


def steps_of(build, *, dtype=torch.float32, tensor_lr=True, n_steps=5):
    """Take steps, compiled and not, under a schedule; return the models and how many graphs."""
    torch._dynamo.reset()
    eager, compiled = network(dtype), network(dtype)
    optimizers = [build(groups(model, 0.05, tensor_lr)) for model in (eager, compiled)]
    graphs = []

    def count(graph, _):
        graphs.append(graph)
        return graph

    step = torch.compile(optimizers[1].step, backend=count, fullgraph=True)
    for i in range(n_steps):
        x = torch.rand(4, 9, generator=torch.Generator().manual_seed(i)).to(dtype)
        for model, take in zip(
            (eager, compiled), (optimizers[0].step, step), strict=True
        ):
            model.zero_grad()
            model(x).square().sum().backward()
            take()
        for group in (*optimizers[0].param_groups, *optimizers[1].param_groups):
            group["lr"] *= 0.9
    return (eager, optimizers[0]), (compiled, optimizers[1]), len(graphs)


def assert_same(one, two, rtol=2e-6, atol=2e-7):
    (model, optimizer), (other, others) = one, two
    for mine, its in zip(model.parameters(), other.parameters(), strict=True):
        kept, its_kept = optimizer.state[mine], others.state[its]
        # bfloat16 rounds two neighbours apart: the masters are what steps.
        mine, its = kept.get("master", mine), its_kept.get("master", its)
        torch.testing.assert_close(mine, its, rtol=rtol, atol=atol)
        assert kept.keys() == its_kept.keys()


def test_steps_are_one_graph_whatever_the_rate():
    eager, compiled, n_graphs = steps_of(
        lambda params: EGAdamW(params, 0.05, amsgrad=True), n_steps=3
    )
    assert_same(eager, compiled)
    assert n_graphs == 1
    assert signs.check(compiled[0])


OPTIMISERS = {
    "EG": lambda params: EG(params, 0.05),
    "EG with a floor": lambda params: EG(params, 0.05, momentum=0.9, floor=1e-3),
    "EG with Nesterov's momentum": lambda params: EG(
        params, 0.05, momentum=0.9, nesterov=True, weight_decay=0.1
    ),
    "EG, damped": lambda params: EG(params, 0.05, momentum=0.9, dampening=0.4),
    "EGAdamW": lambda params: EGAdamW(params, 0.05),
    "EGAdamW without averages": lambda params: EGAdamW(params, 0.05, betas=(0.0, 0.9)),
    "maximised": lambda params: EGAdamW(params, 0.05, maximize=True),
    "3-norm": lambda params: MirrorDescent(params, 0.05, potential=PNorm(3)),
    "hyperbolic": lambda params: MirrorDescent(
        params, 0.05, momentum=0.5, potential=HyperbolicEntropy(0.1)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_is_compiled(name, dtype):
    eager, compiled, n_graphs = steps_of(OPTIMISERS[name], dtype=dtype)
    if dtype == torch.bfloat16:
        # Weights that round apart have gradients that do.
        assert_same(eager, compiled, rtol=1e-2, atol=1e-2)
    else:
        assert_same(eager, compiled)
    # The first step of a damped momentum is another rule than all that follow.
    assert n_graphs == 1 + (name == "EG, damped")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EG", "EGAdamW"])
def test_a_rate_that_is_a_number_is_compiled_in_as_torch_does(name):
    eager, compiled, n_graphs = steps_of(OPTIMISERS[name], tensor_lr=False)
    assert_same(eager, compiled)
    assert n_graphs <= 5


@pytest.mark.slow
@pytest.mark.parametrize("build", [EG, torch.optim.AdamW])
def test_a_guard_keeps_the_law_after_compiled_steps(build):
    torch._dynamo.reset()
    model = network()
    optimizer = build(model.parameters(), lr=0.5)
    enforce(optimizer, model)
    step = torch.compile(optimizer.step, backend="eager")
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.rand(4, 9)).square().sum().backward()
        step()
        assert signs.check(model)
