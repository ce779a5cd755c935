"""Networks that learn differential equations."""

import torch

from daleml.learning import (
    EvolutionStrategy,
    Robertson,
    RobertsonODE,
    Spiral,
    SpiralODE,
    radau,
    rk4,
    rosenbrock,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


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


def test_the_spiral_network_learns_by_either_gradient():
    spiral, losses = Spiral(), {}
    times = torch.linspace(0, 25, 1000)[:10]
    starts = rk4(spiral, spiral.initial, torch.linspace(0, 25, 1000))[::100]
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
